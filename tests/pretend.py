"""A GPU that is not there: real numbers on the CPU, and for each a note of where it claims to be.

`PretendGPU` notes for every tensor's storage the device it would be on. Operations are computed by
the CPU, so loops run and losses fall; but two devices in one operation, a NumPy array of what is on
the GPU, or an index on the GPU into what is not, raise what PyTorch raises on a real one. Fake
tensors (`FakeTensorMode`) check the same and hold no numbers: no lesson could run on them.

``waits`` counts how often Python had to wait for the device: a number read, a copy across.
``parameters`` counts the parameters of models that were moved to it.

What is noted holds in one thread, so work for a `ThreadPoolExecutor` is done at once, in this one.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from unittest import mock

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CPU = torch.device("cpu")
aten = torch.ops.aten
# These take tensors of two devices: copies, and indexing by positions that are on the CPU.
COPIES = {aten.copy_.default, aten.copy.default, aten._to_copy.default}
INDEXING = {
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._unsafe_index.Tensor,
    aten._index_put_impl_.default,
}
# Their result is a number, or has a size that depends on numbers: Python waits for them.
READS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.equal.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.is_nonzero.default,
    aten.unique_consecutive.default,
}
DEVICE_OF = torch.Tensor.device.__get__  # made anew each time: compare with ==


class PretendGPU:
    """``with PretendGPU() as gpu:`` inside, PyTorch finds ``count`` devices of ``kind``.

    Parameters
    ----------
    capability : of the CUDA cards; below (8, 0) they have no bfloat16
    """

    def __init__(self, kind: str = "cuda", count: int = 1, capability=(8, 0)):
        self.kind, self.count, self.capability = kind, count, capability
        self.waits = self.parameters = 0
        self._places: dict[int, tuple[StorageWeakRef, torch.device]] = {}
        self._known: dict[torch.device, torch.device] = {CPU: CPU}
        self.seeded: list[torch.device] = []

    def __enter__(self) -> PretendGPU:
        self._stack = ExitStack()
        for patch in self._patches():
            self._stack.enter_context(patch)
        self._stack.enter_context(_Operations(self))
        self._stack.enter_context(_Calls(self))
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def device(self, wanted) -> torch.device | None:
        """A device with its index; None for the CPU and others that are real."""
        if wanted is None or torch.device(wanted).type != self.kind:
            return None
        index = torch.device(wanted).index or 0
        if index >= self.count:
            raise RuntimeError(f"{self.kind.upper()} error: invalid device ordinal")
        return torch.device(self.kind, index)

    def place(self, tensor: torch.Tensor) -> torch.device:
        """Where a tensor claims to be."""
        with torch._C.DisableTorchFunction():
            if tensor.device.type != "cpu" or tensor.layout != torch.strided:
                return tensor.device
            storage = tensor.untyped_storage()
        # The weak reference keeps the address from being used again while it is noted here.
        found = self._places.get(storage._cdata)
        return CPU if found is None or found[0].expired() else found[1]

    def put(self, tensor: torch.Tensor, device: torch.device) -> None:
        """Note that a tensor, and all that share its storage, are on ``device``."""
        with torch._C.DisableTorchFunction():
            storage = tensor.untyped_storage()
        if len(self._places) > 50_000:
            live = {k: v for k, v in self._places.items() if not v[0].expired()}
            self._places = live
        # One object for each device: then `is` tells most of them apart, and costs nothing.
        self._places[storage._cdata] = (
            StorageWeakRef(storage),
            self._known.setdefault(device, device),
        )

    def _patches(self):
        module, autocast = getattr(torch, self.kind), torch.autocast
        here = mock.Mock(return_value=True)
        state = {
            "get_rng_state": lambda device=None: torch.zeros(1, dtype=torch.uint8),
            "set_rng_state": lambda state, device=None: None,
            "synchronize": lambda device=None: None,
            "manual_seed": lambda seed: self.seeded.append(self._current),
        }
        yield from (mock.patch.object(module, name, call) for name, call in state.items())
        accelerator = {
            "current_accelerator": lambda check_available=False: torch.device(self.kind),
            "is_available": here,
            "device_count": lambda: self.count,
            "synchronize": lambda device=None: None,
            "device_index": self._at,
            "current_stream": mock.MagicMock(**{"return_value.is_capturing.return_value": False}),
        }
        self._current = torch.device(self.kind, 0)
        for name, call in accelerator.items():
            yield mock.patch.object(torch.accelerator, name, call)
        yield mock.patch.object(ThreadPoolExecutor, "submit", _at_once)
        # A card computes in half precision inside autocast; the CPU can do the same.
        yield mock.patch.object(
            torch,
            "autocast",
            lambda kind, **kw: autocast("cpu" if kind == self.kind else kind, **kw),
        )
        if self.kind == "cuda":
            yield mock.patch.object(torch.cuda, "is_available", here)
            yield mock.patch.object(torch.cuda, "device_count", lambda: self.count)
            yield mock.patch.object(
                torch.cuda, "get_device_capability", lambda device=None: self.capability
            )
            yield mock.patch.object(torch.cuda, "get_device_name", lambda device=None: "Pretend")
        else:
            yield mock.patch.object(torch.backends.mps, "is_available", here)

    def _at(self, index):
        gpu = self

        class At:
            def __enter__(self):
                gpu._current = torch.device(gpu.kind, index or 0)

            def __exit__(self, *error):
                gpu._current = torch.device(gpu.kind, 0)

        return At()


def _at_once(pool, function, *args, **kwargs) -> Future:
    """In place of ``ThreadPoolExecutor.submit``; what is raised is raised here."""
    done: Future = Future()
    done.set_result(function(*args, **kwargs))
    return done


class _Operations(TorchDispatchMode):
    """Every operation, the backward pass's too: one device, and its results are there as well."""

    def __init__(self, gpu: PretendGPU):
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        # Below here nothing goes through `_Calls` again: a third of the cost of an operation.
        with torch._C.DisableTorchFunction():
            return self._run(func, args, kwargs or {})

    def _run(self, func, args, kwargs):
        gpu, given = self.gpu, _tensors((*args, *kwargs.values()))
        places = [gpu.place(t) for t in given]
        target = self._check(func, given, places)
        if target == CPU:
            return func(*args, **kwargs)
        gpu.waits += func in READS
        result = func(*args, **kwargs)
        for made in _tensors((result,)):
            if not any(made is t for t in given):
                gpu.put(made, target)
        return result

    def _check(self, func, given, places) -> torch.device:
        """The device of the result."""
        if not given:
            return CPU
        if all(p is places[0] for p in places):  # nearly always, and an optimizer has hundreds
            return places[0]
        if func in COPIES:
            if len(set(places)) > 1:
                self.gpu.waits += 1
            return places[0]
        if func in INDEXING and places[0] != CPU:
            # Positions may be on the CPU, and so may a value that is one number.
            rest = [p for t, p in zip(given, places, strict=True) if p != CPU]
            if any(p == CPU and t.dtype == torch.bool for t, p in zip(given, places, strict=True)):
                self.gpu.waits += 1
        else:
            several = [p for t, p in zip(given, places, strict=True) if t.ndim or p != CPU]
            rest = several or places
        if any(p != rest[0] for p in rest):
            found = " and ".join(sorted({str(p) for p in rest}, reverse=True))
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{found}! (when checking {func})"
            )
        return rest[0]


def _tensors(values) -> list[torch.Tensor]:
    """The tensors among an operation's arguments; they are nested in lists at most."""
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


class _Calls(TorchFunctionMode):
    """What names a device, or asks for one, above the operations."""

    def __init__(self, gpu: PretendGPU):
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func, types, args=(), kwargs=None):
        gpu, kwargs = self.gpu, dict(kwargs or {})
        if func == DEVICE_OF:
            return gpu.place(args[0])
        name = getattr(func, "__name__", "")
        if name == "__get__" and func in _FLAGS:
            return gpu.place(args[0]).type == _FLAGS[func]
        if func in (torch.Tensor.numpy, torch.Tensor.__array__):
            return self._numpy(func, args, kwargs)
        if func is torch.Tensor.__deepcopy__:  # copies the storage, below the operations
            copied = func(*args, **kwargs)
            if isinstance(copied, torch.Tensor) and gpu.place(args[0]).type == gpu.kind:
                gpu.put(copied, gpu.place(args[0]))
            return copied
        if func in (torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda):
            return self._move(func, args, kwargs)
        if func in (torch.Tensor.tolist,) and gpu.place(args[0]).type == gpu.kind:
            gpu.waits += 1
            with torch._C.DisableTorchFunction():
                return args[0].detach().tolist()
        device = gpu.device(kwargs.get("device"))
        if device is None:
            return func(*args, **kwargs)
        if any(isinstance(a, torch.Tensor) for a in args):
            result = func(*args, **kwargs | {"device": None})
            return self._moved(result, device, kwargs.get("non_blocking", False))
        result = func(*args, **kwargs | {"device": CPU})
        gpu.put(result, device)
        return result

    def _numpy(self, func, args, kwargs):
        place = self.gpu.place(args[0])
        if place.type == self.gpu.kind:
            if not kwargs.get("force"):
                raise TypeError(
                    f"can't convert {place} device type tensor to numpy. Use Tensor.cpu() to copy "
                    "the tensor to host memory first."
                )
            self.gpu.waits += 1
        return func(*args, **kwargs)

    def _move(self, func, args, kwargs):
        tensor, *rest = args
        if func is not torch.Tensor.to:
            wanted = CPU if func is torch.Tensor.cpu else torch.device(self.gpu.kind, 0)
            return self._moved(tensor, wanted, kwargs.get("non_blocking", False))
        if rest and isinstance(rest[0], torch.Tensor):
            return self._moved(tensor.to(rest[0].dtype), self.gpu.place(rest[0]), False)
        if rest and isinstance(rest[0], str | torch.device | int):
            kwargs["device"] = rest.pop(0)
        elif rest and rest[0] is None:
            rest.pop(0)
        wanted, waits = kwargs.pop("device", None), not kwargs.pop("non_blocking", False)
        if len(rest) > 1:  # as nn.Module.to calls it: dtype, non_blocking
            waits = not rest.pop(1)
        dtypes = [r for r in rest if isinstance(r, torch.dtype)]
        kwargs |= {"dtype": dtypes[0]} if dtypes else {}
        if kwargs:
            tensor = func(tensor, **kwargs)
        if wanted is None:
            return tensor
        wanted = torch.device(wanted)
        if wanted.type == "meta" or tensor.is_meta:
            return func(tensor, wanted)
        return self._moved(tensor, self.gpu.device(wanted) or wanted, not waits)

    def _moved(self, tensor: torch.Tensor, device: torch.device, free: bool) -> torch.Tensor:
        """The tensor on ``device``: itself, or a copy that shares nothing with it."""
        if self.gpu.place(tensor) == device:
            return tensor
        # From the CPU a copy may be queued; what comes back has to be waited for.
        self.gpu.waits += not (free and device.type == self.gpu.kind)
        self.gpu.parameters += isinstance(tensor, nn.Parameter) and device.type == self.gpu.kind
        return _Move.apply(tensor, device, self.gpu)


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor, device, gpu):
        ctx.gpu, ctx.before = gpu, gpu.place(tensor)
        copy = tensor.clone()
        gpu.put(copy, device)
        return copy

    @staticmethod
    def backward(ctx, gradient):
        copy = gradient.clone()
        ctx.gpu.put(copy, ctx.before)
        return copy, None, None


_FLAGS = {
    torch.Tensor.is_cuda.__get__: "cuda",
    torch.Tensor.is_cpu.__get__: "cpu",
    torch.Tensor.is_mps.__get__: "mps",
}
