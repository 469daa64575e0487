# %% [markdown]
# # 7 · Strategy comparison
# **Which strategy is best, and how would you know?** In this lesson you build a world in which the best possible accuracy is known, pretrain for real, train twenty networks in one go, and draw a map of who wins where.
#
# <!-- badges -->
#
# *You will be able to* tell a fair comparison from one that shows nothing · train many small networks as one · tune every strategy on data that judges nothing · decide by a paired interval whether one strategy beats another · read a map of winners, and leave its uncertain cells alone.
#
# *Time* 25 min · *Before this* [6 · BatchNorm pitfalls](06_batchnorm_pitfalls.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
SEEDS = 20  # networks, each with a task and data of its own, behind every figure
SEED = 0    # another number: other networks, tasks and data
POINTS = (20, 150, 1500)                  # of the map: how many labelled points,
RELATEDNESS = (0.0, 0.5, 0.8, 0.95, 1.0)  # and how related the task is

# %% tags=["setup"]
import matplotlib.pyplot as plt
import pandas as pd
import torch
from ipywidgets import FloatSlider, SelectionSlider
from sklearn.linear_model import LogisticRegression
from torch import nn

# %% tags=["setup"]
from course_utils import plots
from course_utils.device import pick_device, seed_everything
from course_utils.measure import stopwatch
from course_utils.stats import mean_interval
from course_utils.strategies.contest import LOGISTIC, STRATEGIES, compare, pretrain, untrained
from course_utils.strategies.world import Samples, Task, World, source_samples, target_samples
from courseware.claims import claim
from courseware.dials import as_html, explore

plots.use_style()
seed_everything(SEED)
torch.set_num_threads(1)  # the networks are so small that sharing them out costs more than it saves
device = pick_device()

# %% [markdown]
# Photos are slow, and nobody knows the best accuracy that is possible on them. So in this lesson there are no photos. There is a small invented world, and in it we know everything that we would like to know about flowers.
#
# A GPU gains nothing on networks this small: to start an operation takes longer than to compute it. So only the one network that we write by hand goes to `device`, and the helpers compute on the CPU.
#
# Each **seed** is one complete repetition: its own network, its own task, its own data. A second, separate set of seeds is for choosing learning rates; no result is ever reported on those.

# %%
seeds = range(1000 * SEED, 1000 * SEED + SEEDS)
tuning_seeds = range(1000 * SEED + 900, 1000 * SEED + 908)
world = World()
print(f"{len(seeds)} seeds to judge by, {len(tuning_seeds)} others to choose by")

# %% [markdown]
# ## The famous comparison
# You find this one in many notebooks. A small network plays the pretrained backbone. It is given random weights, "as if it had been trained elsewhere", with a little noise on top for realism. Then come the strategies: train a head on the frozen backbone (*head only*, also called a *linear probe*), unfreeze the *last stage*, which here is the last hidden layer, unfreeze *all* (full fine-tuning). The accuracies rise in this order, and the notebook concludes that unfreezing pays.
#
# Here it is for one seed, by hand. An example is six numbers and a yes or no; where they come from is the next section.

# %%
samples, test = target_samples(world, Task(points=900), [seeds[0]])
x, y = samples.x[0], samples.y[0]

backbone = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()).to(device)
with torch.no_grad():
    for parameter in backbone.parameters():
        parameter += 0.01 * torch.randn_like(parameter)  # "fine details of the source task"
    features, test_features = (backbone(part.to(device)).cpu() for part in (x, test.x[0]))
features.shape

# %%
probe = LogisticRegression(max_iter=5000).fit(features, y[:, 0])
print(f"probe on the backbone {probe.score(test_features, test.y[0, :, 0]):.3f}")

# %% [markdown]
# An accuracy like this looks decent. **Predict:** what does the same classifier reach *without* any backbone, on the six numbers themselves?

# %%
plain = LogisticRegression().fit(x, y[:, 0])
print(f"no backbone at all    {plain.score(test.x[0], test.y[0, :, 0]):.3f}")

# %% [markdown]
# One seed is an anecdote, so now all of them, with each strategy's learning rate tuned. `untrained` makes the random backbones, `compare` runs the strategies; both are opened up below. We add the row that the famous comparison leaves out, logistic regression on the raw numbers.

# %%
rows = ["from scratch", "head only", "last stage", "all"]
entries = {name: STRATEGIES[name] for name in rows} | {"logistic regression": LOGISTIC}
random_backbones = untrained(world, seeds), untrained(world, tuning_seeds[:4])
naive = {n: compare(Task(n), *random_backbones, entries) for n in (900, 50)}

pd.DataFrame({f"{n} points": {name: f"{naive[n].interval(name):.3f}" for name in entries} for n in naive})

# %%
claim("the story comes out: unfreezing a part beats the probe on 900 points",
      naive[900].difference("last stage", "head only").low > 0,
      figure=f"{naive[900].difference('last stage', 'head only'):.3f}")
claim("but on 50 points the probe loses to logistic regression without a backbone",
      naive[50].difference("logistic regression", "head only").low > 0,
      figure=f"{naive[50].difference('logistic regression', 'head only'):.3f}")
claim("and on 900 it gains nothing worth the name over it",
      naive[900].difference("head only", "logistic regression").mean < 0.01,
      figure=f"{naive[900].difference('head only', 'logistic regression'):.3f}")
claim("full fine-tuning of this backbone and training from scratch: equal in every digit",
      torch.equal(naive[900].accuracy["all"], naive[900].accuracy["from scratch"]))

# %% [markdown]
# The last line says it all. Here *all* and *from scratch* are one experiment under two names: random weights, then training. Random plus noise is still random. Nothing was transferred, so the table cannot tell anything about transfer. It shows that more trainable weights fit more, which we knew, and calls it a strategy.
#
# Two habits would have caught it. Put a baseline without any backbone beside it. And ask of every "pretrained": on what?

# %% tags=["quiz"]
from courseware.quiz import quiz

quiz("07-naive")

# %% [markdown]
# ## A world where everything is known
# Behind each example stand six hidden numbers, its **factors** `z`, drawn from a normal distribution. Think of them as petal shape, colour, light, and so on. We never see them. We see `x`, a *rendering*: the factors mixed and folded into six other numbers.
#
# Turn one factor and hold the others still: all six observed numbers move, and some of them bend.

# %% alt="Six bent lines: what is observed while the first factor goes from one end to the other"
one_factor = torch.zeros(200, world.size)
one_factor[:, 0] = torch.linspace(-3, 3, 200)

ax = plt.subplots(figsize=(5, 2.8), layout="constrained")[1]
ax.plot(one_factor[:, 0], world.render(one_factor))
ax.set(xlabel="the first factor", title="the six observed numbers");

# %%
z = torch.randn(1000, world.size)
error = (world.factors(world.render(z)) - z).abs().max().item()
claim("nothing is lost in the rendering: every factor can be computed back", error < 1e-3,
      figure=f"largest error {error:.1e}")

# %% [markdown]
# So `x` holds all the information, in a form that is hard to read. A backbone has to learn to read it. That is what a backbone does on photos too.
#
# **Who needs which factor?** The first two decide the *source* labels, those we pretrain on. The next two decide what no source label tells. The last two decide nothing. A target label is the sign of a score, and one number says how much of the score comes from each side:
#
# $$\text{score} = r \cdot (\text{source factors}) + \sqrt{1 - r^2} \cdot (\text{other factors})$$
#
# `r` is the **relatedness**. At 1 the target hangs on the very factors that pretraining learned to read, at 0 on none of them. Finally a small share of the labels is flipped at random, the **label noise**. It hits training and test alike, as bad labels do.
#
# **Predict:** one label in twenty is flipped. What accuracy does the best conceivable rule reach on such labels? And the best rule that sees the source factors only, at `r` = 0.8?
#
# No theory is needed to find out. Draw many examples and let the two rules play.

# %%
n, r, noise = 200_000, 0.8, 0.05
source, other = torch.randn(2, n)
truth = r * source + (1 - r**2) ** 0.5 * other > 0
labels = truth ^ (torch.rand(n) < noise)

everything = (truth == labels).float().mean().item()
source_only = ((source > 0) == labels).float().mean().item()
print(f"the rule that knows everything {everything:.4f}, the source factors alone {source_only:.4f}")

# %% [markdown]
# The first is simply the share of labels that were not flipped: a coin flip cannot be guessed. This limit has a name, the **Bayes accuracy**. For the second there is a formula as well: two normal scores of correlation `r` have the same sign with probability 1/2 + arcsin(r)/π. A `Task` computes both.

# %%
task = Task(points=900, relatedness=r, label_noise=noise)
claim("the formulas agree with the simulation",
      abs(task.bayes - everything) < 0.005 and abs(task.source_ceiling - source_only) < 0.006,
      figure=f"Bayes {task.bayes:.4f}, source factors alone {task.source_ceiling:.4f}")

# %% [markdown]
# Colours are the labels, dots with the wrong colour for their side are flipped ones.
#
# **Predict:** two dials turn the task. Which of them turns the border between the colours, and which of the two accuracies above the picture does it leave alone?

# %% tags=["dial"] alt="The labels of 600 examples over the source factor and the other factor, and the best accuracies that are possible"
# Dial: relatedness and label noise
def show_task(relatedness, label_noise):
    shown = Task(600, relatedness, label_noise)
    score = relatedness * source[:600] + (1 - relatedness**2) ** 0.5 * other[:600]
    flipped = torch.rand(600, generator=torch.Generator().manual_seed(0)) < label_noise
    ax = plt.subplots(figsize=(4.6, 3.4), layout="constrained")[1]
    for side, colour, marker in [(True, plots.BLUE, "o"), (False, plots.ORANGE, "^")]:
        chosen = ((score > 0) ^ flipped) == side
        ax.scatter(source[:600][chosen], other[:600][chosen], s=9, c=colour, marker=marker)
    ax.set(xlabel="source factor", ylabel="other factor",
           title=f"best rule {shown.bayes:.2f}, source factors alone {shown.source_ceiling:.2f}")
    return ax.figure

explore(show_task, alt="Labels over the two kinds of factors, and the best accuracies",
        relatedness=FloatSlider(0.8, max=1, step=0.05), label_noise=FloatSlider(0.05, max=0.45, step=0.05))

# %% [markdown]
# Turn the relatedness to 1 and then to 0, and watch the border: a vertical one can be found by looking at the source factor, a horizontal one cannot. Turn the noise up, and the limit comes down for everybody.

# %% tags=["quiz"]
quiz("07-bayes")

# %% [markdown]
# ## Pretraining that is real
# The source task: many labels for each example, every one the sign of the two source factors along some direction. Whoever gets them all right must have read those two factors.

# %%
source_data = source_samples(world, points=20_000, seeds=[seeds[0]])
print("examples", tuple(source_data.x.shape), "labels", tuple(source_data.y.shape))

# %% [markdown]
# ### Many networks in one product
# We want twenty backbones, not one, and Python would spend nearly all of its time on starting small operations. A way out: stack the weights of all networks into one tensor `[seeds, inputs, outputs]`. A layer of all of them is then **one batched matrix product**.

# %%
weight, bias = torch.randn(SEEDS, 6, 64), torch.randn(SEEDS, 1, 64)
batch = torch.randn(SEEDS, 32, 6)  # each network has its own batch

all_at_once = torch.baddbmm(bias, batch, weight)
one_by_one = torch.stack([batch[s] @ weight[s] + bias[s] for s in range(SEEDS)])
claim("one batched product is the layer of every network", torch.allclose(all_at_once, one_by_one, atol=1e-5),
      figure=tuple(all_at_once.shape))

# %% [markdown]
# The networks never touch: each product has its own numbers, so each network gets its own gradient when the losses are *added up* over seeds. Is a stack trained in this way really the same as separate networks? Take one of them and train it as everybody does. First what both have in common: data, starting weights, order of the batches.

# %%
from course_utils.strategies.contest import BATCH, STEPS, WIDTH
from course_utils.strategies.networks import batch_order, new_layers, train

samples, _ = target_samples(world, Task(points=50), seeds)
samples = Samples(samples.x.double(), samples.y.double())  # float64: rounding stays out of the way
sizes = (world.size, WIDTH, WIDTH, 1)
start = [(weight.double(), bias.double()) for weight, bias in new_layers(sizes, seeds)]
order = batch_order(50, STEPS, BATCH, seeds)
order.shape  # seeds, steps, row numbers of a batch

# %% [markdown]
# The last network of the stack, alone: `nn.Linear`, `torch.optim.Adam`, a learning rate that falls to zero.

# %%
linears = [nn.Linear(i, o).double() for i, o in zip(sizes, sizes[1:], strict=False)]
for linear, (weight, bias) in zip(linears, start, strict=True):
    linear.load_state_dict({"weight": weight[-1].T, "bias": bias[-1, 0]})
alone = nn.Sequential(linears[0], nn.ReLU(), linears[1], nn.ReLU(), linears[2])
optimizer = torch.optim.Adam(alone.parameters(), lr=1e-3)
falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
with stopwatch() as one_network:
    for rows in order[-1]:
        loss = nn.functional.binary_cross_entropy_with_logits(alone(samples.x[-1, rows]), samples.y[-1, rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()

# %%
everything_learns = ((1.0, (1.0, 1.0, 1.0)),)  # one phase: all steps, full rate in all three layers
with stopwatch() as whole_stack:
    stack = train(start, samples, order, torch.full((SEEDS,), 1e-3, dtype=torch.float64), everything_learns)

off = max((w[-1].T - linear.weight).abs().max().item() for (w, _), linear in zip(stack, linears, strict=True))
moved = (linears[1].weight - start[1][0][-1].T).abs().max().item()
claim("the network in the stack ends with the weights of the network alone", off < 1e-6 < moved,
      figure=f"largest difference {off:.0e} after {STEPS} steps")
print(f"one network {one_network.seconds:.2f} s, the stack of {SEEDS} {whole_stack.seconds:.2f} s")

# %% [markdown]
# Same weights, up to the last digits of rounding, for all seeds at once. This is what makes the rest of the lesson possible: every figure below has all the seeds behind it. Now the pretraining, of the backbones that are judged and of those for tuning.

# %%
with stopwatch() as pretraining:
    backbones = pretrain(world, seeds)
tuning = pretrain(world, tuning_seeds)
print(f"{SEEDS} backbones pretrained in {pretraining.seconds:.1f} s")
claim("all backbones are pretrained in less than 10 seconds", pretraining.seconds < 10, timed=True,
      figure=f"{pretraining.seconds:.1f} s")

# %% [markdown]
# Did they learn anything? Put a new head on the frozen backbones and give it 900 noise-free labels of a fully related task. Then do the same with the random ones.

# %%
from course_utils.strategies.contest import run_strategy

clean = Task(points=900, relatedness=1.0, label_noise=0.0)
learned = run_strategy(STRATEGIES["head only"], clean, backbones, rate=8e-3)
by_chance = run_strategy(STRATEGIES["head only"], clean, random_backbones[0], rate=8e-3)
gain = mean_interval((learned - by_chance).tolist())
claim("a head reads the source factors off the pretrained backbones, much better than off random ones",
      learned.mean() > 0.95 and gain.low > 0.03, figure=f"{learned.mean():.3f}, {gain:.3f} more")

# %% [markdown]
# This is the test that the famous comparison never made. *These* backbones carry something.

# %% [markdown]
# ## Five strategies, one budget
# A strategy is a start and a plan. The plan is a list of phases: which share of the steps it takes, and with which share of the learning rate each of the three layers learns. A share of 0 means frozen.

# %%
pd.DataFrame({
    name: {"starts from": strategy.start, "phases": strategy.phases} for name, strategy in STRATEGIES.items()
}).T

# %% [markdown]
# *Last stage* trains the head first, then the last hidden layer too, at a tenth of the rate. *Probe, then all* trains the head first, then everything gently. All take the same number of steps with the same batches, so nobody wins by training longer.
#
# That leaves the learning rate, and one rate for all is not fair: what suits a lone head may wreck a backbone. So each strategy chooses its own, from the same four, **on the tuning seeds**. By hand, for one strategy:

# %%
from course_utils.strategies.contest import RATES

strategy, task = STRATEGIES["all"], Task(points=900)
validation = {rate: run_strategy(strategy, task, tuning, rate).mean().item() for rate in RATES}
best = max(validation, key=validation.get)
print({f"{rate:g}": round(score, 3) for rate, score in validation.items()}, f"→ {best:g}")

# %%
accuracy = run_strategy(strategy, task, backbones, best)
print(f"all, 900 points, rate {best:g}: {mean_interval(accuracy.tolist()):.3f}")

# %% [markdown]
# Choosing and judging never share a seed. `compare` does this for every strategy, with all four rates of a strategy in one stack, and two strategies side by side.

# %%
with stopwatch() as watch:
    many = compare(task, backbones, tuning)
again = run_strategy(strategy, task, backbones, many.rate["all"])
claim("compare reports what the rate it chose gives", torch.equal(again, many.accuracy["all"]),
      figure=f"rate {many.rate['all']:g}")
claim("five strategies, tuned and judged on all seeds, in less than 10 seconds", watch.seconds < 10,
      timed=True, figure=f"{watch.seconds:.1f} s")

# %% [markdown]
# ## Two sizes, two orders
# **Predict:** on a fully related task with 900 labelled points, how many points of accuracy is pretraining worth? And with 50?

# %% alt="Two bar charts with intervals, for many and for few training points: accuracy of the five strategies; a dotted line marks the best possible"
few = compare(Task(points=50), backbones, tuning)

fig, axes = plt.subplots(1, 2, figsize=(10, 2.8), layout="constrained", sharex=True)
for axis, result in zip(axes, (many, few), strict=True):
    spans = {name: result.interval(name) for name in STRATEGIES}
    plots.bars({name: span.mean for name, span in spans.items()},
               errors={name: (span.low, span.high) for name, span in spans.items()}, ax=axis)
    axis.axvline(result.task.bayes, color="0.4", linestyle=":")
    axis.set(xlim=(0.75, 0.98), title=f"{result.task.points} points (dotted: Bayes accuracy)")

# %% [markdown]
# The whiskers of neighbours overlap. Does that mean that we cannot tell them apart? No. All strategies saw the **same** tasks and points, seed by seed, and a hard task is hard for all of them. Take the difference within each seed first: what they share drops out. That is a **paired** interval. It answers the question that was asked, and it is usually the narrower one.

# %%
a, b = many.accuracy["all"], many.accuracy["from scratch"]
paired = mean_interval((a - b).tolist())
print(f"all          {mean_interval(a.tolist()):.3f}")
print(f"from scratch {mean_interval(b.tolist()):.3f}")
print(f"difference, seed by seed: {paired:.3f}")

# %%
pretrained = [name for name, strategy in STRATEGIES.items() if strategy.start == "pretrained"]
leads = {n: {name: result.difference(name, "from scratch") for name in pretrained}
         for n, result in ((900, many), (50, few))}

claim("with 900 points every pretrained strategy beats training from scratch",
      all(lead.low > 0 for lead in leads[900].values()), figure=f"by {min(lead.mean for lead in leads[900].values()):.3f} or more")
claim("with 50 points the probe's lead over it is at least three times as large",
      leads[50]["head only"].mean > 3 * leads[900]["head only"].mean,
      figure=f"{leads[900]['head only']:.3f} with 900, {leads[50]['head only']:.3f} with 50")
claim("with 50 points, whoever trains the head first beats full fine-tuning",
      all(few.difference(name, "all").low > 0 for name in pretrained if name != "all"),
      figure=f"head only − all {few.difference('head only', 'all'):.3f}")

# %% [markdown]
# Pretraining replaces labels: it is worth most where labels are few. So far full fine-tuning leads at neither size, though. The task is *fully* related, the frozen features hold all that it needs, and there is little for fine-tuning to find.
#
# Real tasks are never quite the source task. **Predict:** lower the relatedness by a hundredth, to 0.99. Who wins with 50 points now, the probe or full fine-tuning? And with 900?

# %%
from course_utils.strategies.contest import strategy_map

nearly = strategy_map([50, 900], [0.99], backbones, tuning)
full_leads = {n: nearly[n, 0.99].difference("all", "head only") for n in (50, 900)}
pd.DataFrame({f"{n} points": {name: f"{result.interval(name):.3f}" for name in STRATEGIES}
              for (n, _), result in nearly.items()})

# %%
gaps = {n: result.accuracy["all"] - result.accuracy["head only"] for (n, _), result in nearly.items()}
turn = mean_interval((gaps[900] - gaps[50]).tolist())
claim("at relatedness 0.99 with 900 points, full fine-tuning beats the probe", full_leads[900].low > 0,
      figure=f"{full_leads[900]:.3f}")
claim("with 50 points it comes out behind", full_leads[50].mean < 0, figure=f"{full_leads[50]:.3f}")
claim("the turn itself is more than luck: the change of the difference, seed by seed",
      turn.low > 0, figure=f"{turn:.3f}")

# %% [markdown]
# Two sizes, two orders. With many points the probe pays for the little that its frozen features do not hold, and everything that unfreezes overtakes it. With few points the same unfreezing has too little to learn from. A comparison at one size would have reported either of the two as *the* result.
#
# Mind the third claim. "A wins here, B wins there" is a statement about a *change*, so the change gets an interval of its own. Two separate verdicts are not enough to say that the order turned.

# %% [markdown]
# ## The learning rate decides the order
# Back to the fully related task and its 50 points. Here is every strategy at every rate, nothing chosen.
#
# **Predict:** somebody compares all strategies at one common learning rate. Does it matter which one?

# %% alt="Five curves with intervals, one for each strategy: accuracy with few points over the learning rate"
grid = {name: {rate: run_strategy(strategy, few.task, backbones, rate) for rate in RATES}
        for name, strategy in STRATEGIES.items()}

ax = plt.subplots(figsize=(8, 3.4), layout="constrained")[1]
for name, scores in grid.items():
    plots.curve(RATES, [mean_interval(score.tolist()) for score in scores.values()], label=name, ax=ax)
ax.set(xscale="log", xlabel="learning rate", title="accuracy, 50 points")
ax.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
ax.legend(loc="upper left", bbox_to_anchor=(1, 1));

# %%
pairs = [("head only", "last stage"), ("last stage", "all"), ("all", "from scratch"), ("head only", "all")]
leads = {pair: {rate: mean_interval((grid[pair[0]][rate] - grid[pair[1]][rate]).tolist()) for rate in RATES}
         for pair in pairs}
pd.DataFrame({f"{a} − {b}": {f"{rate:g}": f"{leads[a, b][rate]:.3f}" for rate in RATES} for a, b in pairs})

# %%
common, by_head = 8e-3, ("head only", "last stage")
means = [grid[name][common].mean().item() for name in ("head only", "last stage", "all", "from scratch")]
own = few.difference("head only", "all")
claim("at the common rate 0.008, the more that learns the worse: head only, last stage, all, from scratch",
      means == sorted(means, reverse=True), figure=" > ".join(f"{mean:.3f}" for mean in means))
claim("there the lead of the head only over all is larger than with each at its own rate",
      leads["head only", "all"][common].low > own.mean,
      figure=f"{leads['head only', 'all'][common]:.3f} against {own:.3f}")
claim("and at the smallest of the four rates nothing of that lead is left",
      leads["head only", "all"][3e-4].low < 0, figure=f"{leads['head only', 'all'][3e-4]:.3f}")
claim("the better part of its lead over the last stage, too, is gone once each has its own rate",
      few.difference(*by_head).mean < leads[by_head][common].mean / 2,
      figure=f"{leads[by_head][common]:.3f} against {few.difference(*by_head):.3f}")

# %% [markdown]
# Every strategy has a rate at which it does well, and they are not the same. Whoever picks one rate for all has a hand in the ranking, and may not know it. The probe is the most patient of them: one layer on fixed features is hard to ruin.
#
# So "all with the same learning rate" sounds fair and is not. What has to be equal is the **effort of the search**: the same candidate rates, the same validation data, the same rule of choice.

# %% tags=["quiz"]
quiz("07-tuning")

# %% [markdown]
# ## How close to the limit?
# On photos you never know whether the last points of accuracy are out of reach or just not reached. Here we do: nobody can beat the Bayes accuracy.
#
# First, is the limit in reach at all? Take somebody who reads the factors perfectly, by the world's own inverse, and only has to learn from the labels how they decide. One such reader is given all six factors. Another has been told which two of them matter.

# %%
reader = {}  # accuracies [seeds] of somebody who reads so many factors and gets n labels
for n in (50, 900, 5000):
    samples, test = target_samples(world, Task(n), seeds)
    z, z_test = world.factors(samples.x), world.factors(test.x)
    for k in (6, 2):
        fits = [LogisticRegression().fit(z[s, :, :k], samples.y[s, :, 0]) for s in range(SEEDS)]
        scores = [fit.score(z_test[s, :, :k], test.y[s, :, 0]) for s, fit in enumerate(fits)]
        reader[k, n] = torch.tensor(scores)

# %% [markdown]
# **Predict:** with 50 labels, who is closer to the limit: the reader of all six factors, or the linear probe, which has to read them off features? And how far is the best strategy from the limit with 5,000?

# %%
names = ("from scratch", "head only", "last stage", "probe, then all")
plenty = compare(Task(points=5000), backbones, tuning, {name: STRATEGIES[name] for name in names})
limit, missing = plenty.task.bayes, {}
for result in (few, many, plenty):
    n = result.task.points
    below = {name: limit - result.accuracy[name].mean().item() for name in names}
    below |= {f"reader of {k} factors": limit - reader[k, n].mean().item() for k in (6, 2)}
    missing[f"{n} points"] = {name: f"{100 * gap:.1f}" for name, gap in below.items()}
print("points of accuracy below the Bayes accuracy")
pd.DataFrame(missing)

# %%
claim("who reads the right two factors comes within 1 point of the limit with 5,000 labels",
      reader[2, 5000].mean() > limit - 0.01, figure=f"{reader[2, 5000].mean():.3f}")
over_six = mean_interval((few.accuracy["head only"] - reader[6, 50]).tolist())
claim("with 50 labels the probe is ahead of the reader of all six", over_six.low > 0, figure=f"{over_six:.3f}")
over_two = mean_interval((few.accuracy["head only"] - reader[2, 50]).tolist())
claim("and within 2 points of the one who knows which two matter", abs(over_two.mean) < 0.02,
      figure=f"{over_two:.3f}")

# %%
claim("with 900 labels, “last stage” and “probe, then all” come within 3 points of the limit",
      all(many.interval(name).mean > limit - 0.03 for name in ("last stage", "probe, then all")),
      figure=f"{many.interval('last stage'):.3f}, {many.interval('probe, then all'):.3f}")
claim("with 5,000 the best strategy comes within 2 points",
      max(plenty.interval(name).mean for name in names) > limit - 0.02,
      figure=", ".join(f"{name} {plenty.interval(name).mean:.3f}" for name in names))
claim("and nobody beats the limit: that would be a leak",
      all(result.interval(n).mean < limit for result in (few, many, plenty) for n in names))

# %% [markdown]
# Now the missing points have names. The flipped labels take their share from everybody: it lies between the Bayes accuracy and 1. Scarce labels take theirs even from those who read perfectly. What is left with 5,000 labels is imperfect reading, by a backbone that was pretrained for a moment; more labels do little against that, better pretraining would do more.
#
# And look at the 50 points once more. What did pretraining give to the probe? Not only the skill to read. It also said **which two factors to read**, and with few labels that was worth more than perfect sight.
#
# On photos all of this arrives as one number. Keep in mind that it has parts.

# %% [markdown]
# ## The map
# Data on one axis, relatedness on the other, and in each field a complete comparison: five strategies, each tuned, on all seeds. To keep it short the map tunes on half of the tuning seeds.
#
# **Predict** before you run on. Here are the four corners. Replace the names by those that you expect to win.

# %%
guesses = {
    (20, 1.0): "all", (1500, 1.0): "all",  # a fully related task: few points, many points
    (20, 0.0): "all", (1500, 0.0): "all",  # an unrelated one
}
assert set(guesses.values()) <= set(STRATEGIES), f"choose from {list(STRATEGIES)}"

# %%
few_tuning = tuning.first(4)
with stopwatch() as watch:
    cells = strategy_map(POINTS, RELATEDNESS, backbones, few_tuning)
claim("the map takes less than 60 seconds", watch.seconds < 60, timed=True,
      figure=f"{len(cells)} comparisons in {watch.seconds:.0f} s")

# %% alt="A map in colours: the strategy with the highest mean accuracy for each number of training points and each relatedness, with its lead; hatched where the lead may be chance"
from course_utils.strategies.winner_map import winner_map

winners = {pair: cell.winner() for pair, cell in cells.items()}
ax = winner_map({pair: (first, lead.low > 0) for pair, (first, _, lead) in winners.items()},
                names=list(STRATEGIES),
                labels={pair: f"+{100 * lead.mean:.1f}" for pair, (_, _, lead) in winners.items()})
ax.set(xlabel="training points", ylabel="relatedness",
       title="highest mean accuracy, and its lead over the second in points");

# %% [markdown]
# A field is **hatched** where the paired interval between the first and the second holds 0: on these seeds we cannot tell who is better. There the colour is a coin toss, and another `SEED` may paint it differently. (The interval is a little too sure of itself even so, because the pair was picked after looking.)
#
# Read regions, not single fields.

# %%
ahead = {(a, b, r): [cells[n, r].difference(a, b) for n in POINTS] for a, b, r in [
    ("from scratch", "head only", 0.0), ("all", "head only", 0.8), ("head only", "from scratch", 1.0)]}
at_least = {key: min(lead.low for lead in leads) for key, leads in ahead.items()}
for (a, b, r), low in at_least.items():
    claim(f"relatedness {r}: {a} beats {b} at every size", low > 0, figure=f"by {low:.3f} or more")

# %%
harm = cells[150, 0.0].difference("from scratch", "all")
claim("unrelated task, 150 points: training from scratch beats even full fine-tuning", harm.low > 0,
      figure=f"{harm:.3f}")
claim("some fields are uncertain", any(lead.low <= 0 for _, _, lead in winners.values()),
      figure=f"{sum(lead.low <= 0 for _, _, lead in winners.values())} of {len(winners)}")

# %% [markdown]
# From bottom to top: where the source task tells nothing about the target, a frozen backbone falls far behind a fresh start, and even full fine-tuning can be worse off, because it starts out knowing the wrong things. This is called **negative transfer**. In the middle, full fine-tuning takes what helps and mends the rest. At the top, those who train the head first are ahead of training from scratch, and often so close to each other that the honest answer is a hatched field.
#
# Look at one more figure. A rule that sees the source factors alone is right half of the time on an unrelated task. And the probe?

# %%
lost = cells[1500, 0.0]
claim("the probe on an unrelated task is far above a rule that sees the source factors alone",
      lost.interval("head only").low > lost.task.source_ceiling + 0.1,
      figure=f"{lost.interval('head only'):.3f} against {lost.task.source_ceiling}")

# %% [markdown]
# Nobody told the backbone to *forget* the other factors. It was only never asked for them, and traces stay in its features. The same happens on photos: a network trained to name objects still knows something about colour and texture.

# %% [markdown]
# ### How good were your corners?

# %%
verdicts = {}
for pair, guess in guesses.items():
    behind = cells[pair].difference(winners[pair][0], guess)
    verdict = "beaten" if behind.low > 0 else "best, or as good as we can tell"
    verdicts[pair] = {"your guess": guess, "highest mean": winners[pair][0], "ahead of it by": f"{behind:.3f}", "so": verdict}
pd.DataFrame(verdicts).T.rename_axis(["points", "relatedness"])

# %% [markdown]
# Walk over the map. Whiskers are 95 % intervals, the dotted line is the Bayes accuracy.
#
# **Predict:** go up the column of 150 points, from an unrelated task to a fully related one. Whose bar grows most, and whose stands still?

# %% tags=["dial"] alt="Accuracy of the five strategies in one field of the map, with intervals and the Bayes accuracy"
# Dial: a field of the map, by points and relatedness
def show_field(points, relatedness):
    cell = cells[points, relatedness]
    spans = {name: cell.interval(name) for name in STRATEGIES}
    ax = plots.bars({name: span.mean for name, span in spans.items()},
                    errors={name: (span.low, span.high) for name, span in spans.items()})
    ax.axvline(cell.task.bayes, color="0.4", linestyle=":")
    first, second, lead = cell.winner()
    ax.set(xlim=(0.45, 1.05), title=f"{first} − {second}: {lead:.3f}")
    return ax.figure

explore(show_field, alt="Accuracy of the five strategies", points=SelectionSlider(options=POINTS, value=150),
        relatedness=SelectionSlider(options=RELATEDNESS, value=0.8))

# %% [markdown]
# Training from scratch does not care how related the tasks are; the probe lives on it. Then turn the points up at a relatedness of 1, and watch it catch up.

# %%
redraws = []
for draw, values in [(show_field, (20, 1.0)), (show_task, (0.5, 0.1))] * 3:
    with stopwatch() as watch:
        as_html(draw(*values))
    redraws.append(watch.seconds)
claim("both dials of this lesson draw again in less than a fifth of a second", sorted(redraws)[-2] < 0.2,
      timed=True, figure=f"{1000 * max(redraws):.0f} ms at most")

# %% [markdown]
# A larger map, 25 fields with sizes in between, is made by `python3 course.py bench synthetic`, with the throughput of the stacks and the comparisons of two more worlds. Its figures are kept in `data/results/synthetic.json`. Or change `POINTS` and `RELATEDNESS` at the top.

# %% tags=["quiz"]
quiz("07-map")

# %% [markdown]
# ## Your turn
# Two functions stand behind every honest figure of this lesson. `choose_and_report(val, test)` gets the accuracies of one strategy, `[rates, seeds]`, on validation and on test data. It returns the test scores `[seeds]` of the rate that it chose.

# %% tags=["exercise"]
def choose_and_report(val, test):
    """Test scores [seeds] of the rate whose mean validation score is best. val, test: [rates, seeds]."""
    # solution
    best = val.mean(dim=1).argmax()
    return test[best]
    # end solution


# %% tags=["self-check"]
from courseware.exercises import check

check("choose_and_report", choose_and_report)  # hint(…) helps; after a try, solution(…) shows one

# %% [markdown]
# `paired_interval(a, b)` gets the scores of two strategies on the same seeds and returns the mean of `a - b` with the low and high end of its 95 % interval. Seeds are few, so use Student's t.

# %% tags=["exercise"]
from scipy.stats import t


def paired_interval(a, b):
    """Mean, low and high of the 95 % interval of a - b. a, b: scores [seeds], of the same seeds."""
    # solution
    differences = a - b
    mean = differences.mean()
    error = differences.std() / len(differences) ** 0.5
    half = t.ppf(0.975, len(differences) - 1) * error
    return mean, mean - half, mean + half
    # end solution


# %% tags=["self-check"]
check("paired_interval", paired_interval)

# %% [markdown]
# ### The contest
# Now enter a strategy of your own. Choose a task, write the phases (the shares of the steps add up to 1; one share of the rate for each of the three layers, 0 is frozen), and give a reason before you run it. The entry below learns everything from the first step, the earlier a layer the more gently.
#
# Practise on the seeds of this lesson as often as you like: `compare(arena, backbones, tuning, …)`. The contest itself runs on **fresh seeds**. If you change your entry after seeing the result, it has helped you to choose: move on to other seeds.

# %%
from course_utils.strategies.contest import Strategy

arena = Task(points=150, relatedness=0.95)
mine = Strategy("pretrained", ((1.0, (0.1, 0.3, 1.0)),))

# %%
fresh = range(1000 * SEED + 500, 1000 * SEED + 500 + SEEDS)
contest = compare(arena, pretrain(world, fresh), tuning, {"mine": mine} | STRATEGIES)
leads = {name: contest.difference("mine", name) for name in STRATEGIES}
pd.DataFrame({name: {"accuracy": f"{contest.interval(name):.3f}", "mine minus it": f"{lead:.3f}",
                     "mine is": "ahead" if lead.low > 0 else "behind" if lead.high < 0 else "not told apart"}
              for name, lead in leads.items()}).T

# %%
claim("the contest was judged on seeds that had no part in any choice",
      not set(fresh) & (set(seeds) | set(tuning_seeds)),
      figure=f"mine {contest.interval('mine'):.3f} at rate {contest.rate['mine']:g}")

# %% [markdown]
# You asked five questions at once. Each interval misses the truth one time in twenty, so a single narrow victory among five is weak evidence. A lead that comes back with fresh seeds is another matter.

# %% [markdown]
# ## What you saw
# - A random network called "pretrained" shows that more weights fit more. A baseline without a backbone, and the question "pretrained on what?", give it away.
# - In a world of your own you can know the best possible accuracy, and check it by simulation.
# - Many small networks train as one stack, and each ends with the weights that it would have reached alone.
# - Fair means: equal steps, the same search for a learning rate, choice and judgement on different seeds.
# - Difference within each seed first, then the interval. A change of order needs an interval of its own.
# - With few labels and a related source, train the head and keep the rest. With more labels, or less related ones, unfreeze. Where the source has nothing to say, pretraining can harm.
# - One learning rate for all favours some strategies over others, and can move the order by itself.
# - Hatched fields are results, too: "we cannot tell" is an answer.

# %% [markdown]
# ## Test yourself
# The lesson's quiz. A wrong answer is told why it is wrong, and costs nothing.

# %% tags=["quiz"]
quiz("07_strategy_comparison")

# %% [markdown]
# ## References
# - Kumar et al. 2022, *Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution*, <https://arxiv.org/abs/2202.10054>: probe first, then fine-tune
# - Howard & Ruder 2018, *Universal Language Model Fine-tuning for Text Classification*, <https://arxiv.org/abs/1801.06146>: lower rates for earlier layers
# - Wang et al. 2019, *Characterizing and Avoiding Negative Transfer*, <https://arxiv.org/abs/1811.09751>
# - Bouthillier et al. 2021, *Accounting for Variance in Machine Learning Benchmarks*, <https://arxiv.org/abs/2103.03098>
# - Gelman & Stern 2006, *The Difference Between "Significant" and "Not Significant" is not Itself Statistically Significant*, <https://doi.org/10.1198/000313006X152649>
# - Dinh, Krueger & Bengio 2014, *NICE: Non-linear Independent Components Estimation*, <https://arxiv.org/abs/1410.8516>: the kind of map that renders our factors and can be undone
# - Sheppard 1899, *On the application of the theory of error to cases of normal distribution and normal correlation*, <https://doi.org/10.1098/rsta.1899.0003>: how often two normal scores agree in sign
#
# **Next:** [8 · Which strategy?](08_which_strategy.ipynb) takes the same question to real photos, where no formula tells the limit.
