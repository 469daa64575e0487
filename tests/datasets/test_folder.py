"""load_folder and load_splits on folders of pictures as people have them: see bad_folders.py."""

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from bad_folders import CASES, fill, sound
from sklearn.model_selection import train_test_split
from torchvision.datasets import ImageFolder

from course_utils.datasets import folder as module
from course_utils.datasets import load_folder, load_splits, write_image_folder
from course_utils.images import ImageSet

REFUSED = {
    "empty": (ValueError, "no class folders in .*empty; expected one folder a class"),
    "missing": (FileNotFoundError, "no folder .*missing"),
    "a_file": (NotADirectoryError, "a_file is a file"),
    "flat": (ValueError, "pictures lie in .*flat itself; expected one folder a class"),
    "one_class": (ValueError, r"holds pictures of \['ant'\]; expected at least two folders"),
    "class_missing_in_val": (ValueError, "look like splits, not like classes: use load_splits"),
    "splits_not_classes": (ValueError, "look like splits, not like classes: use load_splits"),
}
DAMAGED, LARGE, LINK = "it is damaged", "more pixels than can be held", "a link"
SYSTEM = ".DS_Store Thumbs.db desktop.ini ._0.jpg ~$0.jpg .ipynb_checkpoints __MACOSX".split()
MARKUP = "$1_$2 *star* <b>x <script>alert(1)< _under `tick` a&amp;b {0}%s".split()
ODD = [" cat", "-rf", "cat", "cat ", "it's", 'the "x"', "two\nlines", "v1.0", "~"]
SCRIPTS = (
    "K\u00e4fer Schlu\u0308ssel \u0441\u043e\u0431\u0430\u043a\u0430 \u05db\u05dc\u05d1".split()
)
# Case → (pictures of each class, left out with the reason, a warning or none).
BOTH = {"ant": 3, "bee": 3}
READ = {
    "a_class_with_one_picture": ({**BOTH, "wasp": 1}, {}, "single picture of wasp: it cannot be"),
    "an_empty_class": (BOTH, {"ape": "no picture that can be used"}, None),
    "nested": ({"ant": 4, "bee": 4}, {}, None),
    "unbalanced": ({"ant": 60, "bee": 2}, {}, None),
    "upper_and_lower": ({"Ant": 3, **BOTH}, {}, "one folder on some systems: Ant, ant"),
    "hidden": (
        BOTH,
        dict.fromkeys([*SYSTEM, *(f"ant/{name}" for name in SYSTEM)], "hidden"),
        None,
    ),
    "zero_bytes": (BOTH, {"ant/none.jpg": "it is empty"}, None),
    "half": (BOTH, {f"ant/half.{k}": DAMAGED for k in ("jpeg", "png", "gif", "webp")}, None),
    "last_bytes_missing": (BOTH, {"ant/tail.jpg": DAMAGED}, None),
    "web_page": (BOTH, {"ant/gone.jpg": "a web page"}, None),
    "other_extension": ({"ant": 7, "bee": 3}, {}, None),
    "upper_extension": ({"ant": 6, "bee": 3}, {}, None),
    "heic": ({"ant": 4, "bee": 3}, {"ant/phone.heic": "HEIC.*export it as JPEG"}, None),
    "svg_pdf_video": (
        BOTH,
        {"ant/drawing.svg": "SVG", "ant/paper.pdf": "PDF", "ant/film.mp4": "video"},
        None,
    ),
    "links": (
        BOTH,
        dict.fromkeys("ant/self.jpg ant/nowhere.jpg ant/out.jpg ant/loop outer".split(), LINK),
        None,
    ),
    "pipe": (BOTH, {"ant/waits.jpg": "a named pipe"}, None),
    "folder_called_jpg": ({"ant": 5, "bee": 3}, {}, None),
    "scripts": ({**dict.fromkeys(SCRIPTS, 3), "\u732b": 4}, {}, None),
    "markup": (dict.fromkeys(MARKUP, 2), {}, None),
    "long_names": ({"ant": 4, "bee": 3, "very_" * 50: 2}, {}, None),
    "odd_names": (dict.fromkeys(ODD, 2), {}, "' cat', cat, 'cat '"),
    "not_utf8": ({"\\udce9t\\udce9": 3, "ant": 4, "bee": 3}, {}, None),
    "numbers": ({"010": 3, "1": 3, "10": 3, "2": 3}, {}, None),
    "cmyk": ({"ant": 6, "bee": 3}, {}, None),
    "sixteen_bit": (
        {"ant": 8, "bee": 3},
        {"ant/f.tif": "levels run from 0 to 6.5"},
        "a.png = ant/b.tif",
    ),
    "transparent": ({"ant": 6, "bee": 3}, {}, None),
    "grey": ({"ant": 6, "bee": 3}, {}, None),
    "frames": ({"ant": 7, "bee": 3}, {}, "Twice in one class"),
    "turned": ({"ant": 8, "bee": 3}, {}, None),
    "broken_exif": ({"ant": 9, "bee": 3}, {}, "Twice in one class"),
    "too_large": (BOTH, {"ant/100.png": LARGE, "ant/400.png": LARGE}, None),
    "tiny_and_thin": (
        {"ant": 4, "bee": 3},
        {f"ant/{n}.png": "fewer than 16" for n in ("1x1", "2x3", "1x4000", "6000x2")},
        None,
    ),
    "text_bomb": (BOTH, {"ant/text.png": DAMAGED}, None),
    "wrong_checksum": (BOTH, {"ant/header.png": "damaged", "ant/data.png": DAMAGED}, None),
    "other_formats": ({"ant": 8, "bee": 3}, {}, None),
    "broken_profile": ({"ant": 4, "bee": 3}, {}, None),
    "twice": (
        {"ant": 5, "bee": 6},
        {},
        "Under several classes, so a label is wrong: .*ant/(copy of )?x.jpg",
    ),
    "all_the_same": (BOTH, {}, "Under several classes"),
}
BY_THEMSELVES = {"unreadable", "leak"}


@pytest.fixture
def made(tmp_path):
    def make(name: str) -> Path:
        try:
            CASES[name](tmp_path / name)
        except (OSError, AttributeError) as error:
            pytest.skip(f"this system cannot have such a folder ({error})")
        return tmp_path / name

    return make


def test_every_case_has_an_outcome():
    assert set(CASES) == set(REFUSED) | set(READ) | BY_THEMSELVES


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_folder_of_classes_is_refused(made, name):
    error, says = REFUSED[name]
    with pytest.raises(error, match=says):
        load_folder(made(name), 32)


@pytest.mark.parametrize("name", READ)
def test_the_sound_pictures_are_read_and_the_others_named(made, name):
    counts, left_out, warning = READ[name]
    folder = made(name)
    data, report = load_folder(folder, 32)
    assert list(data.counts().items()) == list(counts.items()), "sorted by name, none lost"
    assert set(report.left_out) == set(left_out)
    for place, says in left_out.items():
        assert re.search(says, report.left_out[place])
    assert len(set(zip(data.labels.tolist(), data.names, strict=True))) == len(data)
    assert bool(report.warnings) == bool(warning) and re.search(warning or "", str(report))
    str(report).encode("utf-8")  # what cannot be encoded would raise a second error
    again, _ = load_folder(folder, 32)
    assert torch.equal(again.images, data.images) and again.names == data.names


def grey_of(data: ImageSet, name: str) -> torch.Tensor:
    """The picture of this name as float32 [H, W], after its channels were found equal."""
    image = data.images[data.names.index(name)].float()
    assert torch.equal(image[0], image[1]) and torch.equal(image[0], image[2])
    return image[0]


def test_kinds_of_pictures_show_what_they_should(made):
    printed, _ = load_folder(made("cmyk"), 32)
    look = {name: printed.images[printed.names.index(name)].float() for name in printed.names[3:6]}
    assert all((look[name] - look["plain.png"]).abs().mean() < 4 for name in look)
    deep, _ = load_folder(made("sixteen_bit"), 32)
    for name in ("a.png", "b.tif", "c.tif", "d.tif", "e.png"):
        rows = grey_of(deep, name).mean(1)
        assert rows[0] < 30 and abs(rows[16] - 128) < 8 and rows[-1] > 225, name
    clear, _ = load_folder(made("transparent"), 32)
    assert (grey_of(clear, "clear.png") == 255).all()
    inside = clear.images[clear.names.index("inside.png")]
    assert (inside[:, :4] == 255).all() and inside[:, 16, 16].tolist() == [200, 60, 60]
    flat, _ = load_folder(made("grey"), 32)
    assert (grey_of(flat, "a.jpg") - grey_of(flat, "c.png")).abs().mean() < 3
    assert grey_of(flat, "b.png").std() > 30
    upright, _ = load_folder(made("turned"), 32)
    corner = upright.images[:8, :, :10, :10].float()
    assert corner.mean() > 250 and (corner.mean((1, 2, 3)) > 245).all()


def test_first_frames_and_pictures_with_broken_exif_are_the_plain_picture(made):
    for name, count in (("frames", 4), ("broken_exif", 6)):
        data, _ = load_folder(made(name), 32)
        ours = data.images[[i for i, n in enumerate(data.names) if not n[0].isdigit()]].float()
        assert len(ours) == count and (ours - ours[:1]).abs().mean((1, 2, 3)).max() < 6


def test_pictures_in_folders_below_keep_their_path_and_none_is_overwritten(made, tmp_path):
    data, _ = load_folder(made("nested"), 32)
    assert data.names == tuple(
        f"{place}/{n}.jpg" for place in ("left", "right", "left", "right/far") for n in (0, 1)
    )
    write_image_folder({"train": data}, tmp_path / "out")
    assert len(ImageFolder(tmp_path / "out" / "train")) == 8


def test_nothing_outside_the_folder_is_read(made, monkeypatch):
    opened, real = [], module.read_pictures
    monkeypatch.setattr(
        module, "read_pictures", lambda paths, *a, **k: opened.extend(paths) or real(paths, *a, **k)
    )
    folder = made("links")
    load_folder(folder, 32)
    assert len(opened) == 6 and all(path.resolve().is_relative_to(folder) for path in opened)


def test_a_link_to_the_folder_itself_is_followed(made, tmp_path):
    (tmp_path / "here").symlink_to(made("nested"), target_is_directory=True)
    assert len(load_folder(tmp_path / "here", 32)[0]) == 8


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_what_may_not_be_read_is_named_and_the_rest_is_read(made):
    load_folder(made("nested"), 32)  # whatever has to be imported is
    home = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    home.chmod(0o755)
    CASES["unreadable"](home / "unreadable")
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)  # root may read everything
        data, report = load_folder(home / "unreadable", 32)
    finally:
        if root:
            os.seteuid(0)
        (home / "unreadable" / "shut").chmod(0o700)
        shutil.rmtree(home)
    assert data.counts() == BOTH
    assert "Permission denied" in report.left_out["ant/locked.jpg"]
    assert "shut" in report.left_out and "cannot be opened" in str(report)


def test_a_stratified_split_keeps_both_classes(made):
    data, report = load_folder(made("unbalanced"), 32)
    assert "0 = ant (60), 1 = bee (2)" in str(report)
    train, val = train_test_split(range(len(data)), test_size=0.5, stratify=data.labels)
    assert data[train].counts()["bee"] == data[val].counts()["bee"] == 1


# --- classes and splits


def test_classes_that_are_given_keep_their_numbers_whatever_folders_there_are(tmp_path):
    for seed, name in enumerate(("ant", "fly", "zebra")):
        fill(tmp_path / name, seed)
    (tmp_path / "bee").mkdir()
    data, report = load_folder(tmp_path, 32, classes=["fly", "bee", "cow", "ant"])
    assert data.classes == ("fly", "bee", "cow", "ant")
    assert data.counts() == {"fly": 3, "bee": 0, "cow": 0, "ant": 3}
    assert "none of the classes" in report.left_out["zebra"] and "bee" in report.left_out
    assert "No picture of bee, cow" in str(report)
    assert load_folder(tmp_path, 32, classes=("ant",))[0].counts() == {"ant": 3}
    with pytest.raises(ValueError, match="no class; expected"):
        load_folder(tmp_path, 32, classes=("Ant", "Bee"))
    with pytest.raises(ValueError, match="stands twice"):
        load_folder(tmp_path, 32, classes=("ant", "ant"))
    with pytest.raises(TypeError, match="sequence of names"):
        load_folder(tmp_path, 32, classes="ant")


def test_splits_are_numbered_by_train(made):
    folder = made("class_missing_in_val")
    sets, report = load_splits(folder, 32)
    assert list(sets) == ["train", "val"]
    for data in sets.values():
        assert data.classes == ("ant", "bee", "fly")
    assert sets["val"].counts() == {"ant": 3, "bee": 0, "fly": 3}
    assert "No picture of val/bee" in str(report)
    assert "val: 6 pictures, 0 = ant (3), 1 = bee (0), 2 = fly (3)" in str(report)
    with pytest.raises(ValueError, match="lies beside train.*classes=train.classes"):
        load_folder(folder / "val", 32)
    with contextlib.chdir(folder / "val"), pytest.raises(ValueError, match="lies beside train"):
        load_folder(".", 32)
    alone, _ = load_folder(folder / "val", 32, classes=sets["train"].classes)
    assert torch.equal(alone.labels, sets["val"].labels)
    assert load_folder(folder / "train", 32)[0].counts() == sets["train"].counts()


def test_splits_of_other_names_and_what_is_none(made):
    folder = made("splits_not_classes")
    fill(folder / "extra" / "ant", 9)
    fill(folder / "test" / "zebra", 8)
    sets, report = load_splits(folder, 32)
    assert list(sets) == ["Train", "test"] and sets["test"].counts() == BOTH
    assert report.left_out["extra"] == "it is no split"
    assert "none of the classes" in report.left_out["test/zebra"]
    with pytest.raises(
        ValueError, match="no folder train in .*, but .'ant', 'bee', 'zebra'.: load"
    ):
        load_splits(folder / "test", 32)


def test_pictures_in_two_splits_are_named_before_training(made):
    _, report = load_splits(made("leak"), 32)
    (warning,) = report.warnings
    assert warning.startswith("In several splits")
    for n in (0, 1):
        assert f"val/ant/renamed{n}.jpg = train/ant/{n}.jpg" in warning
    assert len(report.twins) == 2


def test_twins_are_grouped_and_a_contradiction_is_not_told_twice(made):
    _, report = load_folder(made("twice"), 32)
    assert sorted(map(sorted, report.twins)) == [
        ["ant/copy of x.jpg", "ant/x.jpg", "bee/y.jpg"],
        ["bee/z again.png", "bee/z.png"],
    ]
    assert len(report.warnings) == 2 and "bee/z again.png = bee/z.png" in report.warnings[1]


# --- cost


def test_a_set_larger_than_half_the_memory_is_refused_before_it_is_read(made, monkeypatch):
    folder = made("nested")
    monkeypatch.setattr(module, "read_pictures", None)  # calling it would fail
    with pytest.raises(MemoryError, match="8 pictures of 500000 px take 6000.0 GB"):
        load_folder(folder, 500_000)
    for size in (0, -1):
        with pytest.raises(ValueError, match="at least 1 pixel"):
            load_folder(folder, size)


def test_folders_in_folders_without_end_are_not_followed(tmp_path):
    ant = sound(tmp_path / "deep")
    fill(ant / Path(*"abcdefghijklmnopqrs"), 7, 1)  # 19 below ant
    fill(ant / Path(*"abcdefghijklmnopqrstuvw"), 8, 1)
    data, report = load_folder(tmp_path / "deep", 32)
    assert data.counts() == {"ant": 4, "bee": 3}
    assert [why for why in report.left_out.values() if "folders deep" in why]


def test_only_pictures_of_the_size_that_is_asked_for(made):
    data, report = load_folder(made("tiny_and_thin"), 32, smallest=1)
    assert data.counts() == {"ant": 8, "bee": 3} and not report.left_out
