"""One pass over many images that notes how each channel of chosen modules answers each of them.

What is noted serves two looks inside: probes on every stage (the averages), and the patches that
excite a channel most (the strongest positions). So neither needs a pass of its own, and a channel
or a size can be changed without another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from course_utils.images import ImageSet
from course_utils.kept import kept, key_of
from course_utils.runtime import pick_device, progress
from course_utils.surgery import stages

_REAL, _WHOLE = torch.float32, torch.int32
_VERSION = "survey 1"  # part of the key on disk: change it with what is noted


@dataclass(frozen=True)
class Responses:
    """How one module's C channels answered N images, on the CPU.

    means : float32 [N, C], averages over positions
    best : int64 [K, C], the K images that each channel answers most strongly, strongest first,
        among equals those with the higher average
    places : int64 [K, C], the strongest position in each of them: row · width + column
    side : (height, width) of the module's maps
    """

    means: torch.Tensor
    best: torch.Tensor
    places: torch.Tensor
    side: tuple[int, int]


def survey(
    model: nn.Module,
    images: ImageSet,
    modules: Mapping[str, nn.Module] | None = None,
    *,
    best: int = 24,
    batch_size: int = 16,
    device: str | torch.device | None = None,
    cache: bool = False,
) -> dict[str, Responses]:
    """Name → `Responses` of each module, from one pass over all images, in eval mode.

    Parameters
    ----------
    modules : name → module of ``model`` that gives maps [N, C, h, w] (None: all of `stages`)
    best : how many images to note for each channel, or all if there are fewer
    cache : keep the result on disk under a hash of weights, pixels and modules, and read it from
        there next time. A changed weight, image or module is a new entry

    Raises
    ------
    ValueError : no images; a module that is no part of ``model`` or gives no maps
    """
    modules = dict(stages(model) if modules is None else modules)
    paths = {id(module): path for path, module in model.named_modules()}
    foreign = [name for name, module in modules.items() if id(module) not in paths]
    if foreign or len(images) == 0:
        what = f"{foreign}, not in {type(model).__name__}" if foreign else "an empty ImageSet"
        raise ValueError(f"got {what}; expected modules of the model, and at least one image")

    def run() -> dict[str, dict]:
        return _run(model, images, modules, best, batch_size, pick_device(device))

    if not cache:
        found = run()
    else:
        places = [f"{name}={paths[id(module)]}" for name, module in modules.items()]
        key = key_of(model, images.images, [_VERSION, f"best {best}", *places])
        found = kept(f"survey/{key}.kept", run, lambda read: list(read) == list(modules))
    return {name: Responses(**parts) for name, parts in found.items()}


@torch.no_grad()
def _run(model, images, modules, best, batch_size, device) -> dict[str, dict]:
    model.to(device, memory_format=torch.channels_last).eval()
    noted: dict[str, tuple[torch.Tensor, ...]] = {}
    sides: dict[str, tuple[int, int]] = {}
    done = 0

    def note(name: str):
        def hook(module, inputs, output) -> None:
            if output.ndim != 4:
                shape = tuple(output.shape)
                raise ValueError(f"{name} gives {shape}; expected maps [N, C, h, w]")
            if name not in noted:
                # Whole tables at once: thousands of small tensors that stay between large ones
                # that go would keep the allocator from using that memory again.
                table = len(images), output.shape[1]
                noted[name] = tuple(torch.empty(table, dtype=d) for d in (_REAL, _REAL, _WHOLE))
                sides[name] = tuple(output.shape[2:])
            # At once, for an in-place activation after this module would overwrite its output.
            rows = slice(done, done + len(output))
            for table, part in zip(noted[name], _answers(output), strict=True):
                table[rows] = part

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in modules.items()]
    try:
        steps = -(-len(images) // batch_size)
        for batch, _ in progress(images.batches(batch_size, device=device), "survey", total=steps):
            model(batch)
            done += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _summary(*tables, best, sides[name]) for name, tables in noted.items()}


def _answers(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Averages, peaks and the peaks' places, [B, C] each."""
    return maps.mean(dim=(2, 3)), *maps.flatten(2).max(dim=2)


def _summary(means, peaks, places, best: int, side: tuple[int, int]) -> dict:
    # Where an activation is capped (ReLU6) many images share a peak: the higher average goes first.
    order = means.argsort(dim=0, descending=True, stable=True)
    again = peaks.gather(0, order).argsort(dim=0, descending=True, stable=True)
    strongest = order.gather(0, again)[:best]
    return vars(Responses(means, strongest, places.gather(0, strongest).long(), side))


def top_patches(
    images: ImageSet, seen: Responses, channels: Sequence[int], *, k: int = 6, patch: int = 48
) -> torch.Tensor:
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
