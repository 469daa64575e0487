"""Run a piece of a learner's code: not longer than some seconds, not louder than some lines."""

from __future__ import annotations

import _thread
import io
import signal
import sys
import threading
import time
from collections.abc import Callable

AGAIN = 0.2  # seconds after which code that swallowed the first interrupt gets another


class Stopped(BaseException):
    """The time is up. No Exception, so that ``except Exception`` does not swallow it."""


class Bounded(io.TextIOBase):
    """A text stream that keeps the first ``limit`` characters and counts all (``length``)."""

    def __init__(self, limit: int = 400) -> None:
        self.kept, self.length, self.limit = "", 0, limit

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if len(self.kept) < self.limit:
            self.kept += text[: self.limit - len(self.kept)]
        self.length += len(text)
        return len(text)


def call_within(seconds: float, work: Callable):
    """What ``work()`` returns, if it returns within so many seconds.

    A second thread does what the notebook's stop button does: it sends the main thread an
    interrupt, again and again should the code swallow it. Only the main thread can be interrupted;
    on any other there is no limit. Code that does not come back to Python, such as one huge matrix
    product, ends first. The real stop button still raises KeyboardInterrupt.

    Raises
    ------
    Stopped : it took longer; whatever it returned or raised after that is dropped
    """
    previous = signal.getsignal(signal.SIGINT)
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or previous is None:  # None: installed by C code, and could not be put back
        return work()
    alarm = _Alarm(seconds, previous)
    try:
        try:
            alarm.set()  # in here: it may ring before this returns
            result = work()
        finally:
            alarm.over = True  # from here on the alarm raises nothing
    except KeyboardInterrupt:
        raise
    except BaseException:
        if alarm.rang:
            raise Stopped from None
        raise
    finally:
        alarm.close()
    if alarm.rang:
        raise Stopped
    return result


class _Alarm:
    """Interrupts the main thread after ``seconds`` until ``over`` is set."""

    def __init__(self, seconds: float, previous) -> None:
        self.over = False
        self.rang = 0
        self._previous, self._trace = previous, sys.gettrace()
        self._outside = sys._getframe(1)  # frames from here outwards are not the learner's
        self._sent = self._pending = False
        self._lock, self._done = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(seconds,), daemon=True)

    def set(self) -> None:
        """Let the time begin."""
        signal.signal(signal.SIGINT, self._ring)
        self._thread.start()

    def _watch(self, seconds: float) -> None:
        while not self._done.wait(seconds):
            with self._lock:
                if self.over:
                    return
                self._sent = self._pending = True
                if hasattr(signal, "pthread_kill"):  # also wakes up time.sleep
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                else:
                    _thread.interrupt_main()
            seconds = AGAIN

    def _ring(self, number: int, frame) -> None:
        if not self._sent:  # the learner's own; after the time is up both mean the same
            self._pass_on(number, frame)
            return
        self._pending = False
        if self.over:
            return
        self.rang += 1
        if self.rang > 1:
            self._insist(frame)
        raise Stopped

    def _pass_on(self, number: int, frame) -> None:
        """An interrupt that is not ours: what would have happened without us."""
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            raise KeyboardInterrupt

    def _insist(self, frame) -> None:
        """Raise once more on the next line of every function under way.

        A loop around ``try: … except: pass`` swallows each interrupt where it arrives. The line
        after its ``except:`` is outside the ``try``, and there nothing catches a second one.
        """

        def again(frame, event, argument):
            if event == "line" and not self.over:
                raise Stopped
            return again

        sys.settrace(lambda *_: None)
        while frame is not None and frame is not self._outside:
            frame.f_trace = again
            frame = frame.f_back

    def close(self) -> None:
        """Leave no interrupt under way and everything else as it was."""
        try:
            self._done.set()
            with self._lock:  # the thread has sent its last one, if any
                patience = time.monotonic() + 1
            while self._pending and time.monotonic() < patience:
                time.sleep(0.001)  # its arrival, which does nothing now
            if self._thread.is_alive():
                self._thread.join(1)
        finally:
            signal.signal(signal.SIGINT, self._previous)
            if self.rang > 1:
                sys.settrace(self._trace)
