"""What write_image_folder leaves on disk, as torchvision's ImageFolder reads it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from course_utils.datasets import image_folder, write_image_folder
from course_utils.datasets.pictures import decode
from course_utils.images import ImageSet


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch) -> Path:
    """A folder of photos of its own: two bees."""
    place = tmp_path / "photos" / "flower_photos"
    (place / "bee").mkdir(parents=True)
    for n in (1, 2):
        pixels = np.random.default_rng(n).integers(0, 256, (50, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "bee" / f"{n}.jpg", quality=80)
    monkeypatch.setattr(image_folder, "candidates", lambda: ([place], []))
    return place


def grey(labels, classes=("ant", "bee", "fly"), names=(), size=16) -> ImageSet:
    """Flat images, each of another grey: 10, 20, 30 …"""
    shades = torch.arange(1, len(labels) + 1).mul(10).to(torch.uint8).view(-1, 1, 1, 1)
    images = shades.expand(-1, 3, size, size).contiguous()
    return ImageSet(images, torch.tensor(labels), classes, tuple(names))


def shades(folder: Path) -> dict[str, list[int]]:
    """Class → the grey of each of its files, by file name."""
    found: dict[str, list[int]] = {}
    for path, label in ImageFolder(folder).samples:
        name = ImageFolder(folder).classes[label]
        found.setdefault(name, []).append(int(decode([path], 8).float().mean().round()))
    return found


def stored_pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_image_folder_finds_what_was_given_with_the_same_numbers(tmp_path):
    sets = {"train": grey([0, 1, 2, 2]), "val": grey([2, 0, 1])}
    write_image_folder(sets, str(tmp_path / "a"))
    for split in sets:
        assert ImageFolder(tmp_path / "a" / split).class_to_idx == {"ant": 0, "bee": 1, "fly": 2}
    assert shades(tmp_path / "a" / "train") == {"ant": [10], "bee": [20], "fly": [30, 40]}
    assert shades(tmp_path / "a" / "val") == {"ant": [20], "bee": [30], "fly": [10]}


@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_class_without_a_picture_is_named_and_nothing_is_written(tmp_path, label):
    others = [n for n in range(3) if n != label]
    with pytest.raises(ValueError, match=f"'val' has no picture of .'{grey([0]).classes[label]}'"):
        write_image_folder({"train": grey([0, 1, 2]), "val": grey(others)}, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_classes_that_would_be_numbered_otherwise_are_refused(tmp_path):
    with pytest.raises(ValueError, match="sort the classes"):
        write_image_folder({"train": grey([0, 1], ("fly", "ant"))}, tmp_path / "a")
    with pytest.raises(ValueError, match="'val' has the classes"):
        sets = {"train": grey([0, 1], ("ant", "bee")), "val": grey([0, 1], ("ant", "fly"))}
        write_image_folder(sets, tmp_path / "a")
    assert not (tmp_path / "a").exists()


ODD = "n/a ../../up .. . a\\b c: what? CON nul.old dot. .hidden /etc \udce9".split()
ODD += ["", "space ", "new\nline", "nul\0byte", "x" * 300]


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_is_no_folder_everywhere_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        write_image_folder({"train": grey([0], (name,))}, tmp_path / "a" / "b")
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        write_image_folder({name: grey([0], ("ant",))}, tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_names_that_are_one_on_some_systems_are_refused(tmp_path):
    for names in (("Cat", "cat"), ("Ka\u0308fer", "K\u00e4fer")):
        with pytest.raises(ValueError, match="one folder on some systems"):
            write_image_folder({"train": grey([0, 1], names)}, tmp_path / "a")
    with pytest.raises(ValueError, match="splits .* one folder"):
        write_image_folder({"Val": grey([0, 1, 2]), "val": grey([0, 1, 2])}, tmp_path / "a")


def test_unusual_names_that_are_folders_everywhere_are_kept(tmp_path):
    names = tuple(sorted([" lead", "-rf", "K\u00e4fer", "it's", "v1.0", "~", "\u732b", "$5_$10"]))
    write_image_folder({"train": grey(list(range(8)), names)}, tmp_path / "a")
    assert ImageFolder(tmp_path / "a" / "train").classes == list(names)


def test_no_file_name_costs_a_picture(tmp_path):
    names = "1.jpg 1.jpg 1.JPG 1-2.jpg day/1.jpg ../1.jpg x.png none con.jpg ... \udce9.jpg".split()
    names += ["", "y" * 400 + ".jpg", "z" * 400, "z" * 400]
    write_image_folder({"train": grey([0] * 15, ("ant",), names)}, tmp_path / "a")
    files = ImageFolder(tmp_path / "a" / "train").samples
    assert len(files) == 15 and len({path.casefold() for path, _ in files}) == 15
    assert sorted(shades(tmp_path / "a" / "train")["ant"]) == [10 * n for n in range(1, 16)]
    assert {path.suffix.lower() for path in (tmp_path / "a" / "train" / "ant").iterdir()} == {
        ".jpg"
    }
    assert (tmp_path / "a" / "train" / "ant" / "1.jpg").is_file(), "a name that can stay stays"


def test_what_an_earlier_call_wrote_is_replaced(tmp_path):
    write_image_folder({"train": grey([0, 1, 2, 2, 2]), "test": grey([0, 1, 2])}, tmp_path / "a")
    write_image_folder({"train": grey([0, 1], ("ant", "fly"))}, tmp_path / "a")
    assert shades(tmp_path / "a" / "train") == {"ant": [10], "fly": [20]}
    assert len(ImageFolder(tmp_path / "a" / "test")) == 3, "a split that was not given stays"


@pytest.mark.parametrize("place", ["ant/mine.jpg", "zebra/mine.jpg", "mine.txt", "link"])
def test_a_file_of_somebody_else_is_never_touched(tmp_path, place):
    write_image_folder({"train": grey([0, 1, 2])}, tmp_path / "a")
    foreign = tmp_path / "a" / "train" / place
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*.*")}
    foreign.parent.mkdir(exist_ok=True)
    if place == "link":
        foreign.symlink_to(tmp_path / "photos")
    else:
        foreign.write_bytes(b"my own")
    with pytest.raises(FileExistsError, match=f"{place}.*not written by"):
        write_image_folder({"train": grey([0, 0, 1, 2])}, tmp_path / "a")
    assert len(before) == 4 and all(path.read_bytes() == before[path] for path in before)
    assert foreign.exists() and len(list((tmp_path / "photos").rglob("*.jpg"))) == 2


def test_a_folder_full_of_other_pictures_is_not_mixed_with(tmp_path):
    shutil.copytree(tmp_path / "photos" / "flower_photos", tmp_path / "a" / "train")
    with pytest.raises(FileExistsError, match="bee/1.jpg"):
        write_image_folder({"train": grey([0, 1, 2])}, tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a" / "train").rglob("*.jpg")) == ["1.jpg", "2.jpg"]


def test_a_photo_is_copied_only_where_it_is_what_was_given(tmp_path, photos):
    files = [photos / "bee" / "1.jpg", photos / "bee" / "2.jpg"]
    data = ImageSet(decode(files, 24), torch.tensor([0, 0]), ("bee",), ("1.jpg", "2.jpg"))
    changed = data.images.clone()
    changed[1] = 255 - changed[1]
    sets = {"same": data, "other": ImageSet(changed, data.labels, data.classes, data.names)}
    write_image_folder(sets, tmp_path / "a")
    written = {s: [tmp_path / "a" / s / "bee" / name for name in data.names] for s in sets}
    assert [p.read_bytes() for p in written["same"]] == [p.read_bytes() for p in files]
    assert written["other"][0].read_bytes() == files[0].read_bytes()
    stored = stored_pixels(written["other"][1]).transpose(2, 0, 1).astype(int)
    assert stored.shape == (3, 24, 24)
    assert np.abs(stored - changed[1].numpy()).mean() < 25, (
        "the inverted photo, as JPEG keeps noise"
    )


def test_images_that_are_no_squares_are_written_as_they_are(tmp_path):
    wide = ImageSet(torch.full((1, 3, 10, 30), 77).byte(), torch.tensor([0]), ("bee",), ("1.jpg",))
    write_image_folder({"train": wide}, tmp_path / "a")
    assert stored_pixels(tmp_path / "a" / "train" / "bee" / "1.jpg").shape == (10, 30, 3)
