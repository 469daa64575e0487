"""After a check the session is as before, whatever the learner's function did to it."""

import builtins
import gc
import locale
import logging
import os
import random
import signal
import sys
import warnings

import matplotlib
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.optim import optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from courseware.exercises.session import undisturbed

NAMES = {}  # stands for the global names of the learner's notebook
LEFT_OPEN = []


def opened(mode):
    """Enters a context that is never left."""
    LEFT_OPEN.append(mode)
    mode.__enter__()


def x():
    return torch.ones(2, 2)


# What a function does, and what is to be seen of it.
CHANGES = {
    "folder": (lambda: os.chdir("/"), os.getcwd),
    "environment": (lambda: os.environ.update(COURSE_X="1", HOME="/x"), lambda: dict(os.environ)),
    "umask": (lambda: os.umask(0o377), lambda: (m := os.umask(0), os.umask(m))),
    "path": (lambda: sys.path.clear(), lambda: list(sys.path)),
    "output": (lambda: setattr(sys, "stdout", None), lambda: sys.stdout),
    "garbage": (
        lambda: (gc.disable(), gc.set_threshold(1)),
        lambda: (gc.isenabled(), gc.get_threshold()),
    ),
    "warnings": (lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters)),
    "logging": (
        lambda: (logging.disable(50), logging.root.setLevel(7)),
        lambda: (logging.root.manager.disable, logging.root.level),
    ),
    "locale": (
        lambda: locale.setlocale(locale.LC_ALL, "C"),
        lambda: locale.setlocale(locale.LC_ALL),
    ),
    "signal": (
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGTERM),
    ),
    "alarm": (lambda: signal.alarm(5), lambda: signal.getitimer(signal.ITIMER_REAL)),
    "switch interval": (lambda: sys.setswitchinterval(1), sys.getswitchinterval),
    "trace": (lambda: sys.settrace(lambda *_: None), sys.gettrace),
    "random": (lambda: random.seed(3), random.getstate),
    "random of NumPy": (lambda: np.random.seed(3), lambda: np.random.get_state()[1].tolist()),
    "random of PyTorch": (lambda: torch.manual_seed(3), lambda: torch.get_rng_state().tolist()),
    "NumPy": (
        lambda: (np.seterr(all="raise"), np.set_printoptions(precision=1)),
        lambda: (np.geterr(), np.get_printoptions()),
    ),
    "pictures": (lambda: setattr(Image, "MAX_IMAGE_PIXELS", 1), lambda: Image.MAX_IMAGE_PIXELS),
    "figures": (
        lambda: matplotlib.rcParams.update({"font.size": 40}),
        lambda: matplotlib.rcParams["font.size"],
    ),
    "dtype": (lambda: torch.set_default_dtype(torch.float64), lambda: x().dtype),
    "device": (lambda: torch.set_default_device("meta"), lambda: x().device),
    "device left open": (lambda: opened(torch.device("meta")), lambda: x().device),
    "gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "no_grad left open": (lambda: opened(torch.no_grad()), torch.is_grad_enabled),
    "inference mode": (lambda: opened(torch.inference_mode()), lambda: x().is_inference()),
    "autocast": (
        lambda: opened(torch.autocast("cpu", torch.bfloat16)),
        lambda: ((x() @ x()).dtype, torch.is_autocast_enabled("cpu"), depth()),
    ),
    "threads": (
        lambda: torch.set_num_threads(torch.get_num_threads() + 1),
        torch.get_num_threads,
    ),
    "deterministic": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        torch.get_deterministic_debug_mode,
    ),
    "precision": (
        lambda: torch.set_float32_matmul_precision("medium"),
        torch.get_float32_matmul_precision,
    ),
    "anomalies": (lambda: torch.autograd.set_detect_anomaly(True), torch.is_anomaly_enabled),
    "denormals": (
        lambda: torch.set_flush_denormal(True),
        lambda: repr(torch.tensor(1e-323, dtype=torch.float64).item()),
    ),
    "printing": (lambda: torch.set_printoptions(precision=1), lambda: repr(torch.tensor(1 / 3))),
    "hub": (lambda: torch.hub.set_dir("/x"), torch.hub.get_dir),
    "backend": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: torch.backends.cudnn.benchmark,
    ),
    "attention": (
        lambda: torch.backends.cuda.enable_math_sdp(False),
        torch.backends.cuda.math_sdp_enabled,
    ),
    "torchvision": (
        lambda: torchvision.set_image_backend("accimage"),
        torchvision.get_image_backend,
    ),
    "hook of all modules": (
        lambda: nn.modules.module.register_module_forward_hook(lambda m, i, o: o * 0),
        lambda: nn.Identity()(x()).sum().item(),
    ),
    "hook of all optimizers": (
        lambda: optimizer.register_optimizer_step_pre_hook(print),
        lambda: len(optimizer._global_optimizer_pre_hooks),
    ),
    "function mode": (lambda: opened(Zeros()), lambda: torch.add(x(), x()).sum().item()),
    "dispatch mode": (lambda: opened(Counting()), lambda: Counting.seen(x)),
    "patched function": (lambda: setattr(F, "relu", None), lambda: F.relu),
    "patched method": (
        lambda: setattr(nn.Linear, "forward", lambda s, x: x),
        lambda: nn.Linear.forward,
    ),
    "patched tensor": (
        lambda: setattr(torch.Tensor, "backward", print),
        lambda: torch.Tensor.backward,
    ),
    "patched builtin": (lambda: setattr(builtins, "len", lambda x: 3), lambda: len([])),
    "deleted method": (lambda: delattr(nn.Module, "eval"), lambda: hasattr(nn.Module, "eval")),
    "new method": (
        lambda: exec("def own(self): ...\nnn.Module.freeze = own", NAMES),
        lambda: hasattr(nn.Module, "freeze"),
    ),
    "replaced module": (
        lambda: sys.modules.pop("torch.nn.functional"),
        lambda: sys.modules.get("torch.nn.functional"),
    ),
    "learner's names": (lambda: NAMES.clear(), lambda: dict(NAMES)),
}


class Zeros(TorchFunctionMode):
    """Every function of PyTorch gives zeros."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **kwargs or {}) * 0


class Counting(TorchDispatchMode):
    """Counts the operations."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        Counting.count += 1
        return func(*args, **kwargs or {})

    @classmethod
    def seen(cls, work):
        before = cls.count
        work()
        return cls.count - before


def depth():
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_function_changes_is_put_back(name):
    change, see = CHANGES[name]
    NAMES.update(kept=1, nn=nn)
    before = see()
    with undisturbed(NAMES):
        change()
        assert see() != before, "the change is not to be seen: the test could not fail"
    assert see() == before
