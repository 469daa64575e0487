"""Arrays or a `History` in, matplotlib Axes out. Nothing here computes a result or sees a model.

Colours are Okabe and Ito's, which colour-blind readers can tell apart
(https://jfly.uni-koeln.de/color/). Figures keep a white background: they read the same on
JupyterLab's light and dark theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib
import numpy as np

from course_utils.store.messages import show_notice

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
VERMILION, PURPLE, SKY = "#D55E00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)

_STYLE: dict[str, object] = {
    "figure.figsize": (6.4, 3.2),
    "figure.dpi": 90,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.bbox": "tight",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.rcsetup.cycler(color=PALETTE),
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "font.size": 10,
    "image.interpolation": "nearest",
}
# Fonts with Chinese, Japanese and Korean letters, as the systems have them.
_MORE_LETTERS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei")


def use_style() -> None:
    """The course's look, for every figure drawn after this call."""
    from matplotlib.font_manager import get_font_names

    more = [name for name in _MORE_LETTERS if name in get_font_names()]
    look = _STYLE | {"font.family": ["DejaVu Sans", *more]}
    matplotlib.rcParams.update(look)  # type: ignore[arg-type]


def _axes(ax, count: int = 1, **figure):
    """``ax``, or where that is None new Axes, in a figure of its own."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # takes half a second, so only once something is drawn

    return plt.subplots(1, count, layout="constrained", **figure)[1]


def drawable(texts: Iterable[str]) -> list[str]:
    """Texts of the learner's, such as class names, with □ for letters that no font here has.

    matplotlib would warn of each such letter; one notice says it. Draw them with
    ``parse_math=False``: a ``$`` in a name is no formula.
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    texts = [str(text) for text in texts]
    families = matplotlib.rcParams["font.family"]
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in families]
    letters = sorted(set("".join(texts)) - {"\n"})
    strange = [x for x in letters if not any(font.get_char_index(ord(x)) for font in fonts)]
    if strange:
        show_notice(
            f"No font here has the letters {' '.join(strange[:5])}: they are drawn as □. "
            "A font such as Noto Sans CJK has them; install it and restart the kernel."
        )
    return [text.translate({ord(letter): "□" for letter in strange}) for text in texts]


def panels(count: int = 1, *, figsize: tuple[float, float] = (6.4, 2.8), left: float = 0.5):
    """A list of ``count`` Axes side by side in fixed places, for pictures that are drawn often.

    To find a layout takes matplotlib as long as to draw. There is room for one line above and
    below, and ``left`` inches for what stands beside a y axis; ``figsize`` is in inches, too.
    """
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=figsize, layout="constrained")
    figure.set_layout_engine("none")
    wide, high = figsize
    axes = [((n * wide / count + left) / wide, 0.5 / high) for n in range(count)]
    size = (1 / count - (left + 0.18) / wide, 1 - 0.85 / high)
    return [figure.add_axes((*corner, *size)) for corner in axes]


def history(record, *, ax=None):
    """Loss (left Axes) and accuracy (right) over epochs, train and validation.

    ``record`` is a `History`; ``ax`` a pair of Axes, or None for a new figure. Returns the pair.
    """
    axes = _axes(ax, 2, figsize=(7.6, 2.8))
    epochs = np.arange(1, len(record.train_loss) + 1)
    for axis, name in zip(axes, ["loss", "accuracy"], strict=True):
        for split, colour, marker in [("train", BLUE, "o"), ("val", VERMILION, "s")]:
            values = getattr(record, f"{split}_{name}")
            if values:  # without validation there are none of "val"
                axis.plot(epochs, values, marker=marker, markersize=4, color=colour, label=split)
        axis.set(xlabel="epoch", title=name)
    if record.best_epoch is not None:
        best = record.best_epoch + 1
        axes[1].axvline(best, color="0.6", linestyle=":", label=f"best: epoch {best}")
    axes[1].legend()
    return axes


def bars(values: Mapping[str, float], *, errors=None, unit: str = "", ax=None):
    """Horizontal bars with their values written beside them, first entry on top.

    ``errors`` maps the same names to (low, high) ends of an interval, drawn as whiskers.
    """
    ax = _axes(ax, figsize=(6.4, 0.6 + 0.42 * len(values)))
    names, numbers = list(values), np.array(list(values.values()), dtype=float)
    places = np.arange(len(names))[::-1]
    # Without errors the whiskers have no length.
    ends = numbers if errors is None else np.array([errors[n] for n in names], dtype=float).T
    whiskers = None if errors is None else np.abs(ends - numbers)
    ax.barh(places, numbers, xerr=whiskers, color=BLUE, height=0.62, ecolor="0.25", capsize=3)
    beside = {"textcoords": "offset points", "va": "center"}
    for place, number, tip in zip(places, numbers, np.maximum(numbers, ends[-1]), strict=True):
        written = f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"  # not 1.05e+03
        ax.annotate(f"{written}{unit}", (tip, place), (5, 0), **beside)
    ax.set_yticks(places, drawable(names), parse_math=False)
    ax.margins(x=0.14)
    return ax


def curve(x: Sequence[float], intervals: Sequence, *, label: str = "", ax=None, **line):
    """Means over ``x`` with their intervals as a band.

    ``intervals`` has one object with ``mean``, ``low``, ``high`` for each x (`stats.Interval`).
    """
    ax = _axes(ax)
    means, low, high = zip(*((i.mean, i.low, i.high) for i in intervals), strict=True)
    (drawn,) = ax.plot(x, means, marker="o", markersize=4, label=label or None, **line)
    ax.fill_between(x, low, high, alpha=0.18, color=drawn.get_color(), linewidth=0)
    return ax


def image_grid(
    images,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 6,
    cell: float = 1.5,
    colours=None,
):
    """A grid of pictures, each with a short title, in one Axes: one for each picture would take
    several times as long to draw.

    Parameters
    ----------
    images : uint8 or float (0…1) tensor or array [N, 3, H, W], or [N, H, W] for grey maps, each
        coloured from its own lowest to its own highest value
    titles : N strings, of one line or more
    columns : pictures in a row
    cell : inches from one picture to the next
    colours : N matplotlib colours for the titles

    Raises
    ------
    ValueError : no images, or not as many titles as images
    """
    import matplotlib.pyplot as plt

    pictures = np.asarray(images)
    if len(pictures) == 0 or (titles is not None and len(titles) != len(pictures)):
        found = "no titles" if titles is None else f"{len(titles)} titles"
        raise ValueError(f"got {len(pictures)} images and {found}; expected one title an image")
    written = drawable(titles or [""] * len(pictures))
    rows, gap = -(-len(pictures) // columns), 0.03
    lines = 1 + max(title.count("\n") for title in written) if titles else 0
    # The unit is a cell's width; a line of 8 points takes 0.14 inches.
    aspect = pictures.shape[-2] / pictures.shape[-1]
    tall = aspect + 0.14 * lines / cell
    figure = plt.figure(figsize=(cell * columns, cell * tall * rows), layout="constrained")
    ax = figure.add_subplot()
    style = {"fontsize": 8, "ha": "center", "va": "bottom"}
    for n, picture in enumerate(pictures):
        left, bottom = n % columns, tall * (n // columns + 1)
        top, grey = bottom - aspect, picture.ndim == 2
        ax.imshow(
            picture if grey else picture.transpose(1, 2, 0),
            cmap="viridis" if grey else None,
            extent=(left + gap, left + 1 - gap, bottom - gap, top + gap),
        )
        colour = "black" if colours is None else colours[n]
        ax.text(left + 0.5, top, written[n], {"color": colour, **style}, parse_math=False)
    ax.set(xlim=(0, columns), ylim=(tall * rows, 0), aspect="equal", xticks=[], yticks=[])
    ax.axis("off")
    return ax


def confusion(matrix, classes: Sequence[str], *, ax=None):
    """Confusion matrix [C, C] of counts, rows the truth, columns the prediction."""
    counts = np.asarray(matrix)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"got a matrix of shape {counts.shape} for {len(classes)} classes")
    ax = _axes(ax, figsize=(4.4, 3.6))
    ax.imshow(counts, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if count > counts.max() / 2 else "black"
        ax.text(column, row, count, ha="center", va="center", color=colour)
    names = drawable(classes)
    ax.set_xticks(range(len(classes)), names, rotation=30, ha="right", parse_math=False)
    ax.set_yticks(range(len(classes)), names, parse_math=False)
    ax.set(xlabel="predicted", ylabel="true")
    ax.spines[:].set_visible(False)
    return ax
