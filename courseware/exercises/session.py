"""What a learner's function may change in the whole session, and a check puts back.

Files, threads that run on, and objects of the learner's own stay as they are.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from courseware.exercises.patches import patches_undone
from courseware.exercises.settings import of_libraries, of_python, of_signals
from courseware.exercises.torch_settings import of_torch


@contextmanager
def undisturbed(names: dict) -> Iterator[None]:
    """The session is afterwards as it was, and inside of it as if it had just begun: gradients
    recorded, float32, on the CPU, no autocast.

    Parameters
    ----------
    names : the learner's global names, see `patches.patches_undone`
    """
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(gpus), settings_kept(), patches_undone(names):
            if torch.get_default_device().type != "cpu":  # where it is set, every call takes longer
                torch.set_default_device("cpu")
            torch.set_default_dtype(torch.float32)
            torch.set_grad_enabled(True)
            torch.set_autocast_enabled("cpu", False)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


@contextmanager
def settings_kept() -> Iterator[None]:
    """Every setting of Python, PyTorch and what they use is afterwards as it was before."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        if "matplotlib" in sys.modules:
            stack.enter_context(sys.modules["matplotlib"].rc_context())
        for setting in [*of_python(), *of_signals(), *of_libraries(), *of_torch()]:
            stack.callback(setting.put_back, setting.read())
        yield
