"""The trial of lesson 06's exercise `recalibrate_batchnorm`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from course_utils.surgery import batchnorm_layers, snapshot
from courseware.exercises.attempt import Attempt
from courseware.exercises.networks import VIT, Spy, build, experienced, noise
from courseware.exercises.trial import Mistake, Trial, listed, need

IMAGES = 16
SEEN = 1000  # batches that the network has been trained on, as its counters say
FAMILIES = ("resnet18", "mobilenet_v3_small", "efficientnet_b0", VIT)
# How far off statistics may be, in standard deviations: in the first layer, and in the mean of all.
# Averages over batches of four are nearer; those of half of the images are not.
NEAR_AT_FIRST, NEAR = 0.05, 0.25
EQUAL = 1e-3  # what rounding may leave


def _recalibrate_batchnorm(attempt: Attempt, family: str) -> Iterator[None]:
    model, images = _network(family), _images()
    right = _statistics(_network(family), images)
    before, flags, settings = snapshot(model), _flags(model), _settings(model)
    momenta = [layer.momentum for layer in batchnorm_layers(model).values()]
    spy, dropping = Spy(model.train()), _watch_dropping(model)
    attempt(model, images.clone(), blame=lambda error: None if right else "no-batchnorm-no-work")
    own = {name: p for name, p in model.named_parameters()}
    differ = [name for name, p in own.items() if not torch.equal(p, before[name])]
    need(not differ, "parameters-moved", f"What moved: {listed(differ)}.")
    need(_flags(model) == flags, "flags-changed")
    need(not attempt.grad_mode_left_off, "grad-mode-left-off")
    need(not any(spy.recorded), "gradient-recorded")
    yield
    need(_settings(model) == settings, "settings-changed")
    if right:
        old = {n: (before[f"{n}.running_mean"], before[f"{n}.running_var"]) for n in right}
        given = {n: (m.running_mean, m.running_var) for n, m in batchnorm_layers(model).items()}
        _need_statistics(given, old, right, any(dropping))
        _need_all_images(family, given, right, images)
    yield
    now = [layer.momentum for layer in batchnorm_layers(model).values()]
    other = [f"{n} instead of {m}" for n, m in zip(now, momenta, strict=True) if n != m]
    need(not other, "momentum-left", f"Now it is {other[0] if other else ''}.")
    training = [name or "the model itself" for name, m in model.named_modules() if m.training]
    need(not training, "left-in-train", f"Modules of which that is so: {len(training)}.")
    yield


def _network(family: str) -> nn.Module:
    model = build(family) if family == VIT else experienced(family)
    for number, layer in enumerate(batchnorm_layers(model).values()):
        nn.init.uniform_(layer.weight, 0.8, 1.2)  # as if it had learned something
        layer.num_batches_tracked.fill_(SEEN)
        layer.momentum = layer.momentum if number else 0.3  # not the same in every layer
    return model


def _images() -> Tensor:
    """Noise [N, 3, H, W], each image with a brightness and a contrast of its own."""
    generator = torch.Generator().manual_seed(5)
    contrast, brightness = torch.rand(2, IMAGES, 1, 1, 1, generator=generator)
    return noise(IMAGES, seed=1) * (0.5 + 3 * contrast) + 2 * brightness + 0.5


def _statistics(model: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance of what enters each BatchNorm layer when all of them use those of these
    images, in the order of the forward pass."""
    found, hooks = {}, []

    def watch(name: str, layer: nn.Module) -> None:
        def see(module, inputs):
            found[name] = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))

        hooks.append(layer.register_forward_pre_hook(see))

    model.eval()
    for name, layer in batchnorm_layers(model).items():
        watch(name, layer.train())
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return found


def _watch_dropping(model: nn.Module) -> list[bool]:
    """Whether a stochastic depth dropped something, for each time that one ran."""
    seen = []
    for module in model.modules():
        if isinstance(module, StochasticDepth):
            module.register_forward_pre_hook(lambda m, _: seen.append(m.training and m.p > 0))
    return seen


def _need_statistics(given: dict, old: dict, right: dict, dropped: bool) -> None:
    """The statistics are those of the images, as far as they have to be."""
    need(not all(_gap(given[n], old[n], right[n]) == 0 for n in right), "nothing-written")
    new = {name: (torch.zeros_like(m), torch.ones_like(m)) for name, (m, _) in right.items()}
    need(not all(_gap(given[n], new[n], right[n]) == 0 for n in right), "reset-only")
    need(not dropped, "dropout-on")
    name = list(right)[1]  # the first layer's momentum is larger than that of the others
    for start in (old[name], new[name]):
        share = _share(given[name], start, right[name])
        seen = f"In {name} they went {share or 0:.1%} of the way to those of the images."
        need(share is None or share > 0.005, "counter-not-reset", seen)
        need(share is None or share > 0.95, "old-statistics-remain", seen)


def _need_all_images(family: str, given: dict, right: dict, images: Tensor) -> None:
    """They are those of all images, in every layer."""
    first = next(iter(right))
    gaps = {n: _gap(given[n], right[n], right[n]) for n in right}
    seen = f"They are the furthest off in {max(gaps, key=gaps.get)}."
    if gaps[first] > NEAR_AT_FIRST:
        for number in (1, 2, 4, 8):
            part = _statistics(_network(family), images[-number:])[first]
            need(_gap(given[first], part, part) > EQUAL, "last-batch-only", seen)
        raise Mistake("other-statistics", seen)
    near = sum(gaps.values()) / len(gaps) < NEAR
    need(near or gaps[first] > EQUAL, "old-inputs", seen)
    need(near, "other-statistics", seen)


def _gap(given: tuple, other: tuple, scale: tuple) -> float:
    """How far two statistics of a layer are apart: means in standard deviations, variances as
    shares, the mean over the channels."""
    mean = (given[0] - other[0]).abs() / (scale[1] + 1e-5).sqrt()
    return float((mean + (given[1] - other[1]).abs() / (scale[1] + 1e-5)).mean())


def _share(given: tuple, start: tuple, right: tuple) -> float | None:
    """Which share of the way from one start to the right statistics was gone; None where they lie
    on no such way."""
    moved, way = (torch.cat(end) - torch.cat(start) for end in (given, right))
    share = float(moved @ way / (way @ way))
    off = float((moved - share * way).norm() / way.norm())
    return share if off < 0.01 else None


def _flags(model: nn.Module) -> list[bool]:
    return [parameter.requires_grad for parameter in model.parameters()]


def _settings(model: nn.Module) -> list[tuple]:
    layers = batchnorm_layers(model).values()
    return [(m.eps, m.track_running_stats, m.running_mean is None) for m in layers]


RECALIBRATE_BATCHNORM = Trial(
    families=FAMILIES,
    aspects=(
        "no parameter or flag changed, no gradient recorded",
        "the statistics are those of all the images",
        "momenta as they were, everything in eval mode",
    ),
    examine=_recalibrate_batchnorm,
)
