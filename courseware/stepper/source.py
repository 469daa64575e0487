"""A function's source as the stepper shows it: code without comments, and comments as notes."""

from __future__ import annotations

import ast
import functools
import inspect
import io
import textwrap
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, field

TITLE = "Lines to step through:"


@dataclass(frozen=True)
class Loop:
    """A ``for`` or ``while``: the line of its head, and the lines of its body."""

    line: int
    body: range


@dataclass(frozen=True)
class Source:
    """What is shown of a function; lines are counted from 1 in ``code``, comments left out.

    ``notes`` has a text for each line that has one, ``ends`` the last line of each statement of
    several. ``head`` is the line with ``def``, ``loops`` run from the outside inwards.
    """

    title: str
    head: int
    code: tuple[str, ...]
    notes: dict[int, str]
    ends: dict[int, int]
    loops: tuple[Loop, ...]
    _starts: dict[int, int] = field(repr=False)  # from a line of the file to its statement's

    def line(self, in_file: int) -> int:
        """The line, as shown, on which the statement begins that holds this line of the file."""
        return self._starts[in_file]


def written(function: Callable) -> Callable:
    """The function whose lines are meant: the one behind decorators (as far as these used
    ``functools.wraps``), a method, ``functools.partial``, or a module, which has ``forward``.

    Raises
    ------
    TypeError : it was not made by ``def``, or does not run when it is called
    """
    found = function
    for _ in range(100):  # as decorators go; a ``__wrapped__`` may lead back to itself
        if isinstance(found, functools.partial):
            found = found.func
        elif inspect.ismethod(found):
            found = found.__func__
        elif hasattr(found, "__wrapped__"):
            found = found.__wrapped__
        elif not inspect.isroutine(found) and inspect.ismethod(getattr(found, "forward", None)):
            found = getattr(found, "forward")  # noqa: B009 - a Callable has none for mypy
    if not inspect.isfunction(found):
        raise TypeError(f"{function!r} cannot be stepped through: give a function made by def")
    if found.__name__ == "<lambda>":
        raise TypeError("a lambda is one line: to step through it, give a function made by def")
    if inspect.isgeneratorfunction(found) or inspect.iscoroutinefunction(found):
        raise TypeError(
            f"{found.__name__} is a generator or async: calling it runs no line. Step through a "
            "function that loops over it, or awaits it."
        )
    return found


def read_source(function: Callable) -> Source:
    """The source of a function that was written with ``def``, in a file or in a notebook's cell.

    A comment behind a statement, or on lines of its own before it, is that statement's note. The
    title is what follows ``# Lines to step through:`` directly above the function, else its name.
    Decorators are shown; they run no line when the function is called.

    Parameters
    ----------
    function : from `written`

    Raises
    ------
    OSError : its source cannot be found
    """
    try:
        text = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(text).body[0]
    except (OSError, SyntaxError) as error:  # a text inside may stand too far to the left
        raise OSError(f"no source of {function.__name__}: define it in a cell or a file") from error
    starts = _statement_starts(tree, text.count("\n") + 1)
    code, shown = _without_comments(text)
    first = function.__code__.co_firstlineno
    return Source(
        title=_title(function),
        head=shown[tree.lineno],
        code=tuple(code),
        notes=_notes(text, starts, shown),
        ends={
            shown[start]: shown[line]
            for line, start in starts.items()
            if shown[line] > shown[start]
        },
        loops=_loops(tree, shown),
        _starts={first + line - 1: shown[start] for line, start in starts.items()},
    )


def _title(function: Callable) -> str:
    above = (inspect.getcomments(function) or "").strip().lstrip("# ")
    if above.startswith(TITLE):
        return above.removeprefix(TITLE).splitlines()[0].strip()
    return function.__name__.replace("_", " ")


def _statement_starts(tree: ast.stmt, lines: int) -> dict[int, int]:
    """For each line of the source the line on which the innermost statement there begins.

    Of a statement with a body, only the head counts as its own.
    """
    starts = {line: max(line, tree.lineno) for line in range(1, lines + 1)}  # decorators: the head
    for node in ast.walk(tree):  # from the outside inwards
        if not isinstance(node, ast.stmt):
            continue
        end = node.end_lineno or node.lineno
        if body := getattr(node, "body", None):
            end = max(node.lineno, body[0].lineno - 1)
        for line in range(node.lineno, end + 1):
            starts[line] = starts[node.lineno] if line == node.lineno else node.lineno
    return starts


def _comments(text: str) -> dict[int, tuple[int, str]]:
    """By line: the column at which a comment starts, and its words."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [token for token in tokens if token.type == tokenize.COMMENT]
    return {token.start[0]: (token.start[1], token.string.lstrip("# ")) for token in found}


def _without_comments(text: str) -> tuple[list[str], dict[int, int]]:
    """The lines that are shown, and where each line of the source has gone."""
    comments, code, shown = _comments(text), [], {}
    for number, line in enumerate(text.splitlines(), start=1):
        kept = line[: comments[number][0]].rstrip() if number in comments else line.rstrip()
        if kept or number not in comments:
            code.append(kept)
        shown[number] = max(len(code), 1)
    return code, shown | {len(shown) + 1: len(code)}


def _notes(text: str, starts: dict[int, int], shown: dict[int, int]) -> dict[int, str]:
    comments = _comments(text)
    notes: dict[int, list[str]] = {}
    waiting: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        column, words = comments.get(number, (0, ""))
        if words and not line[:column].strip():
            waiting.append(words)
        elif line.strip():
            told = [*waiting, words] if words else waiting
            waiting = []
            if told:
                notes.setdefault(shown[starts[number]], []).extend(told)
    return {line: " ".join(told) for line, told in notes.items()}


def _loops(tree: ast.stmt, shown: dict[int, int]) -> tuple[Loop, ...]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
    loops = []
    for node in found:
        first, last = node.body[0].lineno, node.body[-1].end_lineno or node.lineno
        if first > node.lineno:  # a loop on one line is one step
            loops.append(Loop(shown[node.lineno], range(shown[first], shown[last] + 1)))
    return tuple(loops)
