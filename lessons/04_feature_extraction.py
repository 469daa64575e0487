# %% [markdown]
# # 4 · Feature extraction
# **The backbone is frozen, so why run it again and again?** In this lesson you write the loop that most tutorials print, find three things wrong with it, and replace it by one that ends with the same weights for a fraction of the work.
#
# <!-- badges -->
#
# *You will be able to* cache what a frozen backbone says and train on that · fit a linear probe and a nearest-neighbour probe · draw a data-size curve with intervals · choose on validation photos and touch the test photos once · read a confusion matrix and a calibration curve.
#
# *Time* 25 min · *Before this* [2 · Freezing](02_freezing.ipynb), [3 · Head swap](03_head_swap.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 100  # training photos a class
SIZE = 128       # pixels a side
EPOCHS = 5
SEEDS = 5        # random choices of training photos behind each point of a curve

# %% tags=["setup"]
import copy
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch
from ipywidgets import Dropdown, IntSlider
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import get_model

# %% tags=["setup"]
from course_utils import plots
from course_utils.datasets import load_flowers, write_image_folder
from course_utils.datasets.pictures import RESIZE_RATIO
from course_utils.device import pick_device, seed_everything
from course_utils.measure import stopwatch
from course_utils.surgery import changed, find_head, freeze_backbone, replace_head, snapshot
from course_utils.weights import available_weights, course_weights
from courseware.claims import claim
from courseware.dials import explore

plots.use_style()
seed_everything(0)
device = pick_device()  # models go there, and data follows them

# %% [markdown]
# ## Five flowers, three splits
# We learn from the **training** photos, choose between models on the **validation** photos, and open the **test** photos once, at the end. A number you used for choosing is no longer a fair estimate of anything.

# %%
WEIGHTS = available_weights(BACKBONE)
PRETRAINED = WEIGHTS is not None

flowers = load_flowers(SIZE)
train, val, test = flowers.train.per_class(PER_CLASS), flowers.val, flowers.test
ON_PHOTOS = PRETRAINED and flowers.source == "photos"
print({"train": len(train), "val": len(val), "test": len(test)})

# %% [markdown]
# One starting point serves every experiment below: a pretrained backbone, frozen, with a fresh head for five classes. Whoever wants to compare two loops must start both from the same head.
#
# Some networks put a dropout in front of the head. We switch it off here: it would not change which loop wins, but drawing its random numbers would take longer than everything else in the fast loop.

# %%
start = get_model(BACKBONE, weights=WEIGHTS).to(device)
replace_head(start, len(flowers.classes))
freeze_backbone(start)
for layer in start.modules():
    if isinstance(layer, nn.Dropout):
        layer.p = 0.0
print(find_head(start).module)

# %% [markdown]
# ## The loop every tutorial prints
# A folder with one subfolder a class is what `ImageFolder` reads. It decodes a JPEG each time a photo is asked for; the transform then resizes, crops and normalises it.

# %%
folder = Path(tempfile.mkdtemp())
write_image_folder({"train": train, "val": val}, folder)
transform = course_weights(BACKBONE).transforms(
    crop_size=SIZE, resize_size=round(SIZE * RESIZE_RATIO)
)
train_folder = ImageFolder(folder / "train", transform)
val_folder = ImageFolder(folder / "val", transform)
train_folder.classes

# %% [markdown]
# Here it is, written by hand: train, validate, repeat. Read it line by line; nothing in it looks wrong.
#
# **Predict:** the backbone is frozen. How much of an epoch's time goes into the part that learns, and how much into the part that cannot?

# %%
model = copy.deepcopy(start)
optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=1e-3)
with stopwatch(device) as tutorial_loop:
    for _ in range(EPOCHS):
        model.train()
        for images, labels in DataLoader(train_folder, batch_size=32, shuffle=True):
            loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            batches = DataLoader(val_folder, batch_size=32)
            right = sum((model(x.to(device)).argmax(1).cpu() == y).sum().item() for x, y in batches)
print(f"{tutorial_loop.seconds:.1f} s, validation accuracy {right / len(val_folder):.3f}")

# %% [markdown]
# It works. Three things are wrong with it all the same.

# %% [markdown]
# ## Wrong, one: the frozen backbone moved
# **Predict:** every backbone parameter has `requires_grad=False` and the optimizer never saw one of them. Which entries of the backbone's state differ from the checkpoint now?

# %%
head = find_head(model).name
moved = [name for name in changed(model, snapshot(start)) if not name.startswith(head)]
print(f"{len(moved)} backbone entries moved: {sorted({n.rsplit('.', 1)[-1] for n in moved})}")

# %%
claim(
    "only BatchNorm buffers of the backbone moved, and they did move",
    len(moved) > 0 and all("running" in name or "num_batches" in name for name in moved),
    figure=f"{len(moved)} entries, {len(moved) // 3} layers",
    when=any("running" in name for name, _ in start.named_buffers()),
    otherwise=f"{BACKBONE} has no BatchNorm, so nothing in it moves",
)

# %% [markdown]
# Nothing that learns by gradient moved. The running means and variances did: `model.train()` makes every BatchNorm layer normalise by the batch and overwrite its statistics, whether its parameters are frozen or not. The backbone you trained the head on is not the backbone you loaded. [Lesson 6](06_batchnorm_pitfalls.ipynb) measures what that costs; here we only stop it.

# %% [markdown]
# **Predict:** in which line of the loop do the statistics move: `train()`, the forward pass, `backward()` or `step()`?

# %%
# Lines to step through: one training step
def one_step(model, head, images, labels):  # a frozen backbone with its head, and ten photos
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)  # it knows the head and nothing else
    model.train()  # a switch in every module; no number moves
    scores = model(images)  # forward. See which tensors change, with no gradient in sight
    loss = nn.functional.cross_entropy(scores, labels)  # one number, and the way back from it
    optimizer.zero_grad()  # before the first backward pass there is nothing to clear
    loss.backward()  # gradients, for the head's two tensors alone
    optimizer.step()  # the head moves; Adam keeps two running means for each value
    model.eval()  # the switch again
    with torch.no_grad():
        scores = model(images)  # forward in eval mode: nothing moves, nothing is noted

# %% tags=["stepper"] alt="Step through one training step of a frozen network with a head: what changed after every line"
# Step through: one training step
from courseware.stepper import step_through

model = copy.deepcopy(start)
step_through(one_step, model, find_head(model).module, *train.per_class(2).batch(slice(None), device=device))

# %% [markdown]
# In the forward pass, before any loss or gradient exists. That is why neither `requires_grad=False` nor a smaller optimizer prevents it; only the mode does. The same line in eval mode moves nothing.

# %% tags=["quiz"]
from courseware.quiz import quiz

quiz("04-drift")

# %% [markdown]
# ## The same loop, standing still
# `fit` is that loop with four repairs. The photos were decoded **once**, into one `uint8` tensor; memory is laid out channels-last, which the CPU's convolutions prefer; frozen modules stay in `eval()`; and the head that is kept is that of the best validation epoch. Its source is short: open it with `fit??`. (`fused=True` asks for Adam in one kernel: the same formula with less overhead a step.)

# %% alt="Curves over the epochs: loss and accuracy of the frozen network with a new head, on training and on validation photos"
from course_utils.training import fit

frozen = copy.deepcopy(start)
optimizer = torch.optim.Adam(find_head(frozen).module.parameters(), lr=1e-3, fused=True)
with stopwatch(device) as frozen_loop:
    history = fit(frozen, train, val, epochs=EPOCHS, optimizer=optimizer, seed=0)

print(f"{frozen_loop.seconds:.1f} s, validation accuracy {max(history.val_accuracy):.3f}")
plots.history(history);

# %%
still = [name for name in changed(frozen, snapshot(start)) if not name.startswith(head)]
claim("with frozen modules in eval, no backbone entry moved", not still, figure=f"{len(still)} moved")

# %% [markdown]
# Do not read much into one accuracy against another: these are single runs on a few hundred validation photos. What *is* certain is that this backbone stood still.

# %% [markdown]
# ## Wrong, two: the same forward pass, again and again
# A backbone that stands still has a pleasant property. Shown the same photo, it gives the same vector, today and in every later epoch. So ask it **once**, keep the answers, and train the head on those.
#
# By hand: put nothing (`nn.Identity`) where the head was, and collect what comes out. A hundred photos will do to see it.

# %%
backbone = copy.deepcopy(start).eval()
place = find_head(backbone)
setattr(place.parent, place.attribute, nn.Identity())

with torch.no_grad():
    by_hand = torch.cat([backbone(images) for images, _ in train[:100].batches(32, device=device)]).cpu()
by_hand.shape

# %% [markdown]
# One row a photo, one column a feature. `embed` does the same on any torchvision classifier, without taking the head off.

# %%
from course_utils.features import cached_head, embed

cached = copy.deepcopy(start)
with stopwatch(device) as one_pass:
    train_features, val_features = embed(cached, train), embed(cached, val)

on_cpu = {"when": device.type == "cpu", "otherwise": "a GPU computes in half precision"}
claim(
    "embed gives what the headless backbone gave",
    torch.allclose(train_features.features[: len(by_hand)], by_hand, atol=1e-5),
    figure=f"{one_pass.seconds:.1f} s for all of train and val",
    **on_cpu,
)

# %% [markdown]
# Now train the head alone. `cached_head(model)` is the piece of the model behind the features: the very same modules, not copies, so whatever it learns the model has learned.
#
# **Predict:** same start, same seed, same batches in the same order. After five epochs, how far apart are the head weights of the two loops?

# %%
optimizer = torch.optim.Adam(cached_head(cached).parameters(), lr=1e-3, fused=True)
with stopwatch(device) as cached_loop:
    cached_history = fit(
        cached_head(cached), train_features, val_features, epochs=EPOCHS, optimizer=optimizer, seed=0
    )
print(f"{cached_loop.seconds:.3f} s, validation accuracy {max(cached_history.val_accuracy):.3f}")

# %%
difference = (find_head(cached).module.weight - find_head(frozen).module.weight).abs().max().item()
claim(
    "the cached loop and the frozen loop end with the same head weights",
    difference < 1e-6,
    figure=f"largest difference {difference}",
    **on_cpu,
)

# %% [markdown]
# Not similar: **the same**. Caching is no approximation. It is the same computation with the repetitions left out. If the difference above is not exactly 0, your processor added the same numbers in another order, because the batches were of another size, and rounded the last bit differently: on one thread that happened here, on two it did not.

# %% tags=["quiz"]
quiz("04-caching")

# %% [markdown]
# ### What it saves
# Fairness first: the frozen loop started from decoded photos, so there we compare from decoded photos. The tutorial's loop decodes as it goes, so there the cached loop pays for its decoding too.

# %% alt="Bars in seconds: the tutorial's loop, the frozen one, the cached one with decoding and its one pass, and the part of it that trains the head"
from course_utils.datasets.pictures import decode

files = [path for path, _ in train_folder.samples + val_folder.samples]
with stopwatch(device) as decoding:
    decode(files, SIZE)
with_pass = one_pass.seconds + cached_loop.seconds
plots.bars(
    {
        "the tutorial's loop": tutorial_loop.seconds,
        "frozen, photos in memory": frozen_loop.seconds,
        "cached, decoding and pass included": decoding.seconds + with_pass,
        "of which the head's training": cached_loop.seconds,
    },
    unit=" s",
).set_title(f"{EPOCHS} epochs with validation");

# %%
from_memory = frozen_loop.seconds / with_pass
from_files = tutorial_loop.seconds / (decoding.seconds + with_pass)
an_epoch = median(history.seconds) / median(cached_history.seconds)
full_size = ON_PHOTOS and BACKBONE == "mobilenet_v2" and PER_CLASS == 100 and EPOCHS == 5
not_here = "stated for MobileNetV2, 100 photos a class, 5 epochs"
where = {"when": full_size, "otherwise": not_here, "timed": True}
claim("from photos in memory: at least 4 times sooner", from_memory >= 4,
      figure=f"{from_memory:.1f} times", **where)
claim("against the tutorial's loop, decoding included: at least 6 times sooner", from_files >= 6,
      figure=f"{from_files:.1f} times", **where)
claim("one more epoch: at least 100 times cheaper", an_epoch >= 100,
      figure=f"{an_epoch:.0f} times", **where)

# %% [markdown]
# The first epoch still needs the one pass over the photos: no trick removes that. Every epoch after it is nearly free, and so is every other thing you may want to try on these vectors: another learning rate, another classifier, fifty random subsets. The rest of this lesson runs on them.
#
# The price: the features are fixed. Random augmentation makes a new photo each time, so there is nothing to cache; and once the backbone itself learns, its old answers are stale.

# %% [markdown]
# ## Your turn
# Write `extract_features(model, images)`: the vectors that enter the head, for a batch of normalised images `[N, 3, H, W]`. It must give the same answer twice, leave no gradient behind, and leave the model's head in place.

# %% tags=["exercise"]
def extract_features(model, images):
    """float32 [N, D]: what enters the head, with the model in eval mode and without gradients."""
    # solution
    seen = []
    hook = find_head(model).module.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    return seen[0]
    # end solution

# %% tags=["self-check"]
from courseware.exercises import check

check("extract_features", extract_features)  # hint(…) helps; after a try, solution(…) shows one

# %% [markdown]
# ## Three probes
# A classifier on frozen features is called a **probe**. You have met one: a linear layer trained by Adam. Two more come from scikit-learn.
#
# *Logistic regression* is the same linear model, with a penalty on large weights, solved to convergence instead of stopped after five epochs. *k nearest neighbours* has no training at all: it looks up the most similar training photos and lets them vote.
#
# Each has one knob, and we turn it on the validation photos. `C` works upside down: the larger it is, the weaker the penalty.

# %%
from course_utils.features import knn_probe, linear_probe

X, y = val_features.features, val_features.labels
linear = {C: linear_probe(train_features, C=C).score(X, y) for C in [1e-3, 1e-2, 1e-1, 1]}
knn = {k: knn_probe(train_features, k=k).score(X, y) for k in [1, 3, 5, 11]}
print("logistic regression, by C:", {C: round(score, 3) for C, score in linear.items()})
print("nearest neighbours, by k: ", {k: round(score, 3) for k, score in knn.items()})

# %% alt="Bars with intervals: validation accuracy of a linear layer, of logistic regression and of nearest neighbours"
from course_utils.stats import wilson

best_C, best_k = max(linear, key=linear.get), max(knn, key=knn.get)
scores = {
    f"linear layer, Adam, {EPOCHS} epochs": max(cached_history.val_accuracy),
    f"logistic regression, C={best_C:g}": linear[best_C],
    f"{best_k} nearest neighbours": knn[best_k],
}
spans = {name: wilson(round(score * len(val)), len(val)) for name, score in scores.items()}
ax = plots.bars(scores, errors={name: (i.low, i.high) for name, i in spans.items()})
ax.set(xlim=(0, 1.1), title="validation accuracy, with its 95 % interval");

# %% [markdown]
# The whiskers say how far such a score may lie from the truth with this many validation photos. Where they overlap this much, the honest sentence is "we cannot tell them apart", not "logistic regression wins". We go on with logistic regression because it is quick, has one knob and gives probabilities.

# %% tags=["quiz"]
quiz("04-probes")

# %% [markdown]
# ## How many photos do you need?
# **Predict:** with five photos a class instead of all of them, how far does the accuracy fall? And the accuracy on the *training* photos?
#
# Each point below is the mean over several random choices of training photos, the band its 95 % interval. At the right end there is only one choice, all of them; the band closes there because nothing is left to draw, not because we are certain.

# %%
from course_utils.stats import mean_interval

sizes = [n for n in [5, 10, 20, 50, 100] if n <= PER_CLASS]
train_curve, val_curve = [], []
for n in sizes:
    subsets = [train_features.per_class(n, seed=seed) for seed in range(SEEDS)]
    probes = [linear_probe(subset, C=best_C) for subset in subsets]
    pairs = zip(probes, subsets, strict=True)
    train_curve.append(mean_interval([p.score(s.features, s.labels) for p, s in pairs]))
    val_curve.append(mean_interval([p.score(X, y) for p in probes]))

# %% alt="Two curves with intervals over the training photos a class: accuracy on the training photos, and on the validation photos"
ax = plots.curve(sizes, train_curve, label="on the training photos")
plots.curve(sizes, val_curve, label="on the validation photos", ax=ax)
ax.set(xscale="log", xticks=sizes, xticklabels=sizes, xlabel="training photos a class")
ax.set(ylim=(0.4, 1.03), title="accuracy")
ax.legend(loc="lower right");

# %%
gap = train_curve[0].mean - val_curve[0].mean
claim("more photos a class, better validation accuracy", val_curve[-1].mean > val_curve[0].mean,
      figure=f"{val_curve[0]} with {sizes[0]}, {val_curve[-1]} with {sizes[-1]}",
      when=PRETRAINED and len(sizes) > 1, otherwise="needs a pretrained backbone and more photos")
claim("training accuracy is highest where validation accuracy is lowest",
      train_curve[0].mean > 0.99 and gap > 0.1 and train_curve[0].mean >= train_curve[-1].mean,
      figure=f"{sizes[0]} a class: train {train_curve[0].mean:.2f}, val {val_curve[0].mean:.2f}",
      when=PRETRAINED, otherwise="needs a pretrained backbone")

# %% [markdown]
# Now draw photos yourself. Each setting fits a probe on the cached features of one random choice of training photos, at once: this is what caching buys. The validation photos score it; the test photos stay closed.
#
# **Predict:** ten photos a class, one seed after another. How many points apart are the best and the worst draw? And with fifty?

# %%
photos_dial = IntSlider(min(10, PER_CLASS), min(5, PER_CLASS), PER_CLASS, description="photos")
kind_dial = Dropdown(options=["logistic", f"{best_k} neighbours"], description="probe")

# %% tags=["dial"] alt="The two curves of accuracy over photos a class, training and validation, with a cross on each for the probe that was fitted just now"
# Dial: photos a class, and which ones
def show_probe(photos, seed, kind):
    few = train_features.per_class(photos, seed=seed)
    probe = linear_probe(few, C=best_C) if kind == "logistic" else knn_probe(few, k=best_k)
    seen, unseen = probe.score(few.features, few.labels), probe.score(X, y)
    ax = plots.curve(sizes, train_curve, label="logistic regression, training photos", ax=plots.panels()[0])
    plots.curve(sizes, val_curve, label="logistic regression, validation photos", ax=ax)
    ax.plot([photos] * 2, [seen, unseen], "kX", markersize=9, label="this probe")
    ax.set(xscale="log", xticks=sizes, xticklabels=sizes, ylim=(0, 1.05), xlabel="photos a class")
    ax.minorticks_off()
    ax.legend(title=f"{kind}: train {seen:.3f}, validation {unseen:.3f}", loc="lower right")
    return ax.figure

explore(show_probe, alt="Accuracy of this probe", photos=photos_dial, seed=IntSlider(0, 0, 20), kind=kind_dial)

# %% [markdown]
# Leave *photos* at the left end and turn *seed*: the lower cross jumps by points although nothing changed but luck. Then move *photos* to the right and turn *seed* again: the jumps shrink. Whoever reports one draw with ten photos a class reports the luck as well. The nearest neighbours show that a high training score is no law: with more than one neighbour to ask, they do not get all their own photos right.

# %% [markdown]
# ## Wrong, three: training accuracy as the result
# Look at the upper curve again. It is at its best where the model is at its worst, and comes down as the model improves. A head of a few thousand numbers learns five photos a class by heart; with more of them it has to find what they share. **"No risk of overfitting, the backbone is frozen" is not true**, and a training accuracy is no result.
#
# Nor is "a couple of epochs will do". On cached features an epoch costs nothing, so watch a few dozen of them on the smallest set.

# %% alt="Curves over sixty epochs from few photos: loss and accuracy, on training and on validation photos"
few = train_features.per_class(sizes[0], seed=0)
torch.manual_seed(0)
small_head = nn.Linear(few.features.shape[1], len(flowers.classes))
optimizer = torch.optim.Adam(small_head.parameters(), lr=1e-3)
long_run = fit(small_head, few, val_features, epochs=60, optimizer=optimizer, restore_best=False)
plots.history(long_run);

# %%
claim("two epochs are not enough here", long_run.val_accuracy[-1] > long_run.val_accuracy[1] + 0.1,
      figure=f"{long_run.val_accuracy[1]:.2f} after 2 epochs, {long_run.val_accuracy[-1]:.2f} after 60",
      when=PRETRAINED, otherwise="needs a pretrained backbone")

# %% [markdown]
# With so few photos an epoch is a single step, and two steps of size 0.001 take no head anywhere. Count steps, not epochs.

# %% tags=["quiz"]
quiz("04-overfitting")

# %% [markdown]
# ## The test, once
# The choices are made: this backbone, all training photos, logistic regression with the `C` that the validation photos preferred. Now, and only now, the test photos.

# %%
test_features = embed(start, test)
probe = linear_probe(train_features, C=best_C)
probabilities = torch.from_numpy(probe.predict_proba(test_features.features))
predicted = probabilities.argmax(dim=1)
correct = predicted == test.labels
result = wilson(int(correct.sum()), len(test))
print(f"test accuracy {result}")

# %%
claim("the probe reaches a test accuracy of at least 0.84", result.mean >= 0.84, figure=result,
      when=ON_PHOTOS and BACKBONE == "mobilenet_v2" and PER_CLASS == 100 and SIZE == 128,
      otherwise="stated for MobileNetV2 on 100 photos a class at 128 px")

# %% [markdown]
# Where does it go wrong? A **confusion matrix** counts each pair of truth (row) and prediction (column).

# %% alt="A table in colours: how many test photos of each flower were taken for which"
from sklearn.metrics import confusion_matrix

matrix = confusion_matrix(test.labels, predicted)
plots.confusion(matrix, flowers.classes)
mistakes = matrix.copy()
np.fill_diagonal(mistakes, 0)
row, column = divmod(int(mistakes.argmax()), len(matrix))
print(f"most often: {flowers.classes[row]} taken for {flowers.classes[column]}, "
      f"{mistakes[row, column]} of {matrix[row].sum()}")

# %% [markdown]
# Now the photos on which the probe was *sure and wrong*. They teach more than the right ones: look for crowds of flowers, odd angles, two kinds in one picture, and labels you would argue with.

# %% tags=["shows-photos"] alt="12 test photos the probe was most sure about and got wrong, with prediction and truth"
confidence = probabilities.max(dim=1).values
worst = (confidence * ~correct).argsort(descending=True)[:12]
titles = [f"{flowers.classes[predicted[i]]} {confidence[i]:.0%}\n({flowers.classes[test.labels[i]]})"
          for i in worst]
plots.image_grid(test.images[worst], titles);

# %% [markdown]
# ### Can you trust its confidence?
# A classifier that says "90 %" should be right nine times in ten. Sort the test photos by confidence, cut them into equal groups, and compare what it said with how often it was right. On the diagonal, confidence means what it says; below it, the classifier boasts; above it, it is too modest.

# %% alt="A reliability diagram: accuracy against confidence, bin by bin, beside the diagonal on which both are equal"
from sklearn.calibration import CalibrationDisplay

diagram = CalibrationDisplay.from_predictions(correct.numpy(), confidence.numpy(), n_bins=5,
                                              strategy="quantile", name="the probe")
diagram.ax_.set(xlabel="confidence", ylabel="accuracy")
gap = (confidence.mean() - correct.double().mean()).item()
print(f"mean confidence {confidence.mean():.3f}, accuracy {correct.double().mean():.3f}: "
      f"{'boastful' if gap > 0 else 'modest'} by {100 * abs(gap):.1f} points")

# %% [markdown]
# The penalty on large weights decides. A strong one keeps the logits small and the classifier modest, however often it is right. Make the penalty a thousand times weaker: the training photos are then separated with room to spare, and the weights grow to say so.

# %%
loud = linear_probe(train_features, C=1000 * best_C)
loud_confidence = torch.from_numpy(loud.predict_proba(X)).max(dim=1).values.mean().item()
calm_confidence = torch.from_numpy(probe.predict_proba(X)).max(dim=1).values.mean().item()
calm_score, loud_score = probe.score(X, y), loud.score(X, y)
claim("a weak penalty raises confidence more than accuracy (validation photos)",
      loud_confidence - calm_confidence > loud_score - calm_score,
      figure=f"confidence {calm_confidence:.2f} → {loud_confidence:.2f}, "
             f"accuracy {calm_score:.2f} → {loud_score:.2f}")

# %% tags=["quiz"]
quiz("04-calibration")

# %% [markdown]
# ## What you saw
# - The loop most tutorials print changes its frozen backbone: `model.train()` lets BatchNorm statistics drift.
# - A backbone that stands still gives each photo the same vector every time. Compute it once; the head that comes out is the same, but for the rounding of the last bit.
# - The one pass over the photos stays. What disappears is every further pass.
# - Linear layer, logistic regression and nearest neighbours were within each other's error bars here.
# - Training accuracy was highest where the model was worst. It measures memory.
# - Accuracy has an interval. So has the difference between two models.
# - Choose on validation photos. Open the test photos once.

# %% [markdown]
# ## Test yourself
# The lesson's quiz. A wrong answer is told why it is wrong, and costs nothing.

# %% tags=["quiz"]
quiz("04_feature_extraction")

# %% [markdown]
# ## References
# - Sandler et al. 2018, *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, <https://arxiv.org/abs/1801.04381>
# - Kornblith, Shlens & Le 2019, *Do Better ImageNet Models Transfer Better?*, <https://arxiv.org/abs/1805.08974>: linear probes on frozen features, compared over many networks
# - Wilson 1927, *Probable inference, the law of succession, and statistical inference*, <https://doi.org/10.1080/01621459.1927.10502953>
# - Guo et al. 2017, *On Calibration of Modern Neural Networks*, <https://arxiv.org/abs/1706.04599>
#
# **Next:** [5 · Fine-tuning](05_fine_tuning.ipynb) lets the backbone learn too.
