"""What every test gets: its own places for what the course keeps, a seed, and closed figures."""

import os
import random
import signal
import sys

os.environ.setdefault("MPLBACKEND", "agg")  # before matplotlib is imported anywhere

import numpy as np
import pytest
import torch

from course_utils.images import ImageSet

# A shell that starts pytest in the background has it ignore interrupts; tests of Stop send them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OUTSIDE = ("browser", "lessons")  # whole lessons run in kernels and keep what they decode


@pytest.fixture(autouse=True)
def own_places(request, monkeypatch, tmp_path_factory):
    """No test writes into the cache or the progress of whoever runs it."""
    if request.path.parent.name in OUTSIDE:
        return
    folder = tmp_path_factory.mktemp("places")
    monkeypatch.setenv("COURSE_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("COURSE_PROGRESS", str(folder / "progress.json"))


@pytest.fixture(autouse=True)
def same_random_numbers():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def figures_are_closed():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def random_images():
    """A maker of ImageSets: random uint8 pixels, labels 0, 1, …, 0, 1, … in turn."""

    def make(n: int = 10, size: int = 32, classes: int = 2, seed: int = 0, names=()) -> ImageSet:
        generator = torch.Generator().manual_seed(seed)
        shape = (n, 3, size, size)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        labels = torch.arange(n) % classes
        return ImageSet(pixels, labels, tuple("abcdefghij"[:classes]), names)

    return make
