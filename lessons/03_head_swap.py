# %% [markdown]
# # 3 · Head swap
# **Swapping the head takes one line. Most of what goes wrong around that line raises no error.** Here you make each mistake once, on purpose, and learn what gives it away.
#
# <!-- badges -->
#
# *You will be able to* find the head of any torchvision classifier and replace it · test the swap before you touch data · tell a wrong class count from its first loss ·
# choose how the new head starts · feed grey images to a network that was raised on colour.
# *Time* 20 min · *Before this* [1 · Loading pretrained models](01_loading_pretrained_models.ipynb), [2 · Freezing](02_freezing.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
SIZE = 128
PER_CLASS = 40
EPOCHS = 20
SEEDS = 5

# %% tags=["setup"]
import copy
import math
import tempfile
from functools import partial
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models import get_model, list_models

# %% tags=["setup"]
from course_utils import plots
from course_utils.datasets import load_flowers
from course_utils.device import pick_device, seed_everything
from course_utils.features import embed
from course_utils.images import IMAGENET_MEAN, IMAGENET_STD
from course_utils.stats import mean_interval
from course_utils.surgery import changed, freeze, freeze_backbone, set_train_mode, snapshot
from course_utils.training import evaluate, fit
from course_utils.weights import available_weights
from courseware.claims import claim
from courseware.dials import explore

seed_everything(0)
plots.use_style()
device = pick_device()  # models go there, and data follows them

# %% [markdown]
# ## One layer, four addresses
# A classifier ends in one layer that turns a feature vector into one score (a *logit*) for each class. ImageNet has 1,000 classes, our flowers have five. So that layer goes, and a new one takes its place.
#
# **Predict:** ResNet-18's head takes 512 features. After the swap, is `fc.weight` of shape (512, 5) or (5, 512)?

# %% tags=["nbval-check-output"]
resnet = get_model("resnet18")
before = tuple(resnet.fc.weight.shape)

resnet.fc = nn.Linear(resnet.fc.in_features, 5)

print(before, "→", tuple(resnet.fc.weight.shape))

# %% [markdown]
# One row for each class: a row is what that class looks for in the features, and the logits are `features @ weight.T + bias`. Note what we did *not* write: 512. The old layer knows its own width; ask it.
#
# Other families keep the same layer elsewhere. To look at big ones for free, we build them on the **meta device**, where a tensor has a shape and a dtype but no numbers.

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    mobilenet, vit, swin = get_model("mobilenet_v2"), get_model("vit_b_16"), get_model("swin_t")

    mobilenet.classifier[-1] = nn.Linear(mobilenet.classifier[-1].in_features, 5)
    vit.heads.head = nn.Linear(vit.heads.head.in_features, 5)
    swin.head = nn.Linear(swin.head.in_features, 5)

    logits = [network(torch.empty(2, 3, 224, 224)) for network in (mobilenet, vit, swin)]

[tuple(x.shape) for x in logits]

# %%
claim(
    "four networks, four addresses, five logits each",
    resnet.fc.weight.shape == (5, 512) and all(x.shape == (2, 5) for x in logits),
    figure="fc, classifier[-1], heads.head, head",
)

# %% [markdown]
# The forward pass ran too, through all of ViT's 12 blocks, without one multiplication: on the meta device only shapes are worked out. That makes it a cheap test, and we will lean on it.

# %% [markdown]
# ## Why not look for it by name?
# Code that must handle several families often picks layers by a piece of their name: `if "fc" in name`. **Predict:** how many of EfficientNet-B0's parameter tensors does `"fc"` match? Its head has two.

# %% tags=["nbval-check-output"]
searches = [("efficientnet_b0", "fc"), ("resnet18", "2"), ("vgg11", "classifier")]
for network, piece in searches:
    with torch.device("meta"):
        parameters = dict(get_model(network).named_parameters())
    hits = [name for name in parameters if piece in name]
    values = sum(parameters[name].numel() for name in hits)
    print(f"{network}: {piece!r} in {len(hits)} of {len(parameters)} names, {values:,} values")
    print(f"    for example {hits[0]} and {hits[-1]}")

# %% [markdown]
# In EfficientNet `fc1` and `fc2` are the squeeze-and-excite layers, deep in the backbone; its head is not even among the matches. A `"2"` meant for `layer2` also finds the second convolution of every other block.
# And VGG's `classifier` *is* the right name, only it is three layers, not one.
#
# So go by the modules themselves. Three observations, three lines:
# 1. the head is the **last `nn.Linear` in definition order**, which is the order of `named_modules()`;
# 2. its dotted name splits into a parent and an attribute;
# 3. `setattr` on the **parent** puts a new layer where the old one was.

# %% tags=["nbval-check-output"]
network = get_model("mobilenet_v2")

name, old = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
parent, _, attribute = name.rpartition(".")
setattr(network.get_submodule(parent), attribute, nn.Linear(old.in_features, 5))

print(f"{name}: parent {parent!r}, attribute {attribute!r}")
print(network.classifier)

# %% [markdown]
# **Predict the output:** why split the name at all? What happens with the line below, and what shape does the network give then?

# %% tags=["nbval-check-output"]
network = get_model("mobilenet_v2").eval()
setattr(network, "classifier.1", nn.Linear(1280, 5))

print(tuple(network(torch.zeros(2, 3, 64, 64)).shape))
print([child for child, _ in network.named_children()])

# %%
claim(
    "a dotted name given to setattr raises nothing and replaces nothing",
    network(torch.zeros(2, 3, 64, 64)).shape == (2, 1000),
    figure="still 1,000 logits",
)

# %% [markdown]
# No error. The network got a third child, literally named `classifier.1`, which no forward pass ever visits. It shows up in `parameters()`, and it would sit in the optimizer, doing nothing, politely. Only the *output shape* gives it away.
#
# The three lines, with the care they deserve (bias, device, dtype, heads that are convolutions), are in `course_utils.surgery`. They are short; read them.

# %% tags=["nbval-check-output"]
from course_utils.surgery import find_head, replace_head

network = get_model("mobilenet_v2")
replace_head(network, 5)

head = find_head(network)
head.name, head.in_features, head.out_features

# %% [markdown]
# Once more, slowly, both ways on one network.
#
# **Predict:** which line lets the number of values *grow*, and which lets it fall?

# %%
# Lines to step through: two ways to put in a head
def swap(network, image):  # a MobileNetV2 for a thousand classes, and a white image
    linear = [name for name, m in network.named_modules() if isinstance(m, nn.Linear)]
    address = linear[-1]  # the last one in definition order
    width = network.get_submodule(address).in_features  # ask the old layer
    head = nn.Linear(width, 5)  # a row for each class; born trainable, and in train mode
    setattr(network, address, head)  # a dotted name: values come in, and none goes
    scores = network(image)  # so it is the old head that answers
    delattr(network, address)  # take it out again
    parent, _, attribute = address.rpartition(".")  # cut the name at its last dot
    holder = network.get_submodule(parent)  # the module in which the old head sits
    setattr(holder, attribute, head)  # now the shapes change
    scores = network(image)  # and the new head answers
    return scores.shape

# %% tags=["stepper"] alt="Step through a head swap that replaces nothing and one that works: shapes and counts after every line"
# Step through: two ways to put in a head
from courseware.stepper import step_through

step_through(swap, get_model("mobilenet_v2").eval(), torch.ones(1, 3, 64, 64))

# %% [markdown]
# The wrong way *adds* a layer, the right way *replaces* one. Before either of them ran, nothing told the two apart; afterwards the count does, and so does the shape of the answer.

# %% tags=["quiz"]
from courseware.quiz import quiz

quiz("03-names")

# %% [markdown]
# ## Every family, in one table
# "Last `Linear` in definition order" is a habit of torchvision's authors, not a law: nothing stops a class from defining its layers in another order than it uses them. So we put it to the test:
# in every network, replace the head by one with 7 outputs, run a forward pass, count the logits.
#
# All of it happens on the meta device, or nearly: a RegNet computes its widths *with tensors*, and a meta tensor has no numbers to read, so the small ones are built on the CPU (and the large ones left alone).

# %%
def head_row(name):
    """Where a network keeps its head, and what it answers once that head has 7 outputs."""
    place = "cpu" if "regnet" in name else "meta"
    # Two veterans otherwise warn of a slow initialisation, which a meta tensor does not need.
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device(place):
        network = get_model(name, **options).eval()
    millions = round(sum(p.numel() for p in network.parameters()) / 1e6, 1)
    head, leaves = find_head(network), [m for m in network.modules() if not list(m.children())]
    dropout = getattr(leaves[leaves.index(head.module) - 1], "p", "–")
    replace_head(network, 7)
    with torch.no_grad():
        logits = network(torch.empty(2, 3, 224, 224, device=place))
    kind, bias = type(head.module).__name__, "no" if head.module.bias is None else "yes"
    return head.name, head.in_features, kind, bias, dropout, millions, tuple(logits.shape)


# %% [markdown]
# One small member of each family. **Predict** before you read on: which head is not a `Linear`? Which has no bias? Does ResNet have a dropout in front of its head?

# %% tags=["nbval-check-output"]
families = """alexnet vgg11 googlenet inception_v3 squeezenet1_1 resnet18 resnext50_32x4d
    wide_resnet50_2 densenet121 mobilenet_v2 mobilenet_v3_small shufflenet_v2_x0_5 mnasnet0_5
    efficientnet_b0 efficientnet_v2_s regnet_y_400mf convnext_tiny vit_b_16 swin_t swin_v2_t
    maxvit_t""".split()
columns = ["head", "width", "layer", "bias", "drop", "M values", "logits"]

rows = {name: head_row(name) for name in families}
heads = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
heads

# %%
claim(
    "the layer this rule finds is the one that gives the logits, in every family",
    all(shape == (2, 7) for shape in heads["logits"]),
    figure=f"{len(heads)} families, {heads['M values'].sum():.0f} million values, hardly "
    "any of them in memory",
)

# %% [markdown]
# Three rows need a second look.
# * **SqueezeNet** ends in a 1×1 convolution; its logits are the average of that convolution's map. `replace_head` puts in a convolution.
# * **MaxViT**'s head has no bias. `replace_head` keeps it so.
# * **GoogLeNet** and **Inception** have *auxiliary* classifiers half-way up, which speak in train mode only. A swap by hand does not reach them; we look at Inception below.
#
# The other networks are built as you ask for them, one after another, and remembered.
#
# **Predict:** five vision transformers called `vit_…` are in the list. Do they all put the head in the same place? With the same width?

# %% tags=["dial"] alt="A table of the networks whose name holds what was typed: where the head is, its width, kind and bias, the dropout before it, and the network's size"
# Dial: the head of any torchvision network
every = [n for n in list_models(module=torchvision.models) if n[:6] != "regnet" or "400" in n]
known = dict(rows)

def look_up(part, order):
    hits = [name for name in every if part.strip().lower() in name]
    for name in [None, *(hit for hit in hits if hit not in known)]:
        if name:
            known[name] = head_row(name)
        found = {hit: known[hit] for hit in hits if hit in known}
        table = pd.DataFrame.from_dict(found, orient="index", columns=columns)
        yield table if order == "name" else table.sort_values(order)

order = widgets.Dropdown(options=["name", "width", "M values"])
explore(look_up, part=widgets.Text("vit"), order=order)

# %% [markdown]
# Type `net` or `v2`, order by *width*, and look down the columns *head* and *width*: the address follows the family, the width often follows the size. Nothing you could guess from a name.

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    inception = get_model("inception_v3", init_weights=False)
    inception.fc = nn.Linear(inception.fc.in_features, 5)
    images = torch.empty(2, 3, 299, 299)
    outputs = inception.train()(images)
    print(type(outputs).__name__, [tuple(x.shape) for x in outputs])

    inception.aux_logits, inception.AuxLogits = False, None
    outputs = inception.train()(images)
    print(type(outputs).__name__, tuple(outputs.shape))

# %%
claim(
    "without its auxiliary head, Inception answers in train mode like any other network",
    outputs.shape == (2, 5),
    figure="two outputs before, one of them with 1,000 classes",
)

# %% [markdown]
# With the auxiliary head in place, `F.cross_entropy(outputs, labels)` raises a `TypeError` in training and works in evaluation: a pair is no tensor. Either drop it, as above (GoogLeNet has two: `aux1` and `aux2`),
# or replace it as well and add its loss with a small weight, as its authors did when they trained from scratch. For a new head on a pretrained backbone, drop it: `replace_head` does.

# %% [markdown]
# ## A smoke step, before any data
# The swap is done. Before a single photo is loaded, run one batch of noise through the network and look at five things: the shape, the first loss, where the gradients are, whether the loss can fall, and what changed.
#
# Eight noise images, labels 0 to 4. A head that knows nothing should give each class one fifth, and a loss of ln 5 ≈ 1.609. **Predict:** is the first loss exactly that?

# %%
WEIGHTS = available_weights(BACKBONE)
PRETRAINED = WEIGHTS is not None

model = get_model(BACKBONE, weights=WEIGHTS).to(device)
replace_head(model, 5)
freeze_backbone(model)
set_train_mode(model)

noise, labels = torch.randn(8, 3, SIZE, SIZE).to(device), (torch.arange(8) % 5).to(device)
logits = model(noise)
loss = F.cross_entropy(logits, labels)
print(f"shape {tuple(logits.shape)}, loss {loss.item():.3f}, ln 5 = {math.log(5):.3f}")

# %%
loss.backward()
[name for name, parameter in model.named_parameters() if parameter.grad is not None]

# %% [markdown]
# Only the head's weight and bias hold a gradient. Now the oldest test in the book: **overfit one batch**. If a network cannot learn eight pictures by heart, more pictures will not help it.

# %% alt="A curve: the loss on the one batch, step by step, and a dotted line at the loss of a head that knows nothing"
optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=1e-2)
before, losses = snapshot(model), []
for _ in range(15):
    loss = F.cross_entropy(model(noise), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

ax = plt.subplots(figsize=(5.2, 2.4), layout="constrained")[1]
ax.plot(losses, marker="o", markersize=4)
ax.axhline(math.log(5), color="0.6", linestyle=":", label="ln 5: knows nothing")
ax.set(xlabel="step", ylabel="loss on the one batch")
ax.legend();

# %%
claim(
    "the new head learns eight noise images by heart",
    losses[-1] < losses[0] / 2,
    figure=f"loss {losses[0]:.2f} → {losses[-1]:.2f}",
    when=PRETRAINED,
    otherwise="needs pretrained weights: random ones turn all images into nearly one vector",
)
claim(
    "only the head's entries in the state changed",
    all(name.startswith(find_head(model).name) for name in changed(model, before)),
    figure=" and ".join(changed(model, before)),
)

# %% [markdown]
# It learned *noise*, so this says nothing about flowers. It says that the plumbing holds: shapes fit, gradients arrive, the optimizer holds the right tensors. Half a minute here can save an evening later.
#
# ### Near ln 5: luck or rule?
# Another seed gives another first loss. How near to ln 5 should it be? From here on we need features of real images: one pass, kept in memory (lesson 4 makes a whole method of this).

# %%
flowers = load_flowers(SIZE)
train = embed(model, flowers.train.per_class(PER_CLASS))
val = embed(model, flowers.val)
WIDTH = val.features.shape[1]
train.features.shape, val.features.shape

# %% [markdown]
# `nn.Linear` draws its weights and biases uniformly from ±1/√width, so each has variance 1/(3·width), and a logit has variance (|features|² + 1)/(3·width).
# Logits that differ by chance cost something: to second order, half their variance, times 4/5 as there are five of them. Against that, 200 freshly drawn heads:

# %%
variance = (val.features.pow(2).sum(dim=1) + 1).mean().item() / (3 * WIDTH)
expected = math.log(5) + variance / 2 * 4 / 5

first = []
for seed in range(200):
    torch.manual_seed(seed)
    first.append(F.cross_entropy(nn.Linear(WIDTH, 5)(val.features), val.labels).item())
print(f"ln 5 {math.log(5):.3f}, expected {expected:.3f}, measured {mean_interval(first):.3f}")
print(f"from {min(first):.2f} to {max(first):.2f}")

# %%
claim(
    "a default head starts a little above ln 5, by half the variance of its logits",
    abs(sum(first) / len(first) - expected) < 0.05,
    figure=f"{expected:.3f} expected, {mean_interval(first):.3f} measured",
    when=PRETRAINED,
    otherwise="needs pretrained weights: the estimate is for small logits",
)

# %% [markdown]
# So the rule of thumb is "ln C and a bit". The top of that range is an unlucky draw. A first loss of 7 is a message, and the next section reads it.

# %% tags=["quiz"]
quiz("03-smoke")

# %% [markdown]
# ## Wrong class count: one loud, one silent
# **Loud.** Somebody numbers the five flowers 1 to 5. The head has outputs 0 to 4.

# %%
head = nn.Linear(WIDTH, 5)
try:
    F.cross_entropy(head(val.features), val.labels + 1)
except IndexError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# Be glad of it. And note *when* it comes: only in a batch that holds a 5. Labels 1 to 4 went through without a word.
#
# That was the CPU. On a GPU the same label fails as `CUDA error: device-side assert triggered`: the kernel runs behind Python's back, so the traceback may point at some later, innocent line, and every CUDA call after it fails too, until you restart the notebook's kernel.
# (We cannot show that one here without ending the lesson.) The cure: run one batch on the CPU, and read the error above.
#
# **Silent.** The quick "fix" is a sixth output. Or nobody swaps the head at all, and 1,000 outputs stay. Both run. **Predict** for each: the first loss, the validation accuracy after training, and how much probability goes to *ghosts*, the classes that do not exist.
#
# A head is a model of its own, with features in and logits out, so one small function runs all the experiments of the next two sections: same features, same optimizer, same number of epochs; only the head differs.

# %%
def try_heads(make_head):
    """First and last evaluation on val of SEEDS heads, each trained for EPOCHS."""
    first, last = [], []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        head = make_head().to(device)
        optimizer = torch.optim.Adam(head.parameters(), lr=2e-3)
        first.append(evaluate(head, val))
        # restore_best=False: we compare equal budgets, so nobody gets to pick an epoch.
        budget = dict(epochs=EPOCHS, batch_size=64, seed=seed, restore_best=False)
        fit(head, train, val, optimizer=optimizer, **budget)
        last.append(evaluate(head, val))
    return first, last


# %%
old_head = find_head(get_model(BACKBONE, weights=WEIGHTS)).module
counts = {
    "5 outputs": partial(nn.Linear, WIDTH, 5),
    "6 outputs": partial(nn.Linear, WIDTH, 6),
    "1,000 outputs, new": partial(nn.Linear, WIDTH, 1000),
    "1,000 outputs, the old head": partial(copy.deepcopy, old_head),
}
runs = {name: try_heads(make_head) for name, make_head in counts.items()}

# %%
accuracy, ghosts, table = {}, {}, {}
for name, (first, last) in runs.items():
    accuracy[name] = mean_interval([run.accuracy for run in last])
    ghosts[name] = [
        torch.cat([run.probabilities[:, 5:].sum(dim=1) for run in when]).mean().item()
        for when in (first, last)
    ]
    table[name] = {
        "first loss": f"{mean_interval([run.loss for run in first]).mean:.2f}",
        "ln of outputs": f"{math.log(first[0].logits.shape[1]):.2f}",
        "val accuracy": f"{accuracy[name]:.3f}",
        "on ghosts": "{:.1%} → {:.2%}".format(*ghosts[name]),
    }
pd.DataFrame.from_dict(table, orient="index")

# %%
pairs = zip(runs["5 outputs"][1], runs["6 outputs"][1], strict=True)
gap = mean_interval([five.accuracy - six.accuracy for five, six in pairs])
claim(
    "a sixth output costs no accuracy that we can measure",
    abs(gap.mean) < 0.03,
    figure=f"5 outputs minus 6, over {SEEDS} seeds: {gap:+.3f}",
    when=PRETRAINED,
    otherwise="needs pretrained weights: there is little to learn from random features",
)

# %%
claim(
    "1,000 new outputs announce themselves in the first loss",
    min(run.loss for run in runs["1,000 outputs, new"][0]) > 5,
    figure=f"{runs['1,000 outputs, new'][0][0].loss:.2f}, and ln 1,000 = {math.log(1000):.2f}",
)
claim(
    "the old head left in place is the costly one",
    accuracy["1,000 outputs, the old head"].high < accuracy["5 outputs"].low,
    figure=f"{accuracy['1,000 outputs, the old head']:.3f} against {accuracy['5 outputs']:.3f}",
    when=PRETRAINED,
    otherwise="needs pretrained weights: only then does the old head know anything to unlearn",
)

# %% [markdown]
# *Accuracy hides it*, and so this mistake lives long. Cross-entropy soon learns that the extra classes never happen, and their outputs go quiet: by the end next to nothing is left on the ghosts. The evidence is at the **start**, in a first loss that does not fit and in probability on classes that do not exist. And it stays in the shape.
#
# The old head is another story. It does not start ignorant but *sure*: for it, label 0 is a tench and label 1 a goldfish, and your dandelions are neither. Its first loss lies far above even ln 1,000, and much of the training goes into forgetting.
#
# **Keep this one:** compare the first loss with ln(number of classes). It is one line. It catches 1,000 outputs at a glance; six against five it cannot tell (ln 6 is too near), so compare the output *shape* with `len(classes)` too.

# %% tags=["quiz"]
quiz("03-class-count")

# %% [markdown]
# ## Freeze then swap, or swap then freeze?
# The order is argued about, with the warning that after the wrong one "nothing learns". **Predict:** which of these five can take a training step, and with how many trainable tensors?

# %%
swap = partial(replace_head, num_classes=5)
orders = {
    "freeze, swap": [freeze, swap],
    "swap, freeze": [swap, freeze],
    "swap, freeze, then the head on again": [swap, freeze, freeze_backbone],
    "swap, freeze the backbone": [swap, freeze_backbone],
    "swap only": [swap],
}

# %% tags=["nbval-check-output"]
rows = {}
for order, steps in orders.items():
    network = get_model(BACKBONE).to(device).eval()
    for step in steps:
        step(network)
    trainable = sum(p.requires_grad for p in network.parameters())
    try:
        F.cross_entropy(network(noise), labels).backward()
        rows[order] = trainable, "gradients flow"
    except RuntimeError as error:
        rows[order] = trainable, str(error).split(" and ")[0]
pd.DataFrame.from_dict(rows, orient="index", columns=["trainable tensors", "backward()"])

# %%
claim(
    "the order does not matter, the flags at the end do",
    [count for count, _ in rows.values()][:4] == [2, 0, 2, 2],
    figure="three orders end with the head's 2 tensors, one with none",
)

# %% [markdown]
# "Swap then freeze: nothing learns" is half true. A new layer arrives with `requires_grad=True`; freeze everything after it came, and you froze it too. But that is a **loud** error, not a silent one, and switching the head on again mends it.
# The quiet mistake is the last row: no freeze at all. It trains everything, without a murmur.
#
# There is one order that does matter, and it is not about freezing. **Predict:** three steps with an optimizer that was built before the swap; what does the loss do?

# %%
network = get_model(BACKBONE).to(device).eval()
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
freeze(network)
replace_head(network, 5)

losses = []
for _ in range(3):
    loss = F.cross_entropy(network(noise), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
losses

# %%
claim("with an optimizer built before the swap the loss never moves", len(set(losses)) == 1)

# %% [markdown]
# There is your silent flat loss. The optimizer still holds the *old* head, which hangs in no network any more; the new one gets gradients and no steps. So: **swap, set the flags, then build the optimizer.** (`fit` refuses an optimizer that does not hold what is trainable.)

# %% tags=["quiz"]
quiz("03-order")

# %% [markdown]
# ## What the new head starts from
# Zeros are a sin in a deep network: neurons that start equal stay equal. In a *single* last layer they are harmless, because each row's gradient is `(probability − target) × features`, and the target differs from row to row.
#
# **Predict:** the first loss of a head of zeros, on any image whatever. And after training: does the start still matter?

# %%
def started(change):
    """A new head whose weight and bias went through `change`, in place."""
    head = nn.Linear(WIDTH, 5)
    with torch.no_grad():
        change(head.weight), change(head.bias)
    return head


starts = {
    "zeros": partial(started, torch.Tensor.zero_),
    "PyTorch's default": partial(nn.Linear, WIDTH, 5),
    "default, no bias": partial(nn.Linear, WIDTH, 5, bias=False),
    "default × 10": partial(started, lambda values: values.mul_(10)),
}
runs = {name: try_heads(make_head) for name, make_head in starts.items()}

# %%
accuracy, table = {}, {}
for name, (first, last) in runs.items():
    accuracy[name] = mean_interval([run.accuracy for run in last])
    table[name] = {
        "first loss": f"{mean_interval([run.loss for run in first]):.3f}",
        "val accuracy": f"{accuracy[name]:.3f}",
    }
pd.DataFrame.from_dict(table, orient="index")

# %%
claim(
    "a head of zeros starts at ln 5, whatever the image",
    all(abs(run.loss - math.log(5)) < 1e-6 for run in runs["zeros"][0]),
    figure=f"{runs['zeros'][0][0].loss:.6f}",
)

# %%
small = [accuracy[name].mean for name in list(starts)[:3]]
claim(
    "zeros, default and no bias end within two points of each other",
    max(small) - min(small) < 0.02,
    figure=f"between {min(small):.3f} and {max(small):.3f}",
    when=PRETRAINED,
    otherwise="needs pretrained weights: there is little to learn from random features",
)
claim(
    "ten times the default has not recovered after the same number of epochs",
    accuracy["default × 10"].high < accuracy["PyTorch's default"].low,
    figure=f"{accuracy['default × 10']:.3f}",
    when=PRETRAINED,
    otherwise="needs pretrained weights: there is little to learn from random features",
)

# %% [markdown]
# Small starts end alike. A large one is sure of itself and wrong, and the budget goes into talking it down. Big Transfer (Kolesnikov 2020) starts its heads at zero, and it makes a fine habit: the first loss becomes a number you can check to six digits.
#
# The bias is five of thousands of values, and on balanced classes it does nothing you can see. On *unbalanced* ones it has a job that can be done before training: give each class its logarithmic share.

# %% tags=["nbval-check-output"]
sizes = torch.tensor([600, 100, 50, 30, 20])  # a lopsided training set
targets = torch.arange(5).repeat_interleave(sizes)

for name, bias in {"zeros": torch.zeros(5), "log shares": (sizes / sizes.sum()).log()}.items():
    loss = F.cross_entropy(bias.expand(len(targets), 5), targets).item()
    print(f"bias of {name}: first loss {loss:.3f}")

# %%
claim("a bias of log shares starts lower than ln 5", loss < math.log(5), figure=f"{loss:.3f}")

# %% [markdown]
# It starts where a network that only knows the class frequencies would be, and spends no step on learning them.
#
# ### Dropout before the head
# Many families put a dropout there (the table's fifth column), and `replace_head` leaves it alone. In train mode it zeroes each feature with probability p and scales the rest by 1/(1 − p); in eval mode it does nothing.
# **Predict:** one photo, asked a thousand times in train mode. How far do the answers spread?

# %%
torch.manual_seed(0)
head = nn.Sequential(nn.Dropout(0.5), nn.Linear(WIDTH, 5)).to(device)
optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
fit(head, train, val, epochs=EPOCHS, optimizer=optimizer)

sure = evaluate(head, val).probabilities.max(dim=1).values
photo = val[[(sure - 0.7).abs().argmin().item()]]  # one it is neither sure nor clueless about
asked = photo.features.repeat(1000, 1).to(device)
with torch.no_grad():
    answers = {mode: head.train(mode == "train")(asked).softmax(1) for mode in ("eval", "train")}

# %% alt="A histogram of the probability that train mode gives to one class, a thousand times, and a line where eval mode puts it every time"
favourite = answers["eval"][0].argmax()
eval_answer = answers["eval"][:, favourite].cpu()
train_answer = answers["train"][:, favourite].cpu()

ax = plt.subplots(figsize=(5.6, 2.4), layout="constrained")[1]
ax.hist(train_answer, bins=40, range=(0, 1), label="train mode, 1,000 times")
ax.axvline(eval_answer[0], color=plots.VERMILION, label="eval mode, every time")
ax.set(xlabel="probability of the class that eval mode chooses", ylabel="answers")
ax.legend(loc="upper left");

# %%
other = (answers["train"].argmax(dim=1) != favourite).float().mean().item()
claim(
    "eval mode gives one answer, train mode many",
    eval_answer.std() < 1e-4 and train_answer.std() > 100 * eval_answer.std(),
    figure=f"another class wins in {other:.0%} of the answers in train mode",
)

# %% [markdown]
# Forget `eval()` at prediction time and that is what your users get: another answer each time they ask. Now, is the dropout worth keeping? **Predict:** which p is best here?

# %% alt="Bars with intervals: validation accuracy of a head without dropout and with three rates of it"
rates = (0.0, 0.2, 0.5, 0.8)
runs = {
    f"p = {p}": try_heads(lambda p=p: nn.Sequential(nn.Dropout(p), nn.Linear(WIDTH, 5)))[1]
    for p in rates
}
scores = {name: mean_interval([run.accuracy for run in last]) for name, last in runs.items()}
ends = {name: (score.low, score.high) for name, score in scores.items()}

ax = plots.bars({name: score.mean for name, score in scores.items()}, errors=ends)
ax.set(xlabel=f"val accuracy, mean and 95 % interval over {SEEDS} seeds", xlim=(0, 1));

# %%
pairs = zip(runs["p = 0.2"], runs["p = 0.0"], strict=True)
gain = mean_interval([a.accuracy - b.accuracy for a, b in pairs])
claim(
    "dropout 0.2 before the head makes no difference that these seeds can show",
    abs(gain.mean) < 0.02,
    figure=f"p = 0.2 minus p = 0: {gain:+.3f}",
    when=PRETRAINED,
    otherwise="needs pretrained weights: there is little to learn from random features",
)

# %% [markdown]
# An honest shrug. With a frozen backbone, a linear head and this many steps, a dropout of 0.2 or 0.5 neither helps nor harms beyond the noise. Keep what the architecture brought; do not expect a rescue from it. When millions of values train (lesson 5), it has more to do.

# %% [markdown]
# ## Grey images, one channel
# X-rays, scans, digits: one channel. The backbone's first convolution wants three. The usual line is `x.repeat(1, 3, 1, 1)`, and for a batch of shape (N, 1, H, W) it is right.
#
# **Predict the output:** your loader gives (8, 28, 28), with no channel axis. Same line. An error, or which shape?

# %% tags=["nbval-check-output"]
x = torch.rand(8, 28, 28)

print("with a channel axis   ", tuple(x[:, None].repeat(1, 3, 1, 1).shape))
print("without               ", tuple(x.repeat(1, 3, 1, 1).shape))

# %% [markdown]
# No error: `repeat` puts missing axes in front, takes your eight images for eight channels of one image, and repeats those. The first convolution then complains about 24 channels. So far, so loud.
#
# What turns it silent is the obvious repair: "the shape is wrong, so `reshape` it". Here it is on five drawn flowers, in grey:

# %% alt="Above five flowers in grey, below what the network would see: colour ghosts of three flowers each"
from course_utils.datasets.drawn.scenes import render_flowers

grey = render_flowers(1, size=96).images.float().mean(dim=1) / 255  # (5, 96, 96)

repaired = grey.repeat(1, 3, 1, 1).reshape(5, 3, 96, 96)
correct = grey[:, None].repeat(1, 3, 1, 1)

titles = ["meant"] * 5 + ["after the repair"] * 5
plots.image_grid(torch.cat([correct, repaired]), titles, columns=5, cell=1.2);

# %%
claim(
    "the repaired batch has the right shape and three different flowers in each image",
    repaired.shape == correct.shape
    and all(torch.equal(repaired[0, channel], grey[channel]) for channel in range(3)),
    figure=f"{tuple(repaired.shape)}; flowers 0, 1 and 2 are red, green and blue of one image",
)

# %% [markdown]
# It would train, too, on pictures of three flowers with the label of one. Say what you mean instead: `x[:, None]` adds the channel axis where you want it.
#
# And use **`expand`**: it repeats without copying. (It gives a view: normalise with `(x - mean) / std`, which makes a new tensor, not in place.)

# %% tags=["nbval-check-output"]
x = torch.rand(8, 1, 128, 128)
repeated, expanded = x.repeat(1, 3, 1, 1), x.expand(-1, 3, -1, -1)

for name, y in {"x": x, "repeat": repeated, "expand": expanded}.items():
    print(f"{name:7} {tuple(y.shape)}, {y.untyped_storage().nbytes():>9,} bytes behind it")

# %%
claim(
    "expand gives the same numbers and takes no memory",
    torch.equal(repeated, expanded) and expanded.data_ptr() == x.data_ptr(),
    figure="it looks at x's own memory, three times",
)

# %% [markdown]
# Often there is nothing to do at all. With files, PIL's `convert("RGB")` makes three channels of one, and `ImageFolder` calls it for you. **Predict:** a grey PNG goes in; what comes out?

# %% tags=["nbval-check-output"]
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "daisy").mkdir()
    picture = to_pil_image(grey[0])
    picture.save(Path(folder) / "daisy" / "grey.png")
    loaded, _ = ImageFolder(folder)[0]

print("saved:", picture.mode, " loaded:", loaded.mode, tuple(pil_to_tensor(loaded).shape))

# %%
red, green, blue = pil_to_tensor(loaded)
claim(
    "ImageFolder gives three equal channels for a grey file",
    torch.equal(red, green) and torch.equal(green, blue),
)

# %% [markdown]
# ### Or change the first convolution
# A convolution adds up what its kernel finds in red, green and blue. If all three channels hold the same image, that is one image times the *sum* of the three slices:
# $w_R*x + w_G*x + w_B*x = (w_R + w_G + w_B)*x$. So a one-channel convolution can take the place of the old one and nothing is lost.
#
# **Predict:** is it still exact when the reference normalises with ImageNet's three means, as it should?

# %%
network = get_model(BACKBONE, weights=WEIGHTS).eval()
name, old = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))

one = nn.Conv2d(1, old.out_channels, old.kernel_size, old.stride, old.padding)
one.bias = old.bias  # None in many networks, for a BatchNorm follows
with torch.no_grad():
    one.weight.copy_(old.weight.sum(dim=1, keepdim=True))
name, tuple(old.weight.shape), tuple(one.weight.shape)

# %%
grey = flowers.val.images[::8].float().mean(dim=1, keepdim=True) / 255  # (25, 1, H, W)
mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))

alike = (grey - mean.mean()) / std.mean()  # one mean, one std
by_channel = (grey - mean) / std  # broadcast to three channels that differ

with torch.no_grad():
    scale = old(by_channel).std()
    same = (old(alike.expand(-1, 3, -1, -1)) - one(alike)).abs().max() / scale
    different = (old(by_channel) - one(alike)).abs().max() / scale
print(f"three equal channels:     off by at most {same:.1e} standard deviations")
print(f"ImageNet's three means:   off by at most {different:.2f}")

# %%
claim(
    "summing the kernels is exact when the three channels hold the same numbers",
    same.item() < 1e-4,
    figure=f"{same:.0e}, rounding",
)
claim(
    "with ImageNet's three means and standard deviations it is only close",
    different.item() > 100 * same.item(),
    figure=f"{different:.2f} standard deviations",
)

# %% [markdown]
# So, precisely: the two are equal when the three channels carry the same numbers, and after normalisation they do so only if it used **one mean and one standard deviation for all three**. ImageNet's differ by channel. A grey image normalised that way becomes slightly tinted, and that tint is what the network met in training.
#
# Does it matter further up? We compare the answers of the whole network on these 25 grey images. Reference: three channels, ImageNet's normalisation. And as a third candidate a slip that is often seen: the *mean* of the three slices instead of their sum.

# %% alt="Two bars: how often the network with one input channel names the class of the reference, with the slices summed and with their mean"
parent, _, attribute = name.rpartition(".")
with torch.no_grad():
    reference = network(by_channel).argmax(dim=1)
    setattr(network.get_submodule(parent), attribute, one)
    summed = network(alike).argmax(dim=1)
    one.weight /= 3
    averaged = network(alike).argmax(dim=1)

agree = {
    "sum of the slices": (summed == reference).float().mean().item(),
    "mean of the slices": (averaged == reference).float().mean().item(),
}
plots.bars(agree).set(xlabel="same ImageNet class as the reference", xlim=(0, 1));

# %%
claim(
    "averaging the slices changes far more answers than summing them",
    agree["mean of the slices"] < agree["sum of the slices"] - 0.1,
    figure=f"{agree['sum of the slices']:.0%} and {agree['mean of the slices']:.0%} agree",
    when=PRETRAINED,
    otherwise="needs pretrained weights: random ones give nearly every image the same class",
)

# %% [markdown]
# The mean leaves a third of the activation, and everything behind it, batch norm in eval mode first of all, was calibrated for the whole. When in doubt, keep the network as it is and feed it `x.expand(-1, 3, -1, -1)` with the usual normalisation: exact, free, and one line.

# %% tags=["quiz"]
quiz("03-grey")

# %% [markdown]
# ## Your turn
# Write `replace_head(model, num_classes)`, in place, without a look at the helper. Six families must pass, a small ViT and a small ConvNeXt among them. All of it arrives frozen, and one network computes in double precision: your layer takes the device and dtype of the old one, and a bias if that had one.
# (From here on, the name `replace_head` in this notebook is yours.)

# %% tags=["exercise"]
def replace_head(model, num_classes):
    """Put a new, trainable head with `num_classes` outputs in place of the last Linear layer."""
    # solution
    name, old = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    like = {"device": old.weight.device, "dtype": old.weight.dtype, "bias": old.bias is not None}
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, nn.Linear(old.in_features, num_classes, **like))
    # end solution


# %% tags=["self-check"]
from courseware.exercises import check

check("replace_head", replace_head)  # hint("replace_head"); after a try, solution("replace_head")

# %% [markdown]
# ## What you saw
# * The head hangs at a different address in every family. The last `Linear` in definition order finds it in every torchvision family but SqueezeNet, which ends in a convolution; a piece of a name does not.
# * `setattr` goes to the *parent*. A dotted name adds a module that nobody calls.
# * One batch of noise before any data: shape, first loss, where the gradients are, overfit it.
# * Compare the output shape with the classes you have, and the first loss with ln(their number). A sixth output or 1,000 new ones hardly show in the accuracy; the old head left in place costs a lot.
# * The order of freezing and swapping does not matter, the flags at the end do. The optimizer comes last: it is the one order that fails in silence.
# * Start the head small, zeros are fine. Bias and a moderate dropout made no difference we could measure here.
# * Grey images: add the channel axis, `expand`, done. Sum, never average, if you must change the first convolution.
#
# ## References
# Beyond what was measured: default initialisation of linear layers: He 2015, [arXiv:1502.01852](https://arxiv.org/abs/1502.01852) (PyTorch's is a variant, [documented here](https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html)) · heads that start at zero: Kolesnikov 2020, *Big Transfer*, [arXiv:1912.11370](https://arxiv.org/abs/1912.11370) ·
# auxiliary classifiers: Szegedy 2015, [arXiv:1409.4842](https://arxiv.org/abs/1409.4842) · dropout: Srivastava 2014, [JMLR 15](https://jmlr.org/papers/v15/srivastava14a.html) · the backbones: He 2016, [arXiv:1512.03385](https://arxiv.org/abs/1512.03385); Sandler 2018, [arXiv:1801.04381](https://arxiv.org/abs/1801.04381) ·
# the meta device: [PyTorch documentation](https://docs.pytorch.org/docs/stable/meta.html).

# %% [markdown]
# ## Test yourself
# The lesson's quiz. A wrong answer is told why it is wrong, and costs nothing.

# %% tags=["quiz"]
quiz("03_head_swap")

# %% [markdown]
# **Next:** [4 · Feature extraction](04_feature_extraction.ipynb). The head is new, the backbone is frozen, and the loop every tutorial prints runs the same forward pass again and again. You will write it, and then stop doing that.
