"""The files of a widget as the one module and the one style sheet that anywidget takes.

Each .mjs is a module of its own, which Node can import. A notebook has no address to import from.
"""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{[\w, ]+\} from "(.+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)
_THEME = Path(__file__).parent / "theme.css"


def module(entry: Path) -> str:
    """The JavaScript of ``entry`` and of all it imports, each file once and after what it needs.

    They share one scope then: a name at the top of one file may stand in no other, an import must
    not rename, and none may lead back to where it came from.
    """
    files: dict[Path, str] = {}
    _collect(entry.resolve(), files)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in files.values())


def _collect(file: Path, files: dict[Path, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for name in _IMPORT.findall(text):
        needed = (file.parent / name).resolve()
        if needed not in files:
            _collect(needed, files)
    files[file] = text


def styles(own: Path) -> str:
    """What all widgets share, then a widget's own style sheet."""
    return "\n".join(file.read_text(encoding="utf-8") for file in (_THEME, own))
