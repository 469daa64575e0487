"""The learner's file: several writers at once, killed writers, and disks that do not play along."""

import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from course_utils.store import files
from courseware.progress import records
from courseware.progress.records import ProgressError
from courseware.progress.store import Progress, _store, my_progress, progress_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data" / "progress.json"


@pytest.fixture
def store(file):
    return Progress(file)


def right(store, question="04-caching", **more):
    store.answer(question, status="correct", score=1.0, **more)


def saved(file):
    """The file's content, which must be whole and sound."""
    document, dropped = records.parse(file.read_bytes())
    assert dropped == []
    return document


def others(file):
    """What lies beside the file, but for its lock."""
    return sorted(
        path.name for path in file.parent.iterdir() if path.suffix != ".lock" and path != file
    )


def test_nothing_is_made_before_the_first_answer(store, file):
    assert store.read() == records.empty()
    assert store.warning == "" and not file.parent.exists()


def test_answers_hints_exercises_and_finals_are_in_the_file(store, file):
    store.hint("04-caching", 1)
    store.answer("04-caching", status="wrong", score=0, hints=1)
    store.answer("04-caching", status="partial", score=0.5, hints=2, steps=1)
    store.hint("04-caching", 1, 3)
    store.exercise("freeze_backbone", tried=True)
    store.exercise("freeze_backbone", hints=2)
    store.exercise("freeze_backbone", tried=True, solved=True)
    store.exercise("freeze_backbone", seen=True)
    store.final(["04-caching", "04-probe"], {"04-caching": 1, "04-probe": 0.25})
    assert Progress(file).read() == store.read() == (document := saved(file))
    entry = document["questions"]["04-caching"]
    assert entry.pop("when") <= records.now()
    assert entry == {"tries": 2, "hints": 2, "steps": 3, "best": 0.5, "last": "partial"}
    entry = document["exercises"]["freeze_backbone"]
    assert entry.pop("when") <= records.now()
    assert entry == {"tries": 2, "solved": True, "hints": 2, "seen": True}
    (final,) = document["finals"]
    assert final["asked"] == ["04-caching", "04-probe"] and final["scores"]["04-probe"] == 0.25
    assert others(file) == []


def test_a_hint_is_saved_at_once_and_is_no_try(store, file):
    store.hint("04-caching", 2)
    entry = saved(file)["questions"]["04-caching"]
    assert entry["hints"] == 2 and entry["tries"] == 0 and "last" not in entry


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "invalid"},
        {"score": 1.5},
        {"score": float("nan")},
        {"hints": -1},
        {"steps": "two"},
    ],
    ids=repr,
)
def test_what_cannot_be_an_answer_is_refused(store, file, wrong):
    with pytest.raises(ValueError, match="04-caching"):
        store.answer("04-caching", **({"status": "wrong", "score": 0} | wrong))
    with pytest.raises(ValueError, match="recorded"):
        store.final(["04-caching"], {"04-caching": 7})
    assert store.read() == records.empty() and not file.exists()


def test_what_is_read_is_the_caller_s_own(store):
    right(store)
    store.read()["questions"].clear()
    assert store.read()["questions"]


def test_where_the_file_is(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_PROGRESS", raising=False)
    assert progress_path().name == "progress.json"
    assert "transfer-learning-measured" in str(progress_path())
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "anna.json"))
    assert progress_path() == tmp_path / "anna.json" == Progress().path
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path))
    assert progress_path() == tmp_path / "progress.json"
    monkeypatch.setenv("COURSE_PROGRESS", "~/anna.json")
    assert progress_path() == Path.home() / "anna.json"


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """As in a container that runs under a number that no user has."""

    def unknown(*arguments):
        raise KeyError

    pwd = pytest.importorskip("pwd")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_DATA_HOME", "COURSE_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    _store.cache_clear()


@pytest.mark.parametrize("named", [None, "  ", "~/anna.json", "~nobody-of-this-name/anna.json"])
def test_without_a_home_it_works_in_memory_and_makes_no_folder(homeless, monkeypatch, named):
    if named is not None:
        monkeypatch.setenv("COURSE_PROGRESS", named)
    right(store := my_progress())
    right(store)
    assert my_progress() is store and store.read()["questions"]["04-caching"]["tries"] == 2
    assert "there is no home folder ~" in store.warning and "COURSE_PROGRESS" in store.warning
    assert list(Path.cwd().iterdir()) == []
    with pytest.raises(ProgressError, match="there is no home folder ~"):
        store.reset()
    store.export_to("kept.json")
    assert saved(Path("kept.json")) == store.read()


def test_one_object_a_file_in_a_process(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "anna.json"))
    anna = my_progress()
    assert my_progress() is anna
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "ben.json"))
    assert my_progress() is not anna


def test_a_symbolic_link_stays_one(tmp_path):
    real, link = tmp_path / "synced.json", tmp_path / "progress.json"
    link.symlink_to(real)
    right(Progress(link))
    assert link.is_symlink() and saved(real)["questions"]


# Several writers


WORKER = """
import os, sys
from courseware.progress.store import Progress
file, log, worker, rounds = sys.argv[1:]
done = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
sys.stdin.read()  # until all are ready: then they write at the same time
for number in range(int(rounds)):
    store = Progress(file)  # as a notebook does that was opened anew
    shared, own = f"00-shared-{number % 5}", f"01-{worker}-{number}"
    store.answer(shared, status="wrong", score=number % 50 / 50)
    store.exercise(own, tried=True, solved=True)
    assert not store.warning, store.warning
    os.write(done, f"{shared} {own}\\n".encode())
"""


def start(script, *arguments):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipes = dict.fromkeys(("stdin", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, env=env, text=True, **pipes)


def lines(log):
    return log.read_text().split("\n")[:-1] if log.exists() else []


def test_four_writers_of_which_one_is_killed_lose_nothing(file, tmp_path):
    # A round is two updates, one of them to an entry that all writers update.
    logs = [tmp_path / f"log-{worker}" for worker in range(4)]
    rounds = [10_000, 50, 50, 50]  # the first is killed long before it is through
    writers = [start(WORKER, file, logs[n], n, rounds[n]) for n in range(4)]
    end = time.monotonic() + 60
    while not all(log.exists() for log in logs) and time.monotonic() < end:
        time.sleep(0.01)
    for writer in writers:
        writer.stdin.close()
        writer.stdin = None
    while len(lines(logs[0])) < 25 and writers[0].poll() is None:
        time.sleep(0.001)
    writers[0].kill()
    said = [writer.communicate(timeout=60)[1] for writer in writers]
    codes = [writer.returncode for writer in writers]
    assert codes[1:] == [0, 0, 0], said
    assert codes[0] != 0, "the first was to be killed half way"
    done = [line.split() for log in logs for line in lines(log)]
    assert len(done) >= 175

    document = saved(file)
    assert {own for _, own in done} <= set(document["exercises"])
    for shared in {shared for shared, _ in done}:
        completed = sum(name == shared for name, _ in done)
        # The killed writer may have saved one more than it could tell of.
        assert completed <= document["questions"][shared]["tries"] <= completed + 1
    recorded = sum(entry["tries"] for entry in document["questions"].values())
    assert len(done) <= recorded <= len(done) + 1

    before = time.monotonic()
    right(again := Progress(file))
    assert again.warning == "" and time.monotonic() - before < 1, "the lock is free"
    assert len(others(file)) <= 1, "what the killed one may have left"


KILLED = """
import os, signal, sys
from courseware.progress.store import Progress
def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
store = Progress(sys.argv[1])
store.answer("04-first", status="correct", score=1)
setattr(os, sys.argv[2], die)
store.answer("04-second", status="correct", score=1)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_writer_killed_in_the_midst_leaves_a_whole_file_and_a_free_lock(file, moment):
    killed = start(KILLED, file, moment)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert list(saved(file)["questions"]) == ["04-first"]
    (stray,) = others(file)  # it was half way: its temporary file is there
    right(store := Progress(file), "04-third")
    assert others(file) == [stray], "too young: somebody may be writing it"
    os.utime(file.parent / stray, (0, 0))
    right(store, "04-third")
    assert store.warning == "" and others(file) == []
    assert list(saved(file)["questions"]) == ["04-first", "04-third"]


def test_two_notebooks_see_each_other_s_answers(file):
    one, other = Progress(file), Progress(file)
    right(one, "04-a")
    right(other, "04-b")
    right(one, "04-b")
    assert one.read() == other.read()
    assert one.read()["questions"]["04-b"]["tries"] == 2


def test_threads_of_one_notebook_lose_nothing(store, file):
    threads = [threading.Thread(target=lambda: [right(store) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert saved(file)["questions"]["04-caching"]["tries"] == 40


# Files that are not as they should be


DAMAGED = b'{\n "version": 1,\n "questions": {\n  "04'


@pytest.mark.parametrize("content", [DAMAGED, DAMAGED + bytes(50), bytes(100)])
def test_reading_leaves_a_damaged_file_and_the_next_answer_sets_it_aside(store, file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    assert store.read() == records.empty()
    assert sorted(file.parent.iterdir()) == [file] and file.read_bytes() == content
    assert "is damaged and cannot be read" in store.warning
    right(store)
    (kept,) = others(file)
    assert kept.startswith("progress.broken-20") and kept.endswith(".json")
    assert (file.parent / kept).read_bytes() == content
    assert "is damaged" in store.warning and kept in store.warning
    assert str(file.parent) not in store.warning
    assert saved(file)["questions"]


def test_what_this_session_knows_outlives_damage_to_the_file(store, file):
    right(store, "04-before")
    file.write_bytes(DAMAGED)
    assert store.read()["questions"]
    right(store, "04-after")
    assert list(saved(file)["questions"]) == ["04-before", "04-after"]


def test_a_file_put_back_by_hand_is_read_anew(store, file):
    right(store, "04-a")
    right(store, "04-b")
    before = file.read_bytes()
    document = saved(file)
    document["questions"]["04-b"]["tries"] = -1
    file.write_text(json.dumps(document))
    assert list(store.read()["questions"]) == ["04-a"]
    file.write_bytes(before)
    assert list(store.read()["questions"]) == ["04-a", "04-b"]


def test_an_empty_file_is_a_beginning(store, file):
    file.parent.mkdir()
    file.touch()
    right(store)
    assert saved(file)["questions"] and store.warning == "" and others(file) == []


# What COURSE_PROGRESS may name by mistake: it is left alone, and the learner is told


def notes(path):
    path.write_text("my notes")


def settings(path):
    path.write_text('{"version": 1, "configurations": []}')


def a_list(path):
    path.write_text("[]")


def shape(path):
    path.write_text('{"version": 1, "questions": ["Why?"]}')


def newer(path):
    path.write_text('{"version": 2, "questions": ["of", "another", "shape"]}')


def huge(path):
    with path.open("wb") as file:
        file.write(DAMAGED)
        file.truncate(10**8)  # a sparse file


def pipe(path):
    os.mkfifo(path)


def device(path):
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null


def socket_file(path):
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


SOMETHING_ELSE = "it holds something else than progress"
OTHERS_FILES = {
    notes: SOMETHING_ELSE,
    settings: SOMETHING_ELSE,
    a_list: SOMETHING_ELSE,
    shape: SOMETHING_ELSE,
    newer: "a newer version of the course wrote it, so update the course",
    huge: "it holds over 4,000,000 bytes",
    pipe: "it is a named pipe, not a file",
    device: "it is a device, not a file",
    socket_file: "it is a socket, not a file",
}


@pytest.fixture(params=OTHERS_FILES, ids=lambda make: make.__name__)
def not_ours(request, tmp_path):
    """A path with something that is no progress of this course, and what is told about it."""
    path = tmp_path / "mine.json"
    try:
        request.param(path)
    except (AttributeError, OSError) as error:
        pytest.skip(f"cannot be made here: {error}")
    return path, OTHERS_FILES[request.param]


def look(folder):
    """Everything that a change of its files would change."""
    return sorted(
        (path.name, (s := path.lstat()).st_ino, s.st_mode, s.st_size, s.st_mtime_ns)
        for path in folder.iterdir()
    )


def test_what_is_not_ours_is_neither_replaced_nor_moved(not_ours, tmp_path):
    path, told = not_ours
    before, began = look(tmp_path), time.monotonic()
    store = Progress(path)
    assert store.read() == records.empty() and look(tmp_path) == before
    with pytest.raises(ProgressError, match=f"was not reset: {told}"):
        store.reset()
    right(store)
    assert store.read()["questions"] and look(tmp_path) == before, "not even a lock beside it"
    assert f"cannot be saved in mine.json: {told}" in store.warning
    assert "until this session ends" in store.warning and "COURSE_PROGRESS" in store.warning
    with pytest.raises(ProgressError, match=f"was not reset: {told}"):
        store.reset()
    assert store.read()["questions"] and look(tmp_path) == before
    assert time.monotonic() - began < 2, "nothing waits, nothing large is read"


def test_what_is_not_ours_is_no_place_for_an_export_and_nothing_to_import(not_ours, tmp_path):
    path, told = not_ours
    right(store := Progress(tmp_path / "data" / "progress.json"))
    known, before = store.read(), look(tmp_path)
    told = told.replace("4,", "2,")
    with pytest.raises(ProgressError, match=rf"written to .*mine\.json: {told}. Name another"):
        store.export_to(path)
    with pytest.raises(ProgressError, match=rf"taken in from .*mine\.json: {told}. Give a file"):
        store.import_from(path)
    assert store.read() == known and look(tmp_path) == before


def test_an_answer_finds_the_broken_file_too_and_none_is_overwritten(file, monkeypatch):
    monkeypatch.setattr(files.time, "strftime", lambda form: "20250131-175959")
    file.parent.mkdir()
    for number in range(3):
        file.write_bytes(DAMAGED + bytes([number]))
        right(Progress(file))
        assert list(saved(file)["questions"]) == ["04-caching"]
    names = [f"progress.broken-20250131-175959{ending}.json" for ending in ("", "-2", "-3")]
    assert others(file) == sorted(names)
    assert [(file.parent / name).read_bytes()[-1] for name in names] == [0, 1, 2]


def test_a_broken_file_on_a_disk_that_cannot_be_written(store, file, monkeypatch):
    file.parent.mkdir()
    file.write_bytes(DAMAGED)
    monkeypatch.setattr(os, "replace", fail_with(errno.EROFS))
    right(store)
    assert store.read()["questions"] and file.read_bytes() == DAMAGED
    assert "damaged and cannot be read" in store.warning and "COURSE_PROGRESS" in store.warning


def test_one_damaged_entry_is_told_and_the_file_kept(store, file):
    right(store, "04-a")
    document = saved(file)
    document["questions"]["04-b"] = {"tries": "many"}
    file.write_text(json.dumps(document))
    other = Progress(file)
    assert list(other.read()["questions"]) == ["04-a"] and others(file) == []
    assert "Damaged entries of progress.json are left out: '04-b'." in other.warning
    right(other, "04-c")
    assert list(saved(file)["questions"]) == ["04-a", "04-c"]
    (kept,) = others(file)
    assert json.loads((file.parent / kept).read_text()) == document and kept in other.warning


def test_unknown_keys_of_the_file_stay(store, file):
    right(store)
    document = saved(file)
    document["theme"] = document["questions"]["04-caching"]["mood"] = "dark"
    file.write_text(json.dumps(document))
    right(store)
    assert saved(file)["theme"] == saved(file)["questions"]["04-caching"]["mood"] == "dark"


# Disks that do not play along


def fail_with(number):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number), "/some/where/progress.json")

    return fail


def not_a_folder(file, monkeypatch):
    file.parent.parent.mkdir(exist_ok=True)
    file.parent.write_text("a file where the folder should be")
    return file.parent.unlink


def no_permission(file, monkeypatch):
    monkeypatch.setattr(os, "replace", fail_with(errno.EACCES))
    return monkeypatch.undo


def full_disk(file, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    return monkeypatch.undo


def read_only(file, monkeypatch):
    def refuse(path, mode):
        if set(mode) & set("wxa+"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open(path, mode)

    monkeypatch.setattr(files, "open", refuse, raising=False)
    return monkeypatch.undo


def unreadable(file, monkeypatch):
    monkeypatch.setattr(files, "read", fail_with(errno.EACCES))
    return monkeypatch.undo


def taken_lock(file, monkeypatch):
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.05)
    file.parent.mkdir(parents=True, exist_ok=True)
    holder = FileLock(f"{file}.lock")
    holder.acquire()
    return holder.release


TROUBLES = {
    not_a_folder: "Not a directory",
    no_permission: "Permission denied",
    full_disk: "No space left",
    read_only: "Read-only file system",
    unreadable: "Permission denied",
    taken_lock: "another program keeps its lock",
}


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_without_the_disk_it_works_in_memory_and_saves_later(file, monkeypatch, trouble):
    heal = trouble(file, monkeypatch)
    store = Progress(file)
    right(store)
    store.hint("04-probe", 2)
    store.answer("04-caching", status="wrong", score=0)
    known = store.read()
    assert known["questions"]["04-caching"]["tries"] == 2
    assert known["questions"]["04-probe"]["hints"] == 2
    assert TROUBLES[trouble].lower() in store.warning
    assert "only until this session ends" in store.warning and "COURSE_PROGRESS" in store.warning
    assert "/" not in store.warning, "no folder of this machine in a notebook's output"
    assert not file.exists()
    heal()
    right(Progress(file), "04-elsewhere")
    right(store)
    assert store.warning == "" and others(file) == []
    assert saved(file)["questions"]["04-caching"]["tries"] == 3
    assert set(saved(file)["questions"]) == {"04-caching", "04-probe", "04-elsewhere"}
    right(store)
    assert saved(file)["questions"]["04-caching"]["tries"] == 4, "what waited went in once"


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="needs root")
def test_a_folder_that_may_not_be_entered(tmp_path):
    (tmp_path / "private").mkdir(mode=0o700)
    code = (
        "import os, sys; from courseware.progress.store import Progress; os.setuid(12345); "
        "store = Progress(); store.answer('04-a', status='correct', score=1); "
        "assert store.read()['questions']; print(store.warning)"
    )
    for name in ("progress.json", "deeper/progress.json"):
        env = os.environ | {"COURSE_PROGRESS": str(tmp_path / "private" / name)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, text=True, capture_output=True
        )
        assert "permission denied" in done.stdout, done.stderr


def test_a_full_disk_leaves_the_file_that_was(store, file, monkeypatch):
    right(store)
    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    right(store)
    assert file.read_bytes() == before and others(file) == []


def test_what_was_known_outlives_a_disk_that_goes_away(store, monkeypatch):
    right(store)
    monkeypatch.setattr(files, "read", fail_with(errno.EIO))
    assert store.read()["questions"] and "cannot be saved" in store.warning
    monkeypatch.undo()
    assert store.read()["questions"] and store.warning == ""


def test_a_replacement_that_is_refused_for_a_moment_is_tried_again(store, file, monkeypatch):
    real, refusals = os.replace, iter([PermissionError(13, "in use")] * 3)

    def replace(source, target):
        for refusal in refusals:
            raise refusal
        return real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    right(store)
    assert saved(file)["questions"] and store.warning == ""


# Export, import, reset


def test_an_export_is_imported_once_however_often(store, file, tmp_path):
    right(store, hints=2)
    store.exercise("freeze_backbone", tried=True, solved=True)
    store.final(["04-caching"], {"04-caching": 1})
    written = store.export_to(tmp_path / "my-progress.json")
    assert written == saved(tmp_path / "my-progress.json") == store.read()
    other = Progress(tmp_path / "other.json")
    other.answer("04-probe", status="wrong", score=0)
    for _ in range(3):
        assert other.import_from(tmp_path / "my-progress.json") == written
    known = saved(tmp_path / "other.json")
    assert known["questions"]["04-caching"] == written["questions"]["04-caching"]
    assert known["exercises"] == written["exercises"] and known["finals"] == written["finals"]
    assert known["questions"]["04-probe"]["tries"] == 1
    right(other)
    assert saved(tmp_path / "other.json")["questions"]["04-caching"]["tries"] == 2


def test_without_a_disk_an_import_stays_in_memory_and_can_be_exported(store, tmp_path):
    right(store)
    store.export_to(tmp_path / "a.json")
    (tmp_path / "file").touch()
    lost = Progress(tmp_path / "file" / "progress.json")
    lost.import_from(tmp_path / "a.json")
    lost.answer("04-caching", status="wrong", score=0)
    assert lost.read()["questions"]["04-caching"]["tries"] == 2 and lost.warning
    lost.export_to(tmp_path / "b.json")
    assert saved(tmp_path / "b.json") == lost.read()


def test_an_export_may_be_renewed_but_buries_nothing(store, file, tmp_path):
    export = tmp_path / "my-progress.json"
    export.touch()  # nothing is in it
    right(store)
    store.export_to(export)
    right(store)
    store.export_to(export)
    assert saved(export)["questions"]["04-caching"]["tries"] == 2
    fresh = Progress(tmp_path / "fresh.json")  # a new Binder session, the old export uploaded
    right(fresh, "04-probe")
    with pytest.raises(ProgressError, match="holds progress that yours does not, so import it"):
        fresh.export_to(export)
    assert saved(export)["questions"]["04-caching"]["tries"] == 2
    fresh.import_from(export)
    fresh.export_to(export)
    assert set(saved(export)["questions"]) == {"04-caching", "04-probe"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("data/progress.json", "it is where your progress is kept"),
        (".", "it is a folder"),
        ("missing/a.json", "no such file or directory"),
        ("a\0b", "null byte"),
        ("~nobody-of-this-name/a.json", "[Cc]ould not determine home"),
    ],
)
def test_an_export_that_cannot_be_written_says_why(store, tmp_path, monkeypatch, name, told):
    monkeypatch.chdir(tmp_path)
    right(store)
    before = look(tmp_path)
    with pytest.raises(ProgressError, match=f"Nothing was written to .*{told}.* Name another file"):
        store.export_to(name)
    assert look(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file"),
        (b"", "damaged or cut short"),
        (b"{}", "something else than"),
        (b'{"version": 1, "questions": {}, "finals": 3}', "something else than"),
        (DAMAGED, "damaged or cut short"),
    ],
)
def test_what_cannot_be_imported_is_named(store, tmp_path, content, told):
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_bytes(content)
    right(store)
    before = store.read()
    with pytest.raises(ProgressError, match=rf"bad\.json: .*{told}.* Give a file that this course"):
        store.import_from(bad)
    assert store.read() == before


def test_an_export_goes_through_a_link(store, tmp_path):
    right(store)
    target, link = tmp_path / "synced" / "mine.json", tmp_path / "mine.json"
    target.parent.mkdir()
    link.symlink_to(target)
    for known in (1, 2):  # the target is made, then renewed
        store.export_to(link)
        assert link.is_symlink() and len(saved(target)["questions"]) == known
        right(store, "04-probe")
    assert [path.name for path in target.parent.iterdir()] == ["mine.json"]


# What an imported file may hold


HOSTILE = {
    "digits": '{"tries": %s}' % ("9" * 4300),
    "many": '{"tries": 1000001}',
    "negative": '{"hints": -1}',
    "NaN": '{"best": NaN}',
    "infinite": '{"mood": 1e999}',
    "half a letter": r'{"mood": "\ud800"}',
    "a long text": '{"mood": "%s"}' % ("x" * 1000),
    "half a letter in a time": r'{"when": "2025-01-01\ud80010:00"}',
    "a time of other digits": '{"when": "٢٠٢٥-01-01T10:00:00"}',
    "a time and more": '{"when": "2025-01-01T10:00:00<b>"}',
    "deep": '{"mood": %s}' % ("[" * 200 + "]" * 200),
    "null": '{"when": null}',
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("group", ["questions", "exercises"])
def test_an_import_brings_in_only_what_is_sound(store, file, tmp_path, kind, group):
    if (group, kind) == ("exercises", "NaN"):
        pytest.skip("an exercise has no score")
    content = '{"version": 1, "questions": {}, "%s": {"04-bad": %s, "04-good": {"tries": 1}}}'
    (tmp_path / "a.json").write_text(content % (group, HOSTILE[kind]), encoding="utf-8")
    store.import_from(tmp_path / "a.json")
    assert list(store.read()[group]) == ["04-good"] and "left out: '04-bad'." in store.warning
    right(store)
    assert saved(file)["questions"]["04-caching"]["tries"] == 1
    store.export_to(tmp_path / "b.json")
    assert store.reset()


def test_names_that_cannot_be_printed_are_told_all_the_same(store, tmp_path, capsys):
    names = ["\ud800", "\x1b[2J", "x" * 300]
    content = {"version": 1, "questions": dict.fromkeys(names, {"tries": -1})}
    (tmp_path / "a.json").write_text(json.dumps(content))
    odd = tmp_path / os.fsdecode(b"a\xff.json")
    try:
        (tmp_path / "a.json").rename(odd)
    except OSError:  # this system's names are text
        odd = tmp_path / "a.json"
    store.import_from(odd)
    print(store.warning)
    printed = capsys.readouterr().out
    assert r"\ud800" in printed and "\x1b" not in printed and len(printed) < 600
    with pytest.raises(ProgressError) as error:
        store.import_from(os.fsdecode(b"nothing\xff.json"))
    print(error.value)


def test_counts_stop_growing_before_they_are_unsound(store, file, tmp_path):
    most = records.MAX_COUNT
    content = {"version": 1, "questions": {"04-caching": {"tries": most}}}
    (tmp_path / "a.json").write_text(json.dumps(content))
    store.import_from(tmp_path / "a.json")
    right(store)
    right(store)
    assert saved(file)["questions"]["04-caching"]["tries"] == most and store.warning == ""


def test_imports_cannot_make_the_file_too_large_to_read(store, tmp_path):
    for number in range(3):
        questions = {f"{number}-{n}" + "x" * 150: {} for n in range(5000)}
        (tmp_path / "a.json").write_text(json.dumps({"version": 1, "questions": questions}))
        if number < 1:
            store.import_from(tmp_path / "a.json")
    with pytest.raises(ProgressError, match="more than a file of progress"):
        store.import_from(tmp_path / "a.json")
    right(store)
    assert store.warning == "" and len(store.read()["questions"]) == 5001


def test_damaged_entries_of_an_import_are_told(store, tmp_path):
    many = {f"04-{number}": {"best": 2} for number in range(5)} | {"04-good": {"tries": 1}}
    (tmp_path / "a.json").write_text(json.dumps({"version": 1, "questions": many}))
    store.import_from(tmp_path / "a.json")
    assert list(store.read()["questions"]) == ["04-good"]
    assert "a.json are left out: '04-0', '04-1', '04-2' and 2 more" in store.warning


def test_reset_keeps_a_backup(store, file, monkeypatch):
    monkeypatch.setattr(files.time, "strftime", lambda form: "20250131-175959")
    assert store.reset() is None
    right(store)
    before = saved(file)
    backup = store.reset()
    assert backup.name == "progress.backup-20250131-175959.json" and saved(backup) == before
    assert store.read() == records.empty() and store.warning == ""
    assert store.reset() is None
    right(store)
    assert store.reset() != backup and saved(backup) == before


def test_reset_backs_up_what_was_only_in_memory(store, file, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_with(errno.ENOSPC))
        right(store)
        with pytest.raises(ProgressError, match="was not reset.*no space left"):
            store.reset()
        assert store.read()["questions"]
    assert saved(store.reset())["questions"]
    assert store.read() == records.empty()
