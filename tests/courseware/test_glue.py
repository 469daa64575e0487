"""The files of a widget: Node imports each alone, and glued they are one module for the browser."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from courseware.front import glue

COURSEWARE = Path(glue.__file__).parent.parent
FILES = sorted(COURSEWARE.rglob("*.mjs"))
ENTRIES = [COURSEWARE / "quiz/widget.mjs", COURSEWARE / "stepper/stepper.mjs"]
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not here")
IMPORT = re.compile(r'^import \{ (.+) \} from "(.+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?:function|const) (\w+)", re.MULTILINE)


def node(*command) -> subprocess.CompletedProcess:
    return subprocess.run([NODE, *command], capture_output=True, text=True)


def code_of(file: Path) -> str:
    """Without imports and comments."""
    return re.sub(r"(^|\s)//.*", "", IMPORT.sub("", file.read_text(encoding="utf-8")))


@needs_node
def test_node_imports_each_file_alone():
    script = "for (const file of process.argv.slice(1)) await import(file);"
    done = node("--input-type=module", "-e", script, *(file.as_uri() for file in FILES))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_imports_what_it_uses_and_nothing_else(file):
    code = code_of(file)
    imported = {name for names, _ in IMPORT.findall(file.read_text()) for name in names.split(", ")}
    own = set(re.findall(r"^(?:export )?(?:function|const|let) (\w+)", code, re.MULTILINE))
    others = {name for other in FILES for name in EXPORT.findall(other.read_text())} - own
    used = {name for name in others if re.search(rf"(?<![\w.\"-]){name}\(", code)}
    assert used <= imported, "used, but not imported"
    assert all(re.search(rf"\b{name}\b", code) for name in imported), "imported, but not used"


@needs_node
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda file: file.name)
def test_glued_they_are_one_module(entry, tmp_path):
    source = glue.module(entry)
    assert not re.search(r"^import\b|^export (?!default)", source, re.MULTILINE)
    assert source.count("export default") == 1
    whole = tmp_path / "whole.mjs"
    whole.write_text(source, encoding="utf-8")
    script = "const all = await import(process.argv[1]); console.log(typeof all.default());"
    done = node("--input-type=module", "-e", script, whole.as_uri())
    assert done.stdout == "object\n", done.stderr


def test_each_file_comes_once_and_after_what_it_needs(tmp_path):
    (tmp_path / "front").mkdir()
    (tmp_path / "front/base.mjs").write_text("export const base = 1;\n")
    (tmp_path / "one.mjs").write_text(
        'import { base } from "./front/base.mjs";\nexport function one() {\n  return base;\n}\n'
    )
    (tmp_path / "entry.mjs").write_text(
        'import { one } from "./one.mjs";\nimport { base } from "./front/base.mjs";\n\n'
        "export default () => one() + base;\n"
    )
    assert glue.module(tmp_path / "entry.mjs").split("\n") == [
        *["const base = 1;", "", "function one() {", "  return base;", "}", "", ""],
        *["export default () => one() + base;", ""],
    ]


def test_a_widgets_own_style_comes_after_what_all_share():
    sheet = glue.styles(COURSEWARE / "quiz/widget.css")
    assert sheet.index(".tlm-quiz") >= 0
    assert sheet.startswith((COURSEWARE / "front/theme.css").read_text(encoding="utf-8"))
