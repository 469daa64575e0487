"""Where things are in a network: its head, the stages of its backbone, and a cut between two.

Works on any torchvision classifier, also inside DataParallel, torch.compile or a module of your
own. Names are paths in the model you give. Nothing here looks for a layer by a piece of its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import fx, nn
from torchvision.models import VGG, AlexNet, ConvNeXt, MaxVit, MobileNetV3
from torchvision.models.googlenet import InceptionAux as GoogLeNetAux
from torchvision.models.inception import InceptionAux

LAYERS = nn.Linear | nn.Conv2d
DROPOUTS = tuple(getattr(nn, kind) for kind in nn.modules.dropout.__all__)
# What these hold before the last layer of their classifier, with the outputs of Linear layers.
_PRETRAINED = {
    AlexNet: ("Dropout Linear4096 ReLU Dropout Linear4096 ReLU",),
    VGG: ("Linear4096 ReLU Dropout Linear4096 ReLU Dropout",),
    MobileNetV3: ("Linear1024 Hardswish Dropout", "Linear1280 Hardswish Dropout"),
    ConvNeXt: ("LayerNorm2d Flatten",),
    MaxVit: ("AdaptiveAvgPool2d Flatten LayerNorm Linear512 Tanh",),
}
_NOT_HEADS = (nn.Module, nn.ModuleList, nn.ModuleDict)  # torch.fx holds things in bare Modules
# Where families keep their blocks; what comes before them is the stem.
_BLOCK_PATHS = ("features", "layers", "encoder.layers", "trunk_output", "blocks")


@dataclass(frozen=True)
class Head:
    """The part of a model that turns features into logits, and where it hangs.

    It is the last layer. Several layers that you put in yourself, such as Linear, ReLU and Linear
    in one `nn.Sequential`, are new together, so all of them are the head. In torchvision's own
    classifiers of several layers (AlexNet, VGG, MobileNetV3, ConvNeXt, MaxViT) only the last is:
    the others are pretrained. So it is where one `nn.Sequential` holds the whole network.

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
    """The part that gives the logits: see `Head`.

    Its last layer is the `nn.Linear` or `nn.Conv2d` that is defined last, auxiliary heads left
    aside. In every torchvision family that one gives the logits (`tests/core/test_families.py`).

    Raises
    ------
    ValueError : there is no such layer; it belongs to the backbone, for the head was taken off;
        or new layers stand in one `nn.Sequential` with pretrained ones
    """
    aside = {m for head in auxiliary_heads(model).values() for m in head.modules()}
    modules = [(name, m) for name, m in model.named_modules() if m not in aside]
    places = [i for i, (_, m) in enumerate(modules) if isinstance(m, LAYERS)]
    if not places:
        raise ValueError(
            f"{type(model).__name__} has no Linear or Conv2d layer, so there is no head to find; "
            "give a classifier such as torchvision's resnet18()"
        )
    last, behind = modules[places[-1]][0], [m for _, m in modules[places[-1] + 1 :]]
    if _ends_in_backbone(model, last, behind):
        raise ValueError(
            f"{type(model).__name__} has no head: its last layer, {last}, belongs to the backbone. "
            "Put a layer for your classes behind it, such as model.fc = nn.Linear(512, 5)"
        )
    name = _whole_head(model, last)
    parent, _, attribute = name.rpartition(".")
    module, holder = model.get_submodule(name), model.get_submodule(parent)
    layers = list(layers_of(module).values())
    first = layers[0]
    width = first.in_features if isinstance(first, nn.Linear) else first.in_channels
    return Head(name, module, holder, attribute, width, layers[-1].weight.shape[0])


def layers_of(module: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """Every linear layer and convolution by path, in definition order."""
    return {name: m for name, m in module.named_modules() if isinstance(m, LAYERS)}


def auxiliary_heads(model: nn.Module) -> dict[str, nn.Module]:
    """The classifiers half-way up in GoogLeNet and Inception, by path. They answer in training mode
    only, beside the head."""
    kinds = GoogLeNetAux | InceptionAux
    return {name: m for name, m in model.named_modules() if isinstance(m, kinds)}


def _around(model: nn.Module, name: str) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """(path, module, the module that holds it) of all around a layer but ``model``, from inside."""
    while name := name.rpartition(".")[0]:
        yield name, model.get_submodule(name), model.get_submodule(name.rpartition(".")[0])


def _ends_in_backbone(model: nn.Module, last: str, behind: list[nn.Module]) -> bool:
    """Whether the head is gone; ``behind`` holds the modules defined after the last layer."""
    if any(isinstance(m, nn.Identity) or (type(m) is nn.Sequential and not m) for m in behind):
        return True  # what people put where the head was
    layer = model.get_submodule(last)
    if isinstance(layer, nn.Conv2d):  # as a head it sees single places, or its maps are averaged
        averaged = any(isinstance(m, nn.AdaptiveAvgPool2d) for m in behind)
        goes_on = any(isinstance(m, nn.MaxPool2d) or list(m.parameters()) for m in behind)
        if goes_on or not (averaged or layer.kernel_size == (1, 1)):
            return True
    kinds = [type(m) for m in model.modules()]
    for _, part, holder in _around(model, last):
        if _pretrained(part, holder) == len(list(part.children())):
            return True  # torchvision's classifier without its last layer
        listed = isinstance(holder, nn.Sequential | nn.ModuleList)
        if listed and type(part) is not nn.Sequential and kinds.count(type(part)) > 1:
            return True  # one block among its like
    return False


def _pretrained(part: nn.Module, holder: nn.Module) -> int:
    """How many of the children of ``part`` torchvision puts before the last layer, pretrained."""
    kinds = [_kind(child) for child in part.children()]
    known = (fronts for network, fronts in _PRETRAINED.items() if isinstance(holder, network))
    fronts = [front.split() for front in next(known, ())]
    return next((len(front) for front in fronts if kinds[: len(front)] == front), 0)


def _kind(child: nn.Module) -> str:
    linear = (m for m in child.modules() if isinstance(m, nn.Linear))  # an adapter holds one
    return next((f"Linear{m.out_features}" for m in linear), type(child).__name__)


def _whole_head(model: nn.Module, last: str) -> str:
    """Path of the largest part around the last layer that is nothing but a new classifier."""
    whole = last
    for path, part, holder in _around(model, last):
        if old := _pretrained(part, holder):
            if any(map(_tensors, list(part.children())[old:-1])):
                raise ValueError(
                    f"{path} holds pretrained layers of {type(holder).__name__} and new ones "
                    "behind them, which cannot be told apart. Put the new ones into an "
                    f"nn.Sequential of their own: {path}[-1] = nn.Sequential(...)"
                )
            break
        wide = any(isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1) for m in part.modules())
        if wide or type(part) in _NOT_HEADS or _tensors(part) == _tensors(model):
            break
        if _tensors(part) > _tensors(model.get_submodule(whole)):
            whole = path
    return whole


def _tensors(module: nn.Module) -> int:
    return len(list(module.parameters()))


def stages(model: nn.Module) -> dict[str, nn.Module]:
    """The backbone as named parts in forward order: disjoint, and together all but the head.

    For a network that keeps its blocks in one sequence (MobileNet, EfficientNet, ConvNeXt, ViT,
    Swin, VGG …) each block is a stage, named by its path (``features.3``); for one that has named
    children (ResNet's ``layer1`` … ``layer4``) each child is. A network inside another module has
    the same stages there, with longer paths. Parts without parameters (pooling, activations)
    belong to no stage: there is nothing to freeze in them. Nor do auxiliary heads, or parameters
    that hang on no layer (ViT's class token and position embedding): see `loose_parameters`.

    Returns
    -------
    dict from dotted path to module
    """
    head, aside = find_head(model).module, set(auxiliary_heads(model).values())
    paths = {m: name for name, m in model.named_modules()}
    network = _network(model, head)

    def walk(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        for child in module.children():
            if child is head or child in aside:
                continue
            path = paths[child].removeprefix(paths[network]).lstrip(".")
            if _opens(path) or head in set(child.modules()):
                yield from walk(child)
            elif _tensors(child):
                yield paths[child], child

    return dict(walk(network))


def _opens(path: str) -> bool:
    return any(path == blocks or blocks.startswith(path + ".") for blocks in _BLOCK_PATHS)


def _network(model: nn.Module, head: nn.Module) -> nn.Module:
    """The module whose children are the parts: ``model``, or the one network in it."""
    own, cut = set(head.parameters()), isinstance(model, fx.GraphModule)
    while True:
        rest = [(name, m) for name, m in model.named_children() if set(m.parameters()) - own]
        name, child = rest[0] if len(rest) == 1 else ("", head)
        # A half made by `split_at` may hold a single stage, which is not to be opened.
        stage = cut and type(child) is not nn.Module and head not in set(child.modules())
        if child is head or stage or _opens(name) or not list(child.children()):
            return model
        model = child


class CannotSplit(ValueError):
    """The forward pass cannot be cut there; the message is a clause that says why."""


def parts(model: nn.Module) -> dict[str, nn.Module]:
    """The stages and, last, the head, by path."""
    head = find_head(model)
    return {**stages(model), head.name: head.module}


def split_at(model: nn.Module, stage: str) -> tuple[nn.Module, nn.Module]:
    """Cut ``model`` in front of a stage: (prefix, suffix) with suffix(prefix(x)) = model(x).

    Both are made of the model's own modules under their own names: training the suffix trains the
    model, and `find_head`, `stages` and `param_groups` work on it. A dropout directly in front of
    the stage goes to the suffix. Hooks on the model itself are not called, those on its layers are.

    Parameters
    ----------
    stage : a name that `stages` gives, or the head's

    Raises
    ------
    ValueError : no such stage
    CannotSplit : nothing lies in front of it, or the forward pass cannot be cut there

    Source: symbolic tracing, https://docs.pytorch.org/docs/stable/fx.html
    """
    found = parts(model)
    if stage not in found:
        raise ValueError(f"no stage {stage!r}; {type(model).__name__} has {', '.join(found)}")
    nodes = list(_trace(model, found).nodes)
    calls = [n for n in nodes if n.op == "call_module" and n.target == stage]
    if len(calls) != 1:
        raise CannotSplit(f"the forward pass calls {stage} {len(calls)} times, not once")
    cut = calls[0].args[0]
    while cut.op == "call_module" and isinstance(model.get_submodule(cut.target), DROPOUTS):
        cut = cut.args[0]
    if cut.op == "placeholder":
        raise CannotSplit(f"nothing lies in front of {stage}")
    place = nodes.index(cut) + 1
    return _part(model, nodes[:place], leave=cut), _part(model, nodes[place:], enter=cut)


class _Tracer(fx.Tracer):
    """Records the call of each stage as one step, and looks only into modules that hold one."""

    def __init__(self, parts: dict[str, nn.Module]):
        super().__init__()
        self.whole = set(parts.values())

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m in self.whole or not self.whole & set(m.modules())


def _trace(model: nn.Module, parts: dict[str, nn.Module]) -> fx.Graph:
    """The steps of the forward pass; they must be the same in training and in evaluation."""
    try:
        with modes_kept(model):
            graphs = [_Tracer(parts).trace(model.train(mode)) for mode in (False, True)]
    except (fx.proxy.TraceError, TypeError) as error:
        raise CannotSplit(f"the forward pass cannot be taken apart ({error})") from error
    if len({graph.python_code("self").src for graph in graphs}) > 1:
        raise CannotSplit("the forward pass takes other steps in training than in evaluation")
    return graphs[0]


def _part(model: nn.Module, nodes: list[fx.Node], *, enter=None, leave=None) -> fx.GraphModule:
    """These steps as a module that takes the value of ``enter`` and gives that of ``leave``."""
    graph = fx.Graph()
    made = {} if enter is None else {enter: graph.placeholder("kept")}
    try:
        for node in nodes:
            made[node] = graph.node_copy(node, lambda old: made[old])
    except KeyError as missing:
        raise CannotSplit(f"more than one value crosses the cut: {missing} is used again") from None
    if leave is not None:
        graph.output(made[leave])
    return fx.GraphModule(model, graph, type(model).__name__)


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Training or evaluation, module by module: afterwards as before."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
