"""Every dial of every lesson turned, every stepper stepped through: in JupyterLab, offline.

Small parameters and drawn flowers, so that it takes minutes; how long the pictures took is printed
(-s shows it) and never judged: benchmarks/dials.py measures it on the real ones.
"""

import pytest
from lesson_lab import LESSONS, SMALL, first_line, lab, step_through, turn_dial
from slicing import sliced

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
        for cell, area in steppers:
            # With the title, the notes of its function are there.
            assert area.get_by_role("region", name=first_line(cell), exact=True).count() == 1
            told = step_through(area)
            assert len(told) > 3 and len(set(told)) == len(told), first_line(cell)


def test_a_dial_runs_after_the_cells_that_it_needs_and_no_others():
    cells = [
        "import torch\nlayers = [1, 2]\nslow = compute()",
        "layers.append(3)\nslow.clear()\nprint(layers)",
        "for n in layers:\n    total = n\nshown = [x for x in range(3)]",
        "def show(k):\n    slow = k\n    return slow + total\nexplore(show)",
    ]
    assert sliced(cells, {3}) == [
        "layers = [1, 2]",
        "layers.append(3)",
        "for n in layers:\n    total = n",
        cells[3],
    ]
