"""Looking inside: each function against a picture, a network or a formula made by hand."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from course_utils import inspection
from course_utils.batchnorm import batchnorm_drift
from course_utils.images import ImageSet, normalize
from course_utils.surgery import snapshot, stages


class Tiny(nn.Module):
    """Convolution, then another, pooling, head: no BatchNorm, every number ours to set."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 2, 1, bias=False)
        self.second = nn.Conv2d(2, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.second(torch.relu(self.first(x))).mean(dim=(2, 3)))


@pytest.fixture
def tiny() -> Tiny:
    torch.manual_seed(0)
    return Tiny()


def image_set(n: int = 5, size: int = 32, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.zeros(n, dtype=torch.int64), ("only",))


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# --- first_layer_filters


def test_filters_are_scaled_each_by_its_own_extremes(tiny):
    with torch.no_grad():
        tiny.first.weight[0] = torch.tensor([-2.0, 0.0, 2.0]).view(3, 1, 1)
        tiny.first.weight[1] = torch.tensor([10.0, 10.0, 14.0]).view(3, 1, 1)
    filters = inspection.first_layer_filters(tiny)
    assert filters.shape == (2, 3, 1, 1)
    assert filters.flatten(1).tolist() == [[0.0, 0.5, 1.0], [0.0, 0.0, 1.0]]


def test_a_constant_filter_gives_zeros_not_nan(tiny):
    nn.init.constant_(tiny.first.weight, 3.0)
    assert inspection.first_layer_filters(tiny).eq(0).all()


def test_filters_leave_the_weights_alone(tiny):
    before = tiny.first.weight.detach().clone()
    inspection.first_layer_filters(tiny).fill_(7)
    assert torch.equal(tiny.first.weight, before)


def test_filters_need_a_convolution_on_three_channels():
    with pytest.raises(ValueError, match="reads 3 channels"):
        inspection.first_layer_filters(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(4, 2)))


# --- activations


def test_activation_of_a_convolution_by_hand(tiny):
    images = torch.randn(2, 3, 4, 6)
    seen = inspection.activations(tiny, images, {"a": tiny.first})["a"]
    by_hand = torch.einsum("oc,nchw->nohw", tiny.first.weight[:, :, 0, 0], images)
    torch.testing.assert_close(seen, by_hand)
    assert not seen.requires_grad


def test_a_later_in_place_activation_does_not_reach_what_is_kept():
    layer = nn.Conv2d(3, 3, 1, bias=False)
    nn.init.constant_(layer.weight, -1.0)
    model = nn.Sequential(layer, nn.ReLU(inplace=True))
    modules = {"before": model[0], "after": model[1]}
    seen = inspection.activations(model, torch.ones(1, 3, 2, 2), modules)
    assert seen["before"].eq(-3).all()
    assert seen["after"].eq(0).all()


def test_activations_are_those_of_eval_mode():
    layer = nn.BatchNorm2d(3, affine=False, eps=0.0)
    layer.running_mean[:] = 1.0
    layer.running_var[:] = 4.0
    model = nn.Sequential(nn.Conv2d(3, 3, 1), layer).train()
    nn.init.dirac_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    before = snapshot(model)
    seen = inspection.activations(model, torch.full((2, 3, 4, 4), 5.0), {"bn": layer})["bn"]
    torch.testing.assert_close(seen, torch.full((2, 3, 4, 4), 2.0))  # (5 - 1) / √4
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())


def test_hooks_go_when_the_work_is_done(tiny):
    inspection.activations(tiny, torch.randn(1, 3, 4, 4), {"a": tiny.first, "b": tiny.second})
    assert hooks_of(tiny) == 0


def test_hooks_go_when_the_forward_pass_fails(tiny):
    with pytest.raises(RuntimeError):
        inspection.activations(tiny, torch.randn(1, 7, 4, 4), {"a": tiny.first})
    assert hooks_of(tiny) == 0


def test_sides_of_resnet18_at_224_are_those_of_the_paper():
    model = resnet18()
    names = ["layer1", "layer2", "layer3", "layer4"]
    chosen = {name: stages(model)[name] for name in names}
    maps = inspection.activations(model, torch.zeros(1, 3, 224, 224), chosen)
    assert [tuple(maps[n].shape[1:]) for n in names] == [
        (64, 56, 56),
        (128, 28, 28),
        (256, 14, 14),
        (512, 7, 7),
    ]


# --- pooled, stage_features


def test_pooled_averages_over_positions():
    maps = torch.arange(8.0).view(1, 2, 2, 2)
    assert inspection.pooled(maps).tolist() == [[1.5, 5.5]]
    tokens = torch.tensor([[[1.0, 10.0], [3.0, 30.0]]])  # two tokens of two channels
    assert inspection.pooled(tokens).tolist() == [[2.0, 20.0]]


def test_pooled_refuses_a_matrix():
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        inspection.pooled(torch.zeros(3, 4))


def test_stage_features_by_hand_and_whatever_the_batch_size(tiny):
    images = image_set(5)
    found = inspection.stage_features(tiny, images, batch_size=2)
    assert list(found) == ["first", "second"]
    with torch.no_grad():
        first = tiny.first(normalize(images.images))
        second = tiny.second(torch.relu(first))
    torch.testing.assert_close(found["first"], first.mean(dim=(2, 3)))
    torch.testing.assert_close(found["second"], second.mean(dim=(2, 3)))
    assert hooks_of(tiny) == 0


# --- cka


def test_cka_ignores_rotation_scale_and_shift():
    torch.manual_seed(0)
    x = torch.randn(60, 8)
    rotation = torch.linalg.qr(torch.randn(8, 8)).Q
    assert inspection.cka(x, 3.7 * x @ rotation + 5) == pytest.approx(1.0, abs=1e-6)


def test_cka_does_see_an_uneven_stretch():
    torch.manual_seed(0)
    x = torch.randn(200, 8)
    stretch = torch.tensor([100.0] + [1.0] * 7)
    assert inspection.cka(x, x * stretch) < 0.6


def test_cka_of_independent_features_is_small():
    torch.manual_seed(0)
    assert inspection.cka(torch.randn(4000, 6), torch.randn(4000, 9)) < 0.02


def test_cka_equals_the_gram_matrix_form():
    torch.manual_seed(1)
    x, y = torch.randn(30, 5).double(), torch.randn(30, 7).double()
    centre = torch.eye(30).double() - 1 / 30
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    by_gram = (k * m).sum() / (k.norm() * m.norm())
    assert inspection.cka(x, y) == pytest.approx(by_gram.item(), rel=1e-9)


def test_cka_survives_a_large_offset():
    torch.manual_seed(0)
    x = torch.randn(50, 4).double()
    assert inspection.cka(x + 1e6, x) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("shapes", [((5, 2), (6, 2)), ((5, 2), (5,))])
def test_cka_refuses_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="expected"):
        inspection.cka(*(torch.ones(shape) for shape in shapes))


# --- weight_drift, batchnorm_drift


def test_weight_drift_is_zero_at_rest_and_known_after_a_known_step(tiny):
    before = snapshot(tiny)
    assert inspection.weight_drift(tiny, before) == {"first": 0.0, "second": 0.0}
    with torch.no_grad():
        tiny.first.weight.mul_(1.25)
        tiny.head.weight.add_(1)  # the head is no stage
    drift = inspection.weight_drift(tiny, before)
    assert drift["first"] == pytest.approx(0.25, rel=1e-5)
    assert drift["second"] == 0.0


def test_weight_drift_pools_the_tensors_of_a_stage(tiny):
    with torch.no_grad():
        tiny.second.weight.zero_()
        tiny.second.weight[0, 0, 0, 0] = 3.0
        tiny.second.bias.copy_(torch.tensor([4.0, 0, 0, 0]))
    before = snapshot(tiny)  # norm 5 in all
    with torch.no_grad():
        tiny.second.bias[1] = 1.0
    assert inspection.weight_drift(tiny, before)["second"] == pytest.approx(1 / 5)


def test_batchnorm_drift_counts_in_old_standard_deviations():
    model = resnet18()
    model.bn1.running_var[:] = 4.0
    before = snapshot(model)
    assert set(batchnorm_drift(model, before).values()) == {0.0}
    model.bn1.running_mean[: len(model.bn1.running_mean) // 2] += 6.0  # half the channels, by 3 σ
    drift = batchnorm_drift(model, before)
    assert drift.pop("bn1") == pytest.approx(1.5, rel=1e-4)
    assert set(drift.values()) == {0.0}


def test_without_batchnorm_there_is_no_batchnorm_drift(tiny):
    assert batchnorm_drift(tiny, snapshot(tiny)) == {}
