"""A text as windows of characters."""

import math
from dataclasses import replace

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.training.trial import run_trial
from tasks.datasets import text
from tasks.datasets.files import locate
from tasks.pipeline import load_arrays, load_data
from tasks.task import Dataset
from tests.conftest import require
from tests.tasks.samples import gzipped

CPU = torch.device("cpu")


SONNET = (
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
    "Rough winds do shake the darling buds of May,\nAnd summer's lease hath all too short a date;\n"
) * 12


def declared_text(path, **options) -> Dataset:
    return replace(
        registry.datasets()["tinyshakespeare"], shape=(16,), train=112, test=12, checksum="",
        classes=len(set(SONNET)), options={"path": path, "test_share": 0.1, **options},
    )  # fmt: skip


def test_a_text_is_windows_and_the_characters_that_follow(tmp_path):
    path = gzipped(tmp_path / "sonnet.txt.gz", SONNET)
    cut = int(len(SONNET) * 0.9)
    dataset = declared_text(path)
    arrays = text.load(dataset)
    characters = text.alphabet(SONNET)
    decoded = "".join(characters[i] for i in arrays.train_x.flatten().tolist())
    assert decoded == SONNET[: len(decoded)]
    assert torch.equal(arrays.train_y.flatten()[:-1], arrays.train_x.flatten()[1:])
    test = "".join(characters[i] for i in arrays.test_x.flatten().tolist())
    assert test == SONNET[cut : cut + len(test)]
    assert len(arrays.train_x) == (cut - 1) // 16


def test_validation_is_the_end_of_a_text(tmp_path):
    path = gzipped(tmp_path / "sonnet.txt.gz", SONNET)
    arrays = text.load(declared_text(path))
    dataset = replace(declared_text(path), train=len(arrays.train_x), test=len(arrays.test_x))
    data = load_data(dataset, 0.25, CPU)
    assert torch.equal(torch.cat([data.train.x, data.validation.x]), arrays.train_x)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe broken", "is not UTF-8 text"),
        (("a" * 900 + "b" * 99 + "\n" + "ß").encode(), "'b' in line 1"),
    ],
)
def test_a_text_with_unseen_characters_is_refused(tmp_path, content, words):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        text.load(declared_text(path))


def test_a_gpt_learns_text_and_its_record_has_bits_per_character(tmp_path, monkeypatch):
    path = gzipped(tmp_path / "sonnet.txt.gz", SONNET)
    arrays = text.load(declared_text(path))
    dataset = replace(declared_text(path), train=len(arrays.train_x), test=len(arrays.test_x))
    task = replace(
        registry.tasks()["tinyshakespeare/gpt_small@short"],
        model_options={"dim": 32, "depth": 2, "heads": 2},
    )
    monkeypatch.setitem(registry.datasets()._by_name, task.dataset, dataset)
    monkeypatch.setitem(registry.tasks()._by_name, task.name, task)
    recipe = {"epochs": 4, "batch_size": 4, "learning_rate": 3e-3}
    trial = Trial.make(task=task.name, method="rigl", sparsity=0.5, recipe=recipe,
                       hyperparameters={"update_every": 20})  # fmt: skip
    metrics = run_trial(trial).record.metrics
    bits = metrics["test_bits_per_character"]
    assert bits == pytest.approx(metrics["test_nll"] / math.log(2))
    assert bits < 4 < math.log2(len(set(SONNET)))  # it has learned what is frequent, and more
    assert "test_bits_per_character" not in run_trial(
        Trial.make(task="wine/mlp", method="dense", recipe={"epochs": 1})
    ).record.metrics  # fmt: skip


def test_tiny_shakespeare_is_the_published_text():
    found = locate("tinyshakespeare.txt.gz", "tinyshakespeare.txt")
    require("tinyshakespeare", found is not None, "set RESONANCE_DATA to a folder that holds it")
    dataset = registry.datasets()["tinyshakespeare"]
    arrays, digest = load_arrays(dataset)
    assert digest == dataset.checksum
    assert arrays.train_x.shape == (1_003_853 // 256, 256)
