import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.training.trial import run_trial
from tasks.datasets import planted, text
from tasks.datasets.files import locate
from tasks.loading import load_arrays, load_data
from tasks.task import Dataset
from tests.conftest import require
from tests.tasks.samples import gzipped

CPU = torch.device("cpu")

SONNET = (
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
    "Rough winds do shake the darling buds of May,\nAnd summer's lease hath all too short a date;\n"
) * 12


@pytest.mark.parametrize(
    ("name", "counts"),
    [("breast_cancer", [170, 285]), ("wine", [47, 57, 38])],
)
def test_tables_of_scikit_learn_are_standardised_and_split_by_class(name, counts):
    arrays, digest = load_arrays(registry.datasets()[name])
    assert torch.bincount(arrays.train_y).tolist() == counts
    assert float(arrays.train_x.mean(0).abs().max()) < 1e-3
    assert float((arrays.train_x.std(0) - 1).abs().max()) < 0.01
    assert digest == registry.datasets()[name].checksum


def test_covtype_is_read_from_the_published_table(tmp_path, monkeypatch):
    import gzip
    import hashlib

    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 3000, (210, 54)), np.arange(210) % 7 + 1])
    lines = "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n"
    raw = gzip.compress(lines.encode())
    (tmp_path / "covtype.data.gz").write_bytes(raw)
    monkeypatch.setenv("RESONANCE_DATA", str(tmp_path))
    declared = registry.datasets()["covtype"]
    options = {**declared.options, "sha256": hashlib.sha256(raw).hexdigest()}
    arrays, _ = load_arrays(replace(declared, train=168, test=42, options=options))
    assert torch.bincount(arrays.train_y).tolist() == [24] * 7
    with pytest.raises(InvalidInput, match="not the published file"):
        load_arrays(replace(declared, train=168, test=42))


# ------------------------------------------------------------------------------- text


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


def test_cifar10_jpeg_is_sixty_thousand_images_of_ten_classes():
    here = locate("cifar10-jpeg.tar.xz") is not None and "RESONANCE_CACHE" in os.environ
    require("cifar10-jpeg", here, "set RESONANCE_DATA and RESONANCE_CACHE")
    arrays, _ = load_arrays(registry.datasets()["cifar10-jpeg"])
    assert torch.bincount(arrays.train_y).tolist() == [5000] * 10
    mean = arrays.train_x.float().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.003)


# ------------------------------------------------------------------------------- planted


def masks(layers) -> dict[str, torch.Tensor]:
    return {str(number): layer != 0 for number, layer in enumerate(layers)}


def test_the_teacher_itself_is_recovered_whatever_the_order_of_its_units():
    dataset = registry.datasets()["planted"]
    first, last = planted.teacher(dataset)
    assert (first != 0).sum(1).tolist() == [6] * 32
    assert (last != 0).sum(1).tolist() == [8] * 8
    order = torch.randperm(32)
    for layers in ((first, last), (first[order], last[:, order])):
        found = planted.recovered(dataset, masks(layers))
        assert found["recovered_precision"] == found["recovered_recall"] == 1
        assert found["recovered_chance"] < 0.4


def test_random_masks_recover_what_chance_gives():
    dataset = registry.datasets()["planted"]
    generator = torch.Generator().manual_seed(3)
    shapes, kept = [(32, 64), (8, 32)], [192, 64]
    drawn = {}
    for number, (shape, count) in enumerate(zip(shapes, kept, strict=True)):
        mask = torch.zeros(shape[0] * shape[1], dtype=torch.bool)
        mask[torch.randperm(len(mask), generator=generator)[:count]] = True
        drawn[str(number)] = mask.view(shape)
    found = planted.recovered(dataset, drawn)
    assert found["recovered_precision"] == pytest.approx(found["recovered_chance"], abs=0.06)
    assert planted.recovered(dataset, {"0": torch.ones(3, 3, dtype=torch.bool)}) == {}


def test_labels_are_the_teachers_own():
    dataset = registry.datasets()["planted"]
    arrays, digest = load_arrays(dataset)
    assert digest == dataset.checksum
    first, last = planted.teacher(dataset)
    x = torch.cat([arrays.train_x, arrays.test_x]).double()
    outputs = (x @ first.T).relu() @ last.T
    outputs = (outputs - outputs.mean(0)) / outputs.std(0)
    assert torch.equal(outputs.argmax(1), torch.cat([arrays.train_y, arrays.test_y]))


def test_a_magnitude_pruned_student_recovers_more_of_the_teacher_than_chance():
    trial = Trial.make(task="planted/mlp", method="magnitude", sparsity=0.888,
                       recipe={"epochs": 12})  # fmt: skip
    metrics = run_trial(trial).record.metrics
    assert metrics["recovered_precision"] > 1.5 * metrics["recovered_chance"]
    assert metrics["recovered_recall"] > 1.5 * metrics["recovered_chance"]
