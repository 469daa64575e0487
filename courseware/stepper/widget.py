"""The live stepper: an anywidget that shows a recording. It asks the kernel for nothing."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from courseware.front import glue
from courseware.stepper.record import Recording
from courseware.text import code_lines, markdown_html

HERE = Path(__file__).parent


def payload(recording: Recording) -> dict:
    """What the browser gets: the recording, its code coloured and its notes as HTML."""
    code = "\n".join(recording.source.code)
    notes = {str(line): markdown_html(note) for line, note in recording.source.notes.items()}
    return recording.to_json() | {"code": code_lines(code), "notes": notes}


class StepperWidget(anywidget.AnyWidget):
    """A recording on screen, one step at a time."""

    _esm = glue.module(HERE / "stepper.mjs")
    _css = glue.styles(HERE / "stepper.css")
    recording = traitlets.Dict().tag(sync=True)

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording=payload(recording))

    def _repr_mimebundle_(self, **kwargs):
        """Without words: where no widget can be, the table stands before it."""
        data, metadata = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        return data | {"text/plain": ""}, metadata
