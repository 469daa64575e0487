"""What is declared is what is imported: an installation lacks nothing and brings nothing idle."""

import ast
import functools
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("course_utils", "courseware")
DEVELOPMENT = ("tools", "tests", "benchmarks")
# Started as commands or loaded as plugins by name; nothing imports them.
COMMANDS = {"jupyterlab", "nbval", "pytest-xdist", "ruff", "mypy", "import-linter"}
_distributions = functools.cache(packages_distributions)


def canonical(name: str) -> str:
    """The name of a distribution as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imports(source: str) -> set[str]:
    """The top names of all that a source imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


def imported(*folders: str) -> set[str]:
    """The distributions that the Python files of these folders import from."""
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert files
    ours = {*PACKAGES, *DEVELOPMENT, *(file.stem for file in (ROOT / "tests").rglob("*.py"))}
    names = set().union(*(imports(file.read_text(encoding="utf-8")) for file in files))
    foreign = names - sys.stdlib_module_names - ours
    unknown = [name for name in foreign if name not in _distributions()]
    assert not unknown, f"imported, but not installed: {unknown}"
    return {canonical(_distributions()[name][0]) for name in foreign}


def declared() -> set[str]:
    """The dependencies of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {canonical(re.match(r"[\w.-]+", line)[0]) for line in project["dependencies"]}


def required() -> set[str]:
    """What requirements.txt adds to the package."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {canonical(line) for line in lines if line and not line.startswith(("#", "-"))}


def test_the_package_declares_what_it_imports():
    assert declared() == imported(*PACKAGES)


def test_a_lesson_imports_what_the_package_brings():
    assert imported("lessons") <= declared()


def test_requirements_add_what_tools_tests_and_benchmarks_need():
    assert required() == imported(*DEVELOPMENT) - declared() | COMMANDS


def test_every_dependency_has_its_exact_version_for_ci():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonical(line.split("==")[0]) for line in lines if "==" in line}
    assert declared() | required() <= pinned


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b as c, d", {"a", "d"}),
        ("from e.f import g\nfrom . import h", {"e"}),
        ("def late():\n    try:\n        import i\n    except ImportError:\n        pass", {"i"}),
        ("x = 'import j'", set()),
    ],
)
def test_imports_are_found_where_they_stand(source, names):
    assert imports(source) == names
