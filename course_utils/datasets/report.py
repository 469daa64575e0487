"""What was found in a folder of pictures: how many, what was left out, what to look at."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from course_utils.images import ImageSet

SHOWN = 3  # places of a kind that are named
Place = tuple[str, str, str]  # split ("" for none), class, name


@dataclass(frozen=True, repr=False)
class FolderReport:
    """Printed, it is a few lines of text.

    counts : split ("" for a folder without splits) → class → number of pictures
    left_out : file or folder → why it is not used
    twins : places of pictures that are the same, pixel by pixel, after decoding
    warnings : what should be looked at before training, as sentences
    """

    counts: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, str]
    twins: Sequence[tuple[str, ...]]
    warnings: Sequence[str]

    @classmethod
    def of(cls, sets: Mapping[str, ImageSet], left_out: Mapping[str, str]) -> FolderReport:
        """The report on one set, under the name "", or on several splits."""
        counts = {split: data.counts() for split, data in sets.items()}
        same = _same_pictures(sets)
        twins = [tuple(_path(*place) for place in group) for group in same]
        return cls(counts, dict(left_out), twins, [*_on_classes(counts), *_on_twins(same)])

    def __str__(self) -> str:
        lines = []
        for split, counts in self.counts.items():
            numbered = [f"{i} = {_text(name)} ({counts[name]})" for i, name in enumerate(counts)]
            where = f"{split}: " if split else ""
            lines.append(f"{where}{sum(counts.values())} pictures, {', '.join(numbered)}")
        lines += self.warnings
        reasons = defaultdict(list)
        for place, reason in self.left_out.items():
            reasons[reason].append(place)
        lines += [f"Left out ({reason}): {_some(places)}" for reason, places in reasons.items()]
        return "\n".join(lines)

    __repr__ = __str__


def folded(name: str) -> str:
    """Equal for names that are one on a system that ignores case, or how accents are stored."""
    return unicodedata.normalize("NFC", name).casefold()


def _same_pictures(sets: Mapping[str, ImageSet]) -> list[list[Place]]:
    """Groups of pictures with the same pixels, within one set and across.

    Pictures that were cut, resized or saved anew with a loss are not found so.
    """
    groups = defaultdict(list)
    for split, data in sets.items():
        for image, label, name in zip(data.images, data.labels, data.names, strict=True):
            key = hashlib.sha256(image.numpy().data).digest()
            groups[key].append((split, data.classes[label], name))
    return [group for group in groups.values() if len(group) > 1]


def _on_classes(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    flat = {_path(split, name): n for split, of in counts.items() for name, n in of.items()}
    if empty := [place for place, count in flat.items() if count == 0]:
        yield f"No picture of {_some(empty)}"
    if single := [place for place, count in flat.items() if count == 1]:
        yield f"A single picture of {_some(single)}: it cannot be split into train and val"
    alike = defaultdict(list)
    for place in flat:
        alike[" ".join(folded(place).split())].append(place)
    for places in alike.values():
        if len(places) > 1:
            yield f"Hard to tell apart, and one folder on some systems: {_some(places)}"


def _on_twins(same: Sequence[Sequence[Place]]) -> Iterator[str]:
    kinds: dict[str, list[str]] = {
        "In several splits, so scores on them mean nothing": [],
        "Under several classes, so a label is wrong": [],
        "Twice in one class; keep copies on one side of a split": [],
    }
    leaks, contradictions, copies = kinds.values()
    for group in same:
        # Of each split or class one picture is named, however many there are.
        splits = {place[0]: place for place in reversed(group)}
        classes = {place[1]: place for place in reversed(group)}
        if len(splits) > 1:
            leaks.append(_listed(splits.values()))
        if len(classes) > 1:
            contradictions.append(_listed(classes.values()))
        if len(splits) == len(classes) == 1:
            copies.append(_listed(group))
    yield from (f"{what}: {_some(places)}" for what, places in kinds.items() if places)


def _listed(group: Iterable[Place]) -> str:
    return " = ".join(_text(_path(*place)) for place in list(group)[:SHOWN])


def _path(split: str, *rest: str) -> str:
    return "/".join((split, *rest) if split else rest)


def _some(places: Sequence[str]) -> str:
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return ", ".join(map(_text, places[:SHOWN])) + more


def _text(name: str) -> str:
    """In quotes where a reader could not see where it begins and ends."""
    return name if name.isprintable() and name == name.strip() else repr(name)
