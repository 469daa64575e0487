"""Freeze a backbone, swap its head, and see what state a network holds.

Everything works in place on any torchvision classifier, also inside another module: `find_head`
and `stages` come from `anatomy`.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from course_utils.anatomy import auxiliary_heads, find_head, layers_of, stages

if TYPE_CHECKING:
    import pandas as pd

BATCHNORMS = tuple(getattr(nn, kind) for kind in nn.modules.batchnorm.__all__)


def replace_head(model: nn.Module, num_classes: int) -> None:
    """Put a new, randomly initialised and trainable head of ``num_classes`` in place of the old.

    Same kind of layers, same input width, same settings, device and dtype, bias as the old one had
    it. Everything else (a dropout in front of it, say) stays, but for the auxiliary heads of
    GoogLeNet and Inception: they give the old classes, so they go. Build the optimizer *after*
    this call: one built before holds the old head's tensors.

    Raises
    ------
    ValueError : num_classes is no whole number of at least 1, or no multiple of the groups of a
        convolution; or `find_head` finds no head
    """
    try:
        classes = operator.index(num_classes)  # NumPy has whole numbers of its own
    except TypeError:
        classes = 0
    if classes < 1:
        raise ValueError(f"got num_classes={num_classes!r}; expected a whole number of at least 1")
    head = find_head(model)
    name, last = list(layers_of(head.module).items())[-1]
    new: nn.Module = _with_outputs(last, classes)
    if name:  # several layers, which begin anew together
        whole = copy.deepcopy(head.module).requires_grad_(True)
        reset(whole)
        whole.set_submodule(name, new)
        new = whole
    setattr(head.parent, head.attribute, new)
    for module in model.modules():  # SqueezeNet and ViT keep the number: it should be true
        if hasattr(module, "num_classes") and new in set(module.modules()):
            setattr(module, "num_classes", classes)  # noqa: B010 - no module declares it
    drop_auxiliary_heads(model)


def _with_outputs(old: nn.Linear | nn.Conv2d, classes: int) -> nn.Linear | nn.Conv2d:
    """A new layer like ``old``, but for the number of outputs."""
    weight = old.weight
    like: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
    like["bias"] = old.bias is not None
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, classes, **like)
    if classes % old.groups:
        raise ValueError(
            f"got num_classes={classes}; the head is a convolution of {old.groups} groups, so "
            f"expected a multiple of {old.groups}"
        )
    for setting in ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"):
        like[setting] = getattr(old, setting)
    return nn.Conv2d(old.in_channels, classes, **like)


def reset(module: nn.Module) -> None:
    """New random values for every layer in ``module`` that knows how to begin."""
    layer: Any  # only some kinds of module have the method
    for layer in module.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()


def drop_auxiliary_heads(model: nn.Module) -> None:
    """Take off what `auxiliary_heads` finds, so that training mode gives logits alone."""
    for name in auxiliary_heads(model):
        holder, _, attribute = name.rpartition(".")
        network: Any = model.get_submodule(holder)
        network.aux_logits = False
        setattr(network, attribute, None)


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
    parts = [("head", list(find_head(model).module.parameters()), head_lr)]
    order = reversed(stages(model).items())
    backbone = [(name, list(module.parameters())) for name, module in order]
    # Loose parameters enter before the first stage, so they come after it in this order.
    backbone.append(("loose", loose_parameters(model)))
    parts += [(*part, backbone_lr * decay**depth) for depth, part in enumerate(backbone)]
    groups = [
        {"name": name, "params": [p for p in parameters if p.requires_grad], "lr": lr}
        for name, parameters, lr in parts
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("every parameter is frozen: unfreeze what you want to train first")
    return groups


def set_train_mode(model: nn.Module) -> None:
    """Training mode, except for modules that own parameters and whose parameters are all frozen.

    `model.train()` would put a frozen BatchNorm layer back to updating its running statistics.
    Call this where the loop says `model.train()`, in every epoch. Dropout has no parameters: it
    follows the smallest module around it that has some. So it is off inside a frozen block, but on
    before a trainable head and between frozen layers that share an `nn.Sequential` with one (VGG).
    """
    model.train()
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()


def batchnorm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Every BatchNorm layer by its dotted path."""
    return {name: m for name, m in model.named_modules() if isinstance(m, BATCHNORMS)}


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
    state = model.state_dict()  # filled anew, not copied: MNASNet asks for the version it carries
    for name, value in state.items():
        state[name] = value.detach().clone()
    return state


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> list[str]:
    """Names of the state entries that are no longer bit-equal to ``before``, wherever the two are.

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
    return [n for n, value in now.items() if not torch.equal(value.cpu(), before[n].cpu())]


def _shape(state: dict[str, torch.Tensor], name: str):
    return state[name].shape if name in state else None


def state_table(model: nn.Module) -> pd.DataFrame:
    """One row for each stage and the head: tensors, values, trainable values, and how many
    BatchNorm layers there are and how many of them are in training mode."""
    head = find_head(model)
    parts = {**stages(model), f"{head.name} (head)": head.module}
    import pandas as pd  # a quarter of a second, and only for this table

    table = pd.DataFrame(
        [vars(count(m)) for m in parts.values()], index=pd.Index(parts, name="part")
    )
    table = table.drop(columns="trainable_tensors").rename(columns=lambda c: c.replace("_", " "))
    norms = [list(batchnorm_layers(module).values()) for module in parts.values()]
    table["BN layers"] = [len(layers) for layers in norms]
    table["BN in train"] = [sum(layer.training for layer in layers) for layers in norms]
    return table
