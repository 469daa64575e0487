"""Settings of PyTorch: how each is read, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.nn.modules import module as of_modules
from torch.optim import optimizer as of_optimizers
from torch.overrides import _get_current_function_mode_stack as function_modes
from torch.overrides import _pop_mode as _pop_function_mode
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack as dispatch_modes
from torch.utils._python_dispatch import _pop_mode as _pop_dispatch_mode

from courseware.exercises.settings import Setting, attribute, contents

_UNDOING = []  # inference modes, each of which undoes one that was left open


def of_torch() -> Iterator[Setting]:
    yield Setting(torch.get_default_dtype, torch.set_default_dtype)
    yield Setting(torch.is_grad_enabled, torch.set_grad_enabled)
    yield Setting(torch.is_inference_mode_enabled, _set_inference_mode)
    yield Setting(torch.get_num_threads, torch.set_num_threads)
    yield Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    yield Setting(torch.is_warn_always_enabled, torch.set_warn_always)
    yield Setting(_anomaly, lambda modes: torch.autograd.set_detect_anomaly(*modes))
    yield Setting(_flushes_denormals, torch.set_flush_denormal)
    yield Setting(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode)
    yield attribute(torch.utils.deterministic, "fill_uninitialized_memory")
    yield attribute(torch.hub, "_hub_dir")
    yield contents(vars(torch._tensor_str.PRINT_OPTS))
    strategies = torch.multiprocessing
    yield Setting(strategies.get_sharing_strategy, strategies.set_sharing_strategy)
    yield from _of_autocast()
    yield from _of_hooks()
    yield from _of_backends()
    # Last, so that it is put back first: a mode left open would see all that is done above.
    yield Setting(torch.get_default_device, _set_default_device)
    yield Setting(function_modes, partial(_leave, function_modes, _pop_function_mode))
    yield Setting(dispatch_modes, partial(_leave, dispatch_modes, _pop_dispatch_mode))


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def _flushes_denormals() -> bool:
    """Nothing says so but a number that is too small for anything else."""
    return not torch.tensor(1e-323, dtype=torch.float64, device="cpu").item()


def _set_inference_mode(on: bool) -> None:
    _UNDOING.append(torch.inference_mode(on))  # it ends with the object
    _UNDOING[-1].__enter__()


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _leave(modes: Callable[[], list], pop: Callable, before: list) -> None:
    while len(modes()) > len(before):
        pop()


def _of_autocast() -> Iterator[Setting]:
    yield Setting(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled)
    for kind in ("cpu", "cuda"):
        yield Setting(
            partial(torch.is_autocast_enabled, kind), partial(torch.set_autocast_enabled, kind)
        )
        yield Setting(
            partial(torch.get_autocast_dtype, kind), partial(torch.set_autocast_dtype, kind)
        )
    yield Setting(_autocast_depth, _leave_autocast)


def _autocast_depth() -> int:
    depth = torch.autocast_increment_nesting() - 1  # it can only be read by changing it
    torch.autocast_decrement_nesting()
    return depth


def _leave_autocast(depth: int) -> None:
    while torch.autocast_decrement_nesting() > depth:
        pass
    torch.clear_autocast_cache()  # of weights in another precision


def _of_hooks() -> Iterator[Setting]:
    """Hooks that every module and every optimizer calls."""
    for owner in (of_modules, of_optimizers):
        for name, value in vars(owner).items():
            if name.startswith("_global_"):
                yield contents(value) if isinstance(value, dict) else attribute(owner, name)


def _of_backends() -> Iterator[Setting]:
    """Flags as ``torch.backends.cudnn.benchmark``, and the kinds of attention in use."""
    for backend in vars(torch.backends).values():
        for name, value in vars(type(backend)).items():
            if isinstance(value, torch.backends.ContextProp):
                yield attribute(backend, name)
    cuda = torch.backends.cuda
    for kind in ("flash", "mem_efficient", "math", "cudnn"):
        enabled, enable = getattr(cuda, f"{kind}_sdp_enabled"), getattr(cuda, f"enable_{kind}_sdp")
        yield Setting(enabled, enable)
