"""axe-core, the checker of accessibility: found here, or fetched once by npm."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from course_utils.store.folders import cache_dir

VERSION = "4.14.1"  # https://github.com/dequelabs/axe-core
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"  # of axe.min.js
# Only serious and critical ones are failures; the others are worth reading.
RUN = """async selector => {
  // JupyterLab's body has no height and hides what is beyond: axe would take all text for hidden.
  document.body.style.height = "100vh";
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document.querySelectorAll(selector ?? ".tlm-quiz"), {runOnly: tags});
  const told = results => results.map(({id, impact, help, nodes}) => ({id, impact, help,
    nodes: nodes.map(node => `${node.html.slice(0, 150)} | ${node.failureSummary ?? ""}`)}));
  return {violations: told(found.violations), incomplete: told(found.incomplete),
    passes: Object.fromEntries(found.passes.map(({id, nodes}) => [id, nodes.length]))};
}"""


def axe_source() -> str | None:
    """axe.min.js: what ``COURSE_AXE`` names, else the copy in the course's cache, else from npm.

    None where it is not here and cannot be fetched.

    Raises ValueError: what npm brought is not the version that is pinned here.
    """
    if named := os.environ.get("COURSE_AXE"):
        return Path(named).read_text(encoding="utf-8")
    file = cache_dir() / f"axe-core-{VERSION}.min.js"
    if not file.exists():
        fetched = _from_npm()
        if fetched is None:
            return None
        if hashlib.sha256(fetched).hexdigest() != SHA256:
            raise ValueError(
                f"axe-core {VERSION} from npm is not the file that is pinned in axe.py"
            )
        file.write_bytes(fetched)
    return file.read_text(encoding="utf-8")


def _from_npm() -> bytes | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(
                [npm, "pack", f"axe-core@{VERSION}", "--silent"],
                cwd=folder,
                capture_output=True,
                timeout=60,
                check=True,
            )
        except (subprocess.SubprocessError, OSError):
            return None
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
            return package.extractfile("package/axe.min.js").read()
