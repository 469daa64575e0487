"""The trial of lesson 05's exercise `param_groups`.

Only flags and shapes count here, so the networks are on the meta device: they have no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from course_utils.surgery import find_head
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import CONVNEXT, VIT, build
from courseware.exercises.trial import (
    Mistake,
    Trial,
    apart,
    attribute_set,
    goes_by_name,
    listed,
    need,
)

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
    given = attempt.read(lambda: _two_groups(given))
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


def _two_groups(given) -> list[dict]:
    """Two dictionaries of a list of tensors and a rate, and nothing else."""
    need(given is not None, "nothing-returned")
    is_list = isinstance(given, list | tuple)
    right = is_list and len(given) == 2 and all(isinstance(group, dict) for group in given)
    what = f"a {type(given).__name__}" + (f" of {len(given)}" if is_list else "")
    need(
        right and all({"params", "lr"} <= set(group) for group in given),
        "no-groups",
        f"It returned {what}.",
    )
    for group in given:
        params = group["params"]
        kind = f"It is a {type(params).__name__}."
        need(not isinstance(params, Iterator), "generator", kind)
        need(isinstance(params, list | tuple), "no-tensors", kind)
        need(
            all(isinstance(p, torch.Tensor) for p in params),
            "no-tensors",
            f"Found a {next((type(p).__name__ for p in params), '')}.",
        )
    return [{"params": list(group["params"]), "lr": float(group["lr"])} for group in given]


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
    elsewhere = [name for name in head if name not in held[of_head]]
    need(not elsewhere, "head-in-backbone", f"What is in the other group: {listed(elsewhere)}.")
    given, right = (rates[1 - of_head], rates[of_head]), (BACKBONE_LR, HEAD_LR)
    seen = "Backbone and head got the rates {}; they should be {}.".format(*apart(given, right))
    need(not _near(given, right[::-1]), "rates-swapped", seen)
    need(_near(given, right), "other-rates", seen)


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
