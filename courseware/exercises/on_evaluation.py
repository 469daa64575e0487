"""The trial of lesson 08's exercise `evaluate`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from course_utils.surgery import freeze_backbone, set_train_mode, snapshot
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import VIT, Spy, experienced, noise
from courseware.exercises.trial import Mistake, Trial, apart, listed, moved, need, shown

# How many images each batch has, and how many of them are answered rightly.
SIZES, RIGHT = (5, 5, 2), (1, 2, 2)
TRAINING, EVAL, AT_REST = " in training mode", " in eval mode", " with its frozen part at rest"
CASES = (f"mobilenet_v3_small{TRAINING}", f"resnet18{AT_REST}", f"{VIT}{EVAL}")


def _evaluate(attempt: Attempt, case: str) -> Iterator[None]:
    model = _network(case)
    batches, across = _batches(model)
    _put_in_mode(model, case)
    modes = {name: module.training for name, module in model.named_modules()}
    before, flags = snapshot(model), [p.requires_grad for p in model.parameters()]
    spy = Spy(model)
    given = attempt(model, batches, blame=_blame)
    need(given is not None, "nothing-returned")
    drifted = moved(model, before)
    need(not drifted, "statistics-drift", f"What moved: {listed(drifted)}.")
    need(not any(spy.training), "ran-in-train-mode")
    need(flags == [p.requires_grad for p in model.parameters()], "flags-changed")
    need(not any(spy.recorded), "gradient-recorded")
    need(not attempt.grad_mode_left_off, "grad-mode-left-off")
    yield
    _need_share(attempt.read(lambda: _number(given)), across)
    yield
    other = {n: m.training for n, m in model.named_modules() if m.training != modes[n]}
    asleep = [name or "the model itself" for name, training in other.items() if not training]
    need(not asleep, "left-in-eval", f"Modules of which that is so: {len(asleep)}.")
    woken = [name or "the model itself" for name, training in other.items() if training]
    need(not woken, "woken", f"Modules of which that is so: {len(woken)}.")
    yield


def _network(case: str) -> nn.Module:
    return experienced(case.removesuffix(TRAINING).removesuffix(EVAL).removesuffix(AT_REST))


def _put_in_mode(model: nn.Module, case: str) -> None:
    model.train(not case.endswith(EVAL))
    if case.endswith(AT_REST):
        freeze_backbone(model)
        set_train_mode(model)


def _batches(model: nn.Module) -> tuple[list[tuple[Tensor, Tensor]], int]:
    """Batches that the model answers as `RIGHT` says, and how often an argmax over the wrong axis
    would happen to be right."""
    batches, across = [], 0
    for number, (size, right) in enumerate(zip(SIZES, RIGHT, strict=True)):
        images = noise(size, seed=number)
        with torch.no_grad():
            logits = model.eval()(images)
        labels = (logits.argmax(1) + (torch.arange(size) >= right)) % logits.shape[1]
        across += int((logits.argmax(0)[:size] == labels).sum())
        batches.append((images, labels))
    return batches, across


def _blame(error: BaseException) -> str | None:
    return "wrong-axis" if "size of tensor" in str(error) else None


def _number(given) -> float:
    try:
        return float(given)
    except (TypeError, ValueError, RuntimeError):
        raise Mistake("no-number", f"It returned {shown(given)}.") from None


def _need_share(share: float, across: int) -> None:
    """It is the number of right answers over the number of examples."""
    total, right = sum(SIZES), sum(RIGHT)
    shares = [r / size for r, size in zip(RIGHT, SIZES, strict=True)]
    says, is_so = apart([share], [right / total])
    seen = f"It says {says}; {right} of {total} are right, which is {is_so}."
    wrong = {
        "batch-means-averaged": [sum(shares) / len(shares)],
        "one-batch-only": shares,
        "counted-full": [right / (len(SIZES) * SIZES[0])],
        "wrong-axis": [across / total],
        "errors-counted": [1 - right / total],
        "per-cent": [100 * right / total],
        "right-answers-counted": [right],
    }
    for mistake, numbers in wrong.items():
        need(not any(_close(share, number) for number in numbers), mistake, seen)
    need(_close(share, right / total), "other-number", seen)


def _close(share: float, number: float) -> bool:
    return math.isclose(share, number, rel_tol=1e-5, abs_tol=1e-7)


EVALUATE = Trial(
    families=CASES,
    aspects=(
        "in eval mode, and no gradient recorded",
        f"{sum(RIGHT)} right answers of {sum(SIZES)}, in three batches",
        "every module in its own mode again",
    ),
    examine=_evaluate,
)
