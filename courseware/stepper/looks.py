"""A value in a few words, with what is needed to notice that it changed."""

from __future__ import annotations

import numbers
import zlib
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import nn

from courseware.stepper.state import Look, Values, cut

LONGEST = 200  # characters of a description
FEW = 6  # values that are all shown
SMALL = 16  # values of a module that are all shown
EXACT = 1_000_000  # bytes up to which a tensor is hashed; beyond, its words are summed
MANY = 2_000  # entries of a container that are looked at


def look(value: object) -> Look:
    """A value in a few words. Keeps nothing of it, changes nothing, draws no random number."""
    try:
        words = next(words for kind, words in _KINDS.items() if isinstance(value, kind))
        return words(value)
    except Exception:  # no such kind; or an odd one, which must not end what is recorded
        return _other(value)


# --- tensors ---


def _shape(tensor) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"


def _values(tensor: torch.Tensor, in_words: bool) -> Values:
    """Cheap for a whole network, again and again.

    A tensor's version counter would not do: BatchNorm and fused optimizers write past it.
    """
    try:
        return Values(_contents(tensor), _numbers(tensor) if in_words else "")
    except (RuntimeError, TypeError, ValueError):  # on the meta device, sparse, not filled yet
        return Values(tensor._version)


def _contents(tensor: torch.Tensor) -> int:
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    if data.nbytes <= EXACT:
        return zlib.crc32(data.data)
    words = data[: data.nbytes // 8 * 8].view(np.uint64)
    return int(np.add.reduce(words)) + zlib.crc32(data[words.nbytes :].data)


def _numbers(tensor: torch.Tensor) -> str:
    tensor = tensor.detach()
    if tensor.numel() == 0:
        return "empty"
    if tensor.numel() <= FEW:
        return _nested(tensor.tolist())
    if tensor.dtype == torch.bool:
        return f"{int(tensor.sum())} of {tensor.numel()} are True"
    if tensor.is_complex():
        return f"{tensor.numel()} values"
    low, high, mean = tensor.min().item(), tensor.max().item(), tensor.double().mean().item()
    return f"{_number(low)} … {_number(high)}, mean {_number(mean)}"


def _nested(values) -> str:
    if isinstance(values, list):
        return f"[{', '.join(map(_nested, values))}]"
    return _number(values)


def _number(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _tensor(tensor: torch.Tensor) -> Look:
    kind = "parameter" if isinstance(tensor, nn.Parameter) else "tensor"
    dtype = str(tensor.dtype).removeprefix("torch.")
    words = [f"{kind} {_shape(tensor)} {dtype} on {tensor.device}"]
    words += [f"requires_grad={tensor.requires_grad}"]
    made_by = tensor.grad_fn.name() if tensor.grad_fn is not None else "no operation"
    if tensor.grad_fn is not None:
        words.append(f"made by {made_by}")
    marks = {
        "kind": kind,
        "shape": _shape(tensor),
        "dtype": dtype,
        "device": str(tensor.device),
        "requires_grad": str(tensor.requires_grad),
        "made by": made_by,
    }
    if tensor.is_leaf and tensor.requires_grad:
        marks["grad"] = "None" if tensor.grad is None else _numbers(tensor.grad)
        words.append(f"grad {marks['grad']}")
    if not tensor.is_meta:
        words.append(_numbers(tensor))
    return Look(" · ".join(words), marks | {"values": _values(tensor, tensor.numel() <= FEW)})


# --- modules and optimizers ---


def _module(module: nn.Module) -> Look:
    parameters, buffers = _named(module.named_parameters()), _named(module.named_buffers())
    gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    total = sum(p.numel() for p in parameters.values())
    learning = sum(p.numel() for p in parameters.values() if p.requires_grad)
    small = total + sum(b.numel() for b in buffers.values()) <= SMALL
    marks = {
        "class": type(module).__name__,
        "mode": _mode(module),
        "trainable": f"{'all' if learning == total else f'{learning:,} of'} {total:,} values",
        "parameters": _entries(parameters, small),
        "buffers": _entries(buffers, small),
        "gradients": _entries(gradients, small),
    }
    words: list[str] = [str(marks["class"]), str(marks["mode"])]
    if parameters:
        told = f"in {len(gradients)} of {len(parameters)} tensors" if gradients else "none"
        words += [f"trainable: {marks['trainable']}", f"gradients: {told}"]
    if small:
        words += [f"{name} {_numbers(t)}" for name, t in (parameters | buffers).items()]
    return Look(" · ".join(words), marks)


def _named(pairs) -> dict[str, torch.Tensor]:
    """By name. A module given a dotted name can hold two tensors of the same one: none is lost."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in pairs:
        while name in found:
            name += " (again)"
        found[name] = tensor
    return found


def _mode(module: nn.Module) -> str:
    modes = [part.training for part in module.modules()]
    if all(modes):
        return "train mode"
    if not any(modes):
        return "eval mode"
    return f"{sum(modes)} of {len(modes)} modules in train mode"


def _entries(tensors: dict[str, torch.Tensor], in_words: bool) -> dict[str, tuple[str, Values]]:
    return {name: (_shape(t), _values(t, in_words)) for name, t in tensors.items()}


def _optimizer(optimizer: torch.optim.Optimizer) -> Look:
    groups = []
    for group in optimizer.param_groups:
        values = sum(p.numel() for p in group["params"])
        groups.append(f"lr {_number(group['lr'])} for {values:,} values")
    kept = sum(any(torch.is_tensor(v) for v in of.values()) for of in optimizer.state.values())
    steps = max((int(of["step"]) for of in optimizer.state.values() if "step" in of), default=None)
    memory = f"{kept} tensors" if kept else "empty"
    memory += f", step {steps}" if steps is not None else ""
    marks = {"class": type(optimizer).__name__, "groups": " | ".join(groups), "memory": memory}
    return Look(f"{marks['class']} · {marks['groups']} · memory: {memory}", marks)


# --- everything else ---


def _short(value, depth: int = 1) -> str:
    """A value inside of a container."""
    if isinstance(value, torch.Tensor):
        return _numbers(value) if value.numel() == 1 else f"tensor {_shape(value)}"
    if isinstance(value, nn.Module | torch.optim.Optimizer):
        return type(value).__name__
    if isinstance(value, str):
        return repr(cut(value, 40))
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _container_text(value, depth - 1) if depth else f"{type(value).__name__} …"
    return cut(look(value).text, 40)


def _container_text(value, depth: int = 1) -> str:
    """The first entries, and how many there are."""
    entries = []
    for entry in value.items() if isinstance(value, Mapping) else value:
        if isinstance(value, Mapping):
            entries.append(f"{_short(entry[0])}: {_short(entry[1], depth)}")
        else:
            entries.append(_short(entry, depth))
        if sum(map(len, entries)) > LONGEST // 2:
            break
    more = f", … ({len(value)} entries)" if len(entries) < len(value) else ""
    left, right = next(tuple(pair) for kind, pair in _BRACKETS.items() if isinstance(value, kind))
    kind = "" if type(value) in _BRACKETS else f"{type(value).__name__} "
    return f"{kind}{left}{', '.join(entries)}{more}{right}"


_BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", Mapping: "{}", dict: "{}"}


def _container(value) -> Look:
    entries = list(value.items() if isinstance(value, Mapping) else value)[:MANY]
    if isinstance(value, Mapping):
        marks = {str(key): _mark(entry) for key, entry in entries}
    else:
        marks = {f"[{place}]": _mark(entry) for place, entry in enumerate(entries)}
    return Look(_container_text(value), {"entries": marks, "length": str(len(value))})


def _mark(value) -> tuple[str, Values]:
    """An entry of a container: its shape, or its type, and its values."""
    if isinstance(value, torch.Tensor):
        return _shape(value), _values(value, value.numel() <= FEW)
    if isinstance(value, nn.Module | torch.optim.Optimizer):
        return type(value).__name__, Values(0)
    if isinstance(value, Mapping | list | tuple):
        return "", Values(hash(repr(_container(value).marks)))
    words = _short(value)
    return "", Values(hash(words), words)


def _array(array: np.ndarray) -> Look:
    text = f"array {_shape(array)} {array.dtype}"
    if array.size <= FEW:
        text += f" · {_nested(array.tolist())}"
    return Look(text, {"shape": _shape(array), "values": Values(zlib.crc32(array.tobytes()))})


def _plain(value) -> Look:
    return Look(cut(_number(value) if isinstance(value, float) else repr(value), LONGEST))


def _path(path: PurePath) -> Look:
    """Its last part: the rest is about someone's machine."""
    return Look(f"path …/{path.name}")


def _other(value) -> Look:
    """Its own words where they are short and say no address, else its type."""
    name = type(value).__name__
    if isinstance(value, BaseException):
        return Look(cut(f"{name}: {value}", LONGEST))
    try:
        own = repr(value)
        size = f", {len(value)} long" if hasattr(type(value), "__len__") else ""
    except Exception:  # a half-made object may not know how to describe itself
        return Look(name)
    if callable(value) and hasattr(value, "__name__"):
        return Look(f"{name} {value.__name__}")
    if len(own) <= 80 and " at 0x" not in own and "\n" not in own:
        return Look(own)
    return Look(f"{name}{size}")


_KINDS: dict[Any, Callable[[Any], Look]] = {
    torch.Tensor: _tensor,
    nn.Module: _module,
    torch.optim.Optimizer: _optimizer,
    np.ndarray: _array,
    PurePath: _path,
    str: _plain,
    numbers.Number: _plain,
    Mapping: _container,
    (list, tuple, set, frozenset): _container,
}
