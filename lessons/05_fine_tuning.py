# %% [markdown]
# # 5 · Fine-tuning
# **Now the backbone learns too, and one number decides whether it improves or is erased.** In this lesson you find that number, give head and backbone rates of their own, and measure whether fine-tuning was worth it.
#
# <!-- badges -->
#
# *You will be able to* choose a learning rate by measuring · give parts of a network rates of their own · compare training recipes at equal budgets, over seeds · say what fine-tuning changed, and where · train the last stages for a fraction of the time, to the same bit · compare two models on the same test photos · stand between two models under shift.
#
# *Time* 30 min · *Before this* [4 · Feature extraction](04_feature_extraction.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 50   # training photos a class, in the longer runs
SIZE = 96        # pixels a side
EPOCHS = 4
SEEDS = 5        # runs behind the closest comparison
SEED = 0         # where the seeds begin: change it, and every run is a new one

# %% tags=["setup"]
import copy

import torch
from torch import nn
from torchvision.models import get_model

from course_utils import plots
from course_utils.claims import claim
from course_utils.flowers import load_flowers
from course_utils.runtime import seed_everything, stopwatch
from course_utils.surgery import replace_head
from course_utils.weights import available_weights

plots.use_style()
seed_everything(SEED)

# %% [markdown]
# ## One step from the checkpoint

# %% [markdown]
# ## The learning rate is everything
# **Predict:** …

# %% tags=["quiz"]
from course_utils.quiz.show import quiz

quiz("05-rate")

# %% [markdown]
# ## Two rates

# %% tags=["quiz"]
quiz("05-groups")

# %% [markdown]
# ## Find a rate before you train

# %% [markdown]
# ## Warm the head up first

# %% tags=["quiz"]
quiz("05-budget")

# %% [markdown]
# ## Gradual unfreezing

# %% [markdown]
# ## What changed

# %% [markdown]
# ## Run the frozen front once

# %% [markdown]
# ## Does it beat the probe?

# %% tags=["quiz"]
quiz("05-paired")

# %% [markdown]
# ## Under shift

# %% [markdown]
# ## Side by side

# %% [markdown]
# ## Your turn

# %% tags=["exercise"]
def param_groups(model, backbone_lr, head_lr):
    """Two optimizer groups, backbone and head, each {"params": [...], "lr": rate}."""
    # solution
    from course_utils.surgery import find_head

    head = [p for p in find_head(model).module.parameters() if p.requires_grad]
    known = {id(p) for p in head}
    backbone = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    return [{"params": backbone, "lr": backbone_lr}, {"params": head, "lr": head_lr}]
    # end solution

# %% tags=["self-check"]
from course_utils.exercises.check import check, hint, solution

check("param_groups", param_groups)  # hint(…) helps; after a try, solution(…) shows one

# %% tags=["exercise"]
def gradual_unfreeze(model, stage_names, epoch):
    """Trainable afterwards: the head and the last `epoch` of the named stages."""
    # solution
    from course_utils.surgery import freeze_backbone, set_train_mode, unfreeze

    freeze_backbone(model)
    for name in stage_names[max(0, len(stage_names) - epoch) :]:
        unfreeze(model.get_submodule(name))
    set_train_mode(model)
    # end solution

# %% tags=["self-check"]
check("gradual_unfreeze", gradual_unfreeze)

# %% [markdown]
# ## What you saw
# - …

# %% tags=["quiz"]
quiz("05_fine_tuning")

# %% [markdown]
# ## References
# - Howard & Ruder 2018, *Universal Language Model Fine-tuning for Text Classification*, <https://arxiv.org/abs/1801.06146>
#
# **Next:** [6 · BatchNorm pitfalls](06_batchnorm_pitfalls.ipynb)
