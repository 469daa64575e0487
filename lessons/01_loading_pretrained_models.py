# %% [markdown]
# # 1 · Loading pretrained models
# **Fourteen megabytes that have already looked at a million photos.** In this lesson you open that file, take the network apart, feed it properly and improperly, and measure what each of its layers knows about flowers.
#
# <!-- badges -->
#
# *You will be able to* pick weights by name and read what came with them · check a weights file and open it safely · tell backbone from head, and tensors from values · prepare a photo exactly as the network expects, and say what each mistake costs · predict with a thousand-class head, and show what it cannot say.
#
# *Time* 20 min · *Before this* [0 · Start here](00_start_here.ipynb)

# %% tags=["bootstrap"]
# bootstrap

# %% tags=["parameters"]
BACKBONE = "mobilenet_v2"
PER_CLASS = 20  # training photos a class
SIZE = 128      # pixels a side

# %% tags=["setup"]
import copy
import hashlib
import io
import pickle
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from ipywidgets import IntSlider, SelectionSlider
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import nn

# %% tags=["setup"]
from torchvision.models import get_model, get_model_weights
from torchvision.transforms.v2 import functional as F

from course_utils import plots
from course_utils.datasets import load_flowers
from course_utils.device import pick_device, seed_everything
from course_utils.stats import paired_bootstrap, wilson
from course_utils.weights import available_weights, course_weights
from courseware.claims import claim
from courseware.dials import explore

plots.use_style()
seed_everything(0)
device = pick_device()  # models go there, and data follows them

# %% [markdown]
# ## A few lines, and it knows a palace
# Here is a picture that is in no data set of ours.
#
# **Predict:** what will a network say that has never been told about this building, or about this course?

# %% alt="A photo that comes with scikit-learn: a Chinese palace with several curved roofs, among trees beside a lake"
china = Image.fromarray(load_sample_image("china.jpg"))
china.reduce(2)

# %%
WEIGHTS = available_weights(BACKBONE)  # the file is fetched once, then kept
PRETRAINED = WEIGHTS is not None       # False: no file to be had, random weights below

model = get_model(BACKBONE, weights=WEIGHTS).to(device).eval()

# %% alt="Bars: the five likeliest classes for the palace, with their probabilities in percent"
pinned = course_weights(BACKBONE)
preprocess, names = pinned.transforms(), pinned.meta["categories"]

with torch.no_grad():
    probabilities = model(preprocess(china)[None].to(device)).softmax(dim=1)[0].cpu()
values, places = probabilities.topk(5)
plots.bars({names[i]: 100 * p.item() for p, i in zip(values, places, strict=True)}, unit=" %");

# %%
claim(
    "the first guess is a palace",
    names[places[0]] == "palace",
    figure=f"{values[0]:.0%}; there are {len(names):,} names to choose from",
    when=PRETRAINED,
    otherwise="needs the pretrained weights: this network is random",
)

# %% [markdown]
# Nobody trained anything just now. Somebody did, once, on the 1.28 million labelled photos of ImageNet, and wrote the result into a file. Transfer learning is the art of using that result for a question nobody asked at the time. There are three arguments for it, and each is measured in this course:
#
# | argument | in words | measured in |
# |---|---|---|
# | a better starting point | edges, textures and parts are already there; only the last step is new | section 7 below, [lesson 4](04_feature_extraction.ipynb) |
# | fewer steps | a short way to go, so few epochs and few photos suffice | lessons [4](04_feature_extraction.ipynb) and 5 |
# | implicit regularisation | weights that start at a good place and move little cannot memorise much | lessons 5 and 7 |
#
# First, though: what exactly did we load?

# %% [markdown]
# ## Weights have names
# In torchvision, each set of weights is a member of an enum. A member is a small record: where the file is, which classes it knows, how it scored, how to prepare a photo for it.

# %% tags=["nbval-check-output"]
from torchvision.models import MobileNet_V2_Weights

weights = MobileNet_V2_Weights.IMAGENET1K_V1
print(list(MobileNet_V2_Weights))
print(weights.url)
print(weights.meta["_metrics"], weights.meta["num_params"])
print(weights.meta["categories"][:3], "…", weights.meta["categories"][985])

# %% [markdown]
# Two members, same architecture, two training recipes. Most tutorials write `DEFAULT` and move on.
#
# **Predict:** is `DEFAULT` the first or the second version? Is it the same for every network?

# %% tags=["nbval-check-output"]
rows = [
    {
        "member": str(member),
        "is DEFAULT": member == get_model_weights(name).DEFAULT,
        "ImageNet top-1": member.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        "resized to": member.transforms().resize_size[0],
    }
    for name in ["resnet18", "resnet50", "mobilenet_v2"]
    for member in get_model_weights(name)
]
pd.DataFrame(rows).set_index("member")

# %% [markdown]
# `DEFAULT` means *the best we have today*, and today moves. It is V1 for ResNet-18 and V2 for the other two, and the recipe for preparing photos changes with it. Upgrade torchvision, and your figures may move while your code stands still. So this course pins a member by name: `IMAGENET1K_V1`.
#
# "Better" means better on ImageNet, by the way. A recipe that gains points there can make features that transfer worse (Kornblith 2021, below): choose by *your* validation photos.
#
# **Predict:** what do you get for `ResNet18_Weights.IMAGENET1K_V2`, which some tutorials recommend?

# %%
from torchvision.models import ResNet18_Weights

try:
    ResNet18_Weights.IMAGENET1K_V2
except AttributeError as error:
    print(f"AttributeError: {error}")

# %% [markdown]
# It does not exist. Now the line you will meet in older code: `pretrained=True`.
#
# **Predict:** does it still work? If it does, which weights does it load: V1, or today's default?

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    # True here, unless the file is missing: then nothing shall be downloaded behind your back
    old_style = get_model(BACKBONE, pretrained=PRETRAINED).to(device)
for number, warning in enumerate(caught, start=1):
    print(f"{number}. {warning.message}\n")

# %%
same = all(
    torch.equal(a, b)
    for a, b in zip(old_style.state_dict().values(), model.state_dict().values(), strict=True)
)
claim(
    "pretrained=True works, warns twice, and loads the V1 weights",
    same and len(caught) == 2,
    figure=f"{len(model.state_dict())} of {len(model.state_dict())} entries equal to V1",
    when=PRETRAINED,
    otherwise="needs the pretrained weights",
)

# %% [markdown]
# Read the second warning to its end. It says what you have, and then offers `DEFAULT`, which for this network is a *different file*. Follow that advice and you have changed the experiment, not just the spelling.

# %% tags=["quiz"]
from courseware.quiz import quiz

quiz("01-enums")

# %% [markdown]
# ## What is in the file
# torchvision fetched the file into torch's cache, and will not fetch it again. Let us look at it as a file first.

# %%
file_name = Path(pinned.url).name
path = Path(torch.hub.get_dir()) / "checkpoints" / file_name
if not PRETRAINED:  # a file of the same make, to look into: the random network's own state
    path = Path(tempfile.mkdtemp()) / "random.pth"
    torch.save(model.state_dict(), path)

content = path.read_bytes()
file_size = len(content)
digest = hashlib.sha256(content).hexdigest()
print(f"{path.name}: {file_size / 1e6:.1f} MB\nSHA-256 {digest}")

# %% [markdown]
# Compare the file's name with the start of its SHA-256. The eight characters after the hyphen are a promise: *my contents hash to this*.
#
# **Predict:** we flip one bit of the fourteen million bytes; or lose the last byte, as a broken download might. How much of the hash changes?

# %%
flipped = bytearray(content)
flipped[len(flipped) // 2] ^= 1
for what, data in {"as it is": content, "one bit": flipped, "cut short": content[:-1]}.items():
    print(f"{what:10} {hashlib.sha256(data).hexdigest()[:32]}…")

# %%
claim(
    "the file keeps its promise, and a single bit would break it",
    digest.startswith(file_name.split("-")[1].removesuffix(".pth"))
    and hashlib.sha256(flipped).hexdigest()[:8] != digest[:8],
    figure=digest[:8],
    when=PRETRAINED,
    otherwise="needs the published file",
)

# %% [markdown]
# "Weights that will not load" is one of the most asked questions about pretrained models, and half a download is the usual cause. A hash finds it at once. Eight characters catch accidents; this course checks all 64 where it knows them.
#
# Inside is a **state dict**: an ordered dictionary from names to tensors. No code, no layers, no architecture. That is why you need `get_model` *and* the file.

# %%
del content, flipped, old_style  # 40 MB that are needed no more

state = torch.load(path, weights_only=True)
for name, tensor in list(state.items())[:6]:
    print(f"{name:38} {str(tuple(tensor.shape)):16} {tensor.dtype}")
print(f"… {len(state)} entries, {sum(t.nbytes for t in state.values()) / 1e6:.1f} MB of numbers")

# %%
overhead = file_size / sum(t.nbytes for t in state.values()) - 1
claim(
    "the file is its numbers and hardly anything else",
    0 <= overhead < 0.05,
    figure=f"{overhead:.1%} overhead",
)
model.load_state_dict(state)

# %% [markdown]
# `load_state_dict` copies each tensor of the file into the network's tensor of the same name, and it is **strict**: names and shapes have to agree. Let them disagree. The file is for a thousand classes, the new network for five.
#
# **Predict:** the head does not fit, so it raises an error. Has anything been loaded by then? And would `strict=False` have let it pass?
#
# Run both cells and go through the function line by line, with the buttons or the arrow keys. All it shows was measured while the lines ran.

# %%
# Lines to step through: a file that does not quite fit
def load(path, network):  # the file from above; an untrained network for five classes
    state = torch.load(path, weights_only=True)  # names and tensors. The network knows nothing of it
    for strict in (True, False):  # the usual way, and the way that forums recommend
        try:
            network.load_state_dict(state, strict=strict)  # refused both times. What changed?
        except RuntimeError:
            print("refused, strict =", strict)
    own = network.state_dict()  # the network's own tensors, by name
    wrong = [name for name in state if state[name].shape != own[name].shape]  # what does not fit
    for name in wrong:
        del state[name]  # leave it out
    result = network.load_state_dict(state, strict=False)  # names are missing, and now they may
    print("not loaded:", result.missing_keys)  # read this, or you will never know

# %% tags=["stepper"] alt="Step through loading a file whose head does not fit: what each line loads, refuses or prints"
# Step through: a file that does not quite fit
from courseware.stepper import step_through

step_through(load, path, get_model(BACKBONE, num_classes=5))

# %% [markdown]
# The refused call had already copied all that fits: an error is no way back. And `strict=False` forgives missing and surplus *names*, never a wrong *shape*. It forgives them in silence, so read what it returns.

# %% [markdown]
# ### Why `weights_only=True`?
# A `.pth` file is a zip with a **pickle** in it, and a pickle is a small program. Here is a file that pretends to be a model. Ours only prints; a stranger's need not.
#
# **Predict:** which of the two loads below prints the surprise?

# %% tags=["nbval-check-output"]
class NotAModel:
    def __reduce__(self):  # tells pickle how to rebuild me: call this function with that
        return print, ("SURPRISE: loading me ran a function I chose.",)


harmless = io.BytesIO()
torch.save({"layer.weight": NotAModel()}, harmless)

for careful in (False, True):
    harmless.seek(0)
    try:
        torch.load(harmless, weights_only=careful)
    except pickle.UnpicklingError as error:
        print(f"weights_only={careful}: {type(error).__name__}, refused")

# %% [markdown]
# Only the careless one. `weights_only=True` accepts tensors and plain containers, and refuses whatever would call anything else. It has been the default since PyTorch 2.6. Old code that passes `False` "to make the error go away" switches the lock off: do that for files you made yourself, or not at all.

# %% [markdown]
# ## Anatomy
# **Predict:** a 224 × 224 photo goes in. ResNet-18 halves its sides five times. How large is the map at the end? And does a small network such as MobileNetV2 end with a smaller one?
#
# Shapes do not depend on values, so random weights will do here.

# %%
from torchvision.models import mobilenet_v2, resnet18

resnet, mobilenet = resnet18().eval(), mobilenet_v2().eval()
networks = {"ResNet-18": resnet, "MobileNetV2": mobilenet}
shapes = []
hook = resnet.layer1.register_forward_hook(lambda module, x, out: shapes.append(tuple(out.shape)))
blank = torch.zeros(1, 3, 224, 224)
with torch.no_grad():
    resnet(blank)
hook.remove()
shapes

# %% [markdown]
# That is how one looks inside in plain PyTorch: a **hook** is a function that a module calls with its output. (Remove it when you are done; it stays for good otherwise.) `activations` does the same for any number of modules, and `stages` names the parts of a network in forward order.

# %% tags=["nbval-check-output"]
from course_utils.inspection import activations
from course_utils.surgery import count, stages

maps = activations(resnet, blank, stages(resnet))
rows = {
    name: {
        "channels": maps[name].shape[1],
        "map": f"{maps[name].shape[2]} × {maps[name].shape[3]}",
        "tensors": count(part).tensors,
        "values": f"{count(part).values:,}",
    }
    for name, part in stages(resnet).items()
}
pd.DataFrame(rows).T

# %% alt="Two bar charts, one for each network: the side of the map falls from stage to stage, while the number of channels on top of the bars grows"
figure, axes = plt.subplots(1, 2, figsize=(9.4, 2.8), layout="constrained", width_ratios=[1, 2])
for ax, (title, network) in zip(axes, networks.items(), strict=True):
    found = activations(network, blank, stages(network))
    sides = [out.shape[-1] for out in found.values()]
    drawn = ax.bar([name.removeprefix("features.") for name in found], sides, color=plots.SKY)
    ax.tick_params("x", labelsize=8)
    ax.bar_label(drawn, [out.shape[1] for out in found.values()], fontsize=7.5)
    ax.set(title=title, ylabel="side of the map", xlabel="stage (number on top: channels)")

# %% [markdown]
# The same staircase twice: 112, 56, 28, 14, 7. *Where* is traded for *what*: the maps shrink, the channels grow. MobileNetV2 takes more and cheaper steps, and gets by with less than a third of the values, as the next count shows.

# %%
claim(
    "both end at 7 × 7, by way of 56, 28 and 14",
    [maps[f"layer{n}"].shape[-1] for n in (1, 2, 3, 4)] == [56, 28, 14, 7]
    and sorted(set(sides), reverse=True) == [112, 56, 28, 14, 7],
)

# %% [markdown]
# ### How big is it? Two ways to count
# "ResNet-18 has about sixty parameters", says a line of code that many tutorials share. **Predict:** what does it count?

# %% tags=["nbval-check-output"]
for title, network in networks.items():
    tensors = sum(1 for p in network.parameters())
    numbers = sum(p.numel() for p in network.parameters())
    buffers = sum(1 for b in network.buffers())
    print(f"{title:12} {tensors:4} tensors holding {numbers:>11,} values, and {buffers} buffers")

# %%
claim(
    "ResNet-18: 62 tensors, 11,689,512 values, 60 buffers beside them",
    (count(resnet).tensors, count(resnet).values) == (62, 11_689_512)
    and len(resnet.state_dict()) == 62 + 60,
    figure=f"{len(resnet.state_dict())} entries in its state dict",
)

# %% [markdown]
# A tensor is one weight matrix or one bias vector; the values are the numbers in it. `len(list(parameters()))` and `sum(p.requires_grad …)` count tensors; `numel()` counts values. **Buffers** are state that no gradient touches: BatchNorm's running statistics. They are in the file as well, and they have a lesson of their own (6).
#
# ### Backbone and head
# Every classifier is two things in a row. The **backbone** turns a photo into a vector of features. The **head**, one linear layer, turns that vector into a score for each class. Put an `nn.Identity` where the head was, and the vector comes out.

# %% tags=["nbval-check-output"]
print(resnet.fc, "|", mobilenet.classifier[-1])

resnet.fc = nn.Identity()
mobilenet.classifier[-1] = nn.Identity()
with torch.no_grad():
    print(tuple(resnet(blank).shape), tuple(mobilenet(blank).shape))
del networks, network, resnet  # 45 MB that are needed no more

# %% [markdown]
# 512 numbers a photo for ResNet-18, 1,280 for MobileNetV2. That vector is what gets transferred. The head hides under another name in each family; `find_head` finds it by what it is, not by what it is called. With it we take our pretrained network apart.

# %%
from course_utils.surgery import find_head

head = find_head(model)
backbone = copy.deepcopy(model)
place = find_head(backbone)
setattr(place.parent, place.attribute, nn.Identity())

with torch.no_grad():
    x = preprocess(china)[None].to(device)
    exact = torch.equal(head.module(backbone(x)), model(x))
claim("head(backbone(photo)) is model(photo), bit for bit", exact, figure=f"head: {head.module}")

# %% tags=["quiz"]
quiz("01-anatomy")

# %% [markdown]
# ## Ask the old head about our flowers
# The course's task has five classes: daisy, dandelion, roses, sunflowers, tulips. The old head has a thousand names. Let us see which of them could help.

# %% tags=["nbval-check-output"]
wanted = ["daisy", "dandelion", "rose", "sunflower", "tulip"]
categories = weights.meta["categories"]
print([(i, name) for i, name in enumerate(categories) if set(name.split()) & set(wanted)])

dogs = categories.index("Mexican hairless") - categories.index("Chihuahua") + 1  # they are in a row
print(f"{dogs} breeds of dog")

# %% [markdown]
# One of five. Whoever chose the thousand was fonder of dogs than of tulips.
#
# **Predict:** a softmax has to spend its 100 % on *something*. What will it call a sunflower? A tulip? And will it at least sound unsure?

# %%
from course_utils.features import embed, linear_probe

flowers = load_flowers(SIZE)
train, val = flowers.train.per_class(PER_CLASS), flowers.val
ON_PHOTOS = PRETRAINED and flowers.source == "photos"
NEEDS_PHOTOS = "needs the pretrained weights and the real photos"

train_features, val_features = (embed(model, split) for split in (train, val))
labels = torch.cat([train.labels, val.labels])  # the old head learnt from neither
with torch.no_grad():
    features = torch.cat([train_features.features, val_features.features])
    answers = head.module(features.to(device)).softmax(dim=1).cpu()

# %% [markdown]
# `embed` runs the backbone once over all photos and keeps the vectors. The old head then needs only those. What it says most often, flower by flower:

# %%
named = pd.DataFrame(
    {
        "flower": [flowers.classes[i] for i in labels],
        "called": [names[i] for i in answers.argmax(dim=1)],
        "confidence": answers.max(dim=1).values.numpy(),
    }
)

# %%
by_flower = named.groupby("flower")
pd.set_option("display.max_colwidth", None)
pd.DataFrame(
    {
        "different names": by_flower.called.nunique(),
        "mean confidence": by_flower.confidence.mean().round(2),
        "most often called": by_flower.called.agg(
            lambda c: ", ".join(f"{n} {k}" for n, k in c.value_counts().head(4).items())
        ),
    }
)

# %% alt="Bars with intervals: for each of the five flowers, the share of photos that the old head calls a daisy"
called = {
    flower: wilson(int((group.called == "daisy").sum()), len(group))
    for flower, group in by_flower
}
ax = plots.bars(
    {flower: share.mean for flower, share in called.items()},
    errors={flower: (share.low, share.high) for flower, share in called.items()},
)
ax.set(title='Share that the old head calls "daisy"', xlim=(0, 1));

# %%
claim(
    "daisies are called daisy; sunflowers far more often than roses or tulips",
    called["daisy"].mean > 0.6
    and called["sunflowers"].low > max(called["roses"].high, called["tulips"].high),
    figure=f"daisy {called['daisy']}, sunflowers {called['sunflowers']}, tulips {called['tulips']}",
    when=ON_PHOTOS,
    otherwise=NEEDS_PHOTOS,
)

# %% [markdown]
# The mistakes make sense. Petals round a disc: that is a daisy, says a head that has one word for it, and sunflowers pay for it. What looks like nothing in the vocabulary is named after something near it, the vase, the fence or the bee, and with less confidence on average, though *unsure* is not what you would call it. **A closed vocabulary cannot answer "none of these".**
#
# Is the network blind to tulips, then? The head is. Take the very same vectors, leave the head away, and fit a new one: a logistic regression with five classes (a **linear probe**).
#
# **Predict:** how many validation photos does it get right? Guessing gets 0.2.

# %%
probe = linear_probe(train_features)
right = probe.predict(val_features.features.numpy()) == val.labels.numpy()
new_head = wilson(right.sum(), len(right))
claim(
    "same features, new head: all five flowers can be told apart",
    new_head.low > 0.6,
    figure=f"{new_head} on {len(val)} validation photos, {PER_CLASS} a class to learn from",
    when=ON_PHOTOS,
    otherwise=f"{NEEDS_PHOTOS}; here the new head gets {new_head}",
)

# %% [markdown]
# The knowledge was there; only the words were missing. That is the whole idea of transfer learning in two cells, and the next lessons do it with care.
#
# One caveat while we are honest: the backbone *was* taught daisies. For that class our task is not quite new, and a score on it flatters the network a little.

# %% tags=["quiz"]
quiz("01-old-head")

# %% [markdown]
# ## Feed it what it was fed
# A network knows photos only in the shape it was trained on. `transforms()` is that shape, as code.

# %% tags=["nbval-check-output"]
weights.transforms()

# %% [markdown]
# Here it is step by step, by hand.

# %%
flower = Image.fromarray(load_sample_image("flower.jpg"))
resized = F.resize(flower, [256], antialias=True)   # the shorter side, aspect ratio kept
cropped = F.center_crop(resized, [224])
scaled = F.pil_to_tensor(cropped) / 255             # [3, 224, 224], values 0…1
mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
by_hand = (scaled - mean) / std                     # about -2…2.6

for step, image in {"photo": flower, "resized": resized, "cropped": cropped}.items():
    print(f"{step:11} {image.size[0]} × {image.size[1]} pixels")
for step, image in {"scaled": scaled, "normalised": by_hand}.items():
    print(f"{step:11} {tuple(image.shape)}, from {image.min():.2f} to {image.max():.2f}")

# %% alt="Four pictures of one flower: the photo, resized, cropped, normalised"
figure, axes = plt.subplots(1, 4, figsize=(9.4, 2.4), layout="constrained")
shown = by_hand.permute(1, 2, 0)
shown = (shown - shown.min()) / (shown.max() - shown.min())  # a screen has no negative light
steps = {"photo": flower, "resized": resized, "cropped": cropped, "normalised": shown}
for ax, (step, image) in zip(axes, steps.items(), strict=True):
    ax.imshow(image)
    ax.set_title(step)
    ax.axis("off")

# %%
kept = 224 * 224 / (resized.size[0] * resized.size[1])
claim(
    "six lines by hand are transforms(), to the last bit",
    torch.equal(by_hand, weights.transforms()(flower)),
    figure=f"the crop keeps {kept:.0%} of this photo; the rest is never seen",
)

# %% [markdown]
# Two things to remember. The crop throws pixels away: if your subject stands at the edge, the network has not seen it. And the mean and deviation are those of *ImageNet's* photos, not of yours: they belong to the weights, like a plug to its socket.
#
# **Predict:** what does this line do? It converts a picture to a tensor of floats first, as one does.

# %% tags=["nbval-check-output"]
tensor = F.pil_to_tensor(flower)  # uint8, 0…255
for image in (tensor, tensor.float()):
    ready = weights.transforms()(image)
    print(f"{str(image.dtype):13} in: values from {ready.min():7.1f} to {ready.max():7.1f} out")

# %% [markdown]
# No error, and values a hundred times too large. For integers `transforms()` divides by 255; floats it takes to be in 0…1 already. This is how "0–255 pixels" happens to careful people.
#
# ### The ladder of mistakes
# "Wrong normalisation gives garbage", one reads. Does it? Below are the right way and six wrong ones. We ask the old head: is its first answer still the same as with the right preparation, and does it still know a daisy? Then we train a new head on photos prepared *in the same wrong way*, as somebody would who never notices.
#
# **Predict:** put the seven in order. Which mistakes will a new head forgive?

# %%
from course_utils.images import IMAGENET_MEAN, IMAGENET_STD, normalize

half = (0.5, 0.5, 0.5)
ways = {
    "right": normalize,
    "mean and std of 0.5": lambda x: normalize(x, mean=half, std=half),
    "blue before red (BGR)": lambda x: normalize(x.flip(1)),
    "not normalised (0…1)": lambda x: x / 255,
    "normalised twice": lambda x: F.normalize(normalize(x), IMAGENET_MEAN, IMAGENET_STD),
    "pixels 0…255": lambda x: x.float(),
    "view() for permute()": lambda x: normalize(x.permute(0, 2, 3, 1).reshape(x.shape)),
}

# %% [markdown]
# The last one is the classic slip when an array is [H, W, 3] and the network wants [3, H, W]: `view` gives the right shape and scrambles the picture. The right way is what `embed` did above, so those vectors are here already.

# %%
parts = [part.to(device) for split in (train, val) for part in split.images.split(16)]
backbone.to(memory_format=torch.channels_last).eval()
with torch.no_grad():
    fed = {"right": features}
    for way, prepare in list(ways.items())[1:]:
        # few at a time: on a CPU small batches are the faster ones, they fit its caches
        fed[way] = torch.cat([backbone(prepare(part)) for part in parts]).cpu()
    said = {way: head.module(v.to(device)).argmax(dim=1).cpu() for way, v in fed.items()}

# %%
from course_utils.features import FeatureSet

learn, check = slice(0, len(train)), slice(len(train), None)  # training, validation photos
hits = {}
for way, vectors in fed.items():
    probe = linear_probe(FeatureSet(vectors[learn], labels[learn], flowers.classes))
    hits[way] = probe.predict(vectors[check].numpy()) == val.labels.numpy()

# %%
daisies = labels == flowers.classes.index("daisy")
same_answer = {w: wilson((said[w] == said["right"]).sum().item(), len(labels)) for w in ways}
daisy = {w: wilson((said[w][daisies] == 985).sum().item(), daisies.sum().item()) for w in ways}
new_head = {way: wilson(hits[way].sum(), len(hits[way])) for way in ways}

# %% alt="Three bar charts with intervals, a bar for each way to prepare photos: how often the old head answers as with the right way, how many daisies it calls daisy, and the accuracy of a new head trained on the same mistake"
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3), sharey=True, layout="constrained")
panels = {
    "old head: same answer\nas with the right way": same_answer,
    "old head: daisies\ncalled daisy": daisy,
    "new head, trained on\nthe same mistake": new_head,
}
for ax, (title, scores) in zip(axes, panels.items(), strict=True):
    ends = {way: (s.low, s.high) for way, s in scores.items()}
    plots.bars({way: s.mean for way, s in scores.items()}, errors=ends, ax=ax)
    ax.set(xlim=(0, 1.25), xticks=[0, 0.5, 1])
    ax.set_title(title, fontsize=10)

# %%
mild, bad = ["mean and std of 0.5", "blue before red (BGR)"], ["pixels 0…255", "normalised twice"]
claim(
    "the old head: graded, not all or nothing",
    1 > same_answer[mild[0]].low and same_answer[mild[0]].low > same_answer[bad[1]].high,
    figure=f"{mild[0]}: {same_answer[mild[0]]}, {bad[1]}: {same_answer[bad[1]]}",
    when=ON_PHOTOS,
    otherwise=NEEDS_PHOTOS,
)

# %%
cost = {way: paired_bootstrap(hits["right"], hits[way]) for way in mild + bad}
claim(
    "a new head forgives most of a mild mistake, and cannot repair a bad one",
    max(cost[way].mean for way in mild) < min(cost[way].mean for way in bad)
    and cost["pixels 0…255"].low > 0.15,
    figure=", ".join(f"{way} costs {c}" for way, c in cost.items()),
    when=ON_PHOTOS,
    otherwise=NEEDS_PHOTOS,
)

# %% [markdown]
# So it is a ladder, not a cliff. A wrong mean or swapped colours shift every photo in the same way; the features bend, and a head trained on bent features copes, at a price of some points. That is what makes these mistakes dangerous: **nothing crashes, and the result looks merely mediocre.** Further down the values leave the range the backbone ever saw, and no head can bring back what the features have lost.
#
# "Same answer" is a harsh measure, by the way: for a rose, the thousand names are all about equally wrong, so a breath of wind changes the winner. The daisies hold out longer.
#
# ### Must it be 224?
# "The input must be 224 × 224", one reads as well. **Predict:** what happens with 97 × 97?

# %% tags=["nbval-check-output"]
with torch.no_grad():
    for side in (33, 97, 224, 300):
        image = torch.zeros(1, 3, side, side)
        print(f"{side:3} px: map {tuple(mobilenet.features(image).shape[1:])}", end=", ")
        print(f"features {tuple(mobilenet(image).shape)}")

# %% [markdown]
# Nothing happens. Convolutions slide over whatever is there, and the average over positions at the end makes 1,280 numbers out of any map. (Vision transformers are stricter: they have one embedding for each position.) It runs, then. But does it run *well*? We decode the same files again, at other sizes than the course's own.

# %%
from course_utils.datasets import write_image_folder
from course_utils.datasets.pictures import decode

folder = Path(tempfile.mkdtemp())
write_image_folder({"1-train": train, "2-val": val}, folder)
files = sorted(folder.rglob("*.jpg"))  # training photos first, then by class: as before

by_size = {SIZE: features}
with torch.no_grad():
    for side in {64, 96, 128, 224} - {SIZE}:
        parts = decode(files, side).split(4)
        by_size[side] = torch.cat([backbone(normalize(part.to(device))) for part in parts]).cpu()

# %%
sizes, size_hits, daisy_at = sorted(by_size), {}, []
for side in sizes:
    vectors = by_size[side]
    probe = linear_probe(FeatureSet(vectors[learn], labels[learn], flowers.classes))
    size_hits[side] = probe.predict(vectors[check].numpy()) == val.labels.numpy()
    first = head.module(vectors[daisies].to(device)).argmax(dim=1)
    daisy_at.append(wilson((first == 985).sum().item(), len(first)))

# %% alt="Two curves with intervals over the pixels a side: daisies that the old head calls daisy, and the validation accuracy of a new head"
ax = plots.curve(sizes, daisy_at, label="old head: daisies called daisy")
scores = [wilson(size_hits[side].sum(), len(val)) for side in sizes]
plots.curve(sizes, scores, label="new head: validation accuracy", ax=ax)
ax.set(xlabel="pixels a side", xticks=sizes, ylim=(0, 1))
ax.legend(loc="lower right");

# %%
gain = paired_bootstrap(size_hits[224], size_hits[64])
claim(
    "any size runs; detail helps",
    gain.low > 0,
    figure=f"new head at 224 px against 64 px: {gain} more, for twelve times the pixels",
    when=ON_PHOTOS,
    otherwise=NEEDS_PHOTOS,
)

# %% [markdown]
# Size is a dial: accuracy on one side, time on the other, since the work grows with the *square* of the side. The course works at 128 px for that reason: a good part of the accuracy for a third of the computation. When your result matters, turn it up.

# %% tags=["quiz"]
quiz("01-preprocessing")

# %% [markdown]
# ## From edges to flowers, on the real network
# Books draw the feature hierarchy: edges, then textures, then parts, then things. We look for it in the network at hand, in four steps, and believe what we see.
#
# **First layer.** The one place where weights live in colour space and can be shown as pictures.

# %% alt="The filters of the first layer as small coloured tiles with their strength, the strongest first: stripes at several angles, spots of colour, and at the end some of almost no strength"
from course_utils.inspection import first_layer_filters

kernels = next(m for m in model.modules() if isinstance(m, nn.Conv2d)).weight.detach().cpu()
strength = kernels.flatten(1).norm(dim=1)
order = strength.argsort(descending=True)
plots.image_grid(
    first_layer_filters(model)[order], [f"{s:.2f}" for s in strength[order]], columns=11, cell=0.8
);

# %%
dead = int((strength < 0.05 * strength.median()).sum())
print(f"{len(kernels)} filters of {tuple(kernels.shape[1:])}; {dead} weigh next to nothing")

# %% [markdown]
# With the pretrained MobileNetV2: light-dark edges in several directions, blobs of one colour against another, and, at the end, a handful of filters whose weights are practically zero. (Each picture is scaled to its own range; the number above it is the filter's norm.) Pretrained does not mean that every part earns its keep. Nine pixels also leave little room for beauty: the famous pictures of smooth, slanted stripes come from kernels of 7 or 11 pixels a side.
#
# **Deeper, weights say nothing to the eye.** So look at what they *do*: activation maps, one for each channel. We take the last stage of each map size, and the six channels that fire strongest on our sample flower.

# %% alt="A grid of maps in colours, one row a depth and in it the six channels that answer most: fine outlines of the flower first, a few coarse squares at last"
seen = activations(model, by_hand[None], stages(model))
seen = {stage: maps for stage, maps in seen.items() if maps.ndim == 4}  # some end on vectors
depths = {maps.shape[-1]: name for name, maps in seen.items()}  # the last stage of each size
grid, titles = [], []
for side, stage in depths.items():
    strongest = seen[stage][0].flatten(1).amax(dim=1).topk(6).indices
    maps = nn.functional.interpolate(seen[stage][:, strongest], size=112, mode="nearest")[0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    grid.append((maps - low) / (high - low).clamp_min(1e-12))
    titles += [f"{stage} · {c}\n{side} × {side}" for c in strongest.tolist()]
plots.image_grid(torch.cat(grid), titles, columns=6, cell=1.35);

# %% [markdown]
# Read it row by row, top to bottom. First an outline drawing, petal edge by petal edge. Then textures: this kind of edge, that spacing. Then regions: the disc, or everything but the disc. At the end, seven by seven squares, and hardly a question but *is it here?* Detail leaves, decision arrives.
#
# **Predict:** follow the flower's outline from stage to stage. At which map size can you no longer tell what was photographed?

# %% tags=["dial"] alt="Twelve activation maps of the chosen stage, starting at the chosen channel, each coloured from its lowest to its highest value"
# Dial: activation maps, stage by stage
def show_maps(stage, first):
    channels = seen[stage][0]
    first = min(first, len(channels) - 12)
    numbers = [f"channel {first + n}" for n in range(12)]
    ax = plots.image_grid(channels[first : first + 12], numbers, cell=1.3)
    ax.set_title(f"{stage}: {len(channels)} channels, {' × '.join(map(str, channels.shape[1:]))}")
    return ax.figure


widest = max(maps.shape[1] for maps in seen.values())
first = IntSlider(0, 0, widest - 12, step=12, description="channel")
stage = SelectionSlider(options=list(seen))
explore(show_maps, alt="Twelve activation maps", stage=stage, first=first)

# %% [markdown]
# Turn *stage* all the way to the right and come back one notch at a time: watch for the first map in which you would recognise the flower. Then stay at one stage and turn *channel*. Many are nearly empty, and no two ask for the same thing.

# %% [markdown]
# **What does a channel like?** Ask all 1,200 photos, and cut out the spot that excites it most. The test photos may take part: no label is used here, nothing is scored and nothing chosen.
#
# One pass notes, for every channel of every stage, its average on each photo, and where it is strongest of all. `cache=True` keeps that on your disk, under a hash of the network and the pixels: the next time you come here it is simply read.

# %%
from course_utils.images import ImageSet, per_class_index
from course_utils.inspection import survey, top_patches

splits = flowers.train, flowers.val, flowers.test
pixels = torch.cat([split.images for split in splits])
photos = ImageSet(pixels, torch.cat([split.labels for split in splits]), flowers.classes)

responses = survey(model, photos, {stage: stages(model)[stage] for stage in seen}, cache=True)
{stage: tuple(found.means.shape) for stage, found in list(responses.items())[::6]}

# %% [markdown]
# Three depths, three channels each (those that vary most from photo to photo), six patches a row.

# %% tags=["shows-photos"] alt="Three depths of the network, three channels each: the six photo patches that excite each channel most"
middle = list(depths.values())[1::2] + [list(depths.values())[-1]]
for stage, patch in zip(middle, (24, 48, 96), strict=False):
    channels = responses[stage].means.std(dim=0).topk(3).indices.tolist()
    patches = top_patches(photos, responses[stage], channels, k=6, patch=patch)
    numbers = [f"{stage} · {c}" for c in channels for _ in range(6)]
    plots.image_grid(patches.flatten(0, 1), numbers, cell=1.1)
    plt.show()

# %% [markdown]
# What we saw on the photos, row by row. Early: plain contrasts, such as a white or yellow petal against the dark, or red beside blue or green; a tree trunk behind red tulips will do. In the middle, mixed company: one channel likes smooth petals close up, in any colour; another put a bucket, a tattoo and a vase side by side, and we could not name what they share. Late: whole flowers. One row takes any large bloom, another mostly tulips, and red ones, with a rose that is wrapped as tightly. No label told the network about tulips.
#
# The last stage's activation stops at six (ReLU6), so many photos share the highest value there; among those, the larger average over the photo goes first.
#
# Most channels have no such neat story; we showed the ones that vary most, and they are the easiest to tell stories about.
#
# **And in numbers?** Pictures persuade easily; let us measure. We average each stage's maps over positions, fit a linear probe on that, and score it on the validation photos. The control is the same network with random weights: same layers, same widths, nothing learnt.
#
# And one more rival, for modesty: six numbers a photo, the mean and the deviation of its red, green and blue.
#
# **Predict:** two curves over depth, and a line. Where do the curves start, and where do they part?
#
# The averages of the pretrained network are in `responses` already; we only pick the rows of our training and validation photos.

# %%
seed_everything(0)
random_model = get_model(BACKBONE, weights=None).to(device).eval()

for_training = per_class_index(flowers.train.labels, PER_CLASS, seed=0)  # where train came from
ours = torch.cat([for_training, len(flowers.train) + torch.arange(len(val))])
parts = {stage: stages(random_model)[stage] for stage in seen}
by_random = survey(random_model, photos[ours], parts, cache=True)
averages = {
    "pretrained": {stage: found.means[ours] for stage, found in responses.items()},
    "random": {stage: found.means for stage, found in by_random.items()},
}

# %%
stage_hits = {}
for which, stage_vectors in averages.items():
    for stage, vectors in stage_vectors.items():
        probe = linear_probe(FeatureSet(vectors[learn], train.labels, flowers.classes))
        stage_hits[which, stage] = probe.predict(vectors[check].numpy()) == val.labels.numpy()

# %%
colour, colour_val = (
    torch.stack([torch.cat(torch.std_mean(photo.float(), dim=(1, 2))) for photo in d.images])
    for d in (train, val)
)
probe = linear_probe(FeatureSet(colour, train.labels, flowers.classes))
by_colour = (probe.predict(colour_val.numpy()) == val.labels.numpy()).mean()

# %% alt="Two curves with intervals over the stages, from pixels to head: validation accuracy of a probe on the features of pretrained weights and on those of random ones; lines mark six numbers of colour, and guessing"
stage_names = list(responses)
ax = plt.subplots(figsize=(7.6, 3.4), layout="constrained")[1]
for which in averages:
    scores = [wilson(stage_hits[which, s].sum(), len(val)) for s in stage_names]
    plots.curve(range(len(scores)), scores, label=f"{which} weights", ax=ax)
ax.axhline(by_colour, color="0.4", linestyle="--", label="six numbers of colour")
ax.axhline(0.2, color="0.6", linestyle=":", label="guessing")
ax.set_xticks(range(len(stage_names)), [n.removeprefix("features.") for n in stage_names])
ax.set(xlabel="stage, from pixels to head", ylabel="validation accuracy", ylim=(0, 1))
ax.legend(loc="lower left", ncols=2, fontsize=9);

# %%
first, last = stage_names[0], stage_names[-1]
start_gap = paired_bootstrap(stage_hits["pretrained", first], stage_hits["random", first])
end_gap = paired_bootstrap(stage_hits["pretrained", last], stage_hits["random", last])
claim(
    "learnt depth separates the flowers; depth alone does not",
    end_gap.low > 0.2 and end_gap.low > start_gap.high,
    figure=f"pretrained minus random: {start_gap} at the first stage, {end_gap} at the last",
    when=ON_PHOTOS,
    otherwise=NEEDS_PHOTOS,
)

# %% [markdown]
# Three honest readings.
#
# 1. **They start together.** After one layer, random filters serve as well as learnt ones. The dashed line says why that is no feat: plain colour, with no network at all, gets about as far. Yellow against red is a good start with flowers.
# 2. **They part with depth.** Going through random stages loses information, until plain colour does better; each learnt stage keeps what tells things apart and drops the rest. Depth is not knowledge. *Trained* depth is.
# 3. **The climb flattens at the very end.** The last stages were shaped for a thousand ImageNet classes, not for our five flowers; Yosinski 2014 found the same with far larger experiments. General first, specific last: that is why one freezes the early stages and retrains the late ones, if any ([lesson 2](02_freezing.ipynb), lesson 5).
#
# One caution: later stages are also *wider*, and more numbers help a probe. That is what the control is for: the random network has the same widths, and gains nothing from them.

# %% tags=["quiz"]
quiz("01-depth")

# %% [markdown]
# ## Your turn
# Before you write it, one small trap. **Predict:** we forget the `[None]` and hand over one prepared photo as it is. What does the model say?

# %%
try:
    model(preprocess(flower).to(device))
except (ValueError, RuntimeError) as error:  # which one, is the network's choice
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# Networks take *batches*: [N, 3, H, W], even for one photo. A loud mistake, hence a kind one.
#
# Now write `top_k`: the `k` best names for one picture, with their probabilities. It shall be right for any model, in whatever mode it is handed over, and leave no trace in it. You have met all the pieces: the right transforms, `eval`, no gradients, softmax, the category names.

# %% tags=["exercise"]
def top_k(model, weights, image, k=5):
    """The k likeliest classes of one PIL image: [(name, probability), …], best first."""
    # solution
    batch = weights.transforms()(image)[None]
    model.eval()
    with torch.no_grad():
        probabilities = model(batch).softmax(dim=1)[0]
    values, places = probabilities.topk(k)
    names = weights.meta["categories"]
    return [(names[i], p) for i, p in zip(places.tolist(), values.tolist(), strict=True)]
    # end solution

# %% tags=["self-check"]
from courseware.exercises import check

check("top_k", top_k)  # hint("top_k") helps; after a try, solution("top_k") shows one

# %% [markdown]
# The check runs your function on three networks with random values, each of which wants its image prepared in another way. Now on the real one:

# %%
top_k(model.cpu(), pinned, flower, 3)

# %% [markdown]
# What does it call our sample flower? No dahlia among the thousand, so it took the nearest thing with many small cells in a round shape. You have seen the activation maps: can you blame it?

# %% [markdown]
# ## What you saw
# - A weights member is a record: file, classes, score, `transforms()`. `DEFAULT` moves; a pinned name does not. `pretrained=True` means V1, and its warning offers you something else.
# - The file is a state dict, names to tensors, with the start of its SHA-256 in its name. Load it with `weights_only=True`: a pickle can run code.
# - Maps shrink, channels grow, and a vector comes out. Count values, not tensors. Network = head after backbone.
# - The old head has its thousand names and must choose one. Its features can do more than its vocabulary: a new head on the same vectors tells all five flowers apart.
# - Preparation belongs to the weights. Mistakes in it are graded and silent; a new head hides the mild ones. Any size runs; detail helps.
# - Early stages see colours and edges, whoever made the filters. Learnt depth is what turns them into flowers.

# %% [markdown]
# ## Test yourself
# The lesson's quiz. A wrong answer is told why it is wrong, and costs nothing.

# %% tags=["quiz"]
quiz("01_loading_pretrained_models")

# %% [markdown]
# ## References
# - Deng et al. 2009, *ImageNet: a large-scale hierarchical image database* ([doi](https://doi.org/10.1109/CVPR.2009.5206848)); Russakovsky et al. 2015, on its thousand classes and 1.28 million training photos ([arXiv](https://arxiv.org/abs/1409.0575)).
# - He et al. 2016, *Deep residual learning for image recognition* ([arXiv](https://arxiv.org/abs/1512.03385)); Sandler et al. 2018, *MobileNetV2* ([arXiv](https://arxiv.org/abs/1801.04381)): the two backbones.
# - Zeiler & Fergus 2014, *Visualizing and understanding convolutional networks* ([arXiv](https://arxiv.org/abs/1311.2901)): the patches that excite a channel.
# - Yosinski et al. 2014, *How transferable are features in deep neural networks?* ([arXiv](https://arxiv.org/abs/1411.1792)): general first, specific last.
# - Alain & Bengio 2016, *Understanding intermediate layers using linear classifier probes* ([arXiv](https://arxiv.org/abs/1610.01644)).
# - Kornblith et al. 2021, *Why do better loss functions lead to less transferable features?* ([arXiv](https://arxiv.org/abs/2010.16402)).
# - PyTorch documentation: [models and pretrained weights](https://docs.pytorch.org/vision/stable/models.html), [torch.load](https://docs.pytorch.org/docs/stable/generated/torch.load.html).
#
# **Next:** [2 · Freezing](02_freezing.ipynb). You have a backbone that knows things. How do you keep it from forgetting them while the head learns?
