"""Look inside a network: filters, activation maps, features of every stage, and what changed.

Functions return tensors; `plots` draws them. What excites a channel is found by `survey`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.device import autocast, best_layout, device_of, send
from course_utils.images import ImageSet
from course_utils.store.cache import kept_pass
from course_utils.store.messages import progress
from course_utils.surgery import stages


def first_layer_filters(model: nn.Module) -> Tensor:
    """The first convolution's kernels as pictures: float32 [K, 3, h, w], each scaled to 0…1.

    Each filter is scaled by its own extremes, so brightness cannot be compared between them.

    Raises
    ------
    ValueError : no convolution on 3 input channels
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            kernels = module.weight.detach().cpu()
            low = kernels.amin(dim=(1, 2, 3), keepdim=True)
            high = kernels.amax(dim=(1, 2, 3), keepdim=True)
            return (kernels - low) / (high - low).clamp_min(1e-12)
    raise ValueError(f"{type(model).__name__} has no convolution that reads 3 channels")


@contextmanager
def _listening(
    modules: Mapping[str, nn.Module], hear: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Inside, ``hear(name, output)`` gets what each module gives, float32, where the model is.

    It must take at once what it needs: an in-place activation behind the module overwrites it.
    """

    def hook(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        hear(name, output.detach().float())

    hooks = [m.register_forward_hook(partial(hook, name)) for name, m in modules.items()]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def _pass_over(model: nn.Module, images: ImageSet, batch_size: int, what: str) -> Iterator[None]:
    """One pass in eval mode, with a progress bar; goes on after each batch."""
    device = best_layout(model.eval())
    mixed, steps = autocast(device), -(-len(images) // batch_size)
    for batch, _ in progress(images.batches(batch_size, device=device), what, total=steps):
        with mixed:
            model(batch)
        yield


@torch.no_grad()
def activations(
    model: nn.Module, images: Tensor, modules: Mapping[str, nn.Module]
) -> dict[str, Tensor]:
    """Outputs of chosen modules in one forward pass, in eval mode.

    Parameters
    ----------
    images : normalised float32 [N, 3, H, W]
    modules : name → a module of ``model``, for example from `stages`

    Returns
    -------
    name → float32 on the CPU, [N, C, h, w] for a convolutional stage
    """
    seen: dict[str, Tensor] = {}
    device = device_of(model)
    listening = _listening(modules, lambda name, maps: seen.update({name: maps.clone()}))
    with listening, autocast(device):
        model.eval()(send(images, device))
    return {name: maps.cpu() for name, maps in seen.items()}


def pooled(maps: Tensor) -> Tensor:
    """Mean over positions: [N, C, h, w] or [N, tokens, C] → float32 [N, C].

    Raises
    ------
    ValueError : another number of dimensions
    """
    if maps.ndim not in (3, 4):
        raise ValueError(f"got {tuple(maps.shape)}; expected [N, C, h, w] or [N, tokens, C]")
    return maps.mean(dim=(2, 3) if maps.ndim == 4 else 1)


@torch.no_grad()
def stage_features(
    model: nn.Module, images: ImageSet, *, batch_size: int = 16
) -> dict[str, Tensor]:
    """Each stage's output averaged over positions: stage → float32 [N, C], one pass for all."""
    found = stages(model)
    rows: dict[str, list[Tensor]] = {name: [] for name in found}
    with _listening(found, lambda name, output: rows[name].append(pooled(output))):
        for _ in _pass_over(model, images, batch_size, "stages"):
            pass
    return {name: torch.cat(parts).cpu() for name, parts in rows.items()}


def cka(x: Tensor, y: Tensor) -> float:
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


def weight_drift(model: nn.Module, before: Mapping[str, Tensor]) -> dict[str, float]:
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


@dataclass(frozen=True)
class Responses:
    """How one module's C channels answered N images, on the CPU.

    means : float32 [N, C], averages over positions
    best : int64 [K, C], the K images that each channel answers most strongly, strongest first,
        among equals those with the higher average
    places : int64 [K, C], the strongest position in each of them: row · width + column
    side : (height, width) of the module's maps
    """

    means: Tensor
    best: Tensor
    places: Tensor
    side: tuple[int, int]


def survey(
    model: nn.Module,
    images: ImageSet,
    modules: Mapping[str, nn.Module] | None = None,
    *,
    best: int = 24,
    batch_size: int = 16,
    cache: bool = False,
) -> dict[str, Responses]:
    """Name → `Responses` of each module, from one pass over all images, in eval mode.

    Parameters
    ----------
    modules : name → module of ``model`` that gives maps [N, C, h, w] (None: all of `stages`)
    best : how many images to note for each channel, or all if there are fewer
    cache : keep the result on disk under a hash of the network, its settings and the pixels, and
        read it from there next time. Whatever changes, a stride as well as a weight, is a new
        entry. Networks of PyTorch's and torchvision's modules on the CPU only

    Raises
    ------
    ValueError : no images; a module that is no part of ``model`` or gives no maps
    """
    modules = dict(stages(model) if modules is None else modules)
    paths = {module: path for path, module in model.named_modules()}
    foreign = [name for name, module in modules.items() if module not in paths]
    if foreign or len(images) == 0:
        what = f"{foreign}, not in {type(model).__name__}" if foreign else "an empty ImageSet"
        raise ValueError(f"got {what}; expected modules of the model, and at least one image")

    def run() -> dict[str, dict]:
        return {n: vars(r) for n, r in _run(model, images, modules, best, batch_size).items()}

    def fits(read: Any) -> bool:
        return list(read) == list(modules)

    settings = [f"best {best}", *(f"{name}={paths[m]}" for name, m in modules.items())]
    asked = (model, images.images, settings)
    found = kept_pass("survey", run, fits, *asked) if cache else run()
    return {name: Responses(**parts) for name, parts in found.items()}


@torch.no_grad()
def _run(
    model: nn.Module,
    images: ImageSet,
    modules: Mapping[str, nn.Module],
    best: int,
    batch_size: int,
) -> dict[str, Responses]:
    # A table a module, [averages, peaks and places, N, C]: thousands of small tensors that stay
    # between large ones that go would keep the allocator from using that memory again.
    tables: dict[str, Tensor] = {}
    sides: dict[str, tuple[int, int]] = {}
    done = 0

    def note(name: str, maps: Tensor) -> None:
        if maps.ndim != 4:
            raise ValueError(f"{name} gives {tuple(maps.shape)}; expected maps [N, C, h, w]")
        if name not in tables:
            tables[name] = maps.new_empty(3, len(images), maps.shape[1])
            sides[name] = (maps.shape[2], maps.shape[3])
        rows = slice(done, done + len(maps))
        # float32 holds the places too: it counts exactly up to 4096 · 4096.
        tables[name][:, rows] = torch.stack([maps.mean((2, 3)), *maps.flatten(2).max(2)])

    with _listening(modules, note):
        for _ in _pass_over(model, images, batch_size, "survey"):
            done += batch_size
    return {name: _responses(table.cpu(), best, sides[name]) for name, table in tables.items()}


def _responses(table: Tensor, best: int, side: tuple[int, int]) -> Responses:
    means, peaks, places = table
    # Where an activation is capped (ReLU6) many images share a peak: the higher average goes first.
    order = means.argsort(dim=0, descending=True, stable=True)
    again = peaks.gather(0, order).argsort(dim=0, descending=True, stable=True)
    strongest = order.gather(0, again)[:best]
    return Responses(means.clone(), strongest, places.gather(0, strongest).long(), side)


def top_patches(
    images: ImageSet, seen: Responses, channels: Sequence[int], *, k: int = 6, patch: int = 48
) -> Tensor:
    """The patches that excite each channel most: uint8 [len(channels), k, 3, patch, patch].

    An image gives at most one patch a channel. A patch is cut around the strongest position
    (moved inwards at the border); its size is yours to choose, the true receptive field is larger
    in deep layers.

    Parameters
    ----------
    images : the square images of the `survey` that gave ``seen``, in the same order
    channels : numbers of the module's channels

    Raises
    ------
    ValueError : other images than were surveyed, more patches wanted than the survey noted, or
    patches larger than the images

    Source: Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901 (patches of highest activation).
    """
    size = images.images.shape[-1]
    if len(images) != len(seen.means):
        raise ValueError(f"got {len(images)} images; {len(seen.means)} were surveyed: give those")
    if k > len(seen.best) or patch > size:
        noted = f"the survey noted {len(seen.best)} images of {size} px a channel"
        raise ValueError(f"got {k=}, {patch=}; {noted}: ask it for more with best=")
    best, place = seen.best[:k, channels].T, seen.places[:k, channels].T  # [channels, k]
    height, width = seen.side
    rows = ((place // width + 0.5) * size / height - patch / 2).long().clamp(0, size - patch)
    columns = ((place % width + 0.5) * size / width - patch / 2).long().clamp(0, size - patch)
    corners = zip(best.flatten(), rows.flatten(), columns.flatten(), strict=True)
    cut = [images.images[n, :, y : y + patch, x : x + patch] for n, y, x in corners]
    return torch.stack(cut).unflatten(0, (len(channels), k))
