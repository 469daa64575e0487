"""Every exercise: right answers are accepted, and each wrong one is told by its own hint."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import ResNet18_Weights

from course_utils.surgery import batchnorm_layers, find_head, set_train_mode
from courseware.bank.exercises import load_exercises
from courseware.exercises.examine import TRIALS, examine
from tools.builder.lesson import EXERCISE, ROOT, read_cells, tags
from tools.builder.lesson import solution as with_solution

EXERCISES = load_exercises()
MUTANTS = [(e.name, mutant) for e in EXERCISES.values() for mutant in e.mutants]
each_exercise = pytest.mark.parametrize("name", EXERCISES)


def define(source, name):
    """The function that a source defines, with what a lesson has imported by then."""
    lesson = {
        "torch": torch,
        "nn": nn,
        "F": F,
        "copy": copy,
        "find_head": find_head,
        "set_train_mode": set_train_mode,
        "batchnorm_layers": batchnorm_layers,
        "ResNet18_Weights": ResNet18_Weights,
    }
    exec(EXERCISES[name].solution.code, lesson)  # what else stands in the exercise's cell
    exec(compile(source, "<cell>", "exec"), lesson)
    return lesson[name]


def test_there_are_fifteen_with_five_mutants_or_more():
    assert set(EXERCISES) == set(TRIALS) and len(EXERCISES) == 15
    assert all(len(exercise.mutants) >= 5 for exercise in EXERCISES.values())


@each_exercise
def test_the_solution_is_accepted_on_three_families_or_more(name):
    report = examine(EXERCISES[name], define(EXERCISES[name].solution.code, name))
    assert (report.status, report.mistake) == ("solved", None), repr(report)
    assert len({row.family.rpartition(" of ")[2] for row in report.rows}) >= 3
    assert {mark for row in report.rows for mark in row.marks} == {"✔"}, "an aspect is left out"


@each_exercise
def test_the_lesson_asks_for_it_and_holds_the_same_solution(name):
    exercise = EXERCISES[name]
    cells = read_cells(ROOT / "lessons" / f"{exercise.lesson}.py")
    solutions = [with_solution(cell.source).strip() for cell in cells if EXERCISE in tags(cell)]
    assert exercise.solution.code.strip() in solutions
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert exercise.section in re.findall(r"^##+ (.+)$", prose, re.MULTILINE)


# "It says 0.4; …, which is 0.5." and the like
SIDE_BY_SIDE = re.compile(
    r"(?:returned|says|is|gives|values|rates) ([^;]+?)"
    r"(?:; (?:it|they) should be|, and it should be|, in place of|;.* (?:which is|they go)) (.+)\.$"
)


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=lambda part: getattr(part, "name", part))
def test_a_wrong_answer_is_rejected_with_its_own_hint(name, mutant):
    report = examine(EXERCISES[name], define(mutant.code, name))
    assert report.mistake == mutant.mistake, repr(report)
    assert report.status in ("not yet", "error")
    assert EXERCISES[name].mistakes[mutant.mistake] in repr(report)
    assert all(given != right for given, right in SIDE_BY_SIDE.findall(report.seen)), report.seen


# Nearly right: what a message sets side by side must not look the same.
NEARLY = {
    "top_k": (
        """
def top_k(model, weights, image, k=5):
    prepare = ResNet18_Weights.IMAGENET1K_V1.transforms()
    best = model.eval()(prepare(image)[None]).detach().softmax(1)[0].topk(k)
    return [(weights.meta["categories"][i], v) for v, i in zip(*map(torch.Tensor.tolist, best))]
""",
        r"regnet_y_400mf wants the shorter side at 232 px, by bilinear interpolation, then the "
        r"middle 224 px; the values are off by up to \d\.\d\.",
    ),
    "evaluate": (
        """
right = evaluate
def evaluate(*arguments):
    return right(*arguments) + 1e-4
""",
        r"It says 0\.4168; 5 of 12 are right, which is 0\.4167\.",
    ),
    "param_groups": (
        """
right = param_groups
def param_groups(model, backbone_lr, head_lr):
    return right(model, backbone_lr * (1 + 1e-7), head_lr)
""",
        r"the rates 0\.00020000002, 0\.003; they should be 0\.0002, 0\.003\.",
    ),
    "prepare": (
        """
right = prepare
def prepare(model, num_classes):
    optimizer = right(model, num_classes)
    optimizer.param_groups[0]["lr"] = 0.1000001
    return optimizer
""",
        r"It is 0\.1000001, in place of 0\.1\.",
    ),
    "paired_interval": (
        """
right = paired_interval
def paired_interval(a, b):
    mean, low, high = right(a, b)
    return mean, low, low + (high - low) * 1.002
""",
        r"It returned (.+), and it should be (.+)\.",
    ),
    "replace_head": (
        """
right = replace_head
def replace_head(model, num_classes):
    right(model, num_classes)
    model.register_forward_hook(lambda module, inputs, output: output[:, None])
""",
        r"It gives \(2, 1, 5\) for two images, in place of \(2, 5\)\.",
    ),
}


@pytest.mark.parametrize("name", NEARLY)
def test_a_message_shows_what_differs(name):
    code, told = NEARLY[name]
    report = examine(EXERCISES[name], define(code, name))
    found = re.search(told, report.seen)
    assert report.status == "not yet" and found, repr(report)
    if found.groups():
        assert found[1] != found[2]


@each_exercise
@pytest.mark.parametrize(
    "body", ["...", '"""Do it."""\n    ...', "pass", "return ...", "raise NotImplementedError"]
)
def test_what_is_not_filled_in_is_your_turn(name, body):
    arguments = EXERCISES[name].call.partition("(")[2][:-1]
    report = examine(EXERCISES[name], define(f"def {name}({arguments}):\n    {body}", name))
    assert repr(report) == f"Your turn: fill in {name}, then run this cell again."


OTHERS = {
    "top_k": {
        "mode put back, and only the best turned into floats": """
def top_k(model, weights, image, k=5):
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        p = torch.softmax(model(weights.transforms()(image).unsqueeze(0)), -1).squeeze(0)
    model.train(was_training)
    best = p.argsort(descending=True)[:k]
    return [(weights.meta["categories"][i], p[i].item()) for i in best]
""",
        "a copy of the model, tensors as probabilities, tuples of pairs": """
def top_k(model, weights, image, k=5):
    net = copy.deepcopy(model).eval().requires_grad_(False)
    p = F.softmax(net(torch.stack([weights.transforms()(image)])), dim=1)[0]
    return tuple([name, value] for value, name in
                 sorted(zip(p, weights.meta["categories"]), key=lambda pair: -pair[0])[:k])
""",
    },
    "prepare": {
        "the head thawed again, all tensors in the optimizer": """
def prepare(model, num_classes):
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    for parameter in model.parameters():
        parameter.requires_grad = False
    for parameter in model.fc.parameters():
        parameter.requires_grad = True
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
""",
        "a head of zeros behind a dropout, a filter": """
def prepare(model, num_classes):
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    last = nn.Linear(model.fc.in_features, num_classes)
    nn.init.zeros_(last.weight)
    model.fc = nn.Sequential(nn.Dropout(0.2), last)
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-1)
""",
    },
    "freeze_stage": {
        "two methods of the module": """
def freeze_stage(stage):
    stage.requires_grad_(False)
    stage.zero_grad()
""",
        "eval as well, and only where there is a gradient": """
def freeze_stage(stage):
    stage.eval()
    for name, parameter in list(stage.named_parameters()):
        parameter.requires_grad = False
        if parameter.grad is not None:
            del parameter.grad
""",
    },
    "train_only": {
        "by identity": """
def train_only(model, stage):
    inside = {id(p) for p in model.get_submodule(stage).parameters()}
    for parameter in model.parameters():
        parameter.requires_grad = id(parameter) in inside
""",
        "by the path and a dot": """
def train_only(model, stage):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(stage + "."))
""",
        "attribute by attribute": """
def train_only(model, stage):
    model.requires_grad_(False)
    module = model
    for part in stage.split("."):
        module = getattr(module, part)
    module.requires_grad_(True)
""",
    },
    "freeze_backbone": {
        "by identity": """
def freeze_backbone(model):
    head = {id(p) for p in find_head(model).module.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in head)
""",
        "by the head's path": """
def freeze_backbone(model):
    path = find_head(model).name + "."
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(path)
""",
        "with the gradients cleared and the backbone in eval mode": """
def freeze_backbone(model):
    model.eval().requires_grad_(False)
    model.zero_grad()
    head = find_head(model).module.train()
    for parameter in head.parameters():
        parameter.requires_grad = True
    return model
""",
    },
    "replace_head": {
        "a dropout before it": """
def replace_head(model, num_classes):
    *_, (name, old) = ((n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear))
    new = nn.Linear(old.in_features, num_classes, bias=old.bias is not None).to(old.weight)
    *path, attribute = name.split(".")
    setattr(model.get_submodule(".".join(path)), attribute, nn.Sequential(nn.Dropout(0.5), new))
""",
        "two layers": """
def replace_head(model, num_classes):
    name, old = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    like = {"device": old.weight.device, "dtype": old.weight.dtype}
    new = nn.Sequential(nn.Linear(old.in_features, 16, **like), nn.ReLU(),
                        nn.Linear(16, num_classes, bias=old.bias is not None, **like))
    model.set_submodule(name, new)
""",
        "the parent searched by identity, zeros to start with": """
def replace_head(model, num_classes):
    old = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    new = nn.Linear(old.in_features, num_classes, old.bias is not None,
                    old.weight.device, old.weight.dtype)
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.zero_()
    for module in list(model.modules()):
        for attribute, child in list(module.named_children()):
            if child is old:
                setattr(module, attribute, new)
    return model
""",
        "the old layer with new tensors": """
def replace_head(model, num_classes):
    head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    head.out_features = num_classes
    head.weight = nn.Parameter(head.weight.new_empty(num_classes, head.in_features))
    if head.bias is not None:
        head.bias = nn.Parameter(head.bias.new_empty(num_classes))
    head.reset_parameters()
""",
    },
    "extract_features": {
        "an Identity in the head's place, put back": """
def extract_features(model, images):
    head = find_head(model)
    was_training = model.training
    setattr(head.parent, head.attribute, nn.Identity())
    try:
        with torch.no_grad():
            return model.eval()(images)
    finally:
        setattr(head.parent, head.attribute, head.module)
        model.train(was_training)
""",
        "a copy without a head": """
def extract_features(model, images):
    backbone = copy.deepcopy(model).eval()
    head = find_head(backbone)
    setattr(head.parent, head.attribute, nn.Identity())
    with torch.inference_mode():
        return backbone(images)
""",
        "a hook behind the head that looks at its input": """
def extract_features(model, images):
    kept = {}
    def keep(module, inputs, output):
        kept["features"], = inputs
    handle = find_head(model).module.register_forward_hook(keep)
    model.train(False)
    with torch.autograd.grad_mode.set_grad_enabled(False):
        model(images)
    handle.remove()
    return kept["features"].clone()
""",
    },
    "param_groups": {
        "the head first, sets of tensors": """
def param_groups(model, backbone_lr, head_lr):
    head = set(find_head(model).module.parameters())
    groups = {True: [], False: []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups[parameter in head].append(parameter)
    return [dict(params=groups[True], lr=head_lr), dict(params=groups[False], lr=backbone_lr)]
""",
        "by the head's path, with names for the groups": """
def param_groups(model, backbone_lr, head_lr):
    path = find_head(model).name + "."
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return (
        {"name": "backbone", "lr": backbone_lr,
         "params": [p for n, p in named if not n.startswith(path)]},
        {"name": "head", "lr": head_lr, "params": [p for n, p in named if n.startswith(path)]},
    )
""",
    },
    "gradual_unfreeze": {
        "by identity, BatchNorm put to rest by hand": """
def gradual_unfreeze(model, stage_names, epoch):
    due = list(reversed(stage_names))[:epoch]
    parts = [find_head(model).module] + [model.get_submodule(name) for name in due]
    learning = {id(p) for part in parts for p in part.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad = id(parameter) in learning
    model.train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and not layer.weight.requires_grad:
            layer.eval()
""",
        "eval for all, train for what is due, by the path and a dot": """
def gradual_unfreeze(model, stage_names, epoch):
    first = len(stage_names) - min(epoch, len(stage_names))
    due = [find_head(model).name, *stage_names[first:]]
    model.eval()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(name.startswith(part + ".") for part in due))
        parameter.grad = None
    for part in due:
        model.get_submodule(part).train()
    return model
""",
    },
    "set_train_mode": {
        "the inner module has the last word": """
def set_train_mode(model):
    def walk(module, learns):
        own = list(module.parameters())
        learns = any(p.requires_grad for p in own) if own else learns
        module.training = learns
        for child in module.children():
            walk(child, learns)
    walk(model, True)
""",
        "those to put to rest first looked for": """
def set_train_mode(model):
    frozen = [m for m in model.modules()
              if any(True for _ in m.parameters())
              and all(not p.requires_grad for p in m.parameters())]
    model.train()
    for module in frozen:
        module.train(False)
    return model
""",
    },
    "recalibrate_batchnorm": {
        "one pass with momentum one": """
def recalibrate_batchnorm(model, images):
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.inference_mode():
        model(images)
    for norm, momentum in zip(norms, before):
        norm.momentum = momentum
        norm.eval()
""",
        "in batches of eight": """
def recalibrate_batchnorm(model, images):
    model.eval()
    momenta = {layer: layer.momentum for layer in batchnorm_layers(model).values()}
    for layer in momenta:
        layer.reset_running_stats()
        layer.momentum = None
        layer.training = True
    with torch.no_grad():
        for start in range(0, len(images), 8):
            model(images[start : start + 8])
    for layer, momentum in momenta.items():
        layer.momentum = momentum
        layer.training = False
    return model
""",
        "layer by layer, by hand": """
def recalibrate_batchnorm(model, images):
    def measure(layer, inputs):
        layer.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        layer.running_var.copy_(inputs[0].var((0, 2, 3)))
    hooks = [m.register_forward_pre_hook(measure) for m in batchnorm_layers(model).values()]
    with torch.no_grad():
        model.eval()(images)
    for hook in hooks:
        hook.remove()
""",
    },
    "choose_and_report": {
        "in plain Python": """
def choose_and_report(val, test):
    means = [sum(row) / len(row) for row in val.tolist()]
    return test.tolist()[means.index(max(means))]
""",
        "sorted, as an array": """
def choose_and_report(val, test):
    order = val.sum(1).argsort(descending=True)
    return test.numpy()[int(order[0])]
""",
    },
    "paired_interval": {
        "scipy's paired test": """
def paired_interval(a, b):
    from scipy.stats import ttest_rel
    interval = ttest_rel(a.numpy(), b.numpy()).confidence_interval(0.95)
    return float((a - b).mean()), interval.low, interval.high
""",
        "the course's own, as a tensor": """
def paired_interval(a, b):
    from course_utils.stats import mean_interval
    interval = mean_interval((a - b).tolist())
    return torch.tensor([interval.mean, interval.low, interval.high])
""",
        "the sum of squares by hand": """
def paired_interval(a, b):
    d = [float(x) - float(y) for x, y in zip(a, b)]
    n = len(d)
    mean = sum(d) / n
    error = (sum((x - mean) ** 2 for x in d) / (n * (n - 1))) ** 0.5
    low, high = t.interval(0.95, n - 1, loc=mean, scale=error)
    return [mean, low, high]
""",
    },
    "evaluate": {
        "all answers in a row, in inference mode": """
@torch.inference_mode()
def evaluate(model, batches):
    modes = {module: module.training for module in model.modules()}
    model.eval()
    right = torch.cat([model(images).argmax(-1).eq(labels) for images, labels in batches])
    for module in modes:
        module.training = modes[module]
    return right.double().mean()
""",
        "a copy in eval mode": """
def evaluate(model, batches):
    net = copy.deepcopy(model).eval()
    right, seen = 0, 0
    with torch.no_grad():
        for images, labels in batches:
            right += int((net(images).max(dim=1).indices == labels).sum())
            seen += images.shape[0]
    return right / seen
""",
        "train and eval from the outside in": """
def evaluate(model, batches):
    modes = [module.training for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            shares = [((model(x).argmax(1) == y).float().mean().item(), len(y)) for x, y in batches]
    finally:
        for module, mode in zip(model.modules(), modes):
            module.train(mode)
    return sum(share * n for share, n in shares) / sum(n for _, n in shares)
""",
    },
    "add_low_rank": {
        "two matrices, and A is the one at zero": """
def add_low_rank(linear, rank):
    class LowRank(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear.requires_grad_(False)
            self.A = nn.Parameter(linear.weight.new_zeros(rank, linear.in_features))
            self.B = nn.Parameter(torch.randn_like(linear.weight[:, :1]).repeat(1, rank))

        def forward(self, x):
            return self.linear(x) + 2 / rank * (x @ self.A.T @ self.B.T)

    return LowRank()
""",
        "a copy of the layer, added to its weight": """
class Merged(nn.Module):
    def __init__(self, linear, rank):
        super().__init__()
        self.frozen = copy.deepcopy(linear).requires_grad_(False)
        self.A = nn.Parameter(torch.randn(rank, linear.in_features).to(linear.weight))
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank).to(linear.weight))

    def forward(self, x):
        return F.linear(x, self.frozen.weight + self.B @ self.A, self.frozen.bias)

def add_low_rank(linear, rank):
    return Merged(linear, rank)
""",
        "a hook on the layer itself": """
def add_low_rank(linear, rank):
    like = {"bias": False, "device": linear.weight.device, "dtype": linear.weight.dtype}
    linear.requires_grad_(False)
    linear.low_rank = nn.Sequential(nn.Linear(linear.in_features, rank, **like),
                                    nn.Linear(rank, linear.out_features, **like))
    nn.init.zeros_(linear.low_rank[1].weight)
    linear.register_forward_hook(lambda m, inputs, output: output + m.low_rank(inputs[0]))
    return linear
""",
    },
}


@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name, others in OTHERS.items() for what in others]
)
def test_another_right_answer_is_accepted(name, what):
    report = examine(EXERCISES[name], define(OTHERS[name][what], name))
    assert report.status == "solved", repr(report)


def test_every_exercise_has_other_right_answers():
    assert set(OTHERS) == set(EXERCISES)
    assert all(len(others) >= 2 for others in OTHERS.values())


def test_a_function_that_shrinks_the_list_of_names_does_not_harm_the_session():
    from torchvision.models import ResNet18_Weights

    names = list(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    source = "def top_k(model, weights, image, k=5):\n    weights.meta['categories'].clear()"
    assert examine(EXERCISES["top_k"], define(source, "top_k")).status == "not yet"
    assert ResNet18_Weights.IMAGENET1K_V1.meta["categories"] == names


def test_the_mistake_listed_first_is_told():
    """On MobileNet its head stays frozen, on EfficientNet other layers learn: one cause."""
    source = EXERCISES["freeze_backbone"].mutants[6].code
    report = examine(EXERCISES["freeze_backbone"], define(source, "freeze_backbone"))
    fared = {row.family: row.marks for row in report.rows}
    assert fared["resnet18"] == ("✔", "✔") and fared["mobilenet_v2"] == ("✘", "–")
    assert report.mistake == "name-substring" and report.seen.startswith("efficientnet_b0: What")


def test_an_exception_after_a_mistake_is_not_what_is_told():
    source = """
def freeze_backbone(model):
    model.requires_grad_(False)
    if not hasattr(model, "fc"):
        raise RuntimeError("no fc")
"""
    report = examine(EXERCISES["freeze_backbone"], define(source, "freeze_backbone"))
    assert (report.status, report.mistake) == ("not yet", "head-frozen-too")
    assert report.error is None and "RuntimeError" not in repr(report)


def test_a_network_that_nobody_thought_of_is_told_and_no_traceback():
    source = "def freeze_backbone(model):\n    model.__dict__.clear()"
    report = examine(EXERCISES["freeze_backbone"], define(source, "freeze_backbone"))
    assert (report.status, report.mistake) == ("not yet", None)
    assert "resnet18: afterwards it cannot be used: AttributeError" in repr(report)
