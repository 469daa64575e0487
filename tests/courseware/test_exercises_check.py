"""`check`, `hint` and `solution` as a learner meets them: what is shown, kept, and left alone."""

import functools
import html
import json
import linecache
import random
import re
import signal
import threading
import time

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from torch import nn

from course_utils.surgery import find_head
from courseware.bank.exercises import load_exercises
from courseware.exercises import attempt, check, hint, solution
from courseware.exercises import show as api
from courseware.exercises.report import MIME, STATUSES, Shown
from courseware.progress.store import Progress


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path / "progress.json")


@pytest.fixture
def shown(monkeypatch):
    """The objects that were displayed."""
    things = []
    monkeypatch.setattr(api, "show", things.append)
    return things


def cell(source, name="freeze_backbone"):
    """The function of a notebook's cell: its lines are in linecache, as IPython puts them there."""
    place = "/tmp/ipykernel_1/123.py"
    linecache.cache[place] = len(source), None, source.splitlines(keepends=True), place
    space = {"torch": torch, "nn": nn, "find_head": find_head}
    exec(compile(source, place, "exec"), space)
    return space[name]


def freeze_backbone(model):
    model.requires_grad_(False)
    find_head(model).module.requires_grad_(True)


def known(progress, name="freeze_backbone"):
    return progress.read()["exercises"].get(name)


def bundle(thing):
    return thing._repr_mimebundle_()


def test_solved(progress, capsys):
    assert check("freeze_backbone", freeze_backbone, progress=progress) is None
    first, second = capsys.readouterr().out.splitlines()
    assert first == "✔ freeze_backbone: solved. All of it holds, on every network."
    assert second.startswith("  ✔ resnet18, mobilenet_v2, efficientnet_b0, vgg11, ")
    assert second.endswith("maxvit_t: the head can learn; nothing else can")
    assert known(progress)["solved"] and known(progress)["tries"] == 1


def test_not_yet_says_what_held_what_did_not_and_why(progress, capsys):
    check("freeze_backbone", lambda model: model.requires_grad_(False), progress=progress)
    said = capsys.readouterr().out
    assert said.startswith("✘ freeze_backbone: not yet.\n  ✘ resnet18, ")
    assert "\n  – resnet18, mobilenet_v2" in said and "maxvit_t: nothing else can\n" in said
    assert "\n**Hint:** The head is frozen with the rest" in said
    assert 'hint("freeze_backbone")' in said and 'solution("freeze_backbone")' in said
    assert known(progress) | {"when": ""} == {
        **{"tries": 1, "solved": False, "hints": 0, "seen": False, "when": ""}
    }


def test_what_is_not_filled_in_is_one_quiet_line_and_no_try(progress, capsys):
    def freeze_backbone(model):
        """Freeze every parameter but the head's; make the head trainable."""
        ...  # your code here

    check("freeze_backbone", freeze_backbone, progress=progress)
    line = "Your turn: fill in freeze_backbone, then run this cell again.\n"
    assert capsys.readouterr().out == line
    assert known(progress) is None and not progress.path.exists()


def test_an_exception_is_shown_as_theirs_with_its_line(progress, capsys):
    source = 'def freeze_backbone(model):\n    """Freeze."""\n    model.freeze_all("now")\n'
    check("freeze_backbone", cell(source), progress=progress)
    said = capsys.readouterr().out
    assert said.startswith(
        "✘ freeze_backbone: not yet. Your code raised an exception.\n  ✘ resnet18"
    )
    assert '    line 3 of your cell:  model.freeze_all("now")\n' in said
    assert "    AttributeError: 'ResNet' object has no attribute 'freeze_all'\n" in said
    assert "Traceback" not in said and "course_utils" not in said
    assert known(progress)["tries"] == 1


def test_an_exception_deep_inside_points_to_the_line_that_led_there(progress, shown):
    source = """
def helper(model):
    return nn.Linear(3, 4)(torch.zeros(2, 5))

def freeze_backbone(model):
    for layer in [1]:
        helper(model)
"""
    check("freeze_backbone", cell(source), progress=progress)
    (report,) = shown
    assert (report.error.line, report.error.kind) == (3, "RuntimeError")
    assert report.error.text == "return nn.Linear(3, 4)(torch.zeros(2, 5))"


def test_a_recognised_exception_has_its_hint(progress, shown):
    check(
        "freeze_backbone",
        cell(load_exercises()["freeze_backbone"].mutants[13].code),
        progress=progress,
    )
    (report,) = shown
    assert bundle(report)[MIME] == {
        **{"name": "freeze_backbone", "status": "error", "mistake": "parts-by-name"}
    }
    assert report.error.text == "model.fc.requires_grad_(True)"
    marks = {row.family: row.marks for row in report.rows}
    assert marks["resnet18"] == ("✔", "✔")
    assert marks["mobilenet_v2"] == ("✘", "–") and marks["vgg11"] == ("–", "–")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("exit()", "SystemExit: exit() would end Python, and all variables of the notebook"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "Interrupted: your code raised KeyboardInterrupt itself"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise NotImplementedError('that case')", None),
        ("class Odd(Exception):\n        __str__ = None\n    raise Odd", "Odd"),
        ("freeze_backbone(model)", "RecursionError: maximum recursion depth exceeded"),
        ("raise ValueError('x' * 10**6)", "ValueError: " + "x" * 600 + " …"),
    ],
)
def test_odd_exceptions(body, told, progress, capsys):
    check("freeze_backbone", cell(f"def freeze_backbone(model):\n    {body}"), progress=progress)
    said = capsys.readouterr().out
    if told is None:
        assert said.startswith("Your turn")
    else:
        assert re.search(rf"^    {re.escape(told)}", said, re.MULTILINE) and len(said) < 3000


def test_pytorch_s_own_not_implemented_error_is_an_error(progress, shown):
    source = "def freeze_backbone(model):\n    next(model.parameters()).tolist()"
    check("freeze_backbone", cell(source), progress=progress)
    assert shown[0].status == "error" and shown[0].error.kind in (
        "NotImplementedError",
        "RuntimeError",
    )


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (
            None,
            'Give check the function itself: check("top_k", top_k), without brackets behind '
            "its name. This is a NoneType.",
        ),
        ([("tench", 0.5)], "This is a list."),
        (
            lambda model, image: ...,
            "The exercise calls top_k(model, weights, image, k=5); your "
            "function takes (model, image).",
        ),
        (lambda model, weights, image, k: ..., "your function takes (model, weights, image, k)."),
        (functools.partial(freeze_backbone, 1), "your function takes ()."),
    ],
)
def test_what_cannot_be_called_is_told_in_a_sentence_and_no_try(function, told, progress, capsys):
    check("top_k", function, progress=progress)
    said = capsys.readouterr().out
    assert said.startswith("✘ top_k: not yet. ") and told in said
    assert known(progress, "top_k") is None


@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial, functools.cache, lambda f: A(f)])
def test_other_callables_are_checked_like_functions(wrap, progress, shown):
    check("freeze_backbone", wrap(freeze_backbone), progress=progress)
    assert shown[0].status == "solved"


class A:
    """An object that can be called."""

    def __init__(self, function):
        self.function = function

    def __call__(self, model):
        self.function(model)


def test_an_endless_loop_is_stopped_and_told(progress, shown):
    source = "def freeze_backbone(model):\n    while True:\n        pass"
    check("freeze_backbone", cell(source), seconds=0.3, progress=progress)
    (report,) = shown
    assert report.head == (
        "✘ freeze_backbone: stopped. It was still running after 0.3 s. Does each of its loops end?"
    )
    assert bundle(report)[MIME]["status"] == "stopped" and known(progress)["tries"] == 1
    assert report.rows[0].marks == ("✘", "–") and report.rows[1].marks == ("–", "–")


def test_all_calls_share_the_time(progress, shown):
    def freeze_backbone(model):
        __import__("time").sleep(0.2)

    check("freeze_backbone", freeze_backbone, seconds=0.5, progress=progress)
    assert shown[0].status == "stopped"


def test_a_network_that_never_answers_is_stopped_too(progress, shown):
    source = """
class Endless(nn.Module):
    def forward(self, x):
        while True:
            pass

def prepare(model, num_classes):
    model.requires_grad_(False)
    model.fc = Endless()
    return torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
"""
    check("prepare", cell(source, "prepare"), seconds=0.3, progress=progress)
    assert shown[0].status == "stopped"


def test_the_stop_button_is_passed_on_and_nothing_is_kept(progress):
    me = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (me, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        check(
            "freeze_backbone",
            cell("def freeze_backbone(model):\n    while True: pass"),
            progress=progress,
        )
    assert known(progress) is None and torch.is_grad_enabled()


def test_a_hundred_megabytes_of_output_are_folded(progress, shown, capsys):
    def freeze_backbone(model):
        print("<b>" + "x" * (10**8 // 7))
        model.requires_grad_(False)

    check("freeze_backbone", freeze_backbone, progress=progress)
    assert capsys.readouterr().out == ""
    (report,) = shown
    page = bundle(report)["text/html"]
    assert (
        "<summary>What it printed when it was called 14 times</summary>" in page
        and "&lt;b&gt;xxx" in page
    )
    left = re.search(r"… and ([\d,]+) characters more", page)[1]
    assert 199e6 < int(left.replace(",", "")) < 200.1e6 and len(page) < 4000


def test_the_session_is_as_before(progress, capsys):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    with torch.no_grad():
        check("freeze_backbone", freeze_backbone, progress=progress)
        check("extract_features", lambda m, x: torch.set_grad_enabled(False), progress=progress)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()

    def top_k(model, weights, image, k=5):
        torch.manual_seed(3), random.seed(3), np.random.seed(3)
        torch.set_default_dtype(torch.float64)
        raise ValueError

    check("top_k", top_k, progress=progress)
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()


def test_what_one_call_leaves_does_not_disturb_the_next(progress, shown):
    """The check computes what is right between the calls, and must not compute it in bfloat16."""
    source = (
        load_exercises()["add_low_rank"].solution.code
        + """
right = add_low_rank

def add_low_rank(linear, rank):
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.autocast("cpu", torch.bfloat16).__enter__()
    torch.set_default_dtype(torch.float32)
    with torch.device("cpu"):
        return right(linear, rank)
"""
    )
    check("add_low_rank", cell(source, "add_low_rank"), progress=progress)
    assert shown[0].status == "solved", repr(shown[0])
    assert not torch.is_autocast_enabled("cpu") and torch.ones(1).device.type == "cpu"


ODD = """
import itertools, time

class Odd(list):
    def __iter__(self):
        {iter}
    def __len__(self):
        {len}
    def __repr__(self):
        {repr}
    def __float__(self):
        {float}

def {name}(*arguments):
    return Odd([1.0, 2.0, 3.0])
"""


def odd(name, **methods):
    """A function that returns a list of which one method is odd."""
    sound = {
        "iter": "return list.__iter__(self)",
        "len": "return list.__len__(self)",
        "repr": "return list.__repr__(self)",
        "float": "return 1.0",
    }
    return cell(ODD.format(name=name, **sound | methods), name)


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("choose_and_report", {"iter": "time.sleep(60)"}),
        ("choose_and_report", {"iter": "while True: pass"}),
        ("top_k", {"len": "time.sleep(60)"}),
        ("top_k", {"iter": "while True: time.sleep(1)"}),
        ("evaluate", {"float": "time.sleep(60)"}),
        ("evaluate", {"float": "raise TypeError", "repr": "while True: pass"}),
        ("param_groups", {"len": "time.sleep(60)"}),
    ],
)
def test_a_returned_value_is_read_no_longer_than_the_code_may_run(name, methods, progress, shown):
    start = time.monotonic()
    check(name, odd(name, **methods), seconds=2, progress=progress)
    assert time.monotonic() - start < 20
    assert shown[0].head.startswith(
        f"✘ {name}: stopped. What it returned was still being read after 2 s."
    ), repr(shown[0])


@pytest.mark.parametrize(
    ("name", "returned", "told"),
    [
        ("choose_and_report", "range(10**12)", "It returned more than 1000 numbers."),
        ("choose_and_report", "itertools.count()", "It returned count(0)."),
        ("paired_interval", "range(10**12)", "It returned more than 1000 numbers."),
        (
            "paired_interval",
            "type('Endless', (), {'__len__': lambda self: 10**12, "
            "'__getitem__': lambda self, n: 1.0})()",
            "It returned <",
        ),
        ("top_k", "[('a', 0.5)] * 10**6", "Asked for 3, it returned 1,000,000."),
        ("evaluate", "range(10**12)", "It returned range(0, 1000000000000)."),
    ],
)
def test_what_has_no_end_is_told_as_what_it_is(name, returned, told, progress, shown):
    check(
        name,
        cell(f"import itertools\ndef {name}(*arguments): return {returned}", name),
        progress=progress,
    )
    assert shown[0].status == "not yet" and told in shown[0].seen, repr(shown[0])


@pytest.mark.parametrize(
    "body", ["return repr(self)", "raise SystemExit", "raise KeyboardInterrupt"]
)
def test_words_of_a_value_that_fail_are_the_learner_s_error(body, progress, shown):
    check("evaluate", odd("evaluate", float="raise TypeError", repr=body), progress=progress)
    assert shown[0].status in ("error", "not yet"), repr(shown[0])


ENDLESS = """
import itertools

def freeze_backbone(model):
    kind = type(model)
    model.__class__ = type("Endless", (kind,), {"named_parameters": lambda *_, **__: loop()})

def loop():
    for number in itertools.count():
        yield str(number), nn.Parameter(torch.ones(1))
"""


def test_a_network_that_was_made_endless_is_stopped_too(progress, shown, monkeypatch):
    monkeypatch.setattr(attempt, "OWN", 5)
    start = time.monotonic()
    check("freeze_backbone", cell(ENDLESS), progress=progress)
    assert shown[0].status == "stopped" and time.monotonic() - start < 30, repr(shown[0])


@pytest.mark.parametrize("attribute", ["__signature__", "__wrapped__", "func", "__code__"])
def test_an_object_whose_attributes_are_odd_is_told_in_a_sentence(attribute, progress, capsys):
    class Odd:
        def __call__(self, model): ...

        def __getattr__(self, name):
            if name == attribute:
                raise SystemExit
            raise AttributeError(name)

    check("freeze_backbone", Odd(), progress=progress)
    said = capsys.readouterr().out
    assert said.startswith("✘ freeze_backbone: not yet.") or said.startswith("Your turn"), said


def test_the_default_device_of_the_session_does_not_matter(progress, shown):
    torch.set_default_device("meta")
    try:
        check(
            "prepare", cell(load_exercises()["prepare"].solution.code, "prepare"), progress=progress
        )
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)
    assert shown[0].status == "solved", repr(shown[0])


def test_hints_come_one_by_one_and_are_counted(progress, shown):
    hints = load_exercises()["train_only"].hints
    for number in [1, 2, 3, 3]:
        hint("train_only", progress=progress)
        assert known(progress, "train_only")["hints"] == number
        assert shown[-1].head == f"Hint {number} of 3 for train_only"
        assert hints[number - 1] in repr(shown[-1])
        assert all(later not in repr(shown[-1]) for later in hints[number:])
    assert "There are no more" in repr(shown[-1]) and "no more" not in repr(shown[0])
    assert known(progress, "train_only")["tries"] == 0


def test_the_solution_comes_after_a_try(progress, shown):
    solution("freeze_backbone", progress=progress)
    assert shown[-1].head == "Try freeze_backbone first." and not known(progress)
    hint("freeze_backbone", progress=progress)
    solution("freeze_backbone", progress=progress)
    assert shown[-1].head == "Try freeze_backbone first." and not known(progress)["seen"]

    check("freeze_backbone", lambda model: None, progress=progress)  # "your turn" is no try
    solution("freeze_backbone", progress=progress)
    assert shown[-1].head == "Try freeze_backbone first."

    check("freeze_backbone", lambda model: model.requires_grad_(False), progress=progress)
    solution("freeze_backbone", progress=progress)
    said, page = repr(shown[-1]), bundle(shown[-1])["text/html"]
    assert "    def freeze_backbone(model):\n" in said and "1. `requires_grad_` on the" in said
    assert "<ol>" in page and '<span style="color:' in page and known(progress)["seen"]
    plain = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "find_head(model).module.requires_grad_(True)" in plain


def test_an_unknown_exercise_names_the_nearest(progress):
    for ask in (hint, solution, functools.partial(check, function=freeze_backbone)):
        with pytest.raises(ValueError, match="'freeze_backbon'. Did you mean freeze_backbone"):
            ask("freeze_backbon", progress=progress)
    with pytest.raises(ValueError, match="There are: top_k, "):
        hint("qqq", progress=progress)
    with pytest.raises(ValueError, match="seconds=0; expected a number above 0"):
        check("top_k", freeze_backbone, seconds=0)


def test_a_warning_of_the_progress_file_is_shown(tmp_path, shown):
    (tmp_path / "file").write_text("not a folder")
    progress = Progress(tmp_path / "file" / "progress.json")
    check("freeze_backbone", freeze_backbone, progress=progress)
    hint("freeze_backbone", progress=progress)
    assert all("▲ Your progress cannot be saved in progress.json" in repr(s) for s in shown)


def test_pages_are_plain_enough_for_an_untrusted_notebook(progress, shown):
    check(
        "freeze_backbone",
        cell("def freeze_backbone(model):\n    print(1)\n    model.x"),
        progress=progress,
    )
    hint("freeze_backbone", progress=progress)
    solution("freeze_backbone", progress=progress)
    check("top_k", lambda model, weights, image, k=5: [("<script>", 1)] * k, progress=progress)
    for page in [bundle(thing)["text/html"] for thing in shown]:
        assert not re.search(r"<style|<script|class=|var\(", page)
        json.dumps(page)
    assert {bundle(s).get(MIME, {}).get("status") for s in shown} - {None} <= set(STATUSES)


def test_a_text_may_hold_markdown_and_no_html():
    page = Shown("A <b>", [("text", "`a < b` *and* <i>")])._repr_html_()
    assert "<code>a &lt; b</code> <em>and</em> &lt;i&gt;" in page and "A &lt;b&gt;" in page


CELLS = [
    "from courseware.exercises import check, hint, solution\nimport time, torch",
    """
def freeze_backbone(model):
    ...  # your code here

check("freeze_backbone", freeze_backbone)
""",
    "def freeze_backbone(model):\n    for p in model.parameters():\n        p.freeze()\n",
    'check("freeze_backbone", freeze_backbone)',
    """
def freeze_backbone(model):
    while True:
        try:
            time.sleep(60)
        except:
            pass

check("freeze_backbone", freeze_backbone, seconds=1)
""",
    "print(sum(range(10**7)), torch.is_grad_enabled())",
    """
import os, signal, threading
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    check("freeze_backbone", lambda model: time.sleep(60))
except KeyboardInterrupt:
    print("stopped by hand")
""",
    """
from course_utils.surgery import find_head
def freeze_backbone(model):
    print("x" * 100_000_000)
    model.requires_grad_(False)
    find_head(model).module.requires_grad_(True)

check("freeze_backbone", freeze_backbone)
""",
    'solution("freeze_backbone")',
]


def test_in_a_real_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    NotebookClient(notebook, timeout=120).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert [len(output) for output in outputs] == [0, 1, 0, 1, 1, 1, 1, 1, 1]
    data = [output[0].get("data", {}) if output else {} for output in outputs]
    statuses = [d[MIME]["status"] for d in data if MIME in d]
    assert statuses == ["your turn", "error", "stopped", "solved"]
    assert "line 3 of your cell:  p.freeze()" in data[3]["text/plain"]
    assert outputs[5][0].text == "49999995000000 True\n"
    assert outputs[6][0].text == "stopped by hand\n"
    assert "1,399,999,614 characters more" in data[7]["text/html"]
    assert len(data[7]["text/html"]) < 3000
    assert "<pre style" in data[8]["text/html"]
    assert (
        json.loads((tmp_path / "progress.json").read_text())["exercises"]["freeze_backbone"][
            "tries"
        ]
        == 3
    )
