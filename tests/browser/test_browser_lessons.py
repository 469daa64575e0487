"""Every dial of every lesson turned, every stepper stepped through: in JupyterLab, offline.

Small parameters and drawn flowers, so that it takes minutes; how long the pictures took is printed
(-s shows it) and never judged: benchmarks/dials.py measures it on the real ones.
"""

import pytest
from lesson_lab import LESSONS, SMALL, first_line, lab, turn_dial

MOVES = 4  # of each control
pytestmark = pytest.mark.lessons


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_dials_turn_and_steppers_step(lesson, tab):
    with lab(tab, lesson, SMALL, "rendered") as (page, dials, steppers):
        if not dials and not steppers:
            pytest.skip("a lesson without dials and steppers")
        for cell, area in dials:
            for control in turn_dial(page, area, MOVES):
                told = ", ".join(f"{ms:.0f}" for ms in control.milliseconds)
                print(f"{lesson.stem}: {first_line(cell)}: {control.name}: {told} ms")
                assert len(control.pictures) > 1, f"{control.name} of {first_line(cell)} is dead"
