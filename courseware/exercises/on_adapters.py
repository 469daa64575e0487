"""The trial of lesson 08's exercise `add_low_rank`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from courseware.exercises.attempt import Attempt
from courseware.exercises.trial import Trial, forward, need, shape_of

RANK = 4
# Inputs and outputs of the layer, the shape in front of them, dtype, and whether it has a bias.
LAYERS = {
    "a head, 64 to 5": (64, 5, (3,), torch.float32, True),
    "a layer on tokens, 32 to 48": (32, 48, (2, 7), torch.float32, True),
    "double precision without a bias, 20 to 30": (20, 30, (3,), torch.float64, False),
}


@dataclass
class Case:
    """A layer, its tensors with their values before, and something to put in."""

    layer: nn.Linear
    tensors: list[tuple[nn.Parameter, Tensor]]
    inputs: Tensor


def _case(name: str) -> Case:
    inputs, outputs, shape, dtype, bias = LAYERS[name]
    torch.default_generator.manual_seed(0)
    layer = nn.Linear(inputs, outputs, bias=bias, dtype=dtype)
    tensors = [(p, p.detach().clone()) for p in layer.parameters()]
    return Case(layer, tensors, torch.randn(*shape, inputs, dtype=dtype))


def _add_low_rank(attempt: Attempt, name: str) -> Iterator[None]:
    case = _case(name)
    with torch.no_grad():
        right = case.layer(case.inputs)
    weight = case.layer.weight.detach().clone()
    module = attempt(case.layer, RANK)
    need(module is not None, "nothing-returned")
    need(isinstance(module, nn.Module), "no-module", f"It returned a {type(module).__name__}.")
    odd = {p.dtype for p in module.parameters()} - {right.dtype}
    need(not odd, "other-dtype", f"The layer is {right.dtype}, and there is {odd}.")
    inputs = case.inputs.clone().requires_grad_(True)
    given = forward(attempt, module, inputs, "does-not-fit")
    told = f"It gives {shape_of(given)} where the layer gave {shape_of(right)}."
    need(shape_of(given) == shape_of(right), "does-not-fit", told)
    need(all(torch.equal(p, value) for p, value in case.tensors), "weights-changed")
    off = (given.detach() - right).abs().max().item()
    need(off < 1e-5, "starts-elsewhere", f"It is off by up to {off:.2g}.")
    yield
    _need_count(module, case)
    yield
    _need_gradients(attempt, module, case, given, inputs, weight)
    _need_linear(module, case, right)
    yield


def _need_count(module: nn.Module, case: Case) -> None:
    """What can learn is A and B, and nothing besides."""
    learning = [p for p in module.parameters() if p.requires_grad]
    need(learning, "nothing-learns")
    old = {id(p) for p, _ in case.tensors}
    need(not any(id(p) in old for p in learning), "linear-learns")
    outputs, inputs = case.layer.out_features, case.layer.in_features
    count, right = sum(p.numel() for p in learning), RANK * (inputs + outputs)
    seen = f"It trains {count} numbers; A and B of rank {RANK} hold {right}."
    need(count == right or all(p.ndim > 1 for p in learning), "bias-added", seen)
    need(count != inputs * outputs, "full-size", seen)
    need(count == right, "other-count", seen)


def _need_gradients(attempt, module, case: Case, given: Tensor, inputs: Tensor, weight) -> None:
    """One of A and B gets a gradient, and so does what stands in front of the layer."""
    torch.default_generator.manual_seed(1)
    direction = torch.randn_like(given)
    if given.requires_grad:
        given.backward(direction)
    learning = [p for p in module.parameters() if p.requires_grad]
    reached = any(p.grad is not None and p.grad.any() for p in learning)
    if not reached:
        before = given.detach()
        _move(module)
        with torch.no_grad():
            acts = not torch.equal(forward(attempt, module, case.inputs, "does-not-fit"), before)
        need(acts, "no-detour")
        need(False, "never-learns")
    passed = inputs.grad is not None and torch.allclose(inputs.grad, direction @ weight, atol=1e-4)
    need(passed, "gradient-stops")


def _move(module: nn.Module) -> None:
    """Other values for all that can learn."""
    torch.default_generator.manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.normal_()


def _need_linear(module: nn.Module, case: Case, right: Tensor) -> None:
    """After steps, the difference to the layer's output is a linear map of its input."""
    _move(module)
    with torch.no_grad():
        zero = module(torch.zeros_like(case.inputs))
        added, mirrored = module(case.inputs) - zero, module(-case.inputs) - zero
        beside = module(case.inputs) - right
    need(beside.abs().max() > 1e-6, "no-detour")
    need(torch.allclose(added, -mirrored, rtol=1e-3, atol=1e-3), "not-linear")


ADD_LOW_RANK = Trial(
    families=tuple(LAYERS),
    aspects=(
        "at first the output of the layer, exactly",
        "only A and B can learn",
        "gradients reach them and pass through; the sum stays linear",
    ),
    examine=_add_low_rank,
)
