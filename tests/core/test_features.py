"""Features against a backbone without its head; the cache against bad files; the probes."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from course_utils import features as features_module
from course_utils.features import FeatureSet, cached_head, embed, knn_probe, linear_probe
from course_utils.images import ImageSet
from course_utils.surgery import find_head, freeze_backbone, replace_head
from course_utils.training import evaluate, fit

CLASSES = ("a", "b", "c")


def images(n: int = 12) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(n) % 3, CLASSES)


def backbone(name: str = "mobilenet_v2") -> nn.Module:
    torch.manual_seed(0)
    model = get_model(name, weights=None)
    replace_head(model, 3)
    freeze_backbone(model)
    return model


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "squeezenet1_1"])
def test_embed_is_what_enters_the_head(name):
    model, data = backbone(name), images()
    got = embed(model.train(), data, batch_size=5)
    headless = copy.deepcopy(model).eval()
    head = find_head(headless)
    setattr(head.parent, head.attribute, nn.Identity())
    pixels = data.batch(slice(0, 12))[0]
    with torch.no_grad():  # a head that works on maps gets them averaged: [N, D], as promised
        maps = headless.features(pixels).mean(dim=(2, 3)) if name == "squeezenet1_1" else None
        expected = headless(pixels) if maps is None else maps
    assert got.features.shape == (12, head.in_features)
    assert torch.allclose(got.features, expected, atol=1e-5)
    assert torch.equal(got.labels, data.labels) and not model.training


HEADS = {
    "two layers": lambda: nn.Sequential(nn.Linear(512, 8), nn.ReLU(), nn.Linear(8, 3)),
    "dropout first": lambda: nn.Sequential(nn.Dropout(), nn.Linear(512, 8), nn.Linear(8, 3)),
    "norm first": lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(512), nn.Linear(512, 3)),
    "nested": lambda: nn.Sequential(nn.Sequential(nn.Linear(512, 8)), nn.Linear(8, 3)),
}


@pytest.mark.parametrize("own", HEADS.values(), ids=HEADS)
def test_cached_features_and_head_are_the_model_with_a_head_of_the_learners(own):
    model, data = backbone("resnet18"), images()
    model.fc = own()
    head, features = cached_head(model), embed(model, data)
    assert features.features.shape == (12, 512)
    assert isinstance(head[0], nn.Dropout) == isinstance(model.fc[0], nn.Dropout)
    expected = evaluate(model, data).logits
    torch.testing.assert_close(head.eval()(features.features).detach(), expected)
    assert {id(p) for p in head.parameters()} == {id(p) for p in model.fc.parameters()}


def test_embed_sees_into_a_compiled_network_that_has_run_before():
    model, data = backbone("resnet18").eval(), images()
    expected = embed(model, data).features
    compiled = torch.compile(model, backend="eager")
    compiled(data.batch(slice(0, 4))[0])
    for wrapped in (compiled, nn.DataParallel(model)):
        assert torch.equal(embed(wrapped, data).features, expected)


def test_embed_leaves_no_hook_and_gives_tensors_that_autograd_accepts():
    model = backbone()
    got = embed(model, images())
    assert not find_head(model).module._forward_pre_hooks
    nn.Linear(1280, 2)(got.features).sum().backward()


def test_training_on_cached_features_is_the_frozen_loop_to_the_last_bit():
    """Dropout stays on in both; BatchNorm stands still in both."""
    data, slow, fast = images(24), backbone(), backbone()
    kwargs = {"epochs": 3, "batch_size": 8, "seed": 5}
    fit(slow, data, data, optimizer=torch.optim.Adam(find_head(slow).module.parameters()), **kwargs)
    kept, head = embed(fast, data, batch_size=8), cached_head(fast)
    fit(head, kept, kept, optimizer=torch.optim.Adam(head.parameters()), **kwargs)
    assert isinstance(head[0], nn.Dropout)
    assert torch.equal(find_head(slow).module.weight, find_head(fast).module.weight)
    assert not torch.equal(find_head(slow).module.weight, find_head(backbone()).module.weight)


def test_cached_head_is_the_models_own_and_refuses_a_convolution():
    model = backbone("resnet18")
    assert list(cached_head(model)) == [model.fc]
    with pytest.raises(ValueError, match="Conv2d"):
        cached_head(backbone("squeezenet1_1"))


def test_the_cache_is_read_the_second_time_and_only_for_the_same_input(cache, monkeypatch):
    model, data, passes = backbone(), images(), []
    run = features_module._run
    monkeypatch.setattr(features_module, "_run", lambda *a: passes.append(1) or run(*a))
    first = embed(model, data, cache=True)
    assert torch.equal(embed(model, data, cache=True).features, first.features)
    assert len(passes) == 1
    embed(model, data[:6], cache=True)
    with torch.no_grad():
        model.features[0][0].weight[0, 0, 0, 0] += 1
    embed(model, data, cache=True)
    assert len(passes) == 3


@pytest.mark.parametrize("damage", [b"", b"not a tensor", None])
def test_a_damaged_cache_file_is_written_anew(cache, monkeypatch, damage):
    model, data = backbone(), images()
    first = embed(model, data, cache=True)
    (file,) = (cache / "features").glob("*.kept")
    file.write_bytes(file.read_bytes()[:200] if damage is None else damage)
    assert torch.equal(embed(model, data, cache=True).features, first.features)
    monkeypatch.setattr(features_module, "_run", lambda *a: pytest.fail("not written anew"))
    assert torch.equal(embed(model, data, cache=True).features, first.features)
    assert len(list((cache / "features").iterdir())) == 1


def test_a_cache_that_cannot_be_written_costs_only_the_saving(cache, capsys):
    (cache / "features").write_text("a file where the folder should be")
    assert len(embed(backbone(), images(), cache=True)) == 12
    assert "could not be kept" in capsys.readouterr().out


def test_nothing_to_embed_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        embed(backbone(), images()[torch.arange(0)])


def test_feature_batches_come_in_the_order_of_the_images():
    data = images(10)
    features = FeatureSet(torch.arange(10.0)[:, None], data.labels, CLASSES)
    orders = [torch.Generator().manual_seed(4) for _ in range(2)]
    both = zip(
        data.batches(4, shuffle=True, generator=orders[0]),
        features.batches(4, shuffle=True, generator=orders[1]),
        strict=True,
    )
    for (pixels, labels), (values, same_labels) in both:
        assert len(pixels) == len(values) and torch.equal(labels, same_labels)
        assert torch.equal(data.labels[values[:, 0].long()], labels)


def blobs(n: int, seed: int) -> FeatureSet:
    labels = torch.arange(n) % 3
    noise = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return FeatureSet(noise + 4 * torch.nn.functional.one_hot(labels, 6), labels, CLASSES)


def test_probes_learn_what_can_be_learnt_and_no_more():
    train, test = blobs(60, 0), blobs(300, 1)
    for probe in (linear_probe(train), knn_probe(train, k=3)):
        assert probe.score(test.features, test.labels) > 0.9
    shuffled = FeatureSet(train.features, train.labels[torch.randperm(60)], CLASSES)
    assert linear_probe(shuffled).score(test.features, test.labels) < 0.7


@pytest.mark.parametrize("k", [0, 61])
def test_knn_wants_a_possible_number_of_neighbours(k):
    with pytest.raises(ValueError, match="expected 1 <= k <= 60"):
        knn_probe(blobs(60, 0), k=k)
