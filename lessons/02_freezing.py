# %% [markdown]
# # 2 · Freezing
# **A frozen network is one you can prove did not change.** In this lesson you freeze one, prove it by fingerprint, weigh what it saves, and meet the ways it goes wrong without a word.
#
# <!-- badges -->
#
# *You will be able to* freeze and thaw exactly what you mean · prove which tensors a step has changed · say what freezing saves, in megabytes and milliseconds, and what it does not · recognise a broken set-up by its symptom.
#
# *Time* 20 min · *Before this* [1 · Loading pretrained models](01_loading_pretrained_models.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
SIZE = 128  # pixels a side
BATCH = 8   # images in a batch

# %% tags=["setup"]
import copy

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from ipywidgets import Dropdown, SelectionSlider
from torch import nn
from torchvision.models import get_model, resnet18

# %% tags=["setup"]
from course_utils import plots
from course_utils.device import pick_device, seed_everything
from course_utils.measure import stopwatch
from course_utils.surgery import find_head, replace_head, stages
from courseware.claims import claim
from courseware.dials import explore

plots.use_style()
seed_everything(0)
torch.set_num_threads(1)  # one core is enough here, and gives a steadier stopwatch
device = pick_device()
images, labels = torch.randn(BATCH, 3, SIZE, SIZE), torch.arange(BATCH) % 5

# %% [markdown]
# Freezing is about structure: which tensors, how many, and where they sit. So the networks below have random weights and a batch of noise stands in for photos. Nothing is downloaded, and every count, flag and cost is that of the real thing.

# %% [markdown]
# ## One flag on every tensor
# A network is a pile of tensors. Each one that may learn is a `Parameter`, and each `Parameter` carries one flag: `requires_grad`. Here are the first of ResNet-18.

# %% tags=["nbval-check-output"]
resnet = resnet18()
for name, parameter in list(resnet.named_parameters())[:6]:
    print(f"{name:24} {str(tuple(parameter.shape)):16} requires_grad={parameter.requires_grad}")

# %% [markdown]
# Everything is born trainable.
#
# **Predict:** someone reports "62 trainable parameters". Someone else reports more than eleven million. It is the same network. Who is right?

# %% tags=["nbval-check-output"]
tensors = sum(parameter.requires_grad for parameter in resnet.parameters())
values = sum(parameter.numel() for parameter in resnet.parameters())
print(f"{tensors} tensors that hold {values:,} values")

# %% [markdown]
# Both; they count different things. `sum(p.requires_grad …)` adds up flags, and there is one flag a **tensor**. `sum(p.numel() …)` adds up the numbers inside: the **values**. Model cards mean values. When you report a count, say which.
#
# How far apart can the two be? The `meta` device builds a network with shapes but no storage, so even a bulky one is free to look at. This is the classifier at the end of VGG-11:

# %% tags=["nbval-check-output"]
from course_utils.surgery import count

with torch.device("meta"):
    vgg = get_model("vgg11")
count(vgg.classifier)

# %% tags=["nbval-check-output"]
share = count(vgg.classifier).values / count(vgg).values
claim("six tensors can hold most of a network", count(vgg.classifier).tensors == 6 and share > 0.9,
      figure=f"{share:.0%} of VGG-11's values")

# %% [markdown]
# `count` returns all four numbers at once: tensors and values, in all and trainable.

# %% tags=["quiz"]
from courseware.quiz import quiz

quiz("02-counting")

# %% [markdown]
# ## The line that freezes nothing
# The flag lives on tensors. This line sets it on the model instead. It looks right, it runs, and no error follows.
#
# **Predict:** how many of the 62 tensors are still trainable?

# %% tags=["nbval-check-output"]
resnet.requires_grad = False
count(resnet).trainable_tensors

# %% [markdown]
# All of them. A module has no property called `requires_grad`, so Python did what it does with any new name: it made an attribute and moved on. `resnet.tea = "Assam"` would have frozen just as much.

# %% tags=["nbval-check-output"]
claim("the model only gained an attribute", "requires_grad" in vars(resnet)
      and "requires_grad" not in vars(resnet18()))
del resnet.requires_grad

# %% [markdown]
# The method with the underscore does it. In PyTorch a trailing underscore means *in place*; this one visits every parameter below the module and sets its flag.

# %% tags=["nbval-check-output"]
resnet.requires_grad_(False)
claim("requires_grad_(False) freezes every tensor", count(resnet).trainable_tensors == 0,
      figure=f"{count(resnet).trainable_tensors} of {count(resnet).tensors} trainable")

# %% [markdown]
# Now give it a new head for five classes. A new layer is born trainable, like every other, so after these two lines exactly one layer can learn. ([Lesson 3](03_head_swap.ipynb) takes head swaps apart, `replace_head` included.)

# %% tags=["nbval-check-output"]
resnet.fc = nn.Linear(512, 5)

model = get_model(BACKBONE)
model.requires_grad_(False)
replace_head(model, 5)

counts = pd.DataFrame([count(resnet), count(model)], index=["resnet18", BACKBONE])
counts.map("{:,}".format)

# %% [markdown]
# Subtract the head and you have the backbone. **Predict:** what share of ResNet-18's values is left to train?

# %% tags=["nbval-check-output"]
whole, head = count(resnet), count(resnet.fc)
print(f"backbone: {whole.tensors - head.tensors} tensors, {whole.values - head.values:,} values")
print(f"head:     {head.tensors} tensors, {head.values:,} values")
claim("512 weights and one bias for each of five classes are all that learns",
      whole.trainable_values == 5 * (512 + 1),
      figure=f"{whole.trainable_values / whole.values:.3%} of the values")

# %% tags=["quiz"]
quiz("02-flags")

# %% [markdown]
# **Predict:** three layers in a row, and the one in the middle is frozen. `backward()` starts at the far end. Does the first layer get a gradient?
#
# Run both cells and go through the function line by line, with the buttons or the arrow keys. Everything shown was measured while it ran.

# %%
# Lines to step through: a frozen layer between two that learn
def one_pass(net, x):  # three linear layers, and two rows of three numbers
    net[1].requires_grad_(False)  # the middle layer is frozen: two of six tensors
    y = net(x)  # the result of an operation, and autograd has noted of which
    loss = y.square().mean()  # one number to go back from
    loss.backward()  # the first layer gets its gradient *through* the frozen one
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)  # all six tensors are handed over
    optimizer.step()  # four move; it passes over what has no gradient
    optimizer.zero_grad()  # the gradients are not zero now, they are gone
    net.requires_grad_(False)  # everything is frozen
    z = net(x)  # the same forward pass, and nothing is noted
    try:
        z.sum().backward()  # so there is no way back
    except RuntimeError:
        print("nothing to learn here")

# %% tags=["stepper"] alt="Step through a forward and a backward pass with a frozen layer in the middle: flags and gradients after every line"
# Step through: a frozen layer between two that learn
from courseware.stepper import step_through

step_through(one_pass, nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(2, 1)), torch.ones(2, 3))

# %% [markdown]
# It does. Frozen is not cut off: a frozen layer passes the gradient on and keeps none for itself. And look at the last lines: when *nothing* learns, `requires_grad` of the result is False, and `backward()` is an error.

# %% [markdown]
# ## Proof by fingerprint
# Flags are an intention. What counts is what a step does. So copy the whole state, take one step, and compare entry by entry, bit by bit.
#
# The network is in `eval()` mode here. That matters more than it looks, and the last section shows why.

# %%
resnet.eval()
before = {name: value.clone() for name, value in resnet.state_dict().items()}

optimizer = torch.optim.SGD(resnet.parameters(), lr=0.1)
F.cross_entropy(resnet(images), labels).backward()
optimizer.step()

# %% tags=["nbval-check-output"]
after = resnet.state_dict()
[name for name, value in after.items() if not torch.equal(value, before[name])]

# %% [markdown]
# The optimizer was handed all 62 tensors. Two of them moved: the head's. That is a proof, and it took one line.
#
# Two ways to fool yourself with it. First, the `clone()`. **Predict:** `after` was taken without one. Take another step; how many entries differ from `after`?

# %% tags=["nbval-check-output"]
optimizer.step()
differ = [name for name, value in resnet.state_dict().items() if not torch.equal(value, after[name])]
claim("without clone() the proof passes whatever happens", len(differ) == 0,
      figure=f"{len(differ)} entries differ, though the head has moved again")

# %% [markdown]
# `state_dict()` hands out the live tensors, not copies. You compared the network with itself.
#
# Second, a test that has never failed has proved nothing yet. So thaw everything and see it fail. `snapshot` and `changed` are the two lines above as functions.

# %% tags=["nbval-check-output"]
from course_utils.surgery import changed, snapshot

trial = copy.deepcopy(resnet).requires_grad_(True)
before = snapshot(trial)
F.cross_entropy(trial(images), labels).backward()
torch.optim.SGD(trial.parameters(), lr=0.1).step()
claim("thawed, every parameter moves", len(changed(trial, before)) == count(trial).tensors,
      figure=f"{len(changed(trial, before))} of {count(trial).tensors}")

# %% tags=["quiz"]
quiz("02-fingerprint")

# %% [markdown]
# ## What freezing saves: memory
# To work out a gradient, the backward pass needs what the forward pass saw: a convolution needs its input, a ReLU its output. Autograd keeps these **saved activations** from the forward pass until `backward()` has used them.
#
# It keeps them only where it must. Follow the flag through a ResNet whose `layer4` is the first part that learns:

# %% tags=["nbval-check-output"]
resnet.requires_grad_(False)
resnet.layer4.requires_grad_(True)
resnet.fc.requires_grad_(True)

x = images
for name, part in resnet.named_children():
    x = part(x.flatten(1) if name == "fc" else x)
    print(f"{name:8} requires_grad={x.requires_grad}")

# %% [markdown]
# The flag is catching, forwards only. Until the first trainable tensor nothing is recorded; from there on everything is, up to the loss.
#
# PyTorch lets us watch. `saved_tensors_hooks` calls a function of ours on each tensor that autograd puts aside. We count **storages**, each once (two layers often keep the same tensor), and leave out what the model owns anyway, its parameters and buffers.

# %%
kept = []

def keep(tensor):
    kept.append(tensor.detach())  # the same storage, without a link back to the graph
    return kept[-1]

resnet.train().requires_grad_(True)
with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
    loss = F.cross_entropy(resnet(images), labels)
print(len(kept), "tensors put aside")

# %%
own = {t.untyped_storage().data_ptr() for t in [*resnet.parameters(), *resnet.buffers()]}
sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
by_hand = sum(size for address, size in sizes.items() if address not in own)
del loss, kept  # the graph lives as long as the loss, and holds all of it
print(f"{by_hand / 1e6:.1f} MB kept for the backward pass, in {len(sizes.keys() - own)} storages")

# %% [markdown]
# `saved_activation_bytes` does the same for any model. Now three settings of the flags: everything trainable; the head only; the head and `bn1.bias`, the 64 values of the first normalisation layer.
#
# **Predict:** the head alone needs next to nothing. How many of the megabytes do 64 values bring back?

# %% alt="Bars in MB: what ResNet-18 saves for backward when everything learns, when the head only learns, and when one bias of the first BatchNorm learns as well"
from course_utils.measure import saved_activation_bytes

megabytes = {"everything": saved_activation_bytes(resnet, images, labels) / 1e6}
resnet.requires_grad_(False)
resnet.fc.requires_grad_(True)
megabytes["the head only"] = saved_activation_bytes(resnet, images, labels) / 1e6
resnet.bn1.bias.requires_grad_(True)
megabytes["the head and bn1.bias"] = saved_activation_bytes(resnet, images, labels) / 1e6
plots.bars(megabytes, unit=" MB").set_title(f"ResNet-18, saved for backward, batch of {BATCH}");

# %%
expected = {"everything": 58.0, "the head only": 0.0166, "the head and bn1.bias": 56.4}
standard = SIZE == 128 and BATCH == 8
claim("the helper agrees with the count by hand",
      abs(megabytes["everything"] - by_hand / 1e6) < 0.01)
claim("58.0 MB, next to nothing, and 56.4 MB again",
      all(abs(megabytes[name] / value - 1) < 0.02 for name, value in expected.items()),
      figure=", ".join(f"{value:.2f}" for value in megabytes.values()) + " MB",
      when=standard, otherwise="stated for a batch of 8 at 128 px")

# %% [markdown]
# Almost all of them. The gradient for `bn1.bias` has to travel back through everything behind it, and each layer on the way needs what it saw. What costs is not **how much** you train but **how deep** it sits.
#
# How exact is that? Train *all* the tensors from `bn1` on, millions of values instead of 64, and compare.

# %%
resnet.requires_grad_(True)
resnet.conv1.requires_grad_(False)
everything_behind = saved_activation_bytes(resnet, images, labels) / 1e6
claim("64 values at this depth keep as much as everything behind them",
      abs(everything_behind - megabytes["the head and bn1.bias"]) < 0.01,
      figure=f"{everything_behind:.2f} MB for {count(resnet).trainable_values:,} values")

# %% [markdown]
# ### Stage by stage
# Now both networks. Start with the head alone, thaw one stage after another *towards the input*, and count after each.
#
# **Predict:** MobileNetV2 has a fifth of ResNet-18's values. Does it need a fifth of the memory to train?

# %%
saved = {}
for name, net in {"resnet18": resnet, BACKBONE: model}.items():
    net.train().requires_grad_(False)
    parts = {**stages(net), "head": find_head(net).module}
    rows = {}
    for part, module in reversed(parts.items()):
        module.requires_grad_(True)
        total = saved_activation_bytes(net, images, labels)
        rows[part] = {"trainable values": count(net).trainable_values, "saved MB": total / 1e6}
    saved[name] = pd.DataFrame(rows).T.iloc[::-1]

# %% alt="Bar charts, one for each network: MB saved for backward, by the first stage that learns; less and less towards the head"
widths = [len(table) for table in saved.values()]
figure, axes = plt.subplots(1, len(saved), figsize=(8.6, 3), sharey=True, squeeze=False,
                            width_ratios=widths, layout="constrained")
for ax, (name, table) in zip(axes.flat, saved.items(), strict=True):
    short = [part.removeprefix("features.") for part in table.index]
    ax.bar(short, table["saved MB"], color=plots.BLUE)
    ax.tick_params(axis="x", rotation=60 if name == "resnet18" else 0, labelsize=8)
    ax.set(title=name, xlabel="first trainable stage")
axes[0, 0].set_ylabel("saved for backward, MB");

# %%
resnet_saved, model_saved = saved["resnet18"], saved[BACKBONE]
claim("the deeper the first trainable stage, the more is kept",
      all((table["saved MB"].diff().dropna() <= 0).all() for table in saved.values()))
claim("MobileNetV2: a fifth of the values, three times the memory",
      lambda: model_saved["saved MB"].iloc[0] > 3 * resnet_saved["saved MB"].iloc[0],
      figure=f"{model_saved['saved MB'].iloc[0]:.0f} against {resnet_saved['saved MB'].iloc[0]:.0f} MB",
      when=BACKBONE == "mobilenet_v2", otherwise="stated for MobileNetV2")

# %% [markdown]
# A network that is small on disk can be large in training. MobileNetV2's blocks widen their channels sixfold on the inside and narrow them again; that takes few weights, and every wide map is kept.
#
# Memory and values do not sit in the same places. ResNet-18 in figures, as shares of training everything:

# %%
shares = resnet_saved / resnet_saved.iloc[0]
claim("from layer4 on: most of the values, little of the memory",
      shares.loc["layer4", "trainable values"] > 0.7 and shares.loc["layer4", "saved MB"] < 0.1)
shares.rename(columns={"saved MB": "saved activations"}).map("{:.2%}".format)

# %% [markdown]
# Three quarters of the network for a twentieth of the memory: that is why "freeze all but the last stage" is such a popular bargain.
#
# Freezing also saves the gradients, and the two running means that Adam holds for every value. Those depend on the number of values alone. Activations grow with the batch.

# %%
resnet.requires_grad_(True)
half = saved_activation_bytes(resnet, images[: BATCH // 2], labels[: BATCH // 2]) / 1e6
gradients = 4 * count(resnet).trainable_values / 1e6  # a float32 takes 4 bytes
print(f"gradients {gradients:.0f} MB, Adam's state {2 * gradients:.0f} MB, at any batch size")
claim("twice the batch, twice the saved activations", 1.9 < megabytes["everything"] / half < 2.1,
      figure=f"{half:.0f} MB for {BATCH // 2} images, {megabytes['everything']:.0f} MB for {BATCH}")

# %% tags=["quiz"]
quiz("02-memory")

# %% [markdown]
# ## What freezing saves: time
# Thousands of times fewer values to train. **Predict:** how many times sooner is a training step done?
#
# One step, in a function so that we can time it (on a GPU, if this computer has one):

# %%
def step(net, optimizer):
    loss = F.cross_entropy(net(batch_images), batch_labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

batch_images, batch_labels = images.to(device), labels.to(device)
net = copy.deepcopy(resnet).to(device)
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)

# %% [markdown]
# Rules of fair timing: a warm-up round that does not count; several rounds, all contestants in each, so that whatever else your computer does disturbs them alike; and the quickest of each, because disturbance only ever adds (Python's own [`timeit`](https://docs.python.org/3/library/timeit.html#timeit.Timer.repeat) advises the same).

# %%
times = []
for _ in range(4):
    net.requires_grad_(True)
    with stopwatch(device) as full:
        step(net, optimizer)
    net.requires_grad_(False)
    net.fc.requires_grad_(True)
    with stopwatch(device) as head_only:
        step(net, optimizer)
    with torch.no_grad(), stopwatch(device) as forward:
        net(batch_images)
    times.append([full.seconds, head_only.seconds, forward.seconds])
full_ms, head_ms, forward_ms = 1000 * torch.tensor(times)[1:].min(dim=0).values

# %% alt="Bars in milliseconds: a full step, a step of the head only, and the forward pass alone"
plots.bars({"full step": full_ms, "head-only step": head_ms, "forward pass alone": forward_ms},
           unit=" ms").set_title(f"ResNet-18, one step on {BATCH} images")
times_fewer, times_sooner = count(net).values / count(net).trainable_values, full_ms / head_ms
claim("sooner, but nowhere near as much as there are fewer values to train",
      1 < times_sooner < times_fewer / 50, timed=True,
      figure=f"{times_fewer:,.0f} times fewer values, {times_sooner:.1f} times sooner")
claim("most of what remains is the forward pass", forward_ms > head_ms / 2, timed=True,
      figure=f"forward {forward_ms:.0f} ms, head-only step {head_ms:.0f} ms")

# %% [markdown]
# You may read that training only the head is "thousands of times faster". The values are fewer by that factor; the time is not. The backward pass is all but gone, the forward pass through the whole backbone stays, and you pay it for every image in every epoch. [Lesson 4](04_feature_extraction.ipynb) gets rid of that as well: *then* it is thousands.

# %% tags=["quiz"]
quiz("02-time")

# %% [markdown]
# ### The three costs, stage by stage
# The same walk towards the input, now with the stopwatch: values, memory and milliseconds for each place where you might stop freezing.
#
# **Predict:** freeze more and more stages, beginning at the input. Which of the three costs falls first, which last, and which never reaches zero?

# %%
costs = {}
for name, original in {"resnet18": resnet, BACKBONE: model}.items():
    net = copy.deepcopy(original).to(device).requires_grad_(True)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    step(net, optimizer)  # warm-up
    parts = {**stages(net), "head": find_head(net).module}
    seconds = {part: [] for part in parts}
    for _ in range(2):
        net.requires_grad_(False)
        for part, module in reversed(parts.items()):
            module.requires_grad_(True)
            with stopwatch(device) as watch:
                step(net, optimizer)
            seconds[part].append(watch.seconds)
    costs[name] = saved[name].assign(**{"ms a step": [1000 * min(seconds[p]) for p in parts]})

# %% alt="Three curves over the first stage that learns, in percent of training everything: values that learn, MB saved, milliseconds a step"
table = costs[BACKBONE]
percent = 100 * table / table.iloc[0]
ax = percent.plot(style=["o-", "s-", "^:"], markersize=4, figsize=(8.2, 3.2))
ax.tick_params(axis="x", labelsize=8)
ax.set_xticks(range(len(table)), [part.removeprefix("features.") for part in table.index])
ax.set(xlabel="first trainable stage", title=f"{BACKBONE}: % of training everything")
ax.set_ylim(0, None);

# %% [markdown]
# Read it from left to right: the further right, the more is frozen. Memory falls at once, because the early maps are large. The values hold out until the last, wide stages. Time falls with the backward pass and then meets its floor, the forward pass. (The dotted curve is a stopwatch on a computer that also does other things. It may wobble.)

# %%
halfway = percent.iloc[len(percent) // 2]
claim("with half the stages frozen, most values still learn and most of the memory is free",
      halfway["trainable values"] > 80 and halfway["saved MB"] < 40,
      figure=f"{halfway['trainable values']:.0f} % of the values, {halfway['saved MB']:.0f} % of the memory",
      when=BACKBONE in ("mobilenet_v2", "resnet18"), otherwise="stated for MobileNetV2 and ResNet-18")
claim("no amount of freezing takes the time to zero", percent["ms a step"].min() > 5, timed=True,
      figure=f"at least {percent['ms a step'].min():.0f} % of a full step")

# %% [markdown]
# One more row for either network, so that the dial below can show it: the head and the first bias of the network, nothing between them.

# %%
few = "head + first bias"
for name, original in {"resnet18": resnet, BACKBONE: model}.items():
    net = copy.deepcopy(original).to(device).requires_grad_(False)
    next(p for path, p in net.named_parameters() if path.endswith("bias")).requires_grad_(True)
    find_head(net).module.requires_grad_(True)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    seconds = []
    for _ in range(2):
        with stopwatch(device) as watch:
            step(net, optimizer)
        seconds.append(watch.seconds)
    kept = saved_activation_bytes(net, batch_images, batch_labels) / 1e6
    costs[name].loc[few] = count(net).trainable_values, kept, 1000 * min(seconds)

# %%
on_the_dial = costs["resnet18"].loc[["conv1", "head", few], "saved MB"]
claim("ResNet-18 on the dial: 58.0, 0.02 and 56.4 MB, as in the bars above",
      all(abs(mb / value - 1) < 0.02 for mb, value in zip(on_the_dial, expected.values(), strict=True)),
      figure=", ".join(f"{mb:.2f}" for mb in on_the_dial) + " MB",
      when=standard, otherwise="stated for a batch of 8 at 128 px")

# %% [markdown]
# **Predict:** ResNet-18 stands at *head*. You go one notch to the right, to *head + first bias*: 64 values more. What do the three bars do?

# %% tags=["dial"] alt="Three bars: values that learn, MB saved for the backward pass and milliseconds a step, each in percent of training everything, for the chosen network and first stage that learns"
# Dial: where freezing ends
def show_cost(network, first):
    table = costs[network]
    values, saved_mb, milliseconds = table.loc[first]
    ax = plots.bars((100 * table.loc[first] / table.iloc[0]).to_dict(), unit=" %")
    ax.set(xlim=(0, 130), xlabel="% of training everything",
           title=f"{values:,.0f} values, {saved_mb:.2f} MB, {milliseconds:.0f} ms a step")
    return ax.figure

names = {name: [(row.removeprefix("features."), row) for row in costs[name].index] for name in costs}
first_stage = SelectionSlider(options=names["resnet18"], value="head", description="learns from")
network = Dropdown(options=list(costs))
network.observe(lambda change: first_stage.set_trait("options", names[change["new"]]), names="value")
explore(show_cost, alt="Three costs, in percent", network=network, first=first_stage)

# %% [markdown]
# Walk from the right end to the left and watch the order in which the bars grow back: on ResNet-18 the values first, in big steps, and the memory last. Then take MobileNetV2. Its memory bar stays short for many notches, but look at the megabytes in the title when it does not.

# %% [markdown]
# ## All but the last stage
# By hand it takes three lines: freeze everything, thaw what you mean. `unfreeze_from` takes the name of a stage and does this on any torchvision classifier; `state_table` shows the result.

# %% tags=["nbval-check-output"]
resnet.requires_grad_(False)
resnet.layer4.requires_grad_(True)
resnet.fc.requires_grad_(True)
by_hand = [parameter.requires_grad for parameter in resnet.parameters()]

# %% tags=["nbval-check-output"]
from course_utils.surgery import state_table, unfreeze_from

unfreeze_from(resnet, "layer4")
claim("unfreeze_from sets the same flags",
      by_hand == [parameter.requires_grad for parameter in resnet.parameters()])
state_table(resnet).map("{:,}".format)

# %% [markdown]
# (The last column belongs to the last section.) MobileNetV2 has no `layer4`, only a row of small blocks. Ask for its stages, and thaw the last three.

# %% tags=["nbval-check-output"]
last_three = list(stages(model))[-3:]
unfreeze_from(model, last_three[0])
print(last_three)
state_table(model).tail(6).map("{:,}".format)

# %% [markdown]
# Both point at a *module* and take what is inside. Code that goes by a piece of a name, `if "fc" not in name`, is everywhere, and [lesson 3](03_head_swap.ipynb) shows what it catches instead.

# %% tags=["quiz"]
quiz("02-stages")

# %% [markdown]
# ## What the optimizer has to do with it
# ### Frozen tensors in the optimizer
# You may read that you must keep frozen parameters out of the optimizer, or it wastes memory on them and weight decay shrinks them.
#
# **Predict:** AdamW with a hefty weight decay gets all 62 tensors, 60 of them frozen from the start. After three steps, how many have moved? For how many does it hold state?

# %% tags=["nbval-check-output"]
resnet.requires_grad_(False).eval()
resnet.fc.requires_grad_(True)
resnet.zero_grad()
before = snapshot(resnet)
optimizer = torch.optim.AdamW(resnet.parameters(), lr=1e-3, weight_decay=0.1)
for _ in range(3):
    optimizer.zero_grad()
    F.cross_entropy(resnet(images), labels).backward()
    optimizer.step()
claim("frozen from the start, a tensor costs the optimizer nothing and never moves",
      changed(resnet, before) == ["fc.weight", "fc.bias"] and len(optimizer.state) == 2,
      figure=f"{len(changed(resnet, before))} moved, state for {len(optimizer.state)}")

# %% [markdown]
# ### Frozen a moment too late
# An optimizer never looks at `requires_grad`. It looks at `.grad`: is there a gradient, or is it `None`? Freeze a tensor *after* a backward pass and it still carries the gradient of that pass.
#
# Three ways to go on from there. **Predict:** in which of them do frozen tensors move?

# %% tags=["nbval-check-output"]
moved = {}
for leftover in ["kept", "set to zero", "set to None"]:
    trial = copy.deepcopy(resnet).requires_grad_(True)
    optimizer = torch.optim.SGD(trial.parameters(), lr=0.1, weight_decay=0.1)
    F.cross_entropy(trial(images), labels).backward()
    trial.requires_grad_(False)  # frozen now, with gradients left over
    if leftover != "kept":
        optimizer.zero_grad(set_to_none=leftover == "set to None")
    before = snapshot(trial)
    optimizer.step()
    moved[f"leftover gradients {leftover}"] = len(changed(trial, before))
pd.Series(moved, name="frozen tensors that moved").to_frame()

# %% tags=["nbval-check-output"]
kept, zero, none = moved.values()
claim("with leftover gradients all frozen tensors move", kept == 62, figure=kept)
claim("zeros do not help: weight decay still moves whatever is not zero itself", zero > 0, figure=zero)
claim("only None keeps them still", none == 0, figure=none)

# %% [markdown]
# The usual loop is saved by `zero_grad()`, which sets gradients to `None` before the next step. Freeze between `backward()` and `step()`, in a callback or halfway through gradient accumulation, and nothing saves you. So clear the gradients whenever you freeze; `surgery.freeze` does both.

# %% tags=["quiz"]
quiz("02-optimizer")

# %% [markdown]
# ### The silent one
# Here the optimizer is built first and the head swapped afterwards. **Predict:** what does the loss do, and what does PyTorch say about it?

# %% tags=["nbval-check-output"]
trial = copy.deepcopy(resnet)
optimizer = torch.optim.Adam(trial.fc.parameters(), lr=1e-3)
trial.fc = nn.Linear(512, 5)

losses = []
for _ in range(3):
    loss = F.cross_entropy(trial(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
claim("three steps, no error, and the loss has not moved by a bit", len(set(losses)) == 1)

# %%
losses

# %% [markdown]
# Nothing, and nothing. The optimizer faithfully looks after the *old* head, which no longer belongs to any network. A loss that repeats itself to the last digit has one usual cause: the optimizer holds other tensors than the model. The course's `fit` checks for it before it starts:

# %% tags=["nbval-check-output"]
from course_utils.training import check_optimizer

try:
    check_optimizer(trial, optimizer)
except ValueError as error:
    print(error)

# %% [markdown]
# ### The loud ones
# "Everything frozen" is often blamed for a flat loss. **Predict:** is it?

# %% tags=["nbval-check-output"]
trial = copy.deepcopy(resnet).requires_grad_(False)
try:
    F.cross_entropy(trial(images), labels).backward()
except RuntimeError as error:
    print("RuntimeError:", error)

try:
    torch.optim.Adam(filter(lambda parameter: parameter.requires_grad, trial.parameters()))
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# No. With nothing to train there is no graph to walk back along, and no optimizer to build: two exceptions, both hard to miss. The order of "swap" and "freeze" is not to blame either; what counts is which flags are set at the end.
#
# ### Empty the second time
# `filter(…)` gives an iterator, and a bracketed `p for p in …` a generator. Either can be read only once.

# %% tags=["nbval-check-output"]
trainable = filter(lambda parameter: parameter.requires_grad, resnet.parameters())
first = torch.optim.SGD(trainable, lr=0.1)
print("the first optimizer holds", len(first.param_groups[0]["params"]), "tensors")
try:
    torch.optim.SGD(trainable, lr=0.01)
except ValueError as error:
    print("the second:", error)

# %% [markdown]
# Keep a list: `[p for p in model.parameters() if p.requires_grad]`. It can be read as often as you like.

# %% tags=["quiz"]
quiz("02-silent")

# %% [markdown]
# ## Frozen, and still moving
# One thing is left to settle: why `eval()` in every proof so far? Freeze *everything*. Build no optimizer. Work inside `no_grad()`. Only the mode is `train()`, as at the top of nearly every training loop.
#
# **Predict:** after one forward pass, how many entries of the state have changed?

# %% tags=["nbval-check-output"]
moved = {}
for name, net in {"resnet18": resnet, BACKBONE: model}.items():
    net.requires_grad_(False).train()
    before = snapshot(net)
    with torch.no_grad():
        net(images)
    moved[name] = changed(net, before)
    print(f"{name}: {len(moved[name])} of {len(before)} entries, for example {moved[name][:3]}")

# %% tags=["nbval-check-output"]
buffers = {name for net in (resnet, model) for name, _ in net.named_buffers()}
norms = {"when": any("running" in name for name, _ in model.named_buffers()),
         "otherwise": f"{BACKBONE} has no BatchNorm, so nothing in it moves"}
claim("a network with every parameter frozen changes in train mode", all(moved.values()), **norms,
      figure=", ".join(f"{name} {len(names)}" for name, names in moved.items()))
claim("none of what moved is a parameter", buffers.issuperset(sum(moved.values(), [])))

# %% [markdown]
# They are **buffers**: the running mean, the running variance and a counter, three for each BatchNorm layer. No gradient writes them. The forward pass does, whenever the layer is in training mode. `requires_grad` does not apply to them.
#
# Does it matter? Same images, same frozen weights, the answer before and after one such pass:

# %%
with torch.no_grad():
    earlier = model.eval()(images)
    model.train()(images)
    later = model.eval()(images)
claim("the 'frozen' network now gives another answer", not torch.equal(earlier, later), **norms,
      figure=f"logits of up to {earlier.abs().max():.2g} moved by up to {(later - earlier).abs().max():.2g}")

# %% [markdown]
# A frozen module has to be in `eval()` too, and the next `model.train()` undoes that. `set_train_mode` is what to call in its place: training mode, except for modules in which nothing can learn.

# %% tags=["nbval-check-output"]
from course_utils.surgery import set_train_mode

unfreeze_from(resnet, "layer4")
set_train_mode(resnet)
before = snapshot(resnet)
with torch.no_grad():
    resnet(images)
held = [name for name in changed(resnet, before) if not name.startswith("layer4.")]
claim("with set_train_mode the frozen stages stand still", not held, figure=f"{len(held)} moved")
state_table(resnet)[["trainable values", "BN layers", "BN in train"]].map("{:,}".format)

# %% [markdown]
# What this bug costs in accuracy, and when you *want* the statistics to move, is [lesson 6](06_batchnorm_pitfalls.ipynb).

# %% tags=["quiz"]
quiz("02-buffers")

# %% [markdown]
# ## Your turn: three patients
# Each of these functions runs without an error. Each is wrong. Run it, read the symptom, write it again.
#
# **Patient one.** The loss is flat.

# %% tags=["bug"]
def prepare_broken(model, num_classes):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.requires_grad_(False)
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    return optimizer

patient = resnet18().eval()
optimizer = prepare_broken(patient, 5)
for _ in range(3):
    optimizer.zero_grad()
    loss = F.cross_entropy(patient(images), labels)
    loss.backward()
    optimizer.step()
    print(loss.item())

# %% tags=["exercise"]
def prepare(model, num_classes):
    """Freeze a ResNet, give it a new head, return an SGD optimizer (lr 0.1) that trains it."""
    # solution
    model.requires_grad_(False)
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    return torch.optim.SGD(model.fc.parameters(), lr=0.1)
    # end solution

# %% tags=["self-check"]
from courseware.exercises import check

check("prepare", prepare)  # hint("prepare") helps; after a try, solution("prepare") shows one

# %% [markdown]
# **Patient two.** A callback freezes a stage in the middle of training, between `backward()` and `step()`. The stage takes one more step.

# %% tags=["bug", "nbval-check-output"]
def freeze_stage_broken(stage):
    for parameter in stage.parameters():
        parameter.requires_grad_(False)

patient = resnet18().eval()
optimizer = torch.optim.SGD(patient.parameters(), lr=0.1, weight_decay=0.1)
F.cross_entropy(patient(images), labels).backward()
freeze_stage_broken(patient.layer1)
before = snapshot(patient)
optimizer.step()
print(sum(name.startswith("layer1.") for name in changed(patient, before)), "frozen tensors moved")

# %% tags=["exercise"]
def freeze_stage(stage):
    """Freeze a module so that not even the very next optimizer step moves it."""
    # solution
    for parameter in stage.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    # end solution

# %% tags=["self-check"]
check("freeze_stage", freeze_stage)

# %% [markdown]
# **Patient three.** It should train `layer2` and nothing else.

# %% tags=["bug", "nbval-check-output"]
def train_only_broken(model, stage):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(stage in name)

patient = resnet18()
train_only_broken(patient, "2")
print(count(patient).trainable_tensors, "tensors can learn,", count(patient.layer2).tensors, "should")

# %% [markdown]
# `layer2` in full would have rescued it here. On MobileNetV2 the same trick meets `features.1` and `features.10` to `features.18`, so it needs a better cure. `model.get_submodule("features.1")` finds a module by its full path.

# %% tags=["exercise"]
def train_only(model, stage):
    """Make the module at the path `stage`, and nothing else, trainable."""
    # solution
    model.requires_grad_(False)
    model.get_submodule(stage).requires_grad_(True)
    # end solution

# %% tags=["self-check"]
check("train_only", train_only)

# %% [markdown]
# ## Your turn: `freeze_backbone`
# Write the function that the rest of the course relies on: only the head can learn, on **any** torchvision classifier, whatever the flags were before.
#
# Heads go by many names. `find_head(model).module` hands you the right one; how it knows is [lesson 3](03_head_swap.ipynb). One of the families in the check keeps parameters outside every layer, so walk over parameters rather than layers.

# %% tags=["exercise"]
def freeze_backbone(model):
    """Freeze every parameter but the head's; make the head trainable."""
    # solution
    model.requires_grad_(False)
    find_head(model).module.requires_grad_(True)
    # end solution

# %% tags=["self-check"]
check("freeze_backbone", freeze_backbone)

# %% [markdown]
# ## What you saw
# - The flag sits on tensors. `model.requires_grad = False` sets an attribute that nobody reads; `model.requires_grad_(False)` freezes.
# - Tensors are not values. Say which of them you count.
# - A fingerprint proves what moved, if you `clone()` it and have seen it fail once.
# - Memory is decided by the depth of the first trainable tensor: a handful of values near the input keeps nearly everything.
# - Head-only steps are quicker by a modest factor. The forward pass stays.
# - The optimizer follows `.grad`, not the flag. Build it last, and clear gradients when you freeze.
# - All frozen is loud. The wrong optimizer is silent: a loss that repeats to the last digit.
# - Frozen parameters do not stop BatchNorm's buffers. `eval()` does.

# %% [markdown]
# ## Test yourself
# The lesson's quiz. A wrong answer is told why it is wrong, and costs nothing.

# %% tags=["quiz"]
quiz("02_freezing")

# %% [markdown]
# ## References
# - PyTorch, *Autograd mechanics*, <https://docs.pytorch.org/docs/stable/notes/autograd.html>: how `requires_grad` spreads, what is saved, and the hooks we counted with
# - Chen, Xu, Zhang & Guestrin 2016, *Training Deep Nets with Sublinear Memory Cost*, <https://arxiv.org/abs/1604.06174>: recompute activations instead of keeping them
# - Cai, Gan, Zhu & Han 2020, *TinyTL: Reduce Memory, Not Parameters for Efficient On-Device Learning*, <https://arxiv.org/abs/2007.11622>: choosing what to train by what it keeps
# - He, Zhang, Ren & Sun 2016, *Deep Residual Learning for Image Recognition*, <https://arxiv.org/abs/1512.03385>
# - Sandler et al. 2018, *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, <https://arxiv.org/abs/1801.04381>
#
# **Next:** [3 · Head swap](03_head_swap.ipynb) gives a network new classes, whatever its head is called.
