"""The trial of lesson 01's exercise: `top_k`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.models import get_model_weights

from course_utils.surgery import changed, find_head, snapshot
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import Spy, experienced
from courseware.exercises.trial import Trial, listed, need

# Each prepares its pictures in another way: a recipe that is right for one misses the others.
MEMBERS = {
    "resnet18": "IMAGENET1K_V1",
    "regnet_y_400mf": "IMAGENET1K_V2",
    "efficientnet_b0": "IMAGENET1K_V1",
}
K = 3
CLOSE = 1e-4


def _top_k(attempt: Attempt, family: str) -> Iterator[None]:
    model, image = _outspoken(family), _picture()
    weights = get_model_weights(family)[MEMBERS[family]]
    logits = _logits(model, weights, image)
    before, flags = snapshot(model.train()), [p.requires_grad for p in model.parameters()]
    spy = Spy(model)

    def blame(error: Exception) -> str | None:
        return "no-batch-axis" if spy.inputs and spy.inputs[-1].ndim == 3 else None

    categories = weights.meta["categories"]
    names = list(categories)
    try:
        given = attempt(model, weights, image.copy(), K, blame=blame)
        off = attempt.grad_mode_left_off
        by_default = attempt(model, weights, image.copy(), blame=blame)
    finally:
        categories[:] = names  # the list belongs to torchvision, and to the learner's session
    need(given is not None, "nothing-returned")
    _need_pairs(given, K)
    yield
    need(not spy.inputs or spy.inputs[0].ndim == 4, "no-batch-axis")
    _need_right_input(spy, weights, image)
    need(not any(spy.training), "train-mode")
    _need_right_values(given, logits, names)
    yield
    need(not off, "grad-mode-left-off")
    need(not any(spy.recorded), "gradient-recorded")
    need(flags == [p.requires_grad for p in model.parameters()], "flags-changed")
    moved = changed(model, before)
    need(not moved, "train-mode", f"{listed(moved)} of its state changed.")
    yield
    _need_pairs(by_default, 5)
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


def _need_pairs(given, k: int) -> None:
    """A list of k pairs of a name and a number."""
    said = f"It returned a {type(given).__name__}."
    need(isinstance(given, list | tuple), "no-pairs", said)
    for pair in given:
        need(isinstance(pair, list | tuple) and len(pair) == 2, "no-pairs", f"Found {pair!r:.80}.")
    need(len(given) == k, "k-ignored", f"Asked for {k}, it returned {len(given)}.")
    for name, value in given:
        is_index = isinstance(name, int | np.integer | torch.Tensor)
        need(not is_index, "index-for-name", f"In place of a name stands {name!r:.40}.")
        single = isinstance(value, float | int | np.number) or (
            isinstance(value, torch.Tensor) and value.numel() == 1
        )
        need(isinstance(name, str) and single, "no-pairs", f"Found {(name, value)!r:.80}.")


def _need_right_input(spy: Spy, weights, image: Image.Image) -> None:
    """The network saw what the weights' own transforms make of the picture."""
    right = weights.transforms()(image)[None]
    for seen in spy.inputs:
        same = seen.shape == right.shape and torch.allclose(seen, right, atol=1e-3)
        what = f"The network was given values from {seen.min():.2f} to {seen.max():.2f}, shape "
        what += f"{tuple(seen.shape)}; prepared for these weights they go from {right.min():.2f} "
        need(same, "wrong-preparation", f"{what}to {right.max():.2f}, shape {tuple(right.shape)}.")


def _need_right_values(given: list, logits: torch.Tensor, names: list[str]) -> None:
    """Names and probabilities are those of the best classes, in falling order."""
    values = torch.tensor([float(torch.as_tensor(value).detach()) for _, value in given])
    shares = logits.softmax(dim=0)
    best = shares.topk(K)

    def near(expected: torch.Tensor) -> bool:
        return torch.allclose(values.sort().values, expected.sort().values, atol=CLOSE, rtol=1e-3)

    shown = ", ".join(f"{value:.3g}" for value in values.tolist())
    need(not near(logits.topk(K).values), "no-softmax", f"Its values: {shown}.")
    need(not near(logits.topk(K).values.softmax(dim=0)), "softmax-over-the-best",
         f"Its values add up to 1: {shown}.")  # fmt: skip
    need(not near(torch.ones(K)), "softmax-over-the-batch", f"Its values: {shown}.")
    need(not near(100 * best.values), "per-cent", f"Its values: {shown}.")
    need(near(best.values), "other-classes", f"Its values: {shown}; the best have "
         + ", ".join(f"{value:.3g}" for value in best.values.tolist()) + ".")  # fmt: skip
    rising = torch.allclose(values, best.values.flip(0), atol=CLOSE)
    need(not rising, "sorted-wrong", f"Its values: {shown}.")
    right = [names[place] for place in best.indices]
    told = [name for name, _ in given]
    need(
        told == right, "other-names", f"It says {', '.join(told)}; it should be {', '.join(right)}."
    )
