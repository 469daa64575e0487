"""Binder's files, as far as they can be tried without its image: postBuild and start really run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder"
SCHEMAS = Path(sys.prefix) / "share/jupyter/lab/schemas"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Binder's images run Linux")


@pytest.fixture
def image(tmp_path):
    """A stand-in for Binder's environment, whose Python writes down what it is asked to do."""
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/asked\n[ "$FAIL" != "$2" ]\n')
    python.chmod(0o755)
    return tmp_path


def post_build(image, **env):
    settings = {**os.environ, "NB_PYTHON_PREFIX": str(image)} | env
    return subprocess.run(["bash", BINDER / "postBuild"], cwd=ROOT, env=settings).returncode


def test_post_build_installs_cpu_wheels_settings_and_data(image):
    assert post_build(image) == 0
    install, fetch = (image / "asked").read_text().splitlines()
    assert install.startswith("-m uv pip install --python")
    assert "--torch-backend cpu -r requirements.txt -c constraints.txt" in install
    assert fetch == "-m courseware.cli fetch"
    copied = image / "share/jupyter/lab/settings/overrides.json"
    assert copied.read_bytes() == (BINDER / "overrides.json").read_bytes()


def test_a_failed_install_fails_the_image(image):
    assert post_build(image, FAIL="uv") != 0
    assert len((image / "asked").read_text().splitlines()) == 1


@pytest.mark.skipif(not shutil.which("uv"), reason="uv comes with Binder or --cpu")
def test_uv_knows_these_options():
    said = subprocess.run(["uv", "pip", "install", "--help"], capture_output=True, text=True)
    assert "--torch-backend" in said.stdout and "cpu" in said.stdout


@pytest.mark.parametrize("name, value", [("OMP_NUM_THREADS", "2"), ("OMP_WAIT_POLICY", "PASSIVE")])
def test_start_sets_the_threads_and_hands_over(name, value):
    env = {key: other for key, other in os.environ.items() if key != name}
    command = ["bash", BINDER / "start", "printenv", name]
    assert subprocess.run(command, env=env, capture_output=True, text=True).stdout == f"{value}\n"


def test_scripts_are_executable():
    assert all(os.access(BINDER / name, os.X_OK) for name in ("postBuild", "start"))


def test_jupyterlab_knows_every_default():
    for plugin, settings in json.loads((BINDER / "overrides.json").read_text()).items():
        package, name = plugin.split(":")
        schema = json.loads((SCHEMAS / package / f"{name}.json").read_text())
        for key, value in settings.items():
            rule = schema["properties"][key]
            kinds = {"boolean": bool, "string": str, "object": dict}
            assert isinstance(value, kinds[rule["type"]])
            if "oneOf" in rule:
                assert value in [choice["const"] for choice in rule["oneOf"]]
