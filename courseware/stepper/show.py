"""What a lesson calls: ``step_through(function, …)``."""

from __future__ import annotations

from collections.abc import Callable

from IPython.display import HTML, display

from courseware.stepper.record import record
from courseware.stepper.static import static_html


def step_through(
    function: Callable, *args, seconds: float = 20.0, max_steps: int = 500, **kwargs
) -> None:
    """Run ``function(*args, **kwargs)`` once, for real, and show it line by line.

    Comments in the function are the notes beside its lines. What it changes stays changed. An
    exception is shown, not raised, and what does not end is stopped: see `record.record`, which
    also gives what the function returned.

    Raises
    ------
    TypeError, OSError : the function has no source to show
    """
    recording = record(function, *args, seconds=seconds, max_steps=max_steps, **kwargs)
    display(HTML(static_html(recording)))
    try:
        from courseware.stepper.widget import StepperWidget
    except ImportError:  # no anywidget here: the table says all of it
        return
    display(StepperWidget(recording))
