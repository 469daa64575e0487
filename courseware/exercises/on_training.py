"""The trials of lesson 02's exercises on the optimizer: `prepare` and `freeze_stage`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.surgery import snapshot
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import BOTTLENECK, VIT, build, noise
from courseware.exercises.trial import (
    Mistake,
    Trial,
    apart,
    attribute_set,
    forward,
    goes_by_name,
    listed,
    moved,
    need,
    shape_of,
)

STAGES = {
    "resnet18": "layer1",
    "mobilenet_v3_small": "features.3",
    "densenet121": "features.denseblock1",
    VIT: "encoder.layers.encoder_layer_0",
}
CLASSES = 5


def _prepare(attempt: Attempt, family: str) -> Iterator[None]:
    model = build(family)
    old, modules = model.fc, len(list(model.modules()))
    before = {n: v for n, v in snapshot(model).items() if not n.startswith("fc.")}
    optimizer = attempt(model, CLASSES, blame=goes_by_name("parts-by-name"))
    need(optimizer is not None, "nothing-returned")
    is_optimizer = isinstance(optimizer, torch.optim.Optimizer)
    need(is_optimizer, "no-optimizer", f"It returned a {type(optimizer).__name__}.")
    images, labels = noise(4, seed=1), torch.arange(4) % CLASSES
    logits = forward(attempt, model.eval(), images, "width-by-heart")
    if shape_of(logits) != str((4, CLASSES)):
        seen = f"It gives {shape_of(logits)} for four images, in place of {(4, CLASSES)}."
        need(model.fc is not old or len(list(model.modules())) > modules, "head-not-replaced", seen)
        need(model.fc is not old, "old-head-still-called", seen)
        raise Mistake("other-count", seen)
    yield
    need(isinstance(optimizer, torch.optim.SGD), "not-sgd", f"It is {type(optimizer).__name__}.")
    rates = sorted({float(group["lr"]) for group in optimizer.param_groups})
    told = "It is {}, in place of {}.".format(*apart(rates, [0.1]))
    need(all(math.isclose(rate, 0.1) for rate in rates), "other-rate", told)
    yield
    _need_right_flags(model)
    yield
    _need_head_held(model, optimizer)
    early = moved(model, before)
    need(not early, "backbone-moved", f"Changed before any step: {listed(early)}.")
    F.cross_entropy(model(images), labels).backward()
    head = [(name, p, p.detach().clone()) for name, p in model.fc.named_parameters()]
    optimizer.step()
    still = [f"fc.{name}" for name, p, value in head if torch.equal(p, value)]
    need(not still, "part-of-the-head", f"What stood still: {listed(still)}.")
    late = moved(model, before)
    need(not late, "backbone-moved", f"Moved by the step: {listed(late)}.")
    yield


def _need_right_flags(model: nn.Module) -> None:
    """The head's flags are up, all others down."""
    head = {id(p) for p in model.fc.parameters()}
    up = {name: id(p) in head for name, p in model.named_parameters() if p.requires_grad}
    extra = [name for name, of_head in up.items() if not of_head]
    seen = f"What can learn besides the head: {listed(extra)}."
    need(not attribute_set(model), "attribute-only", seen)
    need(any(up.values()), "head-frozen-too")
    need(not extra or not all("fc" in name for name in extra), "name-substring", seen)
    need(not extra, "nothing-frozen", seen)


def _need_head_held(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The optimizer holds every tensor of the new head."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    left_out = [f"fc.{name}" for name, p in model.fc.named_parameters() if id(p) not in held]
    seen = f"What the optimizer does not hold: {listed(left_out)}."
    everything = len(left_out) == len(list(model.fc.parameters()))
    need(not everything, "optimizer-holds-old-tensors", seen)
    need(not left_out, "part-of-the-head", seen)


PREPARE = Trial(
    families=("resnet18", BOTTLENECK, "regnet_y_400mf", "shufflenet_v2_x0_5"),
    aspects=(
        f"{CLASSES} logits from a new head",
        "an SGD optimizer with lr 0.1",
        "the flags: head up, backbone down",
        "one step moves the new head, and nothing else",
    ),
    examine=_prepare,
)


def _freeze_stage(attempt: Attempt, family: str) -> Iterator[None]:
    model = build(family)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    F.cross_entropy(model(noise(4)), torch.arange(4) % CLASSES).backward()
    optimizer.step()  # momentum has built up, as in the middle of training
    stage = model.get_submodule(STAGES[family])
    before = snapshot(stage)
    attempt(stage)
    _need_down(stage)
    yield
    gradients = [p.grad for p in stage.parameters() if p.grad is not None]
    optimizer.step()
    differ = moved(stage, before)
    zeros = not any(gradient.any() for gradient in gradients)
    seen = f"What moved: {listed(differ)}."
    need(not differ, "zeroed-gradient" if zeros else "stale-gradient", seen)
    yield
    fresh = build(family).get_submodule(STAGES[family])
    attempt(fresh, blame=lambda error: "missing-gradient")
    need(not any(p.requires_grad for p in fresh.parameters()), "missing-gradient")
    yield


def _need_down(stage: nn.Module) -> None:
    """No flag of the stage is up; if some are, what was done instead tells why."""
    up = [name for name, p in stage.named_parameters() if p.requires_grad]
    seen = f"What still asks for a gradient: {listed(up)}."
    need(not attribute_set(stage), "attribute-only", seen)
    if len(up) == len(list(stage.parameters())):
        need(any(p.grad is not None for p in stage.parameters()), "flag-still-up", seen)
        need(any(module.training for module in stage.modules()), "eval-only", seen)
        raise Mistake("nothing-done", seen)
    need(not up, "part-of-the-stage", seen)


FREEZE_STAGE = Trial(
    families=tuple(STAGES),
    aspects=(
        "no parameter of the stage asks for a gradient",
        "the next step leaves it as it is",
        "a stage that has no gradients yet freezes, too",
    ),
    examine=_freeze_stage,
)
