"""Many small networks trained as one: every weight is a stack [seeds, in, out].

A layer of all of them is one batched matrix product. Of a small network's step nearly all the time
goes into Python and the start of each operation; a stack pays that once for all its seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.strategies.world import Samples, stream

Layers = list[tuple[Tensor, Tensor]]  # weight [seeds, in, out] and bias [seeds, 1, out] of each


def new_layers(sizes: Sequence[int], seeds: Sequence[int], purpose: str = "network") -> Layers:
    """Random layers as ``nn.Linear`` starts them, each seed from its own stream."""
    streams = [stream(purpose, seed) for seed in seeds]

    def draw(*shape: int, bound: float) -> Tensor:
        return torch.stack([(2 * torch.rand(*shape, generator=g) - 1) * bound for g in streams])

    layers = []
    for inputs, outputs in pairwise(sizes):
        bound = inputs**-0.5
        layers.append((draw(inputs, outputs, bound=bound), draw(1, outputs, bound=bound)))
    return layers


def hidden(layers: Layers, x: Tensor) -> Tensor:
    """Apply hidden layers with ReLU to x [seeds, n, in]."""
    for weight, bias in layers:
        x = torch.baddbmm(bias, x, weight).relu_()
    return x


def logits(layers: Layers, x: Tensor) -> Tensor:
    """Output [seeds, n, labels] for x [seeds, n, in]; the last layer is the head."""
    weight, bias = layers[-1]
    return torch.baddbmm(bias, hidden(layers[:-1], x), weight)


@torch.no_grad()
def accuracy(layers: Layers, samples: Samples) -> Tensor:
    """Share of right labels for each seed, [seeds]."""
    return ((logits(layers, samples.x) > 0) == (samples.y > 0.5)).float().mean((1, 2))


def batch_order(points: int, steps: int, batch: int, seeds: Sequence[int]) -> Tensor:
    """Row numbers [seeds, steps, batch]: one shuffled epoch after the other, for each seed."""
    epochs = -(-steps * batch // points)
    shuffled = [torch.rand(epochs, points, generator=stream("order", s)).argsort(1) for s in seeds]
    rows = torch.stack(shuffled).flatten(1)[:, : steps * batch]
    return rows.view(len(seeds), steps, batch)


def train(
    layers: Layers,
    samples: Samples,
    order: Tensor,
    rates: Tensor,
    phases: Sequence[tuple[float, Sequence[float]]],
) -> Layers:
    """Train a stack of networks on their own data, as Adam would each of them alone.

    The seeds do not touch: the loss is a sum over seeds, so each gets its own gradient. The loss
    of one seed is the mean binary cross-entropy over its batch and labels.

    Parameters
    ----------
    layers : the start, left as it is
    order : [seeds, steps, batch], from ``batch_order``
    rates : [seeds] learning rates at the first step; they fall linearly to 0
    phases : (share of the steps, share of the rate for each layer); 0 freezes a layer
    """
    layers = [(weight.clone(), bias.clone()) for weight, bias in layers]
    moments = [[_Adam(tensor) for tensor in layer] for layer in layers]
    steps, begin, share_done = order.shape[1], 0, 0.0
    # Rows of all seeds in one long table: picking from that is several times as fast.
    rows = order + samples.x.shape[1] * torch.arange(len(order)).view(-1, 1, 1)
    for share, shares in phases:
        share_done += share
        end = round(share_done * steps)
        # What stands below the first layer that learns is frozen: run it once, not once a step.
        first = next(i for i, value in enumerate(shares) if value > 0)
        x, y = hidden(layers[:first], samples.x).flatten(0, 1), samples.y.flatten(0, 1)
        live = [i for i in range(first, len(layers)) if shares[i] > 0]
        for step in range(begin, end):
            batch = [part[rows[:, step]] for part in (x, y)]
            gradients = _gradients(layers, first, live, *batch)
            for i, pair in zip(live, gradients, strict=True):
                rate = (rates * shares[i] * (1 - step / steps)).view(-1, 1, 1)
                for moment, gradient in zip(moments[i], pair, strict=True):
                    moment.step(gradient, rate)
        begin = end
    return layers


def _gradients(
    layers: Layers, first: int, live: Sequence[int], x: Tensor, y: Tensor
) -> list[tuple[Tensor, ...]]:
    """Gradients of the live layers on one batch: x [seeds, batch, in], y [seeds, batch, labels]."""
    tensors = [tensor.requires_grad_() for i in live for tensor in layers[i]]
    output = logits(layers[first:], x)
    total = F.binary_cross_entropy_with_logits(output, y, reduction="sum")
    flat = torch.autograd.grad(total / (y.shape[1] * y.shape[2]), tensors)
    for tensor in tensors:
        tensor.requires_grad_(False)
    return list(zip(flat[::2], flat[1::2], strict=True))


class _Adam:
    """Adam for one stacked tensor with a rate for each seed, which torch.optim does not offer.

    Kingma & Ba, "Adam" (2015), with the constants of torch.optim.Adam. A frozen layer takes no
    step, and its count stands still, as when ``.grad`` is None.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.count = tensor, 0
        self.mean, self.square = torch.zeros_like(tensor), torch.zeros_like(tensor)
        self.room = torch.empty_like(tensor)  # new memory for each step would cost more than it

    def step(self, gradient: Tensor, rate: Tensor) -> None:
        self.count += 1
        self.mean.lerp_(gradient, 0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        spread = torch.div(self.square, 1 - 0.999**self.count, out=self.room).sqrt_().add_(1e-8)
        way = torch.div(self.mean, spread, out=self.room).mul_(rate / (1 - 0.9**self.count))
        self.tensor.sub_(way)
