"""The sections of a lesson: its `##` headings, and the names by which links reach them."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^(```|~~~)")
_SECTION = re.compile(r"^## +(.*\S)")
# JupyterLab compares the address's fragment with the heading's text as the browser wrote it, and a
# browser writes these characters, and all beyond ASCII, as %…; such a heading is never found.
_UNREACHABLE = re.compile(r"[^ -~]|[\"<>%\\\[\]$]")


def sections(markdown: str) -> list[str]:
    """The `##` headings of one markdown cell, as written."""
    found, code = [], False
    for line in markdown.splitlines():
        code ^= bool(_FENCE.match(line))
        match = _SECTION.match(line)
        if match and not code:
            found.append(match[1])
    return found


def anchor(heading: str) -> str:
    """The name of a heading in JupyterLab and in nbconvert (and so in the viewers made of it):
    its text as shown, case kept, with a hyphen for each space."""
    return re.sub(r"[`*]", "", heading).replace(" ", "-")


def heading_problem(headings: list[str]) -> str:
    """Why a link could not reach one of these headings of one lesson; empty if all can be."""
    for heading in headings:
        match = _UNREACHABLE.search(heading)
        if match:
            return f"no link can reach the heading {heading!r}: write it without {match[0]!r}"
        if headings.count(heading) > 1:
            return f"two sections are called {heading!r}: links could reach only the first"
    return ""
