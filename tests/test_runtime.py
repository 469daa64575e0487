"""Folders, device, seeds, environment, network, memory, time, progress, notices."""

import random
import socket
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
import torch

from course_utils import runtime


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in (
        "COURSE_CACHE_DIR COURSE_DEVICE COURSE_OFFLINE COLAB_RELEASE_TAG BINDER_SERVICE_HOST "
        "BINDER_LAUNCH_HOST TQDM_DISABLE http_proxy https_proxy all_proxy no_proxy "
        "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY"
    ).split():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listener():
    """The port of a socket on this machine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_cache_dir_is_made_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "a" / "b"))
    assert runtime.cache_dir() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_cache_dir_names_the_course_by_default(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "user_cache_path", lambda name: tmp_path / name)
    assert runtime.cache_dir() == tmp_path / "transfer-learning-measured"


def test_cache_dir_that_cannot_be_made_says_what_to_set(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match="COURSE_CACHE_DIR"):
        runtime.cache_dir()


def test_pick_device_order(monkeypatch):
    assert runtime.pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.pick_device() == torch.device("cpu")
    assert runtime.pick_device("cuda") == torch.device("cuda")
    monkeypatch.delenv("COURSE_DEVICE")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert runtime.pick_device() == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.pick_device() == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert runtime.pick_device() == torch.device("cpu")


def test_pick_device_refuses_what_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda'.*finds none"):
        runtime.pick_device("cuda")
    with pytest.raises(ValueError, match="Unknown device 'gpu'"):
        runtime.pick_device("gpu")


def test_seed_everything_repeats_all_three_generators():
    def draw():
        runtime.seed_everything(7)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()
    runtime.seed_everything(8)
    assert torch.rand(1).item() != draw()[2]


def test_environment_is_a_terminal_in_tests(monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert runtime.environment() == "terminal"


def test_environment_is_jupyter_in_a_kernel(monkeypatch):
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))
    assert runtime.environment() == "jupyter"


@pytest.mark.parametrize("name", ["BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST"])
def test_environment_binder(monkeypatch, name):
    monkeypatch.setenv(name, "hub.example")
    assert runtime.environment() == "binder"


def test_environment_colab_by_variable_or_module(monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-1")
    assert runtime.environment() == "colab"
    monkeypatch.delenv("COLAB_RELEASE_TAG")
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert runtime.environment() == "colab"


def test_reachable_up_and_down(listener):
    assert runtime.reachable(f"http://127.0.0.1:{listener}/file")
    assert not runtime.reachable(f"http://127.0.0.1:{closed_port()}/file")


def test_reachable_makes_no_attempt_offline(monkeypatch, listener):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was attempted")

    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.setattr(socket, "create_connection", refuse)
    before = threading.active_count()
    assert not runtime.reachable(f"http://127.0.0.1:{listener}/")
    assert threading.active_count() == before


def test_reachable_does_not_wait_for_a_hanging_name_lookup(monkeypatch):
    answer = threading.Event()

    def look_up(*arguments, **options):
        answer.wait(30)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "create_connection", look_up)
    start = time.perf_counter()
    assert not runtime.reachable("https://example.invalid/file", seconds=0.2)
    answer.set()
    assert time.perf_counter() - start < 2


def test_reachable_asks_the_proxy(monkeypatch, listener):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listener}")
    assert runtime.reachable("http://weights.invalid/file")
    monkeypatch.setenv("no_proxy", "weights.invalid")
    assert not runtime.reachable("http://weights.invalid/file")


@pytest.mark.parametrize(
    "proxy, expected",
    [
        ("proxy.example:3128", ("proxy.example", 3128)),
        ("http://user:word@proxy.example", ("proxy.example", 80)),
        ("socks5://proxy.example", ("proxy.example", 1080)),
    ],
)
def test_proxy_addresses(monkeypatch, proxy, expected):
    monkeypatch.setenv("all_proxy", proxy)
    assert runtime._address("https://weights.example/file") == expected


def test_addresses_without_a_proxy():
    assert runtime._address("https://weights.example/file") == ("weights.example", 443)
    assert runtime._address("http://weights.example/file") == ("weights.example", 80)


@pytest.mark.parametrize("url", ["weights.example/file", "file:///etc/hosts", "https://"])
def test_reachable_refuses_other_addresses(url):
    with pytest.raises(ValueError, match="http or https"):
        runtime.reachable(url)


def test_peak_memory_counts_bytes():
    code = (  # a process of its own: a peak never falls, and other tests may have set a high one
        "import numpy; from course_utils import runtime; before = runtime.peak_memory(); "
        "block = numpy.ones(50_000_000); held = runtime.peak_memory(); del block; "
        "print(before, held, runtime.peak_memory())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, held, after = map(int, ran.stdout.split())
    assert 50e6 < before < 4e9  # Python with torch; a wrong unit is off by 1024
    assert 300e6 < held - before < 500e6  # 400 MB
    assert after > 0.99 * held  # the kernel sums its counters inexactly


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands a peak on")
def test_peak_memory_leaves_out_the_process_that_started_this_one():
    block = np.ones(100_000_000)  # 800 MB here, none of it the child's
    code = (
        "import resource; from course_utils import runtime; "
        "print(runtime.peak_memory(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own, handed_on = map(int, ran.stdout.split())
    assert own <= handed_on and own < block.nbytes


def test_peak_memory_without_the_line_in_proc(tmp_path):
    status = tmp_path / "status"
    assert runtime._peak_of_this_program(status) == 0
    status.write_text("Name:\tpython\nVmPeak:\t  99 kB\nVmHWM:\t    2048 kB\n")
    assert runtime._peak_of_this_program(status) == 2048 * 1024
    status.write_text("Name:\tpython\n")
    assert runtime._peak_of_this_program(status) == 0


@pytest.mark.parametrize("platform, factor", [("linux", 1024), ("darwin", 1)])
def test_peak_memory_knows_the_unit_of_each_system(monkeypatch, platform, factor):
    resource = types.SimpleNamespace(
        RUSAGE_SELF=0, getrusage=lambda who: types.SimpleNamespace(ru_maxrss=1000)
    )
    monkeypatch.setattr(runtime, "_peak_of_this_program", lambda: 0)  # as where /proc is missing
    monkeypatch.setitem(sys.modules, "resource", resource)
    monkeypatch.setattr(sys, "platform", platform)
    assert runtime.peak_memory() == 1000 * factor


def test_stopwatch_measures_and_survives_an_error():
    with pytest.raises(KeyError), runtime.stopwatch("cpu") as watch:
        time.sleep(0.05)
        raise KeyError("inside")
    assert 0.05 <= watch.seconds < 1


def test_stopwatch_waits_for_the_device_before_both_readings(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append(device))
    with runtime.stopwatch("cuda:0"):
        assert calls == [torch.device("cuda:0")]
    assert len(calls) == 2


def test_progress_passes_items_on_and_stays_silent_when_quick(capsys):
    assert list(runtime.progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_progress_gives_a_bar_that_pooch_can_ask_for():
    with runtime.progress(None, "photos", unit="B") as bar:
        assert bar  # tqdm raises here when it has neither an iterable nor a total


def test_progress_shows_what_takes_over_two_seconds(capsys):
    bar = runtime.progress(None, "weights.pth", total=4_000_000, unit="B")
    bar.start_t -= 3  # as if it had begun three seconds ago
    bar.last_print_t -= 3
    bar.update(1_000_000)
    shown = capsys.readouterr().err
    bar.close()
    assert "weights.pth" in shown and "1.00M/4.00M" in shown and "<" in shown


def test_notice_is_a_line_in_a_terminal_and_escaped_in_a_page(capsys):
    runtime.show_notice("no <weights> here")
    assert capsys.readouterr().out.strip() == "no <weights> here"
    page = runtime.Notice("no <weights> here")._repr_html_()
    assert "no &lt;weights&gt; here" in page
    assert "var(" not in page, "JupyterLab strips such a style from an untrusted notebook"


def test_runtime_imports_nothing_else_of_the_course():
    code = (
        "import sys, course_utils.runtime; "
        "print(sorted(m for m in sys.modules if m.startswith('course_utils.')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['course_utils.runtime']"
