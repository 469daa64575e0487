"""Each figure that the README quotes, as a command: python3 course.py bench NAME."""

from course_utils.store.threads import share_processor

# As in a lesson's first cell, and here for the same reason: it must be before torch is imported.
share_processor()
