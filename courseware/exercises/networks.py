"""The networks that a learner's function is tried on: small, with random weights, always the same.

Each is built where it is needed, which takes no longer than a copy would.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.vision_transformer import VisionTransformer

from course_utils.surgery import batchnorm_layers, find_head

SIZE = 64  # pixels a side
VIT, CONVNEXT, BOTTLENECK = "a small ViT", "a small ConvNeXt", "a small ResNet with bottlenecks"
_SMALL: dict[str, Callable[[], nn.Module]] = {
    VIT: partial(VisionTransformer, SIZE, 16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64),
    CONVNEXT: partial(ConvNeXt, [CNBlockConfig(24, 48, 2), CNBlockConfig(48, None, 2)]),
    BOTTLENECK: partial(ResNet, Bottleneck, [1, 1, 1, 1]),
}


def build(family: str, device: str = "cpu") -> nn.Module:
    """A network by the name of its family, new each time and equal each time.

    Parameters
    ----------
    family : "a small ViT", "a small ConvNeXt", "a small ResNet with bottlenecks", or a name that
        torchvision knows
    device : "meta" for shapes without numbers
    """
    torch.default_generator.manual_seed(0)
    with torch.device(device):
        model = _SMALL[family]() if family in _SMALL else get_model(family)
    if isinstance(model, VisionTransformer) and device != "meta":
        find_head(model).module.reset_parameters()  # torchvision starts it at zero
    return model


def experienced(family: str) -> nn.Module:
    """`build`, with the BatchNorm statistics of a batch of noise.

    Without them the features of a random network shrink to nothing, layer by layer.
    """
    model = build(family).train()
    layers = batchnorm_layers(model).values()
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0  # all of the next batch
    with torch.no_grad():
        model(noise(8))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return model


def noise(images: int, seed: int | None = None, dtype: torch.dtype = torch.float32):
    """Images [N, 3, 64, 64] of noise; the same for the same seed."""
    generator = torch.default_generator if seed is None else torch.Generator().manual_seed(seed)
    return torch.randn(images, 3, SIZE, SIZE, generator=generator).to(dtype)


class Spy:
    """Watches the forward passes of a model, and of its copies, at its first convolution.

    ``inputs`` are what went in, ``training`` the modes it was in, ``recorded`` whether autograd
    kept track; one entry a pass.
    """

    def __init__(self, model: nn.Module) -> None:
        inputs, training, recorded = [], [], []
        self.inputs, self.training, self.recorded = inputs, training, recorded

        # Plain functions: a deep copy of the model keeps these, and they write to the lists here.
        def see_input(module, arguments):
            inputs.append(arguments[0].detach().clone())
            training.append(module.training)

        def see_output(module, arguments, output):
            recorded.append(output.requires_grad)

        first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
        first.register_forward_pre_hook(see_input)
        first.register_forward_hook(see_output)
