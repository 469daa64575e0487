"""The quiz in a real JupyterLab, in headless Chromium, offline; one skip where that is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from notebook_page import Tab

from tools.lab.lab_browser import chromium, find_chromium, jupyterlab

HERE = Path(__file__).parent


def what_is_missing() -> str:
    """Why no browser test can run here, and what to do; empty where they can."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is missing: pip install playwright"
    if find_chromium() or _playwrights_own():
        return ""
    return "Chromium is missing: apt-get install chromium, or python -m playwright install chromium"


def _playwrights_own() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


def pytest_collection_modifyitems(config, items):
    """One skipped test stands for all of them."""
    ours = [item for item in items if HERE in item.path.parents]
    told = ours and what_is_missing()
    if told:
        ours[0].add_marker(pytest.mark.skip(reason=told))
        items[:] = [item for item in items if item not in ours[1:]]
        config.stash[_TOLD] = f"The {len(ours)} browser tests are skipped. {told}"


def pytest_terminal_summary(terminalreporter, config):
    if told := config.stash.get(_TOLD, ""):
        terminalreporter.write_line(told)


_TOLD = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def tab(browser, tmp_path_factory):
    """JupyterLab in a tab, for `notebook_page.opened`."""
    folder = tmp_path_factory.mktemp("lab")
    with jupyterlab(folder, OMP_NUM_THREADS="1") as address:
        yield Tab(browser, address, folder)
