# %% [markdown]
# # 6 · BatchNorm pitfalls
# **A frozen network can still change under your hands, and no gradient is to blame.** In this lesson you see which numbers move, measure what that costs, meet the one case in which you want them to move, and mend eight broken loops.
#
# <!-- badges -->
#
# *You will be able to* say which of a layer's numbers move in which mode · predict how fast running statistics forget · keep frozen layers still in a loop that calls `train()` · recalibrate a network on shifted images without a label · find the bug in a loop by measuring one number.
#
# *Time* 30 min · *Before this* [4 · Feature extraction](04_feature_extraction.ipynb), [5 · Fine-tuning](05_fine_tuning.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 40  # training photos a class
SIZE = 96       # pixels a side
EPOCHS = 3
SEEDS = 3       # choices of photos and first weights behind each comparison
SEED = 0

# %% tags=["setup"]
import copy

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from ipywidgets import Dropdown, IntSlider, SelectionSlider
from torch import nn
from torchvision.models import get_model, resnet18

# %% tags=["setup"]
from course_utils import plots
from course_utils.datasets import load_flowers
from course_utils.device import pick_device, seed_everything
from course_utils.features import cached_head, embed
from course_utils.images import ImageSet
from course_utils.stats import mean_interval
from course_utils.training import evaluate
from course_utils.weights import available_weights
from courseware.claims import claim
from courseware.dials import explore

plots.use_style()
seed_everything(SEED)
device = pick_device()  # models go there, and data follows them

# %% tags=["setup"]
from course_utils.surgery import (
    batchnorm_layers,
    changed,
    find_head,
    freeze_backbone,
    replace_head,
    snapshot,
)

# %% [markdown]
# This lesson needs a network with BatchNorm. In one without it nothing can drift, so there MobileNetV2 takes its place.

# %%
with torch.device("meta"):
    found = len(batchnorm_layers(get_model(BACKBONE)))
print(f"{BACKBONE} has {found} BatchNorm layers")
if not found:
    BACKBONE = "mobilenet_v2"
    print(f"The lesson goes on with {BACKBONE}")

# %% [markdown]
# ## Two kinds of state
# Here is one BatchNorm layer for two channels, and everything it keeps.

# %% tags=["nbval-check-output"]
layer = nn.BatchNorm2d(2)
for name, tensor in layer.state_dict(keep_vars=True).items():
    kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
    print(f"{name:20} {kind:10} requires_grad={tensor.requires_grad!s:6} {tensor.tolist()}")

# %% [markdown]
# A **parameter** is moved by an optimizer, along its gradient. A **buffer** is moved by the layer's own code, in the forward pass. It never had a gradient, so freezing cannot take one away.
#
# The layer does different things in its two modes. In **training** mode it normalises by the mean and variance *of the batch*, and then takes one step of its running statistics towards them:
#
# $$\text{running} \leftarrow (1 - m)\,\text{running} + m\,\text{batch}$$
#
# where the momentum $m$ is 0.1 unless you say otherwise. In **evaluation** mode it normalises by the running statistics and writes nothing.
#
# **Predict:** `weight` and `bias` are frozen, and the pass runs under `no_grad`. Which of the five tensors move in one pass in training mode?

# %%
layer.requires_grad_(False)
before, maps = snapshot(layer), 3 * torch.randn(8, 2, 4, 4) + 5
with torch.no_grad():
    layer.train()(maps)
print("moved:", changed(layer, before))
by_hand = 0.9 * before["running_mean"] + 0.1 * maps.mean(dim=(0, 2, 3))
claim("the running mean took the step that the formula says",
      torch.allclose(layer.running_mean, by_hand, rtol=1e-4),
      figure=f"{by_hand.numpy().round(4)} by hand, {layer.running_mean.numpy().round(4)} in the layer")

# %% [markdown]
# Now both modes, line by line, on a layer for one channel and four tiny maps.
#
# **Predict:** the same maps go through twice in training mode. Is the second answer the same as the first? Do the buffers move again?

# %%
# Lines to step through: one BatchNorm layer in both modes
def two_modes(layer, maps):  # one channel, four maps
    layer.requires_grad_(False)  # `weight` and `bias` are frozen
    layer.train()  # the mode alone moves nothing
    first = layer(maps)  # normalised by the batch; the buffers go a tenth of the way towards it
    second = layer(maps)  # the buffers go on, and the answer does not use them
    print("both times the same:", torch.allclose(first, second))
    alone = layer(maps[:1])  # a batch of its own, so another mean
    print("alone as in the batch:", torch.allclose(alone, first[:1]))  # the batch mates mattered
    layer.eval()  # from here on the buffers are used, and not written
    first = layer(maps)
    alone = layer(maps[:1])
    print("alone as in the batch:", torch.allclose(alone, first[:1]))  # no batch mates any more
    layer.reset_running_stats()  # mean 0, variance 1
    first = layer(maps)  # nothing to take away or to divide by: the maps come out as they went in

# %% tags=["stepper"] alt="Step through a BatchNorm layer in training and in evaluation mode: its buffers after every line"
# Step through: one BatchNorm layer in both modes
from courseware.stepper import step_through

step_through(two_modes, nn.BatchNorm2d(1), torch.arange(8.0).view(4, 1, 1, 2))

# %% [markdown]
# In training mode the buffers are written, and the answer does not use them; in evaluation mode they are used and not written. So a drift does no harm while you train, and nothing in the loss tells you of it. It shows when you evaluate.

# %% [markdown]
# Now a whole network: pretrained, frozen, with a fresh head for the five flowers. (As in lesson 4, a dropout in front of the head is switched off, so that two loops can be compared number by number.)

# %%
WEIGHTS = available_weights(BACKBONE)
PRETRAINED = WEIGHTS is not None
flowers = load_flowers(SIZE)
train, val = flowers.train.per_class(PER_CLASS, seed=SEED), flowers.val

start = get_model(BACKBONE, weights=WEIGHTS).to(device)
replace_head(start, len(flowers.classes))
freeze_backbone(start)
for module in start.modules():
    if isinstance(module, nn.Dropout):
        module.p = 0.0
buffers = [name for name, _ in start.named_buffers()]
print(len(batchnorm_layers(start)), "BatchNorm layers,", len(buffers), "buffers")

# %% [markdown]
# Normalising by the batch has a second consequence. What the network says about a photo depends on the photo's **batch mates**. Below, the same photo stands in two batches, with others beside it.

# %%
n = len(train)
one, other = [[0, *range(1, 16)], [0, *range(n - 15, n)]]
gaps = {}
for mode in ("train", "eval"):
    model = copy.deepcopy(start).train(mode == "train")
    with torch.no_grad():
        a, b = (model(train.batch(index, device=device)[0])[0] for index in (one, other))
    gaps[mode] = ((a - b).abs().max() / a.abs().max()).item()
claim("in training mode a photo's scores change with its batch mates, in eval mode they do not",
      gaps["train"] > 0.01 and gaps["eval"] < 1e-4,
      figure=f"by {gaps['train']:.0%} of the largest score in train, {gaps['eval']:.1e} in eval")

# %% tags=["quiz"]
from courseware.quiz import quiz

quiz("06-buffers")

# %% [markdown]
# ## Four cases
# Two switches, and they are easily confused: the flag `requires_grad`, and the mode `train()` or `eval()`. That makes four cases.
#
# **Predict:** fill in the table before you run the cell. In each case, which of the backbone's parameters and which of its buffers move in one training step? (ResNet-18 with random weights and noise will do: this is about structure. The head always learns.)

# %% tags=["nbval-check-output"]
images, labels = torch.randn(8, 3, 64, 64), torch.arange(8) % 5
cases = {}
for flag in (True, False):
    for mode in (True, False):
        model = resnet18(num_classes=5).requires_grad_(flag).train(mode)
        model.fc.requires_grad_(True)
        before = snapshot(model)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        moved = {name for name in changed(model, before) if not name.startswith("fc.")}
        parameters = sum(name in moved for name, _ in model.named_parameters())
        cases[flag, mode] = parameters, len(moved) - parameters
        print(f"requires_grad={flag!s:5}  train={mode!s:5}  moved: %d parameters, %d buffers" % cases[flag, mode])

# %%
claim("the flag decides about parameters, the mode about buffers, and neither about the other",
      all((p > 0) == flag and (b > 0) == mode for (flag, mode), (p, b) in cases.items()))

# %% [markdown]
# The third line is where a loop lands that freezes the backbone and calls `model.train()`: no parameter moves, and every buffer does. The second line is rarer, and sometimes what you want: the weights learn while the statistics stay those of the pretraining.

# %% tags=["quiz"]
quiz("06-four-cases")

# %% [markdown]
# ## Drift, batch by batch
# After one batch 0.9 of the old statistics are left, after two 0.9 · 0.9, after $n$ batches $0.9^n$. A momentum of 0.1 sounds gentle.
#
# **Predict:** after how many batches is a tenth of the pretrained statistics left?
#
# To measure it, give a layer the running mean 1 and show it batches whose mean is 0. What remains is the share of the old.

# %% tags=["nbval-check-output"]
layer = nn.BatchNorm2d(1)
layer.running_mean.fill_(1.0)
left = [1.0]
for _ in range(50):
    layer(torch.zeros(4, 1, 2, 2))
    left.append(layer.running_mean.item())
worst = max(abs(share - 0.9**n) for n, share in enumerate(left))
claim("what is left after n batches is 0.9 to the power n", worst < 1e-6,
      figure=f"{left[1]:.2f} after 1, {left[7]:.2f} after 7, {left[22]:.2f} after 22, {left[50]:.3f} after 50")

# %% [markdown]
# (In PyTorch's BatchNorm "momentum" is the share of the *new*; in its optimizers it is the share of the *old*. Same word, opposite direction.)
#
# The law counts **batches, not photos**. The same photos in smaller batches are more batches, and each of them is a noisier estimate as well. So show the real network one epoch of the same photos, in batches of 32, 8 and 4. Nothing learns; we only watch.
#
# One pass a size is enough for every momentum. In training mode a layer never looks at its running statistics, so what it sees of a batch does not hang on the batches before. With a momentum of 1 the running mean *is* the mean of the batch: write it down after each.

# %%
recorder, means = copy.deepcopy(start).train(), []
layers = batchnorm_layers(recorder).values()
for layer in layers:
    layer.momentum = 1.0
with torch.no_grad():
    for images, _ in train.batches(32, device=device):  # not shuffled: sorted by class
        recorder(images)
        means.append(torch.cat([layer.running_mean for layer in layers]))
means = torch.stack(means)
means.shape  # batches, channels of all layers

# %% [markdown]
# `record_means` is this loop. `play_drift` takes the steps of the formula, with any momentum, and tells how far each layer's running mean is from its start, in units of each channel's old standard deviation. Does it tell what really happens? Two batches of a network that drifts:

# %%
from course_utils.batchnorm import batchnorm_drift, play_drift, record_means

before, model = snapshot(start), copy.deepcopy(start).train()
with torch.no_grad():
    for index in (slice(0, 32), slice(32, 64)):
        model(train.batch(index, device=device)[0])
real, played = batchnorm_drift(model, before), play_drift(start, means, momentum=0.1)[2]
claim("played back, every layer's drift is that of the network that ran",
      all(abs(p - r) < 1e-3 * max(played) for p, r in zip(played.tolist(), real.values(), strict=True)))

# %%
recorded = {(32, "sorted by class"): means}
for size in (32, 8, 4):
    order = torch.Generator().manual_seed(SEED)
    recorded[size, "shuffled"] = record_means(start, train.batches(size, shuffle=True, generator=order))
    if size < 32:
        recorded[size, "sorted by class"] = record_means(start, train.batches(size))
paths = {size: pd.DataFrame(play_drift(start, recorded[size, "shuffled"], momentum=0.1)[1:], columns=list(real))
         for size in (32, 8, 4)}
top = max(play_drift(start, means, momentum=0.3).max().item() for means in recorded.values())
paths[32].iloc[:, :6].round(3).T

# %% [markdown]
# The first six layers, one row each, and one column a batch of 32. All layers and all batches of 4 as a picture, and the mean over layers for the three sizes:

# %% alt="Left, a map in colours: drift of each BatchNorm layer, batch by batch. Right, curves of its mean over the photos seen, one for each batch size"
figure, (map_axis, axis) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
picture = map_axis.imshow(paths[4].T, aspect="auto", cmap="viridis")
map_axis.set(xlabel="batches of 4 seen", ylabel="BatchNorm layer, input on top", title="drift")
figure.colorbar(picture, ax=map_axis)
for size, path in paths.items():
    photos_seen = [min(size * (k + 1), len(train)) for k in range(len(path))]
    axis.plot(photos_seen, path.mean(axis=1), label=f"batches of {size}")
axis.set(xlabel="photos seen", title="drift, mean over the layers")
axis.legend(loc="center right");

# %%
final = {size: path.iloc[-1] for size, path in paths.items()}
claim("every layer of the frozen backbone has moved", min(end.min() for end in final.values()) > 0)
claim("the same photos move the statistics further in batches of 4 than in batches of 32",
      final[4].mean() > final[32].mean(), when=PRETRAINED, otherwise="needs a pretrained backbone",
      figure=f"{final[4].mean():.2f} against {final[32].mean():.2f} standard deviations")

# %% [markdown]
# Now play it yourself: on the left all layers at one moment, on the right their mean over the whole epoch.
#
# **Predict:** three dials change the drift: the size of the batches, the momentum, and the order of the photos, shuffled or sorted by class. Which of them matters least to how far the statistics walk?

# %% tags=["dial"] alt="The drift of every BatchNorm layer after so many photos, and its mean over the layers along the epoch"
# Dial: the drift player, by batch size, momentum, order and photos seen
def show_drift(size, momentum, order, photos):
    path = play_drift(start, recorded[size, order], momentum)
    seen = (size * torch.arange(len(path))).clamp(max=len(train))
    now = int((seen <= photos).sum()) - 1
    left, right = plots.panels(2, figsize=(9, 2.8))
    left.stairs(path[now], fill=True)
    left.set(ylim=(0, top), xlabel="BatchNorm layer, from the input on", title=f"drift after {now} batches")
    right.plot(seen, path.mean(1), markevery=[now], marker="o")
    right.set(ylim=(0, top / 4), xlabel="photos seen", title=f"mean; {(1 - momentum) ** now:.0%} of the old is left")
    return left.figure

explore(show_drift, alt="Drift by layer and over the epoch", size=SelectionSlider(options=[32, 8, 4], description="batch size"),
        momentum=SelectionSlider(options=[0.01, 0.03, 0.1, 0.3], value=0.1), order=Dropdown(options=["shuffled", "sorted by class"]),
        photos=IntSlider(len(train), max=len(train), step=8))

# %% [markdown]
# Turn the order, at any size and momentum. Did you expect more?

# %%
by_order = {order: play_drift(start, recorded[32, order], 0.1)[-1].mean().item() for order in ("shuffled", "sorted by class")}
claim("in batches of 32, sorting the photos changes the mean drift by less than a fifth",
      abs(by_order["sorted by class"] / by_order["shuffled"] - 1) < 0.2, when=PRETRAINED,
      otherwise="needs a pretrained backbone", figure=", ".join(f"{order} {drift:.4f}" for order, drift in by_order.items()))

# %% [markdown]
# In every order the batches pull the same way, from the images of the pretraining to these photos. If sorting does harm, it must do so by another way.

# %% [markdown]
# ## What drift costs a head
# Statistics may move without harm; what counts is accuracy. Here is the loop again that most tutorials print, with a frozen backbone and batches of 4.

# %%
model = copy.deepcopy(start)
optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=1e-3)
order = torch.Generator().manual_seed(SEED)
for _ in range(EPOCHS):
    model.train()  # the backbone is frozen, and drifts
    for images, labels in train.batches(4, shuffle=True, generator=order, device=device):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
drifting = evaluate(model, val).accuracy  # in eval mode, as it should be
print(f"validation accuracy {drifting:.3f}")

# %% [markdown]
# `train_head` is that loop with the head started anew from a seed. The other arm is the same head on the same batches in the same order, with the backbone in eval mode. A backbone that stands still can be run once and cached, as lesson 4 proved, so this arm is nearly free.
#
# **Predict:** the head sees the same photos in both arms. In which order do these four lose: batches of 32, of 8, of 4, and batches of 32 with the photos sorted by class, as a data loader without `shuffle=True` would give them?

# %%
from course_utils.batchnorm import train_head

arms = {"batches of 32": (32, True), "batches of 8": (8, True), "batches of 4": (4, True),
        "32, sorted by class": (32, False)}
seeds = [1000 * SEED + k for k in range(SEEDS)]
train_features = embed(copy.deepcopy(start), flowers.train)
val_features = embed(copy.deepcopy(start), val)
by_class = flowers.train.labels.argsort(stable=True)  # from here on sorted, unless shuffled
photos, features = flowers.train[by_class], train_features[by_class]
len(features), len(val_features)

# %%
runs = []
for name, (size, shuffle) in arms.items():
    for seed in seeds:
        common = {"batch_size": size, "shuffle": shuffle, "epochs": EPOCHS, "seed": seed}
        drifting, still = copy.deepcopy(start), cached_head(copy.deepcopy(start))
        subset = photos.per_class(PER_CLASS, seed=seed)
        train_head(drifting, subset, set_mode=nn.Module.train, **common)
        train_head(still, features.per_class(PER_CLASS, seed=seed), **common)
        runs.append({"batches": name, "drifting": evaluate(drifting, val).accuracy,
                     "standing still": evaluate(still, val_features).accuracy})
runs = pd.DataFrame(runs)
runs["lost"] = runs["standing still"] - runs["drifting"]
runs.groupby("batches", sort=False).mean().round(3)

# %% alt="Bars with paired intervals: accuracy lost to drift, for three batch sizes and for batches sorted by class; a line marks zero"
lost = {name: mean_interval(runs["lost"][runs["batches"] == name]) for name in arms}
ax = plots.bars({name: i.mean for name, i in lost.items()},
                errors={name: (i.low, i.high) for name, i in lost.items()})
ax.axvline(0, color="0.4", linewidth=0.8)
ax.set_title(f"accuracy lost to drift, {SEEDS} seeds, paired, 95 % interval");

# %%
enough = PRETRAINED and PER_CLASS >= 40 and EPOCHS >= 3
stated = {"when": enough, "otherwise": "needs a pretrained backbone, 40 photos a class and 3 epochs"}
claim("drift costs more in batches of 4 than in batches of 32",
      lost["batches of 4"].mean > lost["batches of 32"].mean, **stated,
      figure=f"{lost['batches of 4']} against {lost['batches of 32']}")
claim("in batches of 4 drift costs at least 3 points, on average over the seeds",
      lost["batches of 4"].mean > 0.03, **stated)
claim("batches sorted by class lose at least as much on average as shuffled ones of the same size",
      lost["32, sorted by class"].mean >= lost["batches of 32"].mean, **stated,
      figure=f"{lost['32, sorted by class']} against {lost['batches of 32']}")

# %% [markdown]
# Three remarks, so that you read the picture rightly. Smaller batches mean more steps in an epoch, so both heads have learned more: compare within a pair, not across. With three seeds an interval is wide, and for large batches the cost of drift can drown in it: a loop with this bug often looks fine. And the sorted batches harm the head that stands still too (see the table): it forgets the first class while it looks at the last. The bars show only what drift adds to that. In a sorted batch, "the statistics of the batch" are those of one kind of flower: who normalises by them takes away what the photos of the batch have in common, and that is their class. That can do harm without any further drift; loop 2, below, shows it alone.

# %% tags=["quiz"]
quiz("06-small-batches")

# %% [markdown]
# ## The helper that the next `train()` undoes
# The usual remedy is a helper that puts BatchNorm layers into eval mode, called once before the epochs.
#
# **Predict:** how many BatchNorm layers are in training mode after each line?

# %%
def freeze_bn(model):
    for layer in batchnorm_layers(model).values():
        layer.eval()

def in_training(model):
    return sum(layer.training for layer in batchnorm_layers(model).values())

model = copy.deepcopy(start).train()
freeze_bn(model)
after_helper = in_training(model)
model.train()  # the first line of the next epoch
print(f"{after_helper} after the helper, {in_training(model)} after the next train()")
claim("the next train() puts every layer back", after_helper == 0 and in_training(model) == len(batchnorm_layers(model)))

# %% [markdown]
# `train()` walks over all modules and sets the mode of each; it remembers nothing. So there are two remedies that hold. Either the helper runs **after every** `train()`, which is what `set_train_mode` does and `fit` calls; you will write it yourself below. Or the model itself answers `train()` differently, which also survives a library that calls `train()` for you:

# %%
from course_utils.surgery import set_train_mode


class StandsStill(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
    def forward(self, images):
        return self.model(images)
    def train(self, mode=True):
        super().train(mode)
        if mode:
            set_train_mode(self.model)
        return self

# %%
wrapped = StandsStill(copy.deepcopy(start))
before = snapshot(wrapped)
for _ in range(3):
    wrapped.train()
    with torch.no_grad():
        wrapped(train.batch(range(8), device=device)[0])
claim("with train() overridden nothing drifts, however often it is called",
      in_training(wrapped) == 0 and not changed(wrapped, before) and wrapped.training,
      figure=f"{in_training(wrapped)} layers in training mode, {len(changed(wrapped, before))} entries moved")

# %% [markdown]
# A third way is to replace the layers. `torchvision.ops.FrozenBatchNorm2d` has four buffers and nothing that `train()` could change; torchvision's pretrained detection models use it.
#
# What does *not* help: `requires_grad_(False)` on the layer (you saw the four cases), and `momentum = 0`. The latter keeps the buffers still, but the layer goes on normalising by the batch, so the head learns on features that it will not see in evaluation.

# %% [markdown]
# ## When the statistics should move
# So keep them still? Not always. Running statistics describe *the images the network was shown*. When the images you must classify come from elsewhere (another camera, another light, another microscope), they describe the wrong images.
#
# Here are the same flowers as a poor camera would take them: we make them dark and give them a cast of colour.

# %% tags=["shows-photos"] alt="6 photos above, the same 6 below as the poor camera sees them"
def poor_camera(images):
    cast = torch.tensor([0.35, 0.6, 1.0]).view(1, 3, 1, 1)
    return ImageSet((images.images * 0.25 * cast).to(torch.uint8), images.labels, images.classes)

shown = val[list(range(0, len(val), len(val) // 6))[:6]]
plots.image_grid(torch.cat([shown.images, poor_camera(shown).images]));

# %% [markdown]
# **Recalibration** gives the network the statistics of the new images: forget the old ones, run the new images through in training mode, keep the average. It needs images but **not one label**, no gradient and no step. With `momentum = None` a BatchNorm layer takes the plain average over all batches since its reset. By hand:

# %%
from course_utils.batchnorm import recalibrate

mixed = train[torch.randperm(len(train))]  # in random order: a batch should hold all classes
model, same = copy.deepcopy(start).eval(), copy.deepcopy(start)
for layer in batchnorm_layers(model).values():
    layer.reset_running_stats()
    layer.momentum = None
    layer.train()
with torch.no_grad():
    for images, _ in mixed[: len(mixed) // 32 * 32].batches(32, device=device):
        model(images)
recalibrate(same, mixed, batch_size=32)  # the same, and eval mode and momenta put back
pairs = zip(model.buffers(), same.buffers(), strict=True)
claim("recalibrate gives the statistics that the loop by hand gives",
      all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in pairs), when=device.type == "cpu", otherwise="a GPU computes in half precision")

# %% [markdown]
# Now the experiment, once for each seed, with other photos and another head each time:
#
# 1. take the statistics of the good photos, and train a head on them (labels needed, once);
# 2. judge it on good validation photos, then on the same photos from the poor camera;
# 3. take the statistics of *unlabelled* training photos from the poor camera, and judge again. Head and weights stay as they are.
#
# **Predict:** of the accuracy that the poor camera costs, how much comes back?

# %%
poor_val, shifted = poor_camera(val), []
for seed in seeds:
    subset = flowers.train.per_class(PER_CLASS, seed=seed)
    subset = subset[torch.randperm(len(subset), generator=torch.Generator().manual_seed(seed))]
    model = copy.deepcopy(start)
    recalibrate(model, subset)
    train_head(cached_head(model), embed(model, subset), batch_size=32, epochs=20, seed=seed)
    good, poor = evaluate(model, val).accuracy, evaluate(model, poor_val).accuracy
    recalibrate(model, poor_camera(subset))
    shifted.append({"good camera": good, "poor camera": poor,
                    "poor, recalibrated": evaluate(model, poor_val).accuracy})
shifted = pd.DataFrame(shifted)
shifted.round(3)

# %% alt="Bars with intervals: validation accuracy with the good camera, with the poor one, and with the poor one after recalibration"
spans = {name: mean_interval(shifted[name]) for name in shifted}
ax = plots.bars({name: i.mean for name, i in spans.items()},
                errors={name: (i.low, i.high) for name, i in spans.items()})
ax.set(xlim=(0, 1.15), title=f"validation accuracy over {SEEDS} seeds, with 95 % interval");

# %%
cost, back = shifted["good camera"] - shifted["poor camera"], shifted["poor, recalibrated"] - shifted["poor camera"]
share = mean_interval(back / cost) if (cost != 0).all() else None
claim("the poor camera costs at least 10 points of accuracy, on every seed", (cost > 0.1).all(),
      figure=mean_interval(cost), **stated)
claim("recalibration brings back more than half of that on every seed, without a label",
      lambda: (back > cost / 2).all(), figure=f"share of the loss: {share}", **stated)

# %% [markdown]
# This is adaptive batch normalisation (Li et al. 2016). It costs one pass over unlabelled images. Three things can go wrong with it, and each has a number.
#
# **Too few photos, or the wrong mixture.** The new statistics are only as good as the images they come from.

# %% alt="Bars: accuracy with the poor camera when the new statistics come from all photos, from eight, and from roses only"
poor_photos = poor_camera(subset)
attempts = {f"all {len(subset)} photos": poor_photos, "8 photos": poor_photos[:8],
            "roses only": poor_photos[poor_photos.labels == flowers.classes.index("roses")]}
mixtures = {}
for name, images in attempts.items():
    recalibrate(model, images)
    mixtures[name] = evaluate(model, poor_val).accuracy
plots.bars(mixtures).set_title("accuracy with the poor camera, statistics taken from");

# %%
every, *others = mixtures.values()
claim("eight photos, or one kind of flower, serve worse than all", every > max(others), **stated)

# %% [markdown]
# **The wrong kind of shift.** Statistics are one mean and one variance a channel. They can follow a change that moves and stretches channels, and our poor camera does just that: it multiplies each colour by a number. A real shift is seldom so kind. In a negative, what was bright is dark: no shift and no stretch by a positive number does that.

# %%
negative_val, negatives = [ImageSet(255 - s.images, s.labels, s.classes) for s in (val, subset)]
recalibrate(model, subset)
normal, upside_down = evaluate(model, val).accuracy, evaluate(model, negative_val).accuracy
recalibrate(model, negatives)
restored = evaluate(model, negative_val).accuracy
claim("recalibration mends less of what negatives cost than of what the poor camera cost",
      lambda: (restored - upside_down) / (normal - upside_down) < share.mean, **stated,
      figure=f"{normal:.3f} → {upside_down:.3f}, recalibrated {restored:.3f}")

# %% [markdown]
# **A head that was trained on other statistics.** New statistics change every feature. Above, the head had learned on recalibrated features from the start. Take one that learned on the checkpoint's statistics, and recalibrate on the very photos it learned from, with no shift at all:

# %%
model = copy.deepcopy(start)
train_head(cached_head(model), features.per_class(PER_CLASS, seed=seed), batch_size=32, epochs=20, seed=seed)
as_trained = evaluate(cached_head(model), val_features).accuracy
recalibrate(model, subset)
exchanged = evaluate(model, val).accuracy
claim("exchanging the statistics under a trained head costs accuracy on good photos", exchanged < as_trained,
      figure=f"{as_trained:.3f} → {exchanged:.3f}", **stated)

# %% [markdown]
# So the rule is not "always frozen" or "always adapted", but: **statistics that fit the images, and a head that has learned on the same kind of statistics.** A few hundred photos are also a poorer estimate than the million of the pretraining: compare that head's score before the exchange with the column *good camera* above.
#
# Between the two lies fine-tuning: *freeze early, adapt late*. The early stages stay as they are, statistics included; the late ones learn, and their statistics follow. `set_train_mode` goes by the flags, so it does exactly that:

# %%
from course_utils.surgery import stages, state_table, unfreeze_from

partly = copy.deepcopy(start)
unfreeze_from(partly, list(stages(partly))[-3])
set_train_mode(partly)
state_table(partly)[["trainable values", "BN layers", "BN in train"]].tail(6)

# %% tags=["quiz"]
quiz("06-recalibrate")

# %% [markdown]
# ## Families without the problem
# LayerNorm and GroupNorm normalise every photo by its own numbers. There is no batch in it and nothing to remember, so there is no drift, no batch mates, and nothing to recalibrate either. Who uses what? (Networks on the device `meta` have shapes but no numbers: nothing is downloaded or computed.)

# %% tags=["nbval-check-output"]
rows = {}
for name in ["resnet18", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "vit_b_16", "swin_t"]:
    with torch.device("meta"):
        network = get_model(name)
    layer_norms = sum(isinstance(m, nn.LayerNorm) for m in network.modules())
    rows[name] = len(batchnorm_layers(network)), layer_norms
    print(f"{name:16} {rows[name][0]:3} BatchNorm layers {layer_norms:4} LayerNorm layers")

# %% [markdown]
# Two of them in both modes: a small Vision Transformer and a small ConvNeXt, with random weights. ConvNeXt also skips blocks at random in training mode (*stochastic depth*); we switch that off, because it is another thing that `train()` turns on.

# %%
from torchvision.models import ConvNeXt, VisionTransformer
from torchvision.models.convnext import CNBlockConfig
from torchvision.ops import StochasticDepth

convnext = ConvNeXt([CNBlockConfig(24, 48, 2), CNBlockConfig(48, None, 2)])
vit = VisionTransformer(64, 16, num_layers=4, num_heads=4, hidden_dim=64, mlp_dim=128)
for network in (vit, convnext):
    for module in network.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0
    before, images = snapshot(network), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        apart = (network.train()(images) - network.eval()(images)).abs().max().item()
    claim(f"{type(network).__name__}: nothing moves, and both modes give the same",
          not changed(network, before) and apart < 1e-5, figure=f"largest difference {apart:.1e}")

# %% [markdown]
# ## A lab of broken loops
# Eight loops, each with one real bug of a kind that published code has. Each runs without an error. Run it, look at its number, and name the bug **before** you read the diagnosis; the diagnosis is always *one measured number*, and the mended loop gets the right one. Most run on the features you have cached.

# %%
few = features.per_class(PER_CLASS, seed=SEED)
width, table = few.features.shape[1], {}
reference = cached_head(copy.deepcopy(start))
train_head(reference, few, batch_size=4, epochs=EPOCHS, seed=SEED)
print(f"a sound loop, as a reference: {evaluate(reference, val_features).accuracy:.3f}")

# %% [markdown]
# ### Loop 1: frozen before the epochs
# The head of the reference goes on learning for two epochs. Somebody has read about drift and taken care of it.

# %% tags=["bug"]
model = copy.deepcopy(start)
find_head(model).module.load_state_dict(find_head(reference).module.state_dict())
freeze_bn(model)
optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=1e-3)
order = torch.Generator().manual_seed(SEED)
for _ in range(2):
    model.train()
    for images, labels in train.batches(4, shuffle=True, generator=order, device=device):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
broken = evaluate(model, val).accuracy
moved = len([name for name in changed(model, snapshot(start)) if name in buffers])
print(f"validation accuracy {broken:.3f}")

# %% [markdown]
# **Diagnosis:** count the buffers that moved. In the mended loop the helper comes after `train()`, in every epoch.

# %%
model = copy.deepcopy(start)
find_head(model).module.load_state_dict(find_head(reference).module.state_dict())
optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=1e-3)
order = torch.Generator().manual_seed(SEED)
for _ in range(2):
    model.train()
    freeze_bn(model)
    for images, labels in train.batches(4, shuffle=True, generator=order, device=device):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
mended = evaluate(model, val).accuracy
still_moved = len([name for name in changed(model, snapshot(start)) if name in buffers])

# %%
table["1 frozen before the epochs"] = "buffers that moved", moved, still_moved
claim("loop 1: the backbone moved, and with the helper inside the epoch it does not",
      moved == len(buffers) and still_moved == 0, figure=f"{moved} buffers, then {still_moved}")
claim("loop 1: the accuracy recovers", mended > broken, figure=f"{broken:.3f} → {mended:.3f}", **stated)

# %% [markdown]
# ### Loop 2: a validation that validates itself
# Two validations in a row, with no training between them. The photos come sorted by class, as a folder gives them.

# %% tags=["bug"]
model, scores = copy.deepcopy(start), []
find_head(model).module.load_state_dict(find_head(reference).module.state_dict())
val_sorted = val[val.labels.argsort(stable=True)]
before = snapshot(model)
model.train()  # left over from the training epoch
for _ in range(2):
    right = 0
    with torch.no_grad():
        for images, labels in val_sorted.batches(32, device=device):
            right += (model(images).argmax(1) == labels).sum().item()
    scores.append(right / len(val))
moved = len(changed(model, before))
print("validation accuracy", scores)

# %% [markdown]
# **Diagnosis:** count what a *validation* has moved; it should move nothing. Each batch normalised itself by its own photos, all of one kind of flower, and the labels are implied in that. One line is missing. (What the first run has already overwritten, `eval()` does not bring back: the mended loop starts from the saved state.)

# %%
model.load_state_dict(before)
model.eval()
right = 0
with torch.no_grad():
    for images, labels in val_sorted.batches(32, device=device):
        right += (model(images).argmax(1) == labels).sum().item()
mended = right / len(val)
table["2 validating without eval()"] = "entries moved by validating", moved, len(changed(model, before))
claim("loop 2: validating moved every buffer; with eval() it moves nothing",
      moved == len(buffers) and not changed(model, before), figure=f"{moved}, then 0")
claim("loop 2: the accuracy recovers", mended > max(scores), **stated,
      figure=f"{scores[0]:.3f} and {scores[1]:.3f} → {mended:.3f}")

# %% [markdown]
# ### Loop 3: a mode set once
# The other way round. `train()` is called once before the epochs, `eval()` for validation inside them. This head has a dropout.

# %% tags=["bug"]
net = nn.Sequential(nn.Dropout(0.5), nn.Linear(width, len(flowers.classes))).to(device)
optimizer, dropped = torch.optim.Adam(net.parameters(), lr=1e-3), []
net.train()
for _ in range(3):
    for inputs, labels in few.batches(32, shuffle=True, device=device):
        loss = F.cross_entropy(net(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    dropped.append((net[0](torch.ones(1000, device=device)) == 0).float().mean().item())
    net.eval()
    accuracy = evaluate(net, val_features).accuracy
print(f"validation accuracy {accuracy:.3f}")

# %% [markdown]
# **Diagnosis:** send ones through the dropout in every epoch and count the zeros that come out. Compare the accuracies too: nobody would have found this bug by them, for in so few epochs dropout has no time to pay.

# %%
net = nn.Sequential(nn.Dropout(0.5), nn.Linear(width, len(flowers.classes))).to(device)
optimizer, after = torch.optim.Adam(net.parameters(), lr=1e-3), []
for _ in range(3):
    net.train()
    for inputs, labels in few.batches(32, shuffle=True, device=device):
        loss = F.cross_entropy(net(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after.append((net[0](torch.ones(1000, device=device)) == 0).float().mean().item())
    mended = evaluate(net, val_features).accuracy
table["3 train() only once"] = "share dropped in the last epoch", dropped[-1], after[-1]
claim("loop 3: dropout worked in the first epoch only; now in all", max(dropped[1:]) == 0 and min(after) > 0.4,
      figure=f"{[round(d, 2) for d in dropped]} → {[round(d, 2) for d in after]}; "
             f"accuracy {accuracy:.3f} → {mended:.3f}")

# %% [markdown]
# ### Loop 4: the optimizer came first

# %% tags=["bug"]
model = copy.deepcopy(start)
optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=1e-3)
replace_head(model, len(flowers.classes))
head, losses = cached_head(model), []
for _ in range(3):
    for inputs, labels in few.batches(32, shuffle=True, device=device):
        loss = F.cross_entropy(head(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    losses.append(evaluate(head, few).loss)
broken = evaluate(head, val_features).accuracy
print("training loss", losses)

# %% [markdown]
# **Diagnosis:** a loss that repeats to the last digit says that nothing moves. Count the tensors of the head that the optimizer holds.

# %%
def held(optimizer, head):
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return sum(id(p) in known for p in head.parameters())

before = held(optimizer, head)
optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)  # built last
for _ in range(3):
    for inputs, labels in few.batches(32, shuffle=True, device=device):
        loss = F.cross_entropy(head(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
table["4 optimizer before the swap"] = "head tensors in the optimizer", before, held(optimizer, head)
mended = evaluate(head, few).loss

# %%
claim("loop 4: the optimizer held nothing of the head, and the loss stood still",
      before == 0 and len(set(losses)) == 1, figure=f"loss {losses[0]:.4f} three times over")
claim("loop 4: with the optimizer built last the loss falls", mended < losses[-1], **stated,
      figure=f"{losses[-1]:.3f} → {mended:.3f}; accuracy {broken:.3f} → {evaluate(head, val_features).accuracy:.3f}")

# %% [markdown]
# ### Loop 5: counted, then trained
# Print how many values will be trained, then train them.

# %% tags=["bug"]
head, losses = cached_head(copy.deepcopy(start)), []
parameters = head.parameters()
print(sum(p.numel() for p in parameters), "values to train")
optimizer = torch.optim.Adam([{"params": parameters, "lr": 1e-3}])
for _ in range(3):
    for inputs, labels in few.batches(32, shuffle=True, device=device):
        loss = F.cross_entropy(head(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    losses.append(evaluate(head, few).loss)
before = held(optimizer, head)
print("training loss", losses)

# %% [markdown]
# **Diagnosis:** the same number as in loop 4, and another cause. `parameters()` is a *generator*: it can be walked once, and the count has done so. Given bare, an empty generator makes the optimizer raise; inside a parameter group it does not. Keep a list.

# %%
parameters = list(head.parameters())
print(sum(p.numel() for p in parameters), "values to train")
optimizer = torch.optim.Adam([{"params": parameters, "lr": 1e-3}])
for _ in range(3):
    for inputs, labels in few.batches(32, shuffle=True, device=device):
        loss = F.cross_entropy(head(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
mended = evaluate(head, few).loss
table["5 a generator used twice"] = "head tensors in the optimizer", before, held(optimizer, head)
claim("loop 5: the group was empty, and the loss stood still", before == 0 and len(set(losses)) == 1)
claim("loop 5: with a list the loss falls", mended < losses[-1], **stated,
      figure=f"{losses[-1]:.3f} → {mended:.3f}")

# %% [markdown]
# ### Loop 6: frozen, and walking
# Two layers on the features. After two epochs the first is frozen, and from then on gradients are cleared only where something learns: why clear what is not computed?

# %% tags=["bug"]
torch.manual_seed(SEED)
net = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, len(flowers.classes))).to(device)
optimizer, order = torch.optim.Adam(net.parameters(), lr=1e-3), torch.Generator().manual_seed(SEED)
for epoch in range(10):
    if epoch == 2:
        net[0].requires_grad_(False)
        kept = net[0].weight.clone()
    for inputs, labels in few.batches(32, shuffle=True, generator=order, device=device):
        net[2].zero_grad() if epoch >= 2 else optimizer.zero_grad()
        F.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
moved, broken = ((net[0].weight - kept).norm() / kept.norm()).item(), evaluate(net, val_features).accuracy
print(f"validation accuracy {broken:.3f}")

# %% [markdown]
# **Diagnosis:** measure how far the frozen layer has walked since it was frozen. Its last gradient still hangs on it, and the optimizer, which goes by `.grad` and not by the flag, takes the same step again and again. Mended by one line where it is frozen.

# %%
torch.manual_seed(SEED)
net = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, len(flowers.classes))).to(device)
optimizer, order = torch.optim.Adam(net.parameters(), lr=1e-3), torch.Generator().manual_seed(SEED)
for epoch in range(10):
    if epoch == 2:
        net[0].requires_grad_(False)
        net[0].zero_grad()  # sets .grad to None, and the optimizer passes over it
        kept = net[0].weight.clone()
    for inputs, labels in few.batches(32, shuffle=True, generator=order, device=device):
        net[2].zero_grad() if epoch >= 2 else optimizer.zero_grad()
        F.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
still_moved, mended = ((net[0].weight - kept).norm() / kept.norm()).item(), evaluate(net, val_features).accuracy

# %%
table["6 frozen with a stale gradient"] = "relative move of the frozen layer", moved, still_moved
claim("loop 6: the frozen layer walked; without its old gradient it stands", moved > 0 and still_moved == 0,
      figure=f"by {moved:.0%} of its length, then {still_moved:.0%}")
claim("loop 6: the accuracy recovers", mended > broken, figure=f"{broken:.3f} → {mended:.3f}", **stated)

# %% [markdown]
# ### Loop 7: a mean of means
# One trained head, the same validation photos twenty times, each time in another order.

# %% tags=["bug"]
scores, size = [], 64
for seed in range(20):
    order = torch.Generator().manual_seed(seed)
    means = [(reference(inputs).argmax(1) == labels).float().mean().item()
             for inputs, labels in val_features.batches(size, shuffle=True, generator=order, device=device)]
    scores.append(sum(means) / len(means))
print(f"validation accuracy between {min(scores):.3f} and {max(scores):.3f}")

# %% [markdown]
# **Diagnosis:** the score of a fixed head on fixed photos depends on their order. Compute the weight of one photo: a batch counts the same whether it is full or a rest, so a photo in the rest counts several times.

# %%
mended = []
for seed in range(20):
    order, right = torch.Generator().manual_seed(seed), 0
    for inputs, labels in val_features.batches(size, shuffle=True, generator=order, device=device):
        right += (reference(inputs).argmax(1) == labels).sum().item()
    mended.append(right / len(val_features))
spread, rest = max(scores) - min(scores), len(val_features) % size
table["7 batch means averaged"] = "spread over 20 orders", spread, max(mended) - min(mended)
claim("loop 7: the mean of batch means depends on the order; right over all does not",
      spread > 0 and max(mended) == min(mended),
      figure=f"a photo in the rest counts {size / rest:.0f} times; spread {spread:.3f}, then 0")

# %% [markdown]
# ### Loop 8: the best of many, reported
# Two hundred heads with random weights, none of them trained. The best on 40 validation photos wins, and its score is reported; twenty times over.

# %% tags=["bug"]
torch.manual_seed(SEED)
answers = torch.einsum("nd,hcd->hnc", val_features.features, torch.randn(200, 5, width)).argmax(2)
correct, reported, fresh = (answers == val_features.labels).float(), [], []
for _ in range(20):
    shuffled = torch.randperm(len(val_features))
    chosen_on, others = shuffled[:40], shuffled[40:]
    best = correct[:, chosen_on].mean(dim=1).argmax()
    reported.append(correct[best, chosen_on].mean().item())
    fresh.append(correct[best, others].mean().item())
print(f"reported {mean_interval(reported)}")

# %% [markdown]
# **Diagnosis:** judge the winner on photos that had no part in choosing it. There is nothing to mend in the loop; what was wrong is which of the two numbers it reported. A best epoch, a best seed and a best learning rate are winners in the same sense.

# %%
overrated = sum(reported) / len(reported) - sum(fresh) / len(fresh)
table["8 best of validation reported"] = "points above fresh photos", overrated, 0.0
claim("loop 8: the winner's own score flatters it", overrated > 0.03,
      figure=f"reported {mean_interval(reported)}, on photos it was not chosen on {mean_interval(fresh)}")

# %%
lab = pd.DataFrame(table, index=["the number that tells", "broken", "mended"]).T
lab.map(lambda value: round(value, 3) if isinstance(value, float) else value)

# %% [markdown]
# None of these raised an error, and the accuracy gave away only some of them. To count what moved, what the optimizer holds or what is dropped takes one line each. Put such lines into your own loops.

# %% [markdown]
# ## Your turn
# Write the function that takes the place of `model.train()` in a loop: training mode for whatever can learn, and eval mode for every module whose parameters are all frozen. A dropout has no parameters at all; it stays as its surroundings are.

# %% tags=["exercise"]
def set_train_mode(model):
    """Training mode where something can learn; modules with only frozen parameters are in eval mode."""
    # solution
    model.train()
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()
    # end solution

# %% tags=["self-check"]
from courseware.exercises import check

check("set_train_mode", set_train_mode)  # hint("set_train_mode") helps; after a try, solution(…) shows one

# %% [markdown]
# And the one for the case in which statistics *should* move. `images` is one normalised tensor `[N, 3, H, W]`; run it through in parts of 32. Leave everything as you found it but the statistics: parameters, flags, momenta. The model ends in eval mode. `batchnorm_layers(model)` gives you the layers by name.

# %% tags=["exercise"]
def recalibrate_batchnorm(model, images):
    """BatchNorm's running statistics become those of `images` [N, 3, H, W]; the model ends in eval mode."""
    # solution
    layers = batchnorm_layers(model).values()
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the average of all batches since the reset
        layer.train()
    with torch.no_grad():
        for batch in images.split(32):
            model(batch)
    model.eval()
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    # end solution

# %% tags=["self-check"]
check("recalibrate_batchnorm", recalibrate_batchnorm)

# %% [markdown]
# ## What you saw
# - A BatchNorm layer has parameters, which gradients move, and buffers, which its own forward pass moves. The flag decides about the first, the mode about the second.
# - In training mode a photo's scores depend on its batch mates, and each batch overwrites a tenth of the statistics. It is batches that count, not photos.
# - Drift costs a frozen backbone's head accuracy, and more in small batches. In large ones the bug can hide inside the noise.
# - A helper called once is undone by the next `train()`. Call it in each epoch, or override `train()`.
# - When the images have shifted, new statistics without a label brought back most of what was lost; but not from few photos, not against every shift, and not under a head trained on others.
# - LayerNorm and GroupNorm remember nothing: no drift, and nothing to recalibrate.
# - A loop that runs is not a loop that works. Count what moved, what the optimizer holds, what is dropped.

# %% [markdown]
# ## Test yourself
# The lesson's quiz. A wrong answer is told why it is wrong, and costs nothing.

# %% tags=["quiz"]
quiz("06_batchnorm_pitfalls")

# %% [markdown]
# ## References
# - Ioffe & Szegedy 2015, *Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift*, <https://arxiv.org/abs/1502.03167>
# - Li, Wang, Shi, Liu & Hou 2016, *Revisiting Batch Normalization For Practical Domain Adaptation*, <https://arxiv.org/abs/1603.04779>: statistics of the target images, without labels
# - Ba, Kiros & Hinton 2016, *Layer Normalization*, <https://arxiv.org/abs/1607.06450>
# - Wu & He 2018, *Group Normalization*, <https://arxiv.org/abs/1803.08494>: why small batches are hard for BatchNorm
# - PyTorch, *BatchNorm2d*, <https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html>: which variance is used where, and `momentum=None`
#
# **Next:** [7 · Strategy comparison](07_strategy_comparison.ipynb) asks the same question of five strategies at once, in a world where the right answer is known.
