"""What the build writes around a lesson to lead on: contents, neighbours, time, files."""

import json

import pytest
from nbconvert.filters.strings import add_anchor

from tools.builder import navigation
from tools.builder.headings import anchor, sections
from tools.builder.lesson import Course, LessonError, read_course
from tools.builder.notebook import lesson_notebook

COURSE = Course("someone/course", "main")
LESSON = """# %% [markdown]
# # {number} · {title}
# **A promise.**
# <!-- badges -->
#
# *Time* 25 min · *Before this* nothing

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
N = 3

# %% [markdown]
# ## What it saves
# Text.
#
# ### Not a section
# ```
# ## a comment in code
# ```
#
# ## Your turn (again): `freeze_backbone`
# Text.

# %% [markdown]
# ## References
# {last}
"""
STEMS = ("03_head_swap", "04_feature_extraction", "05_fine_tuning")
TITLES = ("Head swap", "Feature extraction", "Fine-tuning")


@pytest.fixture
def lessons(tmp_path):
    """Three lessons beside each other; the last line of each, to be changed, is empty."""
    for number, (stem, title) in enumerate(zip(STEMS, TITLES, strict=True), start=3):
        text = LESSON.format(number=number, title=title, last="")
        (tmp_path / f"{stem}.py").write_text(text, encoding="utf-8")
    return tmp_path


def cells(folder, stem="04_feature_extraction", course=COURSE):
    return lesson_notebook(folder / f"{stem}.py", course).cells


def test_the_first_cell_ends_on_the_contents(lessons):
    assert cells(lessons)[0].source.endswith(
        "<details><summary>In this lesson</summary>\n\n"
        "- [What it saves](<04_feature_extraction.ipynb#What-it-saves>)\n"
        "- [Your turn (again): `freeze_backbone`]"
        "(<04_feature_extraction.ipynb#Your-turn-(again):-freeze_backbone>)\n"
        "- [References](<04_feature_extraction.ipynb#References>)\n\n"
        "</details>"
    )


@pytest.mark.parametrize("heading", ["What it saves", "And `train()` (again)?", "One, *two*: 3"])
def test_an_anchor_is_the_one_that_nbconvert_makes(heading):
    shown = heading.replace("`", "").replace("*", "")
    assert f'id="{anchor(heading)}"' in add_anchor(f"<h2>{shown}</h2>")


def test_a_comment_in_code_is_no_section():
    assert sections("## One\n```python\n## two\n```\n##three\n### four\n##  Five ") == [
        "One",
        "Five",
    ]


def test_every_lesson_leads_to_the_ones_beside_it(lessons):
    back, on = "[← 3 · Head swap](03_head_swap.ipynb)", "[5 · Fine-tuning →](05_fine_tuning.ipynb)"
    middle = cells(lessons)
    assert f"\n\n{back} · {on}\n\n" in middle[0].source
    assert middle[-1].source.endswith(f"\n\n{back} · {on}")
    first, last = cells(lessons, STEMS[0]), cells(lessons, STEMS[2])
    for cell in (first[0], first[-1]):
        assert "←" not in cell.source and "[4 · Feature extraction →](04_f" in cell.source
    for cell in (last[0], last[-1]):
        assert "→" not in cell.source and "[← 4 · Feature extraction](04_f" in cell.source


def test_a_link_that_the_lesson_has_written_itself_is_not_repeated(lessons):
    path = lessons / "04_feature_extraction.py"
    text = LESSON.format(
        number=4,
        title="Feature extraction",
        last="**Next:** [5 · Fine-tuning](05_fine_tuning.ipynb)",
    )
    path.write_text(text, encoding="utf-8")
    last = cells(lessons)[-1].source
    assert last.count("05_fine_tuning.ipynb") == 1
    assert last.endswith("(05_fine_tuning.ipynb)\n\n[← 3 · Head swap](03_head_swap.ipynb)")


def test_a_renamed_neighbour_is_followed(lessons):
    path = lessons / "05_fine_tuning.py"
    path.write_text(path.read_text(encoding="utf-8").replace("Fine-tuning", "Tune it"))
    assert "[5 · Tune it →](05_fine_tuning.ipynb)" in cells(lessons)[0].source
    path.unlink()
    assert "→" not in cells(lessons)[0].source


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (8, "25 min, less than a minute of it computing"),
        (60.4, "25 min, about 1 min of it computing"),
        (102.2, "25 min, about 2 min of it computing"),
    ],
)
def test_the_time_says_how_much_of_it_was_measured(lessons, monkeypatch, tmp_path, seconds, told):
    costs = tmp_path / "costs.json"
    costs.write_text(json.dumps({"lessons": {"04_feature_extraction": {"seconds": seconds}}}))
    monkeypatch.setattr(navigation, "COSTS", costs)
    navigation._costs.cache_clear()
    try:
        assert f"*Time* {told} · *Before" in cells(lessons)[0].source
        assert "*Time* 25 min · *Before" in cells(lessons, STEMS[0])[0].source  # not measured
    finally:
        navigation._costs.cache_clear()


def test_a_file_of_the_repository_is_linked_twice(lessons):
    path = lessons / "04_feature_extraction.py"
    link = "the [photos](../data/README.md#licence), see [lesson 3](03_head_swap.ipynb)"
    path.write_text(path.read_text(encoding="utf-8").replace("# Text.", f"# {link}", 1))
    assert (
        "the [photos](../data/README.md#licence) "
        "([on GitHub](https://github.com/someone/course/blob/main/data/README.md#licence)), "
        "see [lesson 3](03_head_swap.ipynb)"
    ) in cells(lessons)[3].source


def test_a_file_that_is_not_there_is_refused(lessons):
    path = lessons / "04_feature_extraction.py"
    path.write_text(path.read_text(encoding="utf-8").replace("# Text.", "# [x](../data/no.md)", 1))
    with pytest.raises(LessonError, match="04_feature_extraction.py links to data/no.md, which"):
        cells(lessons)


def test_the_links_follow_the_repository():
    course = read_course()
    address = f"https://github.com/{course.repository}/blob/{course.ref}/data/README.md"
    assert navigation.github_file(course, "data/README.md") == address
