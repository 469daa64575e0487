"""Who may import whom: the contracts in pyproject.toml, held by import-linter."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]


def lint(folder: Path) -> subprocess.CompletedProcess:
    command = [*LINT, "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_nothing_imports_upwards():
    said = lint(ROOT)
    assert said.returncode == 0, said.stdout + said.stderr


def test_an_import_upwards_is_found(tmp_path):
    for name in ("course_utils", "courseware", "tools", "benchmarks", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    low = tmp_path / "course_utils"
    low.unlink()
    shutil.copytree(ROOT / "course_utils", low, ignore=shutil.ignore_patterns("__pycache__"))
    with (low / "store" / "folders.py").open("a", encoding="utf-8") as file:
        file.write("\nfrom course_utils import training\n")
    said = lint(tmp_path)
    assert said.returncode and "course_utils.store.folders -> course_utils.training" in said.stdout


LATE = {"sklearn", "scipy.stats", "pandas", "matplotlib.pyplot", "requests"}


def test_heavy_libraries_wait_until_they_are_used():
    """Together they take as long to import as torch."""
    core = [f"course_utils.{path.stem}" for path in (ROOT / "course_utils").glob("[a-z]*.py")]
    wanted = [*core, "course_utils.datasets", "courseware.claims"]
    code = f"import sys, {', '.join(wanted)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert set(wanted) <= loaded, run.stderr
    assert not loaded & LATE
