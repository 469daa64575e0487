"""Run a piece of a learner's code: not longer than some seconds, not louder than some lines."""

from __future__ import annotations

import _thread
import io
import signal
import sys
import threading
import time
from collections.abc import Callable

from courseware.exits import kept_running

AGAIN = 0.2  # seconds after which code that swallowed the first interrupt gets another
_set_handler = signal.signal  # the learner's code, in which this may be nested, is refused it


class Stopped(BaseException):
    """The time is up. No Exception, so that ``except Exception`` does not swallow it."""


class Interrupted(Exception):
    """The code raised KeyboardInterrupt itself: nobody pressed the stop button."""


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
    """What ``work()`` returns, if it returns within so many seconds. It cannot end the process.

    A second thread does what the notebook's stop button does: it sends the main thread an
    interrupt, again and again should the code swallow it. Only the main thread can be interrupted;
    on any other there is no limit. Code that does not come back to Python, such as one huge matrix
    product, ends first. The real stop button still raises KeyboardInterrupt.

    Raises
    ------
    Stopped : it took longer; whatever it returned or raised after that is dropped
    Interrupted : it raised KeyboardInterrupt without the stop button
    SystemExit : it called something that ends the process, see `exits.kept_running`
    """
    return Watch().call_within(seconds, work)


class Watch:
    """Limits the time of some code, and inside of that the time of pieces of it.

    Whatever else must be put in order behind the code belongs outside of the outermost call: what
    stands inside may be interrupted on any line.
    """

    def __init__(self) -> None:
        self.rang = 0  # how often the time was up
        self._over = self._pressed = self._sent = self._pending = False
        self._until: float | None = None  # on time.monotonic; None: nothing is limited
        self._lock, self._woken = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def call_within(self, seconds: float, work: Callable):
        """As `call_within`. Inside of another call of it ``seconds`` count, and not the time
        outside, which goes on afterwards."""
        if self._until is not None:
            return self._timed(seconds, work)
        self._previous, self._trace = signal.getsignal(signal.SIGINT), sys.gettrace()
        on_main = threading.current_thread() is threading.main_thread()
        with kept_running():
            # None: the handler was installed by C code, and could not be put back.
            if not on_main or self._previous is None:
                return work()
            self._outside = sys._getframe()  # frames from here outwards are not the learner's
            try:
                return self._timed(seconds, work)
            finally:
                self._over = True  # from here on it raises nothing
                self._close()

    def _timed(self, seconds: float, work: Callable):
        outer, start = self._until, time.monotonic()
        try:
            self._set(start + seconds)  # in here: it may ring before this returns
            result = work()
        except KeyboardInterrupt as error:
            if self._pressed:
                raise
            told = "your code raised KeyboardInterrupt itself; nobody pressed the stop button"
            raise Interrupted(told).with_traceback(error.__traceback__) from None
        except BaseException:
            if self.rang:
                raise Stopped from None
            raise
        finally:
            if outer is not None:
                self._until = outer + time.monotonic() - start
        if self.rang:
            raise Stopped
        return result

    def _set(self, until: float) -> None:
        first, self._until = self._until is None, until
        if first:
            _set_handler(signal.SIGINT, self._ring)
            self._thread.start()
        self._woken.set()

    def _watch(self) -> None:
        while not self._over:
            assert self._until is not None  # the thread starts once it is set
            wait = self._until - time.monotonic()
            if wait <= 0:
                self._interrupt()
                wait = AGAIN
            self._woken.wait(wait)
            self._woken.clear()

    def _interrupt(self) -> None:
        with self._lock:
            if self._over:
                return
            self._sent = self._pending = True
            if hasattr(signal, "pthread_kill"):  # also wakes up time.sleep
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                _thread.interrupt_main()

    def _ring(self, number: int, frame) -> None:
        if not self._sent:  # the learner's own; after the time is up both mean the same
            self._pass_on(number, frame)
            return
        self._pending = False
        if self._over:
            return
        self.rang += 1
        if self.rang > 1:
            self._insist(frame)
        raise Stopped

    def _pass_on(self, number: int, frame) -> None:
        """An interrupt that is not ours: what would have happened without us."""
        self._pressed = True
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
            if event == "line" and not self._over:
                raise Stopped
            return again

        sys.settrace(lambda *_: None)
        while frame is not None and frame is not self._outside:
            frame.f_trace = again
            frame = frame.f_back

    def _close(self) -> None:
        """Leave no interrupt under way and everything else as it was."""
        try:
            self._woken.set()
            with self._lock:  # the thread has sent its last one, if any
                patience = time.monotonic() + 1
            while self._pending and time.monotonic() < patience:
                time.sleep(0.001)  # its arrival, which does nothing now
            if self._thread.is_alive():
                self._thread.join(1)
        finally:
            _set_handler(signal.SIGINT, self._previous)
            if self.rang > 1:
                sys.settrace(self._trace)
