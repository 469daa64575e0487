"""Where the computing happens: the device, its precision and layout, and random numbers.

No helper of the course moves a model. Each works where the model is, and sends the data there.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain

import numpy as np
import torch
from torch import nn


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: ``name``, else ``COURSE_DEVICE``, else a GPU, else the CPU.

    Raises
    ------
    ValueError : the device is unknown, or this machine does not have it
    """
    asked = name or os.environ.get("COURSE_DEVICE")
    found = torch.accelerator.current_accelerator(check_available=True)
    if not asked:
        return torch.device("cpu") if found is None else torch.device(found.type)
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"Unknown device {asked!r}. Expected cpu, cuda or mps.") from error
    if device.type == "cpu":
        return device
    count = torch.accelerator.device_count() if found and found.type == device.type else 0
    if (device.index or 0) >= count:
        there = f"{device.type}:0 to {device.type}:{count - 1}" if count else "none of that kind"
        raise ValueError(
            f"Device {asked!r} was asked for, and PyTorch finds {there} here. "
            "Use 'cpu', or leave COURSE_DEVICE unset."
        )
    return device


def device_of(model: nn.Module) -> torch.device:
    """Where the model is: the device of its first parameter or buffer; CPU if it has neither."""
    first = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def send(tensor: torch.Tensor, device: torch.device | str | None) -> torch.Tensor:
    """The tensor on ``device`` (None: where it is)."""
    if device is None or tensor.device == device:
        return tensor
    # To CUDA the copy is queued behind the work that is under way: Python need not wait for it.
    return tensor.to(device, non_blocking=torch.device(device).type == "cuda")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (all devices) with the same whole number."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Inside, PyTorch draws from ``seed``; afterwards its generators stand where they stood.

    The CPU's generator and that of ``device`` are meant; no other card is touched.
    """
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[], device_type="cuda"):
            torch.default_generator.manual_seed(seed)
            yield
        return
    with torch.random.fork_rng(devices=[device], device_type=device.type):
        torch.default_generator.manual_seed(seed)
        with torch.accelerator.device_index(device.index):
            torch.get_device_module(device).manual_seed(seed)
        yield


def precision(device: torch.device) -> torch.dtype:
    """What forward passes compute in: bfloat16 on CUDA cards that have it (compute capability 8
    and later, and AMD's), float16 on older ones, float32 on every other device."""
    if device.type != "cuda":
        # On a CPU bfloat16 was slower or gained nothing.
        return torch.float32
    if torch.version.hip or torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float16


def autocast(device: torch.device) -> AbstractContextManager:
    """Forward passes inside run in the `precision` of ``device``.

    Ask once, and enter the result as often as you like: asking a card costs time.
    """
    dtype = precision(device)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def grad_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Keeps small gradients from becoming 0 in float16; in any other precision it does nothing."""
    return torch.amp.GradScaler(device.type, enabled=precision(device) == torch.float16)


def image_layout(device: torch.device) -> torch.memory_format:
    """Channels-last where convolutions are quickest so, on the CPU and CUDA; else contiguous.

    On MPS channels-last gave wrong numbers and crashes in PyTorch's backward pass of BatchNorm.
    """
    quick = device.type in ("cpu", "cuda")
    return torch.channels_last if quick else torch.contiguous_format


def best_layout(model: nn.Module) -> torch.device:
    """Give the model the `image_layout` of the device where it is, and return that device.

    The parameters stay the objects they are, so an optimizer that holds them goes on holding them.
    """
    device = device_of(model)
    model.to(memory_format=image_layout(device))
    return device
