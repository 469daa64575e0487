"""Dials: controls above a picture that is drawn again whenever one of them moves.

Made of core ipywidgets that behave the same in 7.7 (Colab) and 8. `ipywidgets.interact` would do,
but for its Output widget: a notebook that holds one can hang for ever when it is executed by
nbclient or papermill, because the client then writes to the kernel while it waits for it.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress

import ipywidgets as widgets
import matplotlib
import matplotlib.pyplot as plt
from IPython.display import display

from courseware.dials.picture import as_bundle, bundle_html

WIDGET = "application/vnd.jupyter.widget-view+json"
# Seconds. A change waits for QUIET, so that of values that come together the last is drawn; but a
# picture that hangs on a dragged slider follows it after PATIENCE.
QUIET, PATIENCE = 0.02, 0.15
BREATH = 0.005  # after each yield of a generator, for the kernel to read what was changed
# Sent before each drawing and seen only when that takes longer than a moment: while Python draws
# it cannot send anything. The words lie over the picture, so that nothing moves.
BUSY = (
    "<style>@keyframes tlm-later { to { visibility: visible } }</style>"
    '<div class="tlm-busy" role="status" style="position: relative; height: 0; z-index: 1">'
    '<span style="visibility: hidden; animation: tlm-later 0s 0.25s forwards; position: absolute;'
    " left: 0; top: 2px; padding: 0 8px; background: #fff; color: #000; border: 1px solid #000;"
    ' line-height: 1.6">at work …</span></div>'
)


def explore(draw: Callable, *, alt: str = "", **controls: widgets.Widget) -> None:
    """Show the controls and, below them, what ``draw`` returns for their values.

    Parameters
    ----------
    draw : called with one keyword argument for each control, at once and after every change;
        returns a matplotlib Figure, something with an HTML form (a DataFrame), or text. A generator
        function yields them: each picture replaces the last, and a change abandons the run at the
        next ``yield``; one of None shows nothing, but lets a change be noticed
    alt : what the picture shows, for those who cannot see it; the controls' values are added
    controls : widgets with a ``value``; one without a description is given its name

    Only the newest setting is drawn. An exception in ``draw`` is shown in place of the picture;
    the controls stay usable. In a notebook without a kernel the first picture is shown.

    Raises
    ------
    TypeError : a control has no value
    """
    for name, control in controls.items():
        if not hasattr(control, "value"):
            raise TypeError(f"{name} is {control!r}; expected a widget with a value, as a slider")
    dial = Dial(draw, alt, controls)
    # The richest form is shown: the widget where a kernel is, else the picture.
    display(dial.static | {WIDGET: _view(dial.box)}, raw=True)


class Dial:
    """Controls, and a picture that follows them; the first one is there at once.

    Parameters
    ----------
    draw, alt, controls : as `explore` takes them

    Attributes
    ----------
    box : the widget to display
    static : the first picture as a MIME bundle, for a notebook without a kernel
    """

    def __init__(self, draw: Callable, alt: str, controls: dict[str, widgets.Widget]) -> None:
        self._draw, self._alt, self._controls = draw, alt, controls
        self._picture, self._busy = widgets.HTML(), widgets.HTML(layout={"margin": "0"})
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task | None = None
        self._since = 0.0
        self._loop: asyncio.AbstractEventLoop | None
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # plain Python: every change is drawn at once
            self._loop = None
        _label(controls)
        self.box = widgets.VBox([*controls.values(), self._busy, self._picture])
        self.static = {"text/plain": alt or "A dial: run the cell to turn it"}
        for bundle in filter(None, self._pictures()):
            self._show(bundle)
            self.static = bundle
        for control in controls.values():
            control.observe(self._changed, names="value")

    def _changed(self, change) -> None:
        if self._loop is None:
            for bundle in filter(None, self._pictures()):
                self._show(bundle)
        else:  # JupyterLab may tell of a change in another thread; all drawing happens in one
            self._loop.call_soon_threadsafe(self._wait, self._loop)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the newest setting be drawn soon; what is not yet drawn of older ones never is."""
        now = loop.time()
        if self._task is not None:
            self._task.cancel()
        if self._timer is None:
            self._since = now
        else:
            self._timer.cancel()
        self._timer = loop.call_at(min(now + QUIET, self._since + PATIENCE), self._start, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._task = loop.create_task(self._redraw())

    async def _redraw(self) -> None:
        self._busy.value = BUSY
        pictures = self._pictures()
        with _garbage_later():
            try:
                for bundle in pictures:
                    if bundle:
                        self._show(bundle)
                    await asyncio.sleep(BREATH)
            finally:
                with suppress(Exception):  # of an abandoned run: nobody asks for it any more
                    pictures.close()
                self._busy.value = ""

    def _show(self, bundle: dict[str, str]) -> None:
        self._picture.value = bundle_html(bundle)

    def _pictures(self) -> Generator[dict[str, str] | None]:
        """MIME bundles of what ``draw`` gives for the present values, or of its exception."""
        values = {name: control.value for name, control in self._controls.items()}
        settings = ", ".join(f"{name} {value}" for name, value in values.items())
        alt = f"{self._alt} ({settings})" if self._alt else settings
        open_before = plt.get_fignums()
        with closing(_one_or_more(self._draw, values)) as pictures:
            while True:
                try:
                    with _unnoticed():
                        picture = next(pictures)
                        bundle = None if picture is None else as_bundle(picture, alt)
                except StopIteration:
                    return
                except Exception as error:
                    for number in set(plt.get_fignums()) - set(open_before):
                        plt.close(number)  # half-drawn, it would come out below some other cell
                    bundle = as_bundle(f"{type(error).__name__}: {error}")
                yield bundle


@contextmanager
def _unnoticed() -> Iterator[None]:
    """Hide new figures from IPython, which shows and closes open ones whenever a message came in.

    In JupyterLab that is in another thread: it would draw a figure that is being made here.
    """
    was = matplotlib.is_interactive()
    matplotlib.interactive(False)
    try:
        yield
    finally:
        matplotlib.interactive(was)


@contextmanager
def _garbage_later() -> Iterator[None]:
    """Put the cyclic garbage collector off; then let it look at young objects only.

    A dozen figures made and closed, or a network copied and dropped a few times, and it would look
    through every object of the kernel: beside torch a pause of a third of a second, as
    ``gc.collect()`` shows. Collected before they grow old, they never make it do so. It is off for
    one redraw, and on again however that ends.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()  # first: an interrupt that comes here must not leave it off
        gc.collect(1)


def _one_or_more(draw: Callable, values: dict) -> Generator:
    drawn = draw(**values)
    if inspect.isgenerator(drawn):
        yield from drawn
    else:
        yield "None" if drawn is None else drawn


def _label(controls: dict[str, widgets.Widget]) -> None:
    """Names for nameless controls, and equal room for all names, unless the caller gave some."""
    for name, control in controls.items():
        if not control.description:
            control.description = name.replace("_", " ")
    room = max((len(control.description) for control in controls.values()), default=0)
    for control in controls.values():
        if not getattr(control.style, "description_width", "none to set"):
            control.style.description_width = f"{room + 1}ch"
        if control.layout.width is None:
            control.layout.width = "min(98%, 32em)"


def _view(widget: widgets.Widget) -> dict:
    return {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
