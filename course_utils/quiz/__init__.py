"""Quizzes: the bank of questions, grading, progress, and what the learner sees."""
