# %% [markdown]
# # 10 · Final quiz
# **Ten questions from easy to hard, drawn from all lessons. Then: what to read again, and how much ten answers can tell.**
#
# <!-- badges -->
#
# *You will be able to* say what you know and what you only recognised · find the section to go back to · put an interval around your own score.
#
# *Time* 15 min · *Before this* lessons 1 to 8; the quiz draws on all of them

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
QUESTIONS = 10

# %% [markdown]
# ## Ten questions
# The questions come from every lesson, spread over the concepts, easy ones first. Hints are there. What counts is the **first** answer to each question; an answer that you looked up in the solution counts as none. At the end stands a result by concept, with the sections to go back to, and a button that asks again only what was not right.
#
# **Predict:** how many of the ten will be right at the first try? Say a number before you begin.

# %% tags=["quiz"]
from courseware.quiz import final_quiz

final_quiz(QUESTIONS)

# %% [markdown]
# Run the cell again for ten others. None of them was in the quiz you just finished; until you have finished it, the same ten stay, so nothing is lost if you close the notebook.

# %% [markdown]
# ## What ten answers can tell
# You would not trust an accuracy measured on ten photos. Your score is an accuracy measured on ten questions. Put an interval around it, as lesson 4 did with its test photos.
#
# **Predict:** someone gets 6 of 10, someone else 8 of 10. Is the second one better?

# %% tags=["nbval-check-output"]
from course_utils.stats import wilson

for right in range(0, QUESTIONS + 1):
    print(f"{right:>3} of {QUESTIONS} right: {wilson(right, QUESTIONS)}")

# %%
from courseware.claims import claim

lower, higher = (wilson(round(share * QUESTIONS), QUESTIONS) for share in (0.6, 0.8))
claim(
    "ten questions do not tell 60 % from 80 %: each lies in the other's interval",
    lower.low < higher.mean < lower.high and higher.low < lower.mean < higher.high,
    figure=f"{lower} and {higher}",
    when=QUESTIONS == 10,
    otherwise="you changed the number of questions",
)

# %% [markdown]
# Wide, both of them, and each holds the other's score. So read the result by concept rather than the sum: a concept you missed is a fact about that question, and the section is one click away.
#
# How many questions would it take? Change the number below until neither score lies in the other's interval.

# %%
many = 20
for share in (0.6, 0.8):
    print(f"{share:.0%} of {many}: {wilson(round(share * many), many)}")

# %% [markdown]
# ## Where you are
# Every quiz and every exercise of the course, as far as you have come, with what to go over again.

# %% tags=["quiz"]
from courseware.progress import progress

progress()

# %% [markdown]
# ## Recap cards
# A question in front, its answer on the back. Answer aloud before you turn a card over.

# %% tags=["quiz"]
from courseware.quiz import recap

recap("01_loading_pretrained_models")

# %% tags=["quiz"]
recap("02_freezing")

# %% tags=["quiz"]
recap("03_head_swap")

# %% tags=["quiz"]
recap("04_feature_extraction")

# %% tags=["quiz"]
recap("05_fine_tuning")

# %% tags=["quiz"]
recap("06_batchnorm_pitfalls")

# %% tags=["quiz"]
recap("07_strategy_comparison")

# %% tags=["quiz"]
recap("08_which_strategy")

# %% [markdown]
# ## Take it with you
# Sessions in Colab and Binder end, and your progress with them. `export_progress()` writes it to a file beside this notebook, to download; `import_progress()` takes it in again, here or on another machine. Importing twice counts nothing twice.
#
# ```python
# from courseware.progress.panel import export_progress, import_progress
#
# export_progress("my-progress.json")
# ```

# %% [markdown]
# ## What you saw
# - A first answer tells what you know; a second one tells what you learnt from the feedback.
# - Ten answers measure a score as badly as ten photos measure an accuracy. The intervals overlap long after the numbers differ.
# - What was not right has a place to go back to.
#
# ## References
# - Wilson 1927, *Probable inference, the law of succession, and statistical inference*, <https://doi.org/10.1080/01621459.1927.10502953>: the interval
# - Roediger & Karpicke 2006, *Test-enhanced learning: taking memory tests improves long-term retention*, <https://doi.org/10.1111/j.1467-9280.2006.01693.x>: why to answer before you read again
#
# **Next:** back to [0 · Start here](00_start_here.ipynb), or to the sections above.
