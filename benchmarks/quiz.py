"""How soon a quiz answers, and how large it makes a notebook: python3 course.py bench quiz

Clicks Check in a real JupyterLab, with an idle kernel and with one that computes, and measures
inside the page from the click to the feedback: laid out, and in the next frame. Writes
data/results/quiz_latency.json. Needs Chromium and Playwright.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/browser")]

from learner import TYPES, click_answer, right, wrong
from nbformat.v4 import new_code_cell
from notebook_page import Tab, opened, quiz_in, run, wait_until_done

from benchmarks._machine import machine
from courseware.bank.questions import find, load_banks, questions_of
from courseware.progress.store import Progress
from courseware.quiz.payload import payload
from courseware.quiz.widget import QuizWidget
from tools.builder.quiz_cells import static_output
from tools.lab.lab_browser import chromium, jupyterlab

RESULTS = ROOT / "data" / "results" / "quiz_latency.json"
PACKAGES = ("torch", "jupyterlab", "anywidget")
ONE_OF_EACH = [next(q for q in questions_of(load_banks()) if q.type == kind) for kind in TYPES]
# Until the file is there, or five minutes are over.
UNTIL = 'from pathlib import Path\nend = time.time() + 300\nwhile not Path("done").exists() and '
UNTIL += "time.time() < end:\n"
PYTHON = UNTIL + "    sum(n * n for n in range(10_000))"
TRAINING = (
    """import torch
torch.set_num_threads(os.cpu_count())
model = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024) for _ in range(4)))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
"""
    + UNTIL
    + """    loss = model(torch.randn(256, 1024)).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()"""
)
KERNELS = {"idle": None, "python_loop": PYTHON, "training": TRAINING}
# From the time stamp of the click, which the browser sets when the click arrives.
WATCH = """() => {
    window.clicks = [];
    let clicked = 0;
    addEventListener("click", event => { clicked = event.timeStamp; }, true);
    const seen = verdict => {
        if (!verdict.getBoundingClientRect().height) return;
        const click = {laid_out: performance.now() - clicked};
        requestAnimationFrame(() => {
            const painted = new MessageChannel();
            painted.port1.onmessage = () => {
                click.next_frame = performance.now() - clicked;
                window.clicks.push(click);
            };
            painted.port2.postMessage(null);
        });
    };
    for (const verdict of document.querySelectorAll(".tlm-quiz .verdict"))
        new MutationObserver(() => seen(verdict)).observe(verdict, {childList: true});
}"""


def measure(page, folder: Path, kernel: str, clicks: int) -> list[dict[str, float]]:
    """Milliseconds of that many clicks, each on an answer that was changed before."""
    done = folder / "done"
    done.unlink(missing_ok=True)
    page.evaluate("() => { clicks.length = 0; }")
    if KERNELS[kernel]:
        run(page, 1 + len(TYPES) + list(KERNELS).index(kernel) - 1, wait=False)
        page.wait_for_timeout(3000)  # past the import of torch
    for number in range(clicks):
        place = number % len(TYPES)
        question, quiz = ONE_OF_EACH[place], quiz_in(page, 1 + place)
        answer = right if number // len(TYPES) % 2 else wrong
        click_answer(quiz, question, answer(question))
        quiz.get_by_role("button", name="Check").click()
        page.wait_for_function("count => clicks.length === count", arg=number + 1)
    if KERNELS[kernel]:
        busy = page.locator(".jp-InputPrompt", has_text="*").count()
        assert busy, "the kernel was done before the clicks were"
    done.touch()
    wait_until_done(page)
    return page.evaluate("clicks")


def summary(clicks: list[dict[str, float]]) -> dict[str, float]:
    """Median and 95th percentile of each figure, in milliseconds."""
    told = {"clicks": len(clicks)}
    for figure in ("laid_out", "next_frame"):
        values = [click[figure] for click in clicks]
        told[f"{figure}_median_ms"] = round(statistics.median(values), 2)
        told[f"{figure}_p95_ms"] = round(statistics.quantiles(values, n=20)[-1], 2)
    return told


def latencies(clicks: int) -> dict:
    """The machine, and the summary for each state of the kernel."""
    cells = [f'quiz("{question.id}")' for question in ONE_OF_EACH] + [PYTHON, TRAINING]
    told: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as served, chromium() as browser:
        place = {"device": "cpu", "chromium": browser.version}
        folder, here = Path(served), machine("python3 course.py bench quiz", *PACKAGES, **place)
        with jupyterlab(folder) as address:
            with opened(Tab(browser, address, folder), "latency", cells) as page:
                run(page, *range(1 + len(TYPES)))
                page.wait_for_function(
                    f"document.querySelectorAll('.tlm-quiz').length === {len(TYPES)}"
                )
                page.evaluate(WATCH)
                for kernel in KERNELS:
                    told[kernel] = summary(measure(page, folder, kernel, clicks))
                    print(f"{kernel:12} {told[kernel]}", flush=True)
    return {**here, "click_to_feedback": told}


def sizes() -> dict[str, dict[str, int]]:
    """Bytes by lesson: what its quizzes store in the notebook, and what saved widgets would."""
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        progress = Progress(Path(folder, "progress.json"))
        for bank in load_banks():
            names = [q.id for q in bank.questions if q.inline] + [bank.lesson]
            static = [static_output(new_code_cell(f'quiz("{name}")')) for name in names]
            widgets = [_state(name, bank.lesson, progress) for name in names]
            told[bank.lesson] = {
                "questions": len(bank.questions),
                "stored_bytes": len(json.dumps(static)),
                "widget_state_bytes": sum(len(json.dumps(state)) for state in widgets),
            }
            print(f"{bank.lesson:32} {told[bank.lesson]}")
    return told


def _state(name: str, lesson: str, progress: Progress) -> dict:
    questions, title = find(name, load_banks())
    widget = QuizWidget(
        [payload(question, lesson) for question in questions], progress, title=title
    )
    return {key: value for key, value in widget.get_state().items() if key != "layout"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=60, help="for each state of the kernel")
    options = parser.parse_args(arguments)
    result = latencies(options.clicks) | {"size": sizes()}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
