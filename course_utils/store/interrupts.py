"""Stop buttons: what has to be put back is put back whole, however often one presses."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_with(put_back: Callable[[], object]) -> Iterator[None]:
    """Run a block, then ``put_back``, whatever ended the block.

    An interrupt (Kernel → Interrupt, Ctrl-C) ends the block as usual. One that comes while
    ``put_back`` is at work is held until it is done: the block may have ended by itself, and a
    second press often follows the first.
    """
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread gets signals, and only it may say what they do.
    ours = threading.current_thread() is threading.main_thread() and callable(before)
    ending = held = interrupted = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal ending, held
        if ending:
            held = True
        elif callable(before):
            ending = True
            before(number, frame)  # raises KeyboardInterrupt
            ending = False  # a handler that raises nothing: the block goes on

    try:
        if ours:
            signal.signal(signal.SIGINT, handle)
        try:
            yield
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            ending = True
    finally:
        try:
            put_back()
        finally:
            if ours:
                signal.signal(signal.SIGINT, before)
    if held and not interrupted:
        raise KeyboardInterrupt
