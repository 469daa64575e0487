"""Run a function for real, and write down after each of its lines what that line changed."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from types import CodeType, FrameType

import torch

from courseware.limits import Bounded, Stopped, call_within
from courseware.stepper.looks import look
from courseware.stepper.source import Loop, Source, read_source, written
from courseware.stepper.state import Look, differences

MOST_PRINTED = 4_000  # characters of what is printed that are kept


@dataclass(frozen=True)
class Change:
    """A variable after a step: ``how`` is "new", "changed" or "gone", ``told`` says in what."""

    name: str
    how: str
    text: str = ""
    told: tuple[str, ...] = ()


@dataclass
class Step:
    """One line, run once. ``where`` says in which pass of which loop; ``raised`` and ``returned``
    are empty unless the line did so."""

    line: int
    changes: list[Change] = field(default_factory=list)
    where: str = ""
    printed: str = ""
    raised: str = ""
    returned: str = ""


@dataclass
class Recording:
    """What happened. ``ended`` is "returned", "raised" or "stopped", and ``message`` says so in
    words. ``value`` is what the function returned, None where it did not."""

    source: Source
    steps: list[Step]
    ended: str
    message: str
    value: object = None

    def to_json(self) -> dict:
        """All but ``value``, made of what JSON knows. A step has only what is not empty."""
        steps = []
        for step in self.steps:
            kept = {key: value for key, value in vars(step).items() if value != "" and value != []}
            kept["changes"] = [_kept(change) for change in step.changes]
            steps.append(kept)
        return {
            "title": self.source.title,
            "code": list(self.source.code),
            "ends": {str(line): end for line, end in self.source.ends.items()},
            "notes": {str(line): note for line, note in self.source.notes.items()},
            "steps": steps,
            "ended": self.ended,
            "message": self.message,
        }


def _kept(change: Change) -> dict:
    return {k: list(v) if k == "told" else v for k, v in vars(change).items() if v}


def record(
    function: Callable, *args, seconds: float = 5.0, max_steps: int = 500, **kwargs
) -> Recording:
    """Call ``function(*args, **kwargs)`` and record each of its lines.

    Only the function's own lines are recorded, not those of what it calls, which run untraced, nor
    those of its decorators, which do what they always do. What it prints is kept, not shown. An
    exception ends the recording and is part of it; only the stop button's KeyboardInterrupt is
    passed on. A function that is still at it after ``seconds`` or ``max_steps`` lines is stopped,
    as `limits.call_within` does it. A debugger or a coverage tool sees nothing of the call, and
    goes on after it.

    Raises
    ------
    TypeError, OSError : the function has no lines to show, see `source.written` and `read_source`
    """
    inner = written(function)
    source = read_source(inner)
    printed = Bounded(MOST_PRINTED)
    tracer = _Tracer(source, inner.__code__, max_steps, printed)
    ended, value, gradients = "returned", None, torch.is_grad_enabled()
    try:
        with redirect_stdout(printed):
            value = call_within(seconds, lambda: tracer.run(function, args, kwargs))
        message = tracer.returned(value)
    except Stopped:
        torch.set_grad_enabled(gradients)  # it may have been stopped on its way out of no_grad
        ended, message = "stopped", f"Stopped after {seconds:g} s: it did not come to an end."
        if tracer.too_many:
            message = f"Stopped after {max_steps} steps: it did not come to an end."
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, too
        ended, message = "raised", f"It raised {_words(error)}."
        tracer.raised(error)
    tracer.tell_passes(ended != "stopped")
    return Recording(source, tracer.steps, ended, message, value)


def _words(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text[:400]}" if text else type(error).__name__


class _Tracer:
    """Sees the lines of one call (https://docs.python.org/3/library/sys.html#sys.settrace)."""

    def __init__(self, source: Source, code: CodeType, max_steps: int, printed: Bounded) -> None:
        self.steps: list[Step] = []
        self.too_many = False
        self._source, self._code = source, code
        self._max_steps, self._printed = max_steps, printed
        self._frame: FrameType | None = None
        self._begun = -1  # the bytecode's place at which this step began
        self._jumps = _jumps_back(code)
        self._calls = 0  # a decorator may call the function again, or not at all
        self._left = False  # the one call that is recorded
        self._heard = 0  # characters of the print that earlier steps have
        self._known: dict[str, Look] = {}
        self._raised: int | None = None  # id of the exception that was told last
        self._stopped = False
        self._loops = _Passes(source.loops)

    def run(self, function: Callable, args: tuple, kwargs: dict):
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            return function(*args, **kwargs)
        finally:
            sys.settrace(before)
            self._frame = None

    def _called(self, frame: FrameType, event: str, argument):
        if frame.f_code is not self._code:
            return None  # what the function calls runs at full speed
        self._calls += self._left or self._frame is None
        if self._frame is not None:
            return None
        self._frame = frame
        self._begin(frame)
        return self._traced

    def _traced(self, frame: FrameType, event: str, argument):
        if self._stopped:
            return None
        if event == "line":
            # A statement of several lines comes back to its first; only a loop goes backwards.
            again = self._place(frame) <= self._begun
            if again or self._source.line(frame.f_lineno) != self.steps[-1].line:
                self._finish(frame)
                self._begin(frame)
        elif event == "exception":
            self._exception(argument)
        elif event == "return":
            self._finish(frame)
            self._left = True
            self.steps[-1].returned = look(argument).text if argument is not None else ""
        return self._traced

    def _begin(self, frame: FrameType) -> None:
        if len(self.steps) >= self._max_steps:
            self.too_many = True
            raise Stopped
        line = self._source.line(frame.f_lineno)
        self._begun = self._place(frame)
        self.steps.append(Step(line))
        self._loops.at(line, self._begun)

    def _place(self, frame: FrameType) -> int:
        """Where the bytecode goes on. ``f_lasti`` is the last instruction that was begun: when a
        loop jumps back to its own line, Python 3.13 says so from the jump, 3.12 from its target."""
        return self._jumps.get(frame.f_lasti, frame.f_lasti)

    def _finish(self, frame: FrameType) -> None:
        """Write into the last step what is different now."""
        step = self.steps[-1]
        now = {n: look(v) for n, v in frame.f_locals.items() if not n.startswith(("_", "."))}
        for name, seen in now.items():
            if name not in self._known:
                step.changes.append(Change(name, "new", seen.text))
            elif told := differences(self._known[name], seen):
                step.changes.append(Change(name, "changed", seen.text, tuple(told)))
        gone = [name for name in self._known if name not in now]
        step.changes += [Change(name, "gone") for name in gone]
        self._known = now
        step.printed += self._printed.kept[self._heard :]
        self._heard = len(self._printed.kept)

    def _exception(self, argument: tuple) -> None:
        kind, error, _ = argument
        if issubclass(kind, Stopped):
            # Soon the alarm rings again. By then the function must be left, each `with` in order.
            self._stopped = True
            return
        # A loop ends on a StopIteration; a `with` or `finally` passes on what was told before.
        if issubclass(kind, StopIteration) or id(error) == self._raised:
            return
        self._raised = id(error)
        self.steps[-1].raised = _words(error if error is not None else kind())

    def raised(self, error: BaseException) -> None:
        """The exception left the function."""
        if not self.steps:  # the arguments did not fit
            self.steps.append(Step(self._source.head))
        self.steps[-1].raised = self.steps[-1].raised or _words(error)

    def returned(self, value) -> str:
        """How it ended, where it did not raise an exception."""
        text = look(value).text if value is not None else ""
        told = f"It returned {text}." if text else "It came to its end."
        if not self._calls:
            self.steps.append(Step(self._source.head, returned=text))
            return f"{told} None of its lines ran here: a decorator keeps results or compiled it."
        last = self.steps[-1]
        if text != last.returned:
            own = f"raised {last.raised}" if last.raised else f"returned {last.returned or 'None'}"
            told = f"It {own}. Its decorator made of it: {text or 'None'}."
        if self._calls > 1:
            told += f" Its decorator called it {self._calls} times; this is the first."
        return told

    def tell_passes(self, complete: bool) -> None:
        """Say of each step in which pass of which loop it was."""
        for step, where in zip(self.steps, self._loops.told(complete), strict=False):
            step.where = where


def _jumps_back(code: CodeType) -> dict[int, int]:
    """The places of a function's jumps backwards, and where they lead."""
    steps = dis.get_instructions(code)
    return {step.offset: step.argval for step in steps if step.opname == "JUMP_BACKWARD"}


class _Passes:
    """Counts the passes of each loop, from the lines and places of the bytecode."""

    def __init__(self, loops: tuple[Loop, ...]) -> None:
        self._loops = loops
        self._open: dict[Loop, dict] = {}  # the run of a loop that is under way
        self._seen: list[tuple[int, dict[Loop, tuple[dict, int]]]] = []

    def at(self, line: int, place: int) -> None:
        """A step begins on this line, at this place of the bytecode."""
        before = self._seen[-1][0] if self._seen else 0
        inside = {}
        for loop in self._loops:
            if line in loop.body:
                run = self._open.setdefault(loop, {"place": place, "passes": 0})
                run["passes"] += place == run["place"]  # where the first pass began, too
                inside[loop] = (run, run["passes"])
            elif line != loop.line or before not in loop.body:
                self._open.pop(loop, None)
        self._seen.append((line, inside))

    def told(self, complete: bool) -> list[str]:
        """In words, a text for each step."""
        texts = []
        for number, (line, inside) in enumerate(self._seen):
            after = self._seen[number + 1][1] if number + 1 < len(self._seen) else {}
            parts = []
            for loop in self._loops:
                run, passes = inside.get(loop) or after.get(loop) or (None, 0)
                if loop not in inside and line != loop.line:
                    continue
                if run is None:
                    parts.append(f"the loop in line {loop.line} is over")
                    continue
                of = f" of {run['passes']}" if complete else ""
                parts.append(f"pass {passes}{of} of the loop in line {loop.line}")
            texts.append(", ".join(parts))
        return texts
