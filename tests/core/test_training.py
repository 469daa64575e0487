"""The training loop against a loop written out here, and what it does when things go wrong."""

import copy
import math
import os
import signal
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils.features import FeatureSet
from course_utils.training import (
    Interrupted,
    NonFiniteLoss,
    check_optimizer,
    evaluate,
    fit,
    lr_find,
)

CLASSES = ("a", "b", "c")


def blobs(n: int, seed: int) -> FeatureSet:
    """Three Gaussian blobs in four dimensions."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    features = torch.randn(n, 4, generator=generator) + 2 * F.one_hot(labels, 4)
    return FeatureSet(features, labels, CLASSES)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


TRAIN, VAL = blobs(50, 0), blobs(33, 1)


@pytest.mark.parametrize("val", [VAL, None], ids=["validated", "not validated"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_same_weights_as_a_loop_written_out(val, shuffle):
    model, oracle = network(), network()
    fit(
        model,
        TRAIN,
        val,
        epochs=3,
        batch_size=16,
        shuffle=shuffle,
        seed=7,
        restore_best=False,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
    )

    optimizer = torch.optim.SGD(oracle.parameters(), lr=0.1)
    order = torch.Generator().manual_seed(7)
    for _ in range(3):
        oracle.train()
        index = torch.randperm(50, generator=order) if shuffle else torch.arange(50)
        for part in index.split(16):
            optimizer.zero_grad()
            F.cross_entropy(oracle(TRAIN.features[part]), TRAIN.labels[part]).backward()
            optimizer.step()
    for name, value in oracle.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_the_same_seed_gives_the_same_run_and_leaves_the_global_generator_alone():
    runs = []
    for _ in range(2):
        model = nn.Sequential(nn.Dropout(0.5), *network())
        torch.manual_seed(99)
        runs.append(
            fit(model, TRAIN, VAL, epochs=2, seed=3, optimizer=torch.optim.Adam(model.parameters()))
        )
        after = torch.rand(1)
        torch.manual_seed(99)
        assert torch.equal(after, torch.rand(1))
    assert runs[0].train_loss == runs[1].train_loss


def test_history_counts_examples_not_batches():
    """Batches of 32 and 1: a mean of batch means would be far off. Rate 0 keeps the weights."""
    model = nn.Linear(4, 3)
    data = blobs(33, 0)
    history = fit(
        model,
        data,
        data,
        epochs=1,
        batch_size=32,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
    )
    with torch.no_grad():
        logits = model(data.features)
    assert history.train_loss[0] == pytest.approx(F.cross_entropy(logits, data.labels).item())
    assert history.train_accuracy[0] == (logits.argmax(1) == data.labels).sum().item() / 33
    assert history.val_accuracy[0] == pytest.approx(history.train_accuracy[0])


def test_without_validation_the_last_weights_stay_and_no_epoch_is_called_best():
    runs = [network(), network()]
    history = fit(
        runs[0],
        TRAIN,
        None,
        epochs=3,
        seed=7,
        optimizer=torch.optim.SGD(runs[0].parameters(), lr=2.0),
    )
    fit(
        runs[1],
        TRAIN,
        VAL,
        epochs=3,
        seed=7,
        restore_best=False,
        optimizer=torch.optim.SGD(runs[1].parameters(), lr=2.0),
    )
    assert torch.equal(runs[0][0].weight, runs[1][0].weight)
    assert history.val_loss == history.val_accuracy == [] and history.best_epoch is None
    assert len(history.train_loss) == len(history.seconds) == 3


def test_the_best_validation_epoch_is_restored():
    model = network()
    history = fit(
        model, TRAIN, VAL, epochs=8, optimizer=torch.optim.SGD(model.parameters(), lr=2.0)
    )
    assert max(history.val_accuracy) == history.val_accuracy[history.best_epoch]
    assert min(history.val_accuracy) < max(history.val_accuracy), "the run must go up and down"
    assert evaluate(model, VAL).accuracy == pytest.approx(max(history.val_accuracy))


def test_frozen_batchnorm_stays_in_eval_unless_asked_otherwise():
    for set_mode, expected in [(None, 0.0), (nn.Module.train, None)]:
        model = network()
        model[:2].requires_grad_(False)
        head = torch.optim.SGD(model[3].parameters(), lr=0.1)
        kwargs = {} if set_mode is None else {"set_mode": set_mode}
        fit(model, TRAIN, VAL, epochs=1, optimizer=head, **kwargs)
        moved = model[1].running_mean.abs().sum().item()
        assert moved == 0.0 if expected is not None else moved > 0.0


class Interrupting(FeatureSet):
    """Behaves like a FeatureSet, and like a learner who interrupts in the third epoch."""

    epochs = 0

    def batches(self, *args, **kwargs):
        Interrupting.epochs += 1
        if Interrupting.epochs == 3:
            raise KeyboardInterrupt
        return super().batches(*args, **kwargs)


@pytest.mark.parametrize("val", [VAL, None], ids=["validated", "not validated"])
@pytest.mark.parametrize("restore_best", [True, False])
def test_an_interrupt_ends_the_cell_and_keeps_what_the_message_says(val, restore_best):
    def run(net, train, epochs, restore_best):
        sgd = torch.optim.SGD(net.parameters(), lr=2.0)
        fit(net, train, val, epochs=epochs, restore_best=restore_best, optimizer=sgd)

    Interrupting.epochs = 0
    model, plain = network(), network()
    data = Interrupting(TRAIN.features, TRAIN.labels, CLASSES)
    with pytest.raises(KeyboardInterrupt) as caught:
        for _ in range(3):  # a loop of runs: the first one that is stopped is the last one
            run(model, data, 9, restore_best)
    history = caught.value.history
    assert Interrupting.epochs == 3
    assert history.stopped == "interrupted" and len(history.train_loss) == 2
    best = val is not None and restore_best
    assert (
        f"best weights so far (epoch {history.best_epoch}) are kept" in str(caught.value)
    ) == best
    assert ("the last weights are kept" in str(caught.value)) != best
    run(plain, TRAIN, 2, best)
    assert torch.equal(plain[0].weight, model[0].weight)


def test_an_interrupt_before_any_epoch_has_ended_claims_no_best_weights():
    Interrupting.epochs = 2
    model = network()
    data = Interrupting(TRAIN.features, TRAIN.labels, CLASSES)
    with pytest.raises(Interrupted, match="epoch 0: the last weights are kept"):
        fit(model, data, VAL, epochs=9, optimizer=torch.optim.Adam(model.parameters()))


def test_a_diverging_loss_is_named_and_the_best_weights_come_back():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda epoch: 1.0 if epoch < 2 else 1e38
    )
    with pytest.raises(NonFiniteLoss, match="learning rate too high") as caught:
        fit(model, TRAIN, VAL, epochs=9, optimizer=optimizer, scheduler=scheduler)
    assert len(caught.value.history.val_loss) >= 2
    assert all(torch.isfinite(p).all() for p in model.parameters())
    best = max(caught.value.history.val_accuracy)
    assert evaluate(model, VAL).accuracy == pytest.approx(best)


def test_nan_inputs_are_told_from_a_high_learning_rate():
    model = network()
    features = TRAIN.features.clone()
    features[0, 0] = math.nan
    broken = FeatureSet(features, TRAIN.labels, CLASSES)
    with pytest.raises(NonFiniteLoss, match="inputs already hold NaN"):
        fit(model, broken, VAL, epochs=1, optimizer=torch.optim.Adam(model.parameters()))


def test_what_stops_a_run_without_a_finished_epoch_loses_no_weights():
    """The epoch goes on after the loss is NaN, so by its end every weight is."""
    model = network()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters())
    features = TRAIN.features.clone()
    features[20, 0] = math.nan
    broken = FeatureSet(features, TRAIN.labels, CLASSES)
    with pytest.raises(NonFiniteLoss, match="epoch 0, step 2: the inputs") as caught:
        fit(model, broken, None, epochs=3, optimizer=optimizer, batch_size=10, shuffle=False)
    assert caught.value.history.stopped == "diverged"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    fit(model, TRAIN, VAL, epochs=1, optimizer=optimizer)  # it holds no NaN from that run


def test_an_interrupt_while_the_best_weights_come_back_waits_for_them():
    """As `lr_find` below: pressed once, Stop often finds itself pressed again."""
    model = network()
    model.register_load_state_dict_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        fit(model, TRAIN, VAL, epochs=8, optimizer=torch.optim.SGD(model.parameters(), lr=2.0))
    again = network()
    history = fit(
        again, TRAIN, VAL, epochs=8, optimizer=torch.optim.SGD(again.parameters(), lr=2.0)
    )
    assert history.best_epoch < 7, "the last weights must not be the best"
    assert torch.equal(again[0].weight, model[0].weight)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_lr_find_puts_back_what_it_took_however_often_stop_is_pressed():
    class Interrupting(FeatureSet):
        def batches(self, *args, **kwargs):
            yield from islice(super().batches(*args, **kwargs), 2)
            os.kill(os.getpid(), signal.SIGINT)
            yield from super().batches(*args, **kwargs)

    model = network()
    model.register_load_state_dict_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = copy.deepcopy(model.state_dict())
    data = Interrupting(TRAIN.features, TRAIN.labels, CLASSES)
    with pytest.raises(KeyboardInterrupt):
        lr_find(model, data, optimizer, batch_size=8, low=0.1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_plateau_scheduler_gets_the_validation_loss():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    history = fit(model, TRAIN, VAL, epochs=3, optimizer=optimizer, scheduler=scheduler)
    assert history.stopped == "finished" and scheduler.best == min(history.val_loss)
    history = fit(model, TRAIN, None, epochs=1, optimizer=optimizer, scheduler=scheduler)
    assert scheduler.best == min(scheduler.best, history.train_loss[0])
    with pytest.raises(ValueError, match="whole epoch"):
        fit(
            model, TRAIN, VAL, epochs=1, optimizer=optimizer, scheduler=scheduler, step_each="batch"
        )


def test_a_scheduler_that_counts_batches_is_stepped_after_each():
    model = network()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=2, steps_per_epoch=5)
    with pytest.raises(ValueError, match="OneCycleLR counts batches.*step_each='batch'"):
        fit(model, TRAIN, VAL, epochs=2, optimizer=optimizer, scheduler=scheduler)
    assert torch.equal(model[0].weight, before["0.weight"])
    fit(
        model,
        TRAIN,
        VAL,
        epochs=2,
        batch_size=10,
        optimizer=optimizer,
        scheduler=scheduler,
        step_each="batch",
    )
    assert scheduler.last_epoch == 10
    with pytest.raises(ValueError, match="step_each='step'"):
        fit(model, TRAIN, VAL, epochs=2, optimizer=optimizer, step_each="step")


def test_a_last_batch_of_one_is_refused_before_training():
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(ValueError, match="33 examples in batches of 32"):
        fit(model, blobs(33, 0), None, epochs=1, optimizer=optimizer)
    with pytest.raises(ValueError, match="33 examples in batches of 32"):
        lr_find(model, blobs(33, 0), optimizer)
    with pytest.raises(ValueError, match="batches of 1 "):
        fit(model, TRAIN, None, epochs=1, batch_size=1, optimizer=optimizer)
    model[1].requires_grad_(False)  # then it stays in eval mode, and takes one example
    fit(model, blobs(33, 0), None, epochs=1, optimizer=optimizer)


def test_a_dataloader_is_read_as_it_is():
    dataset = torch.utils.data.TensorDataset(TRAIN.features, TRAIN.labels)
    loader = torch.utils.data.DataLoader(dataset, batch_size=16)
    models = [network(), network()]
    for model, data in zip(models, [loader, TRAIN], strict=True):
        fit(
            model,
            data,
            VAL,
            epochs=2,
            batch_size=16,
            shuffle=False,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        )
    assert torch.equal(models[0][0].weight, models[1][0].weight)
    assert torch.equal(evaluate(model, loader).logits, evaluate(model, TRAIN).logits)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (torch.utils.data.DataLoader(range(3)), "DataLoader that gives a Tensor"),
        (iter([TRAIN.features]), "list_iterator"),
        (TRAIN.features, "got a Tensor"),
        (7, "got a int"),
    ],
    ids=["no pairs", "read once", "a tensor", "a number"],
)
def test_other_data_is_told_what_to_be(data, told):
    model = network()
    with pytest.raises(TypeError, match=f"{told}.*expected an ImageSet"):
        fit(model, data, None, epochs=1, optimizer=torch.optim.Adam(model.parameters()))


def test_lr_find_tells_nan_inputs_from_a_high_rate():
    model = network()
    features = TRAIN.features.clone()
    features[:, 0] = math.nan
    broken = FeatureSet(features, TRAIN.labels, CLASSES)
    with pytest.raises(NonFiniteLoss, match="inputs already hold NaN"):
        lr_find(model, broken, torch.optim.Adam(model.parameters()))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    assert len(lr_find(model, TRAIN, optimizer, low=1e37, high=1e38, steps=9)[0]) < 9


def test_an_optimizer_built_before_the_head_swap_is_refused():
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    model[3] = nn.Linear(8, 3)
    with pytest.raises(ValueError, match="3.weight.*built before"):
        fit(model, TRAIN, VAL, epochs=1, optimizer=optimizer)
    optimizer.add_param_group({"params": model[3].parameters()})
    with pytest.raises(
        ValueError, match=r"2 trainable tensors of the optimizer.*\[3, 8\].*old head"
    ):
        fit(model, TRAIN, VAL, epochs=1, optimizer=optimizer)
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter is frozen"):
        check_optimizer(model, optimizer)


@pytest.mark.parametrize("kwargs", [{"epochs": 0}, {"epochs": -1}])
def test_no_epochs_is_an_error(kwargs):
    model = network()
    with pytest.raises(ValueError, match="epochs"):
        fit(model, TRAIN, VAL, optimizer=torch.optim.Adam(model.parameters()), **kwargs)


def test_evaluation_of_the_batches_32_right_and_2_wrong_is_not_one_half():
    logits = torch.zeros(34, 2)
    logits[:, 0] = 1.0
    labels = torch.cat([torch.zeros(32), torch.ones(2)]).long()
    result = evaluate(nn.Identity().requires_grad_(False), FeatureSet(logits, labels, ("x", "y")))
    assert result.accuracy == pytest.approx(32 / 34)
    assert result.correct.sum() == 32
    assert torch.allclose(result.probabilities.sum(dim=1), torch.ones(34))


def test_evaluate_gives_tensors_that_autograd_accepts():
    result = evaluate(network(), VAL)
    nn.Linear(3, 1)(result.logits).sum().backward()


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        evaluate(network(), VAL[torch.arange(0)])


def test_lr_find_rises_and_puts_everything_back():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rates, losses = lr_find(model, TRAIN, optimizer, low=1e-5, high=10.0, steps=40)
    assert len(rates) == len(losses) <= 40
    ratios = [b / a for a, b in zip(rates, rates[1:], strict=False)]
    assert ratios == pytest.approx([(10.0 / 1e-5) ** (1 / 39)] * len(ratios))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert optimizer.param_groups[0]["lr"] == 3e-4 and not optimizer.state_dict()["state"]


def test_lr_find_goes_on_past_an_epoch_and_stops_at_four_times_the_lowest_loss():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    rates, losses = lr_find(model, TRAIN, optimizer, low=1e-6, high=1e-5, steps=12)
    assert len(losses) == 12 and rates[-1] == pytest.approx(1e-5)  # an epoch has two batches

    rates, losses = lr_find(model, TRAIN, optimizer, low=1e-3, high=1e6, steps=60)
    assert len(rates) == len(losses) < 60
    exceeds = [loss > 4 * min(losses[: n + 1]) for n, loss in enumerate(losses)]
    assert exceeds[-1] and not any(exceeds[:-1]) and math.isfinite(losses[-1])


def test_lr_find_puts_a_used_optimizer_back_even_when_it_is_interrupted():
    class Interrupting(FeatureSet):
        def batches(self, *args, **kwargs):
            yield from islice(super().batches(*args, **kwargs), 2)
            raise KeyboardInterrupt

    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    fit(model, TRAIN, None, epochs=1, optimizer=optimizer)  # momentum to lose
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    with pytest.raises(KeyboardInterrupt):
        lr_find(model, Interrupting(TRAIN.features, TRAIN.labels, CLASSES), optimizer, batch_size=8)
    assert all(parameter.grad is None for parameter in model.parameters())
    after = model.state_dict(), optimizer.state_dict()
    assert all(torch.equal(value, before[0][name]) for name, value in after[0].items())
    assert after[1]["param_groups"] == before[1]["param_groups"]
    for number, state in before[1]["state"].items():
        assert torch.equal(after[1]["state"][number]["momentum_buffer"], state["momentum_buffer"])


def test_lr_find_draws_the_same_dropout_for_the_same_seed_and_no_number_of_others():
    runs = []
    for start in (0, 1):
        model = nn.Sequential(nn.Dropout(0.5), *network())
        torch.manual_seed(start)
        expected = torch.rand(1)
        torch.manual_seed(start)
        runs.append(lr_find(model, TRAIN, torch.optim.Adam(model.parameters()), steps=5, seed=3))
        assert torch.equal(torch.rand(1), expected)
    assert runs[0] == runs[1]


def test_lr_find_on_an_empty_set_ends():
    model = network()
    with pytest.raises(ValueError, match="training set is empty"):
        lr_find(model, TRAIN[:0], torch.optim.Adam(model.parameters()))


def test_lr_find_refuses_a_range_that_is_none():
    model = network()
    with pytest.raises(ValueError, match="low"):
        lr_find(model, TRAIN, torch.optim.Adam(model.parameters()), low=1.0, high=0.1)
