"""An executed lesson as a page of its own, which needs no network and runs no script.

nbconvert's page loads require.js, MathJax and Mermaid from a server. The lessons need only
mathematics of these; it becomes MathML here (https://www.w3.org/TR/mathml-core/).
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from bs4 import BeautifulSoup
from latex2mathml.converter import convert
from nbconvert import HTMLExporter

# nbconvert's own template, without the three blocks that load scripts.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""
# $$…$$; $…$ with no space inside, so that two prices are no formula; or \$, which is a dollar.
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(?!\s)([^$]+?)(?<![\s\\])\$(?!\d)|\\\$", re.DOTALL)
_NOT_TEXT = ["pre", "code", "script", "style", "textarea", "math"]


def write_page(notebook, target: Path, title: str) -> None:
    """Write an executed notebook to ``target`` as one HTML file."""
    exporter = HTMLExporter(raw_template=TEMPLATE)
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    target.write_text(offline(page), encoding="utf-8")


def offline(page: str) -> str:
    """``page`` with its formulas as MathML, and with their texts for pictures of other servers."""
    soup = BeautifulSoup(page, "html.parser")
    for picture in soup.select('img[src^="http"]'):  # a badge
        picture.replace_with(picture.get("alt", ""))
    for text in soup.find_all(string=_FORMULA):
        if not text.find_parent(_NOT_TEXT):
            markup = _FORMULA.sub(_mathml, html.escape(text, quote=False))
            text.replace_with(BeautifulSoup(markup, "html.parser"))
    return str(soup)


def _mathml(found: re.Match) -> str:
    shown, inline = found.groups()
    if found[0] == r"\$":
        return "$"
    tex = html.unescape(shown or inline)
    try:
        return convert(tex, display="block" if shown else "inline")
    except Exception:  # it has many errors, and no class for all: the source stays readable
        return found[0]
