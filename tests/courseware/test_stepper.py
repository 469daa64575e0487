"""A recording says what really happened; the table of it holds no one else's HTML."""

import collections
import contextlib
import functools
import json
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from nbformat.v4 import new_code_cell, new_output
from torch import nn
from torchvision.models import resnet18

from courseware.stepper import step_through
from courseware.stepper.record import Recording, record
from courseware.stepper.source import read_source
from courseware.stepper.static import static_html
from courseware.stepper.widget import StepperWidget, payload
from tools.builder.build import read
from tools.builder.lesson import ROOT, STEPPER, tags
from tools.builder.outputs import WIDGET, clean_outputs

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def told(recording: Recording, name: str) -> list[tuple]:
    """Each change of one variable: its line, how, and in what."""
    return [
        (step.line, change.how, *change.told)
        for step in recording.steps
        for change in step.changes
        if change.name == name
    ]


# --- the source ---


# Lines to step through: a *title*
def noted(x):  # what goes in
    # a line before,
    # and another
    y = max(  # behind the first line
        x,  # behind the second
        "# no comment",
    )
    z = y  # last

    return z


def test_comments_become_notes_and_leave_the_code():
    source = read_source(noted)
    assert source.title == "a *title*"
    assert source.code == (
        "def noted(x):",
        "    y = max(",
        "        x,",
        '        "# no comment",',
        "    )",
        "    z = y",
        "",
        "    return z",
    )
    assert source.notes == {
        1: "what goes in",
        2: "a line before, and another behind the first line behind the second",
        6: "last",
    }


def test_a_statement_of_several_lines_is_one_step():
    recording = record(noted, "a")
    assert [step.line for step in recording.steps] == [1, 2, 6, 8]
    assert recording.source.ends == {2: 5}


def test_a_function_without_a_title_has_its_name():
    def two_words():
        pass

    assert read_source(two_words).title == "two words"


@pytest.mark.parametrize("wrong", [len, lambda: 1, nn.Linear, 3])
def test_only_a_function_made_by_def_has_lines_to_show(wrong):
    with pytest.raises(TypeError, match="give a function made by def"):
        record(wrong)


def generator():
    yield 1


async def coroutine():
    return 1


managed, without_gradients = contextlib.contextmanager(generator), torch.no_grad()(generator)


@pytest.mark.parametrize("wrong", [generator, coroutine, managed, without_gradients])
def test_a_generator_runs_no_line(wrong):
    with pytest.raises(TypeError, match="calling it runs no line. Step through a function that"):
        record(wrong)


# --- decorators, methods ---


def twice(function):
    """A decorator that calls the function two times, and adds up what it gives."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + function(*args)

    return wrapper


# Lines to step through: a decorated function
@torch.no_grad()  # no gradient in here
@torch.autocast("cpu", torch.bfloat16)
def decorated(x, scale=2):
    y = x @ x  # in bfloat16
    return scale * y


def test_a_decorated_function_is_stepped_through_and_the_decorators_act():
    x = torch.ones(2, 2, requires_grad=True)
    recording = record(decorated, x, scale=3)
    assert recording.source.title == "a decorated function"
    assert recording.source.code[:3] == (
        "@torch.no_grad()",
        '@torch.autocast("cpu", torch.bfloat16)',
        "def decorated(x, scale=2):",
    )
    assert recording.source.notes == {3: "no gradient in here", 4: "in bfloat16"}
    assert recording.source.ends == {}
    assert [step.line for step in recording.steps] == [3, 4, 5]
    names = [change.name for step in recording.steps for change in step.changes]
    assert names == ["scale", "x", "y"] or names == ["x", "scale", "y"]
    (y,) = [change for change in recording.steps[1].changes if change.name == "y"]
    assert "bfloat16" in y.text and "requires_grad=False" in y.text
    assert recording.value.dtype == torch.bfloat16 and torch.is_grad_enabled()
    assert recording.steps[-1].returned and recording.message.startswith("It returned tensor")


class Model(nn.Module):
    @torch.no_grad()
    def forward(self, x):
        y = x + 1
        return y

    @classmethod
    def of(cls, x):
        return cls()(x)

    @staticmethod
    def plain(x):
        return x


@pytest.mark.parametrize(
    ("function", "lines"),
    [
        (Model(), [2, 3, 4]),
        (Model().forward, [2, 3, 4]),
        (Model.of, [2, 3]),
        (Model.plain, [2, 3]),
        (functools.partial(Model().forward), [2, 3, 4]),
        (functools.cache(functools.partial(Model.plain)), [2, 3]),
    ],
)
def test_methods_and_what_is_made_of_functions(function, lines):
    recording = record(function, torch.ones(1))
    assert recording.ended == "returned", recording.message
    assert [step.line for step in recording.steps] == lines


def test_a_function_that_its_decorator_calls_twice_is_shown_once():
    @twice
    def work(x):
        y = x + 1
        return y

    recording = record(work, 1)
    assert [step.line for step in recording.steps] == [2, 3, 4] and recording.value == 4
    assert recording.steps[-1].returned == "2"
    assert recording.message == (
        "It returned 2. Its decorator made of it: 4. Its decorator called it 2 times; "
        "this is the first."
    )


def test_a_function_that_its_decorator_does_not_call_says_so():
    @functools.cache
    def work(x):
        return x + 1

    assert [step.line for step in record(work, 1).steps] == [2, 3]
    recording = record(work, 1)
    assert [step.line for step in recording.steps] == [2] and recording.value == 2
    assert recording.message == (
        "It returned 2. None of its lines ran here: a decorator keeps results or compiled it."
    )
    json.dumps(payload(recording))


def test_an_exception_that_a_decorator_catches():
    def forgiving(function):
        @functools.wraps(function)
        def wrapper(*args):
            with contextlib.suppress(ZeroDivisionError):
                return function(*args)
            return 0

        return wrapper

    @forgiving
    def work(x):
        return 1 / x

    recording = record(work, 0)
    assert recording.steps[-1].raised == "ZeroDivisionError: division by zero"
    assert recording.message == (
        "It raised ZeroDivisionError: division by zero. Its decorator made of it: 0."
    )


def test_arguments_that_do_not_fit_a_decorated_function():
    recording = record(decorated)
    assert recording.ended == "raised" and recording.steps[0].line == 3


def test_a_source_that_cannot_stand_alone_says_what_to_do():
    class A:
        def method(self):
            return """
to the left
"""

    with pytest.raises(OSError, match="define it in a cell or a file"):
        record(A().method)


def test_a_function_without_source_says_what_to_do():
    names = {}
    exec("def hidden(): pass", names)
    with pytest.raises(OSError, match="no source of hidden: define it in a cell or a file"):
        record(names["hidden"])


# --- what changed ---


def test_names_come_change_and_go():
    def work(a):
        b = a + 1
        b = b
        b = b * 2.5
        del a
        return b

    recording = record(work, 1)
    assert told(recording, "a") == [(1, "new"), (5, "gone")]
    assert told(recording, "b") == [(2, "new"), (4, "changed", "was 2")]
    assert recording.value == 5.0 and recording.steps[-1].returned == "5"


def test_containers_are_looked_into():
    def work():
        x = [1, 2]
        x.append(3)
        d = {"w": torch.zeros(2), "deep": [{"n": 1}]}
        d["w"] += 1
        d["deep"][0]["n"] = 2
        d.pop("deep")

    recording = record(work)
    assert told(recording, "x") == [(2, "new"), (3, "changed", "entries new: [2]", "length: 2 → 3")]
    assert told(recording, "d") == [
        (4, "new"),
        (5, "changed", "w: [0, 0] → [1, 1]"),
        (6, "changed", "entries changed: deep"),
        (7, "changed", "entries gone: deep", "length: 2 → 1"),
    ]


def test_a_tensor_changed_in_place_is_noticed():
    def work(t):
        t.add_(1)
        t.data[0] = 5  # past the version counter
        t.mul_(1)  # writes what is there
        t.requires_grad_()
        t.sum().backward()
        u = t.reshape(2, 500)
        u = u.half()
        return u

    recording = record(work, torch.zeros(1000))
    assert told(recording, "t") == [
        (1, "new"),
        (2, "changed", "new values"),
        (3, "changed", "new values"),
        (5, "changed", "requires_grad: False → True"),
        (6, "changed", "grad: None → 1 … 1, mean 1"),
    ]
    text = recording.steps[6].changes[0].text
    assert text.startswith("tensor [2, 500] float32 on cpu · requires_grad=True · made by")
    assert told(recording, "u")[1][2:4] == (
        "dtype: float32 → float16",
        "made by: ViewBackward0 → ToCopyBackward0",
    )


@pytest.mark.parametrize("size", [1, 100, 600_000])  # the last one is beyond the exact hash
def test_one_value_of_many_is_noticed(size):
    def work(t):
        t[-1] += 1e-6

    assert told(record(work, torch.zeros(size)), "t")[1][:2] == (2, "changed")


def test_values_that_change_places_are_noticed():
    def work(t):
        t.copy_(t.flip(0))

    assert told(record(work, torch.arange(1000.0)), "t")[1][:2] == (2, "changed")


def test_a_long_text_is_cut_and_says_so():
    def work(x):
        return x

    text = record(work, "x" * 5_000).steps[0].changes[0].text
    assert len(text) == 200 and text.endswith("…")


def test_a_module_changed_in_place_is_noticed():
    def work(model, x):
        model[0].requires_grad_(False)
        model.eval()
        model.train()
        y = model(x)
        y.sum().backward()
        model[2].weight.data.add_(1)
        model.zero_grad()
        model[2] = nn.Linear(50, 3)

    model = nn.Sequential(nn.Linear(4, 50), nn.BatchNorm1d(50), nn.Linear(50, 2))
    assert told(record(work, model, torch.randn(5, 4)), "model") == [
        (1, "new"),
        (2, "changed", "trainable: all 452 values → 202 of 452 values"),
        (3, "changed", "mode: train mode → eval mode"),
        (4, "changed", "mode: eval mode → train mode"),
        (5, "changed", "buffers changed: 1.running_mean, 1.running_var, 1.num_batches_tracked"),
        (6, "changed", "gradients new: 1.weight, 1.bias, 2.weight, 2.bias"),
        (7, "changed", "parameters changed: 2.weight"),
        (8, "changed", "gradients gone: 1.weight, 1.bias, 2.weight, 2.bias"),
        (
            *(9, "changed", "trainable: 202 of 452 values → 253 of 503 values"),
            *("2.weight: [2, 50] → [3, 50]", "2.bias: [2] → [3]"),
        ),
    ]


def test_a_module_with_two_tensors_of_one_name_counts_both():
    def work(model):
        setattr(model, "0.x", nn.Linear(2, 2))
        model[0].x = nn.Linear(2, 2)

    first = nn.Sequential(nn.Linear(100, 2))
    trainable = [change[2] for change in told(record(work, first), "model")[1:]]
    assert trainable == [
        "trainable: all 202 values → all 208 values",
        "trainable: all 208 values → all 214 values",
    ]


def test_a_small_module_shows_its_values():
    def work(layer):
        layer(torch.ones(4, 1, 2, 2))

    recording = record(work, nn.BatchNorm2d(1))
    assert "running_mean [0] · running_var [1]" in recording.steps[0].changes[0].text
    assert told(recording, "layer")[1][2:] == (
        *("running_mean: [0] → [0.1]", "running_var: [1] → [0.9]"),
        "num_batches_tracked: 0 → 1",
    )


@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"fused": True}], ids=str)
def test_an_optimizer_and_what_it_moves(options):
    def work(layer):
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, **options)
        layer(torch.ones(1, 100)).sum().backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 0.01

    recording = record(work, nn.Linear(100, 1))
    assert told(recording, "layer")[2] == (4, "changed", "parameters changed: weight, bias")
    assert told(recording, "optimizer") == [
        (2, "new"),
        (4, "changed", "memory: empty → 2 tensors, step 1"),
        (5, "changed", "groups: lr 0.1 for 101 values → lr 0.01 for 101 values"),
    ]


def test_odd_objects_end_nothing():
    class Odd:
        def __repr__(self):
            raise RuntimeError

        def __len__(self):
            raise RuntimeError

    def work():
        meta = nn.Linear(100, 100, device="meta")
        lazy = nn.LazyLinear(3)
        tensors = [torch.empty(0), torch.eye(3).to_sparse(), torch.tensor(1j), torch.ones(9).bool()]
        odd = Odd()
        place = Path("/a/secret/place/weights.pth")
        plain = object()
        ordered = collections.OrderedDict(a=1)
        return meta, lazy, tensors, odd, place, plain, ordered

    recording = record(work)
    assert recording.ended == "returned", recording.message
    text = json.dumps(recording.to_json()["steps"])
    assert "secret" not in text and " at 0x" not in text
    assert "path …/weights.pth" in recording.steps[5].changes[0].text


def test_nothing_of_the_random_numbers_is_used():
    def work(model, x):
        y = model(x)
        return torch.rand(1) + y.sum() * 0

    results = []
    for call in (lambda *a: record(work, *a).value, work):
        torch.manual_seed(0)
        results.append((call(nn.Linear(3, 3), torch.ones(1, 3)).item(), torch.rand(1).item()))
    assert results[0] == results[1]


def test_recording_keeps_no_object_alive():
    import gc
    import weakref

    def work():
        layer = nn.Linear(2, 2)
        seen.append(weakref.ref(layer))
        layer = None
        gc.collect()
        seen.append(seen[0]())

    seen = []
    record(work)
    assert seen[1] is None


# --- loops, prints, exceptions ---


def test_passes_of_loops_are_counted():
    def work():
        for i in range(2):
            j = 0
            while j < i + 1:
                j += 1
        while True:
            j += 1
            if j > 3:
                break

    steps = record(work).steps
    where = [(step.line, step.where.replace(" of the loop in line", "")) for step in steps]
    assert where[:14] == [
        (1, ""),
        (2, "pass 1 of 2 2"),
        (3, "pass 1 of 2 2"),
        (4, "pass 1 of 2 2, pass 1 of 1 4"),
        (5, "pass 1 of 2 2, pass 1 of 1 4"),
        (4, "pass 1 of 2 2, the loop in line 4 is over"),
        (2, "pass 2 of 2 2"),
        (3, "pass 2 of 2 2"),
        (4, "pass 2 of 2 2, pass 1 of 2 4"),
        (5, "pass 2 of 2 2, pass 1 of 2 4"),
        (4, "pass 2 of 2 2, pass 2 of 2 4"),
        (5, "pass 2 of 2 2, pass 2 of 2 4"),
        (4, "pass 2 of 2 2, the loop in line 4 is over"),
        (2, "the loop in line 2 is over"),
    ]
    # Whether `while True` is visited in each pass depends on the version of Python.
    assert [there for line, there in where if line == 7] == ["pass 1 of 2 6", "pass 2 of 2 6"]


def test_a_loop_of_one_line_has_a_step_for_each_pass():
    def work(items):
        while True:
            items.pop()  # noqa: E701

    recording = record(work, [1, 2])
    gone = [change[2] for change in told(recording, "items") if change[1] == "changed"]
    assert gone == ["entries gone: [1]", "entries gone: [0]"]
    assert [step.line for step in recording.steps].count(2) == 3 and recording.ended == "raised"


def test_what_is_printed_belongs_to_its_line(capsys):
    def shout():
        print("B")

    def work():
        print("a")
        shout()
        sys.stdout.write("c")

    steps = record(work).steps
    assert [step.printed for step in steps] == ["", "a\n", "B\n", "c"]
    assert capsys.readouterr().out == ""
    print("seen")
    assert capsys.readouterr().out == "seen\n"


def test_an_exception_is_part_of_the_recording():
    def inner():
        raise ValueError("too <bold>")

    def work():
        x = 1
        inner()
        return x

    recording = record(work)
    assert recording.ended == "raised" and recording.value is None
    assert recording.message == "It raised ValueError: too <bold>."
    assert [step.line for step in recording.steps] == [1, 2, 3]
    assert recording.steps[-1].raised == "ValueError: too <bold>"


def test_an_exception_that_is_caught_is_told_where_it_was_raised():
    def work():
        try:
            with torch.no_grad():
                int("x")
        except ValueError as error:
            print(error)
        for _ in iter([1]):
            pass

    recording = record(work)
    assert recording.ended == "returned"
    raised = {step.line: step.raised for step in recording.steps if step.raised}
    assert raised == {4: "ValueError: invalid literal for int() with base 10: 'x'"}


def test_leaving_python_is_an_exception_like_any_other():
    def work():
        exit()

    recording = record(work)
    assert recording.ended == "raised" and "exit() would end Python" in recording.message


@pytest.mark.parametrize("error", [SystemExit, RecursionError, StopIteration, KeyboardInterrupt])
def test_any_exception_is_kept(error):
    def work():
        raise error

    recording = record(work)
    assert recording.ended == "raised" and error.__name__ in recording.message


def test_the_stop_button_is_passed_on():
    def work():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        record(work)
    assert sys.gettrace() is None or "record" not in repr(sys.gettrace())


def test_arguments_that_do_not_fit():
    def work(a):
        return a

    recording = record(work)
    assert recording.ended == "raised" and "missing 1 required" in recording.steps[0].raised


# --- what does not end ---


def test_too_many_steps_are_stopped():
    def work():
        n = 0
        while True:
            n += 1

    recording = record(work, max_steps=50)
    assert recording.ended == "stopped" and len(recording.steps) == 50
    assert recording.message == "Stopped after 50 steps: it did not come to an end."
    assert told(recording, "n")[-1][0] == 4  # what was recorded so far is there


def endless():
    while True:
        try:
            time.sleep(0.01)
        except:  # noqa: E722
            pass


def endless_line():
    while True:
        pass  # noqa: E701


@pytest.mark.parametrize("function", [endless, endless_line], ids=lambda f: f.__name__)
def test_a_called_function_that_never_ends_is_stopped(function):
    def work():
        x = 1
        function()
        return x

    start = time.monotonic()
    recording = record(work, seconds=0.3)
    assert time.monotonic() - start < 5
    assert recording.ended == "stopped" and recording.message.startswith("Stopped after 0.3 s:")
    assert told(recording, "x") == [(2, "new")] and recording.steps[-1].line == 3


@pytest.mark.parametrize("pause", [0.0, 0.5])  # beyond the alarm's second ring
def test_what_is_stopped_leaves_no_grad_behind_it(pause):
    class Slow:
        def __repr__(self):
            time.sleep(pause)
            return "slow"

    def work():
        slow = Slow()
        with torch.no_grad():
            endless_line()
        return slow

    assert record(work, seconds=0.3 + pause).ended == "stopped"
    assert torch.is_grad_enabled()


def test_gradients_are_as_they_were_when_a_function_that_turned_them_off_is_stopped():
    def work():
        torch.set_grad_enabled(False)
        endless_line()

    assert record(work, seconds=0.3).ended == "stopped"
    assert torch.is_grad_enabled()


# --- tracing ---


def test_what_is_called_is_not_traced_and_the_old_tracer_comes_back():
    def helper(n):
        y = n + 1
        return helper(n - 1) if n else y

    def work(n):
        m = work(n - 1) if n else 0  # itself, too
        m = helper(3) + m
        return m

    def tracer(*_):
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        recording = record(work, 2)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert [step.line for step in recording.steps] == [1, 2, 3, 4]
    assert recording.value == 3


# --- size, and what it costs ---


# Lines to step through: a training step
def training_step(model, images, labels):
    """Twenty lines."""
    for parameter in model.parameters():
        if parameter.ndim == 5:
            break
    model.requires_grad_(False)  # every flag is off
    width = model.fc.in_features
    model.fc = nn.Linear(width, 5)  # born trainable
    optimizer = torch.optim.Adam(model.fc.parameters(), lr=1e-3)
    model.train()  # BatchNorm moves
    scores = model(images)
    loss = F.cross_entropy(scores, labels)
    optimizer.zero_grad()
    loss.backward()  # only the head
    optimizer.step()
    model.eval()
    with torch.no_grad():
        after = F.cross_entropy(model(images), labels)
    print(f"{loss.item():.3f} → {after.item():.3f}")
    return after.item()


@pytest.fixture(scope="module")
def training():
    torch.manual_seed(0)
    images, labels = torch.randn(4, 3, 64, 64), torch.arange(4)
    return record(training_step, resnet18(), images, labels, seconds=60)


def test_a_training_step_takes_at_most_60_kilobytes(training):
    assert training.ended == "returned", training.message
    assert len(training.source.code) == 20
    assert len(json.dumps(training.to_json())) <= 60_000
    assert len(json.dumps(payload(training))) <= 60_000


# --- shown ---


def test_the_table_has_a_row_a_step_and_the_end(training):
    table = static_html(training)
    assert table.count("<tr>") == 1 + len(training.steps)
    for text in ("a training step", "born trainable", "requires_grad=False", training.message):
        assert text in table


def test_a_line_of_the_table_breaks_at_brackets_and_dots_and_nowhere_else():
    def work(x):
        return x.view(-1, 2).mul(0.5)

    row = "<code>&nbsp;&nbsp;&nbsp;&nbsp;return x<wbr>.view(<wbr>-1, 2)<wbr>.mul(<wbr>0.5)</code>"
    assert row in static_html(record(work, torch.ones(2)))


def test_the_table_escapes_what_is_not_its_own():
    # Lines to step through: <script>alert(1)</script>
    def work():
        s = "<img src=x>"  # a note with <b>HTML</b>
        print(s)
        raise ValueError("<i>no</i>")

    table = static_html(record(work))
    for bad in ("<script", "<img", "<b>HTML", "<i>no"):
        assert bad not in table
    for escaped in ("&lt;script&gt;", "&lt;img src=x&gt;", "&lt;b&gt;HTML", "&lt;i&gt;no"):
        assert escaped in table


def test_a_cell_shows_the_table_and_the_widget(monkeypatch):
    shown = []
    monkeypatch.setattr("courseware.stepper.show.display", shown.append)

    def work(x):
        return x

    assert step_through(work, 3) is None
    table, widget = shown
    assert "tlm-steps" in table.data and isinstance(widget, StepperWidget)
    assert widget._repr_mimebundle_()[0]["text/plain"] == ""
    json.dumps(widget.recording)


def test_the_build_keeps_the_table_and_no_line_for_the_widget():
    table, view = {"text/html": "<table></table>"}, {WIDGET: {"model_id": "1"}, "text/plain": ""}
    cell = new_code_cell(metadata={"tags": [STEPPER], "alt": "a loop"})
    cell.outputs = [new_output("display_data", data=data) for data in (table, view)]
    assert [output.data for output in clean_outputs(cell, 1)] == [table]


def test_without_anywidget_the_table_stands_alone(monkeypatch):
    shown = []
    monkeypatch.setattr("courseware.stepper.show.display", shown.append)
    monkeypatch.setitem(sys.modules, "courseware.stepper.widget", None)
    step_through(endless_line, seconds=0.2)
    assert len(shown) == 1 and "Stopped after" in shown[0].data


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_published_stepper_came_to_its_end(notebook):
    for cell in read(notebook).cells:
        if STEPPER in tags(cell):
            (output,) = cell.outputs  # the table, and no line for the widget
            end = output.data["text/html"].split("</table>")[1]
            assert "It came to its end." in end or "It returned" in end, cell.id
