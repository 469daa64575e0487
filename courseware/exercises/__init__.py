"""Graded exercises: try a learner's function, give a hint, show a solution."""

from courseware.exercises.show import check, hint, solution

__all__ = ["check", "hint", "solution"]
