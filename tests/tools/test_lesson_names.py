"""The names under which a lesson is found, and what is said where none fits."""

from pathlib import Path

import pytest

from tools.lesson_names import UnknownLesson, find_lesson

LESSONS = [
    Path(f"lessons/{stem}.py")
    for stem in (
        *("00_start_here", "01_loading", "04_feature_extraction"),
        *("05_fine_tuning", "08_fine_points", "10_final_quiz"),
    )
]
NAMES = {
    4: (
        *("04", "4", "004", "04_feature_extraction", "04-feature-extraction", "04_FEATURE"),
        *("feature_extraction", "feature", "04_feat"),
        *("notebooks/04_feature_extraction.ipynb", "lessons/04_feature_extraction.py"),
    ),
    0: ("0", "00", "start_here"),
    1: ("1", "01", "load"),
    10: ("10", "final"),
}


@pytest.mark.parametrize(
    ("number", "asked"), [(number, name) for number, names in NAMES.items() for name in names]
)
def test_a_lesson_has_many_names(number, asked):
    assert int(find_lesson(asked, LESSONS).stem[:2]) == number


@pytest.mark.parametrize("asked", ["²", "½", "٤", "", ".", "77", "9" * 5000, "\udc80", "{}", "-1"])
def test_what_is_no_name_is_told(asked):
    with pytest.raises(UnknownLesson, match="There is no lesson called .* 00_start_here, 01_load"):
        find_lesson(asked, LESSONS)


def test_the_near_ones_are_named():
    with pytest.raises(UnknownLesson, match=r"no lesson .*\. Did you mean 04_feature_extraction\?"):
        find_lesson("feature_extarction", LESSONS)
    with pytest.raises(UnknownLesson, match="Several .* mean 05_fine_tuning, 08_fine_points"):
        find_lesson("fine", LESSONS)
