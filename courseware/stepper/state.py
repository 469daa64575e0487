"""A variable at one moment, and what is different from another."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Values:
    """Contents as a number that differs when they do, and in words where they are few."""

    contents: int
    words: str = ""


@dataclass(frozen=True)
class Look:
    """A value at one moment.

    ``text`` is what is shown. ``marks`` are aspects by name: texts, told as "before → after";
    `Values`; or mappings from an entry's name to its shape and `Values`, told by the names that
    differ.
    """

    text: str
    marks: dict = field(default_factory=dict)


def differences(before: Look, after: Look) -> list[str]:
    """What changed, each aspect in a few words; empty where nothing did."""
    told = []
    for name in [*before.marks, *(name for name in after.marks if name not in before.marks)]:
        old, new = before.marks.get(name), after.marks.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            told += _moved(name, old, new)
        elif old != new and isinstance(old, str) and isinstance(new, str):
            told.append(f"{name}: {old} → {new}")
        elif old != new and isinstance(old, Values) and isinstance(new, Values):
            told.append(_from_to(name, old, new) or f"new {name}")
    if not told and (before.marks.keys() != after.marks.keys() or before.text != after.text):
        told.append(f"was {cut(before.text, 80)}")
    return told


def _moved(name: str, old: dict, new: dict) -> list[str]:
    gone, added = old.keys() - new.keys(), new.keys() - old.keys()
    told, moved = [], []
    for key in old:
        if key in new and old[key] != new[key]:
            (shape, values), (new_shape, new_values) = old[key], new[key]
            if shape != new_shape:
                told.append(f"{key}: {shape} → {new_shape}")
            elif words := _from_to(key, values, new_values):
                told.append(words)
            else:
                moved.append(key)
    if moved:
        told.append(f"{name} changed: {_names(moved, len(new))}")
    if added:
        told.append(f"{name} new: {_names([key for key in new if key in added], len(new))}")
    if gone:
        told.append(f"{name} gone: {_names([key for key in old if key in gone], len(old))}")
    return told


def _from_to(name: str, old: Values, new: Values) -> str:
    few = old.words and new.words and old.words != new.words
    return f"{name}: {old.words} → {new.words}" if few else ""


def _names(names: list[str], of: int) -> str:
    listed = ", ".join(names)
    if len(listed) <= 70:
        return listed
    return f"{len(names)} of {of}" if len(names) < of else f"all {of}"


def cut(text: str, longest: int) -> str:
    """A text that is not longer than that, with … where it was."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
