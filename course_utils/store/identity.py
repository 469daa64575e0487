"""When two passes through a network must give the same: a key of all that the result depends on."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import BuiltinFunctionType, FunctionType

import torch
from torch import nn

# Their code changes with their versions only. torch.jit, torch.fx and torch.nn.parallel hold other
# people's code in classes of PyTorch's.
LIBRARIES = ("torch.nn.modules.", "torch.nn.functional", "torchvision.models.", "torchvision.ops.")
_MECHANICS = {*vars(nn.Module()), "training"}  # what every module has; the mode is set by the pass


class Unidentified(Exception):
    """The network's forward pass cannot be told from another one. The message says why."""


def key_of(model: nn.Module, pixels: torch.Tensor, settings: Iterable[str] = ()) -> str:
    """32 hexadecimal digits that change with whatever a pass in eval mode depends on.

    That is: each weight, buffer and pixel; each module's class, place and settings (stride, eps, a
    list of window sizes); the versions of PyTorch and torchvision; the code of the course; and
    ``settings``, as text. Not covered are threads and batch size, which change the last bits.

    Parameters
    ----------
    model : made of PyTorch's and torchvision's modules, on the CPU
    pixels : uint8, of any shape

    Raises
    ------
    Unidentified : a class of somebody else's, a hook, a replaced ``forward``, a setting that is no
        plain value, autocast, or another device
    """
    import torchvision  # takes as long as torch itself

    if torch.is_autocast_enabled("cpu"):
        raise Unidentified("autocast is on")
    digest = hashlib.blake2b(_code_version(), digest_size=16)
    # As a list, so that settings "a", "b" are not the setting "ab".
    digest.update(repr([torch.__version__, torchvision.__version__, *settings]).encode())
    # With repetitions: a module that is called in two places works twice.
    for path, module in model.named_modules(remove_duplicate=False):
        digest.update(repr((path, _described(module, path))).encode())
        for name, value in (*module._parameters.items(), *module._buffers.items()):
            digest.update(repr((name, None if value is None else _content(value))).encode())
    digest.update(_content(pixels.cpu()).encode())
    return digest.hexdigest()


@functools.cache
def _code_version() -> bytes:
    """A hash of the core's sources: what is noted, and how images are normalised."""
    sources = sorted(Path(__file__).parents[1].glob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).digest()


def _described(module: nn.Module, path: str) -> list[str]:
    kind, where = type(module), f"{path or 'the network'} ({type(module).__name__})"
    if not f"{kind.__module__}.".startswith(LIBRARIES):
        raise Unidentified(f"{where} is no module of PyTorch or torchvision")
    if not _full_name(kind.forward):
        raise Unidentified(f"the forward of {where} was replaced")
    if module._forward_hooks or module._forward_pre_hooks:
        raise Unidentified(f"{where} has a hook")
    settings = {name: value for name, value in vars(module).items() if name not in _MECHANICS}
    return [
        f"{kind.__module__}.{kind.__qualname__}",
        *(f"{name}={_plain(settings[name], f'{name} of {where}')}" for name in sorted(settings)),
    ]


def _plain(value: object, where: str) -> str:
    """A setting as text that is the same for the same value only."""
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return repr(value)
    if isinstance(value, torch.Tensor):
        return _content(value)
    if isinstance(value, functools.partial):
        value = [value.func, value.args, value.keywords]
    elif isinstance(value, dict):
        value = [*value.items()]
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({','.join(_plain(item, where) for item in value)})"
    if name := _full_name(value):
        return name
    raise Unidentified(f"the {where} is a {type(value).__name__}, which says too little")


def _full_name(value: object) -> str:
    """Of a class or function of the libraries whose name says all about it; "" of any other."""
    if isinstance(value, FunctionType):
        home = value.__globals__["__name__"]  # functools.wraps copies __module__, but not this
    elif isinstance(value, type | BuiltinFunctionType):
        home = value.__module__
    else:
        return ""
    # A lambda and a function in a function have names that say little.
    ours = "<" not in value.__qualname__ and f"{home}.".startswith(("torch._C", *LIBRARIES))
    return f"{home}.{value.__qualname__}" if ours else ""


def _content(tensor: torch.Tensor) -> str:
    """Kind, shape and a hash of the bytes; of any dtype, bfloat16 included."""
    plain = type(tensor) in (torch.Tensor, nn.Parameter) and tensor.layout == torch.strided
    if not plain or tensor.is_quantized or tensor.device.type != "cpu":
        raise Unidentified(f"its tensors are no plain ones on the CPU, but on {tensor.device}")
    whole = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    digest = hashlib.blake2b(whole.data, digest_size=16).hexdigest()
    return f"{tensor.dtype} {tuple(tensor.shape)} {digest}"
