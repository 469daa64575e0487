"""Keep Python running while a learner's code runs, whatever that code calls."""

from __future__ import annotations

import _sitebuiltins
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

HARMLESS = {0, signal.SIGINT}  # the question whether a process is there; the stop button
ENDS = "{} would end Python, and all variables of the notebook with it. `return` ends a function."
UNSTOPPABLE = "{} is not possible here: nothing could stop this code any more."


@contextmanager
def kept_running() -> Iterator[None]:
    """Inside of it, what would end this process raises SystemExit in its place.

    That is ``exit`` and ``quit`` of IPython and of the interpreter, ``os._exit``, ``os.abort``,
    ``os.exec…``, and a signal to the own process or to its parent. What would take away the means
    to stop the code (another handler of the interrupt, a deeper recursion) raises RuntimeError.
    Only this thread of this process is refused: a worker that was forked off ends as it likes. A
    crash in C code cannot be caught in its own process.
    """
    process, thread, inside = os.getpid(), threading.get_ident(), True

    def closed(real: Callable, guard: Callable) -> Callable:
        def call(*arguments):
            if inside and (os.getpid(), threading.get_ident()) == (process, thread):
                return guard(real, *arguments)
            return real(*arguments)

        return call

    try:
        with ExitStack() as stack:
            for owner, name, guard in _doors():
                if hasattr(owner, name):  # not every system has them all
                    door = closed(getattr(owner, name), guard)
                    stack.enter_context(patch.object(owner, name, door))
            yield
    finally:
        inside = False  # should an interrupt leave a door in its place, it is open
        if os.getpid() != process:  # the code forked, and this copy of it came to its end
            os._exit(0)


def _doors() -> Iterator[tuple[object, str, Callable]]:
    """The owner of a function, its name, and what is called with the function in its place."""
    for name in ("_exit", "abort", "execv", "execve"):  # the other forms of exec call these two
        yield os, name, partial(_end, f"os.{name}()")
    yield _sitebuiltins.Quitter, "__call__", partial(_end, "exit()")
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        yield shell, "ask_exit", partial(_end, "exit()")
    for owner, name in ((os, "kill"), (os, "killpg"), (signal, "raise_signal")):
        yield owner, name, partial(_send, f"{owner.__name__}.{name}()")
    yield signal, "signal", _handle
    yield signal, "pthread_sigmask", _mask
    yield sys, "setrecursionlimit", _deepen


def _end(call: str, real: Callable, *arguments):
    raise SystemExit(ENDS.format(call))


def _send(call: str, real: Callable, *arguments):
    *target, number = arguments
    ours = {0, -1, os.getpid(), os.getppid(), *([os.getpgrp()] if hasattr(os, "getpgrp") else [])}
    if number not in HARMLESS and (not target or target[0] in ours):
        raise SystemExit(ENDS.format(call))
    return real(*arguments)


def _handle(real: Callable, number: int, handler):
    if number == signal.SIGINT:
        raise RuntimeError(UNSTOPPABLE.format("signal.signal(SIGINT, …)"))
    return real(number, handler)


def _mask(real: Callable, how: int, signals):
    return real(how, set(signals) - {signal.SIGINT})


def _deepen(real: Callable, limit: int) -> None:
    if limit > sys.getrecursionlimit():
        raise RuntimeError(UNSTOPPABLE.format(f"sys.setrecursionlimit({limit})"))
    real(limit)
