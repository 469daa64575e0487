from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from course_utils.datasets.drawn.scenes import CLASSES, false_colour, render_flowers
from course_utils.images import ImageSet, normalize

PROBE_SEEDS = 3


def test_shapes_types_and_order():
    flowers = render_flowers(3, size=48, seed=1)
    assert flowers.images.shape == (15, 3, 48, 48)
    assert flowers.images.dtype == torch.uint8
    assert flowers.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert flowers.labels.tolist() == [i // 3 for i in range(15)]


def test_one_seed_one_picture():
    a, b = (render_flowers(2, size=64, seed=5) for _ in range(2))
    assert torch.equal(a.images, b.images)


def test_fewer_are_the_first_of_more():
    few, more = render_flowers(1, size=48), render_flowers(3, size=48)
    assert torch.equal(few.images, more.images[::3])


def test_no_two_scenes_are_alike():
    pictures = [render_flowers(4, size=48, seed=seed).images.flatten(1) for seed in range(3)]
    assert len(torch.cat(pictures).unique(dim=0)) == 60


def test_false_colours_run_from_cold_to_hot():
    grey = np.repeat(np.linspace(0, 1, 5, dtype=np.float32)[None, :, None], 3, axis=2)
    cold, *_, hot = false_colour(grey)[0]
    assert cold[2] > 3 * cold[0] and hot[0] > hot[2] > 0.8
    assert np.allclose(false_colour(grey[:, :, ::-1] * 1.0), false_colour(grey)), "hue is lost"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"per_class": 0}, "at least 1"),
        ({"per_class": 1, "size": 4}, "16"),
    ],
)
def test_bad_arguments(arguments, says):
    with pytest.raises(ValueError, match=says):
        render_flowers(**arguments)


@pytest.fixture(scope="module")
def backbone() -> torch.nn.Module:
    """MobileNetV2 with its real weights, if an earlier run left them in torch's cache."""
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    weights = MobileNet_V2_Weights.IMAGENET1K_V1
    path = Path(torch.hub.get_dir(), "checkpoints", weights.url.rsplit("/", 1)[1])
    if not path.exists():
        pytest.skip("MobileNetV2's weights are not in torch's hub cache")
    model = mobilenet_v2()
    model.load_state_dict(torch.load(path, weights_only=True))
    model.classifier = torch.nn.Identity()
    return model.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
def features(model: torch.nn.Module, flowers: ImageSet) -> torch.Tensor:
    return torch.cat([model(images) for images, _ in flowers.batches(50)])


@threadpool_limits.wrap(limits=1)  # on a busy machine threads that wait for each other cost most
def test_a_probe_has_work_to_do(backbone):
    """20 a class to learn from, 50 a class of other scenes: neither trivial nor hopeless."""
    test = render_flowers(50, seed=1000)
    test_features = features(backbone, test)
    for seed in range(PROBE_SEEDS):
        train = render_flowers(20, seed=seed)
        probe = LogisticRegression(max_iter=1000).fit(features(backbone, train), train.labels)
        accuracy = probe.score(test_features, test.labels)
        assert 0.6 < accuracy < 0.9, f"seed {seed}"


def test_classes_differ_in_their_mean_picture():
    """A flower drawn off the canvas, or one function used twice, would show here."""
    flowers = render_flowers(40, size=32)
    means = [normalize(flowers.images[flowers.labels == i]).mean(0) for i in range(len(CLASSES))]
    for i, a in enumerate(means):
        for b in means[:i]:
            assert (a - b).abs().mean() > 0.1
