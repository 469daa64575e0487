"""The key of a pass: the same for the same network, another for whatever may change its result."""

import copy
import functools

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import get_model

from course_utils.store import identity
from course_utils.store.identity import Unidentified, key_of

PIXELS = torch.arange(3 * 4 * 4, dtype=torch.uint8).view(1, 3, 4, 4)


class Ours(nn.Module):
    def forward(self, x):
        return x


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1), nn.Linear(4, 2)).eval()


def made_inside():
    """A function that PyTorch makes anew with other contents each time it is asked."""
    scope = {"__name__": "torch.nn.functional"}
    exec("def make(n):\n    return lambda x: x * n", scope)
    return scope["make"](2)


def test_a_copy_has_the_same_key_in_either_mode():
    model = network()
    assert key_of(copy.deepcopy(model).train(), PIXELS.clone()) == key_of(model, PIXELS)
    assert len(key_of(model, PIXELS)) == 32


def add(model, what) -> None:
    with torch.no_grad():
        what(model).view(-1)[0] += 1


CHANGES = {
    "a weight": lambda m: add(m, lambda m: m[0].weight),
    "a buffer": lambda m: add(m, lambda m: m[1].running_var),
    "a counter": lambda m: add(m, lambda m: m[1].num_batches_tracked),
    "eps": lambda m: setattr(m[1], "eps", 1e-3),
    "stride": lambda m: setattr(m[0], "stride", (2, 2)),
    "padding mode": lambda m: setattr(m[0], "padding_mode", "circular"),
    "size of the pool": lambda m: setattr(m[3], "output_size", (1, 1)),
    "kind of pool": lambda m: m.__setitem__(3, nn.AdaptiveMaxPool2d(1)),
    "activation": lambda m: m.__setitem__(2, nn.ReLU6()),
    "a layer that has no state": lambda m: m.append(nn.Softmax(1)),
    "the same layer twice": lambda m: m.append(m[2]),
    "no bias": lambda m: m[0].register_parameter("bias", None),
    "dtype": lambda m: m.double(),
    "dtype of zeros": lambda m: setattr(
        m[1], "bias", nn.Parameter(m[1].bias.detach().int(), False)
    ),
    "a buffer that is not saved": lambda m: m[2].register_buffer("x", torch.ones(1), False),
    "a tensor as attribute": lambda m: setattr(m[2], "x", torch.ones(1)),
    "order": lambda m: m.insert(2, m.pop(1)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_of_the_network_is_another_key(what):
    model = network()
    before = key_of(model, PIXELS)
    CHANGES[what](model)
    assert key_of(model, PIXELS) != before


def test_pixels_their_shape_settings_and_versions_count(monkeypatch):
    model = network()
    keys = {
        key_of(model, PIXELS),
        key_of(model, PIXELS + 1),
        key_of(model, PIXELS.view(1, 3, 2, 8)),
        key_of(model, PIXELS, ["a", "b"]),
        key_of(model, PIXELS, ["ab"]),
    }
    for library in (torch, torchvision):
        monkeypatch.setattr(library, "__version__", "0")
        keys.add(key_of(model, PIXELS))
    monkeypatch.setattr(identity, "_code_version", lambda: b"another")
    keys.add(key_of(model, PIXELS))
    assert len(keys) == 8


def test_the_code_version_is_that_of_the_core(tmp_path, monkeypatch):
    here = tmp_path / "course_utils" / "store" / "identity.py"
    here.parent.mkdir(parents=True)
    monkeypatch.setattr(identity, "__file__", str(here))
    versions = set()
    for line in ("a = 1", "a = 2"):
        (tmp_path / "course_utils" / "images.py").write_text(line)
        identity._code_version.cache_clear()
        versions.add(identity._code_version())
    identity._code_version.cache_clear()
    assert len(versions) == 2


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("resnet18", lambda m: setattr(m, "avgpool", nn.AdaptiveMaxPool2d(1))),
        ("googlenet", lambda m: setattr(m, "transform_input", True)),
        ("swin_t", lambda m: m.features[1][1].attn.shift_size.__setitem__(0, 0)),
        ("regnet_y_400mf", None),
        ("vit_b_16", lambda m: setattr(m.encoder.ln, "eps", 1e-3)),
    ],
)
def test_networks_of_torchvision_are_identified(name, other):
    options = {"init_weights": False} if name == "googlenet" else {}
    model = get_model(name, **options)
    before = key_of(model, PIXELS)
    assert key_of(model, PIXELS) == before
    if other:
        other(model)
        assert key_of(model, PIXELS) != before


def test_dilation_alone_is_another_key():
    plain = get_model("resnet50")
    dilated = get_model("resnet50", replace_stride_with_dilation=[False, True, True])
    dilated.load_state_dict(plain.state_dict())
    assert key_of(plain, PIXELS) != key_of(dilated, PIXELS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_kind_of_weight_is_hashed(dtype):
    model = network().to(dtype)
    before = key_of(model, PIXELS)
    CHANGES["a weight"](model)
    assert key_of(model, PIXELS) != before


UNKNOWN = {
    "a class of somebody else's": (lambda m: m.append(Ours()), "Ours"),
    "a hook": (lambda m: m[2].register_forward_hook(lambda *a: None), "hook"),
    "a hook before": (lambda m: m[2].register_forward_pre_hook(lambda *a: None), "hook"),
    "a forward of its own": (lambda m: setattr(m[2], "forward", lambda x: x), "forward"),
    "a function": (lambda m: setattr(m[2], "act", lambda x: x), "function"),
    "a function in one of PyTorch's": (lambda m: setattr(m[2], "act", made_inside()), "function"),
    "a partial of one": (lambda m: setattr(m[2], "act", functools.partial(add, 1)), "function"),
    "an object": (lambda m: setattr(m[2], "act", object()), "object"),
    "no weights yet": (lambda m: m.to("meta"), "meta"),
    "a parametrisation": (lambda m: nn.utils.parametrizations.spectral_norm(m[6]), "Parametriz"),
    "compiled": (lambda m: m.compile(), "function"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_cannot_be_told_from_another_pass_has_no_key(what):
    model = network()
    change, says = UNKNOWN[what]
    change(model)
    with pytest.raises(Unidentified, match=says):
        key_of(model, PIXELS)


def test_a_forward_replaced_for_the_whole_class_has_no_key(monkeypatch):
    monkeypatch.setattr(nn.ReLU, "forward", functools.wraps(nn.ReLU.forward)(lambda self, x: x))
    with pytest.raises(Unidentified, match="forward of 2 .ReLU. was replaced"):
        key_of(network(), PIXELS)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_scripted_wrapped_and_autocast_passes_have_no_key():
    for wrapped in (torch.jit.script(network()), torch.fx.symbolic_trace(network())):
        with pytest.raises(Unidentified):
            key_of(wrapped, PIXELS)
    with torch.autocast("cpu"), pytest.raises(Unidentified, match="autocast"):
        key_of(network(), PIXELS)
