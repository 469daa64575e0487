"""A learner's code is stopped when its time is up, and its output is kept short."""

import functools
import signal
import sys
import threading
import time

import pytest

from courseware.limits import Bounded, Stopped, call_within


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """After each test: the same handler, the same tracing, no further thread, no late signal."""
    before = signal.getsignal(signal.SIGINT), sys.gettrace(), threading.active_count()
    yield
    time.sleep(0.05)
    assert (signal.getsignal(signal.SIGINT), sys.gettrace(), threading.active_count()) == before


def spins():
    while True:
        pass


def sleeps():
    time.sleep(30)


def catches_exceptions():
    while True:
        try:
            time.sleep(30)
        except Exception:
            pass


def swallows_everything():
    while True:
        try:
            time.sleep(30)
        except:  # noqa: E722
            pass


def swallows_in_a_helper():
    swallows_everything()


def swallows_once_and_returns():
    try:
        time.sleep(30)
    except BaseException:
        return "late"


def raises_something_else():
    try:
        time.sleep(30)
    except BaseException as error:
        raise ValueError("mine") from error


@pytest.mark.parametrize(
    "work",
    [
        *(spins, sleeps, catches_exceptions, swallows_everything, swallows_in_a_helper),
        *(swallows_once_and_returns, raises_something_else),
    ],
)
def test_what_does_not_end_is_stopped(work):
    start = time.monotonic()
    with pytest.raises(Stopped):
        call_within(0.1, work)
    assert time.monotonic() - start < 5


def test_what_ends_in_time_is_returned_and_raised():
    assert call_within(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        call_within(5, lambda: 1 / 0)


def test_the_stop_button_still_works():
    # A process that a shell started in the background ignores the signal; a kernel does not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(
        0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)
    ).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call_within(5, sleeps)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_the_session_is_still_called():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        call_within(5, lambda: signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]


def test_an_end_just_when_the_time_is_up_leaves_no_late_interrupt():
    """Work that takes about as long as it may: it is stopped or not, and nothing comes after."""
    before, outcomes = signal.getsignal(signal.SIGINT), set()
    for step in range(300):
        try:
            call_within(0.002, functools.partial(time.sleep, 0.00002 * step))
            outcomes.add("returned")
        except Stopped:
            outcomes.add("stopped")
        sum(range(2000))  # a late interrupt would be raised here
        assert signal.getsignal(signal.SIGINT) == before
    assert outcomes == {"returned", "stopped"}


def test_a_time_that_is_up_at_once_leaves_nothing_either():
    before = signal.getsignal(signal.SIGINT)
    for _ in range(300):
        with pytest.raises(Stopped):
            call_within(1e-6, sleeps)
        assert signal.getsignal(signal.SIGINT) == before


def test_off_the_main_thread_there_is_no_limit():
    found = []
    thread = threading.Thread(
        target=lambda: found.append(call_within(0.05, lambda: time.sleep(0.2) or "done"))
    )
    thread.start()
    thread.join()
    assert found == ["done"]


def test_a_stream_keeps_the_beginning_and_counts_all():
    stream = Bounded(limit=10)
    print("hello", file=stream)
    print("x" * 100, file=stream)
    assert (stream.kept, stream.length) == ("hello\nxxxx", 107)
    with pytest.raises(TypeError):
        Bounded().write(b"bytes")


def test_a_hundred_megabytes_cost_next_to_nothing():
    text, stream = "x" * 10**8, Bounded()
    start = time.perf_counter()
    print(text, file=stream)
    for _ in range(100_000):
        print("and one line after another", file=stream)
    assert time.perf_counter() - start < 2
    assert stream.length == 10**8 + 1 + 100_000 * 27 and len(stream.kept) == 400
