"""What was found in a folder of pictures: how many, what was left out, what to look at."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from course_utils.datasets.scan import folded
from course_utils.images import ImageSet

SHOWN = 3  # places of a kind that are named


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
        same = same_pictures(sets)
        twins = [tuple(_place(*where) for where in group) for group in same]
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


def same_pictures(sets: Mapping[str, ImageSet]) -> list[list[tuple[str, str, str]]]:
    """Groups of pictures with the same pixels, within one set and across: (set, class, name) each.

    Pictures that were cut, resized or saved anew with a loss are not found so.
    """
    groups = defaultdict(list)
    for split, data in sets.items():
        names = data.names or tuple(map(str, range(len(data))))
        for image, label, name in zip(data.images, data.labels.tolist(), names, strict=True):
            key = hashlib.sha256(image.contiguous().cpu().numpy()).digest()
            groups[tuple(image.shape), key].append((split, data.classes[label], name))
    return [group for group in groups.values() if len(group) > 1]


def _on_classes(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    counts = {_place(split, name): n for split, of in counts.items() for name, n in of.items()}
    said = []
    if empty := [place for place, count in counts.items() if count == 0]:
        said.append(f"No picture of {_some(empty)}")
    if single := [place for place, count in counts.items() if count == 1]:
        said.append(f"A single picture of {_some(single)}: it cannot be split into train and val")
    alike = defaultdict(list)
    for place in counts:
        alike[" ".join(folded(place).split())].append(place)
    for places in alike.values():
        if len(places) > 1:
            said.append(f"Hard to tell apart, and one folder on some systems: {_some(places)}")
    return said


def _on_twins(same: Sequence[Sequence[tuple[str, str, str]]]) -> list[str]:
    kinds = {
        "In several splits, so scores on them mean nothing": lambda where: where[0],
        "Under several classes, so a label is wrong": lambda where: where[1],
    }
    said, left = [], list(same)
    for what, part in kinds.items():
        found = [group for group in same if len({part(where) for where in group}) > 1]
        left = [group for group in left if group not in found]
        # Of each split or class one picture is named, however many there are.
        said += _listed(what, [[*{part(w): w for w in group[::-1]}.values()] for group in found])
    return said + _listed("Twice in one class; keep copies on one side of a split", left)


def _listed(what: str, groups: Sequence[Sequence[tuple[str, str, str]]]) -> list[str]:
    same = [" = ".join(_text(_place(*where)) for where in group[:SHOWN]) for group in groups]
    return [f"{what}: {_some(same)}"] if same else []


def _place(split: str, *rest: str) -> str:
    return "/".join((split, *rest) if split else rest)


def _some(places: Sequence[str]) -> str:
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return ", ".join(map(_text, places[:SHOWN])) + more


def _text(name: str) -> str:
    """In quotes where a reader could not see where it begins and ends."""
    return name if name.isprintable() and name == name.strip() else repr(name)
