"""Swapping heads, freezing, groups for the optimizer, train mode, and what state there is."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import get_model

from course_utils import surgery
from course_utils.anatomy import auxiliary_heads, stages
from course_utils.surgery import count, replace_head


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    return get_model("resnet18")


@pytest.fixture
def mobilenet():
    torch.manual_seed(0)
    return get_model("mobilenet_v2")


# ---- the head ---------------------------------------------------------------------------------


def test_replace_head_keeps_kind_bias_dtype_and_the_rest(mobilenet):
    mobilenet.double()
    mobilenet.classifier[1] = nn.Linear(1280, 1000, bias=False).double()
    before = surgery.snapshot(mobilenet.features)
    replace_head(mobilenet, 5)
    new = mobilenet.classifier[1]
    assert new.weight.shape == (5, 1280) and new.weight.dtype == torch.float64
    assert new.bias is None and new.weight.requires_grad
    assert isinstance(mobilenet.classifier[0], nn.Dropout)
    assert surgery.changed(mobilenet.features, before) == []


def test_a_new_head_is_trainable_in_a_frozen_model(resnet):
    surgery.freeze(resnet)
    replace_head(resnet, 5)
    assert count(resnet).trainable_tensors == 2


def test_a_new_convolution_keeps_all_settings_of_the_old():
    old = nn.Conv2d(8, 6, 3, padding=2, dilation=2, groups=2, padding_mode="reflect", stride=2)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(nn.Conv2d(3, 8, 3), old, pool)
    replace_head(model, 4)
    settings = nn.Conv2d.__constants__
    like = {"out_channels": 4, "stride": (2, 2)}
    assert {n: getattr(model[1], n) for n in settings} == {
        n: getattr(old, n) for n in settings
    } | like
    maps = torch.rand(1, 8, 16, 16)
    assert model[1](maps).shape == (1, 4, *old(maps).shape[2:])
    with pytest.raises(ValueError, match="num_classes=5.*multiple of 2"):
        replace_head(model, 5)
    assert model[1].out_channels == 4


def test_a_head_of_several_layers_begins_anew_as_a_whole(resnet):
    resnet.fc = nn.Sequential(nn.BatchNorm1d(512), nn.Linear(512, 9), nn.ReLU(), nn.Linear(9, 4))
    old = {n: p.clone() for n, p in resnet.fc.named_parameters()}
    body = surgery.snapshot(resnet.layer4)
    surgery.freeze(resnet)
    replace_head(resnet, 3)
    assert [type(m) for m in resnet.fc] == [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.Linear]
    assert resnet.fc[3].weight.shape == (3, 9) and resnet.fc[1].weight.shape == (9, 512)
    assert not torch.equal(resnet.fc[1].weight, old["1.weight"])
    assert {n for n, p in resnet.named_parameters() if p.requires_grad} == {f"fc.{n}" for n in old}
    assert surgery.changed(resnet.layer4, body) == []


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_replace_head_drops_auxiliary_heads_of_the_old_classes(name):
    model = get_model(name, weights=None, init_weights=False)
    assert auxiliary_heads(model) and any("aux" in n.lower() for n, _ in model.named_parameters())
    outer = nn.DataParallel(model)
    replace_head(outer, 5)
    assert not auxiliary_heads(outer)
    assert outer.train()(torch.rand(2, 3, 96, 96)).shape == (2, 5)


@pytest.mark.parametrize("name", ["squeezenet1_1", "vit_b_16"])
def test_the_number_of_classes_that_a_network_keeps_is_true_inside_another_too(name):
    with torch.device("meta"):
        model = get_model(name)
        replace_head(nn.Sequential(model), 5)
    assert model.num_classes == 5


def test_a_compiled_network_answers_with_its_new_head(resnet):
    compiled, image = torch.compile(resnet.eval(), backend="eager"), torch.rand(1, 3, 32, 32)
    assert compiled(image).shape == (1, 1000)
    replace_head(compiled, 5)
    assert compiled(image).shape == (1, 5) and resnet.fc.out_features == 5


@pytest.mark.parametrize("classes", [np.int64(5), np.uint8(5), torch.tensor([0, 4]).max() + 1])
def test_whole_numbers_of_other_libraries_are_whole_numbers(resnet, classes):
    replace_head(resnet, classes)
    assert resnet.fc.out_features == 5 and type(resnet.fc.out_features) is int


@pytest.mark.parametrize("classes", [0, -1, 2.5, "5", np.float64(5), np.int64(0), None])
def test_replace_head_refuses(resnet, classes):
    with pytest.raises(ValueError, match="num_classes"):
        replace_head(resnet, classes)
    assert resnet.fc.out_features == 1000


# ---- counts -----------------------------------------------------------------------------------


def test_the_counts_of_resnet18(resnet):
    assert count(resnet) == surgery.Counts(62, 11_689_512, 62, 11_689_512)
    replace_head(resnet, 5)
    surgery.freeze_backbone(resnet)
    assert count(resnet) == surgery.Counts(62, 11_179_077, 2, 2_565)
    backbone = [count(stage) for stage in stages(resnet).values()]
    assert sum(c.tensors for c in backbone) == 60
    assert sum(c.values for c in backbone) == 11_176_512
    assert sum(c.trainable_values for c in backbone) == 0
    assert len(surgery.batchnorm_layers(resnet)) == 20


def test_the_counts_of_mobilenet(mobilenet):
    replace_head(mobilenet, 5)
    surgery.freeze_backbone(mobilenet)
    assert count(mobilenet).trainable_values == 6_405
    assert count(mobilenet).trainable_tensors == 2
    assert len(surgery.batchnorm_layers(mobilenet)) == 52


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3)
    assert count(nn.Sequential(layer, layer)).values == 12


def test_the_report_adds_up(resnet):
    surgery.freeze_backbone(resnet)
    surgery.set_train_mode(resnet)
    table = surgery.state_table(resnet)
    assert list(table.index) == ["conv1", "bn1", *(f"layer{i}" for i in range(1, 5)), "fc (head)"]
    assert table["tensors"].sum() == 62 and table["values"].sum() == 11_689_512
    assert table["trainable values"].sum() == 513_000  # 512 * 1000 + 1000
    assert table["BN layers"].sum() == 20 and table["BN in train"].sum() == 0


# ---- freezing ---------------------------------------------------------------------------------


def trainable(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_freeze_and_unfreeze_a_module(resnet):
    surgery.freeze(resnet.layer1)
    expected = {n for n, _ in resnet.named_parameters() if not n.startswith("layer1.")}
    assert trainable(resnet) == expected
    surgery.unfreeze(resnet.layer1)
    assert len(trainable(resnet)) == 62


def test_freezing_after_a_backward_pass_leaves_nothing_to_step_on(resnet):
    optimizer = torch.optim.SGD(resnet.parameters(), lr=1.0, momentum=0.9)
    resnet(torch.rand(2, 3, 32, 32)).sum().backward()
    surgery.freeze_backbone(resnet)
    before = {n: p.detach().clone() for n, p in resnet.named_parameters()}
    optimizer.step()
    moved = {n for n, p in resnet.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"fc.weight", "fc.bias"}


def test_freeze_backbone_whatever_came_before(resnet):
    surgery.freeze(resnet)
    surgery.freeze_backbone(resnet)
    assert trainable(resnet) == {"fc.weight", "fc.bias"}


def test_unfreeze_from_a_stage(resnet):
    surgery.unfreeze_from(resnet, "layer4")
    prefixes = {name.split(".")[0] for name in trainable(resnet)}
    assert prefixes == {"layer4", "fc"}
    surgery.unfreeze_from(resnet, "conv1")
    assert len(trainable(resnet)) == 62
    surgery.unfreeze_from(resnet, "layer3")  # narrower than before: the rest is frozen again
    assert {name.split(".")[0] for name in trainable(resnet)} == {"layer3", "layer4", "fc"}
    with pytest.raises(ValueError, match="no stage 'layer5'.*layer4"):
        surgery.unfreeze_from(resnet, "layer5")


def test_loose_parameters_follow_the_first_stage():
    with torch.device("meta"):
        vit = get_model("vit_b_16")
    surgery.unfreeze_from(vit, "encoder.ln")
    assert not vit.class_token.requires_grad
    surgery.unfreeze_from(vit, "conv_proj")
    assert vit.class_token.requires_grad and vit.encoder.pos_embedding.requires_grad
    assert len(trainable(vit)) == count(vit).tensors


# ---- groups for the optimizer -----------------------------------------------------------------


def test_param_groups_fall_off_from_the_head(resnet):
    groups = surgery.param_groups(resnet, head_lr=1e-2, backbone_lr=1e-3, decay=0.5)
    names = ["head", "layer4", "layer3", "layer2", "layer1", "bn1", "conv1"]
    assert [g["name"] for g in groups] == names
    rates = [1e-2, 1e-3, 5e-4, 2.5e-4, 1.25e-4, 6.25e-5, 3.125e-5]
    assert [g["lr"] for g in groups] == pytest.approx(rates)
    ids = [id(p) for g in groups for p in g["params"]]
    assert len(ids) == len(set(ids)) == 62
    for _ in range(2):  # lists, not generators: a second optimizer gets them all too
        optimizer = torch.optim.AdamW(groups)
        assert sum(len(g["params"]) for g in optimizer.param_groups) == 62


def test_param_groups_leave_out_what_is_frozen(resnet):
    surgery.unfreeze_from(resnet, "layer4")
    groups = surgery.param_groups(resnet, head_lr=1e-2, backbone_lr=1e-3)
    assert [g["name"] for g in groups] == ["head", "layer4"]
    surgery.freeze(resnet)
    with pytest.raises(ValueError, match="frozen"):
        surgery.param_groups(resnet, head_lr=1e-2, backbone_lr=1e-3)


def test_param_groups_of_a_vit_hold_all():
    with torch.device("meta"):
        vit = get_model("vit_b_16")
    groups = surgery.param_groups(vit, head_lr=1e-2, backbone_lr=1e-3)
    assert sum(len(g["params"]) for g in groups) == count(vit).tensors
    assert groups[-1]["name"] == "loose"


# ---- train mode and state ---------------------------------------------------------------------


def test_train_mode_of_a_frozen_backbone_moves_no_state(mobilenet):
    replace_head(mobilenet, 5)
    surgery.freeze_backbone(mobilenet)
    before = surgery.snapshot(mobilenet)
    for _ in range(2):  # and once more, as in a second epoch
        surgery.set_train_mode(mobilenet)
        mobilenet(torch.rand(2, 3, 32, 32))
    assert surgery.changed(mobilenet, before) == []
    assert mobilenet.classifier[0].training and mobilenet.classifier[1].training  # dropout is on
    assert not any(m.training for m in surgery.batchnorm_layers(mobilenet).values())


def test_dropout_follows_the_smallest_part_around_it_that_has_parameters():
    with torch.device("meta"):
        vgg, vit = get_model("vgg11"), get_model("vit_b_16")
    for model in (vgg, vit):
        surgery.freeze_backbone(model)
        surgery.set_train_mode(model)
    assert vgg.classifier[2].training and vgg.classifier[5].training  # beside the head
    drops = [m for m in vit.modules() if isinstance(m, nn.Dropout)]
    assert drops and not any(m.training for m in drops)  # inside frozen blocks


def test_plain_train_mode_does_move_it(mobilenet):
    surgery.freeze(mobilenet)
    before = surgery.snapshot(mobilenet)
    with torch.no_grad():
        mobilenet.train()(torch.rand(2, 3, 32, 32))
    moved = surgery.changed(mobilenet, before)
    assert len(moved) == 156 and len(before) == 314  # 52 layers, three buffers each
    endings = {name.rsplit(".", 1)[-1] for name in moved}
    assert endings == {"running_mean", "running_var", "num_batches_tracked"}


def test_train_mode_follows_what_is_trainable(resnet):
    surgery.unfreeze_from(resnet, "layer4")
    surgery.set_train_mode(resnet)
    training = {n for n, m in surgery.batchnorm_layers(resnet).items() if m.training}
    assert training == {n for n in surgery.batchnorm_layers(resnet) if n.startswith("layer4")}
    surgery.unfreeze(resnet)
    surgery.set_train_mode(resnet)
    assert all(module.training for module in resnet.modules())


def test_a_snapshot_loads_into_every_network_that_asks_for_its_version():
    model = get_model("mnasnet0_5", weights=None)
    before = surgery.snapshot(model)
    torch.nn.init.zeros_(model.classifier[1].weight)
    model.load_state_dict(before)
    assert surgery.changed(model, before) == [] and model.classifier[1].weight.any()


def test_changed_names_entries_and_refuses_another_architecture(resnet):
    before = surgery.snapshot(resnet)
    with torch.no_grad():
        resnet.layer2[0].conv1.weight[0, 0, 0, 0] += 1
    assert surgery.changed(resnet, before) == ["layer2.0.conv1.weight"]
    replace_head(resnet, 5)
    with pytest.raises(ValueError, match="fc.bias"):
        surgery.changed(resnet, before)
