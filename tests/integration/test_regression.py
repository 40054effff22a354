"""Regression as a user does it: a table with a real target, and every command on it."""

import json
import random

import pytest

from suite.experiments import registry
from suite.experiments.trial_config import task_digest
from tasks.taskfile import read_task_file
from tests.support.cli_runner import Command

TASK = """name: houses/mlp
data: {format: table, path: houses.csv, target: price, targets: real}
model: mlp
model_options: {hidden: [16]}
recipe: {epochs: 2, batch_size: 16, learning_rate: 0.05}
"""


def table(price=lambda area, age, noise: 1000 * (2 * area - age) + 20 * noise) -> str:
    """Return 200 houses as CSV, whose price is nearly linear."""
    draw = random.Random(0)
    rows = []
    for _ in range(200):
        area, age, noise = draw.random(), draw.random(), draw.gauss(0, 1)
        rows.append(f"{area:.6f},{age:.6f},{price(area, age, noise):.2f}")
    return "\n".join(["area,age,price", *rows]) + "\n"


@pytest.fixture
def houses(place, monkeypatch):
    """Write a table and its task file, and use the task."""
    (place / "houses.csv").write_text(table())
    (place / "houses.yaml").write_text(TASK)
    monkeypatch.setenv("RESONANCE_PLUGINS", str(place / "houses.yaml"))
    return place


def test_every_command_on_a_table_with_a_real_target(houses, resonance: Command):
    ran = resonance("run houses/mlp rigl -s 0.5 --recipe epochs=30 --json")
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    metrics = record["metrics"]
    assert record["metric"] == "r2"
    assert metrics["test_r2"] > 0.8
    # The error is in the unit of the table: the noise is 20, the deviation of the target about 650.
    assert 20 < metrics["test_rmse"] < 300
    assert {"validation_r2", "validation_rmse", "test_r2_8bit", "train_loss"} <= metrics.keys()
    assert not [name for name in metrics if "accuracy" in name or name in ("test_nll", "test_ece")]
    assert "not applicable" in record["absent"]["test_ece"]
    (mean,), (std,) = record["data"]["targets"]["mean"], record["data"]["targets"]["std"]
    assert 400 < mean < 600
    assert 500 < std < 800

    shown = resonance("run houses/mlp rigl -s 0.5 --recipe epochs=30")
    assert f"test R²           {metrics['test_r2']:.4g}" in shown.out
    assert "accuracy" not in shown.out

    (houses / "s.yaml").write_text(
        "name: s\nquestion: Does it work?\ntasks: [houses/mlp]\nmethods: [dense, set, static]\n"
        "sparsities: [0.5]\nseeds: 2\ncontrols_left_out: a test\n"
    )
    study = resonance("study s.yaml --workers 1")
    assert study.code == 0, study.err

    compared = resonance("compare set static")
    assert compared.code == 0, compared.err
    assert "differences in test R²; higher is better" in compared.out
    assert "accuracy" not in compared.out
    (line,) = json.loads(resonance("compare set static --json").out)["lines"]
    assert line["metric"] == "test_r2"

    built = resonance("leaderboard build --markdown board.md")
    assert built.code == 0, built.err
    assert "houses/mlp: test R²" in built.out
    board = (houses / "board.md").read_text()
    assert "test R²; higher is better. Mean ± half the 95 % interval" in board
    page = (houses / "site" / "index.html").read_text()
    assert "Test R²; higher is better" in page
    paper = (houses / "site" / "paper.html").read_text()
    assert "Test R² (higher is better) on houses/mlp: mean ± half the 95 % interval" in paper
    assert "test accuracy" not in paper
    assert "Test R$^2$" in next((houses / "site" / "tables").glob("*.tex")).read_text()

    tuned = resonance(
        "tune set --task houses/mlp --budget 2 --seeds 1 --final-seeds 2 --workers 1 -s 0.5"
        " --sampler random"
    )
    assert tuned.code == 0, tuned.err
    assert "r2" in tuned.out
    assert "accuracy" not in tuned.out

    ablated = resonance("ablate set --vary drop_fraction=0.1 --task houses/mlp -s 0.5 --seeds 2")
    assert ablated.code == 0, ablated.err
    assert "test R²" in ablated.out
    assert "accuracy" not in ablated.out


@pytest.mark.parametrize(
    ("text", "data", "words"),
    [
        (TASK, table(lambda *given: 7.0), "there is nothing to predict"),
        (TASK.replace("targets: real", "targets: reel"), table(), "give classes or real"),
        (TASK + "metric: accuracy\n", table(), "give one of r2, rmse"),
        (TASK.replace("2, batch", "2, label_smoothing: 0.1, batch"), table(), "label_smoothing=0"),
        (TASK.replace("2, batch", "2, flip: true, batch"), table(), "flip"),
        (TASK, table().replace("area,age", "area,price2").replace("0.8", "x8"), "finite numbers"),
        (TASK.replace("price,", "cost,"), table(), "no column 'cost'"),
        (TASK.replace("target: price", "target: [price, price]"), table(), "each column once"),
    ],
)
def test_what_cannot_be_regression_is_refused_in_one_line(place, resonance, text, data, words):
    (place / "houses.csv").write_text(data)
    (place / "houses.yaml").write_text(text)
    refused = resonance("run --task-file houses.yaml static -s 0.5")
    assert words in refused.complaint
    assert not (place / "results").exists()


def test_several_targets_have_the_mean_of_their_r2_and_no_common_rmse(place, resonance):
    (place / "houses.csv").write_text(table())
    several = TASK.replace("target: price", "target: [price, age]")
    (place / "houses.yaml").write_text(several)
    record = json.loads(resonance("run --task-file houses.yaml static -s 0.5 --json").out)
    assert len(record["data"]["targets"]["mean"]) == 2
    assert "test_rmse" not in record["metrics"]
    assert record["absent"]["test_rmse"] == "2 targets, each in its own unit"
    assert "test_r2" in record["metrics"]
    (place / "houses.yaml").write_text(several + "metric: rmse\n")
    refused = resonance("run --task-file houses.yaml static -s 0.5")
    assert "each in its own unit: give metric r2" in refused.complaint


def test_a_published_protocol_of_labels_is_refused(resonance):
    refused = resonance("run diabetes/mlp set -s 0.5 --trainer set_2019")
    assert refused.code == 2


def test_a_task_on_classes_may_rank_by_balanced_accuracy(place, resonance, monkeypatch):
    draw = random.Random(0)
    rows = [f"{draw.random():.4f},{'rare' if i % 8 == 0 else 'often'}" for i in range(240)]
    (place / "rare.csv").write_text("\n".join(["x,kind", *rows]) + "\n")
    (place / "rare.yaml").write_text(
        "name: rare/mlp\ndata: {format: table, path: rare.csv, target: kind}\nmodel: mlp\n"
        "model_options: {hidden: [8]}\nrecipe: {epochs: 2, batch_size: 16}\n"
    )
    plain = json.loads(resonance("run --task-file rare.yaml static -s 0.5 --json").out)
    assert "metric" not in plain  # accuracy, as in older records
    # Always "often" is right in seven of eight cases, and finds half of the classes.
    assert plain["metrics"]["test_accuracy"] == pytest.approx(7 / 8)
    assert plain["metrics"]["test_balanced_accuracy"] == pytest.approx(0.5)
    with (place / "rare.yaml").open("a") as file:
        file.write("metric: balanced_accuracy\n")
    dataset, task = read_task_file(place / "rare.yaml")
    assert task.metric == "balanced_accuracy"
    # It changes nothing in the training, so the trial is the same.
    assert task_digest(task, dataset) == plain["configuration"]["task_digest"]
    monkeypatch.setitem(registry.tasks()["rare/mlp"].__dict__, "metric", task.metric)
    built = resonance("leaderboard build")
    assert "rare/mlp: test balanced accuracy in %" in built.out, built.err
    assert "50.00" in built.out
