"""Cut a network in two in front of a stage: what comes before it, and the rest."""

from __future__ import annotations

from torch import fx, nn
from torch.nn.modules.dropout import _DropoutNd

from course_utils.surgery import find_head, modes_kept, stages


class CannotSplit(ValueError):
    """The forward pass cannot be cut there; the message is a clause that says why."""


def first_trainable(model: nn.Module) -> str:
    """Name of the first stage (or the head) that holds a trainable tensor.

    Raises
    ------
    ValueError : everything is frozen
    """
    for name, part in _parts(model).items():
        if any(p.requires_grad for p in part.parameters()):
            return name
    raise ValueError("every parameter is frozen: unfreeze what you want to train first")


def _parts(model: nn.Module) -> dict[str, nn.Module]:
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
    parts = _parts(model)
    if stage not in parts:
        raise ValueError(f"no stage {stage!r}; {type(model).__name__} has {', '.join(parts)}")
    nodes = list(_trace(model, parts).nodes)
    calls = [n for n in nodes if n.op == "call_module" and n.target == stage]
    if len(calls) != 1:
        raise CannotSplit(f"the forward pass calls {stage} {len(calls)} times, not once")
    cut = calls[0].args[0]
    while cut.op == "call_module" and isinstance(model.get_submodule(cut.target), _DropoutNd):
        cut = cut.args[0]
    if cut.op == "placeholder":
        raise CannotSplit(f"nothing lies in front of {stage}")
    place = nodes.index(cut) + 1
    return _part(model, nodes[:place], leave=cut), _part(model, nodes[place:], enter=cut)


class _Tracer(fx.Tracer):
    """Records the call of each stage as one step, and looks only into modules that hold one."""

    def __init__(self, parts: dict[str, nn.Module]):
        super().__init__()
        self.whole = {id(part) for part in parts.values()}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return id(m) in self.whole or not any(id(inner) in self.whole for inner in m.modules())


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


