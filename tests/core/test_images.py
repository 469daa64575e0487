import pytest
import torch

from course_utils.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImageSet,
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
