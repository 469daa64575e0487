"""Run the backbone once, keep what it said, and train cheap classifiers on that."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from course_utils.anatomy import find_head
from course_utils.device import autocast, best_layout, send
from course_utils.images import (
    ImageSet,
    check_labels,
    index_batches,
    per_class_index,
    positions_of,
)
from course_utils.store.cache import kept_pass
from course_utils.store.messages import progress

if TYPE_CHECKING:  # scikit-learn takes as long to import as torch: only once a probe is fitted
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class FeatureSet:
    """Feature vectors [N, D] float32, labels [N] int64, class names. Indexes like an `ImageSet`."""

    features: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.features, torch.Tensor) or not self.features.is_floating_point():
            got = getattr(self.features, "dtype", type(self.features).__name__)
            raise TypeError(f"features are {got}; expected a float32 tensor [N, D]")
        if self.features.ndim != 2:
            raise ValueError(f"features have shape {tuple(self.features.shape)}; expected [N, D]")
        check_labels(self.labels, len(self.features), self.classes)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | torch.Tensor | Sequence[int]) -> FeatureSet:
        index = positions_of(index, len(self))
        return FeatureSet(self.features[index], self.labels[index], self.classes)

    def to(self, device: torch.device | str) -> FeatureSet:
        """The same set on ``device``, where `batches` then works."""
        return replace(self, features=self.features.to(device), labels=self.labels.to(device))

    def per_class(self, n: int, *, seed: int = 0) -> FeatureSet:
        """``n`` examples of each class, drawn at random by ``seed``."""
        return self[per_class_index(self.labels, n, seed, self.classes)]

    def batches(
        self, batch_size: int, *, shuffle: bool = False, generator=None, device=None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(features [B, D], labels [B]) on ``device``, in the same order as an `ImageSet` of the
        same length gives its images when the generator's seed is the same."""
        here = self.features.device
        for index in index_batches(len(self), batch_size, shuffle, generator, here):
            # Three times as quick as features[index], and for small heads that is felt.
            features, labels = (t.index_select(0, index) for t in (self.features, self.labels))
            yield send(features, device), send(labels, device)


@torch.no_grad()
def embed(
    model: nn.Module, images: ImageSet, *, batch_size: int = 16, cache: bool = False
) -> FeatureSet:
    """The vector that enters the head, for every image: one pass, in eval mode, no gradients.

    In eval mode a dropout in front of the head does nothing, so this is what the head itself
    sees when the model predicts. A head that works on maps (SqueezeNet's convolution) has them
    averaged over their positions. The model is left in eval mode.

    Parameters
    ----------
    model : any torchvision classifier (`find_head` must find its head)
    images : N images
    batch_size : 16 was fastest on two cores, and 64 half as fast: their activations no longer fit
        the caches
    cache : keep the features on disk under a hash of the network, its settings and the pixels, and
        read them from there next time. Whatever changes, a stride as well as a weight, is a new
        entry. Networks of PyTorch's and torchvision's modules on the CPU only

    Returns
    -------
    FeatureSet with features [N, D] float32 on the CPU, D the head's input width

    Raises
    ------
    ValueError : ``images`` is empty
    """
    if len(images) == 0:
        raise ValueError("got an empty ImageSet; there is nothing to embed")

    def run() -> torch.Tensor:
        return _run(model.eval(), images, batch_size, best_layout(model))

    def fits(found) -> bool:
        return found.ndim == 2 and len(found) == len(images)

    features = kept_pass("features", run, fits, model, images.images) if cache else run()
    return FeatureSet(features, images.labels.cpu(), images.classes)


def _run(model: nn.Module, images: ImageSet, batch_size: int, device: torch.device) -> torch.Tensor:
    mixed = autocast(device)
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        maps = inputs[0].mean(dim=(2, 3)) if inputs[0].ndim == 4 else inputs[0].flatten(1)
        seen.append(maps.float())

    if isinstance(model, nn.DataParallel):
        model = model.module  # its copies on several GPUs would answer in any order
    hook = _entrance(find_head(model).module).register_forward_pre_hook(keep)
    # A compiled model does not see hooks that are younger than it is.
    eager = "torch._dynamo" in sys.modules
    try:
        steps = -(-len(images) // batch_size)
        batches = progress(images.batches(batch_size, device=device), "features", total=steps)
        with torch.compiler.set_stance("force_eager") if eager else nullcontext():
            for batch, _ in batches:
                with mixed:
                    model(batch)
    finally:
        hook.remove()
    return torch.cat(seen).cpu()


def _entrance(head: nn.Module) -> nn.Module:
    """The first layer of a head that owns parameters."""
    return next(m for m in head.modules() if any(True for _ in m.parameters(recurse=False)))


def cached_head(model: nn.Module) -> nn.Sequential:
    """The part of ``model`` that works on the features of `embed`: the head from its first layer
    with parameters on and, where one stands directly before that in a `nn.Sequential`, its dropout.

    They are the model's own modules, not copies: training them trains the model.

    Raises
    ------
    ValueError : the head needs maps instead of a vector, as a convolution (SqueezeNet) does
    """
    head = find_head(model)
    entrance = _entrance(head.module)
    if type(entrance) not in (nn.Linear, nn.BatchNorm1d, nn.LayerNorm):
        raise ValueError(
            f"the head {head.name} begins with a {type(entrance).__name__}; cached features need "
            "one that takes vectors, such as a Linear: use another backbone, or train the whole "
            "model with fit"
        )
    layers = list(head.module) if type(head.module) is nn.Sequential else [head.module]
    if isinstance(head.parent, nn.Sequential):
        layers = [*list(head.parent)[: list(head.parent).index(head.module)], *layers]
    place = next(i for i, layer in enumerate(layers) if entrance in set(layer.modules()))
    dropout = [layer for layer in layers[:place][-1:] if isinstance(layer, nn.Dropout)]
    return nn.Sequential(*dropout, *layers[place:])


def linear_probe(train: FeatureSet, *, C: float = 1.0) -> Pipeline:
    """Multinomial logistic regression on standardised features, fitted to convergence.

    ``C`` is the inverse of the L2 penalty's strength: choose it on validation data. Use
    ``probe.score(test.features, test.labels)``; it takes tensors.

    Source: scikit-learn's LogisticRegression (L-BFGS).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))
    # Matrices as small as these are multiplied several times faster by one thread than by many.
    with threadpool_limits(1, "blas"):
        return probe.fit(train.features.numpy(force=True), train.labels.numpy(force=True))


def knn_probe(train: FeatureSet, *, k: int = 5) -> KNeighborsClassifier:
    """Vote of the ``k`` nearest training examples by cosine distance: no training at all.

    Raises
    ------
    ValueError : k is larger than the training set
    """
    from sklearn.neighbors import KNeighborsClassifier

    if not 1 <= k <= len(train):
        raise ValueError(f"got k={k}; expected 1 <= k <= {len(train)}, the training examples given")
    probe = KNeighborsClassifier(n_neighbors=k, metric="cosine")
    return probe.fit(train.features.numpy(force=True), train.labels.numpy(force=True))
