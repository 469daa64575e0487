"""The cached loop against the plain one, to the last bit; and every reason not to cache."""

import copy
import importlib.util
import json
import re
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.vision_transformer import VisionTransformer

from course_utils.images import ImageSet
from course_utils.prefix import PrefixSet, cache_prefix, fit_cached
from course_utils.surgery import (
    batchnorm_layers,
    changed,
    freeze_backbone,
    param_groups,
    replace_head,
    set_train_mode,
    snapshot,
    stages,
    unfreeze_from,
)
from course_utils.training import evaluate, fit
from tools.builder.lesson import ROOT

CLASSES = ("a", "b", "c")
SIDE = 64


def images(n: int, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(n) % 3, CLASSES)


# 33 = 2 * 16 + 1: in every epoch another image is alone in the last batch, for which the kernels of
# a CPU round in another way. 10 validation images: fewer than a batch.
TRAIN, VAL = images(33), images(10, 1)


def convnext() -> nn.Module:
    blocks = [CNBlockConfig(16, 32, 1), CNBlockConfig(32, 64, 1), CNBlockConfig(64, None, 2)]
    return ConvNeXt(blocks, stochastic_depth_prob=0.3, num_classes=3)


def vit() -> nn.Module:
    """Dropout in the blocks but not, as everywhere else, on what enters the first of them."""
    model = VisionTransformer(SIDE, 16, 3, 4, 32, 64, dropout=0.1, num_classes=3)
    model.encoder.dropout.p = 0.0
    return model


MADE_HERE = {"convnext": convnext, "vit": vit}


def network(name: str, stage: str | int | None = None) -> nn.Module:
    """Random weights, and BatchNorm statistics that are not those of a new layer."""
    torch.manual_seed(0)
    model = MADE_HERE[name]() if name in MADE_HERE else get_model(name, weights=None)
    replace_head(model, 3)
    for norm in batchnorm_layers(model).values():
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    if stage is None:
        freeze_backbone(model)
    else:
        unfreeze_from(model, list(stages(model))[stage] if isinstance(stage, int) else stage)
    return model


def both(model: nn.Module, **settings) -> tuple[nn.Module, nn.Module]:
    """The model trained by fit and a copy of it trained by fit_cached."""
    trained = []
    for loop in (fit, fit_cached):
        mine = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(param_groups(mine, head_lr=1e-2, backbone_lr=1e-3))
        history = loop(
            mine,
            TRAIN,
            VAL,
            optimizer=optimizer,
            epochs=3,
            batch_size=16,
            seed=4,
            restore_best=False,
            **settings,
        )
        trained.append((mine, history))
    (plain, by_hand), (cached, by_cache) = trained
    assert by_hand.train_loss == by_cache.train_loss and by_hand.val_loss == by_cache.val_loss
    return plain, cached


def largest_difference(one: nn.Module, other: nn.Module) -> float:
    other = other.state_dict()
    return max((v - other[n]).abs().max().item() for n, v in one.state_dict().items())


def batchnorm_in_eval(model: nn.Module) -> None:
    set_train_mode(model)
    for norm in batchnorm_layers(model).values():
        norm.eval()


CASES = [
    *[
        ("mobilenet_v2", -n, mode)
        for n in (1, 3, 6)
        for mode in (set_train_mode, batchnorm_in_eval)
    ],
    ("mobilenet_v2", None, set_train_mode),
    ("mobilenet_v3_small", -3, set_train_mode),
    ("resnet18", "layer4", set_train_mode),
    ("convnext", "features.5", set_train_mode),
    ("vit", "encoder.layers.encoder_layer_2", set_train_mode),
]


@pytest.mark.parametrize("name, stage, set_mode", CASES)
def test_the_same_weights_to_the_last_bit(name, stage, set_mode, capsys):
    """With `set_train_mode` BatchNorm of the trainable stages is in training mode, and dropout and
    stochastic depth of the suffix are on."""
    model = network(name, stage)
    plain, cached = both(model, set_mode=set_mode)
    assert "No cache" not in capsys.readouterr().out
    assert largest_difference(plain, cached) == 0.0
    assert largest_difference(plain, model) > 0.0
    assert not plain.training and not any(module.training for module in cached.modules())


def test_the_front_runs_once_and_then_only_for_a_smaller_last_batch():
    model = network("mobilenet_v2", -1)
    seen = []
    model.features[0].register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    suffix, train, val = cache_prefix(model, TRAIN, VAL, batch_size=16)
    once, full = len(seen), sum(seen)
    assert full < 3 * (len(TRAIN) + len(VAL))
    optimizer = torch.optim.SGD(param_groups(model, head_lr=0.1, backbone_lr=0.1))
    fit(suffix, train, val, optimizer=optimizer, epochs=4, batch_size=16)
    assert seen[once:] == [1] * 4


def test_any_batch_size_and_order_gives_what_the_prefix_gives():
    """Sizes that were not kept run through the prefix: right, with nothing saved."""
    model = network("mobilenet_v2", -2)
    suffix, train, val = cache_prefix(model, TRAIN, VAL, batch_size=16)
    for size in (1, 5, 16, 33, 50):
        plain, kept = (
            evaluate(m, d, batch_size=size) for m, d in ((model, TRAIN), (suffix, train))
        )
        assert torch.equal(plain.logits, kept.logits) and torch.equal(plain.labels, kept.labels)
    assert torch.equal(evaluate(model, VAL).logits, evaluate(suffix, val).logits)


def test_a_layer_that_works_in_place_does_not_spoil_what_is_kept():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3)
            self.second = nn.Sequential(nn.SiLU(inplace=True), nn.Conv2d(4, 4, 3))
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.second(self.first(x)).mean((2, 3)))

    model = InPlace()
    unfreeze_from(model, "second")
    suffix, train, _ = cache_prefix(model, TRAIN, VAL, batch_size=16)
    once, again = (evaluate(suffix, train, batch_size=16).logits for _ in range(2))
    assert torch.equal(once, again)


def test_the_layout_in_memory_is_kept_too():
    """Kernels choose by it: also where the images do not lie one after another."""

    class Turned(nn.Conv2d):
        def forward(self, x):
            return super().forward(x).transpose(0, 1).contiguous().transpose(0, 1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.turned, self.conv, self.head = Turned(3, 4, 3), nn.Conv2d(4, 8, 3), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.conv(self.turned(x)).mean((2, 3)))

    model = Net()
    unfreeze_from(model, "conv")
    suffix, train, _ = cache_prefix(model, TRAIN, VAL, batch_size=16)
    for (x, _), (kept, _) in zip(TRAIN.batches(16), train.batches(16), strict=True):
        expected = model.turned(x.contiguous(memory_format=torch.channels_last))
        assert torch.equal(kept, expected) and kept.stride() == expected.stride()


def test_caching_leaves_the_model_as_it_was():
    model = network("mobilenet_v2", -3)
    model.features[2].train(), model.features[17].eval()
    before = snapshot(model)
    modes = [module.training for module in model.modules()]
    flags = [p.requires_grad for p in model.parameters()]
    hooks = [len(module._forward_hooks) for module in model.modules()]
    draw = torch.random.get_rng_state()
    cached = cache_prefix(model, TRAIN, VAL, batch_size=16)
    assert isinstance(cached.train, PrefixSet) and len(cached.train) == len(TRAIN)
    assert changed(model, before) == []
    assert modes == [module.training for module in model.modules()]
    assert flags == [p.requires_grad for p in model.parameters()]
    assert hooks == [len(module._forward_hooks) for module in model.modules()]
    assert torch.equal(draw, torch.random.get_rng_state())


@dataclass(frozen=True, eq=False)
class Flipped(ImageSet):
    """Flips every second image on average: random augmentation."""

    transform: str = "flip"

    def batch(self, index, *, device=None):
        inputs, labels = super().batch(index, device=device)
        flip = torch.rand(len(inputs)) < 0.5
        return torch.where(flip.view(-1, 1, 1, 1), inputs.flip(3), inputs), labels


class Shuffling(ImageSet):
    """Nothing says that its images are the same every time."""


class Noisy(nn.Module):
    """Random by no layer that is known: noise of its own, also in evaluation."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x + torch.rand(x.shape))


def made(name, stage, change=lambda model: None):
    model = network(name, stage)
    change(model)
    return model


def unfreeze_a_bias(model):
    model.features[0][1].bias.requires_grad_(True)


def noise_in_front(model):
    model.features[0][0] = nn.Sequential(Noisy().requires_grad_(False), model.features[0][0])


def drop_at_the_entrance(model):
    model.encoder.dropout.p = 0.1


FLIPPED = Flipped(TRAIN.images, TRAIN.labels, CLASSES)
PLAIN_TRAIN = {"set_mode": nn.Module.train}
REASONS = {
    "come from a Flipped, which may change them": (made("mobilenet_v2", -1), FLIPPED, {}),
    "come from a Shuffling, which may change them": (
        made("mobilenet_v2", -1),
        Shuffling(TRAIN.images, TRAIN.labels, CLASSES),
        {},
    ),
    "there are no training images": (made("mobilenet_v2", -1), TRAIN[:0], {}),
    r"features.0.1 \(one of 51\) lies in the prefix and is BatchNorm in training mode": (
        made("mobilenet_v2", -1),
        TRAIN,
        PLAIN_TRAIN,
    ),
    "classifier.0 lies in the prefix and is an active dropout": (
        made("alexnet", "classifier.4"),
        TRAIN,
        {},
    ),
    r"features.3.0.stochastic_depth lies in the prefix and is an active dropout": (
        made("convnext", "features.5"),
        TRAIN,
        PLAIN_TRAIN,
    ),
    "features.0.1.bias lies in the prefix and is trainable": (
        made("mobilenet_v2", -1, unfreeze_a_bias),
        TRAIN,
        {"stage": "features.18"},
    ),
    r"features.0.0.weight \(one of 144\) lies in the prefix": (
        made("mobilenet_v2", 0),
        TRAIN,
        {"stage": "features.17"},
    ),
    r"class_token \(one of 4\) lies in the prefix and is trainable": (
        made("vit", 0),
        TRAIN,
        {"stage": "encoder.layers.encoder_layer_0"},
    ),
    "nothing lies in front of features.0": (made("mobilenet_v2", 0), TRAIN, {}),
    "its output for an image changes": (made("mobilenet_v2", -1, noise_in_front), TRAIN, {}),
    r"its output for 43 images would take 0\.2 MB, and limit_mb is 0\.1": (
        made("mobilenet_v2", -1),
        TRAIN,
        {"limit_mb": 0.1},
    ),
}


@pytest.mark.parametrize("reason", REASONS)
def test_why_not(reason, capsys):
    model, train, settings = REASONS[reason]
    model = copy.deepcopy(model)
    modes = [module.training for module in model.modules()]
    before = snapshot(model)
    cached = cache_prefix(model, train, VAL, batch_size=16, **settings)
    said = capsys.readouterr().out
    assert re.fullmatch(rf"No cache, so every batch runs through .*{reason}.*\.\n", said), said
    assert cached.model is model and cached.train is train and cached.val is VAL
    assert modes == [module.training for module in model.modules()]
    assert changed(model, before) == []


def test_a_dropout_directly_in_front_goes_with_the_suffix():
    """As a head's dropout does; and ViT's, in front of its first block."""
    model = made("vit", "encoder.layers.encoder_layer_0", drop_at_the_entrance)
    plain, cached = both(model)
    assert isinstance(cache_prefix(model, TRAIN, VAL).train, PrefixSet)
    assert largest_difference(plain, cached) == 0.0


def test_without_a_cache_fit_cached_is_fit():
    model = network("mobilenet_v2", -1)
    plain, cached = both(model, set_mode=nn.Module.train)
    assert largest_difference(plain, cached) == 0.0


def test_bad_input_is_an_error_not_a_notice():
    model = network("mobilenet_v2", -1)
    with pytest.raises(ValueError, match="no stage 'layer4'; MobileNetV2 has features.0, "):
        cache_prefix(model, TRAIN, VAL, stage="layer4")
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter is frozen"):
        cache_prefix(model, TRAIN, VAL)


def test_the_benchmark_measures_both_loops(tmp_path):
    spec = importlib.util.spec_from_file_location("bench", ROOT / "benchmarks" / "prefix.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    out = tmp_path / "results.json"
    small = ["--images", "20", "--side", "64", "--batch-size", "8", "--epochs", "1"]
    assert bench.main([*small, "--output", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["images"] == 20 and result["made_by"] == "python3 course.py bench prefix"
    for row in result["trainable_blocks"].values():
        assert row["max_abs_difference"] == 0.0
        assert row["ratio"] == pytest.approx(row["plain_seconds"] / row["cached_seconds"], rel=0.1)


class Rectified(nn.Module):
    """Changes its input in training mode alone, as an auxiliary branch might."""

    def forward(self, inputs):
        return inputs.relu() if self.training else inputs


def test_validation_runs_through_the_prefix_in_eval_mode():
    histories = []
    for train_it in (fit, fit_cached):
        torch.manual_seed(0)
        model = ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 1)], num_classes=3)
        model.features[0].append(Rectified())
        freeze_backbone(model)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        settings = {"optimizer": optimizer, "batch_size": 16, "set_mode": nn.Module.train}
        histories.append(train_it(model, TRAIN, VAL, epochs=2, **settings))
    assert histories[0].val_loss == histories[1].val_loss
    assert histories[0].train_loss == histories[1].train_loss
