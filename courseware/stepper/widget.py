"""The live stepper: an anywidget that shows a recording. It asks the kernel for nothing."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from courseware.stepper.record import Recording
from courseware.text import code_lines, markdown_html

HERE = Path(__file__).parent
# One module for the browser, in an order in which every part finds what it uses.
PARTS = ["../front/dom", "trace", "code", "state", "stepper"]
LOOKS = ["../front/theme.css", "stepper.css"]  # what quiz and stepper share, then the widget's own


def module_source() -> str:
    """The JavaScript of the widget as one module."""
    return "\n".join((HERE / f"{name}.mjs").read_text(encoding="utf-8") for name in PARTS)


def payload(recording: Recording) -> dict:
    """What the browser gets: the recording, its code coloured and its notes as HTML."""
    code = "\n".join(recording.source.code)
    notes = {str(line): markdown_html(note) for line, note in recording.source.notes.items()}
    return recording.to_json() | {"code": code_lines(code), "notes": notes}


class StepperWidget(anywidget.AnyWidget):
    """A recording on screen, one step at a time."""

    _esm = module_source()
    _css = "\n".join((HERE / name).read_text(encoding="utf-8") for name in LOOKS)
    recording = traitlets.Dict().tag(sync=True)

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording=payload(recording))

    def _repr_mimebundle_(self, **kwargs):
        """Without words: where no widget can be, the table stands before it."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {"text/plain": ""}, metadata
