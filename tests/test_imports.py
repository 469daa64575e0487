"""Who may import whom inside course_utils: the table below is the design, the code must follow."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "course_utils"
MAY_IMPORT = {
    "__init__": set(),
    "files": set(),
    "runtime": set(),
    "stats": set(),
    "surgery": set(),
    "synthetic": set(),
    "stacked": {"synthetic"},
    "strategies": {"runtime", "stats", "stacked", "synthetic"},
    "memory": set(),
    "kept": {"runtime"},
    "low_rank": {"surgery"},
    "ways": {"files"},
    "explorers": set(),  # so far; the dials of the lessons may use all of the above
    "plots": set(),
    "maps": {"plots"},
    "live": {"plots"},
    "mirror": set(),
    "petals": set(),
    "blossoms": {"petals"},
    "claims": {"stats"},
    "weights": {"runtime", "mirror"},
    "images": {"runtime"},
    "photos": {"files", "runtime"},
    "rendered": {"images", "petals", "blossoms"},
    "flowers": {"runtime", "images", "photos", "petals", "blossoms", "rendered"},
    "training": {"runtime", "surgery", "images", "plots"},
    "features": {"runtime", "kept", "surgery", "images", "training"},
    "split": {"surgery"},
    "prefix": {"runtime", "surgery", "images", "training", "split"},
    "arms": {"features", "images", "prefix", "surgery", "training"},
    "grid": {"files", "stats"},
    "guide": {"explorers", "grid"},
    "lens": {"runtime", "surgery", "images"},
    "survey": {"runtime", "kept", "surgery", "images"},
    "batchnorm": {"runtime", "surgery", "images", "training"},
    "doctor": {"runtime", "weights", "photos"},
    "cli": {
        *("weights", "photos", "doctor"),
        *("quiz/bank", "quiz/panel", "quiz/progress", "quiz/records"),
    },
    "quiz/__init__": set(),
    "quiz/schema": set(),
    "quiz/bank": {"files", "quiz/schema"},
    "quiz/grading": set(),
    "quiz/proofs": {"quiz/grading"},
    "quiz/text": set(),
    "quiz/payload": {"quiz/grading", "quiz/text"},
    "quiz/static": {"quiz/payload", "quiz/text"},
    "quiz/widget": {"quiz/payload"},
    "quiz/plain": {"quiz/grading", "quiz/payload", "quiz/static", "quiz/text"},
    "quiz/draw": set(),
    "quiz/overview": set(),
    "quiz/panel": {"exercises/store", "quiz/bank", "quiz/overview", "quiz/progress"},
    "quiz/records": set(),
    "quiz/storage": {"quiz/records"},
    "quiz/progress": {"quiz/records", "quiz/storage"},
    "quiz/show": {
        *("quiz/bank", "quiz/draw", "quiz/payload", "quiz/progress"),
        *("quiz/static", "quiz/widget", "quiz/plain"),
    },
    "exercises/__init__": set(),
    "exercises/store": {"files"},
    "exercises/limits": set(),
    "exercises/attempt": {"exercises/limits"},
    "exercises/networks": {"surgery"},
    "exercises/trial": {"exercises/attempt"},
    **{
        f"exercises/on_{topic}": {
            *("surgery", "exercises/attempt", "exercises/networks", "exercises/trial"),
        }
        for topic in (
            *("loading", "flags", "training", "heads", "features"),
            *("groups", "unfreezing", "batchnorm", "recalibration", "evaluation"),
        )
    },
    "exercises/on_statistics": {"exercises/attempt", "exercises/trial"},
    "exercises/on_adapters": {"exercises/attempt", "exercises/trial"},
    "exercises/report": {"quiz/text", "exercises/attempt", "exercises/limits"},
    "exercises/examine": {
        *("exercises/on_loading", "exercises/on_flags", "exercises/on_training"),
        *("exercises/on_heads", "exercises/on_features", "exercises/on_groups"),
        *("exercises/on_unfreezing", "exercises/on_batchnorm", "exercises/on_recalibration"),
        *("exercises/on_statistics", "exercises/on_evaluation", "exercises/on_adapters"),
        *("exercises/attempt", "exercises/limits", "exercises/report", "exercises/store"),
        "exercises/trial",
    },
    "stepper/__init__": set(),
    "stepper/source": set(),
    "stepper/state": set(),
    "stepper/looks": {"stepper/state"},
    "stepper/record": {
        *("exercises/limits", "stepper/looks", "stepper/source", "stepper/state"),
    },
    "stepper/static": {"quiz/text", "stepper/record"},
    "stepper/widget": {"quiz/text", "stepper/record"},
    "stepper/show": {"stepper/record", "stepper/static", "stepper/widget"},
    "exercises/check": {
        *("exercises/examine", "exercises/report", "exercises/store", "quiz/progress"),
    },
}
MODULES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = {f"course_utils.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}


def key(path: Path) -> str:
    """A module's name in the table: its path inside the package, as quiz/bank."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def imports(source: str) -> set[str]:
    """The course's modules that a source imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write from course_utils.module import name"
            if node.module in ("course_utils", *PACKAGES):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            else:
                names.add(node.module)
    ours = (name.split(".")[1:] for name in names if name.startswith("course_utils."))
    return {"/".join(parts) for parts in ours}


def test_the_reader_sees_every_form():
    source = """
import course_utils.stats
from course_utils import images, plots
def late():
    from course_utils.weights import obtain
    from course_utils.quiz.bank import read_bank
    from course_utils.quiz import draw
    import torch
"""
    assert imports(source) == {"stats", "images", "plots", "weights", "quiz/bank", "quiz/draw"}


@pytest.mark.parametrize("path", MODULES, ids=key)
def test_a_module_imports_only_what_it_may(path):
    assert key(path) in MAY_IMPORT, "a new module: add it to the table, with what it may import"
    extra = imports(path.read_text(encoding="utf-8")) - MAY_IMPORT[key(path)]
    assert not extra, f"{key(path)} must not import {sorted(extra)}"


def test_the_table_names_only_modules_that_exist():
    assert set(MAY_IMPORT) == {key(path) for path in MODULES}


def test_nothing_imports_in_a_circle():
    done, remaining = set(), {name: set(needs) for name, needs in MAY_IMPORT.items()}
    while remaining:
        free = {name for name, needs in remaining.items() if needs <= done}
        assert free, f"a circle among {sorted(remaining)}"
        done |= free
        remaining = {name: needs for name, needs in remaining.items() if name not in free}


def test_no_star_import():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names), path.name
