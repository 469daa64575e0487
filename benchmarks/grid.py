"""The grid of lesson 8, trained for real: python3 course.py bench grid

Five strategies × 5, 20, 50, 100 photos a class × three domains × three seeds = 180 networks, and
before them a pilot that chooses each strategy's learning rate on validation photos. Every finished
network is written to data/results/grid.json at once: stopped, it goes on where it was. One process
a core, one thread each; on a GPU one process. The photos must be at hand.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

import numpy as np
import torch
import torchvision
from tqdm import tqdm

from benchmarks._arms import PILOT_RATES, Setting, train_arm
from course_utils.datasets.drawn.scenes import false_colour
from course_utils.datasets.flowers import Flowers, load_flowers
from course_utils.device import pick_device
from course_utils.images import ImageSet
from course_utils.measure import stopwatch
from course_utils.store import files
from course_utils.strategies.grid import DOMAINS, NAMES, Run, grid_path, load_runs, missing
from course_utils.training import evaluate
from course_utils.weights import course_weights, obtain

BACKBONE = "mobilenet_v2"
SIZE = 96  # pixels a side: half the work of 128
EPOCHS = {5: 20, 20: 12, 50: 8, 100: 6}  # by photos a class; the same for all strategies
MUST_AGREE = ("backbone", "size", "epochs", "rates")  # or the runs do not belong in one grid
PILOT_PHOTOS, PILOT_SEED = 20, 100  # the pilot's seed is none of the grid's


def shifted(images: ImageSet) -> ImageSet:
    """The same photos in false colours: brightness mapped to a heat scale, hue lost."""
    pixels = images.images.permute(0, 2, 3, 1).numpy().astype(np.float32) / 255
    heat = np.stack([(255 * false_colour(photo)).round().astype(np.uint8) for photo in pixels])
    return ImageSet(
        torch.from_numpy(heat).permute(0, 3, 1, 2).contiguous(), images.labels, images.classes
    )


@functools.cache
def domain_images(domain: str, size: int) -> Flowers:
    """Train, validation and test images of a domain; decoded once a process."""
    if domain == "drawn flowers":
        return load_flowers(size, source="rendered")
    photos = load_flowers(size, source="photos")
    if domain == "photos":
        return photos
    return Flowers(*(shifted(part) for part in (photos.train, photos.val, photos.test)), "photos")


def train_once(job: dict) -> dict:
    """One network: what was asked for, and what was measured. The test images are opened for the
    grid's runs only, never for the pilot's."""
    torch.set_num_threads(job["threads"])
    flowers = domain_images(job["domain"], job["size"])
    setting = Setting(
        flowers.train.per_class(job["photos"], seed=job["seed"]),
        flowers.val,
        job["epochs"],
        job["seed"],
        weights=course_weights(BACKBONE),
        device=pick_device(),
    )
    with stopwatch(setting.device) as watch:
        model = train_arm(job["strategy"], job["rate"], setting)
    scores = {"val_accuracy": evaluate(model, setting.val).accuracy}
    if not job["pilot"]:
        scores["accuracy"] = evaluate(model, flowers.test).accuracy
        scores["train_accuracy"] = evaluate(model, setting.train).accuracy
    kept = ("strategy", "photos", "domain", "seed", "rate")
    return {k: job[k] for k in kept} | scores | {"seconds": round(watch.seconds, 2)}


class Results:
    """The file of results: read at the start, written whole and in one step after every network."""

    def __init__(self, path: Path, conditions: dict):
        self.path = path
        runs, found = load_runs(path)
        self.runs = [vars(run) for run in runs]
        self.pilot = found.get("pilot", [])
        self.conditions = conditions | {k: v for k, v in found.items() if k == "minutes"}
        differ = [k for k in MUST_AGREE if found and found.get(k) != conditions[k]]
        if differ:
            raise SystemExit(
                f"{path.name} was made with other {', '.join(differ)}: runs of two kinds do not "
                "belong in one grid. Remove the file to begin anew, or name another with --output."
            )

    def chosen(self, strategy: str, domain: str) -> float:
        """The rate with the best validation accuracy in the pilot; of equals, the smallest."""
        tried = [r for r in self.pilot if (r["strategy"], r["domain"]) == (strategy, domain)]
        return max(sorted(tried, key=lambda r: r["rate"]), key=lambda r: r["val_accuracy"])["rate"]

    def add(self, result: dict, minutes: float) -> None:
        """Keep one result; ``minutes`` is what this call has taken since the last one was kept."""
        (self.runs if "accuracy" in result else self.pilot).append(result)
        self.conditions["minutes"] = round(self.conditions.get("minutes", 0) + minutes, 2)
        self.write()

    def write(self) -> None:
        def place(row: dict) -> tuple:
            return (
                row["seed"],
                DOMAINS.index(row["domain"]),
                row["photos"],
                NAMES.index(row["strategy"]),
                row["rate"],
            )

        rows = {name: sorted(getattr(self, name), key=place) for name in ("pilot", "runs")}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f'  "{k}": {json.dumps(v)}' for k, v in self.conditions.items()]
        for name, group in rows.items():
            body = ",\n".join(f"    {json.dumps(row)}" for row in group)
            lines.append(f'  "{name}": [\n{body}\n  ]' if group else f'  "{name}": []')
        files.write(self.path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def run_jobs(jobs: list[dict], workers: int, what: str) -> Iterator[dict]:
    """Results as they come, from one process or several."""
    with tqdm(total=len(jobs), desc=what) as bar:
        if workers == 1:
            for result in map(train_once, jobs):
                yield result
                bar.update()
            return
        # "spawn": a fork of a process that has used OpenMP may hang.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            # Ctrl-C is for this process: the workers inherit that it is ignored.
            answer = signal.signal(signal.SIGINT, signal.SIG_IGN)
            futures = [pool.submit(train_once, job) for job in jobs]
            signal.signal(signal.SIGINT, answer)
            try:
                for future in as_completed(futures):
                    yield future.result()
                    bar.update()
            except BaseException:
                for worker in active_children():
                    worker.terminate()
                pool.shutdown(cancel_futures=True)
                raise


def pilot_jobs(results: Results, common: dict) -> list[dict]:
    """Every strategy × rate × domain that the pilot has not tried yet."""
    done = {(r["strategy"], r["domain"], r["rate"]) for r in results.pilot}
    return [
        common
        | {
            "strategy": s,
            "domain": d,
            "rate": rate,
            "photos": PILOT_PHOTOS,
            "seed": PILOT_SEED,
            "epochs": EPOCHS[PILOT_PHOTOS],
            "pilot": True,
        }
        for d in DOMAINS
        for s in NAMES
        for rate in PILOT_RATES[s]
        if (s, d, rate) not in done
    ]


def grid_jobs(results: Results, common: dict) -> list[dict]:
    """Every cell of the grid that has not been trained yet, at the rate that the pilot chose."""
    runs = [Run(**row) for row in results.runs]
    return [
        common
        | {
            "strategy": s,
            "photos": n,
            "domain": d,
            "seed": seed,
            "epochs": EPOCHS[n],
            "rate": results.chosen(s, d),
            "pilot": False,
        }
        for s, n, d, seed in missing(runs)
    ]


def conditions(workers: int, threads: int) -> dict:
    """Where, when and how; what must be equal for runs to stand in one grid comes first."""
    return {
        "made_by": "python3 course.py bench grid",
        "backbone": BACKBONE,
        "size": SIZE,
        "epochs": {str(n): epochs for n, epochs in EPOCHS.items()},
        "rates": {name: list(rates) for name, rates in PILOT_RATES.items()},
        "device": str(pick_device()),
        "workers": workers,
        "threads": threads,
        "date": datetime.date.today().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def collect(results: Results, jobs: Iterable[dict], workers: int, what: str) -> None:
    """Train them all, keeping each the moment it is there."""
    last = time.perf_counter()
    for result in run_jobs(list(jobs), workers, what):
        now = time.perf_counter()
        results.add(result, (now - last) / 60)
        last = now


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="course.py bench grid", description=__doc__.splitlines()[0]
    )
    on_gpu = pick_device().type != "cpu"
    parser.add_argument("--workers", type=int, default=1 if on_gpu else os.cpu_count())
    parser.add_argument("--output", type=Path, default=grid_path())
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error(f"--workers {options.workers}: at least one")
    obtain(course_weights(BACKBONE))
    for domain in DOMAINS:
        domain_images(domain, SIZE)  # decoded here once, read from the cache by the workers
    threads = torch.get_num_threads() if options.workers == 1 else 1
    results = Results(options.output, conditions(options.workers, threads))
    common = {"size": SIZE, "threads": threads}
    collect(results, pilot_jobs(results, common), options.workers, "pilot")
    collect(results, grid_jobs(results, common), options.workers, "grid")
    print(
        f"{options.output.name}: {len(results.runs)} networks, "
        f"{results.conditions['minutes']:.0f} minutes in all"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
