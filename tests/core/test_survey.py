"""One pass: its figures against the plain forward pass, patches against planted squares, the
store on disk against every change that must not be overlooked."""

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2

from course_utils import inspection as module
from course_utils.images import ImageSet, normalize
from course_utils.inspection import survey, top_patches


def image_set(n: int = 5, size: int = 32, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.zeros(n, dtype=torch.int64), ("only",))


@pytest.fixture
def small() -> nn.Sequential:
    """Two convolutions; the second one's ReLU works in place on what it gave."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 2, 3),
        nn.Conv2d(2, 4, 5, stride=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )


def test_averages_peaks_and_places_are_those_of_the_maps(small):
    images = image_set()
    seen = survey(small, images, {"a": small[0], "b": small[1]}, batch_size=2)
    with torch.no_grad():
        a = small[0](normalize(images.images))
        b = small[1](a)
    assert seen["a"].side == (30, 30) and seen["b"].side == (13, 13)
    for maps, found in ((a, seen["a"]), (b, seen["b"])):
        torch.testing.assert_close(found.means, maps.mean(dim=(2, 3)))
        peaks = maps.amax(dim=(2, 3))
        order = peaks.argsort(dim=0, descending=True)
        assert torch.equal(found.best, order)
        assert torch.equal(found.places, maps.flatten(2).argmax(dim=2).gather(0, order))
    assert seen["b"].means.min() < 0  # before the ReLU, not after


def test_among_equal_peaks_the_higher_average_comes_first():
    """ReLU6 cuts all three images at 6; number 1 is bright over the largest area."""
    images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    for n, side in enumerate((2, 6, 4)):
        images[n, :, :side, :side] = 255
    layer = nn.Conv2d(3, 1, 1)
    nn.init.constant_(layer.weight, 100.0)
    model = nn.Sequential(layer, nn.ReLU6(), nn.Flatten(), nn.Linear(64, 2))
    data = ImageSet(images, torch.zeros(3, dtype=torch.int64), ("only",))
    seen = survey(model, data, {"capped": model[1]})["capped"]
    assert seen.best.flatten().tolist() == [1, 2, 0]


def test_only_the_best_are_noted_and_no_more_can_be_cut(small):
    images = image_set()
    full = survey(small, images, {"a": small[0]})["a"]
    few = survey(small, images, {"a": small[0]}, best=2)["a"]
    assert len(full.best) == 5 and torch.equal(few.best, full.best[:2])
    with pytest.raises(ValueError, match="noted 2 images"):
        top_patches(images, few, [0], k=3, patch=8)


def test_a_network_is_left_as_it_was_and_asked_in_eval_mode():
    torch.manual_seed(0)
    model = mobilenet_v2().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = survey(model, image_set(3))
    assert list(seen) == [f"features.{n}" for n in range(19)]
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())
    alone = survey(model, image_set(3)[:1], batch_size=1)
    torch.testing.assert_close(alone["features.18"].means, seen["features.18"].means[:1])


def test_what_cannot_be_surveyed_is_refused(small):
    with pytest.raises(ValueError, match=r"\['other'\], not in Sequential"):
        survey(small, image_set(), {"other": nn.Conv2d(3, 2, 1)})
    with pytest.raises(ValueError, match="an empty ImageSet"):
        survey(small, image_set()[:0])
    with pytest.raises(ValueError, match=r"head gives \(5, 5\); expected maps"):
        survey(small, image_set(), {"head": small[5]})
    assert not any(m._forward_hooks for m in small.modules())


# --- on disk


@pytest.fixture
def passes(tmp_path, monkeypatch):
    """How many passes were made so far, with a cache of its own."""
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path))
    made, run = [], module._run
    monkeypatch.setattr(module, "_run", lambda *a: made.append(1) or run(*a))
    return made


def ask(model, images=None, **modules):
    images = image_set() if images is None else images
    return survey(model, images, modules or {"a": model[0]}, cache=True)


def test_the_second_time_it_is_read(small, passes):
    first, second = ask(small), ask(small)
    assert len(passes) == 1
    assert first["a"].side == second["a"].side
    for part in ("means", "best", "places"):
        assert torch.equal(getattr(first["a"], part), getattr(second["a"], part))


def test_nothing_is_kept_unasked(small, passes, tmp_path):
    survey(small, image_set(), {"a": small[0]})
    assert not list(tmp_path.iterdir())


def test_a_change_of_anything_is_another_entry(small, passes):
    ask(small)
    ask(small, a=small[1])  # the same name for another module
    ask(small, b=small[0])
    ask(small, a=small[0], b=small[1])
    ask(small, image_set(seed=1))
    ask(small, image_set(n=4))
    with torch.no_grad():
        small[0].weight[0, 0, 0, 0] += 1e-3
    ask(small)
    survey(small, image_set(), {"a": small[0]}, best=2, cache=True)
    assert len(passes) == 8


def test_another_forward_pass_with_the_same_weights_is_another_entry(small, passes, capsys):
    first = ask(small)["a"].means
    small[0].stride = (2, 2)
    assert not torch.equal(ask(small)["a"].means, first)
    small[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    for _ in range(2):
        ask(small)
    assert len(passes) == 4, "what a hook does is not known: nothing is kept"
    assert "0 (Conv2d) has a hook" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped bit"])
def test_a_damaged_file_is_made_anew(small, passes, tmp_path, damage):
    first = ask(small)["a"]
    (file,) = (tmp_path / "survey").glob("*.kept")
    content = bytearray(file.read_bytes())
    place = content.index(first.means.numpy().tobytes())
    content[place] ^= 1
    file.write_bytes({"cut": content[:300], "empty": b"", "flipped bit": content}[damage])
    assert torch.equal(ask(small)["a"].means, first.means)
    ask(small)
    assert len(passes) == 2
    assert [path.suffix for path in (tmp_path / "survey").iterdir()] == [".kept"]


def test_a_cache_that_cannot_be_written_costs_only_the_saving(small, passes, tmp_path, capsys):
    (tmp_path / "survey").write_text("a file where the folder should be")
    assert len(ask(small)["a"].means) == 5
    assert "could not be kept" in capsys.readouterr().out


# --- top_patches


def planted(n: int = 6, size: int = 32) -> ImageSet:
    """Black images; number 2 holds a white square at rows 16…23, columns 4…11, number 4 a dimmer
    one in the corner at the lower right."""
    images = torch.zeros(n, 3, size, size, dtype=torch.uint8)
    images[2, :, 16:24, 4:12] = 255
    images[4, :, 28:32, 28:32] = 120
    return ImageSet(images, torch.zeros(n, dtype=torch.int64), ("only",))


@pytest.fixture
def bright():
    """Channel 0 is the mean of 8 × 8 pixels; channel 1 its negative."""
    layer = nn.Conv2d(3, 2, 8, stride=4, padding=2, bias=False)
    nn.init.constant_(layer.weight[0], 1.0)
    nn.init.constant_(layer.weight[1], -1.0)
    model = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    return survey(model, planted(), {"layer": layer})["layer"]


def test_the_planted_square_is_found_and_cut_out(bright):
    patches = top_patches(planted(), bright, [0], k=2, patch=12)
    assert patches.shape == (1, 2, 3, 12, 12) and patches.dtype == torch.uint8
    white, dim = patches[0]
    assert white.eq(255).sum() == 3 * 8 * 8  # the whole square lies inside
    assert dim.eq(120).sum() == 3 * 4 * 4  # moved inwards at the border, nothing lost


def test_each_channel_gets_its_own_patches(bright):
    patches = top_patches(planted(), bright, [1, 0], k=1, patch=8)
    assert patches[0].max() == 0  # the darkest spot for the negative channel
    assert patches[1].max() == 255


def test_an_image_gives_one_patch_a_channel(bright):
    patches = top_patches(planted(), bright, [0], k=6, patch=32)
    whole = {tuple(p.flatten().tolist()) for p in patches[0]}
    assert len(whole) == 3  # the white square, the dim one, and four black images


@pytest.mark.parametrize("wrong", [{"k": 7}, {"k": 2, "patch": 33}])
def test_more_patches_than_images_or_larger_ones_are_refused(bright, wrong):
    with pytest.raises(ValueError, match="noted 6 images of 32 px"):
        top_patches(planted(), bright, [0], **wrong)


def test_other_images_than_were_surveyed_are_refused(bright):
    with pytest.raises(ValueError, match="got 5 images; 6 were surveyed"):
        top_patches(planted(5), bright, [0], k=2)
