"""Every exercise: right answers are accepted, and each wrong one is told by its own hint."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from lesson_source import EXERCISE, ROOT, read_cells, tags
from lesson_source import solution as with_solution
from torch import nn

from course_utils.exercises.examine import TRIALS, examine
from course_utils.exercises.store import load_exercises
from course_utils.surgery import find_head

EXERCISES = load_exercises()
MUTANTS = [(e.name, mutant) for e in EXERCISES.values() for mutant in e.mutants]
each_exercise = pytest.mark.parametrize("name", EXERCISES)


def define(source, name):
    """The function that a source defines, with what a lesson has imported by then."""
    lesson = {"torch": torch, "nn": nn, "F": F, "copy": copy, "find_head": find_head}
    exec(compile(source, "<cell>", "exec"), lesson)
    return lesson[name]


def test_there_are_seven_with_five_mutants_or_more():
    assert set(EXERCISES) == set(TRIALS) and len(EXERCISES) == 7
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


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=lambda part: getattr(part, "name", part))
def test_a_wrong_answer_is_rejected_with_its_own_hint(name, mutant):
    report = examine(EXERCISES[name], define(mutant.code, name))
    assert report.mistake == mutant.mistake, repr(report)
    assert report.status in ("not yet", "error")
    assert EXERCISES[name].mistakes[mutant.mistake] in repr(report)


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
