"""Look inside a network: filters, activation maps, features of every stage, and what changed.

Functions return tensors; `plots` draws them. What excites a channel is found by `survey`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from course_utils.images import ImageSet
from course_utils.runtime import pick_device, progress
from course_utils.surgery import batchnorm_layers, stages


def first_layer_filters(model: nn.Module) -> torch.Tensor:
    """The first convolution's kernels as pictures: float32 [K, 3, h, w], each scaled to 0…1.

    Each filter is scaled by its own extremes, so brightness cannot be compared between them.

    Raises
    ------
    ValueError : no convolution on 3 input channels
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            kernels = module.weight.detach().cpu()
            low, high = (
                kernels.amin(dim=(1, 2, 3), keepdim=True),
                kernels.amax(dim=(1, 2, 3), keepdim=True),
            )
            return (kernels - low) / (high - low).clamp_min(1e-12)
    raise ValueError(f"{type(model).__name__} has no convolution that reads 3 channels")


@torch.no_grad()
def activations(
    model: nn.Module, images: torch.Tensor, modules: Mapping[str, nn.Module]
) -> dict[str, torch.Tensor]:
    """Outputs of chosen modules in one forward pass, in eval mode.

    Parameters
    ----------
    images : normalised float32 [N, 3, H, W]
    modules : name → a module of ``model``, for example from `stages`

    Returns
    -------
    name → tensor as the module gave it, on the CPU: [N, C, h, w] for a convolutional stage
    """
    seen: dict[str, torch.Tensor] = {}

    def keep(name):
        def hook(module, inputs, output):
            # clone: an in-place activation after this module would overwrite what we keep
            seen[name] = output.detach().float().cpu().clone()

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        model.eval()(images.to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def pooled(maps: torch.Tensor) -> torch.Tensor:
    """Mean over positions: [N, C, h, w] or [N, tokens, C] → float32 [N, C].

    Raises
    ------
    ValueError : another number of dimensions
    """
    if maps.ndim == 4:
        return maps.mean(dim=(2, 3))
    if maps.ndim == 3:
        return maps.mean(dim=1)
    raise ValueError(f"got {tuple(maps.shape)}; expected [N, C, h, w] or [N, tokens, C]")


@torch.no_grad()
def stage_features(
    model: nn.Module,
    images: ImageSet,
    *,
    names: list[str] | None = None,
    batch_size: int = 16,
    device=None,
) -> dict[str, torch.Tensor]:
    """Each stage's output averaged over positions: stage → float32 [N, C], one pass for all.

    Parameters
    ----------
    names : stages to keep (None: all of `stages`)
    """
    device = pick_device(device)
    model.to(device, memory_format=torch.channels_last).eval()
    chosen = {n: m for n, m in stages(model).items() if names is None or n in names}
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in chosen}
    steps = -(-len(images) // batch_size)
    for batch, _ in progress(images.batches(batch_size, device=device), "stages", total=steps):
        for name, maps in activations(model, batch, chosen).items():
            rows[name].append(pooled(maps))
    return {name: torch.cat(parts) for name, parts in rows.items()}


def cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """Linear centred kernel alignment of two feature matrices [N, D1] and [N, D2], in 0…1.

    1 means the same up to rotation and scale.

    Raises
    ------
    ValueError : different N, or not two-dimensional

    Source: Kornblith et al. 2019, https://arxiv.org/abs/1905.00414
    """
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"got {tuple(x.shape)} and {tuple(y.shape)}; expected [N, D1] and [N, D2]")
    x, y = (z.double() - z.double().mean(dim=0) for z in (x, y))
    # float64: the squared norms of thousands of products lose digits in float32
    shared = (y.T @ x).square().sum()
    return (shared / ((x.T @ x).norm() * (y.T @ y).norm())).item()


def weight_drift(before: Mapping[str, torch.Tensor], model: nn.Module) -> dict[str, float]:
    """Relative change ‖after - before‖ / ‖before‖ of each stage's parameters.

    ``before`` is a `surgery.snapshot` of the same architecture. A stage whose parameters were all
    zero gives infinity once they move.
    """
    drift = {}
    for stage, module in stages(model).items():
        names = [f"{stage}.{name}" for name, _ in module.named_parameters()]
        old = torch.cat([before[n].flatten().float().cpu() for n in names])
        new = torch.cat([p.detach().flatten().float().cpu() for p in module.parameters()])
        drift[stage] = ((new - old).norm() / old.norm()).item()
    return drift


def batchnorm_drift(before: Mapping[str, torch.Tensor], model: nn.Module) -> dict[str, float]:
    """How far each BatchNorm layer's running mean has moved, in units of its old standard
    deviation: the mean over channels of |Δ mean| / √(var + eps). 0 for a layer at rest."""
    drift = {}
    for name, layer in batchnorm_layers(model).items():
        mean, var = before[f"{name}.running_mean"], before[f"{name}.running_var"]
        moved = (layer.running_mean.cpu() - mean.cpu()).abs() / (var.cpu() + layer.eps).sqrt()
        drift[name] = moved.mean().item()
    return drift
