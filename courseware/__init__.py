"""What carries the lessons: claims, quizzes, exercises, progress, stepper, dials.

What the lessons teach and derive is in `course_utils`.
"""
