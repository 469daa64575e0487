"""Results that come out the same every time, kept on disk under a hash of what they depend on.

A folder holds at most `BOUND` bytes of a kind: then what was used longest ago goes.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from course_utils.store import files
from course_utils.store.folders import cache_dir
from course_utils.store.identity import Unidentified, key_of

BOUND = 500_000_000  # bytes: the photos in three sizes, or the passes over them of fifty networks
Result = TypeVar("Result")


def kept_pass(
    kind: str,
    make: Callable[[], Result],
    usable: Callable[[Any], bool],
    model: nn.Module,
    pixels: torch.Tensor,
    settings: Iterable[str] = (),
) -> Result:
    """`kept`, under a key of all that a pass of ``model`` over ``pixels`` depends on.

    Where the key cannot be told, a printed line says why, and the pass is made each time.
    """
    try:
        key = key_of(model, pixels, settings)
    except Unidentified as reason:
        print(f"Not kept on disk, for {reason}: the pass is made each time.")
        return make()
    return kept(f"{kind}/{key}.kept", make, usable)


def kept(path: str, make: Callable[[], Result], usable: Callable[[Any], bool]) -> Result:
    """What lies at ``path`` in the course's cache; else what ``make`` returns, stored there.

    A file that is damaged, or holds what is not ``usable``, is only a cache miss: it is written
    anew. Where the disk cannot be used the result is returned all the same, with a printed word.

    Parameters
    ----------
    path : below `cache_dir`, as ``"features/0f3a.kept"``
    make : returns tensors and plain containers, which is all that is read back
    usable : whether what was read has the expected form; may raise
    """
    found = read(path)
    with suppress(Exception):  # of another form than expected: no use either
        if found is not None and usable(found):
            return found
    result = make()
    write(path, result)
    return result


def read(path: str) -> Any:
    """What `write` has stored; None where nothing is, or not what was written."""
    with suppress(Exception):  # unreadable, or not ours: there are many ways to be no use
        content = memoryview((cache_dir() / path).read_bytes())
        # torch.load finds half a file, but not a changed bit: it does not look at the checksums.
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            with suppress(OSError):  # a cache that can only be read
                os.utime(cache_dir() / path)  # used now: it goes last
            return torch.load(io.BytesIO(content[32:]), weights_only=True)
    return None


def write(path: str, result: object) -> None:
    """Store tensors and plain containers: a SHA-256 (32 bytes), and what torch.save makes of them.

    Where that cannot be done, a printed line says so, and nothing half-written stays.
    """
    content = io.BytesIO()
    torch.save(result, content)
    try:
        place = cache_dir() / path
        place.parent.mkdir(parents=True, exist_ok=True)
        files.remove_strays(place.parent, ".*.????????.tmp")  # all in this folder is ours
        with files.replacing(place) as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())
        _make_room(place)
    except OSError as error:
        print(f"The result could not be kept on disk ({error}): next time it is computed again.")


def _make_room(newest: Path) -> None:
    """Remove what was used longest ago until the rest fits; the newest stays in any case."""
    with suppress(OSError):  # another notebook removes the same
        others = [path for path in newest.parent.glob(f"*{newest.suffix}") if path != newest]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        room = BOUND - newest.stat().st_size
        for path in others:
            room -= path.stat().st_size
            if room < 0:
                path.unlink(missing_ok=True)
