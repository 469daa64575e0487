# %% [markdown]
# # 8 · Which strategy?
# **Five ways to use a pretrained network, and no rule that picks one for every task.** Here the usual decision table meets a grid of real runs, you ask that grid about your own task, and you mend thirteen broken cells that would have spoilt any of the five.
#
# <!-- badges -->
#
# *You will be able to* choose a strategy from measurements and say how sure you are · tell when your task lies outside what was measured · recognise the usual mistakes by their symptoms · train a network through a few thousand numbers, and say what that saves and what it does not.
#
# *Time* 40 min · *Before this* [4 · Feature extraction](04_feature_extraction.ipynb), [7 · Strategy comparison](07_strategy_comparison.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 50   # training photos a class
SIZE = 128       # pixels a side
EPOCHS = 8
SEEDS = 3        # random choices of training photos behind each comparison
SEED = 0

# %% tags=["setup"]
import torch
from torch import nn

from course_utils import plots
from course_utils.claims import claim
from course_utils.runtime import seed_everything

plots.use_style()
seed_everything(SEED)

# %% [markdown]
# ## The usual table

# %% [markdown]
# ## The grid

# %% tags=["quiz"]
from course_utils.quiz.show import quiz

quiz("08-grid")

# %% [markdown]
# ## What the grid says

# %% [markdown]
# ## Ask the grid

# %% tags=["quiz"]
quiz("08-guide")

# %% [markdown]
# ## The pitfalls clinic

# %% tags=["quiz"]
quiz("08-batch-means")

# %% [markdown]
# ## Beyond: fewer numbers to train

# %% tags=["quiz"]
quiz("08-low-rank")

# %% [markdown]
# ## The same four moves elsewhere

# %% [markdown]
# ## One page to keep

# %% [markdown]
# ## Your turn
# Write `evaluate(model, batches)`: the accuracy of a model over batches of images and labels. Three of the clinic's cases are about this function: it must not let the model learn, must not count batches as if they were examples, and must hand the model back in the modes it had.

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
from course_utils.exercises.check import check, hint, solution

check("evaluate", evaluate)

# %% [markdown]
# Write `add_low_rank(linear, rank)`: a module that computes what `linear` computes plus a correction $BAx$ of that rank. The layer you were given is frozen; only $A$ and $B$ train; before any training the output is exactly the old one.

# %% tags=["exercise"]
def add_low_rank(linear, rank):
    """A module that gives linear(x) + B A x: `linear` frozen, A [rank, in] and B [out, rank] trainable.

    At first its output equals that of `linear`.
    """
    # solution
    class LowRank(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear.requires_grad_(False)
            self.A = nn.Parameter(torch.randn(rank, linear.in_features) / rank)
            self.B = nn.Parameter(torch.zeros(linear.out_features, rank))

        def forward(self, x):
            return self.linear(x) + x @ self.A.T @ self.B.T

    return LowRank()
    # end solution

# %% tags=["self-check"]
check("add_low_rank", add_low_rank)

# %% [markdown]
# ## What you saw

# %% tags=["quiz"]
quiz("08_which_strategy")

# %% [markdown]
# ## References
#
# **Next:** [10 · Final quiz](10_final_quiz.ipynb).
