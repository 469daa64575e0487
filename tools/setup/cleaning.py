"""What `course.py clean` removes: what the course made, known by its marks and names.

Standard library only.
"""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from tools.setup import own_folder

# Where our own Python files lie, and so Python's caches of them.
CODE = ("benchmarks", "course_utils", "courseware", "lessons", "notebooks", "tests", "tools")
RUN = re.compile(r"\d{8}-\d{6}(-\d+)?\.ipynb")  # as run_lesson.py names them


def clean_up(root: Path) -> bool:
    """Remove our .venv, our runs, and caches; False where a .venv that is not ours was left."""
    for run in sorted((root / "runs").glob("*/*.ipynb")):
        _clean_run(run, root)
    for folder in CODE:
        for cache in list((root / folder).glob("**/__pycache__")):
            if not cache.is_symlink():
                _remove_files(list(cache.glob("*.pyc")), root)
    for cache in (root / ".pytest_cache", root / ".ruff_cache"):
        if (cache / "CACHEDIR.TAG").is_file() and not cache.is_symlink():
            shutil.rmtree(cache)
            print(f"removed {cache.name}")
    return _clean_venv(root / ".venv")


def _clean_venv(folder: Path) -> bool:
    if not own_folder.is_ours(folder):
        try:
            own_folder.refuse_foreign(folder)
        except own_folder.SetupError:
            what = own_folder.describe(folder)
            print(f"left .venv: {what}, which the course did not make.", file=sys.stderr)
            print(f"What to do: {own_folder.remedy(folder)}.", file=sys.stderr)
            return False
        return True
    left = own_folder.remove(folder)
    if left:
        print(f"removed the course's packages from .venv, and left {own_folder.listed(left)}")
    elif folder.is_symlink():
        print(f"removed the packages in {folder.resolve()}; .venv leads there as before")
    else:
        folder.rmdir()
        print("removed .venv")
    return True


def _clean_run(run: Path, root: Path) -> None:
    """Remove a run and its page, if it was not saved again since."""
    if not RUN.fullmatch(run.name) or run.is_symlink() or run.parent.is_symlink():
        return
    page = run.with_suffix(".html")
    if page.is_file() and run.stat().st_mtime <= page.stat().st_mtime:
        _remove_files([run, page], root)
        print(f"removed {run.relative_to(root)}")
    else:
        print(f"left {run.relative_to(root)}: it was changed after its run")


def _remove_files(files: list[Path], root: Path) -> None:
    """Remove ``files`` of one folder, and the folders that this leaves empty."""
    for file in files:
        file.unlink()
    with suppress(OSError, IndexError):  # something else lies there
        folder = files[0].parent
        while folder != root:
            folder.rmdir()
            folder = folder.parent
