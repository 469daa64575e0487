"""Call a learner's function: its output caught, its time limited, its errors told as theirs."""

from __future__ import annotations

import dis
import inspect
import linecache
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from types import CodeType, FunctionType

import torch

from courseware.exercises.session import settings_kept
from courseware.limits import Bounded, Stopped, Watch

QUIET = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
MESSAGE = 600  # characters of an exception's message that are shown
OWN = 30.0  # seconds for what a check does itself on one family: two, on a busy machine


class Unsolved(Exception):
    """The function says itself that it is still to be written: it raised NotImplementedError."""


class Mistake(Exception):
    """A recognised mistake by its id in the exercise's file, and what was seen of it here.

    Without an id it is one that nobody thought of.
    """

    def __init__(self, ident: str, seen: str = "") -> None:
        super().__init__(ident, seen)
        self.ident, self.seen = ident, seen


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
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def names_of(function: Callable) -> dict:
    """The global names of a function; empty for another callable."""
    return inspect.unwrap(function).__globals__ if isinstance(function, FunctionType) else {}


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
        self.reading = False  # rather than running: what was under way when the time was up
        self._function, self._left = function, seconds
        self._watch: Watch | None = None

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
        with settings_kept():
            torch.set_grad_enabled(True)
            try:
                self.reading = False
                value = self.read(work, blame)
                self.reading = True
                return value
            finally:
                self.grad_mode_left_off = not torch.is_grad_enabled()

    def read(self, work: Callable, blame: Callable | None = None):
        """The same for code that looks at what the learner's gave, which may be of any kind:
        without an end, or with a ``__len__`` of its own."""
        start = time.perf_counter()
        try:
            watch = self._watch or Watch()
            return watch.call_within(max(self._left, 0.01), work)
        except (Stopped, KeyboardInterrupt, Mistake):
            raise
        except BaseException as error:  # exit() raises SystemExit, and is no reason to leave
            raise self._told(error, blame) from None
        finally:
            self._left -= time.perf_counter() - start

    def watch(self, work: Callable):
        """Do a piece of the check, in which the learner's code may run where nobody thinks of it.

        Its output is caught. It may take `OWN` seconds besides those of the learner's calls.

        Raises
        ------
        Mistake : whatever went wrong, unless it is one of the following
        LearnerError, Stopped, Unsolved
        """

        def foreseen():
            try:
                return work()
            except (Stopped, KeyboardInterrupt, Mistake, LearnerError, Unsolved):
                raise
            except BaseException as error:
                told = f"afterwards it cannot be used: {_kind_and_message(error)}"
                raise Mistake("", told) from None

        self._watch = Watch()
        try:
            with redirect_stdout(self.printed), redirect_stderr(self.printed):
                return self._watch.call_within(OWN, foreseen)
        finally:
            self._watch = None

    def _told(self, error: BaseException, blame: Callable | None) -> Exception:
        code = code_of(self._function)
        raised_as_unsolved = code and "NotImplementedError" in code.co_names
        if isinstance(error, NotImplementedError) and raised_as_unsolved:
            return Unsolved()
        line, text = _place(error, code)
        mistake = blame(error) if blame else None
        return LearnerError(type(error).__name__, _message(error), line, text, mistake)


def _place(error: BaseException, code: CodeType | None) -> tuple[int, str]:
    """The last line that ran in the learner's cell. A cell has a file name of its own."""
    line, text, trace = 0, "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if code and name == code.co_filename:
            line = trace.tb_lineno
            text = linecache.getline(name, line).strip()
        trace = trace.tb_next
    return line, text


def _message(error: BaseException) -> str:
    try:
        message = str(error)
    except (Stopped, KeyboardInterrupt):
        raise
    except BaseException:  # a class of the learner's whose __str__ fails
        return ""
    return message if len(message) <= MESSAGE else message[:MESSAGE] + " …"


def _kind_and_message(error: BaseException) -> str:
    return f"{type(error).__name__}: {_message(error)}".removesuffix(": ")
