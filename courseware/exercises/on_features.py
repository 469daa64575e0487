"""The trial of lesson 04's exercise: `extract_features`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from course_utils.surgery import find_head, snapshot
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import CONVNEXT, VIT, Spy, experienced, noise
from courseware.exercises.trial import Trial, goes_by_name, listed, moved, need, shape_of

# In MobileNetV3 a linear layer stands between the pooling and the head.
FAMILIES = ("resnet18", "mobilenet_v3_small", "densenet121", VIT, CONVNEXT)
IMAGES = 3


def _extract_features(attempt: Attempt, family: str) -> Iterator[None]:
    model = experienced(family)
    head = find_head(model).module
    batches = [noise(IMAGES, seed=1), noise(IMAGES, seed=2)]
    vectors = [_entering(model, head, images) for images in batches]
    spy = Spy(model.train())
    before, hooks, flags = snapshot(model), _hooks(model), _flags(model)
    given = attempt(model, batches[0].clone(), blame=goes_by_name("parts-by-name"))
    grad_mode_left_off = attempt.grad_mode_left_off
    attempt.read(lambda: _need_matrix(given))
    drifted = moved(model, before)
    need(not drifted, "statistics-drift", f"What moved: {listed(drifted)}.")
    _need_vectors(given, vectors[0], head.out_features)
    yield
    need(not given.requires_grad, "gradient-recorded")
    need(not any(spy.recorded), "detached-too-late")
    yield
    need(any(module is head for module in model.modules()), "head-left-out")
    need(_hooks(model) == hooks, "hook-left")
    need(_flags(model) == flags, "flags-changed")
    need(not grad_mode_left_off, "grad-mode-left-off")
    yield
    again = attempt(model, batches[1].clone())
    need(isinstance(again, torch.Tensor) and _close(again, vectors[1]), "stale-vectors")
    yield


def _entering(model: nn.Module, head: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What enters the head in eval mode."""
    seen = []
    hook = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    return seen[0]


def _need_matrix(given) -> None:
    """A float32 tensor with one row an image."""
    said = f"It returned a {type(given).__name__}."
    need(given is not None, "nothing-returned")
    need(not isinstance(given, list | tuple), "inputs-tuple", said)
    need(isinstance(given, torch.Tensor) and given.dtype == torch.float32, "no-tensor", said)
    shape = f"Its shape is {shape_of(given)}, for {IMAGES} images."
    need(given.ndim == 2 and len(given) == IMAGES, "not-flat", shape)


def _need_vectors(given: torch.Tensor, right: torch.Tensor, classes: int) -> None:
    """They are what enters the head."""
    width = given.shape[1]
    seen = f"It gives {width} numbers an image; into the head go {right.shape[1]}."
    need(width != classes or width == right.shape[1], "logits-returned", seen)
    need(width == right.shape[1], "not-what-enters-the-head", seen)
    off = (given - right).abs().max().item()
    seen = f"{width} numbers an image, as it should be, but off by up to {off:.2g}."
    need(_close(given, right), "not-what-enters-the-head", seen)


def _close(given: torch.Tensor, right: torch.Tensor) -> bool:
    return given.shape == right.shape and torch.allclose(given, right, rtol=1e-3, atol=1e-4)


def _hooks(model: nn.Module) -> int:
    """How many forward hooks hang on a model."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def _flags(model: nn.Module) -> list[bool]:
    return [parameter.requires_grad for parameter in model.parameters()]


EXTRACT_FEATURES = Trial(
    families=FAMILIES,
    aspects=(
        "the vectors that enter the head, as in eval mode",
        "no gradient recorded",
        "the model as it was: state, flags, head, hooks",
        "the next batch gets vectors of its own",
    ),
    examine=_extract_features,
)
