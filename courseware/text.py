"""Text of the bank as HTML: Markdown, coloured code, and mathematics as MathML.

MathML is made here, in Python: JupyterLab does not typeset what is inside a widget, and MathJax
would need a network (https://www.w3.org/TR/mathml-core/).
"""

from __future__ import annotations

import functools
import html

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


@functools.cache
def _parser(mathml: bool) -> MarkdownIt:
    def mathematics(tex: str, options: dict) -> str:
        if mathml:
            return convert(tex, display="block" if options["display_mode"] else "inline")
        # Left as TeX: where the page has MathJax, as GitHub and JupyterLab do, it is typeset.
        mark = "$$" if options["display_mode"] else "$"
        return mark + html.escape(tex) + mark

    def fence(source: str, language: str, attributes: str) -> str:
        return code_html(source) if mathml else plain_code_html(source)

    parser = MarkdownIt("commonmark", {"html": False, "highlight": fence})
    return parser.use(dollarmath_plugin, renderer=mathematics, allow_space=False)


def markdown_html(text: str, *, mathml: bool = True) -> str:
    """HTML of a text of the bank. HTML in the text is shown, never taken as markup.

    A text of one paragraph comes without the <p> around it, so that it can follow a label.
    ``mathml=False`` leaves $…$ as it is, for a page that has MathJax.
    """
    rendered = _parser(mathml).render(text.strip()).strip()
    one = rendered.startswith("<p>") and rendered.endswith("</p>") and rendered.count("<p>") == 1
    return rendered[3:-4] if one else rendered


def code_lines(source: str) -> list[str]:
    """Each line of Python source as HTML, coloured by the classes of Pygments' short names."""
    coloured = highlight(source, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    return coloured.rstrip("\n").split("\n")


def code_html(source: str) -> str:
    """A coloured block of Python source."""
    body = "\n".join(code_lines(source.rstrip("\n")))
    return f"<pre><code>{body}</code></pre>"


def plain_code_html(source: str, *, numbered: bool = False) -> str:
    """A block of source without colours, for a page that knows no style sheet of ours."""
    lines = source.rstrip("\n").splitlines()
    if numbered:
        lines = [f"{number:>2}  {line}" for number, line in enumerate(lines, 1)]
    return f"<pre><code>{html.escape(chr(10).join(lines), quote=False)}</code></pre>"
