"""The trial of lesson 05's exercise `gradual_unfreeze`.

Only flags and modes count here, so the networks are on the meta device: they have no numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from course_utils.surgery import batchnorm_layers, find_head
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import VIT, build
from courseware.exercises.trial import Trial, attribute_set, goes_by_name, listed, need, some

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
        call(frozen.requires_grad_(True).train(start), 1)
        _need_modes(frozen)
    yield


def _caller(attempt: Attempt, names: list[str]) -> Callable:
    """Calls the learner's function with a list of these names, which has to stay as it is."""

    def blame(error: BaseException) -> str | None:
        if isinstance(error, IndexError):
            return "beyond-the-list"
        dotted = isinstance(error, AttributeError) and error.name in names
        return "dotted-path" if dotted else goes_by_name("parts-by-name")(error)

    def call(model: nn.Module, epoch: int) -> None:
        given = list(names)
        attempt(model, given, epoch, blame=blame)
        need(
            given == names,
            "list-changed",
            f"Of {len(names)} names {len(given)} are left."
            if len(given) < len(names)
            else f"Now {given[0]} is the first.",
        )

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
    need(not drift, "frozen-norm-drifts", f"At epoch 1 it is so in {some(drift)}.")
    asleep = [name for name, layer in layers.items() if learns[name] and not layer.training]
    need(not asleep, "all-asleep", f"At epoch 1 it is so in {some(asleep)}.")


GRADUAL_UNFREEZE = Trial(
    families=tuple(STAGES),
    aspects=(
        "head and last stage at epoch 1, whatever the flags were",
        "the right stages in every epoch, and after the last",
        "what is frozen in eval mode, what learns in training mode",
    ),
    examine=_gradual_unfreeze,
)
