# %% [markdown]
# # 7 · Strategy comparison
# **Which strategy is best, and how would you know?** Here you build a world in which the best possible accuracy is known, pretrain for real, and draw a map of who wins where.
#
# <!-- badges -->
#
# *You will be able to* tell a fair comparison from one that shows nothing · train many networks as one · tune each strategy on validation data and report once · judge a difference by its paired interval · read a map with its uncertain cells.
#
# *Time* 25 min · *Before this* [6 · BatchNorm pitfalls](06_batchnorm_pitfalls.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
SEEDS = 20
SEED = 0

# %% [markdown]
# ## The famous comparison

# %% [markdown]
# ## A world where everything is known

# %% [markdown]
# ## Pretraining that is real

# %% [markdown]
# ## Five strategies, one budget

# %% [markdown]
# ## Two sizes, two orders

# %% [markdown]
# ## The learning rate decides the order

# %% [markdown]
# ## How close to the limit?

# %% [markdown]
# ## The map

# %% [markdown]
# ## Your turn

# %% [markdown]
# ## What you saw

# %% [markdown]
# ## References
