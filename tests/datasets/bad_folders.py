"""Folders of pictures as people really have them, written on the spot: ``CASES[name](folder)``.

Each has two sound classes, ant and bee, of three pictures, unless the case is about the classes.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

CASES: dict[str, Callable[[Path], None]] = {}
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF's number → the Transpose that undoes it
NO_FILE = b"\0\0\0\1 what a system writes beside pictures"


def case(write: Callable[[Path], None]):
    CASES[write.__name__] = write
    return write


def photo(seed: int, width: int = 48, height: int = 48) -> Image.Image:
    """Smooth, in colours of its own."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def put(path: Path, content: bytes | Image.Image, kind: str = "", **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Image.Image):
        content.save(path, kind or None, **options)
    else:
        path.write_bytes(content)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def fill(folder: Path, seed: int, count: int = 3) -> None:
    for n in range(count):
        put(folder / f"{n}.jpg", photo(100 * seed + n), quality=92)


def sound(folder: Path) -> Path:
    """The two sound classes; returns ant's folder."""
    fill(folder / "ant", 1)
    fill(folder / "bee", 2)
    return folder / "ant"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def endless(width: int, height: int) -> bytes:
    """A PNG of one grey, packed row by row."""
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# --- the folder


@case
def empty(folder):
    folder.mkdir()


@case
def missing(folder):
    pass


@case
def a_file(folder):
    put(folder, encoded(photo(1)))


@case
def flat(folder):
    fill(folder, 1)


@case
def one_class(folder):
    fill(folder / "ant", 1)


@case
def a_class_with_one_picture(folder):
    sound(folder)
    fill(folder / "wasp", 3, 1)


@case
def an_empty_class(folder):
    sound(folder)
    (folder / "ape").mkdir()


@case
def class_missing_in_val(folder):
    for split, classes in {"train": ("ant", "bee", "fly"), "val": ("ant", "fly")}.items():
        for name in classes:
            fill(folder / split / name, len(split) + len(name) + ord(name[0]))


@case
def nested(folder):
    for seed, place in enumerate(("ant/left", "ant/right", "bee/left", "bee/right/far")):
        fill(folder / place, seed, 2)


@case
def splits_not_classes(folder):
    fill(folder / "Train" / "ant", 1)
    fill(folder / "Train" / "bee", 2)
    fill(folder / "test" / "ant", 3)
    fill(folder / "test" / "bee", 4)


@case
def unbalanced(folder):
    fill(folder / "ant", 1, 60)
    fill(folder / "bee", 2, 2)


@case
def upper_and_lower(folder):
    sound(folder)
    fill(folder / "Ant", 3)


# --- files that are not what they seem


@case
def hidden(folder):
    ant = sound(folder)
    for place in (folder, ant):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.jpg", "~$0.jpg"):
            put(place / name, NO_FILE)
        put(place / ".ipynb_checkpoints" / "0.jpg", (ant / "0.jpg").read_bytes())
        put(place / "__MACOSX" / "0.jpg", (ant / "0.jpg").read_bytes())


@case
def zero_bytes(folder):
    put(sound(folder) / "none.jpg", b"")


@case
def half(folder):
    ant = sound(folder)
    for kind in ("JPEG", "PNG", "GIF", "WEBP"):
        whole = encoded(photo(7, 300, 300), kind)
        put(ant / f"half.{kind.lower()}", whole[: len(whole) // 2])


@case
def last_bytes_missing(folder):
    put(sound(folder) / "tail.jpg", encoded(photo(7))[:-2])


@case
def web_page(folder):
    put(sound(folder) / "gone.jpg", b"<html><body>We are sorry</body></html>")


@case
def other_extension(folder):
    ant = sound(folder)
    put(ant / "a.jpg", encoded(photo(7), "PNG"))
    put(ant / "b.png", encoded(photo(8)))
    put(ant / "c.txt", encoded(photo(9)))
    put(ant / "d", encoded(photo(10)))


@case
def upper_extension(folder):
    ant = sound(folder)
    for n, name in enumerate(("IMG.JPG", "IMG.JPEG", "IMG.PNG")):
        put(ant / name, photo(20 + n))


@case
def heic(folder):
    ant = sound(folder)
    put(ant / "phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(80))
    put(ant / "renamed.HEIC", encoded(photo(7)))


@case
def svg_pdf_video(folder):
    ant = sound(folder)
    put(ant / "drawing.svg", b'<?xml version="1.0"?><svg width="3" height="3"/>')
    put(ant / "paper.pdf", b"%PDF-1.7\n")
    put(ant / "film.mp4", b"\0\0\0\x14ftypmp42" + bytes(30))


@case
def unreadable(folder):
    ant = sound(folder)
    put(ant / "locked.jpg", photo(7))
    fill(folder / "shut", 3)
    (ant / "locked.jpg").chmod(0)
    (folder / "shut").chmod(0)


@case
def links(folder):
    ant = sound(folder)
    put(folder.parent / "outside" / "secret.jpg", photo(7))
    (ant / "self.jpg").symlink_to("self.jpg")
    (ant / "nowhere.jpg").symlink_to(folder / "nothing")
    (ant / "out.jpg").symlink_to(folder.parent / "outside" / "secret.jpg")
    (ant / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "outer").symlink_to(folder.parent / "outside", target_is_directory=True)


@case
def pipe(folder):
    os.mkfifo(sound(folder) / "waits.jpg")


@case
def folder_called_jpg(folder):
    fill(sound(folder) / "album.jpg", 7, 2)


# --- names


@case
def scripts(folder):
    names = ("K\u00e4fer", "Schlu\u0308ssel", "\u732b", "\u0441\u043e\u0431\u0430\u043a\u0430")
    for seed, name in enumerate((*names, "\u05db\u05dc\u05d1")):
        fill(folder / name, seed)
    put(folder / "\u732b" / "\U0001f600 100% #1.jpg", photo(77))


@case
def markup(folder):
    names = ("<b>x", "<script>alert(1)<", "a&amp;b", "$1_$2", "_under", "*star*", "`tick`", "{0}%s")
    for seed, name in enumerate(names):
        fill(folder / name, seed, 2)


@case
def long_names(folder):
    ant = sound(folder)
    fill(folder / ("very_" * 50), 3, 2)
    put(ant / ("n" * 246 + ".jpg"), photo(7))


@case
def odd_names(folder):
    names = ("cat", "cat ", " cat", "-rf", "it's", 'the "x"', "two\nlines", "v1.0", "~")
    for seed, name in enumerate(names):
        fill(folder / name, seed, 2)


@case
def not_utf8(folder):
    ant = sound(folder)
    Path(os.fsdecode(os.fsencode(ant) + b"/caf\xe9.jpg")).write_bytes(encoded(photo(7)))
    fill(Path(os.fsdecode(os.fsencode(folder) + b"/\xe9t\xe9")), 4)


@case
def numbers(folder):
    for seed, name in enumerate(("1", "2", "10", "010")):
        fill(folder / name, seed)


# --- kinds of picture


@case
def cmyk(folder):
    ant = sound(folder)
    put(ant / "plain.png", photo(7))
    put(ant / "print.jpg", photo(7).convert("CMYK"), quality=95)
    put(ant / "print.tif", photo(7).convert("CMYK"))


@case
def sixteen_bit(folder):
    ant = sound(folder)
    ramp = np.linspace(0, 65535, 48 * 48).reshape(48, 48)
    for name, levels in {
        "a.png": ramp.astype(np.uint16),
        "b.tif": ramp.astype(np.uint16),
        "c.tif": ramp.astype(np.int32),
        "d.tif": (ramp / 65535).astype(np.float32),
        "e.png": (ramp / 16).astype(np.uint16),
        "f.tif": (ramp * 1e4).astype(np.int64).clip(0, 2**31 - 1).astype(np.int32),
    }.items():
        put(ant / name, Image.fromarray(levels))


@case
def transparent(folder):
    ant = sound(folder)
    noise = np.random.default_rng(7).integers(0, 256, (48, 48, 4), dtype=np.uint8)
    noise[..., 3] = 0
    put(ant / "clear.png", Image.fromarray(noise))
    noise[12:36, 12:36] = (200, 60, 60, 255)
    put(ant / "inside.png", Image.fromarray(noise))
    put(ant / "palette.png", photo(7).quantize(8), transparency=bytes([0, 0, 128, 255]))


@case
def grey(folder):
    ant = sound(folder)
    for mode, name in {"L": "a.jpg", "1": "b.png", "LA": "c.png"}.items():
        put(ant / name, photo(7).convert(mode))


@case
def frames(folder):
    ant = sound(folder)
    several = {"save_all": True, "append_images": [photo(8), photo(9)]}
    for name in ("a.gif", "b.png", "c.webp", "d.tif"):
        put(ant / name, photo(7), **several)


@case
def turned(folder):
    upright = photo(7, 90, 60)
    upright.paste((255, 255, 255), (0, 0, 45, 30))
    for number in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = number
        turn = TURNS.get(number)
        stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
        put(folder / "ant" / f"{number}.jpg", stored, exif=exif, quality=95)
    fill(folder / "bee", 2)


@case
def broken_exif(folder):
    ant, plain = sound(folder), encoded(photo(7))
    turn = struct.pack("<HHHI", 1, 0x0112, 3, 1) + b"\6\0\0\0"
    for n, block in enumerate(
        [
            b"",
            bytes(range(60)),
            b"II*\0\x08\0\0\0" + turn[:9],
            b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0"
            + bytes(4),  # 9: no such turn
            b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0six\0" + bytes(4),  # as text
            b"II*\0\x08\0\0\0\x01\0\x1a\x01\x05\0\x01\0\0\0\xff\xff\0\0"
            + bytes(4),  # points outside
        ]
    ):
        app1 = b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block
        put(ant / f"exif{n}.jpg", plain[:2] + app1 + plain[2:])


@case
def too_large(folder):
    ant = sound(folder)
    put(ant / "100.png", endless(10_000, 10_000))
    put(ant / "400.png", endless(20_000, 20_000)[:2000])


@case
def tiny_and_thin(folder):
    ant = sound(folder)
    for size in ((1, 1), (2, 3), (1, 4000), (6000, 2)):
        put(ant / f"{size[0]}x{size[1]}.png", Image.new("RGB", size, (9, 200, 9)))
    put(ant / "strip.png", Image.new("RGB", (16, 3000), (9, 200, 9)))


@case
def text_bomb(folder):
    whole = encoded(photo(7), "PNG")
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20)))
    put(sound(folder) / "text.png", whole[:33] + text + whole[33:])


@case
def wrong_checksum(folder):
    ant, whole = sound(folder), encoded(photo(7), "PNG")
    for name, place in {"header.png": 29, "data.png": whole.index(b"IDAT") + 20}.items():
        put(ant / name, whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])


@case
def other_formats(folder):
    ant = sound(folder)
    for n, kind in enumerate(("webp", "bmp", "tif", "ppm", "jp2")):
        put(ant / f"picture.{kind}", photo(20 + n))


@case
def broken_profile(folder):
    put(sound(folder) / "profile.jpg", photo(7), icc_profile=b"no colour space" * 20)


# --- labels


@case
def twice(folder):
    sound(folder)
    for place in ("ant/x.jpg", "ant/copy of x.jpg", "bee/y.jpg"):
        put(folder / place, photo(7))
    put(folder / "bee" / "z.png", photo(8))
    put(folder / "bee" / "z again.png", photo(8))


@case
def leak(folder):
    for seed, split in enumerate(("train", "val")):
        fill(folder / split / "ant", 10 * seed + 1)
        fill(folder / split / "bee", 10 * seed + 2)
    for n in range(2):
        content = (folder / "train" / "ant" / f"{n}.jpg").read_bytes()
        put(folder / "val" / "ant" / f"renamed{n}.jpg", content)


@case
def all_the_same(folder):
    for name in ("ant", "bee"):
        for n in range(3):
            put(folder / name / f"{n}.png", Image.new("RGB", (48, 48), (128, 128, 128)))
