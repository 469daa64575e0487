"""The learner's progress: one file, and a panel that shows it."""

from courseware.progress.panel import progress

__all__ = ["progress"]
