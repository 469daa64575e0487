"""Kinds of pictures against what they should show, and files that are none."""

import io
import os
import struct
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.datasets import pictures
from course_utils.datasets.pictures import PictureError, decode, read_pictures

RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)  # black at the top, white below


def rows(path: Path) -> list[float]:
    """First, middle and last row's grey level, after all channels were found equal."""
    image = decode([path], 64)[0].float()
    assert torch.equal(image[0], image[1]) and torch.equal(image[0], image[2])
    return image[0].mean(1)[[0, 32, -1]].tolist()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, row: bytes, *, bits: int = 8, colour: int = 2, extra: bytes = b""):
    """A PNG whose rows are all the same, packed row by row: its pixels are never held."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(b"\0" + row) for _ in range(height)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def refusal(path: Path) -> str:
    with pytest.raises(PictureError) as caught:
        decode([path], 16)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_rgb_squares_whatever_comes(tmp_path):
    for i, (mode, size) in enumerate([("RGB", (90, 40)), ("L", (40, 90)), ("RGBA", (33, 33))]):
        Image.new(mode, size, 200).save(tmp_path / f"{i}.png")
    Image.new("CMYK", (50, 70), (0, 255, 255, 0)).save(tmp_path / "3.jpg")
    got = decode(sorted(tmp_path.iterdir()), 32)
    assert got.shape == (4, 3, 32, 32) and got.dtype == torch.uint8
    assert (got[1] == 200).all()
    red = got[3].float().mean((1, 2))
    assert red[0] > 200 and red[1] < 60


@pytest.mark.parametrize("shape", [(64, 192), (192, 64), (64, 1920), (1921, 64)])
def test_the_centre_is_cut_out_undistorted(tmp_path, shape):
    pixels = np.zeros(shape, np.uint8)
    top, left = shape[0] // 2 - 16, shape[1] // 2 - 16
    pixels[top : top + 32, left : left + 32] = 255
    Image.fromarray(pixels).save(tmp_path / "strip.png")
    got = decode([tmp_path / "strip.png"], 56)[0].float().mean(0)  # its shorter side is 64
    assert got[14:42, 14:42].mean() > 250 and got.mean() == pytest.approx(
        255 * (32 / 56) ** 2, rel=0.02
    )


@pytest.mark.parametrize(
    ("name", "top", "dtype"),
    [
        ("grey16.png", 65535, np.uint16),
        ("grey16.tif", 65535, np.uint16),
        ("big-endian.tif", 65535, ">u2"),
        ("grey32.tif", 65535, np.int32),
        ("float.tif", 1, np.float32),
        ("float255.tif", 255, np.float32),
        ("float65535.tif", 65535, np.float32),
        ("grey12.png", 4095, np.uint16),
        ("grey12.tif", 4095, np.int32),
        ("eight-in-16.png", 255, np.uint16),
        ("grey8.png", 255, np.uint8),
    ],
)
def test_grey_levels_come_out_as_those_of_the_8_bit_copy(tmp_path, name, top, dtype):
    Image.fromarray((RAMP * top).astype(dtype)).save(tmp_path / name)
    Image.fromarray((RAMP * 255).round().astype(np.uint8)).save(tmp_path / "copy.png")
    assert rows(tmp_path / name) == pytest.approx(rows(tmp_path / "copy.png"), abs=1)


def test_grey_levels_are_rounded(tmp_path):
    level = round(100.7 / 255 * 65535)
    Image.fromarray(np.full((40, 40), level, np.uint16)).save(tmp_path / "flat.png")
    assert (decode([tmp_path / "flat.png"], 16) == 101).all()


@pytest.mark.parametrize(
    ("low", "high", "dtype", "says"),
    [
        (0, 1e6, np.int32, "from 0 to 1e"),
        (-5, 200, np.int32, "from -5 to 200"),
        (-1, 1, np.float32, "from -1 to 1; expected 0..1"),
        (0, np.inf, np.float32, "to inf"),
        (np.nan, np.nan, np.float32, "nan|NaN"),
    ],
)
def test_grey_levels_of_an_unknown_range_are_refused(tmp_path, low, high, dtype, says):
    with np.errstate(invalid="ignore"):
        ramp = (RAMP > 0.5).astype(float)
        levels = np.where(ramp, high, low).astype(dtype)
    Image.fromarray(levels).save(tmp_path / "scan.tif")
    assert pytest.raises(PictureError, decode, [tmp_path / "scan.tif"], 16).match(says)


def test_a_single_pixel_that_is_no_number_is_seen(tmp_path):
    levels = RAMP.astype(np.float32)
    levels[30, 30] = np.nan
    Image.fromarray(levels).save(tmp_path / "hole.tif")
    assert "NaN" in refusal(tmp_path / "hole.tif")


def test_12_bit_colours_in_16_bits_are_refused_and_16_bit_colours_are_read(tmp_path):
    row = {top: struct.pack(">96H", *([top] * 96)) for top in (4000, 65535, 0)}
    (tmp_path / "12.png").write_bytes(png(32, 32, row[4000], bits=16))
    assert "12 bits" in refusal(tmp_path / "12.png")
    for top, expected in ((65535, 255), (0, 0)):
        (tmp_path / "16.png").write_bytes(png(32, 32, row[top], bits=16))
        assert (decode([tmp_path / "16.png"], 16) == expected).all()
    opaque = struct.pack(">128H", *([4000, 4000, 4000, 65535] * 32))
    (tmp_path / "12a.png").write_bytes(png(32, 32, opaque, bits=16, colour=6))
    assert "12 bits" in refusal(tmp_path / "12a.png")


def test_transparent_parts_are_white_and_hidden_pixels_do_not_show(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    noise[..., 3] = 0
    noise[20:44, 20:44] = (200, 60, 60, 255)
    Image.fromarray(noise).save(tmp_path / "rgba.png")
    got = decode([tmp_path / "rgba.png"], 64)[0]
    assert (got[:, :8] == 255).all() and (got[:, 32, 32] == torch.tensor([200, 60, 60])).all()
    assert (got[1:, 4:60, 4:60] >= 60).all(), "no dark rim where colour meets transparency"


def test_every_way_to_be_transparent_is_white(tmp_path):
    half = np.full((64, 64), 90, np.uint8)
    half[:, 32:] = 10
    grey = Image.fromarray(half)
    alpha = Image.fromarray(np.where(half == 10, 0, 255).astype(np.uint8))
    la = Image.merge("LA", (grey, alpha))
    la.save(tmp_path / "la.png")
    grey.save(tmp_path / "key.png", transparency=10)
    grey.convert("RGB").save(tmp_path / "rgbkey.png", transparency=(10, 10, 10))
    palette = grey.convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    hidden = palette.getpixel((60, 3))
    palette.save(tmp_path / "index.png", transparency=hidden)
    palette.save(
        tmp_path / "bytes.png", transparency=bytes(0 if i == hidden else 255 for i in (0, 1))
    )
    palette.save(tmp_path / "moving.gif", transparency=hidden, save_all=True, append_images=[grey])
    la.convert("RGBA").save(tmp_path / "rgba.webp", lossless=True)
    for path in sorted(tmp_path.iterdir()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = decode([path], 64)[0].float()
        assert abs(got[:, :, :28].mean() - 90) < 3 and got[:, :, 36:].mean() > 252, path.name


def test_a_16_bit_level_that_means_transparent_is_refused(tmp_path):
    key = chunk(b"tRNS", struct.pack(">H", 4000))
    row = struct.pack(">32H", *([4000] * 32))
    (tmp_path / "key16.png").write_bytes(png(32, 32, row, bits=16, colour=0, extra=key))
    assert "transparent" in refusal(tmp_path / "key16.png")


def test_palettes_and_bits_are_averaged_like_other_pictures(tmp_path):
    check = Image.fromarray(np.indices((256, 256)).sum(0) % 2 == 0)
    check.save(tmp_path / "bit.png")
    check.convert("P").save(tmp_path / "palette.png")
    for name in ("bit.png", "palette.png"):
        assert (decode([tmp_path / name], 32).float() - 127.5).abs().max() < 16, name


def test_one_bit_palettes_and_inverted_cmyk(tmp_path):
    Image.fromarray(RAMP > 0.5).save(tmp_path / "bit.png")
    assert rows(tmp_path / "bit.png")[0] == 0 and rows(tmp_path / "bit.png")[2] == 255
    photo = Image.merge(
        "RGB", [Image.fromarray((RAMP * top).astype(np.uint8)) for top in (250, 120, 30)]
    )
    photo.save(tmp_path / "rgb.png")
    photo.quantize(64).save(tmp_path / "palette.png")
    photo.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)  # inverted, as Adobe writes it
    right = decode([tmp_path / "rgb.png"], 64).float()
    for name in ("palette.png", "cmyk.jpg"):
        assert (decode([tmp_path / name], 64).float() - right).abs().mean() < 4, name


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("name", ["turned.jpg", "turned.png", "turned.tif", "turned.webp"])
def test_all_orientations_come_out_upright(tmp_path, name, number):
    """White in the upper left corner, grey in the upper right."""
    pixels = np.zeros((48, 80, 3), np.uint8)
    pixels[:24, :40], pixels[:24, 40:] = 255, 128
    upright, place = Image.fromarray(pixels), {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright if number == 1 else upright.transpose(Image.Transpose(place[number]))
    exif = Image.Exif()
    exif[0x0112] = number
    stored.save(tmp_path / name, exif=exif, quality=95)
    got = decode([tmp_path / name], 32)[0].float().mean(0)
    corners = [got[:12, :12].mean(), got[:12, -12:].mean(), got[-12:, :12].mean()]
    assert np.allclose(corners, [255, 128, 0], atol=6)


@pytest.mark.parametrize(
    "block", [b"", bytes(range(60)), b"II*\0\x08\0\0\0\x01\0", b"MM\0*\xff\xff\xff\xff"]
)
def test_damaged_exif_leaves_the_picture_as_stored(tmp_path, block):
    file = io.BytesIO()
    Image.fromarray((RAMP * 255).astype(np.uint8)).save(file, "JPEG", quality=95)
    head = b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block
    path = tmp_path / "exif.jpg"
    path.write_bytes(file.getvalue()[:2] + head + file.getvalue()[2:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a word without a file name helps nobody
        assert rows(path)[0] < rows(path)[1] < rows(path)[2]


def test_the_first_of_several_frames(tmp_path):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    for name in ("moving.gif", "moving.png", "moving.webp", "pages.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        colour = decode([tmp_path / name], 16)[0].float().mean((1, 2))
        assert colour[0] > 235 and colour[1] < 20, name


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.bmp", "a.tif", "a.ppm", "a.jp2"]
)
def test_half_a_file_is_named_and_never_half_a_picture(tmp_path, name):
    coarse = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((400, 400)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    assert decode([tmp_path / name], 16).shape == (1, 3, 16, 16)
    for share in (0.3, 0.9):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        assert "damaged" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"not a picture", "none of JPEG, PNG"),
        (b"  <!DOCTYPE html><title>404</title>", "a web page"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%PDF-1.4\n", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC.*export it as JPEG"),
        (b"\0\0\0\x10ftypisom" + b"\0" * 20, "video"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "none of JPEG",
        ),  # would start a program
        (png(20_000, 20_000, b"\0" * 60_000)[:4000], "more pixels"),
        (
            png(
                8, 8, b"\0" * 24, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * (64 << 20)))
            ),
            "damaged",
        ),
        (png(8, 8, b"\0" * 24).replace(b"IHDR", b"IHDR\1", 1), "damaged"),
    ],
)
def test_what_is_no_picture_is_named_with_the_reason(tmp_path, content, says):
    (tmp_path / "odd.jpg").write_bytes(content)
    assert pytest.raises(PictureError, decode, [tmp_path / "odd.jpg"], 16).match(says)
    assert "odd.jpg" in refusal(tmp_path / "odd.jpg")


def test_what_is_no_file_is_named_and_nothing_waits(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, says in [
        (tmp_path / "folder.jpg", "folder"),
        (tmp_path / "pipe.jpg", "pipe"),
        (tmp_path / "absent.jpg", "No such file"),
        (Path("/dev/zero"), "device"),
    ]:
        assert says in refusal(path)


@pytest.mark.parametrize(
    "error",
    [SyntaxError, struct.error, OverflowError, EOFError, MemoryError, zlib.error, RecursionError],
)
def test_whatever_a_decoder_raises_becomes_one_error_that_names_the_file(
    tmp_path, monkeypatch, error
):
    def fail(*arguments):
        raise error("broken")

    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "square", fail)
    refusal(tmp_path / "a.png")


def test_stop_is_passed_on(tmp_path, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "square", stop)
    with pytest.raises(KeyboardInterrupt):
        decode([tmp_path / "a.png"], 16)


def test_order_and_reasons_with_many_threads(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(40)]
    for i, path in enumerate(paths):
        Image.new("RGB", (20 + 5 * (i % 7), 30), (i * 6,) * 3).save(path)
    assert decode(paths, 16)[:, 0, 0, 0].tolist() == [i * 6 for i in range(40)]
    paths[7].write_bytes(b"")
    found = dict(zip(paths, read_pictures(paths, 16, smallest=21), strict=True))
    reasons = {path.name: why for path, why in found.items() if isinstance(why, str)}
    assert "empty" in reasons.pop("7.png")
    assert set(reasons) == {f"{i}.png" for i in range(0, 40, 7) if i != 7}
    assert all("20 pixels, fewer than 21" in why for why in reasons.values())


@pytest.mark.parametrize("large", [True, False])
def test_large_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch, large):
    running, most = [], []

    def slow(image, size):
        running.append(image)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        return np.zeros((3, size, size), np.uint8)

    for i in range(8):
        Image.new("L", (30, 30)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(pictures, "square", slow)
    monkeypatch.setattr(pictures, "LARGE", 899 if large else 900)
    monkeypatch.setattr(pictures.os, "cpu_count", lambda: 4)
    decode(sorted(tmp_path.iterdir()), 16)
    assert (max(most) == 1) == large


def test_nothing_and_no_size(tmp_path):
    assert decode([], 8).shape == (0, 3, 8, 8)
    for size in (0, -3):
        with pytest.raises(ValueError, match="at least 1 pixel"):
            decode([], size)


def test_memory_is_bounded_whatever_the_shape(tmp_path):
    """Peak memory of a process of its own: a strip that would be resized to 1,000,000 pixels, 100
    megapixels that are refused, 36 that are read."""
    Image.new("RGB", (1, 4000), (9, 9, 200)).save(tmp_path / "tall.png")
    Image.new("RGB", (6000, 2), (9, 9, 200)).save(tmp_path / "wide.png")
    (tmp_path / "huge.png").write_bytes(png(10_000, 10_000, bytes(30_000)))
    (tmp_path / "large.png").write_bytes(png(6_000, 6_000, bytes((30, 120, 200)) * 6_000))
    script = """
import resource, sys
from course_utils.datasets.pictures import read_pictures
from PIL import Image
Image.init()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for path in sys.argv[1:]:
    before = peak()
    (found,) = read_pictures([path], 224)
    grown = peak() - before
    print(found if isinstance(found, str) else found[:, 100, 100].tolist(), round(grown), sep="|")
"""
    names = ("tall.png", "wide.png", "huge.png", "large.png")
    done = subprocess.run(
        [sys.executable, "-c", script, *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(pictures.__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    tall, wide, huge, large = (line.split("|") for line in done.stdout.splitlines())
    assert tall[0] == wide[0] == "[9, 9, 200]" and max(int(tall[1]), int(wide[1])) < 30
    assert "more pixels" in huge[0] and int(huge[1]) < 30
    assert large[0] == "[30, 120, 200]" and int(large[1]) < 1.3 * 36 * 4, "one copy of four bytes"
