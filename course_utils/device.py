"""Where the computing happens: the device, its precision, and random numbers."""

from __future__ import annotations

import os
import random

import numpy as np
import torch


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: ``name``, else ``COURSE_DEVICE``, else CUDA, MPS or the CPU.

    Raises:
        ValueError: the device is unknown, or this machine does not have it.
    """
    asked = name or os.environ.get("COURSE_DEVICE")
    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not asked:
        return torch.device(next((kind for kind, here in usable.items() if here), "cpu"))
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"Unknown device {asked!r}. Expected cpu, cuda or mps.") from error
    if not usable.get(device.type, device.type == "cpu"):
        raise ValueError(
            f"Device {asked!r} was asked for, and PyTorch finds none here. "
            "Use 'cpu', or leave COURSE_DEVICE unset."
        )
    return device


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (all devices) with the same whole number."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def autocast(device: torch.device):
    # bfloat16 needs no gradient scaling. On a CPU it was slower or gained nothing, so it is used
    # only where CUDA computes it natively.
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=native)
