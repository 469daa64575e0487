"""The world's formulas against sampling, the batched training against a plain loop, the orders."""

import math

import pytest
import torch
from torch import nn

from course_utils.strategies import contest, networks
from course_utils.strategies.contest import (
    LOGISTIC,
    STRATEGIES,
    Comparison,
    Strategy,
    compare,
    pretrain,
    run_strategy,
    starting_layers,
    strategy_map,
    untrained,
)
from course_utils.strategies.networks import accuracy, batch_order, new_layers, train
from course_utils.strategies.world import (
    Samples,
    Task,
    World,
    source_samples,
    stream,
    target_samples,
)

WORLD = World()
SEEDS, TUNING = range(20), range(100, 104)


@pytest.fixture(scope="module")
def backbones():
    return pretrain(WORLD, SEEDS), pretrain(WORLD, TUNING)


@pytest.fixture(scope="module")
def few(backbones):
    return compare(Task(50), *backbones)


@pytest.fixture(scope="module")
def many(backbones):
    return compare(Task(900), *backbones)


# The world


@pytest.mark.parametrize("warp", [0.0, 0.5, 2.0])
def test_the_rendering_has_an_exact_inverse(warp):
    world = World(warp=warp)
    z = torch.randn(1000, world.size, generator=torch.Generator().manual_seed(0))
    x = world.render(z)
    assert torch.allclose(world.factors(x), z, atol=1e-5)
    folded = (x.norm(dim=1) - z.norm(dim=1)).abs().max()
    assert (folded < 1e-5) == (warp == 0)  # without folds it is a rotation


@pytest.mark.parametrize("relatedness", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_bayes_accuracy_and_source_ceiling_against_sampling(relatedness, noise):
    task, n = Task(2, relatedness, noise), 200_000
    _, test = target_samples(WORLD, task, [3], n)
    # The rule that knows everything: read the factors, take the sign along the seed's directions.
    z = WORLD.factors(test.x[0])
    generator = stream("target", 3)
    related, other = (torch.randn(2, generator=generator) for _ in range(2))
    related, other = related / related.norm(), other / other.norm()
    score = relatedness * z[:, :2] @ related + math.sqrt(1 - relatedness**2) * z[:, 2:4] @ other
    label = test.y[0, :, 0] > 0.5
    error = 4 * 0.5 / math.sqrt(n)
    assert ((score > 0) == label).float().mean() == pytest.approx(task.bayes, abs=error)
    source_only = ((z[:, :2] @ related > 0) == label).float().mean()
    assert source_only == pytest.approx(task.source_ceiling, abs=error)


def test_the_ends_of_the_relatedness_dial():
    assert Task(relatedness=0.0).source_ceiling == 0.5
    assert Task(relatedness=1.0).source_ceiling == pytest.approx(Task().bayes)
    seen = {}
    for relatedness in (0.0, 1.0):
        _, test = target_samples(WORLD, Task(2, relatedness, 0.0), [5], 20_000)
        z, y = WORLD.factors(test.x[0]), 2 * test.y[0] - 1
        seen[relatedness] = (z * y).mean(0).abs()  # what each factor tells about the label
    assert seen[0.0][:2].max() < 0.03 < seen[0.0][2:4].max()
    assert seen[1.0][2:].max() < 0.03 < seen[1.0][:2].max()


def test_source_labels_hang_on_the_source_factors_alone():
    samples = source_samples(WORLD, 20_000, [0])
    z, y = WORLD.factors(samples.x[0]), 2 * samples.y[0] - 1
    told = (z.T @ y / len(z)).abs()
    assert told[2:].max() < 0.03 < told[:2].max(0).values.min()


def test_only_the_number_of_points_changes_when_points_change():
    small, small_test = target_samples(WORLD, Task(50), [0, 1], 333)
    large, large_test = target_samples(WORLD, Task(900), [0, 1], 333)
    assert torch.equal(small_test.x, large_test.x) and torch.equal(small_test.y, large_test.y)
    assert torch.equal(small.x, large.x[:, :50]) and torch.equal(small.y, large.y[:, :50])
    assert not torch.equal(small.x[0], small.x[1])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Task(points=1), "points=1"),
        (lambda: Task(relatedness=1.2), "relatedness=1.2"),
        (lambda: Task(label_noise=0.5), "label_noise=0.5"),
        (lambda: World(source=0), "at least one"),
        (lambda: World(nuisance=3), "even number"),
        (lambda: World(warp=-1.0), "warp=-1"),
        (lambda: source_samples(WORLD, 10, []), "0 seeds"),
        (lambda: target_samples(WORLD, Task(), [-1]), "seed -1"),
        (lambda: target_samples(WORLD, Task(), [0], 0), "0 test points"),
        (lambda: stream("lottery", 0), "lottery"),
        (lambda: Strategy("old", ((1.0, (1.0,)),)), "start='old'"),
        (lambda: Strategy("raw", ((0.5, (1.0,)),)), "add up to 1"),
        (lambda: Strategy("random", ((1.0, (0.0, 0.0, 0.0)),)), "at least one above 0"),
        (lambda: Strategy("random", ((1.0, (1.0, 1.0)),)), "3 shares"),
        (lambda: compare(Task(), untrained(WORLD, [0, 1]), untrained(WORLD, [1])), r"\[1\]"),
        (lambda: compare(Task(), untrained(WORLD, [0]), untrained(World(seed=1), [1])), "world"),
    ],
)
def test_bad_input_is_told(make, says):
    with pytest.raises(ValueError, match=says):
        make()


# The training


def plain_loop(layers, x, y, order, rate, phases):
    """One seed, as everybody writes it: nn.Linear, torch.optim.Adam, requires_grad."""
    linears = []
    for weight, bias in layers:
        linear = nn.Linear(*weight.shape, dtype=weight.dtype)
        linear.load_state_dict({"weight": weight.T.clone(), "bias": bias[0].clone()})
        linears.append(linear)
    modules = [part for linear in linears for part in (linear, nn.ReLU())]
    model = nn.Sequential(*modules[:-1])
    groups = [{"params": list(linear.parameters())} for linear in linears]
    optimizer = torch.optim.Adam(groups, lr=rate)
    plan = [shares for share, shares in phases for _ in range(round(share * len(order)))]
    for step, (rows, shares) in enumerate(zip(order, plan, strict=True)):
        for linear, group, share in zip(linears, optimizer.param_groups, shares, strict=True):
            linear.requires_grad_(share > 0)
            group["lr"] = rate * share * (1 - step / len(order))
        optimizer.zero_grad(set_to_none=True)
        nn.BCEWithLogitsLoss()(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return linears


@pytest.mark.parametrize("name", STRATEGIES)
def test_batched_training_equals_a_plain_loop(name):
    seeds, phases = [0, 1, 2], STRATEGIES[name].phases
    samples, _ = target_samples(WORLD, Task(50), seeds, 10)
    samples = Samples(samples.x.double(), samples.y.double())
    start = starting_layers(STRATEGIES[name], untrained(WORLD, seeds))
    start = [(weight.double(), bias.double()) for weight, bias in start]
    order = batch_order(50, 60, 16, seeds)
    rates = torch.tensor([1e-3, 1e-2, 3e-2], dtype=torch.float64)
    before = [weight.clone() for weight, _ in start]
    trained = train(start, samples, order, rates, phases)
    assert all(torch.equal(a, b) for a, (b, _) in zip(before, start, strict=True))
    for s in range(3):
        alone = [(weight[s], bias[s]) for weight, bias in start]
        plain = plain_loop(alone, samples.x[s], samples.y[s], order[s], float(rates[s]), phases)
        for (weight, bias), linear in zip(trained, plain, strict=True):
            assert torch.allclose(weight[s], linear.weight.T, rtol=0, atol=1e-9)
            assert torch.allclose(bias[s, 0], linear.bias, rtol=0, atol=1e-9)
    moved = [not torch.equal(a, b) for a, (b, _) in zip(before, trained, strict=True)]
    assert moved == [any(shares[i] for _, shares in phases) for i in range(3)]


def test_several_labels_are_averaged_as_in_the_plain_loop():
    samples = source_samples(WORLD, 40, [4])
    samples = Samples(samples.x.double(), samples.y.double())
    start = [(w.double(), b.double()) for w, b in new_layers((WORLD.size, 8, 8, 12), [4])]
    order, phases = batch_order(40, 20, 8, [4]), ((1.0, (1.0, 1.0, 1.0)),)
    rates = torch.tensor([1e-2], dtype=torch.float64)
    weight, _ = train(start, samples, order, rates, phases)[-1]
    alone = [(w[0], b[0]) for w, b in start]
    plain = plain_loop(alone, samples.x[0], samples.y[0], order[0], 1e-2, phases)
    assert torch.allclose(weight[0], plain[-1].weight.T, rtol=0, atol=1e-9)


def test_every_epoch_sees_every_point_once():
    order = batch_order(50, 100, 32, [0, 1])
    assert order.shape == (2, 100, 32)
    epochs = order.flatten(1)[:, : 64 * 50].view(2, 64, 50)
    assert torch.equal(epochs.sort(-1).values, torch.arange(50).expand(2, 64, 50))
    assert not torch.equal(order[0], order[1])


def test_every_strategy_spends_the_same_steps(monkeypatch):
    calls = []
    real = networks._gradients
    count = lambda *args: calls.append(len(args[-1])) or real(*args)  # noqa: E731
    monkeypatch.setattr(networks, "_gradients", count)
    spent = {}
    for name, strategy in {**STRATEGIES, "logistic": LOGISTIC}.items():
        calls.clear()
        run_strategy(strategy, Task(20), untrained(WORLD, [0]), 1e-3)
        spent[name] = len(calls)
    assert set(spent.values()) == {contest.STEPS}


def test_same_seeds_same_figures_whoever_stands_beside():
    strategy, task = STRATEGIES["all"], Task(50)
    pair = run_strategy(strategy, task, untrained(WORLD, [3, 7]), 1e-3)
    again = run_strategy(strategy, task, untrained(WORLD, [3, 7]), 1e-3)
    alone = run_strategy(strategy, task, untrained(WORLD, [7]), 1e-3)
    assert torch.equal(pair, again)
    assert float(pair[1]) == pytest.approx(float(alone[0]), abs=0.003)  # rounding, not another run


def test_the_first_backbones_are_those_of_the_first_seeds():
    both, one = pretrain(WORLD, SEEDS[:2]).first(1), pretrain(WORLD, SEEDS[:1])
    assert both.seeds == one.seeds
    for kept, alone in zip(both.layers, one.layers, strict=True):
        torch.testing.assert_close(kept, alone)


def test_pretraining_learns_the_source_labels(backbones):
    # A new head on the frozen backbones: what they know about fresh points.
    score = run_strategy(STRATEGIES["head only"], Task(900, 1.0, 0.0), backbones[0], 8e-3)
    naive = run_strategy(
        STRATEGIES["head only"], Task(900, 1.0, 0.0), untrained(WORLD, SEEDS), 8e-3
    )
    assert score.mean() > 0.96 > naive.mean() + 0.03


# What the comparison must show


def test_with_many_points_the_pretrained_ones_lead_by_little(many):
    for name in ("head only", "last stage", "all", "probe, then all"):
        assert many.difference(name, "from scratch").low > 0
        assert many.interval("from scratch").mean > many.interval(name).mean - 0.04
    for name in ("last stage", "probe, then all"):
        assert many.interval(name).mean > many.task.bayes - 0.025
    assert max(float(many.accuracy[name].max()) for name in STRATEGIES) > many.task.bayes - 0.02


def test_with_few_points_the_order_turns_and_the_gaps_grow(few, many):
    assert few.difference("head only", "all").low > 0
    assert few.difference("last stage", "all").low > 0
    assert few.difference("all", "from scratch").low > 0.03
    # With a tuned rate the partial strategy stays with the probe: no difference to be seen.
    assert abs(few.difference("head only", "last stage").mean) < 0.01
    gap = few.difference("head only", "from scratch").mean
    assert gap > 3 * many.difference("head only", "from scratch").mean


def test_at_one_rate_for_all_the_more_that_learns_the_worse_with_few_points(backbones):
    accuracy = {n: run_strategy(s, Task(50), backbones[0], 8e-3) for n, s in STRATEGIES.items()}
    untuned = Comparison(Task(50), accuracy, {})
    assert untuned.difference("head only", "last stage").low > 0
    assert untuned.difference("last stage", "all").low > 0.02
    assert untuned.difference("all", "from scratch").low > 0


def test_an_unrelated_backbone_does_not_help_its_probe(backbones):
    lost = compare(
        Task(900, 0.0), *backbones, {n: STRATEGIES[n] for n in ("from scratch", "head only")}
    )
    assert lost.difference("from scratch", "head only").low > 0.05
    assert lost.interval("head only").mean < lost.task.bayes - 0.1


def test_the_naive_comparison_shows_nothing_about_pretraining():
    names = ("from scratch", "head only", "all")
    chosen = {name: STRATEGIES[name] for name in names} | {"logistic": LOGISTIC}
    naive = compare(Task(50), untrained(WORLD, SEEDS), untrained(WORLD, TUNING), chosen)
    assert torch.equal(naive.accuracy["all"], naive.accuracy["from scratch"])  # the same thing
    assert naive.difference("logistic", "head only").low > 0


def test_the_map_has_a_comparison_for_every_pair():
    probe = {"head only": STRATEGIES["head only"], "logistic": LOGISTIC}
    cells = strategy_map(
        [20, 40], [0.0, 1.0], untrained(WORLD, [0, 1]), untrained(WORLD, [9]), strategies=probe
    )
    assert list(cells) == [(20, 0.0), (20, 1.0), (40, 0.0), (40, 1.0)]
    assert all(cell.task == Task(*pair) for pair, cell in cells.items())
    first, second, difference = cells[20, 1.0].winner()
    assert {first, second} == set(probe) and difference.mean >= 0


def test_accuracy_counts_right_labels():
    layers = [(torch.tensor([[[1.0]]]), torch.zeros(1, 1, 1))]
    samples = Samples(
        torch.tensor([[[1.0], [2.0], [-1.0], [-3.0]]]), torch.tensor([[[1.0], [0.0], [0.0], [0.0]]])
    )
    assert accuracy(layers, samples).tolist() == [0.75]
