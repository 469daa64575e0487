"""Low-rank adapters: leave a layer as it is and learn a small correction beside it.

A frozen layer computes ``W x``. The adapter adds ``scale · B A x``, where ``A`` brings the input
down to ``rank`` numbers and ``B`` brings them up to the layer's outputs. ``B`` starts at zero, so
at first nothing changes. After training ``scale · B A`` can be added into ``W``.

Source: Hu et al. 2022, LoRA, https://arxiv.org/abs/2106.09685
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from course_utils.surgery import find_head, freeze


class LowRank(nn.Module):
    """``base(x) + scale · up(down(x))`` with ``base`` frozen, ``down`` random, ``up`` zero.

    Parameters
    ----------
    base : an nn.Linear or an nn.Conv2d with one group. A 1×1 convolution is the same product as a
        linear layer, at every place of a picture; a larger one is that product on k×k patches, so
        there ``down`` has the kernel of ``base`` and ``up`` is 1×1
    rank : width of the detour, from 1 to what ``base`` itself can have
    alpha : ``scale`` is ``alpha / rank`` (None: 1), so that a rate found at one rank serves another

    Raises
    ------
    TypeError : another kind of layer, or an adapter
    ValueError : a grouped convolution, or a rank out of range
    """

    def __init__(self, base: nn.Linear | nn.Conv2d, rank: int, *, alpha: float | None = None):
        super().__init__()
        most = highest_rank(base)
        if not isinstance(rank, int) or not 1 <= rank <= most:
            raise ValueError(
                f"got rank={rank!r} for {base}; expected a whole number from 1 to {most}"
            )
        freeze(base)
        self.base, self.rank = base, rank
        self.scale = 1.0 if alpha is None else alpha / rank
        self.down, self.up = _detour(base, rank)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))  # as a fresh layer's weight
        nn.init.zeros_(self.up.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.scale * self.up(self.down(x))


def highest_rank(layer: nn.Linear | nn.Conv2d) -> int:
    """The highest rank that a layer's weight, seen as a matrix [out, in · kernel], can have.

    Raises
    ------
    TypeError : neither nn.Linear nor nn.Conv2d;  ValueError : a grouped convolution
    """
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        raise TypeError(
            f"got a {type(layer).__name__}; a low-rank adapter goes beside an nn.Linear or an "
            "nn.Conv2d"
        )
    if getattr(layer, "groups", 1) != 1:
        raise ValueError(
            f"got a convolution with {layer.groups} groups; expected 1: a depthwise filter holds "
            "too few numbers for a low-rank correction to save any"
        )
    return min(layer.weight.flatten(1).shape)


def _detour(base: nn.Linear | nn.Conv2d, rank: int) -> tuple[nn.Module, nn.Module]:
    """Down to ``rank`` and up again without biases, where and as precise as ``base``."""
    kind = {"bias": False, "device": base.weight.device, "dtype": base.weight.dtype}
    if isinstance(base, nn.Linear):
        down = nn.Linear(base.in_features, rank, **kind)
        return down, nn.Linear(rank, base.out_features, **kind)
    shape = {"stride": base.stride, "padding": base.padding, "dilation": base.dilation}
    mode = {"padding_mode": base.padding_mode}
    down = nn.Conv2d(base.in_channels, rank, base.kernel_size, **shape, **mode, **kind)
    return down, nn.Conv2d(rank, base.out_channels, 1, **kind)


def adapt(
    model: nn.Module,
    rank: int,
    *,
    alpha: float | None = None,
    parts: Iterable[str] | None = None,
) -> list[str]:
    """Put an adapter beside every layer of the backbone that can have one, in place.

    Everything else is frozen but the head, which gets none. Depthwise convolutions and layers
    whose own rank is lower than ``rank`` get none either, nor does the output projection of
    PyTorch's attention, which never calls that layer. Build the optimizer after this call.

    Parameters
    ----------
    rank, alpha : as for `LowRank`
    parts : paths of the parts to adapt, such as names of `surgery.stages` (None: all)

    Returns
    -------
    list of the dotted paths that hold an adapter now

    Raises
    ------
    ValueError : the model holds adapters already, or no layer there can have one
    AttributeError : no such part
    """
    if any(isinstance(m, LowRank) for m in model.modules()):
        raise ValueError("the model holds low-rank adapters already: adapt a fresh one")
    head = find_head(model).module
    roots = [model] if parts is None else [model.get_submodule(part) for part in parts]
    wanted = {id(m) for root in roots for m in root.modules()} - {id(m) for m in head.modules()}
    places = [n for n, m in model.named_modules() if id(m) in wanted and _has_room(m, rank)]
    if not places:
        raise ValueError(
            f"{type(model).__name__} has no layer there, apart from its head, that could have an "
            f"adapter of rank {rank}: choose a smaller rank or another part"
        )
    freeze(model)
    for name in places:
        _replace(model, name, LowRank(model.get_submodule(name), rank, alpha=alpha))
    head.requires_grad_(True)
    return places


def _has_room(layer: nn.Module, rank: int) -> bool:
    # The exact types: attention's own kind of Linear is never called, its weight is read instead.
    simple = type(layer) in (nn.Linear, nn.Conv2d) and getattr(layer, "groups", 1) == 1
    return simple and rank <= highest_rank(layer)


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, new)
