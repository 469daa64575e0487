"""A figure, a table or a text as what a notebook can show."""

from __future__ import annotations

import base64
import html
import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from courseware import boxes


def as_html(result: object, alt: str = "") -> str:
    """HTML of a Figure (as PNG, and closed), of an object with ``_repr_html_``, or of its text.

    ``alt`` says what a Figure shows.
    """
    return bundle_html(as_bundle(result, alt))


def as_bundle(result: object, alt: str = "") -> dict[str, str]:
    """The same as a MIME bundle: image/png in base64 or text/html, and ``alt`` as text/plain."""
    if isinstance(result, Figure):
        return {"image/png": base64.b64encode(_png(result)).decode(), "text/plain": alt}
    if hasattr(result, "_repr_html_"):
        return {"text/html": result._repr_html_(), "text/plain": alt}
    return {"text/html": f"<pre>{html.escape(str(result))}</pre>", "text/plain": str(result)}


def bundle_html(bundle: dict[str, str]) -> str:
    """What `as_bundle` made, as HTML; tables look as they do in a cell's output of JupyterLab."""
    if "image/png" not in bundle:
        return f'<div class="jp-RenderedHTMLCommon">{bundle["text/html"]}</div>'
    return boxes.image(f"data:image/png;base64,{bundle['image/png']}", bundle["text/plain"])


def _png(figure: Figure) -> bytes:
    """The figure as PNG, and closed. One with a layout of its own is drawn once, as it is.

    `savefig` would lay it out twice, and cut its margins off by drawing it a third time.
    """
    png, quick = io.BytesIO(), {"compress_level": 1}
    if figure.get_layout_engine() is None:
        figure.savefig(png, format="png", bbox_inches="tight", pil_kwargs=quick)
    else:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())
        Image.fromarray(pixels).convert("RGB").save(png, "PNG", **quick)
    plt.close(figure)
    return png.getvalue()
