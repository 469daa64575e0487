import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImageSet,
    decode,
    index_batches,
    normalize,
    per_class_index,
)


@pytest.fixture
def small() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (10, 3, 6, 8), dtype=torch.uint8, generator=generator)
    names = tuple(f"{i}.jpg" for i in range(10))
    return ImageSet(images, torch.arange(10) % 2, ("even", "odd"), names)


def test_normalize_is_the_formula_in_channels_last(small):
    got = normalize(small.images)
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    torch.testing.assert_close(got, (small.images.float() / 255 - mean) / std, rtol=0, atol=1e-5)
    assert got.dtype == torch.float32
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_normalize_leaves_its_input_and_takes_other_statistics(small):
    before = small.images.clone()
    got = normalize(small.images, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert torch.equal(small.images, before)
    assert got.min() >= -1.0001 and got.max() <= 1.0001


def test_normalize_refuses_floats():
    with pytest.raises(TypeError, match="uint8"):
        normalize(torch.rand(2, 3, 4, 4))


@pytest.mark.parametrize(
    ("images", "labels", "error", "says"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2).long(), TypeError, "uint8"),
        (torch.zeros(2, 4, 4, 3).byte(), torch.zeros(2).long(), ValueError, r"\[N, 3, H, W\]"),
        (torch.zeros(3, 4, 4).byte(), torch.zeros(3).long(), ValueError, r"\[N, 3, H, W\]"),
        (torch.zeros(2, 3, 4, 4).byte(), torch.zeros(2), TypeError, "int64"),
        (torch.zeros(2, 3, 4, 4).byte(), torch.zeros(3).long(), ValueError, "one an image"),
        (torch.zeros(2, 3, 4, 4).byte(), torch.tensor([0, 2]), ValueError, "0 to 1"),
        (torch.zeros(2, 3, 4, 4).byte(), torch.tensor([-1, 0]), ValueError, "0 to 1"),
    ],
)
def test_image_set_says_what_is_wrong(images, labels, error, says):
    with pytest.raises(error, match=says):
        ImageSet(images, labels, ("a", "b"))


def test_names_must_match(small):
    with pytest.raises(ValueError, match="1 names for 10"):
        ImageSet(small.images, small.labels, small.classes, ("x",))


@pytest.mark.parametrize(
    "index", [slice(2, 5), [2, 3, 4], torch.tensor([2, 3, 4]), torch.arange(10).sub(3).abs() < 2]
)
def test_indexing_keeps_images_labels_and_names_together(small, index):
    part = small[index]
    assert len(part) == 3
    assert torch.equal(part.images, small.images[2:5])
    assert part.labels.tolist() == [0, 1, 0]
    assert part.names == ("2.jpg", "3.jpg", "4.jpg")


def test_indexing_with_nothing_and_with_a_number(small):
    assert len(small[[]]) == 0
    with pytest.raises(TypeError, match=r"\[3:4\]"):
        small[3]


def test_batches_cover_everything_once(small):
    sizes = [len(labels) for _, labels in small.batches(4)]
    assert sizes == [4, 4, 2]
    shuffled = torch.cat(list(index_batches(10, 3, shuffle=True)))
    assert shuffled.sort().values.tolist() == list(range(10))


def test_shuffling_repeats_with_its_generator(small):
    runs = [
        torch.cat([y for _, y in small.batches(3, shuffle=True, generator=torch.manual_seed(seed))])
        for seed in (1, 1)
    ]
    assert torch.equal(*runs)
    images, labels = small.batch([7, 1])
    torch.testing.assert_close(images, normalize(small.images[[7, 1]]))
    assert labels.tolist() == [1, 1]


def test_batch_size_zero_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        list(index_batches(3, 0))


def test_per_class_counts_and_is_nested(small):
    assert small.per_class(3).counts() == {"even": 3, "odd": 3}
    few, many = (set(per_class_index(small.labels, n, 5).tolist()) for n in (2, 4))
    assert few < many
    assert set(per_class_index(small.labels, 2, 6).tolist()) != few


def test_per_class_says_how_many_there_are(small):
    with pytest.raises(ValueError, match="has 5 examples, 6 were asked for"):
        small.per_class(6)
    with pytest.raises(ValueError, match="at least 1"):
        small.per_class(0)


def test_decode_gives_rgb_squares_whatever_comes(tmp_path):
    for i, (mode, size) in enumerate([("RGB", (90, 40)), ("L", (40, 90)), ("RGBA", (33, 33))]):
        Image.new(mode, size, 200).save(tmp_path / f"{i}.png")
    Image.new("CMYK", (50, 70), (0, 255, 255, 0)).save(tmp_path / "3.jpg")
    got = decode(sorted(tmp_path.iterdir()), 32)
    assert got.shape == (4, 3, 32, 32) and got.dtype == torch.uint8
    assert (got[1] == 200).all()
    red = got[3].float().mean((1, 2))
    assert red[0] > 200 and red[1] < 60


def test_decode_crops_the_centre(tmp_path):
    pixels = np.zeros((64, 192, 3), np.uint8)
    pixels[:, 64:128] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert decode([tmp_path / "wide.png"], 32).float().mean() > 254


def test_decode_turns_as_exif_says(tmp_path):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = 255  # upper half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: white ends on the right
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = decode([tmp_path / "turned.jpg"], 32)[0].float()
    assert image[:, :, :12].mean() < 20 and image[:, :, -12:].mean() > 235


def test_decode_keeps_the_order_with_many_threads(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(40)]
    for i, path in enumerate(paths):
        Image.new("RGB", (20 + 5 * (i % 7), 30), (i * 6,) * 3).save(path)
    got = decode(paths, 16, workers=5)
    assert got[:, 0, 0, 0].tolist() == [i * 6 for i in range(40)]


def test_decode_names_the_broken_file(tmp_path):
    Image.new("RGB", (200, 200), "red").save(tmp_path / "good.jpg")
    content = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    for name in ("half.jpg", "text.jpg"):
        with pytest.raises(ValueError, match=name):
            decode([tmp_path / "good.jpg", tmp_path / name], 16)
    with pytest.raises(FileNotFoundError, match="absent.jpg"):
        decode([tmp_path / "absent.jpg"], 16)


def test_decode_of_nothing_and_of_no_size(tmp_path):
    assert decode([], 8).shape == (0, 3, 8, 8)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        decode([], 0)
