import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils.batchnorm import (
    batchnorm_drift,
    play_drift,
    recalibrate,
    record_means,
    train_head,
)
from course_utils.features import FeatureSet
from course_utils.images import ImageSet
from course_utils.surgery import changed, find_head, snapshot


def pictures(n=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return ImageSet(pixels, torch.arange(n) % 2, ("a", "b"))


def network():
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)]
    model = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    model.requires_grad_(False)
    model[-1].requires_grad_(True)
    return model


@pytest.mark.parametrize("momentum", [0.1, 0.5])
def test_a_drift_played_back_is_the_drift_that_happens(momentum):
    model = network().eval()
    model[1].running_mean.fill_(3)
    model[4].running_var.fill_(9)
    before = snapshot(model)
    played = play_drift(model, record_means(model, pictures().batches(8)), momentum)
    assert not changed(model, before) and not model.training
    assert played.shape == (4, 2) and not played[0].any()
    for layer in (model[1], model[4]):
        layer.momentum = momentum
    model.train()
    for (images, _), drift in zip(pictures().batches(8), played[1:], strict=True):
        model(images)
        expected = torch.tensor(list(batchnorm_drift(model, before).values()))
        torch.testing.assert_close(drift, expected)


def test_means_of_another_network_are_refused():
    with pytest.raises(ValueError, match=r"got means \[2, 7\]; expected \[batches, 10\]"):
        play_drift(network(), torch.zeros(2, 7), 0.1)


def test_recalibrated_statistics_are_the_mean_over_batches():
    model, images = network(), pictures(16)
    model[1].running_mean.fill_(7)
    model[1].num_batches_tracked.fill_(1000)
    recalibrate(model, images, batch_size=8)
    maps = [model[0](images.batch(slice(i, i + 8))[0]) for i in (0, 8)]
    mean = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    var = torch.stack([m.transpose(0, 1).flatten(1).var(1) for m in maps]).mean(0)
    torch.testing.assert_close(model[1].running_mean, mean)
    torch.testing.assert_close(model[1].running_var, var)
    # The second layer saw what the first gave while normalising by the batch.
    second = torch.stack(
        [model[3](F.relu(F.batch_norm(m, None, None, training=True))).mean((0, 2, 3)) for m in maps]
    )
    torch.testing.assert_close(model[4].running_mean, second.mean(0))


def test_recalibration_moves_nothing_else():
    model = network()
    model.insert(7, nn.Dropout(0.5))
    model[1].momentum = 0.3
    before, flags = snapshot(model), [p.requires_grad for p in model.parameters()]
    recalibrate(model.train(), pictures())
    assert all("running" in name or "num_batches" in name for name in changed(model, before))
    assert (model[1].momentum, model[4].momentum) == (0.3, 0.1)
    assert not any(module.training for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())


def test_a_small_last_batch_is_left_out():
    one, other = network(), network()
    recalibrate(one, pictures(19), batch_size=8)
    recalibrate(other, pictures(19)[:16], batch_size=8)
    assert torch.equal(one[4].running_var, other[4].running_var)
    assert one[1].num_batches_tracked == 2


def test_after_a_failed_pass_the_settings_are_back():
    model = network()
    model[5] = nn.Linear(1, 1)
    with pytest.raises(RuntimeError):
        recalibrate(model, pictures())
    assert model[1].momentum == 0.1 and not model[1].training


@pytest.mark.parametrize(
    ("model", "count", "message"),
    [(network(), 1, "got 1 images"), (nn.Sequential(nn.Linear(2, 2)), 4, "no BatchNorm")],
)
def test_recalibration_says_what_is_missing(model, count, message):
    with pytest.raises(ValueError, match=message):
        recalibrate(model, pictures(count))


def test_the_head_alone_is_trained_and_the_backbone_stands_still():
    model = network()
    before = snapshot(model)
    train_head(model, pictures(), batch_size=8, epochs=2)
    assert changed(model, before) == ["7.weight", "7.bias"]


def test_plain_train_lets_the_statistics_drift():
    model = network()
    before = snapshot(model)
    train_head(model, pictures(), batch_size=8, epochs=1, set_mode=nn.Module.train)
    assert {name for name in changed(model, before) if not name.startswith("7.")} == {
        f"{i}.{what}"
        for i in (1, 4)
        for what in ("running_mean", "running_var", "num_batches_tracked")
    }


@pytest.mark.parametrize("shuffle", [True, False])
def test_it_is_the_loop_one_would_write(shuffle):
    data = FeatureSet(torch.randn(10, 6), torch.arange(10) % 2, ("a", "b"))
    ours, theirs = nn.Sequential(nn.Linear(6, 2)), nn.Sequential(nn.Linear(6, 2))
    train_head(ours, data, batch_size=4, epochs=2, shuffle=shuffle, lr=0.01, seed=3)
    torch.manual_seed(3)
    theirs[0].reset_parameters()
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    order = torch.Generator().manual_seed(3)
    for _ in range(2):
        index = torch.randperm(10, generator=order) if shuffle else torch.arange(10)
        for part in index.split(4):
            optimizer.zero_grad()
            F.cross_entropy(theirs(data.features[part]), data.labels[part]).backward()
            optimizer.step()
    torch.testing.assert_close(ours[0].weight, theirs[0].weight)


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    heads = []
    for seed in (0, 0, 1):
        model = network()
        state = torch.get_rng_state()
        train_head(model, pictures(), batch_size=8, epochs=1, seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        heads.append(find_head(model).module.weight.detach().clone())
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_training_needs_examples_and_epochs():
    with pytest.raises(ValueError, match="training set is empty"):
        train_head(network(), pictures()[:0], batch_size=4, epochs=1)
    with pytest.raises(ValueError, match="epochs=0"):
        train_head(network(), pictures(), batch_size=4, epochs=0)


def test_a_backbone_that_can_learn_is_refused():
    model = network().requires_grad_(True)
    with pytest.raises(ValueError, match="0.weight"):
        train_head(model, pictures(), batch_size=4, epochs=1)
