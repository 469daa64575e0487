import hashlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from course_utils.datasets import flowers, photos
from course_utils.datasets.flowers import SPLITS, load_flowers
from course_utils.datasets.photos import PhotosUnavailable
from course_utils.store import folders

CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch) -> Path:
    """A list of 15 photos, none of them here; few drawn flowers; an empty cache; no network."""
    pictures, rows = tmp_path / "pictures", ["split,label,file,sha256"]
    for i, split in enumerate(SPLITS):
        for j, label in enumerate(CLASSES):
            path = pictures / "flower_photos" / label / f"{split}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60, 40), (80 * i, 40 * j, 99)).save(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            rows.append(f"{split},{label},{path.name},{digest}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "flower_photos.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(folders, "data_dir", lambda: tmp_path / "data")
    monkeypatch.setattr(flowers, "RENDERED_PER_CLASS", {"train": 3, "val": 1, "test": 2})
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.delenv("COURSE_DATA_DIR", raising=False)
    monkeypatch.delenv("COURSE_FLOWERS", raising=False)
    return tmp_path


@pytest.fixture
def with_photos(tiny, monkeypatch) -> Path:
    monkeypatch.setenv("COURSE_DATA_DIR", str(tiny / "pictures"))
    return tiny / "pictures" / "flower_photos"


def same(a, b) -> bool:
    return all(torch.equal(getattr(a, s).images, getattr(b, s).images) for s in SPLITS)


def cached(tiny: Path) -> list[Path]:
    return sorted(path for path in (tiny / "cache").iterdir() if path.suffix != ".lock")


def test_photos_are_split_as_listed(with_photos, capsys):
    task = load_flowers(32)
    assert task.source == "photos" and task.classes == CLASSES
    for i, split in enumerate(SPLITS):
        part = getattr(task, split)
        assert part.names == (f"{split}.jpg",) * 5
        assert part.labels.tolist() == [0, 1, 2, 3, 4]
        red = part.images[:, 0].float().mean((1, 2))
        assert (red - 80 * i).abs().max() < 4
    told = capsys.readouterr().out
    assert "15 real photos" in told and "CC BY 2.0" in told


def test_each_photo_is_hashed_once(with_photos, monkeypatch):
    read, real = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.suffix) or real(path))
    load_flowers(32)
    assert read.count(".jpg") == 15


def test_without_photos_they_are_drawn_and_the_banner_says_why(capsys):
    task = load_flowers(32)
    assert task.source == "rendered" and task.classes == CLASSES
    assert [len(getattr(task, split)) for split in SPLITS] == [15, 5, 10]
    told = capsys.readouterr().out
    assert "drawn" in told and "COURSE_OFFLINE=1" in told and "figures differ" in told


def test_drawn_splits_share_no_picture():
    task = load_flowers(32)
    pictures = torch.cat([getattr(task, split).images.flatten(1) for split in SPLITS])
    assert len(pictures.unique(dim=0)) == 30


def test_source_decides(with_photos, monkeypatch):
    assert load_flowers(32, source="photos").source == "photos"
    assert load_flowers(32, source="rendered").source == "rendered"
    with pytest.raises(ValueError, match="auto, photos, rendered"):
        load_flowers(32, source="web")


def test_a_variable_says_what_auto_means(with_photos, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_FLOWERS", "rendered")
    assert load_flowers(32).source == "rendered"
    assert "COURSE_FLOWERS=rendered asks for them" in capsys.readouterr().out
    assert load_flowers(32, source="photos").source == "photos"
    monkeypatch.setenv("COURSE_FLOWERS", "drawings")
    with pytest.raises(ValueError, match="COURSE_FLOWERS=drawings: expected one of auto, photos"):
        load_flowers(32)


def test_photos_or_nothing():
    with pytest.raises(PhotosUnavailable, match="COURSE_OFFLINE=1.*COURSE_DATA_DIR"):
        load_flowers(32, source="photos")


@pytest.mark.parametrize("source", ["photos", "rendered"])
def test_the_second_time_comes_from_the_cache(with_photos, monkeypatch, source):
    first = load_flowers(32, source=source)
    monkeypatch.setattr(flowers, "decode", None)  # calling either would fail
    monkeypatch.setattr(flowers.scenes, "render_flowers", None)
    assert same(first, load_flowers(32, source=source))


def test_another_size_or_list_is_another_file(with_photos, tiny):
    load_flowers(32)
    assert load_flowers(16).train.images.shape[-1] == 16
    assert len(cached(tiny)) == 2
    table = tiny / "data" / "flower_photos.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0], *rows[:0:-1]]) + "\n")
    assert load_flowers(16).train.labels.tolist() == [4, 3, 2, 1, 0]
    assert len(cached(tiny)) == 3


@pytest.mark.parametrize("source", ["photos", "rendered"])
@pytest.mark.parametrize("damage", ["half", "one byte", "empty", "longer"])
def test_a_damaged_cache_is_made_again(with_photos, tiny, source, damage):
    first = load_flowers(32, source=source)
    (path,) = cached(tiny)
    whole = path.read_bytes()
    broken = {
        "half": whole[: len(whole) // 2],
        "one byte": whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:],
        "empty": b"",
        "longer": whole + b"x",
    }
    path.write_bytes(broken[damage])
    assert same(first, load_flowers(32, source=source))
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(with_photos, tiny, monkeypatch):
    (tiny / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tiny / "file" / "cache"))
    assert load_flowers(32).source == "photos"
    assert load_flowers(32, source="rendered").source == "rendered"


def test_a_full_disk_leaves_no_half_file(with_photos, tiny, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flowers.os, "replace", full)
    assert load_flowers(32).source == "photos"
    assert cached(tiny) == []


def test_a_few_bad_photos_are_left_out_with_a_word(with_photos, tiny, monkeypatch, capsys):
    monkeypatch.setattr(photos, "TOLERATED", 0.1)
    (with_photos / "roses" / "train.jpg").write_bytes(b"damaged")
    task = load_flowers(32)
    assert task.train.counts()["roses"] == 0 and len(task.train) == 4
    assert "1 of 15" in capsys.readouterr().out
    assert cached(tiny) == [], "an incomplete set must not stay in use"


def test_too_many_bad_photos(with_photos, capsys):
    (with_photos / "roses" / "train.jpg").write_bytes(b"damaged")
    assert load_flowers(32).source == "rendered"
    assert "1 of the 15" in capsys.readouterr().out
