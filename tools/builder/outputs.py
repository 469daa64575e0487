"""What a built notebook keeps of its outputs, and what makes an output unfit to publish."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re

from nbformat import NotebookNode
from nbformat.v4 import new_output
from PIL import Image

from courseware.claims import MIME
from tools.builder.lesson import PHOTOS, tags

WIDGET = "application/vnd.jupyter.widget-view+json"
_PROGRESS = re.compile(r"^.*(\r|\d+%\|).*$\n?", re.MULTILINE)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}")
_NAMELESS = re.compile(r"<img(?![^>]*\salt=)[^>]*>")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def clean_outputs(cell, execution_count: int) -> list[NotebookNode]:
    """The outputs of an executed code cell as they are published.

    Progress bars go. Pictures are packed again without loss. A widget cannot live in a file:
    its picture stays, or one line stands for it. One line stands for all photographs of a
    shows-photos cell.
    """
    kept: list[NotebookNode] = []
    for output in cell.outputs:
        if WIDGET in output.get("data", {}) and output.data.get("text/plain") == "":
            continue  # a stepper: the table before it says all
        output = _clean(output, execution_count, cell.metadata.get("alt", ""))
        if PHOTOS in tags(cell) and _has_picture(output):
            output = _line(f"{cell.metadata['alt']}: run the cell to see them")
            if output in kept:
                continue
        previous = kept[-1] if kept else None
        if output.output_type == "stream" and previous and previous.get("name") == output.name:
            previous.text += output.text
        elif output.output_type != "stream" or output.text:
            kept.append(output)
    return kept


def _clean(output, execution_count: int, alt: str) -> NotebookNode:
    if output.output_type == "stream":
        text = _PROGRESS.sub("", output.text) if output.name == "stderr" else output.text
        return new_output("stream", name=output.name, text=text)
    if output.output_type == "error":
        return output
    data = {kind: value for kind, value in output.data.items() if kind != WIDGET}
    if WIDGET in output.data and not data.keys() & {"image/png", "text/html"}:
        return _line(f"{alt or 'Something to play with'}: run the cell to use it")
    if "image/png" in data:
        data["image/png"] = _pack(data["image/png"])
    kept = {"data": data, "metadata": output.metadata}
    if output.output_type == "execute_result":
        kept["execution_count"] = execution_count
    return new_output(output.output_type, **kept)


def _line(text: str) -> NotebookNode:
    return new_output("display_data", data={"text/plain": text})


def _pack(png: str) -> str:
    """The same pixels in fewer bytes, as base64; an alpha channel that hides nothing is dropped."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "RGBA" and image.getextrema()[3] == (255, 255):
        image = image.convert("RGB")
    if image.mode == "RGB" and image.getcolors(256):
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    packed = io.BytesIO()
    image.save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


def _has_picture(output) -> bool:
    if output.output_type not in ("display_data", "execute_result"):
        return False
    text = "".join(value for value in output.data.values() if isinstance(value, str))
    return any(kind.startswith("image/") for kind in output.data) or "data:image/" in text


def name_pictures(cell) -> None:
    """Give every picture of the cell the cell's alt text, in the place where IPython puts one.

    nbconvert's classic template reads it there. JupyterLab 4.6 gives no alt text to a picture from
    anywhere (https://github.com/jupyter/enhancement-proposals/issues/120); a dial, which is HTML,
    has its own.
    """
    for output in cell.outputs if cell.metadata.get("alt") else []:
        for kind in _pictures(output):
            output.metadata[kind] = {**output.metadata.get(kind, {}), "alt": cell.metadata["alt"]}


def nameless_pictures(notebook) -> list[str]:
    """The cells with a picture that has no alt text, one sentence each."""
    told = 'a picture without a text for those who cannot see it: put alt="…" on its # %% line'
    found = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        named = [o.metadata.get(kind, {}).get("alt") for o in outputs for kind in _pictures(o)]
        page = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
        if not all(named) or _NAMELESS.search(page):
            found.append(f"cell {cell.id} ({cell.source.strip().splitlines()[-1][:60]!r}): {told}")
    return found


def _pictures(output) -> list[str]:
    """The MIME types of an output that are pictures."""
    return [kind for kind in output.get("data", {}) if kind.startswith("image/")]


def outputs_hash(notebook) -> str:
    """SHA-256 (hex) over all outputs, to notice one that was edited by hand."""
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    text = json.dumps(outputs, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def output_problems(notebook) -> list[str]:
    """Why the outputs must not be published, one sentence each; empty when all is well."""
    problems = []
    if "widgets" in notebook.metadata:
        problems.append("metadata.widgets is not empty")
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            problem = _output_problem(output, photos=PHOTOS in tags(cell))
            if problem:
                problems.append(f"cell {cell.id}: {problem}")
    return problems


def _output_problem(output, photos: bool) -> str:
    if output.output_type == "error":
        return f"{output.ename}: {_ANSI.sub('', output.evalue)}"
    if output.output_type == "stream":
        return f"it writes to stderr: {output.text.strip()}" if output.name == "stderr" else ""
    if output.data.get(MIME, {}).get("status") == "fails":
        return f"a claim does not hold: {output.data['text/plain']}"
    if photos and _has_picture(output):
        return "it shows photographs, which are not redistributed"
    if _ADDRESS.search(output.data.get("text/plain", "")):
        return f"it shows a memory address ({output.data['text/plain'][:60]}): end the cell with ;"
    return ""
