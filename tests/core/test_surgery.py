"""Heads, stages, freezing and train mode, over the families of torchvision's classifiers."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import get_model, get_model_builder, get_model_weights, list_models

from course_utils import surgery
from course_utils.surgery import count, find_head, replace_head, stages


def smallest_of_each_family() -> list[str]:
    """One model for each module of torchvision that builds classifiers, the one of least size."""
    families = {}
    for name in list_models(module=torchvision.models):
        size = get_model_weights(name).DEFAULT.meta["num_params"]
        families.setdefault(get_model_builder(name).__module__, []).append((size, name))
    return [min(members)[1] for members in families.values()]


FAMILIES = smallest_of_each_family()
SIDES = {"vit_b_16": 224, "maxvit_t": 224, "inception_v3": 75}  # the others run at 64


def build(name: str, device: str = "cpu") -> nn.Module:
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    # RegNet computes its widths with tensors, which the meta device cannot do.
    with torch.device("cpu" if name.startswith("regnet") else device):
        return get_model(name, weights=None, **options)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Single images gain nothing from threads, and on a busy machine threads wait on each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=FAMILIES)
def runnable(request):
    """A model with random weights in eval mode and one photo-shaped input; built once a family."""
    torch.manual_seed(0)
    side = SIDES.get(request.param, 64)
    return build(request.param).eval(), torch.rand(1, 3, side, side)


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    return build("resnet18")


@pytest.fixture
def mobilenet():
    torch.manual_seed(0)
    return build("mobilenet_v2")


# ---- the head ---------------------------------------------------------------------------------


def test_the_families_are_all_there():
    assert len(FAMILIES) >= 17
    assert {"mobilenet_v2", "resnet18", "squeezenet1_1", "alexnet"} <= set(FAMILIES)


def test_the_head_gives_the_logits(runnable):
    # The oracle is the forward pass: with the right layer at zero, every logit is exactly zero.
    model, images = runnable
    replace_head(model, 7)
    head = find_head(model)
    with torch.no_grad():
        for parameter in head.module.parameters():
            parameter.fill_(1.0)  # SqueezeNet cuts negative logits off
        assert model(images).shape == (1, 7) and model(images).abs().sum() > 0
        for parameter in head.module.parameters():
            parameter.zero_()
        assert torch.equal(model(images), torch.zeros(1, 7))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_head_is_described_truly(name):
    model = build(name, "meta")
    head = find_head(model)
    assert model.get_submodule(head.name) is head.module
    assert getattr(head.parent, head.attribute) is head.module
    assert head.out_features == 1000
    assert head.module.weight.shape[:2] == (1000, head.in_features)


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


@pytest.mark.parametrize("classes", [0, -1, 2.5, "5"])
def test_replace_head_refuses(resnet, classes):
    with pytest.raises(ValueError, match="num_classes"):
        replace_head(resnet, classes)
    assert resnet.fc.out_features == 1000


def test_no_head_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="Sequential has no Linear"):
        find_head(nn.Sequential(nn.ReLU()))


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
    table = surgery.report(resnet)
    assert list(table.index) == ["conv1", "bn1", *(f"layer{i}" for i in range(1, 5)), "fc (head)"]
    assert table["tensors"].sum() == 62 and table["values"].sum() == 11_689_512
    assert table["trainable values"].sum() == 513_000  # 512 * 1000 + 1000
    assert table["BN layers"].sum() == 20 and table["BN in train"].sum() == 0


# ---- stages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_stages_and_head_hold_every_parameter_once(name):
    model = build(name, "meta")
    head = find_head(model).module
    placed = [id(p) for part in [*stages(model).values(), head] for p in part.parameters()]
    placed += [id(p) for p in surgery.loose_parameters(model)]
    assert len(placed) == len(set(placed))
    assert set(placed) == {id(p) for p in model.parameters()}
    assert bool(surgery.loose_parameters(model)) == name.startswith("vit")
    for path, stage in stages(model).items():
        assert model.get_submodule(path) is stage


def test_stages_are_in_forward_order(runnable):
    (model, images), ran = runnable, []
    hooks = [
        stage.register_forward_hook(lambda *_, path=path: ran.append(path))
        for path, stage in stages(model).items()
    ]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    # GoogLeNet and Inception have side branches, which run only in training mode.
    assert ran == [path for path in stages(model) if not path.lower().startswith("aux")]


def test_stage_names_a_learner_sees(resnet, mobilenet):
    assert list(stages(resnet)) == ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]
    assert list(stages(mobilenet)) == [f"features.{i}" for i in range(19)]


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
    vit = build("vit_b_16", "meta")
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
    vit = build("vit_b_16", "meta")
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


def test_changed_names_entries_and_refuses_another_architecture(resnet):
    before = surgery.snapshot(resnet)
    with torch.no_grad():
        resnet.layer2[0].conv1.weight[0, 0, 0, 0] += 1
    assert surgery.changed(resnet, before) == ["layer2.0.conv1.weight"]
    replace_head(resnet, 5)
    with pytest.raises(ValueError, match="fc.bias"):
        surgery.changed(resnet, before)
