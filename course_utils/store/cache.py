"""Results that come out the same every time, kept on disk under a hash of what they depend on."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from course_utils.store.folders import cache_dir


def key_of(
    model: nn.Module, pixels: torch.Tensor, settings: Iterable[str] = (), *, without: str = ""
) -> str:
    """A name that changes with any weight, buffer, pixel or setting; 32 hexadecimal digits.

    Parameters
    ----------
    pixels : uint8, of any shape
    settings : whatever else the result depends on, as text
    without : entries of the model's state whose names begin so do not count ("": all count)
    """
    digest = hashlib.blake2b(digest_size=16)
    # As a list, so that settings "a", "b" are not the setting "ab".
    digest.update(repr([type(model).__name__, tuple(pixels.shape), *settings]).encode())
    for name, value in model.state_dict().items():
        if not (without and name.startswith(without)):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy())
    digest.update(pixels.cpu().contiguous().numpy())
    return digest.hexdigest()


def kept(path: Path | str, make: Callable[[], object], usable: Callable[[object], bool]):
    """What lies at ``path`` in the course's cache; else what ``make`` returns, stored there.

    A file that is damaged, or holds what is not ``usable``, is only a cache miss: it is written
    anew. Where the disk cannot be used the result is returned all the same, with a printed word.

    Parameters
    ----------
    path : below `cache_dir`, as ``"features/0f3a.kept"``
    make : returns tensors and plain containers, which is all that is read back
    usable : whether what was read has the expected form; may raise
    """
    found = _read(path)
    try:
        if found is not None and usable(found):
            return found
    except Exception:  # of another form than expected: no use either
        pass
    result = make()
    _write(path, result)
    return result


def _read(path: Path | str) -> object | None:
    """What was stored; None where nothing is, or not what was written."""
    try:
        content = (cache_dir() / path).read_bytes()
        # torch.load finds half a file, but not a changed bit: it does not look at the checksums.
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            return torch.load(io.BytesIO(content[32:]), weights_only=True)
    except Exception:  # unreadable, or not ours: there are many ways to be no use
        pass
    return None


def _write(path: Path | str, result: object) -> None:
    """Store the SHA-256 (32 bytes) of what torch.save makes of the result, and that."""
    content = io.BytesIO()
    torch.save(result, content)
    try:
        path = cache_dir() / path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.part")
        with partial.open("wb") as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())
        partial.replace(path)  # atomic: another notebook never reads half a file
    except OSError as error:
        print(f"The result could not be kept on disk ({error}): next time it is computed again.")
