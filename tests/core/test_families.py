"""What the README promises: one small network of each torchvision family goes through the course.

The table holds what differs between them. Pictures are as small as each takes, weights random.
"""

from contextlib import contextmanager

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import get_model, get_model_builder, list_models

from course_utils.anatomy import auxiliary_heads, find_head, stages
from course_utils.features import cached_head, embed
from course_utils.images import ImageSet
from course_utils.surgery import (
    changed,
    count,
    drop_auxiliary_heads,
    freeze_backbone,
    loose_parameters,
    param_groups,
    replace_head,
    snapshot,
    unfreeze,
    unfreeze_from,
)
from course_utils.training import evaluate, fit, lr_find

# name: side of the pictures in pixels, path and kind of the head, width of the features
FAMILIES = {
    "alexnet": (64, "classifier.6", nn.Linear, 4096),
    "convnext_tiny": (32, "classifier.2", nn.Linear, 768),
    "densenet121": (32, "classifier", nn.Linear, 1024),
    "efficientnet_b0": (32, "classifier.1", nn.Linear, 1280),
    "efficientnet_v2_s": (32, "classifier.1", nn.Linear, 1280),
    "googlenet": (32, "fc", nn.Linear, 1024),
    "inception_v3": (75, "fc", nn.Linear, 2048),
    "maxvit_t": (224, "classifier.5", nn.Linear, 512),
    "mnasnet0_5": (32, "classifier.1", nn.Linear, 1280),
    "mobilenet_v2": (32, "classifier.1", nn.Linear, 1280),
    "mobilenet_v3_small": (32, "classifier.3", nn.Linear, 1024),
    "regnet_y_400mf": (32, "fc", nn.Linear, 440),
    "resnet18": (32, "fc", nn.Linear, 512),
    "resnext50_32x4d": (32, "fc", nn.Linear, 2048),
    "shufflenet_v2_x0_5": (32, "fc", nn.Linear, 1024),
    "squeezenet1_1": (32, "classifier.1", nn.Conv2d, 512),
    "swin_t": (32, "head", nn.Linear, 768),
    "swin_v2_t": (32, "head", nn.Linear, 768),
    "vgg11": (32, "classifier.6", nn.Linear, 4096),
    "vit_b_16": (32, "heads.head", nn.Linear, 768),  # 224 with its weights, less if built so
    "wide_resnet50_2": (32, "fc", nn.Linear, 2048),
}
AUXILIARY = {"googlenet": ["aux1", "aux2"], "inception_v3": ["AuxLogits"]}
LOOSE = {"vit_b_16"}  # a class token and a position embedding hang on no layer
each_family = pytest.mark.parametrize("name", FAMILIES)


def build(name: str, device: str = "cpu") -> nn.Module:
    options = {"init_weights": False} if name in (*AUXILIARY, "vgg11") else {}
    options |= {"image_size": 32} if name == "vit_b_16" else {}
    # RegNet computes its widths with tensors, which the meta device cannot do.
    with torch.device("cpu" if name.startswith("regnet") else device):
        torch.manual_seed(0)
        return get_model(name, weights=None, **options)


@contextmanager
def forward_order(model: nn.Module):
    """A list that takes the paths of the stages in the order in which they run."""
    ran = []
    hooks = [
        stage.register_forward_hook(lambda *_, path=path: ran.append(path))
        for path, stage in stages(model).items()
    ]
    yield ran
    for hook in hooks:
        hook.remove()


def photos(side: int) -> ImageSet:
    pixels = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    return ImageSet(pixels, torch.tensor([0, 1]), ("a", "b", "c"))


def test_no_family_is_missing():
    modules = {
        get_model_builder(name).__module__ for name in list_models(module=torchvision.models)
    }
    assert {get_model_builder(name).__module__ for name in FAMILIES} == modules


@each_family
def test_head_and_stages_are_described_truly(name):
    model = build(name, "meta")
    head, found = find_head(model), stages(model)
    assert list(auxiliary_heads(model)) == AUXILIARY.get(name, [])
    assert model.get_submodule(head.name) is head.module
    assert getattr(head.parent, head.attribute) is head.module
    assert head.module.weight.shape[:2] == (head.out_features, head.in_features)
    assert head.out_features == 1000
    assert all(model.get_submodule(path) is stage for path, stage in found.items())

    placed = [id(p) for part in [*found.values(), head.module] for p in part.parameters()]
    loose = {id(p) for p in loose_parameters(model)}
    assert len(placed) == len(set(placed)) and not loose & set(placed)
    assert loose | set(placed) == {id(p) for p in model.parameters()}
    assert bool(loose) == (name in LOOSE or name in AUXILIARY)


@each_family
def test_a_family_goes_through_the_course(name):
    side, path, kind, width = FAMILIES[name]
    model, data = build(name), photos(side)
    replace_head(model, 3)
    freeze_backbone(model)
    head = find_head(model)
    learns = {n for n, p in model.named_parameters() if p.requires_grad}
    assert (head.name, type(head.module), head.in_features) == (path, kind, width)
    assert learns == {f"{path}.{n}" for n, _ in head.module.named_parameters()}

    with forward_order(model) as ran:
        features = embed(model, data)
    assert ran == list(stages(model))
    logits = evaluate(model, data).logits
    assert features.features.shape == (2, width) and logits.shape == (2, 3)
    if kind is nn.Linear:  # the layer that was found does give the logits
        again = cached_head(model).eval()(features.features)
        torch.testing.assert_close(again.detach(), logits)
    else:
        with pytest.raises(ValueError, match="Conv2d; cached features need"):
            cached_head(model)
        nn.init.ones_(head.module.bias)  # its ReLU cuts negative logits off
        nn.init.zeros_(head.module.weight)
        assert torch.equal(evaluate(model, data).logits, torch.ones(2, 3))
        nn.init.normal_(head.module.weight, std=0.01)

    optimizer = torch.optim.SGD(head.module.parameters())
    rates, losses = lr_find(model, data, optimizer, steps=2, batch_size=2)
    assert len(rates) == len(losses) == 2

    unfreeze(model)
    groups = param_groups(model, head_lr=1e-2, backbone_lr=1e-2, decay=0.9)
    assert sum(len(group["params"]) for group in groups) == count(model).tensors
    first, before = next(iter(stages(model))), snapshot(model)
    history = fit(model, data, None, epochs=1, optimizer=torch.optim.SGD(groups), batch_size=2)
    moved = changed(model, before)
    assert history.stopped == "finished" and torch.isfinite(torch.tensor(history.train_loss))
    assert any(n.startswith(path) for n in moved) and any(n.startswith(first) for n in moved)
    unfreeze_from(model, list(stages(model))[-1])
    assert count(model).trainable_tensors < count(model).tensors


@pytest.mark.parametrize("name", AUXILIARY)
def test_with_auxiliary_heads_nothing_trains_and_the_way_out_is_told(name):
    model, data = build(name), photos(75)
    model.fc = nn.Linear(model.fc.in_features, 3)  # by hand: the auxiliary heads stay
    freeze_backbone(model)
    before, optimizer = snapshot(model), torch.optim.SGD(model.fc.parameters())
    assert embed(model, data).features.shape == (2, model.fc.in_features)
    assert evaluate(model, data).logits.shape == (2, 3)
    for train in (
        lambda: fit(model, data, None, epochs=1, optimizer=optimizer),
        lambda: lr_find(model, data, optimizer, steps=2),
    ):
        with pytest.raises(ValueError, match=f"{AUXILIARY[name][0]}.*drop_auxiliary_heads"):
            train()
    assert not changed(model, before)
    drop_auxiliary_heads(model)
    assert fit(model, data, None, epochs=1, optimizer=optimizer).stopped == "finished"
