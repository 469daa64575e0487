"""Moving the course to another repository changes every badge, and nothing that was measured."""

import pytest

from tools import badges
from tools.builder import build
from tools.builder.lesson import Course, read_course
from tools.builder.notebook import lesson_notebook

OLD, NEW = Course("someone/old", "main"), Course("school/new", "v1.0")
README = """[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/someone/old/main?x=1)
[Colab](https://colab.research.google.com/github/someone/old/blob/main/notebooks/00_start.ipynb)
git clone https://github.com/someone/old and https://github.com/someone/older/tree/main
[issues](https://github.com/someone/old/issues)
"""
LESSON = """# %% [markdown]
# # 0 · Start
# <!-- badges -->
# See [the data](../data/README.md).

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
N = 1
"""


@pytest.fixture
def house(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "main"\n[tool.course]\nrepository = "someone/old"\nref = "main"\n'
    )
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons/00_start.py").write_text(LESSON)
    notebook = lesson_notebook(tmp_path / "lessons/00_start.py", OLD)
    notebook.cells[1].outputs = []
    notebook.metadata["course"] = {"outputs": "kept", "fingerprint": "kept", "data": "none"}
    build.write(notebook, tmp_path / "notebooks/00_start.ipynb")
    return tmp_path


def test_every_badge_is_rewritten(house):
    assert badges.main(["school/new", "--ref", "v1.0"], root=house) == 0
    assert read_course(house / "pyproject.toml") == NEW
    assert 'name = "main"' in (house / "pyproject.toml").read_text()
    readme = (house / "README.md").read_text()
    assert "mybinder.org/v2/gh/school/new/v1.0?x=1" in readme
    assert "github/school/new/blob/v1.0/notebooks" in readme
    assert "https://github.com/school/new and" in readme
    assert "https://github.com/school/new/issues" in readme
    assert "https://github.com/someone/older/tree/main" in readme


def test_a_notebook_becomes_what_a_build_would_have_written(house):
    badges.main(["school/new", "--ref", "v1.0"], root=house)
    moved = build.read(house / "notebooks/00_start.ipynb")
    expected = lesson_notebook(house / "lessons/00_start.py", NEW)
    assert [cell.source for cell in moved.cells] == [cell.source for cell in expected.cells]
    assert "school/new/archive/v1.0.zip" in moved.cells[1].source
    assert moved.metadata["course"]["outputs"] == "kept"


def test_there_and_back_changes_nothing(house):
    files = [house / "README.md", house / "pyproject.toml", house / "notebooks/00_start.ipynb"]
    before = [file.read_bytes() for file in files]
    badges.main(["school/new", "--ref", "v1.0"], root=house)
    badges.main(["someone/old", "--ref", "main"], root=house)
    assert [file.read_bytes() for file in files] == before


def test_a_slug_without_an_owner_is_refused(house, capsys):
    with pytest.raises(SystemExit):
        badges.main(["new"], root=house)
    assert "expected OWNER/NAME, got 'new'" in capsys.readouterr().err
