"""What a trial is: something of a learner's function that holds on each of several networks."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from courseware.exercises.attempt import Attempt, LearnerError, Mistake

# What torchvision's families call their parts.
PARTS = frozenset(
    "conv1 bn1 layer1 layer2 layer3 layer4 avgpool fc features classifier heads head encoder "
    "conv_proj stem trunk_output conv5".split()
)


@dataclass(frozen=True)
class Trial:
    """The trial of one exercise.

    ``examine(attempt, family)`` is a generator. It tries one family, yields after each aspect that
    holds, in the order of ``aspects``, and raises `Mistake` at the first that does not.
    """

    families: tuple[str, ...]
    aspects: tuple[str, ...]
    examine: Callable[[Attempt, str], Iterator[None]]


def need(holds: bool, mistake: str, seen: str = "") -> None:
    """Raises Mistake, unless it holds."""
    if not holds:
        raise Mistake(mistake, seen)


def forward(attempt: Attempt, model: nn.Module, images: torch.Tensor, mistake: str):
    """What a model answers after a learner's function had it in its hands.

    Raises
    ------
    Mistake : it raises an exception
    """
    try:
        return attempt.run(lambda: model(images))
    except LearnerError as error:
        raise Mistake(mistake, f"Its forward pass raises {error.kind}: {error.message}") from None


def listed(names: Iterable[str], most: int = 3) -> str:
    """Some names for a sentence: ``2 tensors: fc.weight, fc.bias``."""
    names = list(names)
    plural = "tensor" if len(names) == 1 else "tensors"
    return f"{len(names)} {plural}: {some(names, most)}"


def some(names: list[str], most: int = 2) -> str:
    """The first names, and how many more there are: ``layer1.bn1, layer1.bn2 and 5 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shown(value) -> str:
    """The beginning of a value's own words, also where those would be without an end."""
    words = reprlib.Repr()
    words.maxother = words.maxstring = 80
    return words.repr(value)[:80]


def shape_of(value) -> str:
    """The shape of a tensor; of anything else what it is."""
    return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__


def apart(given: Sequence[float], right: Sequence[float]) -> tuple[str, str]:
    """Two rows of numbers, each with so many digits that one can see where they differ.

    Of long rows of one length only the four numbers from the first difference on.
    """
    rows = given, right
    if max(map(len, rows)) > 4:
        pairs = enumerate(zip(*rows, strict=False))
        first = next((place for place, (g, r) in pairs if g != r), 0)
        rows = [row[first : first + 4] for row in rows]
    for digits in range(3, 18):
        texts = tuple(", ".join(f"{value:.{digits}g}" for value in row) for row in rows)
        if texts[0] != texts[1]:
            break
    return texts


def moved(model: nn.Module, before: dict[str, torch.Tensor]) -> list[str]:
    """Which of these entries of the state have other values now; entries that are gone do not."""
    now = model.state_dict()
    return [n for n, value in before.items() if n in now and not torch.equal(now[n], value)]


def attribute_set(model: nn.Module) -> bool:
    """Whether ``requires_grad`` was set as an attribute of a module, where nobody reads it."""
    return any("requires_grad" in vars(module) for module in model.modules())


def goes_by_name(mistake: str) -> Callable[[BaseException], str | None]:
    """Blames ``mistake`` where code reaches for a part that another family has, not this one."""

    def blame(error: BaseException) -> str | None:
        missing = isinstance(error, AttributeError) and error.name in PARTS
        no_list = isinstance(error, TypeError) and "not subscriptable" in str(error)
        return mistake if missing or no_list else None

    return blame
