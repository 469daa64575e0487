"""The trials of lesson 05's exercises: `param_groups` and `gradual_unfreeze`.

Only flags, modes and shapes count here, so the networks are on the meta device: they have no
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from course_utils.exercises.attempt import Attempt
from course_utils.exercises.networks import CONVNEXT, VIT, build
from course_utils.exercises.trial import (
    PARTS,
    Mistake,
    Trial,
    attribute_set,
    goes_by_name,
    listed,
    need,
)
from course_utils.surgery import batchnorm_layers, find_head

BACKBONE_LR, HEAD_LR = 2e-4, 3e-3
HALF, NO_BIAS = ", half of it frozen", " whose head has no bias"
FAMILIES = (
    *("resnet18", f"mobilenet_v3_small{HALF}", "efficientnet_b0", f"densenet121{HALF}"),
    *(VIT, f"{CONVNEXT}{NO_BIAS}"),
)
LETTERS = ("fc", "classifier", "head")


def _param_groups(attempt: Attempt, family: str) -> Iterator[None]:
    model = _network(family)
    flags = [p.requires_grad for p in model.parameters()]
    given = attempt(model, BACKBONE_LR, HEAD_LR, blame=_blame_groups)
    need(not attribute_set(model), "attribute-only")
    need(flags == [p.requires_grad for p in model.parameters()], "flags-changed")
    _need_two_groups(given)
    yield
    names = {id(p): name for name, p in model.named_parameters()}
    held = [[names.get(id(p), "") for p in group["params"]] for group in given]
    strangers = sum(not name for group in held for name in group)
    need(not strangers, "no-tensors", f"{strangers} of them are not tensors of the model.")
    double = [name for name in names.values() if sum(group.count(name) for group in held) > 1]
    need(not double, "in-both", f"What is there twice: {listed(double)}.")
    frozen = [n for group in held for n in group if not model.get_parameter(n).requires_grad]
    need(not frozen, "frozen-in-it", f"What cannot learn: {listed(frozen)}.")
    _need_placed(model, held, [group["lr"] for group in given])
    yield


def _network(family: str) -> nn.Module:
    """The family's network, with half of it frozen or a head without bias where it says so."""
    model = build(family.removesuffix(HALF).removesuffix(NO_BIAS), "meta")
    if family.endswith(NO_BIAS):
        find_head(model).module.bias = None
    if family.endswith(HALF):
        tensors = list(model.parameters())
        for parameter in tensors[: len(tensors) // 2]:
            parameter.requires_grad_(False)
    return model


def _blame_groups(error: BaseException) -> str | None:
    # ``p in list`` compares values: it fails on other shapes, and on what has no numbers
    compared = isinstance(error, RuntimeError) or "bool" in str(error).lower()
    return "compared-by-value" if compared else goes_by_name("parts-by-name")(error)


def _need_two_groups(given) -> None:
    """Two dictionaries of a list of tensors and a rate."""
    need(given is not None, "nothing-returned")
    is_list = isinstance(given, list | tuple)
    right = is_list and len(given) == 2 and all(isinstance(group, dict) for group in given)
    what = f"a {type(given).__name__}" + (f" of {len(given)}" if is_list else "")
    need(right and all({"params", "lr"} <= set(group) for group in given), "no-groups",
         f"It returned {what}.")  # fmt: skip
    for group in given:
        params = group["params"]
        kind = f"It is a {type(params).__name__}."
        need(not isinstance(params, Iterator), "generator", kind)
        need(isinstance(params, list | tuple), "no-tensors", kind)
        need(all(isinstance(p, torch.Tensor) for p in params), "no-tensors",
             f"Found a {next((type(p).__name__ for p in params), '')}.")  # fmt: skip


def _need_placed(model: nn.Module, held: list[list[str]], rates: list[float]) -> None:
    """Every tensor that can learn is in one of the groups, at the rate it should have."""
    up = [name for name, p in model.named_parameters() if p.requires_grad]
    head = [n for n in up if n.startswith(find_head(model).name + ".")]
    missing = [name for name in up if name not in held[0] + held[1]]
    if missing:
        seen = f"What is in no group: {listed(missing)}."
        need(not set(head) <= set(missing), "head-left-out", seen)
        loose = all("." not in name for name in missing)
        raise Mistake("loose-parameters" if loose else "others-left-out", seen)
    by_rate = sorted((0, 1), key=lambda n: (rates[n] == HEAD_LR, len(set(head) & set(held[n]))))
    by_content = sorted((0, 1), key=lambda n: len(set(head) & set(held[n])))
    swapped = set(held[by_content[1]]) == set(head)  # then only the rates can be wrong
    of_head = (by_content if swapped else by_rate)[1]
    _need_no_backbone(model, [name for name in held[of_head] if name not in head])
    apart = [name for name in head if name not in held[of_head]]
    need(not apart, "head-in-backbone", f"What is in the other group: {listed(apart)}.")
    given = float(rates[1 - of_head]), float(rates[of_head])
    seen = f"The backbone got {given[0]:g}, the head {given[1]:g}."
    need(not _near(given, (HEAD_LR, BACKBONE_LR)), "rates-swapped", seen)
    need(_near(given, (BACKBONE_LR, HEAD_LR)), "other-rates", seen)


def _need_no_backbone(model: nn.Module, extra: list[str]) -> None:
    """Nothing but the head is in its group; what there is has something in common."""
    if not extra:
        return
    seen = f"What got the head's rate besides: {listed(extra)}."
    names, head = [name for name, _ in model.named_parameters()], find_head(model).name
    first = next(n for n, name in enumerate(names) if name.startswith(head + "."))
    need(extra != [names[first - 1]], "last-two", seen)
    in_top = all(name.split(".")[0] == head.split(".")[0] for name in extra)
    need(not in_top, "whole-classifier", seen)
    by_letters = all(any(part in name for part in LETTERS) for name in extra)
    need(not by_letters, "name-substring", seen)
    raise Mistake("backbone-in-head", seen)


def _near(given: Sequence[float], right: Sequence[float]) -> bool:
    return all(math.isclose(g, r) for g, r in zip(given, right, strict=True))


PARAM_GROUPS = Trial(
    families=FAMILIES,
    aspects=("two groups, flags as they were", "each tensor that can learn, at its rate"),
    examine=_param_groups,
)

STAGES = {
    "resnet18": ["layer1", "layer2", "layer3", "layer4"],
    # not all of them, and "features.1" begins the names of others
    "mobilenet_v2": ["features.1", "features.7", "features.17", "features.18"],
    "efficientnet_b0": ["features.6", "features.7", "features.8"],
    VIT: ["encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1"],
}


def _gradual_unfreeze(attempt: Attempt, family: str) -> Iterator[None]:
    names = STAGES[family]
    call = _caller(attempt, names)
    thawed, frozen = (build(family, "meta").requires_grad_(start) for start in (True, False))
    for model in (thawed, frozen):
        call(model, 1)
    need(not attribute_set(thawed), "attribute-only")
    untouched = _up(frozen) == set() and len(_up(thawed)) == len(list(thawed.parameters()))
    need(not untouched, "nothing-done")
    stays = names[-1] in _whole(thawed, names) and not _within(_up(frozen), names[-1])
    need(not stays, "stage-stays-frozen", f"It is {names[-1]}.")
    _need_due(frozen, names, 1, before=set())
    _need_due(thawed, names, 1, before={name for name, _ in thawed.named_parameters()})
    yield
    for epoch in (0, *range(2, len(names) + 3), 1):
        before = _up(frozen)
        call(frozen, epoch)
        _need_due(frozen, names, epoch, before)
    yield
    for start in (True, False):
        call(frozen.train(start), 1)
        _need_modes(frozen)
    yield


def _caller(attempt: Attempt, names: list[str]) -> Callable:
    """Calls the learner's function with a list of these names, which has to stay as it is."""

    def blame(error: BaseException) -> str | None:
        if isinstance(error, IndexError):
            return "beyond-the-list"
        dotted = isinstance(error, AttributeError) and error.name not in PARTS
        return "dotted-path" if dotted else goes_by_name("parts-by-name")(error)

    def call(model: nn.Module, epoch: int) -> None:
        given = list(names)
        attempt(model, given, epoch, blame=blame)
        need(given == names, "list-changed", f"Of {len(names)} names {len(given)} are left."
             if len(given) < len(names) else f"Now {given[0]} is the first.")  # fmt: skip

    return call


def _up(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def _within(names: set[str], stage: str) -> set[str]:
    return {name for name in names if name.startswith(stage + ".")}


def _whole(model: nn.Module, names: list[str]) -> list[str]:
    """The stages that can learn in all their tensors."""
    parts = {name: model.get_submodule(name).parameters() for name in names}
    return [name for name, part in parts.items() if all(p.requires_grad for p in part)]


def _need_due(model: nn.Module, names: list[str], epoch: int, before: set[str]) -> None:
    """The head and the stages that are due can learn; ``before`` could before the call."""
    up, whole = _up(model), _whole(model, names)
    head, due = find_head(model).name, names[max(len(names) - epoch, 0) :]
    seen = f"At epoch {epoch} of {len(names)} stages, these learn: {', '.join(whole) or 'none'}."
    need(all(p.requires_grad for p in find_head(model).module.parameters()), "head-frozen", seen)
    extra = sorted(up.difference(*(_within(up, part) for part in (head, *due))))
    told = f"At epoch {epoch} these learn besides: {listed(extra)}."
    need(not extra or not set(extra) <= before, "never-frozen", told)
    partly = [name for name in due if name not in whole and _within(up, name)]
    need(not partly, "part-of-the-stage", f"At epoch {epoch} it is so in {', '.join(partly)}.")
    if whole != due:
        need(epoch or whole != names, "minus-zero", seen)
        need(epoch <= len(names), "beyond-the-list", seen)
        need(not epoch or whole != names[:epoch], "wrong-end", seen)
        need(epoch < 2 or whole != due[:1], "only-the-newest", seen)
        need(whole != names[len(names) - epoch - 1 :], "one-too-many", seen)
        need(not due or whole != due[1:], "one-too-few", seen)
    by_name = due and all(name.startswith(tuple(due)) for name in extra)
    need(not extra or not by_name, "name-substring", told)
    need(not extra and whole == due, "others-can-learn", told if extra else seen)


def _need_modes(model: nn.Module) -> None:
    """BatchNorm is in training mode where it learns, and in eval mode where it is frozen."""
    layers = batchnorm_layers(model)
    learns = {n: any(p.requires_grad for p in layer.parameters()) for n, layer in layers.items()}
    drift = [name for name, layer in layers.items() if layer.training and not learns[name]]
    need(not drift, "frozen-norm-drifts", f"At epoch 1 it is so in {_layers(drift)}.")
    asleep = [name for name, layer in layers.items() if learns[name] and not layer.training]
    need(not asleep, "all-asleep", f"At epoch 1 it is so in {_layers(asleep)}.")


def _layers(names: list[str]) -> str:
    more = f" and {len(names) - 2} more layers" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


GRADUAL_UNFREEZE = Trial(
    families=tuple(STAGES),
    aspects=(
        "head and last stage at epoch 1, whatever the flags were",
        "the right stages in every epoch, and after the last",
        "what is frozen in eval mode, what learns in training mode",
    ),
    examine=_gradual_unfreeze,
)
