"""Backbone and head: find them, freeze them, swap them, and see what state they hold.

Works on any torchvision classifier. Nothing here looks for a layer by a piece of its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Head:
    """The last classifying layer of a model and where it hangs.

    ``name`` is its dotted path, ``parent`` the module that holds it under ``attribute``.
    ``in_features`` is the width of the feature vector, ``out_features`` the number of classes.
    """

    name: str
    module: nn.Module
    parent: nn.Module
    attribute: str
    in_features: int
    out_features: int


def find_head(model: nn.Module) -> Head:
    """The last `nn.Linear` in definition order or, where a model has none behind its last
    convolution (SqueezeNet), that convolution.

    In every torchvision classifier the layer defined last is the one that gives the logits
    (`tests/core/test_surgery.py` checks all families).

    Raises
    ------
    ValueError : the model ends in neither
    """
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no Linear or Conv2d layer, so there is no head to find; "
            "give a classifier such as torchvision's resnet18()"
        )
    name, module = layers[-1]
    parent_name, _, attribute = name.rpartition(".")
    if isinstance(module, nn.Linear):
        sizes = module.in_features, module.out_features
    else:
        sizes = module.in_channels, module.out_channels
    return Head(name, module, model.get_submodule(parent_name), attribute, *sizes)


def replace_head(model: nn.Module, num_classes: int) -> None:
    """Put a new, randomly initialised and trainable head of ``num_classes`` in place of the old.

    Same kind of layer, same input width, same device and dtype, bias as the old one had it;
    everything else (a dropout in front of it, say) stays. Build the optimizer *after* this call:
    one built before holds the old head's tensors.

    Raises
    ------
    ValueError : num_classes < 1
    """
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"got num_classes={num_classes!r}; expected a whole number of at least 1")
    head = find_head(model)
    old = head.module
    settings = {"bias": old.bias is not None,
                "device": old.weight.device, "dtype": old.weight.dtype}  # fmt: skip
    if isinstance(old, nn.Linear):
        new = nn.Linear(head.in_features, num_classes, **settings)
    else:
        new = nn.Conv2d(head.in_features, num_classes, old.kernel_size, old.stride, **settings)
    setattr(head.parent, head.attribute, new)
    if hasattr(model, "num_classes"):  # SqueezeNet and ViT keep the number; keep it true
        model.num_classes = num_classes


# where families keep their blocks; what comes before them is the stem
_BLOCK_PATHS = ("features", "layers", "encoder.layers", "trunk_output", "blocks")


def stages(model: nn.Module) -> dict[str, nn.Module]:
    """The backbone as named parts in forward order: disjoint, and together all but the head.

    For a network that keeps its blocks in one sequence (MobileNet, EfficientNet, ConvNeXt, ViT,
    Swin, VGG …) each block is a stage, named by its path (``features.3``); for one that has named
    children (ResNet's ``layer1`` … ``layer4``) each child is. Parts without parameters (pooling,
    activations) belong to no stage: there is nothing to freeze in them. Nor do parameters that hang
    on no layer (ViT's class token and position embedding): see `loose_parameters`.

    Returns
    -------
    dict from dotted path to module
    """
    head = find_head(model).module
    found: dict[str, nn.Module] = {}
    for name, module in _parts(model):
        if module is not head and any(True for _ in module.parameters()):
            found[name] = module
    return found


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Children in forward order, with block sequences opened one level and whatever holds the
    head opened down to it."""
    head = find_head(model).module
    paths = {id(m): n for n, m in model.named_modules()}

    def walk(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        for child in module.children():
            name = paths[id(child)]
            holds_head = any(m is head for m in child.modules())
            opens = any(name == p or p.startswith(name + ".") for p in _BLOCK_PATHS)
            if child is not head and (holds_head or opens):
                yield from walk(child)
            else:
                yield name, child

    yield from walk(model)


def loose_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters of no stage and not of the head: ViT's class token and position embedding.

    They enter before the first block, so they are frozen and unfrozen with the first stage.
    """
    parts = [*stages(model).values(), find_head(model).module]
    placed = {id(p) for part in parts for p in part.parameters()}
    return [p for p in model.parameters() if id(p) not in placed]


def freeze(module: nn.Module) -> None:
    """No gradient for any parameter of ``module``; leftover gradients are dropped.

    Without the second half, an optimizer that already holds these tensors would still move them
    in its next step, by the gradient of the last backward pass.
    """
    _freeze(module.parameters())


def _freeze(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.requires_grad_(False)
        parameter.grad = None


def unfreeze(module: nn.Module) -> None:
    """Gradients for every parameter of ``module``."""
    module.requires_grad_(True)


def freeze_backbone(model: nn.Module) -> None:
    """Freeze all parameters but the head's, whatever their flags were before."""
    head = find_head(model).module
    kept = {id(p) for p in head.parameters()}
    _freeze(p for p in model.parameters() if id(p) not in kept)
    unfreeze(head)


def unfreeze_from(model: nn.Module, stage: str) -> None:
    """Freeze the stages before ``stage``; make it, the later ones and the head trainable.

    Raises
    ------
    ValueError : no such stage; the message names those there are
    """
    names = list(stages(model))
    if stage not in names:
        raise ValueError(f"no stage {stage!r}; {type(model).__name__} has {', '.join(names)}")
    freeze_backbone(model)
    for name in names[names.index(stage) :]:
        unfreeze(model.get_submodule(name))
    if stage == names[0]:
        for parameter in loose_parameters(model):
            parameter.requires_grad_(True)


def param_groups(
    model: nn.Module, *, head_lr: float, backbone_lr: float, decay: float = 1.0
) -> list[dict]:
    """Trainable parameters as optimizer groups: head first, then the stages from last to first.

    The stage nearest the head gets ``backbone_lr``, each earlier one ``decay`` times the next
    (1.0: one rate for the whole backbone). Frozen tensors are left out, empty groups too.
    Groups hold lists, not generators, so a second optimizer can be made from them.

    Raises
    ------
    ValueError : nothing is trainable

    Source: discriminative fine-tuning, Howard & Ruder 2018, https://arxiv.org/abs/1801.06146
    """
    groups = [_group("head", find_head(model).module.parameters(), head_lr)]
    backbone = [(name, module.parameters()) for name, module in reversed(stages(model).items())]
    # Loose parameters enter before the first stage, so they come after it in this order.
    backbone.append(("loose", loose_parameters(model)))
    for depth, (name, parameters) in enumerate(backbone):
        groups.append(_group(name, parameters, backbone_lr * decay**depth))
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("every parameter is frozen: unfreeze what you want to train first")
    return groups


def _group(name: str, parameters: Iterable[nn.Parameter], lr: float) -> dict:
    return {"name": name, "params": [p for p in parameters if p.requires_grad], "lr": lr}


def set_train_mode(model: nn.Module) -> None:
    """Training mode, except for modules that own parameters and whose parameters are all frozen.

    `model.train()` would put a frozen BatchNorm layer back to updating its running statistics.
    Call this where the loop says `model.train()`, in every epoch. Dropout has no parameters and
    stays on.
    """
    model.train()
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()


def batchnorm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Every BatchNorm layer by its dotted path."""
    return {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}


@dataclass(frozen=True)
class Counts:
    """Parameters counted twice: as tensors, and as the values (numbers) in them."""

    tensors: int
    values: int
    trainable_tensors: int
    trainable_values: int


def count(module: nn.Module) -> Counts:
    """Count the parameters of ``module``; shared tensors count once."""
    parameters = list(module.parameters())
    trainable = [p for p in parameters if p.requires_grad]
    return Counts(
        tensors=len(parameters),
        values=sum(p.numel() for p in parameters),
        trainable_tensors=len(trainable),
        trainable_values=sum(p.numel() for p in trainable),
    )


def snapshot(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the model's whole state, parameters and buffers, as `changed` wants it."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> list[str]:
    """Names of the state entries that are no longer bit-equal to ``before``.

    Raises
    ------
    ValueError : the two have other entries or shapes (a head was swapped in between)
    """
    now = model.state_dict()
    odd = [n for n in now.keys() | before.keys() if _shape(now, n) != _shape(before, n)]
    if odd:
        raise ValueError(
            f"the snapshot is of another architecture: {sorted(odd)[:3]} differ in name or shape; "
            "take the snapshot after the head swap"
        )
    return [name for name, value in now.items() if not torch.equal(value, before[name])]


def _shape(state: dict[str, torch.Tensor], name: str):
    return state[name].shape if name in state else None


def report(model: nn.Module) -> pd.DataFrame:
    """One row for each stage and the head: tensors, values, trainable values, and how many
    BatchNorm layers there are and how many of them are in training mode."""
    parts = {**stages(model), find_head(model).name + " (head)": find_head(model).module}
    rows = []
    for name, module in parts.items():
        counts, norms = count(module), batchnorm_layers(module).values()
        rows.append(
            {
                "part": name,
                "tensors": counts.tensors,
                "values": counts.values,
                "trainable values": counts.trainable_values,
                "BN layers": len(norms),
                "BN in train": sum(m.training for m in norms),
            }
        )
    return pd.DataFrame(rows).set_index("part")


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Training or evaluation, module by module: afterwards as before."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
