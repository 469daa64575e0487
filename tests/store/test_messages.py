"""Progress bars and notices."""

import pytest

from course_utils.store import messages


@pytest.fixture(autouse=True)
def bars_are_shown(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


def test_progress_passes_items_on_and_stays_silent_when_quick(capsys):
    assert list(messages.progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_progress_shows_what_takes_over_two_seconds(capsys):
    bar = messages.progress(None, "weights.pth", total=4_000_000, unit="B")
    bar.start_t -= 3  # as if it had begun three seconds ago
    bar.last_print_t -= 3
    bar.update(1_000_000)
    shown = capsys.readouterr().err
    bar.close()
    assert "weights.pth" in shown and "1.00M/4.00M" in shown and "<" in shown


def test_notice_is_a_line_in_a_terminal_and_escaped_in_a_page(capsys):
    messages.show_notice("no <weights> here")
    assert capsys.readouterr().out.strip() == "no <weights> here"
    page = messages.Notice("no <weights> here")._repr_html_()
    assert "no &lt;weights&gt; here" in page
    assert "var(" not in page, "JupyterLab strips such a style from an untrusted notebook"


@pytest.mark.parametrize(
    ("name", "known", "told"),
    [
        ("resnet19", ["vgg11", "resnet18"], "Did you mean resnet18?"),
        ("zzz", ["vgg11", "resnet18"], ""),
        (18, ["vgg11"], ""),
    ],
)
def test_the_nearest_names(name, known, told):
    assert messages.nearest(name, known) == told
    assert messages.nearest(name, dict.fromkeys(known)) == told


def test_names_that_mean_the_same_are_told_once():
    lessons = {"freezing": "02", "freeze": "02", "free": "03"}
    assert messages.nearest("freez", lessons, lessons.get) == "Did you mean 02, 03?"
