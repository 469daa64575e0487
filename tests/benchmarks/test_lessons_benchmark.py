"""The lesson table of the README says what was measured, and nothing else of the README changes."""

import importlib.util
import json

import nbformat
import pytest

from tools.builder.lesson import ROOT


def benchmark(name: str):
    spec = importlib.util.spec_from_file_location(
        f"bench_{name}", ROOT / "benchmarks" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lesson_costs, dials = benchmark("lessons"), benchmark("dials")


@pytest.fixture
def folder(tmp_path):
    for stem, title in (("03_head_swap", "# 3 · Head swap"), ("00_start_here", "# Start")):
        head = nbformat.v4.new_markdown_cell(f"{title}\n**Promise.**\n\n*Time* 20 min · *Before*")
        nbformat.write(nbformat.v4.new_notebook(cells=[head]), tmp_path / f"{stem}.ipynb")
    return tmp_path


def test_a_row_for_each_notebook(folder):
    costs = {"lessons": {"03_head_swap": {"seconds": 21.6, "peak_bytes": 1_240_000_000}}}
    assert lesson_costs.table(costs, folder).splitlines()[2:] == [
        "| 00 | [Start](notebooks/00_start_here.ipynb) | 20 min | – | – |",
        "| 03 | [Head swap](notebooks/03_head_swap.ipynb) | 20 min | 22 s | 1.2 GB |",
    ]


def test_a_lesson_that_does_not_tell_its_time_is_named():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 3 · Head swap")])
    with pytest.raises(ValueError, match="Head swap: no \\*Time\\*"):
        lesson_costs.title_and_minutes(notebook)


def test_only_what_is_between_the_markers_changes(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{lesson_costs.BEGIN}\nold\n{lesson_costs.END}\nafter\n")
    for _ in range(2):
        lesson_costs.write_table(readme, "| new |")
        assert readme.read_text() == (
            f"before\n{lesson_costs.BEGIN}\n| new |\n{lesson_costs.END}\nafter\n"
        )
    readme.write_text("no markers")
    with pytest.raises(ValueError, match="README.md lacks"):
        lesson_costs.write_table(readme, "| new |")


def test_measured_for_real(monkeypatch):
    """One small notebook: seconds and memory of the kernel that ran it."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import time; time.sleep(1); x = bytearray(300_000_000)")]
    )
    monkeypatch.setattr(lesson_costs, "read", lambda path: notebook)
    cost = lesson_costs.measure(ROOT / "lessons" / "05_x.py", "unused")
    assert 1 < cost["seconds"] < 120
    assert 300_000_000 < cost["peak_bytes"] < 3_000_000_000


def test_the_summary_of_a_dial_tells_its_percentiles():
    assert dials.summary([float(n) for n in range(101)]) == {
        "moves": 101,
        "p50_ms": 50.0,
        "p95_ms": 95.0,
    }
    assert dials.summary([7.0]) == {"moves": 1, "p50_ms": 7.0, "p95_ms": 7.0}
    assert dials.summary([]) == {"moves": 0}  # nothing changed on the page


def test_the_committed_latencies_name_dials_that_the_lessons_have():
    rows = json.loads(dials.RESULTS.read_text(encoding="utf-8"))["controls"]
    for row in rows:
        source = (ROOT / "lessons" / f"{row['lesson']}.py").read_text(encoding="utf-8")
        assert f"# {row['dial']}" in source.splitlines(), "run python3 course.py bench dials again"
        assert row["moves"] >= 1 and row["p50_ms"] <= row["p95_ms"]


def test_a_lesson_there_is_not_is_told(capsys):
    with pytest.raises(SystemExit) as stopped:
        dials.main(["77"])
    assert stopped.value.code == 2
    assert "There is no lesson called '77'" in capsys.readouterr().err
