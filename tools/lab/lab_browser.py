"""A real JupyterLab in a real browser, without a network: for screenshots and for browser tests.

Needs Chromium and Playwright (https://playwright.dev/python/docs/library).
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.builder.execute import TIMEOUT, kernel_env

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
# Settings by extension: nothing that asks the network; every cell drawn, not only those in view.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
IS_IDLE = """() => {
  const widget = window.jupyterapp.shell.currentWidget;
  const kernel = widget?.sessionContext?.session?.kernel;
  return kernel?.status === "idle" && kernel.connectionStatus === "connected";
}"""


@contextmanager
def jupyterlab(folder: Path, theme: str = "light", **variables: str) -> Iterator[str]:
    """A JupyterLab that serves ``folder`` with settings of its own; its address.

    ``variables`` are added to the environment of its kernels.
    """
    with tempfile.TemporaryDirectory() as home:
        chosen = {"theme": THEMES[theme], "adaptive-theme": False}  # whatever the system prefers
        settings = {**SETTINGS, "apputils-extension/themes": chosen}
        for name, values in settings.items():
            file = Path(home, "settings/@jupyterlab", f"{name}.jupyterlab-settings")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        with Path(home, "log").open("w+", encoding="utf-8") as log:
            server = subprocess.Popen(
                _server_command(folder, port),
                env=_server_env(home) | variables,
                stdout=log,
                stderr=log,
            )
            try:
                _wait_for(address, server, log)
                yield address
            finally:
                server.terminate()
                server.wait(30)


def _server_command(folder: Path, port: int) -> list[str]:
    # No token: the server listens on this machine only, for the minute the pictures take.
    options = [
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
    ]
    return [sys.executable, "-m", "jupyterlab", *options]


def _server_env(home: str) -> dict[str, str]:
    places = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    # A learner is not strict, and sees progress bars.
    env = kernel_env(COURSE_STRICT="0", TQDM_DISABLE="")
    return env | {name: f"{home}/{folder}" for name, folder in places.items()}


def _wait_for(address: str, server: subprocess.Popen, log) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    log.seek(0)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read()[-2000:]}")


def find_chromium() -> str | None:
    """The program file of Chromium or Chrome, or None."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium() -> Iterator:
    """A headless browser of Playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


def open_notebook(
    browser, address: str, name: str, width: int, *, run: bool = False, height: int = 1700
):
    """A page with the notebook drawn in full, and the list of errors its console will collect."""
    page = browser.new_page(viewport={"width": width, "height": height})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"page error: {error}"))
    page.on("console", lambda message: _keep_error(message, address, errors))
    page.route("**/*", lambda route: _only_local(route, address))
    page.goto(f"{address}/lab/workspaces/w{time.time_ns()}/tree/{name}?reset")
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(IS_IDLE, timeout=60_000)
    page.evaluate("""() => {
        window.jupyterapp.shell.collapseLeft();
        window.jupyterapp.shell.collapseRight();
    }""")
    if run:
        run_all(page)
    page.wait_for_timeout(1500)  # formulas and pictures settle
    return page, errors


def run_all(page) -> None:
    """Run all cells of the open notebook, and wait until the kernel has done so."""
    page.set_default_timeout(TIMEOUT * 1000)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(IS_IDLE)


def _keep_error(message, address: str, errors: list[str]) -> None:
    # A badge that was not fetched is what _only_local asked for.
    foreign = not message.location.get("url", "").startswith(address)
    if message.type == "error" and not (foreign and "ERR_FAILED" in message.text):
        errors.append(f"console: {message.text[:200]}")


def _only_local(route, address: str) -> None:
    local = (address, address.replace("http", "ws", 1), "data:", "blob:")
    route.continue_() if route.request.url.startswith(local) else route.abort()
