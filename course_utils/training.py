"""One training loop, in the open: what `fit` does is what you would write by hand."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from itertools import chain

import torch
import torch.nn.functional as F
from torch import nn

from course_utils import plots
from course_utils.anatomy import auxiliary_heads
from course_utils.device import autocast, pick_device
from course_utils.measure import stopwatch
from course_utils.store.messages import progress
from course_utils.surgery import set_train_mode, snapshot

EMPTY = "the training set is empty: there is no batch to learn from"


@dataclass
class History:
    """What one call of `fit` recorded: one entry an epoch in every list.

    Losses are mean cross-entropies in nats, accuracies lie in [0, 1], ``seconds`` is an epoch's
    training and validation together. Without validation photos the ``val`` lists stay empty.
    ``best_epoch`` counts from 0 (None: no epoch finished, or no validation);
    ``stopped`` is "finished" or "interrupted".
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: str = "finished"

    def plot(self, ax=None):
        """Loss and accuracy over epochs; returns the Axes."""
        return plots.history(self, ax=ax)


@dataclass(frozen=True)
class Evaluation:
    """Logits [N, C] float32 and labels [N] int64 on the CPU, and what follows from them."""

    logits: torch.Tensor
    labels: torch.Tensor

    @property
    def loss(self) -> float:
        """Mean cross-entropy over all examples, in nats."""
        return F.cross_entropy(self.logits, self.labels).item()

    @property
    def predictions(self) -> torch.Tensor:
        """[N] int64, the most likely class of each example."""
        return self.logits.argmax(dim=1)

    @property
    def probabilities(self) -> torch.Tensor:
        """[N, C] float32, softmax of the logits."""
        return self.logits.softmax(dim=1)

    @property
    def correct(self) -> torch.Tensor:
        """[N] bool, right or wrong by example: what a paired comparison needs."""
        return self.predictions == self.labels

    @property
    def accuracy(self) -> float:
        """Right examples over all examples (never the mean of batch means)."""
        return self.correct.float().mean().item()


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite; ``history`` holds the epochs before it."""

    def __init__(self, message: str, history: History):
        super().__init__(message)
        self.history = history


def fit(
    model: nn.Module,
    train,
    val,
    *,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int = 0,
    device: str | torch.device | None = None,
    scheduler=None,
    set_mode=set_train_mode,
    restore_best: bool = True,
) -> History:
    """Train with cross-entropy; end with the weights of the best validation epoch.

    With ``val=None`` nothing is validated, and the last weights are the ones that stay.

    Parameters
    ----------
    train, val : anything with ``.batches(batch_size, shuffle=, generator=, device=)`` giving
        (inputs float32 [B, …], labels int64 [B]): an `ImageSet` or a `FeatureSet`
    shuffle : False: every epoch in the order of ``train``
    optimizer : built on this model *as it is now* (after the head swap, after freezing)
    seed : order of the examples and dropout; the same seed gives the same run on one machine
    scheduler : a torch scheduler, stepped once an epoch
    set_mode : puts the model into training mode at the start of each epoch. The default keeps
        frozen modules in eval; ``nn.Module.train`` is the loop most tutorials print
    restore_best : load the best epoch's weights at the end (highest validation accuracy, then
        lowest loss). Costs one copy of the weights

    An interrupt (Kernel → Interrupt) ends training early and keeps what there is.

    Raises
    ------
    ValueError : epochs < 1, or the optimizer does not hold exactly what is trainable
    NonFiniteLoss : the loss is NaN or infinite; the best weights so far are restored first
    """
    if epochs < 1:
        raise ValueError(f"got epochs={epochs}; expected at least 1")
    check_optimizer(model, optimizer)
    device = pick_device(device)
    # Channels-last is the layout the CPU and CUDA convolution kernels are quickest with.
    model.to(device, memory_format=torch.channels_last)
    history, best, score = History(), None, None
    drawn = {"shuffle": shuffle, "generator": torch.Generator().manual_seed(seed), "device": device}
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # dropout
        try:
            for epoch in progress(range(epochs), "training", total=epochs):
                with stopwatch(device) as watch:
                    set_mode(model)
                    batches = train.batches(batch_size, **drawn)
                    loss, accuracy = _train_epoch(model, batches, optimizer, device, history)
                    if scheduler is not None:
                        scheduler.step()
                    if val is not None:
                        score = evaluate(model, val, batch_size=batch_size, device=device)
                _record(history, loss, accuracy, score, watch.seconds)
                if history.best_epoch == epoch and restore_best:
                    best = snapshot(model)
        except KeyboardInterrupt:
            history.stopped = "interrupted"
            kept = "the last weights" if val is None else "the best weights so far"
            print(f"Interrupted in epoch {len(history.seconds)}: {kept} are kept.")
        finally:
            if best is not None:
                model.load_state_dict(best)
    return history


def _train_epoch(model, batches, optimizer, device, history) -> tuple[float, float]:
    """One pass over the training examples; returns mean loss and accuracy over them."""
    total_loss, correct, seen = 0.0, 0, 0
    for step, (inputs, labels) in enumerate(batches):
        with autocast(device):
            logits = model(inputs)
            loss = F.cross_entropy(logits, labels)
        value = loss.item()
        if not math.isfinite(value):
            raise NonFiniteLoss(_diagnose(model, inputs, value, step, optimizer, history), history)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # Weighted by batch size: a mean of batch means would overrate the last, smaller batch.
        total_loss += value * len(labels)
        correct += (logits.argmax(dim=1) == labels).sum().item()
        seen += len(labels)
    if seen == 0:
        raise ValueError(EMPTY)
    return total_loss / seen, correct / seen


@torch.no_grad()
def evaluate(model: nn.Module, data, *, batch_size: int = 16, device=None) -> Evaluation:
    """Logits for every example, in order, with the model in eval mode (and left in it).

    Raises
    ------
    ValueError : ``data`` is empty
    """
    device = pick_device(device)
    model.to(device, memory_format=torch.channels_last).eval()
    logits, labels = [], []
    for inputs, batch_labels in data.batches(batch_size, device=device):
        with autocast(device):
            logits.append(model(inputs).float().cpu())
        labels.append(batch_labels.cpu())
    if not logits:
        raise ValueError("nothing to evaluate: the set is empty")
    return Evaluation(torch.cat(logits), torch.cat(labels))


def lr_find(
    model: nn.Module,
    train,
    optimizer: torch.optim.Optimizer,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 60,
    batch_size: int = 32,
    seed: int = 0,
    device=None,
) -> tuple[list[float], list[float]]:
    """Loss of one batch after another while the learning rate rises geometrically.

    Stops once the loss exceeds four times its lowest value. Whatever happens, weights, buffers and
    optimizer are put back as they were; gradients are cleared. ``seed`` is for the order of the
    examples and for dropout. Returns (learning rates, losses), at most ``steps`` of each.

    Raises
    ------
    ValueError : not 0 < low < high, fewer than 2 steps, or no example to learn from

    Source: learning-rate range test, Smith 2017, https://arxiv.org/abs/1506.01186
    """
    if not 0 < low < high or steps < 2:
        raise ValueError(f"got {low=}, {high=}, {steps=}; need 0 < low < high and steps >= 2")
    check_optimizer(model, optimizer)
    device = pick_device(device)
    model.to(device, memory_format=torch.channels_last)
    weights, state = snapshot(model), copy.deepcopy(optimizer.state_dict())
    rates, losses = [low * (high / low) ** (step / (steps - 1)) for step in range(steps)], []
    drawn = {"shuffle": True, "generator": torch.Generator().manual_seed(seed), "device": device}
    # As many epochs as steps are enough, whatever the batch size.
    batches = chain.from_iterable(train.batches(batch_size, **drawn) for _ in rates)
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # dropout
        set_train_mode(model)
        try:
            for rate, (inputs, labels) in zip(rates, batches, strict=False):
                for group in optimizer.param_groups:
                    group["lr"] = rate
                loss = F.cross_entropy(model(inputs), labels)
                losses.append(loss.item())
                if not math.isfinite(losses[-1]) or losses[-1] > 4 * min(losses):
                    break
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        finally:
            optimizer.zero_grad()
            model.load_state_dict(weights)
            optimizer.load_state_dict(state)
    if not losses:
        raise ValueError(EMPTY)
    return rates[: len(losses)], losses


def check_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError unless the optimizer holds every trainable tensor of the model.

    Catches the silent classic: built before the head swap, it goes on updating the old head. Also
    refuses a model whose auxiliary heads would answer beside its head.
    """
    if auxiliary := list(auxiliary_heads(model)):
        raise ValueError(
            f"in training {type(model).__name__} gives several outputs, for it has auxiliary heads "
            f"({', '.join(auxiliary)}). Drop them first: surgery.drop_auxiliary_heads(model), or "
            "surgery.replace_head(model, num_classes), which does it too"
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ValueError("every parameter is frozen, so nothing can learn: unfreeze the head first")
    missing = [name for name, p in trainable.items() if id(p) not in held]
    if missing:
        raise ValueError(
            f"{len(missing)} trainable tensors are not in the optimizer, for example {missing[0]}: "
            "it was built before the head was swapped or before they were unfrozen. Build it last: "
            "torch.optim.Adam(p for p in model.parameters() if p.requires_grad)"
        )


def _record(history, loss: float, accuracy: float, score: Evaluation | None, seconds: float):
    history.train_loss.append(loss)
    history.train_accuracy.append(accuracy)
    history.seconds.append(seconds)
    if score is None:
        return
    history.val_loss.append(score.loss)
    history.val_accuracy.append(score.accuracy)
    ranks = list(zip(history.val_accuracy, [-x for x in history.val_loss], strict=True))
    history.best_epoch = ranks.index(max(ranks))




def _diagnose(model, inputs, value, step, optimizer, history) -> str:
    rates = ", ".join(f"{group['lr']:g}" for group in optimizer.param_groups)
    where = f"the loss became {value} in epoch {len(history.seconds)}, step {step}"
    if not torch.isfinite(inputs).all():
        return f"{where}: the inputs already hold NaN or infinity. Check the data and normalisation"
    broken = [n for n, p in model.named_parameters() if not torch.isfinite(p).all()]
    cause = f"{broken[0]} is no longer finite" if broken else "the logits overflowed"
    return f"{where}: {cause}. Likely cause: a learning rate too high (now {rates}); try a tenth"
