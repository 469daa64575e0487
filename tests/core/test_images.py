import numpy as np
import pytest
import torch

from course_utils.features import FeatureSet
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


IMAGES, FEATURES, NAMES = torch.zeros(2, 3, 4, 4).byte(), torch.zeros(2, 7), ("a", "b")
ZERO_ONE = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ImageSet(IMAGES.float(), ZERO_ONE, NAMES), TypeError, "uint8"),
        (lambda: ImageSet(IMAGES.permute(0, 2, 3, 1), ZERO_ONE, NAMES), ValueError, "N, 3, H, W"),
        (lambda: ImageSet(IMAGES[0], ZERO_ONE, NAMES), ValueError, r"\[N, 3, H, W\]"),
        (lambda: FeatureSet(FEATURES.long(), ZERO_ONE, NAMES), TypeError, "float32"),
        (lambda: FeatureSet(FEATURES.numpy(), ZERO_ONE, NAMES), TypeError, "float32"),
        (lambda: FeatureSet(FEATURES[0], ZERO_ONE, NAMES), ValueError, r"\[N, D\]"),
    ],
)
def test_examples_of_another_form_are_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize(("kind", "examples"), [(ImageSet, IMAGES), (FeatureSet, FEATURES)])
@pytest.mark.parametrize(
    ("labels", "classes", "error", "says"),
    [
        (ZERO_ONE.float(), NAMES, TypeError, "int64"),
        (ZERO_ONE.int(), NAMES, TypeError, "int64"),
        ([0, 1], NAMES, TypeError, "int64"),
        (torch.tensor([0, 1, 0]), NAMES, ValueError, "one each"),
        (ZERO_ONE[:, None], NAMES, ValueError, r"\(2, 1\); expected \[2\]"),  # would broadcast
        (torch.tensor(0), NAMES, ValueError, "one each"),
        (torch.tensor([0, 2]), NAMES, ValueError, "0 to 1"),
        (torch.tensor([-1, 0]), NAMES, ValueError, "0 to 1"),
        (ZERO_ONE, (), ValueError, "with 0 classes"),
        (ZERO_ONE, "ab", TypeError, "tuple of names"),
        (ZERO_ONE, ["a", "b"], TypeError, "tuple of names"),
        (ZERO_ONE, ("a", 1), TypeError, "tuple of names"),
        (ZERO_ONE, ("a", "b", "a"), ValueError, "'a' stands twice"),
    ],
)
def test_labels_and_classes_are_checked_at_both_doors(kind, examples, labels, classes, error, says):
    with pytest.raises(error, match=says):
        kind(examples, labels, classes)


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


@pytest.fixture
def vectors(small) -> FeatureSet:
    return FeatureSet(torch.arange(10.0)[:, None], small.labels, small.classes)


@pytest.mark.parametrize("which", ["small", "vectors"])
def test_indexing_with_nothing_and_with_a_number(which, request):
    data = request.getfixturevalue(which)
    assert len(data[[]]) == 0
    for single in (3, np.int64(3), torch.tensor(3)):
        with pytest.raises(TypeError, match="got the index 3; expected a slice or a list"):
            data[single]
    with pytest.raises(ValueError, match="mask of 4 for 10"):
        data[torch.ones(4, dtype=torch.bool)]
    assert data[np.arange(10) > 6].labels.tolist() == [1, 0, 1]


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


@pytest.mark.parametrize("which", ["small", "vectors"])
def test_per_class_says_how_many_there_are(which, request):
    data = request.getfixturevalue(which)
    with pytest.raises(ValueError, match="class even has 5 examples, 6 were asked for: use n <= 5"):
        data.per_class(6)
    with pytest.raises(ValueError, match="at least 1"):
        data.per_class(0)


@pytest.mark.parametrize("which", ["small", "vectors"])
@pytest.mark.parametrize("label", [0, 1])
def test_per_class_refuses_a_class_without_examples(which, label, request):
    data = request.getfixturevalue(which)
    with pytest.raises(ValueError, match=f"class {data.classes[label]} has 0 examples, 2 were"):
        data[data.labels != label].per_class(2)


def test_per_class_index_knows_as_many_classes_as_the_labels_show():
    labels = torch.tensor([0, 0, 2, 2])
    with pytest.raises(ValueError, match="class 1 has 0 examples"):
        per_class_index(labels, 1, 0)
    assert per_class_index(labels[:2], 2, 0).tolist() == [0, 1]
    assert len(per_class_index(labels[:0], 2, 0)) == 0
