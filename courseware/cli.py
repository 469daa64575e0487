"""The commands that need the packages: see the progress, look at the machine, fetch the data.

``course.py`` has read the command line; it hands over to ``python -m courseware.cli COMMAND …``.
"""

from __future__ import annotations

import io
import sys


def fetch() -> int:
    """Fetch the backbone's weights and the photos; say so where they cannot be had now."""
    from course_utils import weights
    from course_utils.datasets import photos

    try:
        weights.obtain(weights.course_weights("mobilenet_v2"))
        print("Weights: there, and verified.")
    except weights.WeightsUnavailable as error:
        print(f"Weights: not now. {error}")
    try:
        if photos.find_photos() is None:
            photos.download_photos()
        print("Photos: there, and verified.")
    except photos.PhotosUnavailable as error:
        print(f"Photos: not now, because {error}. The lessons draw flowers in their place.")
    return 0


def progress(action: str = "show", file: str = "") -> str:
    """What the terminal shows of the learner's progress, after an ``action`` on it.

    ``action`` is show, reset, or export or import, which name a ``file``.

    Raises
    ------
    ProgressError : a file cannot be read or written.
    """
    from courseware.progress import panel
    from courseware.progress.store import Progress

    store = Progress()
    if action == "export":
        return panel.exported(store, file)
    if action == "import":
        return panel.imported(store, file)
    if action == "reset":
        backup = store.reset()
        return f"Begun anew. What there was is in {backup}" if backup else "Nothing to reset yet."
    copies = "A copy: python3 course.py progress --export FILE. Take one in: --import FILE."
    return str(panel.panel_of(store, f"Kept in {store.path}\n{copies}"))


def show_progress(*arguments: str) -> int:
    """Print `progress`, or why not."""
    from courseware.bank.reading import BankError
    from courseware.progress.records import ProgressError

    try:
        print(progress(*arguments))
    except (ProgressError, BankError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def doctor() -> int:
    """Print what is ready on this machine, and what is not."""
    from courseware.doctor import panel  # imports torch: seconds that the others need not wait

    shown = panel()
    print(shown)
    return 1 if any(check.status == "bad" for check in shown.checks) else 0


COMMANDS = {"progress": show_progress, "doctor": doctor, "fetch": fetch}


def main(arguments: list[str]) -> int:
    """0 when all is well, 1 when a check is red, 2 for a file that cannot be used."""
    command, *rest = arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a Windows pipe may know no ✔
    return COMMANDS[command](*rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
