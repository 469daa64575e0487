# %% [markdown]
# # 6 · BatchNorm pitfalls
# **A frozen network can still change under your hands, and no gradient is to blame.** In this lesson you see which numbers move, measure what that costs, and learn the one case in which you want them to.
#
# <!-- badges -->
#
# *You will be able to* say which of a layer's numbers move in which mode · predict how fast running statistics forget · keep frozen layers still in a loop that calls `train()` · recalibrate a network on shifted images without a label · find the bug in six loops by one measured number.
#
# *Time* 25 min · *Before this* [2 · Freezing](02_freezing.ipynb), [4 · Feature extraction](04_feature_extraction.ipynb), [5 · Fine-tuning](05_fine_tuning.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 40   # training photos a class
SIZE = 96        # pixels a side
EPOCHS = 3
SEEDS = 3
SEED = 0

# %% [markdown]
# ## Two kinds of state

# %% tags=["quiz"]
from course_utils.quiz.show import quiz

quiz("06-buffers")

# %% [markdown]
# ## Four cases
# **Predict:**

# %% tags=["quiz"]
quiz("06-four-cases")

# %% [markdown]
# ## Drift, batch by batch

# %% [markdown]
# ## What drift costs a head

# %% tags=["quiz"]
quiz("06-small-batches")

# %% [markdown]
# ## The helper that the next `train()` undoes

# %% [markdown]
# ## When the statistics should move

# %% tags=["quiz"]
quiz("06-recalibrate")

# %% [markdown]
# ## Families without the problem

# %% [markdown]
# ## A lab of broken loops

# %% [markdown]
# ## Your turn

# %% tags=["exercise"]
def set_train_mode(model):
    """Training mode, but only where something can learn: frozen BatchNorm layers stay in eval."""
    # solution
    model.train()
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()
    # end solution

# %% tags=["self-check"]
from course_utils.exercises.check import check, hint, solution

check("set_train_mode", set_train_mode)

# %% tags=["exercise"]
def recalibrate_batchnorm(model, images):
    """BatchNorm statistics := those of `images`; no label, no gradient, no parameter moves."""
    # solution
    layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    # end solution

# %% tags=["self-check"]
check("recalibrate_batchnorm", recalibrate_batchnorm)

# %% [markdown]
# ## What you saw

# %% tags=["quiz"]
quiz("06_batchnorm_pitfalls")

# %% [markdown]
# ## References
#
# **Next:** [7 · Strategy comparison](07_strategy_comparison.ipynb)
