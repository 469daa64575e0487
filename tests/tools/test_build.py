"""The build: what a learner's notebook holds, what is refused, and what --check notices."""

import base64
import io
import re

import jupytext
import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_output
from PIL import Image

from courseware.bank.questions import load_banks
from tools.builder import build, notebook, quiz_cells
from tools.builder.fingerprint import fingerprint
from tools.builder.lesson import ROOT, Course, LessonError, read_cells
from tools.builder.notebook import lesson_notebook, lesson_with_solutions
from tools.builder.outputs import clean_outputs, nameless_pictures, output_problems, outputs_hash

COURSE = Course("someone/course", "main")
HEAD = """# %% [markdown]
# # 4 · Tiny lesson
# **A promise.**
# <!-- badges -->

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
N = 3

"""
BODY = """# %% tags=["place"]
# place: dial("tiny")

# %% tags=["quiz"]
from courseware.quiz.show import quiz

quiz("02-flags")

# %% tags=["nbval-check-output"]
N + 1

# %%
from courseware.claims import claim

claim("three is odd", N % 2 == 1, figure=N)

# %% tags=["exercise"]
def double(x):
    \"\"\"Twice x.\"\"\"
    # solution
    return 2 * x
    # end solution

# %%
attempted = double(2) is not None

# %% tags=["self-check"]
claim("double(2) is 4", lambda: double(2) == 4, when=attempted, otherwise="your turn")
"""
PICTURE = """# %% tags=["shows-photos"] alt="Two test photos"
from IPython.display import HTML, display
from PIL import Image
print("two photos")
display(Image.new("RGB", (8, 8), "red"))
display(HTML('<img src="data:image/png;base64,AAAA">'))
"""


@pytest.fixture
def write_lesson(tmp_path):
    def write(text, name="04_tiny_lesson"):
        path = tmp_path / "lessons" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A lesson built once, executed for real: its source and its notebook."""
    root = tmp_path_factory.mktemp("house")
    lesson = root / "04_tiny_lesson.py"
    lesson.write_text(HEAD + BODY + "\n" + PICTURE, encoding="utf-8")
    assert build.build(lesson, root, COURSE) == "executed on no flowers"
    return lesson, root / "04_tiny_lesson.ipynb"


@pytest.fixture
def copy(built, tmp_path):
    """A copy of the built lesson that a test may spoil, with a way to check it."""
    for file in built:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    lesson, notebook = tmp_path / built[0].name, tmp_path / built[1].name

    def edit(change):
        content = build.read(notebook)
        change(content)
        nbformat.write(content, notebook)
        return build.check([lesson], tmp_path, COURSE)

    edit.lesson, edit.notebook = lesson, notebook
    return edit


def test_ids_tags_counts_and_metadata(built):
    notebook = build.read(built[1])
    assert [cell.id for cell in notebook.cells[:2]] == ["04-tiny-lesson-000", "04-tiny-lesson-001"]
    assert set(notebook.metadata) == {"kernelspec", "language_info", "course"}
    assert notebook.metadata.language_info == {"name": "python"}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert code[3].outputs[0].data["text/plain"] == "4"
    assert code[3].outputs[0].execution_count == 4
    assert all(set(cell.metadata) <= {"tags", "alt", "jupyter", "cellView"} for cell in code)
    assert code[0].metadata.jupyter.source_hidden and "archive/main.zip" in code[0].source


def test_places_go_and_badges_come(built):
    notebook = build.read(built[1])
    sources = [cell.source for cell in notebook.cells]
    assert not any("place:" in source for source in sources)
    address = "github/someone/course/blob/main/notebooks/04_tiny_lesson.ipynb"
    assert address in sources[0] and "<!-- badges -->" not in sources[0]


def test_the_exercise_is_cut(built):
    notebook = build.read(built[1])
    cells = notebook.cells
    exercise = next(i for i, c in enumerate(cells) if "exercise" in c.metadata.get("tags", []))
    assert cells[exercise].source == (
        'def double(x):\n    """Twice x."""\n    ...  # your code here'
    )
    check = cells[exercise + 2]
    assert check.metadata.tags == ["self-check"]
    assert "your turn" in check.outputs[0].data["text/plain"]
    assert not any("return 2 * x" in cell.source for cell in cells)


def test_a_quiz_cell_stores_the_version_without_a_kernel(built):
    notebook = build.read(built[1])
    (cell,) = (c for c in notebook.cells if "quiz" in c.metadata.get("tags", []))
    (output,) = cell.outputs
    assert list(output.data) == ["text/html"] and "tlm-static" in output.data["text/html"]


def test_what_is_used_and_not_read_is_folded_to_one_line(write_lesson):
    dial = '# %% tags=["{0}"] alt="Bars"\n# {1}: depth\nexplore(show)\n'
    recap = '# %% tags=["quiz"]\nrecap("02_freezing")\n'
    panel = '# %% tags=["quiz"]\nfrom courseware.progress.panel import progress\n\nprogress()\n'
    closing = '# %% tags=["quiz"]\nquiz("02_freezing")\n'
    function = "# %%\n# Lines to step through: depth\ndef deep():  # the answer\n    return 1\n"
    text = [HEAD, BODY, dial.format("dial", "Dial"), function]
    text.append(dial.format("stepper", "Step through"))
    lesson = write_lesson("\n".join([*text, recap, panel, closing]))
    cells = [cell for cell in lesson_notebook(lesson, COURSE).cells if cell.cell_type == "code"]
    folded = [cell for cell in cells[1:] if "jupyter" in cell.metadata]
    bank = load_banks()[1]
    asked = sum(not question.inline for question in bank.questions)
    assert [cell.source.splitlines()[0] for cell in folded] == [
        f"# Question: {next(q.concept for q in bank.questions if q.id == '02-flags')}",
        "# Dial: depth",
        "# Lines to step through: depth",  # the function, whose comments are answers
        "# Step through: depth",
        "# Recap cards: Freezing",
        "# Your progress",
        f"# Quiz: {asked} questions",
    ]
    for cell in folded:
        assert cell.metadata.jupyter == {"source_hidden": True}
        assert cell.metadata.cellView == "form"
    # An exercise, its check and the experiments are there to be read.
    assert len(cells) - 1 - len(folded) == 6


def test_a_changed_concept_is_noticed_and_executes_nothing(copy, monkeypatch):
    bank = load_banks()[1]
    other = [q.model_copy(update={"concept": "flags and flagpoles"}) for q in bank.questions]
    changed = bank.model_copy(update={"questions": other})
    monkeypatch.setattr(quiz_cells, "load_banks", lambda: [changed])
    folder = copy.notebook.parent
    assert "source not as" in build.check([copy.lesson], folder, COURSE)[0]
    assert build.build(copy.lesson, folder, COURSE) == "unchanged, not executed"
    assert "# Question: flags and flagpoles" in copy.notebook.read_text(encoding="utf-8")
    assert build.check([copy.lesson], folder, COURSE) == []


def test_a_changed_question_is_noticed_and_executes_nothing(copy, monkeypatch):
    bank = load_banks()[1]
    other = [q.model_copy(update={"prompt": "Another question?"}) for q in bank.questions]
    changed = bank.model_copy(update={"questions": other})
    monkeypatch.setattr(quiz_cells, "load_banks", lambda: [changed])
    folder = copy.notebook.parent
    (problem,) = build.check([copy.lesson], folder, COURSE)
    assert "the question bank or the lessons say something else" in problem
    assert build.build(copy.lesson, folder, COURSE) == "unchanged, not executed"
    assert "Another question?" in copy.notebook.read_text(encoding="utf-8")
    assert build.check([copy.lesson], folder, COURSE) == []


def test_a_quiz_cell_names_a_question_that_exists(copy):
    text = copy.lesson.read_text(encoding="utf-8")
    copy.lesson.write_text(text.replace('quiz("02-flags")', 'quiz("02-flag")'), encoding="utf-8")
    with pytest.raises(LessonError, match="no question or lesson called '02-flag'.*02-flags"):
        build.build(copy.lesson, copy.notebook.parent, COURSE)


def test_with_solutions_nothing_is_cut(built):
    notebook = lesson_with_solutions(built[0])
    source = "\n".join(cell.source for cell in notebook.cells)
    assert "return 2 * x" in source
    assert "your code here" not in source and "# solution" not in source
    assert "place:" not in source


def test_photos_are_replaced_by_one_line(built):
    notebook = build.read(built[1])
    outputs = notebook.cells[-1].outputs
    assert [output.output_type for output in outputs] == ["stream", "display_data"]
    assert outputs[0].text == "two photos\n"
    assert outputs[1].data == {"text/plain": "Two test photos: run the cell to see them"}


def test_two_builds_are_equal_byte_for_byte(built, tmp_path):
    build.build(built[0], tmp_path, COURSE)
    assert (tmp_path / built[1].name).read_bytes() == built[1].read_bytes()


def test_a_fresh_build_passes_the_check(built):
    assert build.check([built[0]], built[1].parent, COURSE) == []


def test_prose_is_taken_over_without_a_run_and_code_is_not(copy, monkeypatch):
    def no_run(notebook, name):
        raise AssertionError("executed")

    monkeypatch.setattr(build, "execute", no_run)
    text = copy.lesson.read_text()
    copy.lesson.write_text(text.replace("A promise.", "A better promise."))
    problems = build.check([copy.lesson], copy.lesson.parent, COURSE)
    assert problems == [
        "04_tiny_lesson: cell 04-tiny-lesson-000: source not as the lesson's source says"
    ]
    done = build.build(copy.lesson, copy.lesson.parent, COURSE)
    assert done == "unchanged, not executed"
    assert "A better promise." in build.read(copy.notebook).cells[0].source
    copy.lesson.write_text(text.replace("N = 3", "N = 5"))
    assert any("stale" in problem for problem in copy(lambda notebook: None))
    with pytest.raises(AssertionError, match="executed"):
        build.build(copy.lesson, copy.lesson.parent, COURSE)


@pytest.mark.parametrize("key", ["source", "outputs"])
def test_a_hand_edit_is_noticed(copy, key):
    def change(notebook):
        cell = notebook.cells[4]
        if key == "source":
            cell.source += "  # better"
        else:
            cell.outputs[0].data["text/plain"] = "5"

    (problem,) = copy(change)
    assert problem.startswith("04_tiny_lesson: ")
    assert ("04: source not as" if key == "source" else "edited by hand") in problem


def test_a_hand_edited_output_is_executed_again(copy):
    copy(lambda notebook: notebook.cells[3].outputs[0].data.update({"text/plain": "5"}))
    done = build.build(copy.lesson, copy.lesson.parent, COURSE)
    assert done == "executed on no flowers"
    assert build.check([copy.lesson], copy.lesson.parent, COURSE) == []


def test_an_added_cell_stray_metadata_and_rendered_data_are_noticed(copy):
    assert "cells, the source makes" in copy(lambda n: n.cells.pop())[0]
    build.build(copy.lesson, copy.lesson.parent, COURSE)
    assert "metadata" in copy(lambda n: n.metadata.update(author="me"))[0]
    build.build(copy.lesson, copy.lesson.parent, COURSE)
    problems = copy(lambda n: n.metadata.course.update(data="rendered"))
    assert problems == [
        "04_tiny_lesson: executed without the photos: set COURSE_DATA_DIR and build it again"
    ]
    build.build(copy.lesson, copy.lesson.parent, COURSE)
    assert any("metadata.widgets" in p for p in copy(lambda n: n.metadata.update(widgets={})))


def test_missing_and_extra_notebooks_and_size(copy, monkeypatch):
    folder = copy.lesson.parent
    assert build.check_folder([copy.lesson], folder) == []
    copy.notebook.rename(folder / "05_other.ipynb")
    assert build.check([copy.lesson], folder, COURSE) == ["04_tiny_lesson: no notebook: build it"]
    monkeypatch.setattr(build, "MAX_BYTES", 100)
    extra, size = build.check_folder([copy.lesson], folder)
    assert extra == "05_other: no lesson of this name"
    assert "MB, at most" in size


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('# %%\nclaim("six is odd", 6 % 2 == 1, figure="6 % 2 = 0")', "six is odd — 6 % 2 = 0"),
        ("# %%\n1 / 0", "ZeroDivisionError"),
        ('# %%\nimport warnings\nwarnings.warn("mind the gap")', "mind the gap"),
        ("# %%\nobject()", "memory address"),
    ],
)
def test_a_lesson_unfit_for_a_learner_is_not_written(write_lesson, code, message):
    lesson = write_lesson(HEAD + BODY + "\n" + code)
    with pytest.raises(LessonError, match=message) as caught:
        build.build(lesson, lesson.parent, COURSE)
    assert "04_tiny_lesson" in str(caught.value)
    assert not list(lesson.parent.glob("*.ipynb"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("# %%\n" + "x = 1\n" * 16, "cell 4 .'x = 1'.: 16 lines of code"),
        (
            '# %% tags=["stepper"] alt="A table"\n# Step through: x\n' + "x = 1\n" * 15,
            "16 lines of code",  # the title counts, and no tag makes room
        ),
        ('# %% tags=["quizz"]\nx = 1', "unknown tag .'quizz'."),
        ('# %% tags=["quiz"]\nquizz("02-flags")', "a quiz cell ends on"),
        ('# %% tags=["shows-photos"]\nx = 1', "needs alt="),
        ('# %% tags=["dial"]\n# Dial: depth\nexplore(f)', "a dial cell needs alt="),
        ('# %% tags=["dial"] alt="Bars"\nexplore(f)', "begins with a line '# Dial: what it"),
        ('# %% tags=["stepper"] alt="A table"\n# Dial: x', "a line '# Step through: what"),
        (
            '# %%\n# Lines to step through: y\n# %% tags=["stepper"] alt="A table"\n'
            "# Step through: x\nx = 1",
            "must follow .* same title, directly; it follows '# Lines to step through: y'",
        ),
        (
            '# %%\ndef f():\n    pass\n# %% tags=["stepper"] alt="A table"\n# Step through: x\nf',
            "must follow .* it follows 'def f..:'",
        ),
        (
            "# %%\n# Lines to step through: x\ndef f():\n    pass\n\n# %%\nf()",
            "the stepper 'f..' must follow",  # or a function would be folded for nothing
        ),
        ('# %% tags=["exercise"]\ndef f():\n    # solution\n    return 1', "without '# end sol"),
        ('# %% tags=["exercise"]\ndef f():\n    # end solution\n    return 1', "come in pairs"),
        ('# %% tags=["exercise"]\ndef f():\n    return 1', "needs its solution between"),
        ("# %%\ndef f():\n    # solution\n    return 1\n    # end solution", "outside a cell"),
        (
            '# %% tags=["exercise"]\ndef f():\n    # solution\n    return 1\n    # end solution',
            "no self-check cell after it",
        ),
        ("# %% [markdown]\n# ## Größe", "no link can reach the heading 'Größe'.*without 'ö'"),
        ("# %% [markdown]\n# ## One\n# ## Two\n# ## One", "two sections are called 'One'"),
        ('# %% tags=["parameters"]\nM = 1', 'exactly one cell with tags=."parameters"'),
    ],
)
def test_a_source_that_breaks_a_rule_is_refused(write_lesson, cell, message):
    with pytest.raises(LessonError, match=message) as caught:
        read_cells(write_lesson(HEAD + cell))
    assert "04_tiny_lesson.py" in str(caught.value)


def test_a_lesson_without_title_or_badges_is_refused(write_lesson):
    with pytest.raises(LessonError, match="<!-- badges -->"):
        read_cells(write_lesson(HEAD.replace("<!-- badges -->", "")))
    with pytest.raises(LessonError, match="# title"):
        read_cells(write_lesson(""))


def test_the_fingerprint_follows_imports_but_not_comments(write_lesson, tmp_path):
    package = tmp_path / "course_utils"
    package.mkdir()
    (package / "first.py").write_text("from course_utils.second import b\n")
    (package / "second.py").write_text('"""Text."""\nb = 1\n')
    (package / "third.py").write_text("c = 1\n")
    lesson = write_lesson(HEAD + "# %%\n%time from course_utils import first\nimport math")
    notebook = lesson_notebook(lesson, COURSE)
    notebook.cells[-1].source = "%config x\nfrom course_utils import first"
    before = fingerprint(notebook, tmp_path)
    (package / "second.py").write_text('"""Other text."""\n# A comment.\nb = 1\n')
    (package / "third.py").write_text("c = 2\n")
    assert fingerprint(notebook, tmp_path) == before
    (package / "second.py").write_text("b = 2\n")
    assert fingerprint(notebook, tmp_path) != before


def _png(image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=0)
    return base64.b64encode(buffer.getvalue()).decode()


def test_charts_stay_pixel_for_pixel_in_fewer_bytes():
    chart = Image.linear_gradient("L").convert("RGBA")
    cell = nbformat.v4.new_code_cell("plot")
    cell.outputs = [new_output("display_data", data={"image/png": _png(chart)})]
    (kept,) = clean_outputs(cell, 1)
    packed = kept.data["image/png"]
    assert len(packed) < len(cell.outputs[0].data["image/png"]) / 10
    same = Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGBA")
    assert same.tobytes() == chart.tobytes()


PLOT = """# %%
from IPython.display import display
from PIL import Image

display(Image.new("RGB", (8, 8), "red"))
"""


def test_a_picture_takes_its_cell_s_text_along(write_lesson):
    lesson = write_lesson(HEAD + PLOT.replace("# %%", "# %% alt=\"A 'red' square\""))
    build.build(lesson, lesson.parent, COURSE)
    file = lesson.parent / "04_tiny_lesson.ipynb"
    (output,) = build.read(file).cells[-1].outputs
    assert output.metadata["image/png"]["alt"] == "A 'red' square"
    page, _ = HTMLExporter(template_name="classic").from_filename(str(file))
    assert re.search(r'<img[^>]*alt="A \'red\' square"', page)
    assert build.check([lesson], lesson.parent, COURSE) == []
    # A notebook from before: its text comes in without a run.
    stored = build.read(file)
    stored.cells[-1].outputs[0].metadata = {}
    stored.metadata.course.outputs = outputs_hash(stored)
    nbformat.write(stored, file)
    (problem,) = build.check([lesson], lesson.parent, COURSE)
    assert "without a text for those who cannot see it" in problem
    assert build.build(lesson, lesson.parent, COURSE) == "unchanged, not executed"
    assert build.check([lesson], lesson.parent, COURSE) == []


def test_a_picture_without_a_text_is_refused(write_lesson):
    lesson = write_lesson(HEAD + PLOT)
    with pytest.raises(LessonError, match=r"display\(Image.*put alt=.* on its # %% line"):
        build.build(lesson, lesson.parent, COURSE)


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<img src="data:image/png;base64,AA">', 1),
        ('<img src="data:image/png;base64,AA" alt="Bars"><b>1</b>', 0),
        ("<table></table>", 0),
    ],
)
def test_pictures_inside_html_need_a_text_too(page, found):
    cell = nbformat.v4.new_code_cell("show", id="04-001")
    cell.outputs = [new_output("display_data", data={"text/html": page})]
    assert len(nameless_pictures(nbformat.v4.new_notebook(cells=[cell]))) == found


def test_bars_and_widgets_do_not_reach_the_file():
    cell = nbformat.v4.new_code_cell("run")
    cell.metadata["alt"] = "A slider for the learning rate"
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "w"}
    cell.outputs = [
        new_output("stream", name="stderr", text="\rEpochs:  40%|####  | 2/5 [00:01<00:02]"),
        new_output("display_data", data=widget),
        new_output("stream", name="stdout", text="one\n"),
        new_output("stream", name="stdout", text="two\n"),
    ]
    line, text = clean_outputs(cell, 1)
    assert line.data == {"text/plain": "A slider for the learning rate: run the cell to use it"}
    assert text.text == "one\ntwo\n"


def test_the_picture_beside_a_widget_stays_unless_it_shows_photos():
    png = io.BytesIO()
    Image.new("RGB", (40, 40), "white").save(png, "PNG", compress_level=0)
    picture = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": "a loss"}
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    cell = nbformat.v4.new_code_cell("run", metadata={"alt": "A dial"})
    cell.outputs = [new_output("display_data", data=widget | picture)]
    (kept,) = clean_outputs(cell, 1)
    assert kept.data.keys() == picture.keys() and kept.data["text/plain"] == "a loss"
    assert len(kept.data["image/png"]) < len(picture["image/png"])
    cell.outputs = [new_output("display_data", data=widget | {"text/html": "<p>a table</p>"})]
    assert clean_outputs(cell, 1)[0].data == {"text/html": "<p>a table</p>"}

    cell.metadata["tags"] = ["dial", "shows-photos"]
    cell.outputs = [new_output("display_data", data=widget | picture)]
    (kept,) = clean_outputs(cell, 1)
    assert kept.data == {"text/plain": "A dial: run the cell to see them"}


def test_a_photo_in_an_output_is_a_problem():
    cell = nbformat.v4.new_code_cell("show", id="04-001", metadata={"tags": ["shows-photos"]})
    cell.outputs = [new_output("display_data", data={"image/png": "AAAA"})]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    assert output_problems(notebook) == [
        "cell 04-001: it shows photographs, which are not redistributed"
    ]


def test_lessons_are_chosen_by_name(tmp_path):
    for stem in ("01_loading", "04_feature_extraction", "10_final_quiz"):
        (tmp_path / f"{stem}.py").touch()
    for names, numbers in ((["1"], [1]), (["10", "4", "04"], [4, 10]), ([], [1, 4, 10])):
        chosen = build.choose(names, tmp_path)
        assert [int(lesson.stem[:2]) for lesson in chosen] == numbers
    with pytest.raises(LessonError, match="no lesson called '07'. There are 01_loading, 04_feat"):
        build.choose(["07"], tmp_path)


def test_the_bootstrap_does_nothing_outside_colab():
    code = notebook.bootstrap(COURSE)
    before = {}
    exec(compile(code, "bootstrap", "exec"), before)
    assert "pip" not in before


def test_a_lesson_is_parsed_once_and_its_cells_are_the_callers_own(tmp_path, monkeypatch):
    file = tmp_path / "01_copy.py"
    file.write_text((ROOT / "lessons" / "00_start_here.py").read_text(encoding="utf-8"))
    first = read_cells(file)
    monkeypatch.setattr(jupytext, "reads", lambda *_, **__: pytest.fail("parsed again"))
    source, first[0].source = first[0].source, "changed"
    assert read_cells(file)[0].source == source


def test_a_changed_lesson_is_read_anew(tmp_path):
    file = tmp_path / "01_copy.py"
    text = (ROOT / "lessons" / "00_start_here.py").read_text(encoding="utf-8")
    for word in ("one", "two"):
        file.write_text(f"{text}\n# %% [markdown]\n# {word}\n", encoding="utf-8")
        assert read_cells(file)[-1].source == word
