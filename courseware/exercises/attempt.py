"""Call a learner's function: its output caught, its time limited, its errors told as theirs."""

from __future__ import annotations

import dis
import inspect
import linecache
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from types import CodeType

import numpy as np
import torch

from courseware.limits import Bounded, Stopped, call_within

QUIET = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
MESSAGE = 600  # characters of an exception's message that are shown


class Unsolved(Exception):
    """The function says itself that it is still to be written: it raised NotImplementedError."""


@dataclass
class LearnerError(Exception):
    """An exception in a learner's code: what kind, and where in their cell (``line`` 0: nowhere).

    ``mistake`` is the recognised mistake behind it, if there is one.
    """

    kind: str
    message: str
    line: int = 0
    text: str = ""
    mistake: str | None = None


def code_of(function: Callable) -> CodeType | None:
    """The Python code behind a callable; None where there is none."""
    function = inspect.unwrap(getattr(function, "func", function))
    return getattr(function, "__code__", None)


def is_blank(function: Callable) -> bool:
    """Whether the body is still ``...``, ``pass`` or a docstring: it does and returns nothing."""
    code = code_of(function)
    if code is None:
        return False
    steps = list(dis.get_instructions(code))
    constants = [step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    return {step.opname for step in steps} <= QUIET and set(constants) <= {None, ...}


class Attempt:
    """One check's calls of a learner's function, which share the time and the caught output.

    Parameters
    ----------
    function : the learner's
    seconds : for all calls together; what the check itself computes does not count
    """

    def __init__(self, function: Callable, seconds: float) -> None:
        self.printed, self.calls = Bounded(), 0
        self.grad_mode_left_off = False  # by the last call
        self._function, self._code, self._left = function, code_of(function), seconds

    def __call__(self, *arguments, blame: Callable | None = None):
        """What the function returns for ``arguments``.

        Parameters
        ----------
        blame : a function from an exception to the mistake that it tells of, or None

        Raises
        ------
        LearnerError, Stopped, Unsolved
        """
        self.calls += 1
        return self.run(lambda: self._function(*arguments), blame)

    def run(self, work: Callable, blame: Callable | None = None):
        """The same for other code that may run the learner's, such as a forward pass."""
        torch.default_generator.manual_seed(0)
        torch.set_grad_enabled(True)
        start = time.perf_counter()
        try:
            with redirect_stdout(self.printed), redirect_stderr(self.printed):
                return call_within(max(self._left, 0.01), work)
        except (Stopped, KeyboardInterrupt):
            raise
        except BaseException as error:  # exit() raises SystemExit, and is no reason to leave
            raise self._told(error, blame) from None
        finally:
            self._left -= time.perf_counter() - start
            self.grad_mode_left_off = not torch.is_grad_enabled()
            torch.set_grad_enabled(True)

    def _told(self, error: BaseException, blame: Callable | None) -> Exception:
        raised_as_unsolved = self._code and "NotImplementedError" in self._code.co_names
        if isinstance(error, NotImplementedError) and raised_as_unsolved:
            return Unsolved()
        line, text = self._place(error)
        mistake = blame(error) if blame else None
        return LearnerError(type(error).__name__, _message(error), line, text, mistake)

    def _place(self, error: BaseException) -> tuple[int, str]:
        """The last line that ran in the learner's cell. A cell has a file name of its own."""
        line, text, trace = 0, "", error.__traceback__
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if self._code and name == self._code.co_filename:
                line = trace.tb_lineno
                text = linecache.getline(name, line).strip()
            trace = trace.tb_next
        return line, text


def _message(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # a class of the learner's whose __str__ fails
        return ""
    return message if len(message) <= MESSAGE else message[:MESSAGE] + " …"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Random numbers, gradient mode and default dtype afterwards as before; the CPU as device."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    elsewhere = torch.get_default_device().type != "cpu"
    states = random.getstate(), np.random.get_state(), torch.get_default_dtype()
    enabled = torch.is_grad_enabled()
    try:
        with torch.random.fork_rng(gpus), torch.device("cpu") if elsewhere else nullcontext():
            torch.set_grad_enabled(True)
            torch.set_default_dtype(torch.float32)
            yield
    finally:
        torch.set_grad_enabled(enabled)
        torch.set_default_dtype(states[2])
        np.random.set_state(states[1])
        random.setstate(states[0])
