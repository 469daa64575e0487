"""The cheat sheet promises one page: printed to PDF on both papers, and with a larger font."""

import re

import pytest

from tools.builder.lesson import ROOT

SHEET = ROOT / "docs" / "cheat_sheet.html"


@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("scale", [1.0, 1.03], ids=["as it is", "with a wider font"])
def test_it_prints_on_one_page(browser, paper, scale):
    page = browser.new_page()
    page.goto(SHEET.as_uri())
    pdf = page.pdf(format=paper, scale=scale, prefer_css_page_size=False)
    page.close()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1


def test_it_needs_nothing_but_itself():
    assert not re.search(r"https?:|src=|@import|url\(", SHEET.read_text(encoding="utf-8"))
