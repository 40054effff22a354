from dataclasses import replace

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.training.trial import run_trial
from tasks.loading import load_data
from tasks.recipe import Recipe
from tasks.stream import random_box
from tasks.task import Task
from tests.tasks.samples import image_folder, picture

CPU = torch.device("cpu")
RECIPE = Recipe(batch_size=4, smallest_crop=0.3, flip=True)


@pytest.fixture
def streamed(tmp_path, monkeypatch):
    """Return ImageNet's declaration for 12 + 6 images of two classes in its folders."""
    folder = image_folder(tmp_path / "imagenet", size=(30, 24), kind="JPEG")
    (folder / "test").rename(folder / "val")
    monkeypatch.setenv("RESONANCE_DATA", str(tmp_path))
    load_data.cache_clear()
    declared = registry.datasets()["imagenet"]
    return replace(declared, shape=(3, 16, 16), classes=2, train=12, test=6), folder


def test_images_are_read_labelled_and_normalised_from_imagenets_folders(streamed):
    dataset, _ = streamed
    test = load_data(dataset, 0.0, CPU).test
    (x, y), *rest = test.batches(4)
    assert x.shape == (4, 3, 16, 16)
    assert [len(y) for _, y in rest] == [2]
    assert y.tolist() == [0, 0, 0, 1]
    red = (40 / 255 - 0.485) / 0.229
    assert float(x[0, 0].mean()) == pytest.approx(red, abs=0.05)


def test_batches_depend_on_seed_epoch_and_place_and_not_on_the_workers(streamed, monkeypatch):
    dataset, _ = streamed
    train = load_data(dataset, 0.0, CPU).train

    def batches(seed: int, epoch: int):
        return [x for x, _ in train.batch_source(RECIPE, seed).epoch(epoch).batches(0, 3)]

    first = batches(1, 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    assert all(torch.equal(a, b) for a, b in zip(first, batches(1, 0), strict=True))
    alone = train.batch_source(RECIPE, 1).epoch(0).batch(2)[0]
    assert torch.equal(alone, first[2])
    assert not torch.equal(first[0], batches(1, 1)[0])
    assert not torch.equal(first[0], batches(2, 0)[0])


def test_reading_leaves_the_global_random_state_alone(streamed):
    train = load_data(streamed[0], 0.0, CPU).train
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(train.batch_source(RECIPE, 0).epoch(0).batches(0, 1))
    list(train.batches(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pool_is_in_memory_and_drawn_by_the_seed(streamed):
    train = load_data(streamed[0], 0.0, CPU).train
    pool = train.pool(5, seed=0)
    assert pool.x.shape == (5, 3, 16, 16)
    assert torch.equal(pool.x, train.pool(5, seed=0).x)
    bright = pool.x.mean((1, 2, 3)) > 0
    assert torch.equal(bright.long(), pool.y)
    with pytest.raises(InvalidInput, match="streamed"):
        _ = train.x


def test_a_random_box_has_the_area_and_aspect_it_should():
    import numpy as np

    rng = np.random.default_rng(0)
    shares, ratios = [], []
    for _ in range(2000):
        left, top, right, bottom = random_box(rng, (100, 80), 0.08) or (0, 0, 100, 80)
        assert 0 <= left < right <= 100
        assert 0 <= top < bottom <= 80
        shares.append((right - left) * (bottom - top) / 8000)
        ratios.append((right - left) / (bottom - top))
    assert min(shares) < 0.12 < 0.8 < max(shares)
    assert 0.7 < min(ratios) < 0.8 < 1.25 < max(ratios) < 1.45


def test_a_damaged_image_is_named_in_one_line(streamed):
    dataset, folder = streamed
    bad = folder / "train" / "cat" / "0.jpeg"
    bad.write_bytes(bad.read_bytes()[:50])
    with pytest.raises(InvalidInput, match=r"train/cat/0.jpeg cannot be read") as refusal:
        list(load_data(dataset, 0.0, CPU).train.batches(4))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "val" / "dog").rename(f / "val" / "wolf"), "'wolf' has no images"),
        (lambda f: [p.unlink() for p in (f / "train" / "dog").iterdir()], "the class is empty"),
        (lambda f: (f / "train" / "dog" / "0.jpeg").unlink(), "11 training and 6 test"),
        (lambda f: (f / "train" / "x.png").write_bytes(picture(1)), "is not in a class folder"),
        (lambda f: (f / "val").rename(f / "held"), "there must be 'test'"),
    ],
)  # fmt: skip
def test_folders_that_are_not_imagenets_are_refused(streamed, spoil, words):
    dataset, folder = streamed
    spoil(folder)
    with pytest.raises(InvalidInput, match=words):
        load_data(dataset, 0.0, CPU)


def test_missing_images_are_refused_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("RESONANCE_DATA", str(tmp_path))
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path))
    with pytest.raises(InvalidInput, match="imagenet or ILSVRC2012"):
        load_data(registry.datasets()["imagenet"], 0.0, CPU)


@pytest.mark.parametrize("method", ["rigl", "snip"])
def test_a_trial_trains_on_streamed_images(streamed, monkeypatch, method):
    dataset, _ = streamed
    task = Task("tiny/net", "", title="", dataset="imagenet", model="tasks.models.mlp:mlp",
                model_options={"hidden": (8,)},
                recipe={"epochs": 6, "batch_size": 4, "validation": 0.0, "flip": True,
                        "smallest_crop": 0.5, "learning_rate": 0.01})  # fmt: skip
    monkeypatch.setitem(registry.datasets()._by_name, "imagenet", dataset)
    monkeypatch.setitem(registry.tasks()._by_name, "tiny/net", task)
    trial = Trial.make(task="tiny/net", method=method, sparsity=0.5)
    record = run_trial(trial).record
    assert record.metrics["test_accuracy"] == 1.0  # dark and bright are not hard to tell apart
    assert record.data["train"] == 12


def test_the_split_of_a_stream_follows_a_seed(streamed):
    dataset, _ = streamed
    splits = [load_data(dataset, 0.5, CPU, split_seed=seed) for seed in (None, 0, 1, 2)]
    held = [tuple(path.name for path in one.validation.paths) for one in splits]
    assert len(set(held)) > 1
    assert {len(one) for one in held} == {6}
    assert all(sorted(one.validation.y.tolist()) == [0, 0, 0, 1, 1, 1] for one in splits)
