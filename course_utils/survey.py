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

_VERSION = "survey 1"  # part of the key on disk: change it with what is noted


@dataclass(frozen=True)
class Responses:
    """How one module's C channels answered N images, on the CPU.

    means : float32 [N, C], averages over positions
    peaks : float32 [N, C], the strongest position's value
    places : int32 [N, C], which position that is: row · width + column
    side : (height, width) of the module's maps
    """

    means: torch.Tensor
    peaks: torch.Tensor
    places: torch.Tensor
    side: tuple[int, int]


def survey(
    model: nn.Module,
    images: ImageSet,
    modules: Mapping[str, nn.Module] | None = None,
    *,
    batch_size: int = 16,
    device: str | torch.device | None = None,
    cache: bool = False,
) -> dict[str, Responses]:
    """Name → `Responses` of each module, from one pass over all images, in eval mode.

    Parameters
    ----------
    modules : name → module of ``model`` that gives maps [N, C, h, w] (None: all of `stages`)
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
        return _run(model, images, modules, batch_size, pick_device(device))

    if not cache:
        found = run()
    else:
        places = [f"{name}={paths[id(module)]}" for name, module in modules.items()]
        key = key_of(model, images.images, [_VERSION, *places])
        found = kept(f"survey/{key}.kept", run, lambda read: list(read) == list(modules))
    return {name: Responses(**parts) for name, parts in found.items()}


@torch.no_grad()
def _run(model, images, modules, batch_size, device) -> dict[str, dict]:
    model.to(device, memory_format=torch.channels_last).eval()
    noted: dict[str, list[tuple]] = {name: [] for name in modules}
    sides: dict[str, tuple[int, int]] = {}

    def note(name: str):
        def hook(module, inputs, output) -> None:
            if output.ndim != 4:
                shape = tuple(output.shape)
                raise ValueError(f"{name} gives {shape}; expected maps [N, C, h, w]")
            sides[name] = tuple(output.shape[2:])
            # At once, for an in-place activation after this module would overwrite its output.
            peaks, places = output.flatten(2).max(dim=2)
            parts = output.mean(dim=(2, 3)).float(), peaks.float(), places.int()
            noted[name].append(tuple(part.cpu() for part in parts))

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in modules.items()]
    try:
        steps = -(-len(images) // batch_size)
        for batch, _ in progress(images.batches(batch_size, device=device), "survey", total=steps):
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: vars(Responses(*(torch.cat(part) for part in zip(*rows, strict=True)), sides[name]))
        for name, rows in noted.items()
    }


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
    ValueError : other images than were surveyed, more patches wanted than images, or larger ones

    Source: Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901 (patches of highest activation).
    """
    size = images.images.shape[-1]
    if len(images) != len(seen.peaks):
        raise ValueError(f"got {len(images)} images; {len(seen.peaks)} were surveyed: give those")
    if k > len(images) or patch > size:
        raise ValueError(f"got {k=}, {patch=} for {len(images)} images of {size} px")
    best = seen.peaks[:, channels].topk(k, dim=0).indices.T  # [channels, k]
    place = seen.places[:, channels].T.gather(1, best).long()
    height, width = seen.side
    rows = ((place // width + 0.5) * size / height - patch / 2).long().clamp(0, size - patch)
    columns = ((place % width + 0.5) * size / width - patch / 2).long().clamp(0, size - patch)
    corners = zip(best.flatten(), rows.flatten(), columns.flatten(), strict=True)
    cut = [images.images[n, :, y : y + patch, x : x + patch] for n, y, x in corners]
    return torch.stack(cut).unflatten(0, (len(channels), k))
