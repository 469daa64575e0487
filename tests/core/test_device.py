"""The device that is picked, and seeds."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from course_utils import device
from tests.pretend import PretendGPU


@pytest.fixture(autouse=True)
def no_device_asked_for(monkeypatch):
    monkeypatch.delenv("COURSE_DEVICE", raising=False)


def test_pick_device_order(monkeypatch):
    assert device.pick_device("cpu") == torch.device("cpu")
    for kind in ("cuda", "mps"):
        with PretendGPU(kind):
            assert device.pick_device() == device.pick_device(kind) == torch.device(kind)
            monkeypatch.setenv("COURSE_DEVICE", "cpu")
            assert device.pick_device() == torch.device("cpu")
            assert device.pick_device(kind) == torch.device(kind)
            monkeypatch.delenv("COURSE_DEVICE")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert device.pick_device() == torch.device("cpu")


def test_pick_device_refuses_what_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(ValueError, match="'cuda'.*finds none"):
        device.pick_device("cuda")
    with pytest.raises(ValueError, match="Unknown device 'gpu'"):
        device.pick_device("gpu")


def test_seed_everything_repeats_all_three_generators():
    def draw():
        device.seed_everything(7)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()
    device.seed_everything(8)
    assert torch.rand(1).item() != draw()[2]


def test_device_imports_nothing_else_of_the_course():
    code = (
        "import sys, course_utils.device; "
        "print(sorted(m for m in sys.modules if m.startswith('course_utils.')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['course_utils.device']"
