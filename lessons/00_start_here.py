# %% [markdown]
# # 0 · Start here
# **Every claim in this course is an experiment you run here, in seconds, on a laptop CPU.** No GPU, no account, no faith required.
#
# <!-- badges -->
#
# *You will be able to* see whether your machine is ready · watch a network that has never seen a labelled dandelion learn five kinds of flower in about a second · choose your own way through the course.
#
# *Time* 5 min · *Before this* Python, and having seen a training loop once

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 20   # training photos a class
SIZE = 128       # pixels a side
SEEDS = 3        # repetitions, each with other photos and another start

# %% tags=["setup"]
import torch
from torchvision.models import get_model

# %% tags=["setup"]
from course_utils import plots
from course_utils.datasets import load_flowers
from course_utils.device import pick_device, seed_everything
from course_utils.features import embed, linear_probe
from course_utils.measure import stopwatch
from course_utils.stats import mean_interval
from course_utils.surgery import batchnorm_layers
from course_utils.training import evaluate, fit
from course_utils.weights import available_weights
from courseware.claims import claim

plots.use_style()
seed_everything(0)
device = pick_device()  # the networks go there: a GPU if there is one

# %% [markdown]
# Run a cell with **Shift + Enter**; the next one is then selected. Everything below was run before you came, so you can also just read. To start afresh: *Kernel → Restart Kernel and Clear Outputs*.
#
# ## Is your machine ready?
# Green is ready. Amber works, with something to know. Red needs you, and says what to do.

# %%
from courseware.doctor import panel

panel()

# %% [markdown]
# ## Transfer in sixty seconds
# The task of the whole course: five kinds of flower, from photos people took with whatever camera they had. Who took them, and what you may do with them, stands in [data/README.md](../data/README.md). We take very few of them to learn from, and keep others back to test on.

# %%
WEIGHTS = available_weights(BACKBONE)
PRETRAINED = WEIGHTS is not None

flowers = load_flowers(SIZE)
test = flowers.test.per_class(20)
print(f"{PER_CLASS} a class to learn from, {len(test)} to test on: {', '.join(flowers.classes)}")

# %% [markdown]
# The network was trained by others on ImageNet, 1.28 million photos of a thousand things. Of our five flowers that list holds one, the daisy. We do not train the network at all. We show it each photo once, keep the vector of numbers it computes just before its final answer, and fit a plain logistic regression on those.
#
# **Predict:** five kinds, so guessing gets one in five right. What will this get, from so few photos?

# %%
network = get_model(BACKBONE, weights=WEIGHTS).to(device)
few = [flowers.train.per_class(PER_CLASS, seed=seed) for seed in range(SEEDS)]

probes, seconds = [], []
for photos in few:
    with stopwatch(device) as run:
        probes.append(linear_probe(embed(network, photos), C=0.01))
    seconds.append(run.seconds)

seen = embed(network, test)
transferred = mean_interval([probe.score(seen.features, seen.labels) for probe in probes])
print(f"test accuracy {transferred}, {min(seconds):.1f} s a run")

# %% [markdown]
# The figures in brackets are a 95 % interval over the repetitions, each with other training photos. You will see such brackets everywhere in this course: an accuracy without one is an anecdote.
#
# ### And from scratch?
# The same architecture, starting from random numbers, on the same photos, for the same time; and then for five times as long. (One kindness to it: its BatchNorm layers take on new statistics three times faster than by default, or its few steps would not be enough for them to catch up.)

# %%
scratch = {1: [], 5: []}  # accuracies after that many times as long

# %%
for seed, photos in enumerate(few):
    torch.manual_seed(seed)
    model = get_model(BACKBONE, weights=None, num_classes=len(flowers.classes)).to(device)
    for layer in batchnorm_layers(model).values():
        layer.momentum = 0.3
    optimizer, spent, epoch = torch.optim.Adam(model.parameters(), lr=1e-3), 0.0, 0
    for times in scratch:
        while spent < times * min(seconds):
            one = fit(model, photos, None, epochs=1, batch_size=8, optimizer=optimizer, seed=epoch)
            spent, epoch = spent + one.seconds[0], epoch + 1
        scratch[times].append(evaluate(model, test).accuracy)

# %% alt="Bars with intervals: test accuracy of transfer, of training from scratch in the same time, and from scratch in five times as long; a dotted line marks guessing"
results = {
    "transfer": transferred,
    "from scratch, same time": mean_interval(scratch[1]),
    "from scratch, five times as long": mean_interval(scratch[5]),
}
ax = plots.bars(
    {name: i.mean for name, i in results.items()},
    errors={name: (i.low, i.high) for name, i in results.items()},
)
ax.axvline(1 / len(flowers.classes), color="0.5", linestyle=":")
ax.set(xlim=(0, 1.1), title="test accuracy (dotted: guessing)");

# %%
claim(
    "transfer beats five times the training time from scratch",
    transferred.low > results["from scratch, five times as long"].high,
    figure=f"{transferred} against {results['from scratch, five times as long']}",
    when=PRETRAINED,
    otherwise="needs the pretrained weights",
)

# %% [markdown]
# Do not conclude that training from scratch is hopeless: with so few photos and so little time it never had a chance, which is just the situation most people are in. With a million photos and many hours it gets there: that is how the weights above were made. How far a few photos carry you when you do *not* start from scratch is measured in [lesson 4](04_feature_extraction.ipynb).
#
# ### What does it say about single photos?

# %% tags=["shows-photos"] alt="18 test photos of five kinds of flower, each with the predicted kind; wrong predictions in red"
chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:18]
said = torch.from_numpy(probes[0].predict(seen.features[chosen]))
right = said == test.labels[chosen]
titles = [flowers.classes[k] if ok else f"{flowers.classes[k]}?" for k, ok in zip(said, right, strict=True)]
colours = ["black" if ok else plots.VERMILION for ok in right]
plots.image_grid(test.images[chosen], titles, colours=colours);

# %% [markdown]
# ## How a lesson works
# Each section goes **predict → run → interpret**. Make the prediction, aloud or on paper, before you run the cell. It is the cheapest way to learn anything: a surprise is remembered, a confirmation hardly.
#
# After an experiment stands a line such as the one above, with ✔ or ✘. It is computed on *your* machine from what just happened; if you change something and the claim breaks, it will say so. A dash means it could not be checked here, and why.
#
# Change things. Each lesson has a cell of parameters near its top: fewer photos, another network, more seeds. From a terminal, `python3 course.py run 04_feature_extraction -p PER_CLASS 20` runs a whole lesson with other values and leaves your copy alone.

# %% [markdown]
# ## How do you want to learn?
# There is more than one way through the same lessons. Below stand ten, each with every place that serves it: open one, and follow its links. (JupyterLab opens a lesson at its top; come back and click again, and it goes to the place.) Take the first if you do not know; take another when a lesson has been read and something is not clear yet; come back for the last two in a week.

# %% tags=["quiz"]
from courseware.ways import ways

ways()

# %% [markdown]
# ## The lessons
#
# | lesson | after it you can |
# |---|---|
# | [1 · Loading pretrained models](01_loading_pretrained_models.ipynb) | load a network, know what it expects, and see what it sees |
# | [2 · Freezing](02_freezing.ipynb) | freeze what you mean to freeze, and prove it |
# | [3 · Head swap](03_head_swap.ipynb) | give any network a new last layer |
# | [4 · Feature extraction](04_feature_extraction.ipynb) | learn from a frozen network for almost nothing, and report it honestly |
# | [5 · Fine-tuning](05_fine_tuning.ipynb) | let the backbone learn without losing what it knows, and say whether it paid |
# | [6 · BatchNorm pitfalls](06_batchnorm_pitfalls.ipynb) | see statistics drift, stop them, and move them on purpose |
# | [7 · Strategy comparison](07_strategy_comparison.ipynb) | compare strategies fairly in a world where the best possible is known |
# | [8 · Which strategy?](08_which_strategy.ipynb) | choose a strategy from measurements, and find the bug that spoils it |
# | [10 · Final quiz](10_final_quiz.ipynb) | say what you know, and what to read again |

# %% [markdown]
# ## How far you are
# Each lesson asks questions, in the middle and at its end, and has exercises that are checked. Answers are graded at once, and a wrong one is told why. What you have done is kept on your machine and shows up here; [lesson 10](10_final_quiz.ipynb) draws a final quiz from all of it.

# %% tags=["quiz"]
from courseware.progress import progress

progress()

# %% [markdown]
# ## What you saw
# - A network trained on other pictures already computes what your task needs.
# - A logistic regression on its features, from a handful of photos, beat the same network trained from scratch with five times the time.
# - Every number came with an interval, from photos that were not used to learn.
#
# ## References
# - Deng et al. 2009, *ImageNet: A large-scale hierarchical image database*, <https://doi.org/10.1109/CVPR.2009.5206848>
# - Sandler et al. 2018, *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, <https://arxiv.org/abs/1801.04381>
#
# **Next:** [1 · Loading pretrained models](01_loading_pretrained_models.ipynb)
