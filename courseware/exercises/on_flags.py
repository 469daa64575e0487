"""The trials of lesson 02's exercises on flags: `train_only` and `freeze_backbone`.

Only flags count here, so the networks are on the meta device: they have shapes and no numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from torch import nn

from course_utils.surgery import BATCHNORMS, find_head
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import build
from courseware.exercises.trial import Trial, attribute_set, goes_by_name, listed, need

CASES = {
    f"{stage} of {family}": (family, stage)
    for family, stage in [
        ("resnet18", "layer2"),
        ("resnet18", "conv1"),  # a piece of the names of other convolutions, too
        ("mobilenet_v2", "features.1"),
        ("densenet121", "features.denseblock2.denselayer1"),
        ("vit_b_16", "encoder.layers.encoder_layer_1"),
    ]
}
FAMILIES = (
    *("resnet18", "mobilenet_v2", "efficientnet_b0", "vgg11"),
    *("densenet121", "vit_b_16", "maxvit_t"),
)
NORMS = (*BATCHNORMS, nn.LayerNorm, nn.GroupNorm)


class Flags:
    """What a function leaves of the flags, after a start with all up and one with all down.

    Parameters
    ----------
    family : the network's
    meant : gives the part of a model that should be able to learn
    act : calls the learner's function with a model
    """

    def __init__(self, family: str, meant: Callable, act: Callable) -> None:
        thawed, frozen = (build(family, "meta").requires_grad_(start) for start in (True, False))
        parts = [meant(model) for model in (thawed, frozen)]
        for model in (thawed, frozen):
            act(model)
        self.model, self.part = thawed, parts[0]
        self.names = [name for name, _ in thawed.named_parameters()]
        inside = {id(p) for p in parts[0].parameters()}
        self.meant = {name for name, p in thawed.named_parameters() if id(p) in inside}
        self.thawed, self.frozen = _up(thawed), _up(frozen)

    @property
    def untouched(self) -> bool:
        return self.thawed == set(self.names) and not self.frozen

    @property
    def extra(self) -> list[str]:
        """What can learn and should not, after one start or the other."""
        found = (self.thawed | self.frozen) - self.meant
        return [name for name in self.names if name in found]

    @property
    def rest_as_before(self) -> bool:
        """Whether everything besides the part kept the flag that it had."""
        rest = set(self.names) - self.meant
        return rest <= self.thawed and not rest & self.frozen

    def need_part(self, part: str, always_down: str, down_from_frozen: str, some: str) -> None:
        """The part can learn, all of it, after both starts. Three mistakes say how it may not."""
        missing = self.meant - (self.thawed & self.frozen)
        seen = f"What cannot learn of {part}: {listed(sorted(missing))}."
        need(bool(self.meant & (self.thawed | self.frozen)), always_down, seen)
        need(bool(self.meant & self.frozen), down_from_frozen, seen)
        need(not missing, some, seen)


def _up(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def _train_only(attempt: Attempt, case: str) -> Iterator[None]:
    family, stage = CASES[case]

    def blame(error: BaseException) -> str | None:
        dotted = isinstance(error, AttributeError) and error.name == stage
        return "dotted-path" if dotted else None

    def act(model: nn.Module) -> None:
        attempt(model, stage, blame=blame)

    flags = Flags(family, lambda model: model.get_submodule(stage), act)
    need(not attribute_set(flags.model), "attribute-only")
    need(not flags.untouched, "nothing-done")
    flags.need_part("it", "everything-frozen", "stage-stays-frozen", "part-of-the-stage")
    yield
    extra, seen = flags.extra, f"What can learn besides: {listed(flags.extra)}."
    need(not flags.rest_as_before, "rest-as-before", seen)
    head = {id(p) for p in find_head(flags.model).module.parameters()}
    own = dict(flags.model.named_parameters())
    need(not extra or not all(id(own[name]) in head for name in extra), "head-too", seen)
    need(not extra or not all(name.startswith(stage) for name in extra), "name-prefix", seen)
    need(not extra or not all(stage in name for name in extra), "name-substring", seen)
    need(not extra, "others-can-learn", seen)
    yield


TRAIN_ONLY = Trial(
    families=tuple(CASES),
    aspects=("all of it can learn", "nothing else can"),
    examine=_train_only,
)


def _freeze_backbone(attempt: Attempt, family: str) -> Iterator[None]:
    heads = []

    def act(model: nn.Module) -> None:
        heads.append((model, find_head(model)))
        attempt(model, blame=goes_by_name("parts-by-name"))

    flags = Flags(family, lambda model: find_head(model).module, act)
    need(not attribute_set(flags.model), "attribute-only")
    need(not flags.untouched, "nothing-done")
    for model, head in heads:
        need(dict(model.named_modules()).get(head.name) is head.module, "head-replaced")
    letters = flags.extra and all("fc" in name for name in flags.extra)
    need(not letters, "name-substring", f"What can learn besides: {listed(flags.extra)}.")
    flags.need_part("the head", "head-frozen-too", "flags-from-before", "part-of-the-head")
    yield
    _need_backbone_down(flags)
    yield


def _need_backbone_down(flags: Flags) -> None:
    """Nothing but the head can learn; if something can, what it has in common tells why."""
    extra, seen = flags.extra, f"What can learn besides: {listed(flags.extra)}."
    if not extra:
        return
    need(not flags.rest_as_before, "rest-as-before", seen)
    owners = _owners(flags.model)
    need(not all(_has_children(owners[name]) for name in extra), "loose-parameters", seen)
    need(not all(isinstance(owners[name], NORMS) for name in extra), "normalisation-left-out", seen)
    first = flags.names.index(min(flags.meant, key=flags.names.index))
    need(extra != [flags.names[first - 1]], "last-two", seen)
    top = find_head(flags.model).name.split(".")[0]
    need(not all(name.split(".")[0] == top for name in extra), "whole-classifier", seen)
    need(False, "others-can-learn", seen)


def _owners(model: nn.Module) -> dict[str, nn.Module]:
    """The module that holds each parameter itself."""
    return {name: model.get_submodule(name.rpartition(".")[0]) for name in _names(model)}


def _names(model: nn.Module) -> Iterable[str]:
    return (name for name, _ in model.named_parameters())


def _has_children(module: nn.Module) -> bool:
    return any(True for _ in module.children())


FREEZE_BACKBONE = Trial(
    families=FAMILIES,
    aspects=("the head can learn", "nothing else can"),
    examine=_freeze_backbone,
)
