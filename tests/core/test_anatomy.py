"""Heads and stages, of torchvision's networks and of those a learner makes of them; the cut."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model, list_models

from course_utils.anatomy import CannotSplit, find_head, modes_kept, split_at, stages
from course_utils.prefix import first_trainable
from course_utils.surgery import freeze_backbone, param_groups, set_train_mode, unfreeze_from

META = torch.device("meta")


def on_meta(name: str, **options) -> nn.Module:
    """Structure is enough for names, and costs nothing."""
    with META:
        return get_model(name, weights=None, **options)


def mlp(width: int) -> nn.Sequential:
    with META:
        return nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 5))


# ---- the head ---------------------------------------------------------------------------------


def put(model: nn.Module, path: str, new: nn.Module) -> nn.Module:
    model.set_submodule(path, new)
    return model


OWN_HEADS = {  # network: what the learner replaces, and the width of the features
    "resnet18": ("fc", 512),
    "mobilenet_v2": ("classifier", 1280),
    "mobilenet_v3_small": ("classifier", 576),
    "efficientnet_b0": ("classifier.1", 1280),
    "densenet121": ("classifier", 1024),
    "vgg11": ("classifier", 25088),
    "alexnet": ("classifier.6", 4096),
    "convnext_tiny": ("classifier.2", 768),
    "vit_b_16": ("heads", 768),
    "swin_t": ("head", 768),
    "maxvit_t": ("classifier.5", 512),
}


@pytest.mark.parametrize("name", OWN_HEADS)
def test_a_head_of_two_layers_is_the_head_as_a_whole(name):
    path, width = OWN_HEADS[name]
    model = put(on_meta(name), path, mlp(width))
    head = find_head(model)
    assert (head.name, head.in_features, head.out_features) == (path, width, 5)
    freeze_backbone(model)
    learns = {n for n, p in model.named_parameters() if p.requires_grad}
    assert learns == {f"{path}.{n}" for n in ("0.weight", "0.bias", "2.weight", "2.bias")}
    assert not any(n.startswith(f"{path}.") for n in stages(model))
    groups = param_groups(model.requires_grad_(True), head_lr=1e-3, backbone_lr=1e-5)
    assert len(groups[0]["params"]) == 4 and groups[0]["lr"] == 1e-3


def test_a_head_of_a_class_of_its_own_or_nested_is_found_as_a_whole():
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.wide = nn.BatchNorm1d(512), nn.Linear(512, 64)
            self.last = nn.Linear(64, 5)

    nested = nn.Sequential(nn.Sequential(nn.Linear(512, 64), nn.ReLU()), nn.Linear(64, 5))
    for own in (Classifier(), nested):
        model = put(on_meta("resnet18"), "fc", own)
        assert find_head(model).module is own and find_head(model).in_features == 512


SEVERAL = ("alexnet", "convnext", "maxvit", "mobilenet_v3", "vgg")


@pytest.mark.parametrize("name", [n for n in list_models() if n.startswith(SEVERAL)])
def test_of_torchvisions_own_classifiers_the_last_layer_alone_is_the_head(name):
    model = on_meta(name)
    last = [n for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    assert find_head(model).name == last
    model.get_submodule("classifier")[-1] = nn.Linear(find_head(model).in_features, 5)
    assert find_head(model).name == last


def test_new_layers_among_pretrained_ones_are_refused_with_the_way_out():
    model = on_meta("vgg11")
    model.classifier = nn.Sequential(*model.classifier[:-1], *mlp(4096))
    with pytest.raises(
        ValueError, match=r"pretrained layers of VGG and new ones.*classifier\[-1\]"
    ):
        find_head(model)
    model = on_meta("vgg11")
    model.classifier = nn.Sequential(*model.classifier[:-1], nn.Dropout(), model.classifier[-1])
    assert find_head(model).name == "classifier.7"  # nothing new but a dropout


def test_a_network_in_one_sequential_ends_in_one_layer():
    for model in (mlp(4), nn.DataParallel(mlp(4)), nn.Sequential(nn.Flatten(), mlp(4))):
        assert find_head(model).module.out_features == 5
        assert isinstance(find_head(model).module, nn.Linear)


HEADLESS = [
    *("alexnet", "vgg11", "resnet18", "mobilenet_v2", "mobilenet_v3_small", "densenet121"),
    *("efficientnet_b0", "convnext_tiny", "vit_b_16", "swin_t", "maxvit_t", "squeezenet1_1"),
    *("shufflenet_v2_x0_5", "mnasnet0_5", "googlenet", "inception_v3"),
]


@pytest.mark.parametrize("name", HEADLESS)
@pytest.mark.parametrize("gone", [nn.Identity, nn.Sequential, nn.Flatten])
def test_a_backbone_without_a_head_says_so(name, gone):
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = on_meta(name, **options)
    put(model, [n for n, _ in model.named_children()][-1], gone())
    with pytest.raises(ValueError, match="has no head: its last layer.*nn.Linear"):
        find_head(model)


def test_features_alone_and_classifiers_without_their_last_layer_have_no_head():
    vgg, squeeze, mobile = map(on_meta, ("vgg11", "squeezenet1_1", "mobilenet_v3_small"))
    vgg_features = nn.Sequential(vgg.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    vgg.classifier = vgg.classifier[:-1]
    mobile.classifier[-1] = nn.Identity()
    resnet = nn.Sequential(*list(on_meta("resnet18").children())[:-1])
    features = [on_meta(n).features for n in ("convnext_tiny", "swin_t", "efficientnet_b0")]
    for model in (vgg_features, vgg, squeeze.features, mobile, resnet, *features):
        with pytest.raises(ValueError, match="has no head"):
            find_head(model)


def test_no_layer_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="Sequential has no Linear"):
        find_head(nn.Sequential(nn.ReLU()))


# ---- stages -----------------------------------------------------------------------------------


def test_stage_names_a_learner_sees():
    resnet, mobilenet = on_meta("resnet18"), on_meta("mobilenet_v2")
    assert list(stages(resnet)) == ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]
    assert list(stages(mobilenet)) == [f"features.{i}" for i in range(19)]


class Net(nn.Module):
    """A network in an attribute, with a head of its own or the network's."""

    def __init__(self, backbone: nn.Module, head: nn.Module | None = None):
        super().__init__()
        self.scale = nn.Identity()  # parts without parameters do not matter
        self.backbone = backbone
        if head is not None:
            self.head = head

    def forward(self, x):
        return self.backbone(self.scale(x))


WRAPPERS = {
    "own class": Net,
    "own class, twice": lambda model: Net(Net(model)),
    "DataParallel": nn.DataParallel,
    "torch.compile": lambda model: torch.compile(model, backend="eager"),
    "normalised first": lambda model: nn.Sequential(nn.Identity(), model),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "vit_b_16", "vgg11", "maxvit_t"])
def test_a_network_inside_another_module_has_the_same_parts(name, wrap):
    inner = on_meta(name, num_classes=5)
    outer = wrap(inner)
    mine, its = stages(outer), stages(inner)
    assert [id(m) for m in mine.values()] == [id(m) for m in its.values()]
    assert all(outer.get_submodule(path) is module for path, module in mine.items())
    assert all(path.endswith(f".{short}") for path, short in zip(mine, its, strict=True))
    assert find_head(outer).module is find_head(inner).module

    rates = {"head_lr": 1e-3, "backbone_lr": 1e-4, "decay": 0.5}
    mine, its = param_groups(outer, **rates), param_groups(inner, **rates)
    assert [g["lr"] for g in mine] == [g["lr"] for g in its]
    assert [list(map(id, g["params"])) for g in mine] == [list(map(id, g["params"])) for g in its]


def test_a_network_behind_a_layer_that_learns_is_no_head():
    model = nn.Sequential(nn.BatchNorm2d(3), on_meta("resnet18"))
    assert find_head(model).name == "1.fc"


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_flags_and_modes_inside_another_module_are_the_same(wrap):
    inner, alone = on_meta("mobilenet_v2"), on_meta("mobilenet_v2")
    outer = wrap(inner)
    unfreeze_from(outer, list(stages(outer))[15])
    unfreeze_from(alone, "features.15")
    set_train_mode(outer)
    set_train_mode(alone)
    flags = [[p.requires_grad for p in model.parameters()] for model in (inner, alone)]
    modes = [[m.training for m in model.modules()] for model in (inner, alone)]
    assert flags[0] == flags[1] and modes[0] == modes[1]
    with pytest.raises(ValueError, match=r"no stage 'features'.*features\.0, "):
        unfreeze_from(outer, "features")


def test_a_backbone_in_an_attribute_beside_a_head_has_its_stages():
    backbone = put(on_meta("resnet18"), "fc", nn.Identity())
    body = nn.Sequential(*list(on_meta("resnet18").children())[:-1])
    for network in (backbone, body):
        model = Net(network, mlp(512))
        assert find_head(model).name == "head" and len(stages(model)) == 6
    stacked = nn.Sequential(on_meta("resnet18"), nn.ReLU(), nn.Linear(1000, 5))
    assert list(stages(stacked)) == [f"0.{n}" for n in [*stages(on_meta("resnet18")), "fc"]]


# ---- the cut ----------------------------------------------------------------------------------

NAMES = [
    *("mobilenet_v2", "mobilenet_v3_small", "resnet18", "convnext_tiny", "vit_b_16", "swin_t"),
    *("efficientnet_b0", "densenet121", "regnet_y_400mf", "shufflenet_v2_x0_5", "vgg11"),
    *("squeezenet1_1", "mnasnet0_5"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_halves_are_the_whole(name):
    torch.manual_seed(0)
    options = {"image_size": 64} if name == "vit_b_16" else {}
    model, x = get_model(name, weights=None, **options).eval(), torch.randn(2, 3, 64, 64)
    found = list(stages(model))
    with torch.no_grad():
        expected = model(x)
        for stage in (found[1], found[len(found) // 2], found[-1], find_head(model).name):
            prefix, suffix = split_at(model, stage)
            assert torch.equal(suffix(prefix(x)), expected), stage
            assert find_head(suffix).module is find_head(model).module, stage
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


@pytest.mark.parametrize("name, last", [("resnet18", "layer4"), ("inception_v3", "Mixed_7c")])
def test_a_suffix_of_one_stage_keeps_it_whole(name, last):
    model = get_model(
        name,
        weights=None,
        **({"aux_logits": False, "init_weights": False} if name == "inception_v3" else {}),
    )
    assert list(stages(split_at(model, last)[1])) == [last]
    assert list(stages(split_at(Net(model), f"backbone.{last}")[1])) == [f"backbone.{last}"]


def test_a_head_of_two_layers_is_cut_and_found_as_a_whole():
    model = get_model("resnet18", weights=None).eval()
    model.fc = nn.Sequential(nn.Linear(512, 8), nn.ReLU(), nn.Linear(8, 5))
    prefix, suffix = split_at(model, "fc")
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(suffix(prefix(x)), model(x))
    _, suffix = split_at(model, "layer4")
    assert find_head(suffix).module is model.fc


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
