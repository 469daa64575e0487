"""The trial of lesson 03's exercise: `replace_head`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from course_utils.anatomy import Head, find_head
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import CONVNEXT, VIT, build, noise
from courseware.exercises.trial import (
    Trial,
    forward,
    goes_by_name,
    listed,
    moved,
    need,
    shape_of,
)

CLASSES = 5
DOUBLE, META, NO_BIAS = "in double precision", "on the meta device", "whose head has no bias"
FAMILIES = (
    *("resnet18", f"mobilenet_v2 {DOUBLE}", "efficientnet_b0"),
    *(f"densenet121 {META}", VIT, f"{CONVNEXT} {NO_BIAS}"),
)


@dataclass
class Case:
    """A frozen network, as it was handed to a learner's function, and what belonged to it."""

    model: nn.Module
    head: Head
    parameters: dict[str, nn.Parameter]
    values: dict[str, torch.Tensor]

    @property
    def at_head(self) -> nn.Module | None:
        """What now hangs where the head hung."""
        try:
            return self.model.get_submodule(self.head.name)
        except AttributeError:
            return None

    @property
    def new(self) -> dict[str, nn.Parameter]:
        """Parameters that were not in the model before."""
        return _without(self.model.named_parameters(), self.parameters.values())

    @property
    def gone(self) -> dict[str, nn.Parameter]:
        """Parameters that are in the model no more."""
        return _without(self.parameters.items(), self.model.parameters())

    @property
    def elsewhere(self) -> list[str]:
        """What is new or gone, and neither in the head's place nor of the old head."""
        inside = [*(self.at_head.parameters() if self.at_head else []), *self.old]
        return [*_without(self.new.items(), inside), *_without(self.gone.items(), inside)]

    @property
    def old(self) -> list[nn.Parameter]:
        """The parameters of the old head."""
        return [p for name, p in self.parameters.items() if name.startswith(self.head.name + ".")]


def _without(named: Iterable[tuple[str, nn.Parameter]], others: Iterable[nn.Parameter]) -> dict:
    """Those that are not among the others; ``==`` would compare values."""
    known = {id(p) for p in others}
    return {name: p for name, p in named if id(p) not in known}


def _case(family: str) -> Case:
    family, device = family.removesuffix(f" {META}"), "meta" if family.endswith(META) else "cpu"
    model = build(family.removesuffix(f" {DOUBLE}").removesuffix(f" {NO_BIAS}"), device).eval()
    if family.endswith(DOUBLE):
        model.double()
    head = find_head(model)
    if family.endswith(NO_BIAS):
        head.module.bias = None
    model.requires_grad_(False)
    return Case(model, head, dict(model.named_parameters()), _values(model))


def _values(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state's values; none of a network on the meta device, which has no values."""
    state = {name: value for name, value in model.state_dict().items() if not value.is_meta}
    return {name: value.clone() for name, value in state.items()}


def _replace_head(attempt: Attempt, family: str) -> Iterator[None]:
    case = _case(family)
    returned = attempt(case.model, CLASSES, blame=goes_by_name("parts-by-name"))
    _need_new_layer(case, returned)
    yield
    _need_kind(case)
    yield
    device, dtype = case.head.module.weight.device, case.head.module.weight.dtype
    images = noise(2, seed=1, dtype=dtype).to(device)
    logits = forward(attempt, case.model, images, "does-not-fit")
    given, right = shape_of(logits), str((2, CLASSES))
    need(given == right, "other-count", f"It gives {given} for two images, in place of {right}.")
    yield
    rest = {n: value for n, value in case.values.items() if not n.startswith(f"{case.head.name}.")}
    differ = moved(case.model, rest)
    need(not differ, "more-than-the-head", f"What is not as it was: {listed(differ)}.")
    yield
    up = {name for name, p in case.model.named_parameters() if p.requires_grad}
    extra = sorted(up - set(case.new))
    need(not extra, "backbone-thawed", f"What can learn besides: {listed(extra)}.")
    down = sorted(set(case.new) - up)
    need(not down, "new-head-frozen", f"What cannot learn: {listed(down)}.")
    yield


def _need_new_layer(case: Case, returned) -> None:
    """There is a new layer at the head's place, and the old one is gone."""
    if case.at_head is case.head.module:
        _need_other_tensors(case, returned)
        return
    seen = f"New: {listed(case.new)}. Gone: {listed(case.gone)}."
    kept = _without(case.parameters.items(), case.gone.values())
    old = {id(p) for p in case.old}
    need(not old & {id(p) for p in kept.values()}, "stacked-on-top", seen)
    need(not case.elsewhere, "more-than-the-head", seen)


def _need_other_tensors(case: Case, returned) -> None:
    """The old head is still in its place: only with new tensors in it that is a new head."""
    layer, new = case.head.module, case.new
    seen = f"New: {listed(new)}. The old head is still at {case.head.name}."
    of_backbone = _without(case.gone.items(), case.old)
    need(not of_backbone, "not-the-last-layer", seen)
    need(not case.elsewhere, "old-head-still-called", seen)
    need(new or not isinstance(returned, nn.Module), "not-in-place")
    cut = layer.weight.shape[0] == CLASSES
    old = case.values.get(f"{case.head.name}.weight")
    same_rows = cut and old is not None and torch.equal(layer.weight, old[:CLASSES])
    need(not same_rows, "old-rows-kept")
    need(cut or layer.out_features == layer.weight.shape[0], "only-the-number")
    need(cut, "nothing-done")


def _need_kind(case: Case) -> None:
    """Dtype, device and bias are those of the old head."""
    old = case.head.module.weight
    for name, p in case.new.items():
        need(p.dtype == old.dtype, "other-dtype", f"{name} is {p.dtype}, the network {old.dtype}.")
        seen = f"{name} is on {p.device}, the network on {old.device}."
        need(p.device == old.device, "other-device", seen)
    layers = [m for m in case.at_head.modules() if isinstance(m, nn.Linear)]
    if layers:
        had, has = (layer.bias is not None for layer in (case.head.module, layers[-1]))
        need(had or not has, "bias-invented")
        need(has or not had, "bias-lost")


REPLACE_HEAD = Trial(
    families=FAMILIES,
    aspects=(
        "a new layer in the old one's place",
        "dtype, device and bias as before",
        f"{CLASSES} logits",
        "the rest as it was",
        "only the new layer can learn",
    ),
    examine=_replace_head,
)
