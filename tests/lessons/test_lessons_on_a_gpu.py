"""Lessons' own lines with their networks on a pretended GPU, at settings that cost little.

What a learner with a GPU meets first is a batch or a result left on the other device. The lines run
in this process, so that `PretendGPU` sees them; quizzes, dials and the exercises' trials (which run
on the CPU by design) are left out.
"""

import linecache
import warnings

import matplotlib
import pytest
import torch

from tests.pretend import PretendGPU
from tools.builder.lesson import ROOT, read_course, tags
from tools.builder.notebook import lesson_notebook

# Lessons 05 to 08 take minutes even so, on the pretended GPU; of 05 the first half is run below.
LESSONS = sorted((ROOT / "lessons").glob("0[0-4]_*.py"))
TINY = {"PER_CLASS": 10, "EPOCHS": 1, "SEEDS": 2, "SIZE": 64, "BATCH": 4}
LARGER = {"01_loading_pretrained_models": {"SIZE": 96}}  # it cuts patches of 96 pixels
LEFT_OUT = {"bootstrap", "quiz", "dial", "self-check"}
pytestmark = [pytest.mark.lessons, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """No weights, no network: the code paths count, and random weights are as good."""
    for name, value in {
        "COURSE_OFFLINE": "1",
        "COURSE_FLOWERS": "rendered",
        "COURSE_STRICT": "0",
        "TORCH_HOME": str(tmp_path),
        "TQDM_DISABLE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    matplotlib.use("Agg")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def code_of(lesson) -> list[str]:
    """The lesson's code cells with tiny parameters."""
    settings, sources = TINY | LARGER.get(lesson.stem, {}), []
    for cell in lesson_notebook(lesson, read_course()).cells:
        if cell.cell_type != "code" or LEFT_OUT & set(tags(cell)):
            continue
        source = cell.source
        if "parameters" in tags(cell):
            names = [name for name in settings if f"\n{name} =" in f"\n{source}"]
            source += "".join(f"\n{name} = {settings[name]}" for name in names)
        sources.append(source)
    return sources


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
    with PretendGPU():
        run_cells(code_of(lesson), lesson.stem)


def test_a_forgotten_to_in_a_lesson_is_found():
    lesson = ROOT / "lessons" / "05_fine_tuning.py"
    sources = code_of(lesson)
    place = next(n for n, source in enumerate(sources) if "slice(None), device=device" in source)
    broken = sources[place].replace("slice(None), device=device", "slice(None)")
    with PretendGPU():
        run_cells(sources[: place + 1], lesson.stem)
        with pytest.raises(RuntimeError, match="same device"):
            run_cells([*sources[:place], broken], lesson.stem)
