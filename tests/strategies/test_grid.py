"""The grid: what is committed is complete and regenerable; reading, recommending, resuming."""

import importlib.util
import json
from dataclasses import replace

import pytest
import torch

from course_utils.images import ImageSet
from course_utils.stats import mean_interval
from course_utils.strategies.grid import (
    DOMAINS,
    NAMES,
    PHOTOS,
    SEEDS,
    Grid,
    GridError,
    Run,
    load_runs,
    missing,
    read_grid,
)
from course_utils.strategies.protocol import recommend
from tools.builder.lesson import ROOT

spec = importlib.util.spec_from_file_location("grid_bench", ROOT / "benchmarks" / "grid.py")
bench = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bench)

COSTS = {"head only": 6, "last stage": 12, "probe, then all": 60, "all": 100, "from scratch": 90}


def run(strategy, photos, domain, seed, accuracy=0.5) -> Run:
    return Run(strategy, photos, domain, seed, 1e-3, accuracy, accuracy, 1.0, COSTS[strategy])


@pytest.fixture
def grid() -> Grid:
    """The last stage is best by far, the head alone worst; all others lie between."""
    level = {"head only": 0.5, "last stage": 0.9}
    wobble = {0: 0.0, 1: 0.01, 2: -0.01}
    return Grid(
        tuple(
            run(s, n, d, seed, level.get(s, 0.7) + wobble[seed] * (1 + NAMES.index(s)))
            for s, n, d, seed in missing([])
        )
    )


def test_the_committed_grid_is_complete():
    grid = read_grid()
    assert len(grid.runs) == len(NAMES) * len(PHOTOS) * len(DOMAINS) * len(SEEDS) == 180
    for key in ("torch", "torchvision", "device", "date", "minutes", "cores", "made_by"):
        assert grid.conditions[key], key


def test_the_committed_grid_ran_at_rates_that_its_pilot_chose():
    content = json.loads((ROOT / "data" / "results" / "grid.json").read_text(encoding="utf-8"))
    tried = {}
    for row in content["pilot"]:
        assert "accuracy" not in row, "the pilot never opens the test images"
        key = row["strategy"], row["domain"]
        tried.setdefault(key, []).append((-row["val_accuracy"], row["rate"]))
    assert set(tried) == {(s, d) for s in NAMES for d in DOMAINS}
    for row in content["runs"]:
        assert row["rate"] == min(tried[row["strategy"], row["domain"]])[1]
        assert row["seed"] != bench.PILOT_SEED


def test_a_cell_its_interval_and_a_paired_difference(grid):
    cell = grid.accuracy("all", 20, "photos")
    assert cell == [run.accuracy for run in grid.cell("all", 20, "photos")]
    assert grid.interval("all", 20, "photos") == mean_interval(cell)
    other = grid.accuracy("head only", 20, "photos")
    by_hand = mean_interval([a - b for a, b in zip(cell, other, strict=True)])
    assert grid.difference("all", "head only", 20, "photos") == by_hand
    assert grid.seconds("all", 20, "photos") == COSTS["all"]
    assert len(grid.frame()) == 180


def test_the_winner_is_the_best_mean(grid):
    first, second, difference = grid.winner(50, "drawn flowers")
    assert first == "last stage" and second not in ("last stage", "head only")
    assert difference.low > 0


def test_what_was_not_measured_is_named(grid):
    with pytest.raises(GridError, match="measured were"):
        grid.cell("all", 7, "photos")


def test_a_hole_is_found(grid, tmp_path):
    file = tmp_path / "grid.json"
    rows = [vars(r) for r in grid.runs if (r.strategy, r.photos, r.seed) != ("all", 5, 2)]
    file.write_text(json.dumps({"date": "2026-11-21", "runs": rows}))
    assert missing(load_runs(file)[0]) == [("all", 5, domain, 2) for domain in DOMAINS]
    with pytest.raises(GridError, match="3 of the grid's runs are missing.*bench grid"):
        read_grid(file)


@pytest.mark.parametrize("text", ["{", '{"runs": [{"strategy": "all"}]}', "{}"])
def test_a_damaged_file_says_what_to_do(tmp_path, text):
    file = tmp_path / "grid.json"
    file.write_text(text)
    with pytest.raises(GridError, match=r"grid.json is damaged.*restore"):
        read_grid(file)


def test_the_guide_recommends_the_best(grid):
    advice = recommend(grid, 20, "photos")
    assert (advice.strategy, advice.also, advice.outside) == ("last stage", (), "")
    assert advice.evidence[0].startswith("last stage: 0.900")


def test_of_strategies_that_tie_the_guide_recommends_the_least_costly(grid):
    tied = [replace(r, accuracy=0.9 + 0.01 * ((r.seed + len(r.strategy)) % 3)) for r in grid.runs]
    advice = recommend(Grid(tuple(tied)), 20, "photos")
    assert advice.strategy == "head only"
    assert advice.also == ("last stage", "probe, then all", "from scratch", "all")


def test_a_tie_by_wide_intervals_does_not_cost_accuracy(grid):
    """The head alone varies so much that it cannot be told from the best; its mean is far below."""
    wild = {0: 0.95, 1: 0.6, 2: 0.8}
    runs = [
        replace(r, accuracy=wild[r.seed]) if r.strategy == "head only" else r for r in grid.runs
    ]
    advice = recommend(Grid(tuple(runs)), 20, "photos")
    assert advice.strategy == "last stage" and "head only" in advice.also


def test_time_leaves_out_what_takes_longer(grid):
    advice = recommend(grid, 20, "photos", minutes=0.15)
    assert advice.strategy == "head only" and not advice.also
    assert "last stage" in advice.caveats[1]
    assert "Nothing fits" in recommend(grid, 20, "photos", minutes=0.01).caveats[-1]


def test_the_guide_says_when_it_was_asked_something_else(grid):
    assert "2000 photos a class is far from" in recommend(grid, 2000, "photos").outside
    assert "was not measured" in recommend(grid, 20, "X-ray").outside
    assert not recommend(grid, 35, "photos").outside
    with pytest.raises(ValueError, match="at least one photo"):
        recommend(grid, 0, "photos")


def test_the_advice_can_be_read_in_both_forms(grid):
    advice = recommend(grid, 2000, "photos & more")
    assert "Outside of what was measured" in str(advice)
    assert "photos &amp; more" in advice._repr_html_()


# The command: small, but real.


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A grid of one size and one domain on noise at 32 px, with a network without weights."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (15, 3, 32, 32), dtype=torch.uint8, generator=generator)
    part = ImageSet(pixels, torch.arange(15) % 5, tuple("abcde"))
    flowers = bench.Flowers(part, part, part, "rendered")
    monkeypatch.setattr(bench, "domain_images", lambda domain, size: flowers)
    monkeypatch.setattr(bench, "course_weights", lambda name: None)
    monkeypatch.setattr(bench, "obtain", lambda weights: None)
    monkeypatch.setattr(bench, "PILOT_RATES", {s: (1e-3, 1e-4) for s in NAMES})
    monkeypatch.setattr(bench, "EPOCHS", {n: 2 for n in PHOTOS})
    monkeypatch.setattr(bench, "PILOT_PHOTOS", 5)
    wanted = [(s, 5, "photos", 0) for s in NAMES]
    monkeypatch.setattr(bench, "DOMAINS", ("photos",))
    monkeypatch.setattr(
        bench, "missing", lambda runs: [c for c in wanted if c not in {key(r) for r in runs}]
    )
    monkeypatch.setattr(ImageSet, "per_class", lambda self, n, seed=0: self)
    return tmp_path / "grid.json"


def key(run: Run) -> tuple:
    return run.strategy, run.photos, run.domain, run.seed


def test_the_command_trains_every_arm_and_goes_on_where_it_stopped(tiny, monkeypatch):
    real, calls = bench.train_once, []

    def stops_after_twelve(job):
        if len(calls) == 12:
            raise KeyboardInterrupt
        calls.append(job)
        return real(job)

    monkeypatch.setattr(bench, "train_once", stops_after_twelve)
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--workers", "1", "--output", str(tiny)])
    kept = json.loads(tiny.read_text())
    assert (len(kept["pilot"]), len(kept["runs"])) == (10, 2)

    monkeypatch.setattr(bench, "train_once", lambda job: calls.append(job) or real(job))
    assert bench.main(["--workers", "1", "--output", str(tiny)]) == 0
    done = json.loads(tiny.read_text())
    assert len(calls) == 15, "nothing is trained twice"
    assert [row["strategy"] for row in done["runs"]] == list(NAMES)
    assert done["runs"][:2] == kept["runs"], "what was kept is as it was"
    assert all(0 <= row["accuracy"] <= 1 for row in done["runs"])
    before = tiny.read_text()
    bench.main(["--workers", "1", "--output", str(tiny)])
    assert json.loads(tiny.read_text())["runs"] == json.loads(before)["runs"]


def test_runs_of_two_kinds_do_not_mix(tiny, monkeypatch):
    bench.Results(tiny, bench.conditions(1, 1)).write()
    monkeypatch.setattr(bench, "SIZE", 64)
    with pytest.raises(SystemExit, match="made with other size"):
        bench.Results(tiny, bench.conditions(1, 1))


def test_shifted_photos_keep_brightness_and_lose_hue():
    grey = torch.arange(0, 256, 51, dtype=torch.uint8)
    images = grey.repeat(3, 1)[None, :, None].repeat(1, 1, 6, 1)  # one grey ramp
    coloured = bench.shifted(ImageSet(images, torch.tensor([0]), ("a",))).images
    assert coloured.dtype == torch.uint8 and coloured.shape == images.shape
    total = coloured[0].int().sum(0)[0]
    assert (total.diff() > 0).all(), "brighter stays brighter"
    assert not torch.equal(coloured[0, 0], coloured[0, 2]), "and is no longer grey"
