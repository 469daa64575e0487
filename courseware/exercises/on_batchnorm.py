"""The trial of lesson 06's exercise `set_train_mode`.

Only flags and modes count here, so the networks are on the meta device: they have no numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.ops import StochasticDepth

from course_utils.anatomy import DROPOUTS
from course_utils.surgery import batchnorm_layers, freeze_backbone, unfreeze_from
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import SIZE, build
from courseware.exercises.trial import Trial, need, some


def _head_only(family: str) -> nn.Module:
    model = build(family, "meta")
    freeze_backbone(model)
    return model


def _late_stages() -> nn.Module:
    model = build("mobilenet_v2", "meta")
    unfreeze_from(model, "features.15")
    return model


def _norms_frozen() -> nn.Module:
    model = build("resnet18", "meta")
    for layer in batchnorm_layers(model).values():
        layer.requires_grad_(False)
    return model


def _norms_alone() -> nn.Module:
    model = build("mobilenet_v3_small", "meta").requires_grad_(False)
    for layer in batchnorm_layers(model).values():
        layer.requires_grad_(True)
    return model


def _other_norm() -> nn.Module:
    model = build("resnet18", "meta")
    norm = nn.BatchNorm1d(512, device="meta")
    model.fc = nn.Sequential(norm, nn.Dropout(), nn.Linear(512, 5, device="meta"))
    model.requires_grad_(False)
    model.fc[-1].requires_grad_(True)
    return model


def _vit() -> nn.Module:
    model = VisionTransformer(
        SIZE, 16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, dropout=0.1
    )
    freeze_backbone(model)
    return model


CASES: dict[str, Callable[[], nn.Module]] = {
    "resnet18, the head learns": lambda: _head_only("resnet18"),
    "mobilenet_v2, the last blocks learn": _late_stages,
    "resnet18, all but BatchNorm learns": _norms_frozen,
    "mobilenet_v3_small, only BatchNorm learns": _norms_alone,
    "resnet18, a BatchNorm1d before the head": _other_norm,
    "efficientnet_b0, the head learns": lambda: _head_only("efficientnet_b0"),
    "a small ViT with dropout, the head learns": _vit,
}


def _set_train_mode(attempt: Attempt, case: str) -> Iterator[None]:
    model = CASES[case]()
    _call(attempt, model.train())
    need(any(m.training for m in model.modules()), "all-in-eval")
    _need_modes(model)
    yield
    _call(attempt, model.eval())
    need(any(m.training for m in model.modules()), "nothing-done")
    _need_modes(model)
    yield
    model.requires_grad_(True)
    _call(attempt, model)
    asleep = [name or "the model itself" for name, m in model.named_modules() if not m.training]
    need(not asleep, "stuck", f"In eval mode: {some(asleep)}.")
    yield


def _call(attempt: Attempt, model: nn.Module) -> None:
    """Runs the learner's function, which may set modes and nothing else."""
    flags, settings = [p.requires_grad for p in model.parameters()], _settings(model)
    attempt(model)
    need(flags == [p.requires_grad for p in model.parameters()], "flags-changed")
    need(settings == _settings(model), "settings-changed")


def _settings(model: nn.Module) -> list[tuple]:
    layers = batchnorm_layers(model).values()
    return [(m.momentum, m.eps, m.track_running_stats, m.running_mean is None) for m in layers]


def _learns(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


def _need_modes(model: nn.Module) -> None:
    """BatchNorm and dropout are in training mode where something learns, and only there."""
    norms = batchnorm_layers(model)
    asleep = [name for name, m in norms.items() if _learns(m) and not m.training]
    need(not asleep, "thawed-norm-asleep", f"In eval mode: {some(asleep)}.")
    _need_frozen_norms_at_rest(model, {n: m for n, m in norms.items() if not _learns(m)})
    # A dropout has no parameters; where it stands decides.
    drops = {
        name: model.get_submodule(name.rpartition(".")[0])
        for name, module in model.named_modules()
        if isinstance(module, (*DROPOUTS, StochasticDepth))
    }
    off = [n for n, around in drops.items() if _learns(around) and not _training(model, n)]
    need(not off, "dropout-off", f"In eval mode: {some(off)}.")
    on = [n for n, around in drops.items() if not _learns(around) and _training(model, n)]
    need(not on, "frozen-part-at-random", f"In training mode: {some(on)}.")


def _need_frozen_norms_at_rest(model: nn.Module, frozen: dict[str, nn.Module]) -> None:
    """None of them is in training mode; if some are, what they have in common tells why."""
    awake = [name for name in frozen if _training(model, name)]
    if not awake:
        return
    seen = f"In training mode: {some(awake)}."
    at_rest = [name for name in frozen if name not in awake]
    kinds, other = ({type(frozen[n]) for n in names} for names in (awake, at_rest))
    need(not at_rest or kinds & other, "only-one-kind", seen)
    mixed = {name for name, child in model.named_children() if _learns(child)}
    by_child = all(n.split(".")[0] in mixed for n in awake)
    by_child = by_child and at_rest and not any(n.split(".")[0] in mixed for n in at_rest)
    need(not by_child, "mixed-part-missed", seen)
    need(False, "frozen-norm-drifts", seen)


def _training(model: nn.Module, name: str) -> bool:
    return model.get_submodule(name).training


SET_TRAIN_MODE = Trial(
    families=tuple(CASES),
    aspects=(
        "frozen parts in eval mode, the others in training mode",
        "the same after an evaluation",
        "all in training mode once all of it learns",
    ),
    examine=_set_train_mode,
)
