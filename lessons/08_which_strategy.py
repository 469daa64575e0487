# %% [markdown]
# # 8 · Which strategy?
# **Five ways to use a pretrained network, and no rule that picks the right one for every task.** Here the usual decision table meets a grid of real runs, you ask that grid about a task of your own, and you mend fifteen broken programs that would have spoilt any of the five.
#
# <!-- badges -->
#
# *You will be able to* choose a strategy from measurements and say how sure you are · tell when your task lies outside what was measured · know the usual mistakes by their symptoms · train a network through a few thousand numbers, and say what that saves and what it does not.
#
# *Time* 45 min · *Before this* [4 · Feature extraction](04_feature_extraction.ipynb), [7 · Strategy comparison](07_strategy_comparison.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 50  # training photos a class
SIZE = 128      # pixels a side
EPOCHS = 6
SEEDS = 3       # random choices of training photos behind each comparison
SEED = 0

# %% tags=["setup"]
import copy
import math
import warnings

import pandas as pd
import torch
from torch import nn
from torchvision.models import get_model

# %% tags=["setup"]
from course_utils import plots
from course_utils.datasets import load_flowers
from course_utils.device import pick_device, seed_everything
from course_utils.surgery import changed, find_head, freeze_backbone, replace_head, snapshot, stages
from course_utils.weights import available_weights
from courseware.claims import claim

plots.use_style()
seed_everything(SEED)
device = pick_device()  # models go there, and data follows them

# %% [markdown]
# ## The usual table
# Most courses end on a table of four boxes. How much data have you got, and how similar is it to what the network was pretrained on?

# %%
USUAL = {
    ("few photos", "similar"): "head only",
    ("few photos", "different"): "last stage",
    ("many photos", "similar"): "all",
    ("many photos", "different"): "from scratch",
}
pd.Series(USUAL).unstack()[["similar", "different"]]

# %% [markdown]
# The reasons given for it are sound. With few photos, few numbers should learn, or they learn the photos by heart. Where the photos are unlike ImageNet, the late features are of little use, so those should change. With plenty of both you can afford to start anew.
#
# But a table without numbers cannot be wrong. How many photos are *few*? What is *similar*? By how much is the advised strategy better, and than what? Was each strategy given the learning rate it needs? Lesson 7 has shown how much hangs on that last question.
#
# So we first make the words exact. The three kinds of picture are those of the grid below; change the words if you would draw the lines elsewhere.

# %%
MANY = 50  # photos a class, from here on
KIND = {"photos": "similar", "shifted photos": "different", "drawn flowers": "different"}

# %% [markdown]
# ## The grid
# Five strategies, four sizes of training set, three kinds of picture, several seeds each: every combination was trained for real, with one command that you can run again: `python3 course.py bench grid`.
#
# - *photos*: the five flowers as you know them.
# - *shifted photos*: the same photos in false colours. Each pixel's brightness picks a colour from a heat scale, so shapes stay and hues are lost.
# - *drawn flowers*: pictures made by the course's own generator; ImageNet holds nothing of the kind.
#
# Within one size, all strategies make the same number of passes over the same photos. Each has its learning rate chosen beforehand on validation photos, keeps its best validation epoch, and sees the test photos once.

# %%
from course_utils.strategies.grid import read_grid

grid = read_grid()
print(f"{len(grid.frame())} trained networks, seeds {list(grid.seeds)}")
pd.Series({k: v for k, v in grid.conditions.items() if k != "pilot"}).to_frame("conditions")

# %% [markdown]
# Remember these conditions: a small network, small pictures, at most 100 photos a class, few passes. Whatever the grid says, it says about that. (The last line is how long it took to make.)
#
# Each row of the grid is one trained network. Three rows that differ only in the seed make a mean and an interval:

# %%
from course_utils.stats import mean_interval

some = grid.accuracy("head only", 20, "photos")
print([round(accuracy, 3) for accuracy in some], "→", mean_interval(some))
grid.frame().head(5)

# %% [markdown]
# Two strategies with the same seed had the same training photos, and always the same test photos. So compare them **pair by pair**: what made one choice of photos lucky cancels out.

# %%
a, b = (grid.accuracy(name, 20, "photos") for name in ("all", "head only"))
by_seed = [x - y for x, y in zip(a, b, strict=True)]
print("all − head only, by seed:", [round(d, 3) for d in by_seed])
claim("grid.difference is the interval of the differences by seed",
      grid.difference("all", "head only", 20, "photos") == mean_interval(by_seed),
      figure=f"{mean_interval(by_seed):.3f}")

# %% tags=["quiz"]
from courseware.quiz import quiz

quiz("08-grid")

# %% [markdown]
# ## What the grid says
# **Predict:** in which of the twelve places (four sizes, three kinds of picture) is the usual advice the best of the five? Where does *from scratch* win?

# %% alt="Three charts, one for each domain: test accuracy of the five strategies, with intervals, over the training photos a class"
import matplotlib.pyplot as plt

axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True, layout="constrained")[1]
for ax, domain in zip(axes, grid.domains, strict=True):
    for strategy in grid.strategies:
        spans = [grid.interval(strategy, n, domain) for n in grid.photos]
        plots.curve(grid.photos, spans, label=strategy, ax=ax)
    ax.set(xscale="log", xticks=grid.photos, xticklabels=grid.photos, title=domain, ylim=(0, 1.05))
    ax.set_xlabel("training photos a class")
axes[0].set_ylabel("test accuracy")
axes[1].legend(fontsize=8, loc="upper left");

# %% [markdown]
# The bands are wide: with three seeds an interval takes more than four standard errors to each side. Now put the advice beside the measurement. In each place we ask two things. Is the advised strategy the best? If not, is the best one better by more than these seeds can explain?

# %%
verdicts = []
for n, domain in [(n, domain) for domain in grid.domains for n in grid.photos]:
    usual = USUAL["many photos" if n >= MANY else "few photos", KIND[domain]]
    best, second, _ = grid.winner(n, domain)
    lost = grid.difference(best, usual, n, domain)
    mark = "● best" if best == usual else "▼ loses" if lost.low > 0 else "≈ cannot tell"
    verdicts.append((domain, n, usual, mark, best, f"{100 * lost.mean:.1f}"))
columns = ["pictures", "photos a class", "usual advice", "verdict", "best mean", "points lost"]
table = pd.DataFrame(verdicts, columns=columns).set_index(columns[:2])
table

# %% [markdown]
# ● the advice has the best mean · ≈ another is ahead, but the paired interval holds 0 · ▼ another is ahead, and the interval does not hold 0. "Cannot tell" does not mean "equal"; it means that three seeds are too few to say. And twelve comparisons at 95 % leave room for one false alarm or so.

# %%
from collections import Counter

tally = Counter(mark.split()[0] for mark in table["verdict"])
lost_by = set(table["usual advice"][table["verdict"] == "▼ loses"])
claim("where the measurement contradicts the table, the table's advice was: from scratch",
      lost_by == {"from scratch"}, figure=", ".join(f"{tally[mark]} {mark}" for mark in "●≈▼"))
table["verdict"].unstack()

# %% [markdown]
# Two more things belong beside such a table. One is the price:

# %% alt="Bars in seconds: the training time of each strategy with the most photos"
seconds = {name: grid.seconds(name, grid.photos[-1], "photos") for name in grid.strategies}
ax = plots.bars(seconds, unit=" s")
ax.set_title(f"training time with {grid.photos[-1]} photos a class, one thread");

# %% [markdown]
# The other is what a wrong choice would have cost: the best of the five minus each of them, at its worst place.

# %%
regret = {}
for name in grid.strategies:
    lost = {(n, domain): grid.difference(grid.winner(n, domain)[0], name, n, domain).mean
            for n in grid.photos for domain in grid.domains}
    place = max(lost, key=lost.get)
    regret[name] = {"most points lost": round(100 * lost[place], 1), "with photos a class": place[0],
                    "of": place[1], "mean over all places": round(100 * sum(lost.values()) / len(lost), 1)}
pd.DataFrame(regret).T

# %%
places = [(n, domain) for n in grid.photos for domain in grid.domains]
behind = [grid.difference(grid.winner(n, domain)[0], "from scratch", n, domain) for n, domain in places]
close = [grid.winner(n, domain)[2].low <= 0 for n, domain in places]
claim("everywhere in this grid, from scratch is behind the best by more than these seeds explain",
      all(difference.low > 0 for difference in behind),
      figure=f"by {100 * min(d.mean for d in behind):.0f} to {100 * max(d.mean for d in behind):.0f} points")
claim("in most places three seeds cannot tell the best strategy from the second",
      sum(close) > len(places) / 2, figure=f"{sum(close)} of {len(places)}")

# %% [markdown]
# Be fair to the loser. All strategies made the same number of passes, and a network that starts from random numbers needs many more. The grid says what you get *for this much training with this many photos*; it does not say that a pretrained start is ahead for ever. With a hundred times the photos and the time, the fourth box of the table may well be right.
#
# The four that start from pretrained weights lie much closer together. Is there still an order in them?

# %%
pretrained = [name for name in grid.strategies if name != "from scratch"]
spread = [max(grid.difference(a, b, *place).mean for a in pretrained for b in pretrained)
          for place in places]
fewest, most = grid.photos[0], grid.photos[-1]
other = [domain for domain in grid.domains if KIND[domain] == "different"]
claim("the four pretrained strategies lie within ten points of each other everywhere", max(spread) < 0.1,
      figure=f"{100 * min(spread):.0f} to {100 * max(spread):.0f} points from best to worst")
claim("few and familiar: the head alone has the best mean; many and different: training all has",
      grid.winner(fewest, "photos")[0] == "head only"
      and all(grid.winner(most, domain)[0] == "all" for domain in other),
      figure=f"{fewest} and {most} photos a class")

# %% [markdown]
# So the idea behind the table is sound: more photos, and pictures further from the pretraining, speak for training more. What the table gets wrong here is the size of the step. The answer to strange pictures and a few hundred of them was not to throw the pretrained weights away, but to move them all. And between neighbours the differences are small: a bad learning rate, or one of the bugs below, costs more than choosing the second-best strategy.

# %% [markdown]
# ## Ask the grid
# A recommendation is only as good as what stands behind it. `recommend` takes the nearest measured size and kind of picture, and names the **least costly** strategy among those that cannot be told from the best and whose mean is at most two points below it. It gives the figures, and says so when your question lies outside of what was measured.

# %%
from course_utils.strategies.protocol import recommend
from courseware.dials.guide import guide

recommend(grid, 20, "photos")

# %% [markdown]
# **Predict:** you have 2,000 X-ray pictures a class. What should an honest guide answer?

# %%
answer = recommend(grid, 2000, "X-rays")
claim("outside of what was measured, the guide says so", answer.outside != "", figure=answer.outside)

# %% [markdown]
# Now your own task. Leave the minutes at 0 for no limit, or set them to what you have.
#
# **Predict:** at which number of photos does the recommendation change, and for which kind of picture does it change first?

# %% tags=["dial"] alt="A form for photos a class, kind of picture and minutes, and the strategy that the grid recommends, with its figures"
# Dial: ask the grid
guide(grid)

# %% [markdown]
# Go through the measured sizes, and watch how often "cannot be told from the best" stands there. Then ask for one photo a class, or for *something else*: you still get an answer, and a warning with it.
#
# Whatever it says, it is a place to start. A probe on your own validation images takes a minute, and beats any table, this one included.

# %% tags=["quiz"]
quiz("08-guide")

# %% [markdown]
# ## The pitfalls clinic
# None of the five strategies survives a bug. What follows are broken programs, each with one mistake that is common in real code. **For each: run the broken cell, look at the symptom, and say what is wrong before you read on.** Few of them raise an error. Most print a number that looks fine.
#
# The patient is a healthy classifier: a frozen backbone and a trained head. To keep the clinic quick, the photos run through the network once. We keep what leaves its front part (`maps`, for the cases that train the last blocks) and what enters the head (features, as in lesson 4). Two of the cases open the test photos, to show the damage. A clinic may do that; a project may not.

# %%
from course_utils.anatomy import split_at
from course_utils.features import FeatureSet, cached_head, embed

WEIGHTS = available_weights(BACKBONE)
PRETRAINED = WEIGHTS is not None
flowers = load_flowers(SIZE)
train, val, test = flowers.train.per_class(PER_CLASS, seed=SEED), flowers.val, flowers.test
ON_PHOTOS = PRETRAINED and flowers.source == "photos"

start = get_model(BACKBONE, weights=WEIGHTS).to(device, memory_format=torch.channels_last)
replace_head(start, len(flowers.classes))
freeze_backbone(start.eval())
parts = list(stages(start))
late = parts[len(parts) * 3 // 4 :]  # the last quarter of the stages
front, rest = split_at(start, late[0])

# %%
with torch.no_grad():
    shape = front(train.batch([0], device=device)[0]).shape[1:]
    maps = [
        FeatureSet(torch.cat([front(x).flatten(1).cpu() for x, _ in part.batches(16, device=device)]),
                   part.labels, part.classes)
        for part in (train, val, test)
    ]
back = nn.Sequential(nn.Unflatten(1, shape), rest)
train_features, val_features, test_features = [embed(back, part) for part in maps]
train_features.features.shape

# %%
from course_utils.training import evaluate, fit

patient = copy.deepcopy(start)
optimizer = torch.optim.Adam(cached_head(patient).parameters(), lr=3e-3)
fit(cached_head(patient), train_features, val_features, epochs=30, optimizer=optimizer, seed=SEED)
ward = val.per_class(20, seed=SEED).to(device)  # a hundred validation photos to try things on
healthy = evaluate(patient, ward).accuracy
clinic = {}  # what each broken cell gave, and what the mended one gave
print(f"healthy: {healthy:.2f}")

# %% [markdown]
# ### Pictures
# **Case 1.** "The photos load, the shapes are right, and the classifier guesses."

# %% tags=["bug"]
images = ward.images.float()  # as they were loaded
with torch.no_grad():
    logits = torch.cat([patient(part) for part in images.split(16)])
lowest, highest = images.min().item(), images.max().item()
broken = (logits.argmax(1) == ward.labels).float().mean().item()
print(f"accuracy {broken:.2f}, mean confidence {logits.softmax(1).max(1).values.mean():.2f}")

# %% [markdown]
# The pixels run from 0 to 255, and the network has learned on numbers around 0. It is wrong and does not know it: large inputs make large logits, and large logits look like confidence. First suspect: print `images.min()` and `images.max()`.

# %%
from course_utils.images import normalize

images = normalize(ward.images)  # (x / 255 - mean) / std
with torch.no_grad():
    logits = torch.cat([patient(part) for part in images.split(16)])
mended = (logits.argmax(1) == ward.labels).float().mean().item()
print(f"pixels from {lowest:.0f} … {highest:.0f} to {images.min():.1f} … {images.max():.1f}")
clinic["pixels from 0 to 255"] = broken, mended
claim("with normalised pixels the patient is healthy again", mended > broken + 0.2,
      figure=f"{broken:.2f} → {mended:.2f}", when=PRETRAINED, otherwise="needs a pretrained backbone")

# %% [markdown]
# **Case 2.** "Our service is a few points worse than the notebook. Same weights, same photos; only the service reads them with OpenCV."

# %% tags=["bug"]
from course_utils.images import ImageSet

from_opencv = ImageSet(ward.images.flip(1), ward.labels, ward.classes)
broken = evaluate(patient, from_opencv).accuracy
print(f"accuracy {broken:.2f}")

# %% [markdown]
# OpenCV gives blue, green, red. Nothing fails, for three channels are three channels. What it costs depends on how much colour says about the classes. First suspect: show one photo as the model gets it, and look at it.

# %%
mended = evaluate(patient, ImageSet(from_opencv.images.flip(1), ward.labels, ward.classes)).accuracy
clinic["blue, green, red"] = broken, mended
claim("channels in the right order bring the accuracy back", mended == healthy > broken,
      figure=f"{broken:.2f} → {mended:.2f}", when=PRETRAINED, otherwise="needs a pretrained backbone")

# %% [markdown]
# **Case 3.** "Our pictures are grey, so we repeat them to three channels. PyTorch complained about the shape once, we reshaped, now it runs."

# %% tags=["bug"]
grey = normalize(ward.images).mean(1)  # [N, H, W], as a grey data set comes
images = grey.repeat(1, 3, 1, 1)
print(tuple(grey.shape), "→", tuple(images.shape))
try:
    patient(images)
except RuntimeError as error:
    print(str(error).splitlines()[0])
images = images.view(-1, 3, *grey.shape[1:])  # "now it runs"
with torch.no_grad():
    logits = torch.cat([patient(part) for part in images.split(16)])
broken = (logits.argmax(1) == ward.labels).float().mean().item()
print(f"accuracy {broken:.2f}")

# %% [markdown]
# `repeat(1, 3, 1, 1)` on three dimensions puts a new one in front and repeats the *photos*. The reshape then takes three different photos for the three channels of one. Two wrongs make a right shape. Say where the new dimension goes, then repeat along that one.

# %%
channels = grey.unsqueeze(1).expand(-1, 3, -1, -1)
with torch.no_grad():
    logits = torch.cat([patient(part) for part in channels.split(16)])
mended = (logits.argmax(1) == ward.labels).float().mean().item()
alike = [torch.equal(photo[0], photo[1]) for photo in (images[0], channels[0])]
print(f"the first photo's channels are alike: {alike[0]} → {alike[1]}")
clinic["grey photos mixed up"] = broken, mended
claim("one photo in all three channels is better than three photos in one", mended > broken + 0.1,
      figure=f"{broken:.2f} → {mended:.2f} (in colour {healthy:.2f})",
      when=PRETRAINED, otherwise="needs a pretrained backbone")

# %% [markdown]
# ### Classes and heads
# **Case 4.** One head has too few outputs, another was never swapped. Which of the two will tell you?

# %% tags=["bug"]
X, y = train_features.features, train_features.labels
try:
    nn.functional.cross_entropy(nn.Linear(X.shape[1], 4)(X), y)
except IndexError as error:
    print("four outputs:", str(error).splitlines()[0])
torch.manual_seed(SEED)
broken = nn.functional.cross_entropy(nn.Linear(X.shape[1], 1000)(X), y).item()
print(f"a thousand outputs: no error, first loss {broken:.2f}")

# %% [markdown]
# Too few is loud: the label 4 has no output. (On a GPU the same mistake is a *device-side assert*, and all that follows fails with it. Try such a batch on the CPU first.) Too many is silent, and it even trains. The symptom is the first loss. A head that knows nothing gives each of $C$ classes about $1/C$, so the loss begins near $\ln C$. Work that out before every training.

# %%
torch.manual_seed(SEED)
mended = nn.functional.cross_entropy(nn.Linear(X.shape[1], len(train.classes))(X), y).item()
clinic["head never swapped (first loss)"] = broken, mended
claim("the first loss gives away how many outputs there are",
      abs(broken - math.log(1000)) < 1 and abs(mended - math.log(5)) < 1,
      figure=f"{broken:.2f} (ln 1000 = {math.log(1000):.2f}) → {mended:.2f} (ln 5 = {math.log(5):.2f})")

# %% [markdown]
# **Case 5.** "Training accuracy is fine, validation is a disaster. We must be overfitting." There were no dandelions among the validation photos, so nobody made a folder for them. `ImageFolder` numbers the folders it finds.

# %% tags=["bug"]
there = val_features.labels != flowers.classes.index("dandelion")
numbered = val_features.labels[there].unique(return_inverse=True)[1]  # 0, 1, 2, 3
said = cached_head(patient)(val_features.features[there].to(device)).argmax(1).cpu()
broken = (said == numbered).float().mean().item()
right_by_class = [(said[numbered == n] == n).float().mean().item() for n in range(4)]
print(f"accuracy {broken:.2f}, by class", [round(share, 2) for share in right_by_class])

# %% [markdown]
# One class is right, all behind it are wrong: that is no overfitting, that is another numbering. Overfitting spreads its mistakes. First suspect: `train_folder.class_to_idx == val_folder.class_to_idx`.

# %%
folders = [name for name in flowers.classes if name != "dandelion"]
train_number = torch.tensor([flowers.classes.index(name) for name in folders])
mended = (said == train_number[numbered]).float().mean().item()
clinic["folders numbered anew"] = broken, mended
claim("with the training set's numbers the disaster is gone", mended > broken + 0.2,
      figure=f"{broken:.2f} → {mended:.2f}", when=PRETRAINED, otherwise="needs a pretrained backbone")

# %% [markdown]
# ### Training
# **Case 6.** "The loss does not move. Not a bit."

# %% tags=["bug"]
model = copy.deepcopy(start).cpu()  # features are small
optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=1e-3)
replace_head(model, 5)
losses = []
for _ in range(3):
    loss = nn.functional.cross_entropy(cached_head(model)(X), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
losses

# %% [markdown]
# Not nearly the same: the same to the last digit. The optimizer holds the old head, which is no longer in the model; the new one has gradients and nobody to use them. A rate that is too small would still move the last digits. Build the optimizer last.

# %%
optimizer = torch.optim.Adam(find_head(model).module.parameters(), lr=1e-3)
moving = []
for _ in range(3):
    loss = nn.functional.cross_entropy(cached_head(model)(X), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    moving.append(loss.item())
clinic["optimizer before the head swap (third loss)"] = losses[-1], moving[-1]
claim("with the optimizer built last, the loss falls", len(set(losses)) == 1 and moving[2] < moving[0],
      figure=f"{losses[0]:.3f} three times → " + ", ".join(f"{value:.3f}" for value in moving))

# %% [markdown]
# **Case 7.** "We only train the classifier, `fc`, as in the ResNet tutorial. It runs, it is slow, and it learns little." Same line, other network:

# %% tags=["bug"]
efficient = get_model("efficientnet_b0", weights=None)
replace_head(efficient, 5)
for name, parameter in efficient.named_parameters():
    parameter.requires_grad_("fc" in name)
matched = [name for name, parameter in efficient.named_parameters() if parameter.requires_grad]
head_learns = any(p.requires_grad for p in find_head(efficient).module.parameters())
print(f"{len(matched)} tensors, such as {matched[0]}; does the head learn? {head_learns}")

# %% [markdown]
# In this network `fc1` and `fc2` are parts of every squeeze-and-excite block, and the head is called `classifier.1`. So dozens of inner layers train, and the new head stays random. Ask for the module, not for letters in a name.

# %%
freeze_backbone(efficient)
learning = [name for name, parameter in efficient.named_parameters() if parameter.requires_grad]
clinic["'fc' in name (tensors that learn)"] = len(matched), len(learning)
claim("found as a module, the head learns and nothing else",
      not head_learns and learning == ["classifier.1.weight", "classifier.1.bias"],
      figure=f"{len(matched)} tensors → {learning}")

# %% [markdown]
# **Case 8.** A learner keeps the head's parameters in a variable, to use them twice: for the optimizer, and to cut large gradients.

# %% tags=["bug"]
head = nn.Linear(X.shape[1], 5)
head_parameters = head.parameters()
optimizer = torch.optim.Adam(head_parameters, lr=3e-3)
nn.functional.cross_entropy(head(X), y).backward()
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    broken = nn.utils.clip_grad_norm_(head_parameters, max_norm=1.0).item()
print(f"norm of the gradient: {broken}", *(str(w.message).splitlines()[0] for w in warned), sep="\n")
try:
    torch.optim.SGD(head_parameters, lr=0.1)
except ValueError as error:
    print(str(error).splitlines()[0])

# %% [markdown]
# `parameters()` gives a generator, and a generator runs once. The first optimizer has emptied it. The second use clips nothing, with at most a warning; the third raises. Make it a list.

# %%
head_parameters = list(head.parameters())
mended = nn.utils.clip_grad_norm_(head_parameters, max_norm=1.0).item()
clinic["a generator used twice (gradient norm)"] = broken, mended
claim("from a list, clipping finds the gradient", broken == 0 and mended > 0,
      figure=f"norm 0 → {mended:.2f}")

# %% [markdown]
# **Case 9.** "We want probabilities, so the model ends on a softmax. Training stalls."

# %% tags=["bug"]
torch.manual_seed(SEED)
twice = nn.Sequential(nn.Linear(X.shape[1], 5), nn.Softmax(dim=1))
optimizer = torch.optim.Adam(twice.parameters(), lr=3e-3)
broken = fit(twice, train_features, val_features, epochs=40, optimizer=optimizer, seed=SEED)
floor = nn.functional.cross_entropy(torch.eye(5), torch.arange(5)).item()
print(f"training loss {broken.train_loss[-1]:.3f}, training accuracy {broken.train_accuracy[-1]:.3f}; "
      f"with every answer right and certain: {floor:.3f}")

# %% [markdown]
# `cross_entropy` takes logits: it does the softmax itself. Given probabilities it takes them for logits between 0 and 1, and then no loss below $\ln(1 + 4/e)$ can be had with five classes. The symptom is a loss that stays far from 0 on the very photos the model learns from. Gradients are small there too, so it learns slowly.

# %%
torch.manual_seed(SEED)
once = nn.Sequential(nn.Linear(X.shape[1], 5))
optimizer = torch.optim.Adam(once.parameters(), lr=3e-3)
mended = fit(once, train_features, val_features, epochs=40, optimizer=optimizer, seed=SEED)
clinic["softmax twice (training loss)"] = broken.train_loss[-1], mended.train_loss[-1]
claim("without the second softmax the loss falls below that floor",
      mended.train_loss[-1] < floor <= broken.train_loss[-1],
      figure=f"{broken.train_loss[-1]:.2f} → {mended.train_loss[-1]:.2f}, floor {floor:.2f}",
      when=PRETRAINED and EPOCHS > 1, otherwise="needs a pretrained backbone")

# %% [markdown]
# **Case 10.** "Head alone: fine. Then we unfroze the last blocks and went on with a learning rate the head had taken well. It fell apart."

# %% tags=["bug"]
from course_utils.surgery import param_groups, unfreeze_from

scores = {}
for rate in (1e-2, 1e-4):
    model = copy.deepcopy(patient)
    unfreeze_from(model, late[0])
    optimizer = torch.optim.Adam(param_groups(model, head_lr=rate, backbone_lr=rate))
    tail = nn.Sequential(nn.Unflatten(1, shape), split_at(model, late[0])[1])
    few = maps[0].per_class(min(20, PER_CLASS), seed=SEED)
    history = fit(tail, few, maps[1], epochs=2, optimizer=optimizer, seed=SEED, batch_size=16,
                  restore_best=False)
    scores[rate] = history.val_accuracy[-1]
{rate: round(score, 3) for rate, score in scores.items()}

# %% [markdown]
# Adam moves every number by about the rate in each of its first steps, whatever the gradient's size. A head starts from nothing and can take that. A pretrained filter whose numbers are not larger than the step is another filter afterwards. Lesson 5 has the sweep, and what a warmed-up head does and does not help.

# %%
clinic["head's rate for the backbone"] = scores[1e-2], scores[1e-4]
claim("at a rate for pretrained filters nothing falls apart", scores[1e-4] > scores[1e-2] + 0.1,
      figure=f"{scores[1e-2]:.2f} → {scores[1e-4]:.2f}",
      when=PRETRAINED, otherwise="needs a pretrained backbone")

# %% [markdown]
# ### Measuring
# **Case 11.** "Validation is far worse than training. Strangely, it gets better when we shuffle the validation photos."

# %% tags=["bug"]
in_order = ward[ward.labels.argsort(stable=True)]  # class by class, as ImageFolder reads them
forgetful = copy.deepcopy(patient).train()
with torch.no_grad():
    right = sum((forgetful(x).argmax(1) == y).sum().item() for x, y in in_order.batches(20))
broken = right / len(in_order)
moved = len(changed(forgetful, snapshot(patient)))
print(f"accuracy {broken:.2f}; entries of the state that this 'validation' changed: {moved}")

# %% [markdown]
# No `eval()`. BatchNorm normalises each batch by itself, and a batch of nothing but tulips has lost what is common to tulips. An accuracy that depends on the order of the photos is the symptom. And `no_grad` did not help: the running statistics moved, so `eval()` afterwards comes too late.

# %%
too_late = evaluate(forgetful, in_order).accuracy
mended = evaluate(patient, in_order).accuracy
clinic["no eval() in validation"] = broken, mended
claim("in eval mode the order of the photos does not matter",
      abs(mended - healthy) < 0.02 and mended > broken + 0.1,
      figure=f"{broken:.2f} → {mended:.2f} (eval() too late: {too_late:.2f})",
      when=PRETRAINED and moved > 0, otherwise="needs a pretrained backbone with BatchNorm")

# %% [markdown]
# **Case 12.** "Same model, same photos. Your accuracy is not mine."

# %% tags=["bug"]
correct = evaluate(patient, val).correct.float()
by_batch_size = {
    size: torch.stack([batch.mean() for batch in correct.split(size)]).mean().item()
    for size in (16, 64, 96, 150, 199)
}
{size: round(accuracy, 3) for size, accuracy in by_batch_size.items()}

# %% [markdown]
# Somebody averages the accuracies of the batches. The last batch is smaller than the others and counts as much: with batches of 199, the last photo alone makes up half the result. Count right answers and photos, and divide once.

# %%
counted = {size: sum(batch.sum().item() for batch in correct.split(size)) / len(correct)
           for size in by_batch_size}
off = max(abs(by_batch_size[size] - counted[size]) for size in counted)
worst = max(by_batch_size.values(), key=lambda value: abs(value - counted[16]))
clinic["batch means averaged (worst of five)"] = worst, counted[16]
claim("counted, the accuracy does not depend on the batch size; averaged over batches, it does",
      len(set(counted.values())) == 1 and off > 0,
      figure=f"{counted[16]:.3f}; averaged, off by up to {off:.3f}")

# %% tags=["quiz"]
quiz("08-batch-means")

# %% [markdown]
# **Case 13.** "We merged two downloads to get more training photos. Test accuracy went up at once."

# %% tags=["bug"]
from course_utils.features import knn_probe

crept_in = test_features[::3]  # every third test photo, under another file name
merged = FeatureSet(
    torch.cat([train_features.features, crept_in.features]),
    torch.cat([train_features.labels, crept_in.labels]), train.classes,
)
broken = knn_probe(merged, k=1).score(test_features.features, test_features.labels)
print(f"nearest neighbour, test accuracy {broken:.3f}")

# %% [markdown]
# A third of the test was learned by heart. More data does help, but seldom so much, and never only on the old test photos. Look for twins across the splits *before* training. For equal files a hash is enough; for photos saved again or resized, compare small grey copies, or features. Mirrored or cropped copies leak as well: split first, augment afterwards.

# %%
known = {row.numpy().tobytes() for row in test_features.features}
twins = torch.tensor([row.numpy().tobytes() in known for row in merged.features])
mended = knn_probe(merged[~twins], k=1).score(test_features.features, test_features.labels)
clinic["test photos in training"] = broken, mended
claim("without the twins the test is a test again", mended < broken,
      figure=f"{int(twins.sum())} twins removed, {broken:.3f} → {mended:.3f}")

# %% [markdown]
# **Case 14.** "We tried a hundred variants and the best has …" Here are a hundred variants that differ in nothing but the ten photos a class they learned from, and a small validation set.

# %% tags=["bug"]
from sklearn.linear_model import RidgeClassifier

few_val = val_features.per_class(10, seed=SEED)
subsets = [train_features.per_class(min(10, PER_CLASS // 2), seed=seed) for seed in range(100)]
variants = [RidgeClassifier(alpha=10).fit(s.features, s.labels) for s in subsets]
on_val = [v.score(few_val.features, few_val.labels) for v in variants]
best = variants[max(range(100), key=on_val.__getitem__)]
broken = max(on_val)
print(f"the best of 100 has a validation accuracy of {broken:.3f} on {len(few_val)} photos")

# %% [markdown]
# The best of a hundred is the one that is good *and was lucky* on these fifty photos. The luck will not come along. Choosing on validation photos is right; reporting that same number is not. Open the test photos once, for the chosen one. To see that this was no accident, choose again on ten other draws of validation photos.

# %%
on_test = [v.score(test_features.features, test_features.labels) for v in variants]
optimism = []
for draw in range(10):
    few = val_features.per_class(10, seed=100 * SEED + draw)
    scores = [v.score(few.features, few.labels) for v in variants]
    winner = max(range(100), key=scores.__getitem__)
    optimism.append(scores[winner] - on_test[winner])
clinic["best of 100 on validation"] = broken, on_test[max(range(100), key=on_val.__getitem__)]
claim("the best validation score of many promises too much, on average over ten draws",
      mean_interval(optimism).mean > 0, figure=f"by {mean_interval(optimism):.3f}")

# %% [markdown]
# **Case 15.** "Transfer learning is magic: without a single training photo, the network finds our daisies." For each flower, the share of photos that the *old* head, with its thousand ImageNet classes, calls a daisy:

# %% tags=["bug"] alt="Bars: for each of the five flowers, the share of photos that the old head calls a daisy"
original = find_head(get_model(BACKBONE, weights=WEIGHTS)).module
with torch.no_grad():
    named = original(val_features.features).argmax(1)
DAISY = 985  # ImageNet's number for it
called = {name: (named[val_features.labels == n] == DAISY).float().mean().item()
          for n, name in enumerate(flowers.classes)}
plots.bars(called).set_title("called a daisy, among a thousand classes");

# %%
claim("without any training, the old head calls more daisies daisy than photos of any other class",
      called["daisy"] > 0.4 and called["daisy"] == max(called.values()),
      figure=f"{called['daisy']:.0%} of the daisies",
      when=ON_PHOTOS and BACKBONE == "mobilenet_v2", otherwise="stated for MobileNetV2 on the photos")

# %% [markdown]
# No magic: *daisy* is one of the thousand classes the network was pretrained on, with labels. For this class the task is not new, and a result on it says little about transfer. (Some public data sets are subsets of ImageNet; there it is true of every class.) Compare the class lists first, and report the result without the overlap as well. It may be lower or higher; it is the one that answers the question.

# %%
from course_utils.weights import course_weights

imagenet = {name.lower() for name in course_weights(BACKBONE).meta["categories"]}
overlap = [name for name in flowers.classes if name in imagenet or name.rstrip("s") in imagenet]
correct = evaluate(patient, val).correct
new = torch.tensor([flowers.classes[label] not in overlap for label in val.labels])
broken, mended = correct.float().mean().item(), correct[new].float().mean().item()
clinic["a class of the pretraining"] = broken, mended
claim("one of the five classes is an ImageNet class", overlap == ["daisy"],
      figure=f"{overlap}; accuracy with it {broken:.3f}, without {mended:.3f}")

# %% [markdown]
# ### The ward book
# What each broken cell gave, and what the mended one gave. Look once more at the lines of *Measuring*: there the broken number can be the better looking one. Those are the mistakes nobody goes looking for.

# %%
pd.DataFrame(clinic, index=["broken", "mended"]).T.round(3)

# %% [markdown]
# ## Beyond: fewer numbers to train
# Between "the head" and "all" there is more than a cut in depth. You can let a few numbers learn *in every layer*, and leave the large matrices alone. Two ways are common.
#
# **BatchNorm only.** Each BatchNorm layer ends on a scale and a shift for every channel. Train those, and the head, and nothing else. (The running statistics are another matter: lesson 6.)
#
# **A low-rank adapter.** A frozen layer computes $Wx$. Beside it, let two thin matrices learn: $A$ brings the input down to $r$ numbers, $B$ brings them up again.
#
# $$y = Wx + BAx$$

# %%
torch.manual_seed(SEED)
layer = nn.Linear(64, 32)
A = torch.randn(4, 64) / 8  # down to rank 4
B = torch.zeros(32, 4)      # and up again, from nothing
x = torch.randn(10, 64)
y = layer(x) + x @ A.T @ B.T
print("numbers:", layer.weight.numel(), "in W,", A.numel() + B.numel(), "in A and B")
claim("with B at zero, the adapter changes nothing", torch.equal(y, layer(x)))

# %% [markdown]
# **Predict:** why does only one of the two start at zero? What would the gradients be if both did?

# %%
for start_of_A in (A, torch.zeros_like(A)):
    down, up = start_of_A.clone().requires_grad_(), B.clone().requires_grad_()
    (layer(x) + x @ down.T @ up.T).square().sum().backward()
    print(f"gradient of A: {down.grad.abs().max():.1f}, of B: {up.grad.abs().max():.1f}")

# %% [markdown]
# The gradient of each is a product with the other. With both at zero neither would ever move. With $A$ random, $B$ moves in the first step, and from then on both do.
#
# After training the correction is a matrix like any other, so it can be added into the weight. Then nothing is left of the adapter, and predicting costs what it did before.

# %%
up = torch.randn(32, 4)  # as if trained
correction = up @ A
with_adapter = layer(x) + x @ A.T @ up.T
merged = nn.functional.linear(x, layer.weight + correction, layer.bias)
claim("merged, one layer gives the same answers", torch.allclose(with_adapter, merged, atol=1e-4),
      figure=f"rank {torch.linalg.matrix_rank(correction)} of {min(correction.shape)}")

# %% [markdown]
# Convolutional networks have few linear layers, but many 1×1 convolutions. Such a convolution *is* a linear layer, applied at each place of the picture. `LowRank` does both, and `adapt` puts one beside every layer it can. (Larger kernels are linear layers on patches. Depthwise filters are left out: they hold too few numbers.)

# %%
from course_utils.adapters import LowRank, adapt

conv = nn.Conv2d(64, 32, 1)
conv.load_state_dict({"weight": layer.weight[:, :, None, None], "bias": layer.bias})
picture = torch.randn(1, 64, 5, 5)
at_each_place = layer(picture.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
claim("a 1×1 convolution is a linear layer at each place",
      torch.allclose(conv(picture), at_each_place, atol=1e-5))
LowRank(conv, rank=4)

# %% [markdown]
# ### What they save
# Four ways to train the last quarter of our network: nothing there but the head, BatchNorm only, adapters of rank 4, or everything. We count what learns, and what a training step keeps in memory for the way back.

# %%
from course_utils.measure import saved_activation_bytes
from course_utils.surgery import batchnorm_layers, count, unfreeze

arms = {name: copy.deepcopy(start) for name in ("head only", "BatchNorm only", "low rank", "everything")}
for stage in late:
    unfreeze(arms["everything"].get_submodule(stage))
    for norm in batchnorm_layers(arms["BatchNorm only"].get_submodule(stage)).values():
        unfreeze(norm)
adapted = adapt(arms["low rank"], rank=4, parts=late)
print(f"{len(adapted)} adapters, the first beside {adapted[0]}")

# %%
images, labels = train.batch(range(16), device=device)
savings = {
    name: {
        "numbers that learn": count(model).trainable_values,
        "Adam's memory of them (MB)": count(model).trainable_values * 8 / 1e6,
        "kept for the way back (MB)": saved_activation_bytes(model, images, labels) / 1e6,
    }
    for name, model in arms.items()
}
savings = pd.DataFrame(savings).T
savings.round(2)

# %% [markdown]
# Read the columns one by one. The numbers that learn shrink to a few per cent. So does what Adam remembers of them, two values each, and so does the file you would have to keep for each task. The last column hardly shrinks. To learn a scale deep inside the network, the gradient must get there, and on its way it needs the activations. **The depth of the first number that learns decides, not how many learn.**

# %%
numbers, kept = savings["numbers that learn"], savings["kept for the way back (MB)"]
small = ["BatchNorm only", "low rank"]
claim("both need a small part of the numbers, and most of the activations",
      (numbers[small] < 0.2 * numbers["everything"]).all()
      and (kept[small] > 0.6 * kept["everything"]).all(),
      figure=", ".join(f"{name}: {numbers[name] / numbers['everything']:.1%} of the numbers, "
                       f"{kept[name] / kept['everything']:.0%} of the activations" for name in small))

# %% [markdown]
# ### What they reach
# Same photos, same number of steps, several seeds. Each has a rate that was chosen on validation photos, with seeds that do not occur here. The front of the network stands still for all four, so they train on what it gave for the clinic. As in every lesson, frozen layers stay in `eval()`; where a BatchNorm layer learns, it normalises by the batch.
#
# **Predict:** which of the four is ahead? By more than its interval?

# %%
RATES = {"head only": 3e-3, "BatchNorm only": 1e-3, "low rank": 1e-3, "everything": 1e-4}
seeds, correct, seconds = range(10 * SEED, 10 * SEED + SEEDS), {}, dict.fromkeys(arms, 0.0)
for seed, (name, prepared) in [(seed, arm) for seed in seeds for arm in arms.items()]:
    model = copy.deepcopy(prepared)
    torch.manual_seed(seed)
    find_head(model).module.reset_parameters()
    tail = nn.Sequential(nn.Unflatten(1, shape), split_at(model, late[0])[1])
    optimizer = torch.optim.Adam(param_groups(model, head_lr=3e-3, backbone_lr=RATES[name]))
    photos = maps[0].per_class(min(20, PER_CLASS), seed=seed)
    history = fit(tail, photos, maps[1][:10], epochs=EPOCHS, optimizer=optimizer, seed=seed,
                  batch_size=16, restore_best=False)
    correct[name, seed] = evaluate(tail, maps[2]).correct
    seconds[name] += sum(history.seconds) / SEEDS
    del model, tail, optimizer  # room for the next

# %%
reached = {}
for name in arms:
    scores = [correct[name, seed].double().mean().item() for seed in seeds]
    head = [correct["head only", seed].double().mean().item() for seed in seeds]
    ahead = [score - other for score, other in zip(scores, head, strict=True)]
    reached[name] = {
        "test accuracy": f"{mean_interval(scores):.3f}",
        "points against head only": f"{mean_interval([100 * d for d in ahead]):+.1f}" if any(ahead) else "",
        "seconds": round(seconds[name], 1),
    }
pd.DataFrame(reached).T

# %% [markdown]
# Look whether the intervals of the differences hold 0. Where they do, these seeds do not show that training more than the head pays; where they do not, you have seen a difference for *this* task at *this* size. Either way, the two sparing methods take much of the time that training everything in those layers takes. (*Head only* takes what it does here because its photos pass through the last layers in every epoch; on cached features, as in lesson 4, it would take nearly nothing.)
#
# So on a small network with a few thousand photos at most, there is little reason for them. Their home is elsewhere. In a language model with billions of numbers it is the gradients and Adam's memory, one and two values for each number that learns, that do not fit the machine, and there almost all of that goes away. And where one network serves a hundred customers, a hundred adapters are a hundred small files beside one large one.

# %%
sparing, full = ([correct[name, seed].double().mean().item() for seed in seeds]
                 for name in ("low rank", "everything"))
gap = mean_interval([a - b for a, b in zip(sparing, full, strict=True)])
claim("with a few per cent of the numbers, low rank is less than ten points behind everything",
      gap.mean > -0.1, figure=f"low rank − everything: {gap:+.3f}",
      when=PRETRAINED and EPOCHS > 1, otherwise="needs a pretrained backbone")

# %% tags=["quiz"]
quiz("08-low-rank")

# %% [markdown]
# ## The same four moves elsewhere
# **Load, freeze, swap, tune.** You have done it with pictures; with text and speech the same four lines have other names. The code below is a map, not an experiment: it is not run here, for it needs other libraries (`pip install transformers peft`) and larger downloads. The names are those of transformers 5.23 and peft 0.21.
#
# | | pictures (torchvision) | text (transformers) | speech (transformers) |
# |---|---|---|---|
# | prepare | `weights.transforms()` | `AutoTokenizer` | `AutoFeatureExtractor` |
# | load | `get_model(…)` | `AutoModelForSequence…` | `AutoModelForAudio…` |
# | freeze | `freeze_backbone` | `base_model.requires_grad_` | `freeze_base_model` |
# | swap | `replace_head` | done by `num_labels` | done by `num_labels` |
# | tune | `unfreeze_from` | the last of `transformer.layer` | the last of `encoder.layers` |
#
# **Text**, five classes:
#
# ```python
# from transformers import AutoModelForSequenceClassification, AutoTokenizer
#
# name = "distilbert/distilbert-base-uncased"
# tokenizer = AutoTokenizer.from_pretrained(name)  # as transforms(): belongs to the weights
# model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=5)  # load, swap
# model.base_model.requires_grad_(False)           # freeze
# model.base_model.transformer.layer[-1].requires_grad_(True)  # tune the last block, too
#
# texts = ["a fine film", "a waste of time"]
# batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
# loss = model(**batch, labels=torch.tensor([4, 0])).loss      # the same cross-entropy
# ```
#
# **Speech**, five classes:
#
# ```python
# from transformers import AutoFeatureExtractor, AutoModelForAudioClassification
#
# name = "facebook/wav2vec2-base"
# extractor = AutoFeatureExtractor.from_pretrained(name)
# model = AutoModelForAudioClassification.from_pretrained(name, num_labels=5)
# model.freeze_base_model()                               # freeze all but the head
# model.wav2vec2.encoder.layers[-1].requires_grad_(True)  # tune the last block, too
#
# # waves: a list of arrays, one number a sample, 16,000 a second
# batch = extractor(waves, sampling_rate=16_000, padding=True, return_tensors="pt")
# loss = model(**batch, labels=labels).loss
# ```
#
# **A low-rank adapter** on the text model, beside the query and value matrices of its attention:
#
# ```python
# from peft import LoraConfig, get_peft_model
#
# settings = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["q_lin", "v_lin"])
# model = get_peft_model(model, settings)
# ...                               # train as always
# model = model.merge_and_unload()  # add the corrections into the weights
# ```
#
# What you have learned goes with you, with three changes:
#
# - *Preprocessing still belongs to the weights.* A tokenizer of another model gives other numbers for the same words; a recording at 44,100 Hz given as 16,000 Hz is case 1 of the clinic, in sound.
# - *A head may be more than the last layer.* DistilBERT's is two (`pre_classifier` and `classifier`), wav2vec2's too (`projector` and `classifier`), and all of them are new and random. Freeze all but the last linear layer, and a random one stays in the path for ever. Freeze the *base model*, not "all but the last".
# - *Transformers normalise with LayerNorm*, so lesson 6's drift does not occur. Dropout does, so `eval()` still matters.

# %% [markdown]
# ## One page to keep
# [The cheat sheet](../docs/cheat_sheet.html) holds the course on one page: the four moves, the order in which to try strategies, rates to begin with, and the clinic as a list of symptoms. Open it in a browser and print it; it fits A4 and Letter.
#
# One line of it has to come from a measurement. Here it is, from the grid, for each size and kind of picture: the strategy that `recommend` names.

# %%
advice = {domain: {n: recommend(grid, n, domain).strategy for n in grid.photos} for domain in grid.domains}
pd.DataFrame(advice).rename_axis("photos a class")

# %% [markdown]
# ## Your turn
# Write `evaluate(model, batches)`: the accuracy of a model over batches of images and labels. Cases 11 and 12 of the clinic are about it: nothing in the model may move, and photos are counted, not batches. And it must hand back every module in the mode it came in.

# %% tags=["exercise"]
def evaluate(model, batches):
    """Share of right answers over all examples of `batches`, pairs of images [B, …] and labels [B].

    In eval mode and without gradients; every module is afterwards in the mode it had before.
    """
    # solution
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    right = total = 0
    with torch.no_grad():
        for images, labels in batches:
            right += (model(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    for module, training in modes:
        module.training = training
    return right / total
    # end solution

# %% tags=["self-check"]
from courseware.exercises import check

check("evaluate", evaluate)  # hint(…) helps; after a try, solution(…) shows one

# %% [markdown]
# Write `add_low_rank(linear, rank)`: a module that gives what `linear` gives plus a correction $BAx$ of that rank. The layer you were handed is frozen, only $A$ and $B$ learn, and before any training the output is exactly the old one.

# %% tags=["exercise"]
class Sum(nn.Module):
    """What two modules make of the same input, added."""

    def __init__(self, one, other):
        super().__init__()
        self.one, self.other = one, other

    def forward(self, x):
        return self.one(x) + self.other(x)


def add_low_rank(linear, rank):
    """linear(x) + B A x: `linear` frozen, A [rank, in] and B [out, rank] trainable; at first linear(x)."""
    # solution
    like = {"bias": False, "device": linear.weight.device, "dtype": linear.weight.dtype}
    A = nn.Linear(linear.in_features, rank, **like)
    B = nn.Linear(rank, linear.out_features, **like)
    nn.init.zeros_(B.weight)
    return Sum(linear.requires_grad_(False), nn.Sequential(A, B))
    # end solution

# %% tags=["self-check"]
check("add_low_rank", add_low_rank)

# %% [markdown]
# ## What you saw
# - The usual table uses words where it needs numbers. Beside a grid of real runs most of its advice was the best or could not be told from the best. *From scratch* lost everywhere it was advised.
# - A recommendation needs three things beside it: figures, their uncertainty, and the borders of what was measured.
# - Broken programs rarely fail. They print a number. Each mistake has a symptom, and most can be seen in one line: the range of the pixels, the first loss, the list of what learns, the accuracy at two batch sizes.
# - The mistakes that make the number *better* (leaks, the best of many, a class known before) are the dangerous ones.
# - BatchNorm only and low-rank adapters save numbers, not activations and not time. On a small network that is little; where the numbers themselves are too many, it is nearly everything.
# - Load, freeze, swap, tune: the moves are the same for text and speech.

# %% [markdown]
# ## Test yourself
# The lesson's quiz. A wrong answer is told why it is wrong, and costs nothing.

# %% tags=["quiz"]
quiz("08_which_strategy")

# %% [markdown]
# ## References
# - Stanford CS231n, *Transfer Learning* (course notes), <https://cs231n.github.io/transfer-learning/>: the table of four boxes; its fourth box adds that a pretrained start often helps even with much data
# - Kornblith, Shlens & Le 2019, *Do Better ImageNet Models Transfer Better?*, <https://arxiv.org/abs/1805.08974>: fixed features, fine-tuning and training from scratch, over many tasks and sizes
# - Ioffe & Szegedy 2015, *Batch Normalization*, <https://arxiv.org/abs/1502.03167>
# - Frankle, Schwab & Morcos 2021, *Training BatchNorm and Only BatchNorm*, <https://arxiv.org/abs/2003.00152>
# - Hu et al. 2022, *LoRA: Low-Rank Adaptation of Large Language Models*, <https://arxiv.org/abs/2106.09685>
# - Sanh et al. 2019, *DistilBERT*, <https://arxiv.org/abs/1910.01108>; Baevski et al. 2020, *wav2vec 2.0*, <https://arxiv.org/abs/2006.11477>
# - Deng et al. 2009, *ImageNet: A Large-Scale Hierarchical Image Database*, <https://doi.org/10.1109/CVPR.2009.5206848>
#
# **Next:** [10 · Final quiz](10_final_quiz.ipynb) draws on everything so far.
