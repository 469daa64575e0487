"""The live quiz: an anywidget that grades in the browser and reports to the progress file.

Feedback does not wait for the kernel, which may be training. What was answered travels as messages,
not as traits: traits that change quickly are merged on their way, and a try would be lost.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from courseware.front import glue
from courseware.quiz.payload import MESSAGES

HERE = Path(__file__).parent


class QuizWidget(anywidget.AnyWidget):
    """Questions on screen.

    Parameters
    ----------
    questions : list of `payload.payload`
    progress : a `progress.Progress`, where answers go and where earlier ones come from
    mode : "quiz", "final" (with a result at the end) or "recap" (cards to turn over)
    title : shown above a set
    """

    _esm = glue.module(HERE / "widget.mjs")
    _css = glue.styles(HERE / "widget.css")
    questions: traitlets.List = traitlets.List().tag(sync=True)
    records = traitlets.Dict().tag(sync=True)
    saved: traitlets.List = traitlets.List().tag(sync=True)  # keys of messages in the records
    messages = traitlets.Dict(MESSAGES).tag(sync=True)
    mode = traitlets.Unicode("quiz").tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, questions: list[dict], progress, mode: str = "quiz", title: str = ""
    ) -> None:
        self._progress = progress
        self._ids = [question["id"] for question in questions]
        # All at once: the front end may start from the first state that it gets.
        super().__init__(questions=questions, mode=mode, title=title, **self._so_far())
        self.on_msg(self._receive)

    def _repr_mimebundle_(self, **kwargs):
        """Without words: where no widget can be, the static version stands before it."""
        data, metadata = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        return data | {"text/plain": ""}, metadata

    def _so_far(self) -> dict:
        """What is known of these questions, for a page that starts, or is loaded anew."""
        known = self._progress.read()
        questions = known["questions"]
        records = {name: questions[name] for name in self._ids if name in questions}
        return {"records": records, "saved": known["receipts"][-200:]}

    def _receive(self, _, content: dict, buffers) -> None:
        """Save what the browser sent. It keeps a copy until it hears that a file holds it.

        A message can come twice: from a page that was loaded anew, from a second quiz with the
        same question, or after the kernel was started again. It counts once.
        """
        warning, key = "", content.get("key")
        try:
            save(self._progress, content)
        except (KeyError, TypeError, ValueError):  # another version's, or changed by hand
            warning = "An answer from this browser could not be read. It is left out. "
        for name, value in self._so_far().items():
            self.set_trait(name, value)
        done = bool(warning) or self._progress.has_saved(key)
        self.send({"saved": key if done else None, "warning": warning + self._progress.warning})


def save(progress, content: dict) -> None:
    """Put one message of the browser into the progress file.

    Raises
    ------
    KeyError, TypeError, ValueError : it is none
    """
    question, receipt = content["question"], content["key"]
    if content["what"] == "final":
        progress.final(list(content["scores"]), content["scores"], receipt)
        return
    seen = {"hints": content["hints"], "steps": content["steps"], "receipt": receipt}
    if content["what"] == "answer":
        progress.answer(question, status=content["status"], score=content["score"], **seen)
    else:
        progress.hint(question, **seen)
