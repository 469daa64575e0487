"""Two halves that are the model's own modules and together the model."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from course_utils.split import CannotSplit, first_trainable, split_at
from course_utils.surgery import find_head, freeze_backbone, modes_kept, stages, unfreeze_from

NAMES = [
    *("mobilenet_v2", "mobilenet_v3_small", "resnet18", "convnext_tiny", "vit_b_16", "swin_t"),
    *("efficientnet_b0", "densenet121", "regnet_y_400mf", "shufflenet_v2_x0_5", "vgg11"),
    *("squeezenet1_1", "mnasnet0_5"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_halves_are_the_whole(name):
    torch.manual_seed(0)
    side = 224 if name == "vit_b_16" else 64
    model, x = get_model(name, weights=None).eval(), torch.randn(2, 3, side, side)
    found = list(stages(model))
    with torch.no_grad():
        expected = model(x)
        for stage in (found[1], found[len(found) // 2], found[-1], find_head(model).name):
            prefix, suffix = split_at(model, stage)
            assert torch.equal(suffix(prefix(x)), expected), stage
    assert find_head(suffix).module is find_head(model).module
    own = {id(p) for p in model.parameters()}
    assert {id(p) for half in (prefix, suffix) for p in half.parameters()} == own


def test_the_suffix_keeps_names_stages_and_dropout():
    model = get_model("mobilenet_v2", weights=None)
    prefix, suffix = split_at(model, "features.16")
    assert list(stages(suffix)) == ["features.16", "features.17", "features.18"]
    kept = list(prefix.features.children())
    assert len(kept) == 16 and all(model.features[i] is block for i, block in enumerate(kept))
    _, head = split_at(model, "classifier.1")
    assert [type(m) for m in head.classifier.children()] == [nn.Dropout, nn.Linear]


def test_first_trainable():
    model = get_model("resnet18", weights=None)
    freeze_backbone(model)
    assert first_trainable(model) == "fc"
    unfreeze_from(model, "layer3")
    assert first_trainable(model) == "layer3"
    with pytest.raises(ValueError, match="every parameter is frozen"):
        first_trainable(model.requires_grad_(False))


class Odd(nn.Module):
    """Two stages and a head, put together in a way that is given."""

    def __init__(self, steps):
        super().__init__()
        self.one, self.two, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.steps = steps

    def forward(self, x):
        return self.steps(self, x)


def residual(model, x):
    """A shortcut around the cut."""
    before = model.one(x)
    return model.head(model.two(before.relu()) + before)


ODD = {
    "nothing lies in front of two": lambda m, x: m.head(m.two(x)),
    "calls two 2 times": lambda m, x: m.head(m.two(m.two(m.one(x)))),
    "more than one value crosses the cut: one": residual,
    "takes other steps in training": lambda m, x: m.head(
        m.two(m.one(x).relu() if m.training else m.one(x))
    ),
    "cannot be taken apart": lambda m, x: m.head(m.two(m.one(x) if x.sum() > 0 else x)),
}


@pytest.mark.parametrize("reason", ODD)
def test_what_cannot_be_cut(reason):
    model = Odd(ODD[reason]).eval()
    with pytest.raises(CannotSplit, match=reason):
        split_at(model, "two")
    assert not model.training


def test_modes_are_kept_when_something_fails():
    model = get_model("mobilenet_v2", weights=None).eval()
    model.features[3].train()
    before = [module.training for module in model.modules()]
    with pytest.raises(KeyError), modes_kept(model):
        model.train()
        raise KeyError
    assert before == [module.training for module in model.modules()]
