"""Every helper with the model on a GPU: it stays there, results come back, no devices are mixed."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from course_utils import (
    adapters,
    anatomy,
    batchnorm,
    features,
    inspection,
    measure,
    surgery,
    training,
)
from course_utils.device import best_layout, device_of, pick_device, precision
from course_utils.images import ImageSet
from course_utils.prefix import cache_prefix, fit_cached
from tests.pretend import PretendGPU

CPU, CLASSES = torch.device("cpu"), ("a", "b")
IMAGES = ImageSet(
    torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8), torch.arange(12) % 2, CLASSES
)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(8, 2),
    )


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(p for p in model.parameters() if p.requires_grad)


def frozen(model: nn.Module) -> nn.Module:
    surgery.freeze_backbone(model)
    return model


def steps(model: nn.Module) -> dict:
    return {"optimizer": adam(model), "batch_size": 4}


def swap(model, data):
    surgery.replace_head(model, 3)
    return training.evaluate(model, data).logits


def drift(model, data):
    before = surgery.snapshot(copy.deepcopy(model).cpu())
    model[1][1].running_mean.add_(1)
    assert surgery.changed(model, before) == ["1.1.running_mean"]
    surgery.changed(copy.deepcopy(model).cpu(), surgery.snapshot(model))
    return inspection.weight_drift(model, before), batchnorm.batchnorm_drift(model, before)


def drifted(model, data):
    means = batchnorm.record_means(model, data.batches(4))
    return means, batchnorm.play_drift(model, means, 0.1)


def low_rank(model, data):
    surgery.freeze_backbone(model)
    adapters.adapt(model, rank=1)
    training.fit(model, data, data, epochs=1, **steps(model))


def probes(model, data):
    vectors = features.embed(model, data)
    there = vectors.to(device_of(model))
    assert device_of(nn.ParameterList([nn.Parameter(there.features)])) == device_of(model)
    scores = [
        p.score(vectors.features, vectors.labels)
        for p in (features.linear_probe(there), features.knn_probe(there, k=1))
    ]
    head = features.cached_head(model)
    training.fit(head, there, vectors, epochs=1, **steps(head))
    return vectors.features, vectors.labels, scores


def noted(model, data):
    seen = inspection.survey(model, data, {"a": model[0], "b": model[1]}, best=2, batch_size=5)
    cut = inspection.top_patches(data, seen["a"], [0, 1], k=1, patch=4)
    assert len(cut) == 2
    return [vars(found)["means"] for found in seen.values()]


def activation_bytes(model, data):
    images, labels = data.batch(range(4), device=device_of(model))
    with measure.stopwatch(device_of(model)):
        assert measure.saved_activation_bytes(model, images, labels) > 0


HELPERS: dict[str, Callable] = {
    "fit": lambda m, d: training.fit(m, d, d, epochs=2, **steps(m)),
    "evaluate": lambda m, d: training.evaluate(m, d, batch_size=5).logits,
    "evaluate a list of batches": lambda m, d: training.evaluate(m, list(d.batches(5))).labels,
    "lr_find": lambda m, d: training.lr_find(m, d, adam(m), steps=4, batch_size=4),
    "embed": lambda m, d: features.embed(m, d).features,
    "embed, kept on disk": lambda m, d: features.embed(m, d, cache=True).features,
    "embed, probes, cached_head": probes,
    "replace_head": swap,
    "snapshot, changed, drifts": drift,
    "parts": lambda m, d: (surgery.state_table(m), surgery.count(m), anatomy.find_head(m)),
    "activations": lambda m, d: inspection.activations(m, d.batch([0])[0], {"a": m[0]})["a"],
    "first_layer_filters": lambda m, d: inspection.first_layer_filters(m),
    "stage_features": lambda m, d: list(inspection.stage_features(m, d).values()),
    "survey": noted,
    "record_means, play_drift": drifted,
    "recalibrate": lambda m, d: batchnorm.recalibrate(m, d, batch_size=4),
    "train_head": lambda m, d: batchnorm.train_head(frozen(m), d, batch_size=4, epochs=1),
    "fit_cached": lambda m, d: fit_cached(frozen(m), d, d, epochs=2, stage="1", **steps(m)),
    "adapt": low_rank,
    "saved_activation_bytes": activation_bytes,
}


def run_on(gpu: PretendGPU, helper: Callable, device: str, data: ImageSet = IMAGES) -> None:
    """Run a helper; AssertionError if it moved the model, or left a result off the CPU."""
    model = network().to(device)
    there = gpu.device(device)
    result = helper(model, data)
    moved = [n for n, value in model.state_dict().items() if value.device != there]
    assert not moved, f"{moved} are no longer on {device}"
    for value in result if isinstance(result, list | tuple) else [result]:
        assert not isinstance(value, torch.Tensor) or value.device == CPU


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path))


@pytest.mark.parametrize("helper", HELPERS.values(), ids=HELPERS)
def test_every_helper_works_where_the_model_is(helper):
    with PretendGPU(count=2) as gpu:
        run_on(gpu, helper, "cuda:1")


@pytest.mark.parametrize(
    "name", ["fit", "evaluate", "embed", "survey", "recalibrate", "fit_cached"]
)
def test_the_data_may_live_on_the_device_too(name):
    with PretendGPU() as gpu:
        run_on(gpu, HELPERS[name], "cuda", IMAGES.to("cuda"))


@pytest.mark.parametrize("name", ["fit", "lr_find", "evaluate", "embed", "recalibrate"])
@pytest.mark.parametrize("gpu", [{"kind": "mps"}, {"capability": (7, 5)}], ids=["MPS", "T4"])
def test_other_devices(name, gpu):
    with PretendGPU(**gpu) as there:
        run_on(there, HELPERS[name], there.kind)


@pytest.mark.parametrize(
    ("name", "place", "planted"),
    [
        ("embed", "features.best_layout", lambda model: device_of(model.cpu())),
        ("fit", "training.best_layout", lambda model: device_of(model.cpu())),
        ("evaluate", "images.send", lambda tensor, device: tensor),
        ("recalibrate", "images.send", lambda tensor, device: tensor),
    ],
)
def test_a_planted_mistake_is_found(name, place, planted, monkeypatch):
    """A helper that moves the model, and one that forgets to send a batch after it."""
    monkeypatch.setattr(f"course_utils.{place}", planted)
    with (
        PretendGPU() as gpu,
        pytest.raises((AssertionError, RuntimeError), match=r"cuda|no longer"),
    ):
        run_on(gpu, HELPERS[name], "cuda")


def test_two_devices_in_torch_equal_are_found():
    with PretendGPU(), pytest.raises(RuntimeError, match="same device"):
        torch.equal(torch.zeros(2, device="cuda"), torch.zeros(2))


@pytest.mark.parametrize("lives", ["cpu", "cuda"])
def test_fit_waits_for_the_device_once_an_epoch(lives):
    waits = []
    with PretendGPU() as gpu:
        data = IMAGES.to(lives)
        for epochs in (1, 4):
            model = network().to("cuda")
            before = gpu.waits
            training.fit(model, data, None, epochs=epochs, **steps(model))
            waits.append(gpu.waits - before)
        assert (waits[1] - waits[0]) / 3 <= 1
        before = gpu.waits
        training.evaluate(model, data, batch_size=2)
        features.embed(model, data, batch_size=2)
        assert gpu.waits - before <= 4  # logits, labels, features, labels: not once a batch


def test_the_order_is_the_same_on_every_machine_and_only_the_models_card_is_seeded():
    with PretendGPU(count=3) as gpu:
        there, here = network().to("cuda:2"), network()
        data = IMAGES.to("cuda:2")
        orders = [
            torch.cat(
                [
                    labels
                    for _, labels in part.batches(
                        5, shuffle=True, generator=torch.Generator().manual_seed(3), device="cpu"
                    )
                ]
            )
            for part in (IMAGES, data)
        ]
        assert torch.equal(*orders)
        training.fit(there, data, None, epochs=1, **steps(there))
        assert gpu.seeded == [torch.device("cuda:2")]
        training.fit(here, data, None, epochs=1, **steps(here))
        assert gpu.seeded == [torch.device("cuda:2")]


def test_precision_and_layout_of_each_device():
    cards = [({}, torch.bfloat16), ({"capability": (7, 5)}, torch.float16), ({"kind": "mps"}, None)]
    for card, expected in cards:
        with PretendGPU(**card) as gpu:
            model = network().to(gpu.kind)
            assert precision(device_of(model)) == (expected or torch.float32)
            held = list(model.parameters())
            best_layout(model)
            assert all(a is b for a, b in zip(held, model.parameters(), strict=True))
            last = model[0][0].weight.is_contiguous(memory_format=torch.channels_last)
            assert last == (gpu.kind == "cuda")
    assert precision(CPU) == torch.float32


def test_pick_device_knows_how_many_there_are():
    with PretendGPU(count=2):
        assert pick_device() == torch.device("cuda") and pick_device("cuda:1").index == 1
        with pytest.raises(ValueError, match=r"'cuda:7'.*cuda:0 to cuda:1"):
            pick_device("cuda:7")
        with pytest.raises(ValueError, match=r"'mps'.*none of that kind"):
            pick_device("mps")


def test_a_model_without_parameters_is_where_its_buffers_are():
    with PretendGPU():
        assert device_of(nn.BatchNorm1d(3, affine=False).to("cuda")).type == "cuda"
        assert device_of(nn.ReLU()) == CPU


def test_a_cached_prefix_stays_on_the_device():
    with PretendGPU():
        model = frozen(network()).to("cuda")
        tail, train, _ = cache_prefix(model, IMAGES, IMAGES, stage="1", batch_size=4)
        assert tail is not model
        assert {x.device.type for x, _ in train.batches(4, device="cuda")} == {"cuda"}
