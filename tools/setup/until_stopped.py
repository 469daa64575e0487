"""Run a module as ``python -m`` would; Ctrl-C ends it in a line, not in a traceback.

``course.py`` hands over by python -m tools.setup.until_stopped MODULE [ARGUMENT…]
"""

from __future__ import annotations

import runpy
import sys


def main(arguments: list[str]) -> int:
    """Run the module that is named first; the exit code of one that was stopped, or 0."""
    sys.argv = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
