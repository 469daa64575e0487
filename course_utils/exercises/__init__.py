"""Graded exercises: `check`, `hint` and `solution` are in `course_utils.exercises.check`."""
