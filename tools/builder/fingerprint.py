"""What decides a notebook's outputs, as one hash: its code cells and the modules they import."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

from tools.builder.lesson import QUIZ, ROOT, tags

VERSION = 1  # raise it when the build itself would change stored outputs
PACKAGES = ("course_utils", "courseware")


def fingerprint(notebook, root: Path = ROOT) -> str:
    """SHA-256 (hex) over all that decides the outputs: the code cells and the modules they use.

    Comments and docstrings of the modules are left out, and so are the bootstrap cell (it does
    nothing here) and quiz cells (the build makes their outputs, see quiz_cells.py).
    """
    apart = {"bootstrap", QUIZ}
    code = [c for c in notebook.cells if c.cell_type == "code" and not apart & tags(c)]
    cells = [[c.source, sorted(tags(c)), c.metadata.get("alt", "")] for c in code]
    parts = [VERSION, cells, _modules([c.source for c in code], root)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _modules(sources: list[str], root: Path) -> dict[str, str]:
    """Every module of the packages that the sources import, directly or not, as normalised code."""
    found: dict[str, str] = {}
    waiting = [name for source in sources for name in _imports(source, root)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            source = _module_file(name, root).read_text(encoding="utf-8")
            found[name] = repr(_shape(ast.parse(source)))
            waiting += _imports(source, root)
    return found


def _imports(source: str, root: Path) -> list[str]:
    # A cell may hold IPython's own syntax (%matplotlib, !ls), which is no import.
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    names = []
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [n for n in names if n.split(".")[0] in PACKAGES and _module_file(n, root)]


def _module_file(name: str, root: Path) -> Path | None:
    place = root.joinpath(*name.split("."))
    files = [place.with_name(place.name + ".py"), place / "__init__.py"]
    return next((file for file in files if file.is_file()), None)


def _shape(node):
    # ast.dump would do, but its text differs from one Python version to the next.
    if isinstance(node, list):
        return [_shape(item) for item in node if not _is_docstring(item)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(key, _shape(value)) for key, value in ast.iter_fields(node)]
    return type(node).__name__, [field for field in fields if field[1] not in ([], "None")]


def _is_docstring(node) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
