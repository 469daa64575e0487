"""Low-rank adapters against the matrices they stand for, written out with NumPy-like algebra."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from course_utils.adapters import LowRank, adapt, highest_rank
from course_utils.surgery import changed, find_head, replace_head, snapshot

LAYERS = {
    "linear": (lambda: nn.Linear(7, 5), (3, 7)),
    "linear on rows": (lambda: nn.Linear(7, 5, bias=False), (2, 4, 7)),
    "1x1": (lambda: nn.Conv2d(6, 5, 1), (2, 6, 4, 4)),
    "3x3, stride 2": (lambda: nn.Conv2d(6, 5, 3, stride=2, padding=1), (2, 6, 8, 8)),
    "dilated": (lambda: nn.Conv2d(6, 5, 3, padding="same", dilation=2), (2, 6, 8, 8)),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def made(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    return make().double(), torch.randn(shape, dtype=torch.float64)


def moved(adapter: LowRank) -> LowRank:
    """As after some training: up is no longer zero."""
    nn.init.normal_(adapter.up.weight)
    return adapter


@each_layer
def test_a_fresh_adapter_changes_nothing(name):
    layer, x = made(name)
    before = layer(x)
    assert torch.equal(LowRank(layer, 2)(x), before)


@each_layer
def test_it_computes_the_layer_with_the_corrected_weight(name):
    layer, x = made(name)
    adapter = moved(LowRank(copy.deepcopy(layer), 2, alpha=3))
    down, up = (m.weight.detach().flatten(1) for m in (adapter.down, adapter.up))
    with torch.no_grad():  # the oracle: the same layer with W + 3/2 · B A in place of W
        layer.weight += 1.5 * (up @ down).view_as(layer.weight)
    torch.testing.assert_close(adapter(x), layer(x))


@each_layer
def test_only_the_detour_learns(name):
    layer, x = made(name)
    adapter = moved(LowRank(layer, 2))
    adapter(x).square().sum().backward()
    learns = {n for n, p in adapter.named_parameters() if p.grad is not None}
    assert learns == {"down.weight", "up.weight"}
    assert (
        torch.linalg.matrix_rank(adapter.up.weight.flatten(1) @ adapter.down.weight.flatten(1)) == 2
    )


def test_at_first_only_up_gets_a_gradient_that_is_not_zero():
    layer, x = made("linear")
    adapter = LowRank(layer, 2)
    adapter(x).square().sum().backward()
    assert adapter.up.weight.grad.abs().sum() > 0
    assert adapter.down.weight.grad.abs().sum() == 0


def test_a_full_rank_adapter_reaches_any_weight():
    layer, x = made("linear")
    target = nn.Linear(7, 5).double()
    with torch.no_grad():
        target.bias.copy_(layer.bias)
        adapter = LowRank(layer, highest_rank(layer))
        u, s, v = torch.linalg.svd(target.weight - layer.weight, full_matrices=False)
        adapter.up.weight.copy_(u * s)
        adapter.down.weight.copy_(v)
    torch.testing.assert_close(adapter(x), target(x))


@pytest.mark.parametrize("rank", [0, -1, 6, 1.0, True + 5])
def test_a_rank_out_of_range_is_refused(rank):
    with pytest.raises(ValueError, match=r"whole number from 1 to 5"):
        LowRank(nn.Linear(7, 5), rank)


def test_other_layers_are_refused():
    with pytest.raises(TypeError, match="BatchNorm2d"):
        LowRank(nn.BatchNorm2d(4), 1)
    with pytest.raises(TypeError, match="LowRank"):
        LowRank(LowRank(nn.Linear(3, 3), 1), 1)
    with pytest.raises(ValueError, match="6 groups"):
        LowRank(nn.Conv2d(6, 6, 3, groups=6), 1)


FAMILIES = ["mobilenet_v2", "resnet18", "convnext_tiny", "vit_b_16", "efficientnet_b0", "vgg11"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_whole_network_keeps_its_answers_and_learns_only_in_adapters_and_head(family):
    torch.manual_seed(0)
    with torch.device("meta"):  # structure is enough for the names; no 500 MB of VGG
        model = get_model(family, weights=None)
        head = find_head(model).module
        places = adapt(model, 4)
    assert places and find_head(model).module is head
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}
    detours = {f"{place}.{way}.weight" for place in places for way in ("down", "up")}
    assert trainable == detours | {
        f"{find_head(model).name}.{n}" for n, _ in head.named_parameters()
    }


@pytest.mark.parametrize(
    "family, size", [("mobilenet_v2", 64), ("resnet18", 64), ("vit_b_16", 224)]
)
def test_a_network_with_fresh_adapters_gives_what_it_gave(family, size):
    torch.manual_seed(0)
    model = get_model(family, weights=None).eval()
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        before = model(x)
        adapt(model, 2)
        assert torch.equal(model(x), before)


def test_training_moves_nothing_but_adapters_and_head():
    torch.manual_seed(0)
    model = get_model("mobilenet_v2", weights=None)
    replace_head(model, 3)
    parts = ["features.17", "features.18"]
    places = adapt(model, 2, parts=parts)
    assert all(place.startswith(tuple(parts)) for place in places)
    before = snapshot(model.eval())
    x, y = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    learned = {n for place in places for n in (f"{place}.down.weight", f"{place}.up.weight")}
    assert set(changed(model, before)) == learned | {"classifier.1.weight", "classifier.1.bias"}


def test_adapters_are_not_stacked_and_a_part_without_room_says_so():
    model = get_model("mobilenet_v2", weights=None)
    with pytest.raises(ValueError, match="rank 4: choose a smaller rank or another part"):
        adapt(model, 4, parts=["features.0.1"])
    assert all(p.requires_grad for p in model.parameters()), "nothing may change before it fails"
    adapt(model, 4)
    with pytest.raises(ValueError, match="holds low-rank adapters already"):
        adapt(model, 4)
