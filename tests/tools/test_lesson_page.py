"""The page of an executed lesson: it opens without a network."""

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.lesson_page import write_page

WIDGET = "application/vnd.jupyter.widget-view+json"
TEXT = """# 4 · Title
[![Open in Colab](https://example.org/badge.svg)](https://example.org/lesson)

The loss is $-\\ln p < 1$ where $p$ is small: `$x$` costs $5 and \\$6. $\\frac{$

$$y = \\sqrt{1 - r^2} \\cdot x$$
"""


@pytest.fixture
def page(tmp_path):
    bundle = {"text/html": "<p>a formula $BAx$</p><pre>$HOME and $x$</pre>"}
    outputs = [
        new_output("display_data", data=bundle),
        new_output("display_data", data={WIDGET: {"model_id": "1"}, "text/plain": "a slider"}),
        new_output("display_data", data={"text/latex": "$\\alpha$"}),
    ]
    cells = [new_markdown_cell(TEXT), new_code_cell("print('$x$')", outputs=outputs)]
    write_page(new_notebook(cells=cells), tmp_path / "a.html", "04_feature_extraction")
    return (tmp_path / "a.html").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_anywhere(page):
    soup = BeautifulSoup(page, "html.parser")
    loading = soup.select("[src], link[href], object, iframe, embed")
    assert [tag for tag in loading if not tag.get("src", "").startswith("data:")] == []
    scripts = [script.get_text() for script in soup.select("script")]
    assert not any("http" in script or "import" in script for script in scripts)
    styles = " ".join(style.get_text() for style in soup.select("style"))
    assert "@import" not in styles and "url(http" not in styles.replace('"', "").replace("'", "")
    assert soup.title.text == "04_feature_extraction"
    assert soup.select_one('a[href="https://example.org/lesson"]').text == "Open in Colab"


def test_formulas_are_mathml_and_code_stays_code(page):
    soup = BeautifulSoup(page, "html.parser")
    formulas = [formula.get_text("", strip=True) for formula in soup.select("math")]
    assert formulas == ["−lnp<1", "p", "y=1−r2·x", "BAx", "α"]
    assert [formula["display"] for formula in soup.select("math")] == [
        *("inline", "inline", "block", "inline", "inline")
    ]
    text = soup.get_text()
    assert "$x$ costs $5 and $6." in text, "code, and two prices"
    assert "$\\frac{$" in text, "what is no formula stays as it was written"
    assert "print('$x$')" in text and "$HOME and $x$" in text
