"""What a question is: the fields of data/quizzes/*.yaml, and the rules that they keep.

A question's key is either proved (``proof:``, code that `proofs` runs) or sourced (``source:``).
CONTRIBUTING.md tells how to write one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1)]
Ident = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Texts = Annotated[list[Text], Field(min_length=1)]


def unique(names: list, field: str) -> None:
    """Raises ValueError where a name of the field is there twice."""
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ValueError(f"{field}: {double[0]} is there twice")


class Part(BaseModel):
    """A piece of the bank. A field that the schema does not know is a mistake, not an extra."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Option(Part):
    """One answer to choose. ``value`` is what the proof would print if this option were right."""

    id: Ident
    text: Text
    feedback: Text
    correct: bool = False
    value: str | None = None


class NearNumber(Part):
    """A wrong number that comes from a known mistake."""

    value: float
    feedback: Text


class NearText(Part):
    """A wrong output that comes from a known mistake."""

    value: Text
    feedback: Text


class NearOrder(Part):
    """A wrong order that comes from a known mistake: the ids of all steps."""

    order: Annotated[list[Ident], Field(min_length=2)]
    feedback: Text


class Step(Part):
    """One step to put in order. ``feedback`` says why it belongs where it belongs."""

    id: Ident
    text: Text
    feedback: Text


class Lines(Part):
    """Lines of the code of a find-the-bug question, numbered from 1, that share one feedback."""

    lines: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    feedback: Text
    correct: bool = False


class Tolerance(Part):
    """How far a number may be off: ``abs`` in its own unit, ``rel`` as a share of the answer."""

    abs: Annotated[float, Field(ge=0)] = 0.0
    rel: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Common(Part):
    """What every question has, whatever its type."""

    id: Annotated[str, Field(pattern=r"^\d\d-[a-z0-9]+(-[a-z0-9]+)*$")]
    inline: bool = False  # stands inside the lesson; the others make the lesson's closing quiz
    difficulty: Literal["easy", "medium", "hard"]
    concept: Text
    section: Text  # the heading of the lesson that it goes back to
    prompt: Text
    code: str = ""
    hints: Texts
    solution: Texts  # step by step
    mistakes: Texts
    proof: str | None = None
    source: str | None = None

    @model_validator(mode="after")
    def _is_justified(self):
        kind = getattr(self, "type", None)  # each of the types below names its own
        if not self.proof and not self.source and kind != "predict":
            raise ValueError("it needs a proof (code that prints the key) or a source")
        return self


class Choice(Common):
    """A question with options to choose from."""

    options: Annotated[list[Option], Field(min_length=2, max_length=8)]

    @model_validator(mode="after")
    def _options_are_sound(self):
        unique([option.id for option in self.options], "options")
        given = [option.value is not None for option in self.options]
        if any(given) and not all(given):
            raise ValueError("options: give every one a value, or none")
        right = sum(option.correct for option in self.options)
        kind = getattr(self, "type", None)
        if kind == "single" and right != 1:
            raise ValueError(f"options: a single-choice question has 1 correct one, not {right}")
        if kind == "multi" and not 1 <= right < len(self.options):
            raise ValueError("options: some are correct and some are not, in a multi question")
        return self


class Single(Choice):
    """Exactly one option is right."""

    type: Literal["single"]


class Multi(Choice):
    """One or more options are right, and not all of them."""

    type: Literal["multi"]


class Numeric(Common):
    """A number to work out. ``unit`` may follow the learner's number; it is not required."""

    type: Literal["numeric"]
    answer: float
    tol: Tolerance = Tolerance()
    unit: str = ""
    near: Annotated[list[NearNumber], Field(min_length=1)]
    otherwise: Text


class Predict(Common):
    """What does ``code`` print? ``accept[0]`` is the printed text, the others say the same.

    The code is its own proof, unless ``proof`` says how to run it (it finds it in ``CODE``).
    """

    type: Literal["predict"]
    accept: Texts
    near: Annotated[list[NearText], Field(min_length=1)]
    otherwise: Text

    @model_validator(mode="after")
    def _has_code(self):
        if not self.code.strip():
            raise ValueError("code: there is nothing to predict")
        return self


class Order(Common):
    """Steps, listed in the right order; ``accept`` holds further orders that are right too.

    The proof finds the list of ids in ``ORDER``. It prints ``expect`` for right orders only.
    """

    type: Literal["order"]
    steps: Annotated[list[Step], Field(min_length=3, max_length=6)]
    accept: list[list[Ident]] = []
    near: Annotated[list[NearOrder], Field(min_length=1)]
    expect: str = "ok"

    @property
    def orders(self) -> list[list[str]]:
        """Every right order, the listed one first."""
        return [[step.id for step in self.steps], *self.accept]

    @model_validator(mode="after")
    def _orders_are_sound(self):
        ids = [step.id for step in self.steps]
        unique(ids, "steps")
        for order in [*self.accept, *(near.order for near in self.near)]:
            if sorted(order) != sorted(ids):
                raise ValueError(f"accept, near: {order} is not an order of {ids}")
        if any(near.order in self.orders for near in self.near):
            raise ValueError("near: an order cannot be right and wrong")
        return self


class Bug(Common):
    """Which line of ``code`` is wrong? ``fix`` is what should stand in place of that line.

    The proof finds the code in ``CODE``, once as shown and once mended. It prints ``expect`` for
    the mended one only.
    """

    type: Literal["bug"]
    options: Annotated[list[Lines], Field(min_length=2)]
    fix: str
    expect: str = "ok"

    @property
    def buggy_line(self) -> int:
        """The number of the line that ``fix`` replaces, from 1."""
        return next(option.lines[0] for option in self.options if option.correct)

    @model_validator(mode="after")
    def _lines_are_covered(self):
        listed = sorted(number for option in self.options for number in option.lines)
        unique(listed, "options")
        if sum(option.correct for option in self.options) != 1:
            raise ValueError("options: one of them is the bug")
        stripped = [line.strip() for line in self.code.rstrip().splitlines()]
        real = [n for n, line in enumerate(stripped, 1) if line and not line.startswith("#")]
        if listed != real:
            raise ValueError(f"options: lines {real} hold code and need feedback, given: {listed}")
        return self


Question = Annotated[Single | Multi | Numeric | Predict | Order | Bug, Field(discriminator="type")]


class Bank(Part):
    """One lesson's questions. ``lesson`` is the file's own name, such as 04_feature_extraction."""

    lesson: Annotated[str, Field(pattern=r"^\d\d_\w+$")]
    title: Text
    questions: Annotated[list[Question], Field(min_length=1)]

    @model_validator(mode="after")
    def _ids_belong_here(self):
        unique([question.id for question in self.questions], "questions")
        for question in self.questions:
            if question.id[:2] != self.lesson[:2]:
                raise ValueError(f"questions: {question.id} must start with {self.lesson[:2]}-")
        return self
