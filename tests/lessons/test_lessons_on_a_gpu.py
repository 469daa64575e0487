"""Lessons' own lines with their networks on a pretended GPU, at settings that cost little.

What a learner with a GPU meets first is a batch or a result left on the other device. The lines run
in this process, so that `PretendGPU` sees them; a dial is drawn once, without its widgets. Quizzes
and the exercises' trials (which run on the CPU by design) are left out.
"""

import linecache
import warnings
from inspect import isgenerator

import matplotlib
import pytest
import torch

import courseware.dials
from course_utils import features
from course_utils.datasets import flowers
from course_utils.device import device_of
from course_utils.strategies import contest
from tests.pretend import PretendGPU
from tools.builder.lesson import ROOT, read_course, tags
from tools.builder.notebook import lesson_notebook

LESSONS = sorted((ROOT / "lessons").glob("0[0-8]_*.py"))
TINY = {"PER_CLASS": 10, "EPOCHS": 1, "SEEDS": 2, "SIZE": 32, "BATCH": 4}
TINY |= {"POINTS": (20, 150, 1500), "RELATEDNESS": (0.0, 0.8, 1.0)}
DRAWN = {"train": 20, "val": 20, "test": 20}  # flowers of a class
# Settings that stand in a lesson's cells, and what they are here: by the lesson's number.
SMALLER = {
    "01": {
        "zip(middle, (24, 48, 96), ": "zip(middle, (8, 16, 32), ",
        "for side in {64, 96, 128, 224} - {SIZE}": "for side in {64, 224}",
    },
    "05": {
        "rates = [1e-5, 1e-4, 1e-3, 1e-2]": "rates = [1e-5, 1e-2]",
        "range(max(SEEDS, 3))": "range(2)",
        "steps=32": "steps=4",
        "for _ in range(8)": "for _ in range(2)",
    },
}
LEFT_OUT = {"bootstrap", "quiz", "self-check"}
pytestmark = [pytest.mark.lessons, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One folder for all lessons: the flowers are drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path, cache):
    """No weights, no network: the code paths count, and random weights are as good."""
    for name, value in {
        "COURSE_OFFLINE": "1",
        "COURSE_FLOWERS": "rendered",
        "COURSE_STRICT": "0",
        "COURSE_CACHE_DIR": str(cache),
        "TORCH_HOME": str(tmp_path),
        "TQDM_DISABLE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(flowers, "RENDERED_PER_CLASS", DRAWN)
    monkeypatch.setattr(contest, "STEPS", 4)
    monkeypatch.setattr(contest, "PRETRAINING", contest.PRETRAINING | {"steps": 4})
    monkeypatch.setattr(courseware.dials, "explore", draw_once)
    matplotlib.use("Agg")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def draw_once(draw, *, alt: str = "", **controls) -> None:
    """In place of `explore`: what a dial's function does at the first setting, to its end."""
    drawn = draw(**{name: control.value for name, control in controls.items()})
    if isgenerator(drawn):
        assert list(drawn)


def code_of(lesson) -> list[str]:
    """The lesson's code cells with tiny parameters."""
    sources = []
    for cell in lesson_notebook(lesson, read_course()).cells:
        if cell.cell_type != "code" or LEFT_OUT & set(tags(cell)):
            continue
        source = cell.source
        if "parameters" in tags(cell):
            names = [name for name in TINY if f"\n{name} =" in f"\n{source}"]
            source += "".join(f"\n{name} = {TINY[name]}" for name in names)
        sources.append(source)
    for old, new in SMALLER.get(lesson.stem[:2], {}).items():
        sources = replaced(sources, old, new)
    return sources


def replaced(sources: list[str], old: str, new: str) -> list[str]:
    """The cells with another setting; a lesson that has changed must not run long unnoticed."""
    assert any(old in source for source in sources), f"no cell holds {old!r} any more"
    return [source.replace(old, new) for source in sources]


def run_cells(sources: list[str], name: str) -> None:
    """Execute cells one after the other in one namespace; an error names the cell."""
    space = {"__name__": "__main__"}
    for number, source in enumerate(sources):
        path = f"<{name}, cell {number}>"
        linecache.cache[path] = (len(source), None, source.splitlines(True), path)
        with warnings.catch_warnings():
            exec(compile(source, path, "exec"), space)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_with_its_networks_on_a_gpu(lesson):
    with PretendGPU() as gpu:
        run_cells(code_of(lesson), lesson.stem)
    assert gpu.parameters > 0, "no network was put on the GPU"


def test_a_forgotten_to_in_a_lesson_is_found():
    lesson = ROOT / "lessons" / "05_fine_tuning.py"
    sources = code_of(lesson)
    place = next(n for n, source in enumerate(sources) if "slice(None), device=device" in source)
    broken = sources[place].replace("slice(None), device=device", "slice(None)")
    with PretendGPU():
        run_cells(sources[: place + 1], lesson.stem)
        with pytest.raises(RuntimeError, match="same device"):
            run_cells([*sources[:place], broken], lesson.stem)


def test_a_cpu_in_a_helper_is_found(monkeypatch):
    """`embed` that leaves the model on the CPU: the lesson meets it when it goes on with it."""
    lesson = ROOT / "lessons" / "04_feature_extraction.py"
    monkeypatch.setattr(features, "best_layout", lambda model: device_of(model.cpu()))
    with PretendGPU(), pytest.raises(RuntimeError, match="same device"):
        run_cells(code_of(lesson), lesson.stem)
