"""The trial of lesson 01's exercise: `top_k`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.models import get_model_weights

from course_utils.surgery import changed, find_head, snapshot
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import Spy, experienced
from courseware.exercises.trial import Trial, apart, listed, need, shape_of, shown

# Each prepares its pictures in another way: a recipe that is right for one misses the others.
MEMBERS = {
    "resnet18": "IMAGENET1K_V1",
    "regnet_y_400mf": "IMAGENET1K_V2",
    "efficientnet_b0": "IMAGENET1K_V1",
}
K = 3
CLOSE = 1e-4
MOST = 1000  # pairs that are read of what was returned


def _top_k(attempt: Attempt, family: str) -> Iterator[None]:
    model, image = _outspoken(family), _picture()
    weights = get_model_weights(family)[MEMBERS[family]]
    logits = _logits(model, weights, image)
    before, flags = snapshot(model.train()), [p.requires_grad for p in model.parameters()]
    spy = Spy(model)

    def blame(error: Exception) -> str | None:
        return "no-batch-axis" if spy.inputs and spy.inputs[-1].ndim == 3 else None

    with _kept(weights):
        names = list(weights.meta["categories"])
        given = attempt(model, weights, image.copy(), K, blame=blame)
        off = attempt.grad_mode_left_off
        by_default = attempt(model, weights, image.copy(), blame=blame)
    need(given is not None, "nothing-returned")
    pairs = attempt.read(lambda: _pairs(given, K))
    yield
    need(not spy.inputs or spy.inputs[0].ndim == 4, "no-batch-axis")
    _need_right_input(spy, family, weights, image)
    need(not any(spy.training), "train-mode")
    _need_right_values(pairs, logits, names)
    yield
    need(not off, "grad-mode-left-off")
    need(not any(spy.recorded), "gradient-recorded")
    need(flags == [p.requires_grad for p in model.parameters()], "flags-changed")
    moved = changed(model, before)
    need(not moved, "train-mode", f"{listed(moved)} of its state changed.")
    yield
    attempt.read(lambda: _pairs(by_default, 5))
    yield


TOP_K = Trial(
    families=tuple(MEMBERS),
    aspects=(
        f"{K} pairs of a name and a probability",
        "the likeliest names, best first, with their share of all classes",
        "no gradient recorded and nothing in the model changed",
        "5 pairs when k is left out",
    ),
    examine=_top_k,
)


def _outspoken(family: str) -> nn.Module:
    """A network with random weights that is not equally unsure of everything."""
    model = experienced(family)
    weights = get_model_weights(family)[MEMBERS[family]]
    with torch.no_grad():
        find_head(model).module.weight.mul_(2 / _logits(model, weights, _picture()).std())
    return model


def _picture() -> Image.Image:
    """A picture with soft blots of colour, wider than high."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((320, 260), Image.Resampling.BICUBIC)


def _logits(model: nn.Module, weights, image: Image.Image) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(weights.transforms()(image)[None])[0]


@contextmanager
def _kept(weights) -> Iterator[None]:
    """What torchvision says of these weights is part of the learner's session, too."""
    known, categories = dict(weights.meta), weights.meta["categories"]
    names = list(categories)
    try:
        yield
    finally:
        categories[:] = names
        weights.meta.clear()
        weights.meta.update(known)


def _pairs(given, k: int) -> list[tuple[str, float]]:
    """A list of k pairs of a name and a number."""
    said = f"It returned a {type(given).__name__}."
    need(isinstance(given, list | tuple), "no-pairs", said)
    need(len(given) <= MOST, "k-ignored", f"Asked for {k}, it returned {len(given):,}.")
    found = list(islice(given, MOST))
    for pair in found:
        need(isinstance(pair, list | tuple) and len(pair) == 2, "no-pairs", f"Found {shown(pair)}.")
    need(len(found) == k, "k-ignored", f"Asked for {k}, it returned {len(found)}.")
    return [_pair(*pair) for pair in found]


def _pair(name, value) -> tuple[str, float]:
    is_index = isinstance(name, int | np.integer | torch.Tensor)
    need(not is_index, "index-for-name", f"In place of a name stands {shown(name)}.")
    single = isinstance(value, float | int | np.number) or (
        isinstance(value, torch.Tensor) and value.numel() == 1
    )
    need(isinstance(name, str) and single, "no-pairs", f"Found {shown((name, value))}.")
    return str(name), float(torch.as_tensor(value).detach())


def _need_right_input(spy: Spy, family: str, weights, image: Image.Image) -> None:
    """The network saw what the weights' own transforms make of the picture."""
    right = weights.transforms()(image)[None]
    for seen in spy.inputs:
        same = seen.shape == right.shape and torch.allclose(seen, right, atol=1e-3)
        need(same, "wrong-preparation", "" if same else _off(seen, right, family, weights))


def _off(seen: torch.Tensor, right: torch.Tensor, family: str, weights) -> str:
    """In what a prepared picture is not as it should be."""
    if seen.shape != right.shape:
        shapes = f"the shape {shape_of(seen)}, in place of {shape_of(right)}"
        return f"What the network was given has {shapes}."
    ends = [(tensor.min().item(), tensor.max().item()) for tensor in (seen, right)]
    if any(abs(given - wanted) > 0.1 for given, wanted in zip(*ends, strict=True)):
        given, wanted = (f"from {low:.2f} to {high:.2f}" for low, high in ends)
        return f"The network was given values {given}; prepared for these weights they go {wanted}."
    recipe, off = weights.transforms(), (seen - right).abs().max()
    wants = f"{family} wants the shorter side at {recipe.resize_size[0]} px, by "
    wants += f"{recipe.interpolation.value} interpolation, then the middle {right.shape[-1]} px"
    return f"{wants}; the values are off by up to {off:.2g}."


def _need_right_values(pairs: list, logits: torch.Tensor, names: list[str]) -> None:
    """Names and probabilities are those of the best classes, in falling order."""
    values = torch.tensor([value for _, value in pairs])
    shares = logits.softmax(dim=0)
    best = shares.topk(K)

    def near(expected: torch.Tensor) -> bool:
        return torch.allclose(values.sort().values, expected.sort().values, atol=CLOSE, rtol=1e-3)

    given, right = apart(values.tolist(), best.values.tolist())
    seen = f"Its values: {given}."
    need(not near(logits.topk(K).values), "no-softmax", seen)
    need(
        not near(logits.topk(K).values.softmax(dim=0)),
        "softmax-over-the-best",
        f"Its values add up to 1: {given}.",
    )
    need(not near(torch.ones(K)), "softmax-over-the-batch", seen)
    need(not near(100 * best.values), "per-cent", seen)
    need(near(best.values), "other-classes", f"Its values: {given}; the best have {right}.")
    rising = torch.allclose(values, best.values.flip(0), atol=CLOSE)
    need(not rising, "sorted-wrong", seen)
    given, right = [name for name, _ in pairs], [names[place] for place in best.indices]
    need(given == right, "other-names", f"It says {_quoted(given)}; it should be {_quoted(right)}.")


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)  # with its quotes a space at an end is seen
