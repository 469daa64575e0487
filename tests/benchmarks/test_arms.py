"""Each arm trains what it says, from where it says, and leaves the rest bit-equal."""

import pytest
import torch
from torchvision.models import mobilenet_v2

from benchmarks import _arms
from benchmarks._arms import PILOT_RATES, Setting, train_arm
from course_utils.images import ImageSet
from course_utils.strategies import contest, grid
from course_utils.surgery import find_head


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(7)
    return mobilenet_v2().state_dict()


@pytest.fixture
def setting(monkeypatch, checkpoint):
    """Fifteen images of noise; `weights="checkpoint"` stands for a pretrained network."""

    def build(name, weights):
        model = mobilenet_v2()
        if weights == "checkpoint":
            model.load_state_dict(checkpoint)
        return model

    monkeypatch.setattr(_arms, "get_model", build)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (15, 3, 32, 32), dtype=torch.uint8, generator=generator)
    images = ImageSet(pixels, torch.arange(15) % 5, tuple("abcde"))
    return Setting(images, images, epochs=2, seed=0, weights="checkpoint")


def moved(model, checkpoint) -> set[str]:
    """Stages with a parameter or buffer that is not the checkpoint's."""
    head = find_head(model).name
    return {
        ".".join(name.split(".")[:2])
        for name, value in model.state_dict().items()
        if not name.startswith(head) and not torch.equal(value, checkpoint[name])
    }


@pytest.mark.parametrize("strategy", PILOT_RATES)
def test_what_moves(strategy, setting, checkpoint):
    model = train_arm(strategy, 1e-3, setting)
    stages = {f"features.{n}" for n in range(19)}
    expected = {
        "head only": set(),
        "last stage": {f"features.{n}" for n in range(14, 19)},
    }.get(strategy, stages)
    assert moved(model, checkpoint) == expected
    assert not model.training


def test_the_same_seed_gives_the_same_network_another_seed_another(setting):
    first, again = (train_arm("last stage", 1e-3, setting).state_dict() for _ in range(2))
    other = train_arm(
        "last stage", 1e-3, Setting(setting.train, setting.val, 2, 1, weights="checkpoint")
    ).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.1.weight"], other["classifier.1.weight"])


def test_from_scratch_never_sees_the_checkpoint(setting, monkeypatch):
    asked = []
    build = _arms.get_model
    monkeypatch.setattr(
        _arms, "get_model", lambda name, weights: asked.append(weights) or build(name, weights)
    )
    train_arm("from scratch", 1e-3, setting)
    assert asked == [None]


def test_probe_then_all_splits_the_epochs(setting, monkeypatch):
    seen = []
    for name in ("fit", "fit_cached"):
        real = getattr(_arms, name)
        monkeypatch.setattr(
            _arms, name, lambda *a, real=real, **k: seen.append(k["epochs"]) or real(*a, **k)
        )
    five = Setting(setting.train, setting.val, 5, 0, weights="checkpoint")
    train_arm("probe, then all", 1e-3, five)
    assert seen == [2, 3]


@pytest.mark.parametrize(("strategy", "epochs"), [("half", 2), ("all", 1)])
def test_wrong_input_is_named(strategy, epochs, setting):
    other = Setting(setting.train, setting.val, epochs, 0)
    with pytest.raises(ValueError, match="at least 2 epochs"):
        train_arm(strategy, 1e-3, other)


def test_the_five_strategies_have_one_set_of_names():
    assert set(PILOT_RATES) == set(grid.NAMES) == set(contest.STRATEGIES)
