"""The five ways to use a network that the grid of lesson 8 compares, each in the open.

All arms of one comparison see the same photos equally often, are judged on the same validation
photos after every epoch, and end with the weights of their best epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torchvision.models import get_model

from course_utils.features import cached_head, embed
from course_utils.images import ImageSet
from course_utils.prefix import fit_cached
from course_utils.surgery import (
    find_head,
    freeze_backbone,
    param_groups,
    replace_head,
    unfreeze,
    unfreeze_from,
)
from course_utils.training import fit

HEAD_RATE = 1e-3  # Adam's own default, for a new head in front of a pretrained backbone
BATCH_SIZE = 16  # full fine-tuning at 128 px then needs about 0.8 GB of activations
# What each strategy may choose from, on validation photos. For "head only" it is the head's rate,
# otherwise that of the backbone; "from scratch" has one rate for everything.
PILOT_RATES = {
    "head only": (1e-3, 3e-3, 1e-2),
    "last stage": (1e-4, 3e-4, 1e-3),
    "all": (1e-4, 3e-4, 1e-3),
    "probe, then all": (1e-4, 3e-4, 1e-3),
    "from scratch": (1e-3, 3e-3, 1e-2),
}


@dataclass(frozen=True)
class Setting:
    """What the arms of one comparison share.

    Parameters
    ----------
    train, val : the photos to learn from, and those that choose the epoch
    epochs : passes over ``train``, the same for every arm
    seed : new head or new network, order of the photos, dropout
    backbone : a torchvision classifier
    weights : its pretrained weights; only "from scratch" can do without
    last_stage : where the last stage of this backbone begins
    device : where to train (None: on the CPU)
    """

    train: ImageSet
    val: ImageSet
    epochs: int
    seed: int
    weights: object = None
    backbone: str = "mobilenet_v2"
    last_stage: str = "features.14"  # MobileNetV2: everything at the coarsest resolution
    device: torch.device | None = None


def train_arm(strategy: str, rate: float, setting: Setting) -> nn.Module:
    """The trained network of one strategy, in eval mode.

    Raises
    ------
    ValueError : a strategy that is not in ``PILOT_RATES``, or fewer than 2 epochs ("probe, then
        all" has two phases)
    """
    if strategy not in PILOT_RATES or setting.epochs < 2:
        raise ValueError(
            f"got {strategy!r} and {setting.epochs} epochs; expected one of "
            f"{', '.join(PILOT_RATES)} and at least 2 epochs"
        )
    torch.manual_seed(setting.seed)
    scratch = strategy == "from scratch"
    model = get_model(setting.backbone, weights=None if scratch else setting.weights)
    replace_head(model, len(setting.train.classes))
    model.to(setting.device)
    if strategy == "head only":
        _head_only(model, rate, setting, setting.epochs)
    elif strategy == "last stage":
        unfreeze_from(model, setting.last_stage)
        _fine_tune(model, rate, setting, setting.epochs)
    elif strategy == "probe, then all":
        _head_only(model, HEAD_RATE, setting, setting.epochs // 2)
        unfreeze(model)
        _fine_tune(model, rate, setting, setting.epochs - setting.epochs // 2)
    else:
        _fine_tune(model, rate, setting, setting.epochs, head_rate=rate if scratch else HEAD_RATE)
    return model.eval()


def _head_only(model: nn.Module, rate: float, setting: Setting, epochs: int) -> None:
    """Train the head on features that the frozen backbone gave once."""
    freeze_backbone(model)
    train, val = (embed(model, part) for part in (setting.train, setting.val))
    optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=rate)
    fit(
        cached_head(model),
        train,
        val,
        epochs=epochs,
        optimizer=optimizer,
        seed=setting.seed,
        batch_size=BATCH_SIZE,
    )


def _fine_tune(
    model: nn.Module, rate: float, setting: Setting, epochs: int, head_rate: float = HEAD_RATE
) -> None:
    """Train what is not frozen; a frozen front runs once."""
    optimizer = torch.optim.Adam(param_groups(model, head_lr=head_rate, backbone_lr=rate))
    frozen_front = any(not p.requires_grad for p in model.parameters())
    run = fit_cached if frozen_front else fit
    run(
        model,
        setting.train,
        setting.val,
        epochs=epochs,
        optimizer=optimizer,
        seed=setting.seed,
        batch_size=BATCH_SIZE,
    )
