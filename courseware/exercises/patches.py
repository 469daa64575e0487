"""Functions of Python and of PyTorch that a learner's function replaced, and a check puts back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType

# With all that is in them, but not what they keep to themselves.
PACKAGES = {
    *("builtins", "copy", "math", "numpy", "os", "PIL", "random", "sys", "time"),
    *("torch", "torchvision", "course_utils", "courseware"),
}


@contextmanager
def patches_undone(names: dict) -> Iterator[None]:
    """Afterwards no function, method or class of `PACKAGES` is another one than before.

    Parameters
    ----------
    names : the learner's global names, of which none may be missing afterwards; what is new, or
        has another value, is theirs
    """
    modules, kept = _modules(), dict(names)
    before = [(owner, dict(vars(owner))) for owner in _owners(modules.values())]
    try:
        yield
    finally:
        names.update({name: kept[name] for name in kept.keys() - names.keys()})
        sys.modules.update(modules)
        for owner, known in before:
            _put_back(owner, known, names)


def _modules() -> dict[str, ModuleType]:
    found = {}
    for name, module in list(sys.modules.items()):
        package, *inside = name.split(".")
        if package in PACKAGES and not any(part.startswith("_") for part in inside):
            found[name] = module
    return {name: module for name, module in found.items() if isinstance(module, ModuleType)}


def _owners(modules) -> list:
    """The modules, and the classes in them."""
    inside = (value for module in modules for value in vars(module).values())
    # Not isinstance: that asks the value, and what is deprecated warns when it is asked.
    classes = {id(value): value for value in inside if issubclass(type(value), type)}
    return [*modules, *classes.values()]


def _put_back(owner, known: dict, names: dict) -> None:
    now = vars(owner)
    for name, value in known.items():
        # Only what is called: other values change in the ordinary course of things.
        if now.get(name, known) is not value and (callable(value) or hasattr(value, "__get__")):
            setattr(owner, name, value)
    for name in now.keys() - known.keys():
        if isinstance(now[name], FunctionType) and now[name].__globals__ is names:
            delattr(owner, name)
