"""Quizzes: questions graded in the browser, and what the learner sees of them."""

from courseware.quiz.show import final_quiz, quiz, recap

__all__ = ["final_quiz", "quiz", "recap"]
