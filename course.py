"""The course's one command. It sets up what is missing, then does what you asked.

    python3 course.py lab     open the lessons in JupyterLab
    python3 course.py test    run the whole test suite
    python3 course.py --help  all the others: run, progress, doctor, build, bench, badges, clean

The work is done in tools/setup/course_commands.py. This file only looks at the Python that runs
it, so it keeps to what very old ones can parse.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (someone will try)
    sys.exit(
        "The course needs Python 3.11 or newer; this is Python "
        + sys.version.split()[0]
        + " ("
        + sys.executable
        + ").\nWhat to do: install a newer one from python.org or your system's packages, "
        + "and name it: python3.12 course.py lab"
    )

from tools.setup.course_commands import main  # noqa: E402 (after the look at the version)

if __name__ == "__main__":
    sys.exit(main())
