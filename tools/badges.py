"""Move the course to another repository: python -m tools.badges OWNER/NAME [--ref REF]

Rewrites [tool.course] in pyproject.toml, every badge of README.md, and the launch badges, the
links to files and the bootstrap cell of every notebook. Nothing is executed: outputs and their
hashes stay as they are.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from tools.builder.build import read, write
from tools.builder.lesson import ROOT, Course, read_course, tags
from tools.builder.navigation import github_file
from tools.builder.notebook import bootstrap, launch_badges

# The addresses that name a repository (and a branch or tag): GitHub, Colab and Binder.
_ADDRESS = re.compile(
    r"(?P<site>https://(?:github\.com/|raw\.githubusercontent\.com/"
    r"|colab\.research\.google\.com/github/|mybinder\.org/v2/gh/))"
    r"(?P<repository>[\w.-]+/[\w.-]+?)"
    r"(?P<rest>/(?:blob/|tree/)?(?P<ref>[\w.-]+)|(?=[)\s\"'>?#]|\.git|$))"
)


def rewrite_text(text: str, old: Course, new: Course) -> str:
    """``text`` with every address of the old repository and ref turned into the new one."""

    def changed(match: re.Match) -> str:
        if match["repository"] != old.repository:
            return match[0]
        rest = match["rest"]
        if match["ref"] == old.ref:
            rest = rest[: len(rest) - len(old.ref)] + new.ref
        return match["site"] + new.repository + rest

    return _ADDRESS.sub(changed, text)


def rewrite_pyproject(path: Path, old: Course, new: Course) -> None:
    """Set repository and ref in [tool.course], leaving every other byte as it is."""
    text = path.read_text(encoding="utf-8")
    for key in ("repository", "ref"):
        line = f'{key} = "{getattr(old, key)}"'
        if text.count(line) != 1:
            raise ValueError(f"{path.name}: expected the line {line!r} once")
        text = text.replace(line, f'{key} = "{getattr(new, key)}"')
    path.write_text(text, encoding="utf-8")


def rewrite_notebook(path: Path, old: Course, new: Course) -> None:
    """Replace the launch badges, the links to files and the bootstrap cell of a built notebook."""
    notebook = read(path)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            badges = launch_badges(old, path.stem)
            cell.source = cell.source.replace(badges, launch_badges(new, path.stem))
            cell.source = cell.source.replace(github_file(old, ""), github_file(new, ""))
        elif "bootstrap" in tags(cell):
            cell.source = bootstrap(new)
    write(notebook, path)


def move(root: Path, new: Course) -> None:
    """Rewrite every place under ``root`` that names the repository."""
    pyproject, readme = root / "pyproject.toml", root / "README.md"
    old = read_course(pyproject)
    rewrite_pyproject(pyproject, old, new)
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(rewrite_text(text, old, new), encoding="utf-8")
    for notebook in sorted((root / "notebooks").glob("*.ipynb")):
        rewrite_notebook(notebook, old, new)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", metavar="OWNER/NAME")
    parser.add_argument("--ref", help="branch or tag (default: as it is)")
    options = parser.parse_args(arguments)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", options.repository):
        parser.error(f"expected OWNER/NAME, got {options.repository!r}")
    ref = options.ref or read_course(root / "pyproject.toml").ref
    move(root, Course(options.repository, ref))
    print(f"The course is at {options.repository}, ref {ref}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
