"""One training loop, in the open: what `fit` does is what you would write by hand."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR, ReduceLROnPlateau

from course_utils.anatomy import auxiliary_heads
from course_utils.device import autocast, best_layout, grad_scaler, seeded
from course_utils.images import Batches, Pairs, read_batches
from course_utils.measure import Evaluation, evaluate
from course_utils.store.interrupts import ending_with
from course_utils.store.messages import progress
from course_utils.surgery import set_train_mode, snapshot

EMPTY = "the training set is empty: there is no batch to learn from"
SPOILT = "the inputs already hold NaN or infinity. Check the data and normalisation"


@dataclass
class History:
    """What one call of `fit` recorded: one entry an epoch in every list; `plots.history` draws it.

    Losses are mean cross-entropies in nats, accuracies lie in [0, 1], ``seconds`` is an epoch's
    training and validation together. Without validation photos the ``val`` lists stay empty.
    ``best_epoch`` counts from 0 (None: no epoch finished, or no validation);
    ``stopped`` is "finished", "interrupted" or "diverged" (the loss became NaN or infinite).
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: str = "finished"


class _Ended(BaseException):
    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history


class NonFiniteLoss(_Ended, RuntimeError):
    """The loss became NaN or infinite; ``history`` holds the epochs before it."""


class Interrupted(_Ended, KeyboardInterrupt):
    """`fit` was stopped by hand; ``history`` holds the epochs that had ended."""


def fit(
    model: nn.Module,
    train: Batches | Pairs,
    val: Batches | Pairs | None,
    *,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int = 0,
    scheduler=None,
    step_each: str = "epoch",
    set_mode: Callable[[nn.Module], object] = set_train_mode,
    restore_best: bool = True,
) -> History:
    """Train with cross-entropy where the model is; end with the best validation epoch's weights.

    With ``val=None`` nothing is validated, and the last weights are the ones that stay.

    Parameters
    ----------
    train, val : an `ImageSet`, a `FeatureSet`, or pairs of tensors (inputs float32 [B, …], labels
        int64 [B]) that can be read every epoch, such as a DataLoader: size and order are its own
    optimizer : built on this model *as it is now* (after the head swap, after freezing)
    seed : order of the examples and dropout; the same seed gives the same run on one machine
    scheduler : a torch scheduler. ReduceLROnPlateau gets the validation loss (else the training's)
    step_each : "epoch", or "batch" for a scheduler that counts batches, such as OneCycleLR
    set_mode : puts the model into training mode at the start of each epoch. The default keeps
        frozen modules in eval; ``nn.Module.train`` is the loop most tutorials print
    restore_best : load the best epoch's weights at the end (highest validation accuracy, then
        lowest loss)

    Raises
    ------
    ValueError : epochs < 1; an optimizer, scheduler or batch size that does not fit
    NonFiniteLoss : the loss was NaN or infinite, seen at the end of the epoch. The best weights so
        far come back (before any: those of the start), and the optimizer forgets its averages
    Interrupted : a KeyboardInterrupt, so that a loop around `fit` ends as well. The best weights
        so far are kept
    """
    if epochs < 1:
        raise ValueError(f"got epochs={epochs}; expected at least 1")
    check_optimizer(model, optimizer)
    each_batch = _batch_scheduler(scheduler, step_each)
    device, history, kept = best_layout(model), History(), snapshot(model)
    # The order is drawn on the CPU, so that it is the same on every machine.
    drawn = {"shuffle": shuffle, "generator": torch.Generator().manual_seed(seed), "device": device}
    # What a card computes in is asked once, not in every step.
    mixed, scaler = autocast(device), grad_scaler(device)

    def put_back() -> None:
        if history.stopped == "diverged":
            optimizer.state.clear()
        if history.stopped == "diverged" or (restore_best and history.best_epoch is not None):
            model.load_state_dict(kept)

    with ending_with(put_back), seeded(device, seed):
        try:
            for epoch in progress(range(epochs), "training", total=epochs):
                start = time.perf_counter()
                set_mode(model)
                _check_last_batch(model, train, batch_size)
                batches = read_batches(train, batch_size, **drawn)
                run = model, batches, optimizer, mixed, scaler, each_batch
                losses, loss, accuracy = _train_epoch(*run)
                if not math.isfinite(loss):
                    history.stopped = "diverged"
                    why = _diagnose(model, train, batch_size, losses, optimizer, history)
                    raise NonFiniteLoss(why, history)
                score = None if val is None else evaluate(model, val, batch_size=batch_size)
                _record(history, loss, accuracy, score, time.perf_counter() - start)
                if isinstance(scheduler, ReduceLROnPlateau):
                    scheduler.step(loss if score is None else score.loss)
                elif scheduler is not None and each_batch is None:
                    scheduler.step()
                if history.best_epoch == epoch and restore_best:
                    kept = snapshot(model)
        except KeyboardInterrupt:
            raise _interrupted(history, restore_best) from None
    return history


def _train_epoch(model, batches, optimizer, mixed, scaler, scheduler) -> tuple:
    """One pass over the training examples: the loss of each batch, their mean, the accuracy."""
    losses, right, sizes = [], [], []
    for inputs, labels in batches:
        with mixed:
            logits = model(inputs)
            loss = F.cross_entropy(logits, labels)
        _learn(loss, optimizer, scaler)
        if scheduler is not None:
            scheduler.step()
        # They stay on the device: to read them in each step would make Python wait for it.
        losses.append(loss.detach())
        right.append((logits.argmax(dim=1) == labels).sum())
        sizes.append(len(labels))
    if not sizes:
        raise ValueError(EMPTY)
    numbers = torch.stack([*losses, *right]).tolist()  # the one wait of the epoch
    losses, right = numbers[: len(sizes)], numbers[len(sizes) :]
    # Weighted by batch size: a mean of batch means would overrate the last, smaller batch.
    total = sum(loss * size for loss, size in zip(losses, sizes, strict=True))
    return losses, total / sum(sizes), sum(right) / sum(sizes)


def _learn(loss: torch.Tensor, optimizer: torch.optim.Optimizer, scaler) -> None:
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


def lr_find(
    model: nn.Module,
    train: Batches | Pairs,
    optimizer: torch.optim.Optimizer,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 60,
    batch_size: int = 32,
    seed: int = 0,
) -> tuple[list[float], list[float]]:
    """Loss of one batch after another while the learning rate rises geometrically.

    Stops once the loss exceeds four times its lowest value. Whatever happens, weights, buffers and
    optimizer are put back as they were; gradients are cleared. ``seed`` is for the order of the
    examples and for dropout. Returns (learning rates, losses), at most ``steps`` of each.

    Raises
    ------
    ValueError : not 0 < low < high, fewer than 2 steps, or no example to learn from
    NonFiniteLoss : the inputs hold NaN or infinity

    Source: learning-rate range test, Smith 2017, https://arxiv.org/abs/1506.01186
    """
    if not 0 < low < high or steps < 2:
        raise ValueError(f"got {low=}, {high=}, {steps=}; need 0 < low < high and steps >= 2")
    check_optimizer(model, optimizer)
    device = best_layout(model)
    mixed, scaler = autocast(device), grad_scaler(device)
    weights, state = snapshot(model), copy.deepcopy(optimizer.state_dict())
    rates, losses = [low * (high / low) ** (step / (steps - 1)) for step in range(steps)], []
    drawn = {"shuffle": True, "generator": torch.Generator().manual_seed(seed), "device": device}
    # As many epochs as steps are enough, whatever the batch size.
    batches = chain.from_iterable(read_batches(train, batch_size, **drawn) for _ in rates)

    def put_back() -> None:
        optimizer.zero_grad()
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)

    with ending_with(put_back), seeded(device, seed):
        set_train_mode(model)
        _check_last_batch(model, train, batch_size)
        for rate, (inputs, labels) in zip(rates, batches, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = rate
            with mixed:
                loss = F.cross_entropy(model(inputs), labels)
            losses.append(loss.item())  # waits for the device: whether to go on depends on it
            if not math.isfinite(losses[-1]) and not torch.isfinite(inputs).all():
                where = f"the loss became {losses[-1]} in step {len(losses) - 1}"
                raise NonFiniteLoss(f"{where}: {SPOILT}", History())
            if not math.isfinite(losses[-1]) or losses[-1] > 4 * min(losses):
                break
            _learn(loss, optimizer, scaler)
    if not losses:
        raise ValueError(EMPTY)
    return rates[: len(losses)], losses


def check_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError unless the optimizer holds what is trainable in the model, and only that.

    Frozen tensors may be in it too. Catches the silent classic: built before the head swap, it goes
    on updating the old head. Also refuses a model whose auxiliary heads would answer beside it.
    """
    if auxiliary := list(auxiliary_heads(model)):
        raise ValueError(
            f"in training {type(model).__name__} gives several outputs, for it has auxiliary heads "
            f"({', '.join(auxiliary)}). Drop them first: surgery.drop_auxiliary_heads(model), or "
            "surgery.replace_head(model, num_classes), which does it too"
        )
    held = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    trainable = {p: name for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ValueError("every parameter is frozen, so nothing can learn: unfreeze the head first")
    known = set(held)
    build = "Build it last: torch.optim.Adam(p for p in model.parameters() if p.requires_grad)"
    if missing := [name for p, name in trainable.items() if p not in known]:
        raise ValueError(
            f"{len(missing)} trainable tensors are not in the optimizer, for example {missing[0]}: "
            f"it was built before the head was swapped or before they were unfrozen. {build}"
        )
    if strange := [list(p.shape) for p in held if p not in trainable]:
        raise ValueError(
            f"{len(strange)} trainable tensors of the optimizer are not in the model, for example "
            f"one of shape {strange[0]}: an old head, or another network's. {build}"
        )


def _batch_scheduler(scheduler, step_each: str):
    """The scheduler if it is stepped after each batch, else None; ValueError if it cannot be."""
    name, counts_batches = type(scheduler).__name__, isinstance(scheduler, OneCycleLR | CyclicLR)
    if step_each not in ("epoch", "batch"):
        raise ValueError(f"got step_each={step_each!r}; expected 'epoch' or 'batch'")
    if counts_batches and step_each == "epoch":
        raise ValueError(f"{name} counts batches, not epochs: call fit with step_each='batch'")
    if isinstance(scheduler, ReduceLROnPlateau) and step_each == "batch":
        raise ValueError(f"{name} looks at a whole epoch's loss: leave step_each at 'epoch'")
    return scheduler if step_each == "batch" else None


def _check_last_batch(model: nn.Module, train, batch_size: int) -> None:
    # BatchNorm2d takes one image, which has many positions and so a variance.
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d) and m.training]
    if norms and hasattr(train, "batches") and len(train) % batch_size == 1 % batch_size:
        raise ValueError(
            f"{len(train)} examples in batches of {batch_size} leave a last batch of one, and "
            "BatchNorm1d needs two to learn from: use another batch_size, or leave one out"
        )


def _record(
    history: History, loss: float, accuracy: float, score: Evaluation | None, seconds: float
) -> None:
    history.train_loss.append(loss)
    history.train_accuracy.append(accuracy)
    history.seconds.append(seconds)
    if score is None:
        return
    history.val_loss.append(score.loss)
    history.val_accuracy.append(score.accuracy)
    ranks = [(a, -b) for a, b in zip(history.val_accuracy, history.val_loss, strict=True)]
    history.best_epoch = ranks.index(max(ranks))


def _interrupted(history: History, restore_best: bool) -> Interrupted:
    history.stopped = "interrupted"
    best = history.best_epoch if restore_best else None
    kept = "the last weights" if best is None else f"the best weights so far (epoch {best})"
    where = f"stopped in epoch {len(history.seconds)}: {kept} are kept"
    return Interrupted(f"{where}. Its history: import sys; sys.last_value.history", history)


@torch.no_grad()
def _diagnose(model, train, batch_size, losses, optimizer, history) -> str:
    step = next(n for n, loss in enumerate(losses) if not math.isfinite(loss))
    where = f"the loss became {losses[step]} in epoch {len(history.seconds)}, step {step}"
    if not all(torch.isfinite(inputs).all() for inputs, _ in read_batches(train, batch_size)):
        return f"{where}: {SPOILT}"
    rates = ", ".join(f"{group['lr']:g}" for group in optimizer.param_groups)
    broken = [n for n, p in model.named_parameters() if not torch.isfinite(p).all()]
    cause = f"{broken[0]} is no longer finite" if broken else "the logits overflowed"
    return f"{where}: {cause}. Likely cause: a learning rate too high (now {rates}); try a tenth"
