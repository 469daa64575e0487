import time
import weakref

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from course_utils import measure
from course_utils.measure import saved_activation_bytes
from course_utils.surgery import freeze_backbone, replace_head, unfreeze_from


@pytest.fixture(scope="module")
def batch():
    return torch.randn(8, 3, 128, 128), torch.arange(8) % 5


@pytest.fixture
def resnet():
    model = resnet18()
    replace_head(model, 5)
    return model


def megabytes(model, batch):
    return saved_activation_bytes(model, *batch) / 1e6


def test_everything_trainable(resnet, batch):
    assert megabytes(resnet, batch) == pytest.approx(58.0, rel=0.02)


def test_head_only(resnet, batch):
    freeze_backbone(resnet)
    assert megabytes(resnet, batch) == pytest.approx(0.017, rel=0.05)


def test_one_early_tensor_costs_as_much_as_all_behind_it(resnet, batch):
    unfreeze_from(resnet, "bn1")
    all_behind = saved_activation_bytes(resnet, *batch)
    freeze_backbone(resnet)
    resnet.bn1.bias.requires_grad_(True)
    assert saved_activation_bytes(resnet, *batch) == all_behind
    assert all_behind / 1e6 == pytest.approx(56.4, rel=0.02)


def test_counted_by_hand():
    """Linear keeps its input, ReLU its output, which is the second Linear's input as well;
    the loss keeps the log-probabilities, the labels and its total weight (one float)."""
    model = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 2))
    images, labels = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    expected = 4 * 3 * 4 + 4 * 7 * 4 + (4 * 2 * 4 + 4 * 8 + 4)
    assert saved_activation_bytes(model, images, labels) == expected


def test_nothing_trainable_saves_nothing():
    model = nn.Linear(3, 2).requires_grad_(False)
    assert saved_activation_bytes(model, torch.randn(4, 3), torch.zeros(4, dtype=torch.long)) == 0


def test_counts_under_no_grad_too():
    model, labels = nn.Linear(3, 2), torch.zeros(4, dtype=torch.long)
    images = torch.randn(4, 3)
    with torch.no_grad():
        assert saved_activation_bytes(model, images, labels) > images.nbytes


def test_keeps_nothing_alive():
    """A ReLU saves its own output: returned as it is by the hook, it would hold its own graph."""
    model, seen = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 2)), []
    model[1].register_forward_hook(lambda module, args, output: seen.append(weakref.ref(output)))
    saved_activation_bytes(model, torch.randn(4, 3), torch.tensor([0, 1, 1, 0]))
    assert [reference() for reference in seen] == [None]


def test_leaves_no_gradients(resnet):
    saved_activation_bytes(resnet, torch.randn(2, 3, 32, 32), torch.tensor([0, 1]))
    assert all(p.grad is None for p in resnet.parameters())


def test_refuses_labels_of_another_number():
    with pytest.raises(ValueError, match="got 4 images and 3 labels"):
        saved_activation_bytes(nn.Linear(3, 2), torch.randn(4, 3), torch.zeros(3).long())


def test_stopwatch_measures_and_survives_an_error():
    with pytest.raises(KeyError), measure.stopwatch("cpu") as watch:
        time.sleep(0.05)
        raise KeyError("inside")
    assert 0.05 <= watch.seconds < 1


def test_stopwatch_waits_for_the_device_before_both_readings(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: calls.append(device))
    with measure.stopwatch("cuda:0"):
        assert calls == [torch.device("cuda:0")]
    assert len(calls) == 2
