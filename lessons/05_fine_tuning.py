# %% [markdown]
# # 5 · Fine-tuning
# **Now the backbone learns too, and one number decides whether it improves or is erased.** In this lesson you find that number, give head and backbone rates of their own, and measure whether fine-tuning was worth it.
#
# <!-- badges -->
#
# *You will be able to* choose a learning rate by measuring · give parts of a network rates of their own · compare recipes at equal budgets, over seeds · say what fine-tuning changed, and where · train the last stages for a fraction of the time, to the same bit · compare two models on the same test photos · walk from one to the other under shift.
#
# *Time* 30 min · *Before this* [4 · Feature extraction](04_feature_extraction.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 30  # training photos a class in the longer runs
SIZE = 96       # pixels a side
EPOCHS = 4
SEEDS = 5       # runs behind the closest comparison
SEED = 0        # another number: other photos, other heads, other batches in every run

# %% tags=["setup"]
import copy
from statistics import median

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.transforms.v2 import functional as pixels

# %% tags=["setup"]
from course_utils import plots, surgery
from course_utils.datasets import load_flowers
from course_utils.device import pick_device, seed_everything
from course_utils.features import cached_head, embed
from course_utils.images import ImageSet
from course_utils.measure import stopwatch
from course_utils.surgery import find_head, replace_head, set_train_mode, snapshot
from course_utils.training import evaluate, fit, lr_find
from course_utils.weights import available_weights
from courseware.claims import claim

plots.use_style()
seed_everything(SEED)
device = pick_device()  # models go there, and data follows them

# %% [markdown]
# ## One step from the checkpoint
# As in [lesson 4](04_feature_extraction.ipynb): five flowers, three splits, a pretrained network, a new head. The photos are smaller here, because whole networks will be trained, many times. The test photos stay closed until the recipe is settled.

# %%
WEIGHTS = available_weights(BACKBONE)
PRETRAINED = WEIGHTS is not None
flowers = load_flowers(SIZE)
val, classes = flowers.val, len(flowers.classes)
ON_PHOTOS = PRETRAINED and flowers.source == "photos"

checkpoint = get_model(BACKBONE, weights=WEIGHTS).to(device)
model = copy.deepcopy(checkpoint)
replace_head(model, classes)
f"{surgery.count(model).trainable_values:,} values can learn"

# %% [markdown]
# To unfreeze a network takes no code: nothing is frozen unless you freeze it. So one step of the usual loop, on three photos a class.
#
# **Predict:** how many entries of the state are different afterwards?

# %%
before = snapshot(model)
images, labels = flowers.train.per_class(3, seed=SEED).batch(slice(None), device=device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
model.train()
nn.functional.cross_entropy(model(images), labels).backward()
optimizer.step()
moved = surgery.changed(model, before)
claim("one step changed every entry of the state", len(moved) == len(before),
      figure=f"{len(moved)} of {len(before)}")

# %% [markdown]
# That was to be expected. Now the question that matters: *how far* did they go? Compare the way each weight went with how large it was.

# %%
steps = torch.cat([(p - before[n]).abs().flatten() for n, p in model.named_parameters()]).detach()
sizes = torch.cat([before[n].abs().flatten() for n, _ in model.named_parameters()])
print(f"a step:   median {steps.median():.2g}, largest {steps.max():.2g}")
print(f"a weight: median {sizes.median():.2g}")

# %%
claim("half of the weights moved by the learning rate, and none by more",
      0.9e-3 < steps.median() and steps.max() < 1.01e-3,
      figure=f"median step {steps.median() / 1e-3:.2f} times the rate")
for rate in [1e-5, 1e-4, 1e-3, 1e-2]:
    print(f"rate {rate:g}: a first step is {rate / sizes.median():.2%} of the median weight")
del before, steps, sizes  # each takes as much memory as the network

# %% [markdown]
# The gradients differ by orders of magnitude; the steps do not. In its first step Adam divides each gradient by its own size, and what is left is a sign times the learning rate. So the learning rate is not a factor in front of something reasonable. It *is* the distance, for every weight, whether the photos have much to say about it or not. Read the last line printed again with that in mind.

# %% [markdown]
# ## The learning rate is everything
# Many runs follow, and they have to be comparable. These two functions see to that: the seed decides on the new head, and every run gets the same optimizer, batch size and number of epochs. Only the model and its groups of parameters differ. The weights at the end are those of the last epoch, so nothing is picked on the way: that is what `fit` does where it gets no photos to validate on.

# %%
short = max(2, EPOCHS)
plain_run = {"val": None, "batch_size": 10}

def fresh(seed):
    """The checkpoint with a new head of its own."""
    torch.manual_seed(seed)
    network = copy.deepcopy(checkpoint)
    replace_head(network, classes)
    return network

def fine_tune(network, groups, photos, seed, epochs=short):
    """Adam, batches of 10, the last weights; the accuracy on the validation photos."""
    optimizer = torch.optim.Adam(groups, fused=True)
    fit(network, photos, epochs=epochs, optimizer=optimizer, **plain_run, seed=seed)
    return evaluate(network, val).accuracy

# %% [markdown]
# Ten photos a class, drawn anew by each seed. Four rates, three seeds; and beside them the same network **from scratch**, which has never seen ImageNet, at Adam's usual rate.
#
# **Predict:** draw the curve. Which rates end below the network from scratch?

# %%
from course_utils.stats import mean_interval

rates = [1e-5, 1e-4, 1e-3, 1e-2]
seeds = [100 * SEED + number for number in range(max(SEEDS, 3))]
few = {seed: flowers.train.per_class(10, seed=seed) for seed in seeds}
sweep = {rate: [] for rate in rates}
for rate in rates:
    for seed in seeds[:3]:
        model = fresh(seed)
        groups = [{"params": list(model.parameters()), "lr": rate}]
        sweep[rate].append(fine_tune(model, groups, few[seed], seed))
{rate: [round(score, 3) for score in scores] for rate, scores in sweep.items()}

# %% alt="A curve with intervals: validation accuracy over the learning rate, from the checkpoint; a dashed line marks training from scratch"
scratch = []
for seed in seeds[:3]:
    torch.manual_seed(seed)
    model = get_model(BACKBONE, num_classes=classes).to(device)
    groups = [{"params": list(model.parameters()), "lr": 1e-3}]
    scratch.append(fine_tune(model, groups, few[seed], seed))
ax = plots.curve(rates, [mean_interval(sweep[rate]) for rate in rates], label="from the checkpoint")
ax.axhline(np.mean(scratch), color=plots.VERMILION, linestyle="--", label="from scratch")
ax.set(xscale="log", xlabel="learning rate (Adam)", ylim=(0, 1))
ax.set_title("validation accuracy, 10 photos a class")
ax.legend();

# %% [markdown]
# Is the right end of the curve really at the level of the dashed line? One accuracy on this many validation photos is uncertain by a few points, whatever the seed. We ask whether the two means are closer than that.

# %%
from course_utils.stats import wilson

coin = wilson(len(val) // 2, len(val))
noise = (coin.high - coin.low) / 2
means = {rate: float(np.mean(scores)) for rate, scores in sweep.items()}
best_rate = max(means, key=means.get)
needs = {"when": PRETRAINED, "otherwise": "needs a pretrained backbone"}
claim("at 0.01 the checkpoint is worth nothing: within noise of a run from scratch",
      abs(means[1e-2] - np.mean(scratch)) < noise,
      figure=f"{means[1e-2]:.2f} against {np.mean(scratch):.2f}, noise {noise:.2f}", **needs)
claim("the best rate lies inside the range, far above both ends",
      means[best_rate] > max(means[1e-5], means[1e-2]) + noise,
      figure=f"{means[best_rate]:.2f} at {best_rate:g}", **needs)

# %% [markdown]
# One number, and the same recipe goes from useful to useless. At the right end each step is a sizeable part of each weight: a few steps, and what a million photos had taught is gone. In so few steps a network from scratch is still guessing, so that is how low "gone" is.
#
# The left end fails for another reason. The checkpoint is all there, but the *new head* has hardly moved from its random start. The backbone has everything to lose and the head has everything to learn. Should they share a rate?

# %% tags=["quiz"]
from courseware.quiz import quiz

quiz("05-rate")

# %% [markdown]
# ## Two rates
# An optimizer takes a list of **groups**, each with tensors and a rate. By hand: the head's tensors are known by their identity, the rest is the backbone.

# %%
model = fresh(SEED)
head = list(find_head(model).module.parameters())
known = {id(p) for p in head}
by_hand = [
    {"params": head, "lr": 1e-3},
    {"params": [p for p in model.parameters() if id(p) not in known], "lr": 1e-4},
]
[(sum(p.numel() for p in group["params"]), group["lr"]) for group in by_hand]

# %% [markdown]
# `surgery.param_groups` does the same, with one group a stage. Then the rate can also fall from stage to stage on the way to the input (**layer-wise decay**): the early stages see edges and colours, which serve flowers as well as anything else.

# %%
groups = surgery.param_groups(model, head_lr=1e-3, backbone_lr=1e-4)
one_each = sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
claim("the helper gives every tensor one rate, and the head's is the one by hand",
      one_each and [id(p) for p in groups[0]["params"]] == [id(p) for p in head])
decayed = surgery.param_groups(model, head_lr=1e-3, backbone_lr=1e-4, decay=0.8)
print(*(f"{group['name']:12} {group['lr']:.1e}" for group in decayed), sep="\n")

# %% [markdown]
# **Predict:** same photos, same epochs, same seeds. How many points do two rates gain over the best single one?

# %%
two_rates = []
with stopwatch(device) as all_at_once:
    for seed in seeds:
        model = fresh(seed)
        groups = surgery.param_groups(model, head_lr=1e-3, backbone_lr=1e-4)
        two_rates.append(fine_tune(model, groups, few[seed], seed))
pairs = zip(two_rates, sweep[best_rate], strict=False)  # the seeds that both have
gain = mean_interval([two - one for two, one in pairs])
print(f"two rates minus one rate of {best_rate:g}: {gain}, over {gain.n} seeds")

# %% [markdown]
# Each difference is taken within a seed: same photos, same new head, same order of batches. That removes what the runs share and leaves what the rates do. If the interval contains zero, the honest sentence is "at this budget we could not see a difference". And note which rival was chosen: the *best* single rate. Against a badly chosen one, two rates always shine, and so would any recipe.
#
# What two rates do give you is room. The head may be in a hurry without dragging the backbone along.

# %%
claim("two rates beat the smallest and the largest single rate",
      np.mean(two_rates) > max(means[1e-5], means[1e-2]) + noise,
      figure=f"{np.mean(two_rates):.2f} against {means[1e-5]:.2f} and {means[1e-2]:.2f}", **needs)

# %% tags=["quiz"]
quiz("05-groups")

# %% [markdown]
# ## Find a rate before you train
# A sweep asks for a whole run at each rate. The **range test** asks for one batch at each: raise the rate a little after every step, note the loss, and see where it explodes. In the picture the dots are single batches, the line is their running mean. Afterwards `lr_find` puts model and optimizer back.

# %% alt="Dots and a smoothed line: the loss of each step while the learning rate rises; a dashed line marks the best rate of the sweep"
model = fresh(SEED)
untouched = snapshot(model)
optimizer = torch.optim.Adam(model.parameters())
tried, losses = lr_find(model, few[seeds[0]], optimizer, low=1e-6, high=1, steps=32, batch_size=10, seed=SEED)
smooth = pd.Series(losses).ewm(alpha=0.4).mean()
figure, ax = plt.subplots(layout="constrained")
ax.plot(tried, losses, ".", color="0.6")
ax.plot(tried, smooth)
ax.axvline(best_rate, color=plots.VERMILION, linestyle="--", label="best of the sweep")
ax.set(xscale="log", xlabel="learning rate", title="loss while the rate rises")
ax.legend();

# %%
turning = tried[int(smooth.argmin())]
print(f"the loss turns up near {turning:.1e}; a tenth of that is {turning / 10:.1e}")
claim("afterwards the model is as it was, to the last bit", not surgery.changed(model, untouched))

# %% [markdown]
# The usual reading is to take a rate well below the turn, a tenth of it or so. The test is cheap, and it is crude: it sees the *training* loss of a few steps, the head's needs and the backbone's mixed together. It says where the cliff is. Which rate generalises best it cannot say; for that you need validation photos.
#
# ### A schedule, and when to stop
# A **schedule** lowers the rate while training goes on: long steps first, short ones to settle. PyTorch's schedulers multiply each group's own rate, so the ratio of the two stays. And which epoch's weights do you keep? Those that did best on the **validation** photos: that is `fit` as it is by default.

# %% alt="Curves over the epochs: loss and accuracy, on training and on validation photos"
epochs = max(3, EPOCHS + 1)
model = fresh(seeds[0])
optimizer = torch.optim.Adam(surgery.param_groups(model, head_lr=1e-3, backbone_lr=1e-4), fused=True)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
settings = {"optimizer": optimizer, "scheduler": schedule, "batch_size": 10, "seed": SEED}
history = fit(model, few[seeds[0]], val, epochs=epochs, **settings)
plots.history(history);

# %% [markdown]
# **Early stopping** goes one step further and saves the epochs after the best one. The rule has one number, the *patience*: stop after so many epochs without a better one. Here it is, replayed on the run you just made.

# %%
best, waited, done = 0.0, 0, 0
for score in history.val_accuracy:
    done += 1
    waited = 0 if score > best else waited + 1
    best = max(best, score)
    if waited == 2:
        break
print(f"with a patience of 2, the run ends after epoch {done} of {epochs}")
kept = evaluate(model, val).accuracy
claim("the weights that were kept are those of the best epoch", kept == max(history.val_accuracy),
      figure=f"{kept:.3f} in epoch {history.best_epoch + 1}")

# %% [markdown]
# Was the last epoch the best? Then it was the number of epochs that ended this run, and the patience never had a say. The training accuracy has none either way, however high it climbs. And the validation accuracy of the *best* epoch is a little too kind, because we picked it. It is good for choosing, and the test photos are for reporting.

# %% [markdown]
# ## Warm the head up first
# A common warning: a random head sends random gradients into the backbone and spoils it, so train the head alone first. It sounds convincing. Is it so?
#
# First, what it is, with four steps in all.
#
# **Predict:** after the second step everything is thawed. In how many of the network's tensors is there a gradient then, and how many of them does the optimizer move?

# %%
# Lines to step through: warm the head up, then unfreeze
def warm_up(model, images, labels):  # the checkpoint with a new head, and a batch of photos
    surgery.freeze_backbone(model)  # the head alone may learn
    head = find_head(model).module
    rest = [p for p in model.parameters() if not p.requires_grad]  # what has to wait
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)  # one group, the head's
    for step in range(4):  # two steps for the head, two for everything
        if step == 2:  # is the warm-up over?
            model.requires_grad_(True)  # all may learn, and the optimizer does not know it yet
            optimizer.add_param_group({"params": rest, "lr": 1e-4})  # a second group, a rate of its own
        set_train_mode(model)  # what is frozen stands still, BatchNorm too
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()  # the gradients of the step before go
        loss.backward()  # in how many tensors are there gradients now?
        optimizer.step()  # and how many tensors move?

# %% tags=["stepper"] alt="Step through two steps of a head's warm-up and two steps of the whole network: what learns and what changed after every line"
# Step through: warm the head up, then unfreeze
from courseware.stepper import step_through

step_through(warm_up, fresh(SEED), images[::3], labels[::3])  # one photo a class

# %% [markdown]
# Thawing takes two things: the flag, so that a gradient is worked out, and a place in the optimizer, so that it is used. With the flag alone the loop runs, and nothing but the head moves. (Adam's memory begins anew for what joins late; the head keeps its own.)
#
# A fair comparison gives both the same number of epochs. One arm trains everything from the start: those are the runs you have. The other spends half of the epochs on the head alone (on cached features, which is the same to the last bit), and then fine-tunes with what is left.
#
# **Predict:** with the backbone's rate of the last section, how many points does the warm-up gain?

# %%
warmed_up, few_vectors = [], {}
with stopwatch(device) as head_first:
    for seed in seeds:
        model = fresh(seed)
        few_vectors[seed], own = embed(model, few[seed]), cached_head(model)
        optimizer = torch.optim.Adam(own.parameters(), lr=1e-3, fused=True)
        settings = {"optimizer": optimizer, "seed": seed, **plain_run}
        fit(own, few_vectors[seed], epochs=short // 2, **settings)
        groups = surgery.param_groups(model, head_lr=1e-3, backbone_lr=1e-4)
        warmed_up.append(fine_tune(model, groups, few[seed], seed, epochs=short - short // 2))
{"everything": [round(score, 3) for score in two_rates], "head first": [round(score, 3) for score in warmed_up]}

# %%
effect = mean_interval([warm - cold for warm, cold in zip(warmed_up, two_rates, strict=True)])
verdict = "not to be told from none" if effect.low <= 0 <= effect.high else "more than chance"
print(f"the warm-up gains {effect} over {effect.n} seeds: {verdict}")
each = [watch.seconds / len(seeds) for watch in (all_at_once, head_first)]
print(f"seconds a run: {each[0]:.1f} all at once, {each[1]:.1f} with the head first")

# %%
at_stake = means[best_rate] - min(means.values())
claim("whatever the warm-up does, the learning rate does more", abs(effect.mean) < at_stake / 2,
      figure=f"{effect.mean:+.2f} by the warm-up, {at_stake:.2f} between the rates", **needs)

# %% [markdown]
# Read the interval, not the mean. If it contains zero, the runs do not show that a warm-up helps, and they do not show that it does nothing: its width says how large an effect this many seeds could have missed.
#
# Two things can be said without any interval. The epochs were equal, the **time** was not: an epoch of the head on cached features is next to free, so whoever warms up pays for half of the fine-tuning only. And a warmed-up head makes a better starting point in one more respect: it is already a classifier, namely the probe of lesson 4. The long runs below start from there.

# %% tags=["quiz"]
quiz("05-budget")

# %% [markdown]
# ## Gradual unfreezing
# Instead of all or nothing: the head alone in the first epoch, then one more stage each epoch, from the back. `unfreeze_from` sets the flags, and a **new optimizer** is made each time, because the old one has never heard of the tensors that have just thawed.

# %%
thaw = list(surgery.stages(checkpoint))[::-1]
gradual = []
for seed in seeds[:3]:
    model = fresh(seed)
    for epoch in range(short):
        surgery.freeze_backbone(model)
        if epoch > 0:
            surgery.unfreeze_from(model, thaw[min(epoch, len(thaw)) - 1])
        groups = surgery.param_groups(model, head_lr=1e-3, backbone_lr=1e-4)
        settings = {"optimizer": torch.optim.Adam(groups, fused=True), "seed": seed + epoch, **plain_run}
        fit(model, few[seed], epochs=1, **settings)
        if seed == seeds[0]:
            print(f"epoch {epoch}: {surgery.count(model).trainable_values:,} values learn")
    gradual.append(evaluate(model, val).accuracy)

# %%
differences = [slow - cold for slow, cold in zip(gradual, two_rates, strict=False)]
thawed = mean_interval(differences)
print(f"gradual minus all at once: {thawed}, over {thawed.n} seeds, epochs equal")

# %% [markdown]
# Note what this comparison can and cannot say. Gradual unfreezing differs from the other recipe in *two* ways at once: stages thaw one after the other, and most of the backbone never thaws at all in so few epochs. If it does better here, it may simply be because less was moved. Change `EPOCHS` to give it time.

# %% [markdown]
# ## What changed
# Now the longer runs, which the rest of the lesson is about: more photos, three seeds. First a **probe**: the head on cached features, until the validation photos say stop. Then **fine-tuning** from that probe, with two rates and a schedule, best epoch kept. The probe is a part of the second model's history, so the two can be compared weight by weight.

# %%
train = {seed: flowers.train.per_class(PER_CLASS, seed=seed) for seed in seeds[:3]}
val_vectors = embed(checkpoint, val)
probes, probe_runs, seconds = {}, {}, {"probe": [], "fine-tuned": []}
for seed, photos in train.items():
    with stopwatch(device) as watch:
        probes[seed] = fresh(seed)
        own, vectors = cached_head(probes[seed]), embed(probes[seed], photos)
        optimizer = torch.optim.Adam(own.parameters(), lr=1e-3, fused=True)
        settings = {"optimizer": optimizer, "batch_size": 10, "seed": seed}
        probe_runs[seed] = fit(own, vectors, val_vectors, epochs=10 * EPOCHS, **settings)
    seconds["probe"].append(watch.seconds)
print([round(max(run.val_accuracy), 3) for run in probe_runs.values()])

# %%
tuned, runs = {}, {}
for seed, photos in train.items():
    with stopwatch(device) as watch:
        tuned[seed] = copy.deepcopy(probes[seed])
        groups = surgery.param_groups(tuned[seed], head_lr=1e-3, backbone_lr=1e-4)
        optimizer = torch.optim.Adam(groups, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
        settings = {"optimizer": optimizer, "scheduler": schedule, "batch_size": 10, "seed": seed}
        runs[seed] = fit(tuned[seed], photos, val, epochs=EPOCHS, **settings)
        tuned[seed].zero_grad()  # the last batch's gradients, as large as the weights, go
    seconds["fine-tuned"].append(watch.seconds)
print([round(max(run.val_accuracy), 3) for run in runs.values()])

# %% [markdown]
# Compare the two lines of figures before you go on: is the second better than the first, seed by seed? We come back to that with the test photos.
#
# Every stage had the same rate. **Predict:** which stage moved furthest from the checkpoint, measured by the size of its weights?
#
# Two ways to look. *Weight drift*: the length of the change over the length of the weights. And **CKA**: show both networks the same photos and compare what a stage makes of them; 1 means that the photos lie to each other as before.

# %% alt="Two charts over the stages from input to output: how far the weights moved, for three seeds, and how similar the features are to those of the checkpoint (CKA)"
from course_utils.inspection import cka, stage_features, weight_drift

drift = pd.DataFrame([weight_drift(tuned[seed], snapshot(probes[seed])) for seed in tuned])
look = val.per_class(20)
old, new = stage_features(probes[seeds[0]], look), stage_features(tuned[seeds[0]], look)
similar = {stage: cka(old[stage], new[stage]) for stage in old}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.8), layout="constrained")
left.plot(range(len(similar)), drift.T, marker="o", markersize=3)
left.set(title="relative weight drift, three seeds", yscale="log")
right.plot(range(len(similar)), similar.values(), marker="o", markersize=3)
right.set(title="CKA with the checkpoint", ylim=(0, 1.02))
for ax in (left, right):
    ax.set(xlabel="stage, from input to output", xticks=range(0, len(similar), 3))

# %%
third = len(similar) // 3
front, back = (np.mean(list(similar.values())[part]) for part in (slice(third), slice(-third, None)))
claim("the features of the last stages changed more than those of the first", back < front,
      figure=f"CKA {front:.3f} in the first third, {back:.3f} in the last", **needs)
moved = drift.mean()
print(f"drift: first third {moved[:third].mean():.3f}, last third {moved[-third:].mean():.3f}")

# %% [markdown]
# The two pictures answer different questions. Adam moves all weights by similar distances, so a stage with small weights drifts further by that measure, wherever it stands. What the photos become at a stage is the sum of all changes up to there, and it need not fall evenly: a later stage can undo part of what an earlier one did.
#
# Is that much or little? You can put a price on it. **L2-SP** adds the squared distance from the starting point to the loss, where plain weight decay adds the squared distance from zero. It is two lines:

# %%
start, model = dict(probes[seeds[0]].named_parameters()), tuned[seeds[0]]
distance = sum(((p - start[name].detach()) ** 2).sum() for name, p in model.named_parameters())
penalty = 0.01 / 2 * distance  # loss = cross_entropy(…) + penalty
print(f"distance squared {distance.item():.2f}, penalty {penalty.item():.4f}")

# %% [markdown]
# **Random augmentation** (flips, crops, colours) is the other usual option against learning by heart. It makes each photo a new one each time, so nothing can be cached any more. Neither is used here: with two knobs more, you would not know which one did it.

# %% [markdown]
# ## Run the frozen front once
# Often only the last stages are trained. Then the front of the network is frozen, stands still, and gives each photo the same output in every epoch. You know what to do with that from lesson 4: run it **once**. `fit_cached` does, and takes the arguments of `fit`.
#
# **Predict:** the last three stages and the head learn. By what factor does an epoch get shorter, and how different are the weights?

# %% alt="Two bars in seconds: an epoch of the plain loop, and of the one that runs the frozen front once"
from course_utils.prefix import fit_cached

plain = copy.deepcopy(probes[seeds[0]])
surgery.unfreeze_from(plain, list(surgery.stages(plain))[-3])
cached, took = copy.deepcopy(plain), {}
for name, model, loop in [("plain", plain, fit), ("cached", cached, fit_cached)]:
    optimizer = torch.optim.Adam(surgery.param_groups(model, head_lr=1e-3, backbone_lr=1e-4), fused=True)
    record = loop(model, train[seeds[0]], val, epochs=2, optimizer=optimizer, batch_size=10, seed=SEED)
    took[name] = median(record.seconds)
plots.bars(took, unit=" s").set_title("an epoch with validation, three stages and the head");

# %%
claim("both loops end with the same state, to the last bit",
      surgery.changed(cached, snapshot(plain)) == [],
      when=device.type == "cpu", otherwise="kernels of a GPU do not repeat themselves to the last bit")
claim("an epoch from the cache is at least 1.7 times as fast", took["plain"] / took["cached"] >= 1.7,
      figure=f"{took['plain'] / took['cached']:.1f} times", timed=True,
      when=BACKBONE == "mobilenet_v2", otherwise="stated for MobileNetV2")

# %% [markdown]
# The one pass through the front is not in these seconds; it costs about as much as one validation of all photos. Where a cache would not be exact, `fit_cached` says why and runs the plain loop: a trainable or drifting layer in the front, an active dropout there, photos that change from epoch to epoch.

# %% [markdown]
# ### Rate and depth, live
# When the front costs nothing, a run is so short that you can watch it. Here is a small one: eight photos a class, a new head, and **one** rate for everything that learns. The front runs once, for all the depths on offer.

# %%
from course_utils.prefix import cache_prefix

names = list(surgery.stages(checkpoint))
late = names[-min(5, len(names) // 3):]
depths = {"head alone": None, "head + 1 stage": late[-1]}
depths |= {f"head + {n} stages": late[-n] for n in (3, 5) if n <= len(late)}
frozen = fresh(SEED)
surgery.freeze_backbone(frozen)
eight, held_out = flowers.train.per_class(8, seed=SEED), val.per_class(20, seed=SEED)
tail, eight, held_out = cache_prefix(frozen, eight, held_out, stage=late[0], batch_size=10)
print(f"{eight.megabytes + held_out.megabytes:.1f} MB kept, in front of {late[0]}")

# %%
def tail_for(depth):
    """A copy of the tail in which the head and so many stages learn."""
    model = copy.deepcopy(tail)
    surgery.freeze_backbone(model)
    if depths[depth]:
        surgery.unfreeze_from(model, depths[depth])
    set_train_mode(model)
    return model

# %%
def train_steps(model, rate):
    """Eight epochs of the plain loop; gives the loss of each step."""
    torch.manual_seed(SEED)  # every run gets the same batches
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate, fused=True)
    for _ in range(8):
        for x, y in eight.batches(10, shuffle=True):
            loss = nn.functional.cross_entropy(model(x.float()), y)  # from a GPU come halves
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()

# %% [markdown]
# **Predict:** at a rate of 0.1, which depth comes through best? And which depth needs the largest rate to get anywhere at all?

# %%
from math import log

from ipywidgets import SelectionSlider

from courseware.dials import LiveRuns, explore

watched = LiveRuns(steps=8 * (len(eight) // 10), guessing=log(classes))
scale = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1]
rate_dial = SelectionSlider(options=scale, value=1e-3, description="learning rate")
depth_dial = SelectionSlider(options=list(depths), value=list(depths)[-1], description="what learns")

# %% tags=["dial"] alt="Training loss at each step for one learning rate and depth, earlier runs faint behind it, and the validation accuracy of each"
# Dial: learning rate and depth, trained while you watch
def show_training(rate, depth):
    losses, name = [], f"rate {rate:g}, {depth}"
    yield watched.draw(name, losses)  # an answer before the first step
    model = tail_for(depth)
    for loss in train_steps(model, rate):
        losses.append(loss)
        yield watched.draw(name, losses) if len(losses) % 8 == 0 else None
    accuracy = evaluate(model, held_out, batch_size=10).accuracy
    yield watched.finish(name, losses, accuracy)

explore(show_training, alt="Training loss step by step, and validation accuracy",
        rate=rate_dial, depth=depth_dial)

# %% [markdown]
# Go to the left end, at any depth: the curve hardly leaves the dotted line of guessing. The steps are too short for anything, and least of all for a head that begins at random. Go to the right end: the first steps throw the loss far above that line. Behind the head alone nothing is lost, so it comes back. With the most stages the filters are gone as well, and even where the training loss comes down again, the validation photos do not follow.
#
# In between, look for the *smallest* rate at which the curve comes down in these few steps. The head alone needs a larger one than the head with stages behind it: the more that learns, the further the same rate takes the network. So depth and rate are chosen together. (One run each, a hundred validation photos: a few points of accuracy mean nothing here.)

# %%
through = {}
for depth in (list(depths)[0], list(depths)[-1]):
    model = tail_for(depth)
    losses = list(train_steps(model, 0.1))
    through[depth] = evaluate(model, held_out, batch_size=10).accuracy
    print(f"{depth}: loss {losses[0]:.2f} → at worst {max(losses):.0f} → {losses[-1]:.2g}")
shallow, deep = through.values()
claim("at a rate of 0.1 the head alone comes through better than with stages behind it",
      shallow > deep + 0.05, figure=f"validation accuracy {shallow:.2f} against {deep:.2f}", **needs)

# %% [markdown]
# ## Does it beat the probe?
# The recipe is settled: everything was chosen on validation photos. Now the test photos, **once**, for both models of each seed.

# %%
test = flowers.test
test_vectors = embed(checkpoint, test)
right_probe = {seed: evaluate(cached_head(probes[seed]), test_vectors).correct for seed in probes}
right_tuned = {seed: evaluate(tuned[seed], test).correct for seed in tuned}
for seed in tuned:
    a, b = right_tuned[seed], right_probe[seed]
    print(f"seed {seed}: fine-tuned {a.float().mean():.3f}, probe {b.float().mean():.3f}, "
          f"only fine-tuned right {(a & ~b).sum()}, only probe right {(b & ~a).sum()}")

# %% [markdown]
# Two kinds of chance are at work. *Other photos* could have been in the test set: the **paired bootstrap** draws test photos again and again and takes the difference each time. *Other seeds* could have been used for training: that is the interval over seeds.

# %%
from course_utils.stats import paired_bootstrap

over_photos = {seed: paired_bootstrap(right_tuned[seed], right_probe[seed]) for seed in tuned}
gains = [interval.mean for interval in over_photos.values()]
over_seeds = mean_interval(gains)
for seed, interval in over_photos.items():
    print(f"seed {seed}: fine-tuned minus probe {interval:.3f} (other test photos)")
print(f"mean:   {over_seeds:.3f} (other seeds)")

# %%
shares = [wilson(int(right[seeds[0]].sum()), len(test)) for right in (right_tuned, right_probe)]
apart = float(np.hypot(*(share.high - share.low for share in shares)))
together = over_photos[seeds[0]].high - over_photos[seeds[0]].low
claim("pairing makes the interval of the difference narrower", together < apart,
      figure=f"{together:.3f} wide in pairs, {apart:.3f} for two separate accuracies")
if over_seeds.low <= 0 <= over_seeds.high:
    print("Over seeds, zero is inside: no winner here.")
else:
    print("Over seeds, zero is outside:", "fine-tuning" if over_seeds.mean > 0 else "the probe", "wins here.")

# %% [markdown]
# Photos that are easy or hard for both models cancel out in pairs; that is why the pairs say more.
#
# If you expected fine-tuning to win and it did not: you are in good company, and the probe is a strong rival on few photos. One suspect is in plain sight. Fine-tuning ran in training mode, so BatchNorm normalised each small batch by itself and overwrote its statistics from a few hundred photos, while the probe kept those of the checkpoint. [Lesson 6](06_batchnorm_pitfalls.ipynb) puts that suspect on trial.
#
# And whatever the answer, it is one for *this* network, at *this* size, with *this* many photos and epochs. Fine-tuning is not better than a probe as such. With more data it has more to gain, with less it has more to lose: [7 · Strategy comparison](07_strategy_comparison.ipynb) draws the whole map, where the truth is known, and [8 · Which strategy?](08_which_strategy.ipynb) has a grid of real runs.

# %% tags=["quiz"]
quiz("05-paired")

# %% [markdown]
# ## Under shift
# The photos of tomorrow are not those of today. Take validation photos, remove the colour, lower the contrast and blur them: same flowers, other camera. (Half of the validation photos will do, the `look` from above. The test was opened once.)

# %% tags=["shows-photos"] alt="six validation photos, and below each of them the same without colour, paler and blurred"
grey = pixels.rgb_to_grayscale(look.images, num_output_channels=3)
pale = pixels.adjust_contrast(grey, 0.7)
blurred = torch.cat([pixels.gaussian_blur(part, [3, 3]) for part in pale.split(20)])  # spares memory
shifted = ImageSet(blurred, look.labels, look.classes)
some = torch.arange(0, len(look), len(look) // 6)[:6]
plots.image_grid(torch.cat([look.images[some], shifted.images[some]]));

# %% [markdown]
# Probe and fine-tuned network have the same shape and a common start, so you can walk from one to the other: take a share α of the way **in every weight**. At 0 it is the probe, at 1 the fine-tuned network (Wortsman et al. 2022).
#
# **Predict:** the mean of two networks' weights, is that a network that works? And where on the line is the best one for the shifted photos?

# %%
alphas = [0, 0.25, 0.5, 0.75, 1]
sets, hits = {"as trained": look, "shifted": shifted}, {}
for seed, alpha in [(seed, alpha) for seed in tuned for alpha in alphas]:
    a, b = probes[seed].state_dict(), tuned[seed].state_dict()
    mixed = copy.deepcopy(tuned[seed])
    counts = {name for name in b if not b[name].is_floating_point()}  # batches seen
    mixed.load_state_dict({k: b[k] if k in counts else torch.lerp(a[k], b[k], alpha) for k in b})
    for name, photos in sets.items():
        hits[name, alpha, seed] = evaluate(mixed, photos).correct.float()
scores = {key: correct.mean().item() for key, correct in hits.items()}
line = {name: [mean_interval([scores[name, alpha, seed] for seed in tuned]) for alpha in alphas]
        for name in sets}

# %% alt="Accuracy of the mixed networks on photos as trained and on shifted ones, from the probe to the fine-tuned network"
ax = plots.curve(alphas, line["as trained"], label="photos as trained")
plots.curve(alphas, line["shifted"], label="shifted", ax=ax)
ax.set(xlabel="share of the way from probe (0) to fine-tuned (1)", ylim=(0, 1))
ax.set_title("accuracy, mean of three seeds")
ax.legend();

# %% [markdown]
# **Predict:** does every class take the same way? Walk along the line, and watch the flowers one by one.

# %% tags=["dial"] alt="Bars: the accuracy of each flower at a place on the line between probe and fine-tuned network, on photos as trained and on shifted ones"
# Dial: from the probe to the fine-tuned network
def show_mix(alpha):
    ax = plots.panels(left=1)[0]
    for offset, (name, photos) in zip((-0.18, 0.18), sets.items(), strict=True):
        means = sum(hits[name, alpha, seed] for seed in tuned) / len(tuned)
        by_class = [means[photos.labels == c].mean().item() for c in range(classes)]
        mean = line[name][alphas.index(alpha)].mean
        ax.barh([place + offset for place in range(classes)], by_class, height=0.36, label=f"{name}: {mean:.2f}")
    ax.set(xlim=(0, 1.4), xticks=alphas, ylim=(classes - 0.5, -0.5), title=f"accuracy, {alpha:.0%} of the way")
    ax.set_yticks(range(classes), photos.classes)
    ax.legend(loc="center right")
    return ax.figure

explore(show_mix, alt="Accuracy of each flower, and of all", alpha=SelectionSlider(options=alphas, value=0.5))

# %% [markdown]
# Look for a flower that goes against the others: the mean over all flowers hides it. But each bar stands on twenty photos, so a step of one or two photos is no finding.

# %%
clean, other = ([interval.mean for interval in line[name]] for name in ("as trained", "shifted"))
claim("both ends lose under shift", other[0] < clean[0] and other[-1] < clean[-1],
      figure=f"probe {clean[0]:.2f} → {other[0]:.2f}, fine-tuned {clean[-1]:.2f} → {other[-1]:.2f}", **needs)
claim("there is no hole between the two", min(clean) > min(clean[0], clean[-1]) - noise,
      figure=f"lowest point of the line {min(clean):.2f}, ends {clean[0]:.2f} and {clean[-1]:.2f}", **needs)
best_mix = alphas[int(np.argmax(clean))]
print(f"chosen on the photos as trained: {best_mix}; there, shifted: {other[alphas.index(best_mix)]:.2f}")

# %% [markdown]
# In general the mean of two networks is worthless. Here it works because both come from the same checkpoint and fine-tuning went only a little way. α costs no training, only evaluations, and you choose it, as always, on validation photos. Whether the middle beats both ends differs from shift to shift: look at your curve and at the width of its bands before you say so.

# %% [markdown]
# ## Side by side
# Probe against fine-tuning, and every figure from the runs above. What is missing is the probe with ten photos a class, and how picky it is about its rate; on cached features that is a matter of seconds.

# %%
probe_sweep = {rate: [] for rate in rates}
for rate, scores in probe_sweep.items():
    for seed in seeds[:3]:
        own = cached_head(fresh(seed))
        optimizer = torch.optim.Adam(own.parameters(), lr=rate, fused=True)
        settings = {"optimizer": optimizer, "seed": seed, **plain_run}
        fit(own, few_vectors[seed], epochs=15 * short, **settings)
        scores.append(evaluate(own, val_vectors).accuracy)
{rate: round(float(np.mean(scores)), 3) for rate, scores in probe_sweep.items()}

# %%
from course_utils.measure import saved_activation_bytes

batch = train[seeds[0]].batch(slice(10), device=device)
megabytes = []
for model in (copy.deepcopy(probes[seeds[0]]), copy.deepcopy(tuned[seeds[0]])):
    if not megabytes:
        surgery.freeze_backbone(model)
    set_train_mode(model)
    megabytes.append(saved_activation_bytes(model, *batch) / 1e6)
probe_means = [float(np.mean(scores)) for scores in probe_sweep.values()]
usable = [sum(score > max(group) - noise for score in group) for group in (probe_means, means.values())]
megabytes

# %%
histories = [list(found.values()) for found in (probe_runs, runs)]
gaps = [np.mean([h.train_accuracy[h.best_epoch] - max(h.val_accuracy) for h in group]) for group in histories]
scores = [np.mean([right.float().mean() for right in group.values()]) for group in (right_probe, right_tuned)]
own = find_head(probes[seeds[0]]).module
pd.DataFrame({
    "trainable values": [f"{surgery.count(part).values:,}" for part in (own, tuned[seeds[0]])],
    "seconds a run": [f"{np.mean(times):.1f}" for times in seconds.values()],
    "kept for the backward pass, MB": [f"{size:.1f}" for size in megabytes],
    "validation, 10 a class": [f"{max(probe_means):.2f}", f"{means[best_rate]:.2f}"],
    f"test, {PER_CLASS} a class": [f"{score:.2f}" for score in scores],
    "train minus validation": [f"{gap:.2f}" for gap in gaps],
    f"usable rates of {len(rates)}": [str(count) for count in usable],
}, index=["probe", "fine-tuned"]).T

# %% [markdown]
# The row with ten photos a class shows each at the best of its four rates, and "usable" is a rate whose mean lies within noise of that best one. A probe cannot damage anything: it has a head to lose and nothing else. Fine-tuning has more to win and more to lose. (Both times hold everything a run needs but the decoding; the probe's one pass over the validation photos was shared by its three runs and is left out.) Both know the training photos better than the others, the frozen one too.
#
# A good habit follows. Fit the probe first, always: it costs seconds, and it is the score that fine-tuning has to beat, on the same photos, by more than its interval.

# %% [markdown]
# ## Your turn
# Two functions, and both must work on any classifier, whatever its parts are called.
#
# First `param_groups(model, backbone_lr, head_lr)`: two groups for an optimizer, the backbone's first. Tensors that are frozen belong to neither.

# %% tags=["exercise"]
def param_groups(model, backbone_lr, head_lr):
    """[{"params": [tensors], "lr": rate}, …] for backbone and head; frozen tensors are in neither."""
    # solution
    head = {id(p) for p in find_head(model).module.parameters()}
    learning = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if id(p) not in head], "lr": backbone_lr},
        {"params": [p for p in learning if id(p) in head], "lr": head_lr},
    ]
    # end solution

# %% tags=["self-check"]
from courseware.exercises import check

check("param_groups", param_groups)  # hint(…) helps; after a try, solution(…) shows one

# %% [markdown]
# Then `gradual_unfreeze(model, stage_names, epoch)`, to be called at the start of every epoch. `stage_names` run from front to back. At epoch 0 the head alone learns, at epoch 1 the last of the named stages too, and so on; what is frozen stands still, BatchNorm included.

# %% tags=["exercise"]
def gradual_unfreeze(model, stage_names, epoch):
    """Only the head and the last `epoch` of the named stages learn; the frozen rest is in eval mode."""
    # solution
    model.requires_grad_(False)
    find_head(model).module.requires_grad_(True)
    for name in stage_names[max(len(stage_names) - epoch, 0) :]:
        model.get_submodule(name).requires_grad_(True)
    set_train_mode(model)
    # end solution

# %% tags=["self-check"]
check("gradual_unfreeze", gradual_unfreeze)

# %% [markdown]
# ## What you saw
# - Adam's first step moves each weight by the learning rate, whatever its gradient. So the rate decides how much of a checkpoint survives.
# - Too high, and the pretrained network is worth no more than a random one. Too low, and the new head learns nothing.
# - Groups give head and backbone rates of their own. Compare them with the *best* single rate, not with a bad one.
# - The range test shows where the cliff is. The validation photos show which rate is good.
# - Warm-up and gradual unfreezing are claims like any other: equal epochs, several seeds, an interval of paired differences.
# - What the late stages make of a photo changed more than what the early ones do.
# - A frozen front runs once. The weights that come out are the same to the last bit.
# - Against the probe: the same test photos, paired, once.
# - Between two networks with a common start lies a line of networks that work.

# %% [markdown]
# ## Test yourself
# The lesson's quiz. A wrong answer is told why it is wrong, and costs nothing.

# %% tags=["quiz"]
quiz("05_fine_tuning")

# %% [markdown]
# ## References
# - Kingma & Ba 2015, *Adam: A Method for Stochastic Optimization*, <https://arxiv.org/abs/1412.6980>
# - Howard & Ruder 2018, *Universal Language Model Fine-tuning for Text Classification*, <https://arxiv.org/abs/1801.06146>: rates that differ by layer, gradual unfreezing
# - Smith 2017, *Cyclical Learning Rates for Training Neural Networks*, <https://arxiv.org/abs/1506.01186>: the range test
# - Kumar et al. 2022, *Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution*, <https://arxiv.org/abs/2202.10054>: the probe first, then fine-tuning
# - Kornblith et al. 2019, *Similarity of Neural Network Representations Revisited*, <https://arxiv.org/abs/1905.00414>: CKA
# - Li, Grandvalet & Davoine 2018, *Explicit Inductive Bias for Transfer Learning with Convolutional Networks*, <https://arxiv.org/abs/1802.01483>: L2-SP
# - Wortsman et al. 2022, *Robust fine-tuning of zero-shot models*, <https://arxiv.org/abs/2109.01903>: the line between two networks
#
# **Next:** [6 · BatchNorm pitfalls](06_batchnorm_pitfalls.ipynb) looks at the numbers that move without any gradient.
