import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suite.execution import engines, run_study
from suite.execution.plan import preflight
from suite.execution.runner import Inline
from suite.execution.worker_handle import WorkerConfig
from suite.experiments import registry
from suite.experiments.study import load_study
from suite.experiments.trial_config import Trial
from suite.results.store import Store
from tests.support.sample_records import done

PLUGIN = """
import torch
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "exploding", "this test", title="Exploding", summary="overflows at step 4",
    implementation="Exploding", family="test",
)


class Exploding(Sparsifier):
    def attach(self, model, optimizer, **more):
        super().attach(model, optimizer, **more)
        self.model = model

    def start(self):
        self.draw_masks()

    def after_step(self, step):
        if step == 3:
            with torch.no_grad():
                self.model[3].bias.fill_(float("nan"))
"""

STUDY = """
name: mixed
question: What happens to the others?
tasks: [digits/mlp]
methods: [static, exploding, dense]
sparsities: [0.8]
seeds: 1
recipe: {epochs: 1}
"""


def in_process(settings: WorkerConfig, *_: Any) -> Inline:
    """Return an engine that runs here what workers would run, which would import torch again."""
    return Inline(Store(settings.store), settings.every)


@pytest.fixture
def place(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add a plug-in and a study, and run workers in this process."""
    monkeypatch.setattr(engines, "LocalEngine", in_process)
    monkeypatch.setattr(engines.EngineOptions, "preflight", lambda self, trials: preflight(trials))
    (place / "exploding.py").write_text(PLUGIN)
    (place / "mixed.yaml").write_text(STUDY)
    return place


SHORT = ("--recipe", "epochs=1")


# ---------------------------------------------------------------- one trial


def test_a_trial_runs_once_and_is_served_from_the_store_afterwards(resonance, place):
    first = resonance("run digits/mlp static --json", *SHORT)
    assert first.code == 0, first.err
    record = json.loads(first.out)
    assert record["status"] == "done"
    assert record["trial"]["sparsity"] == 0.9
    again = resonance("run digits/mlp static --json", *SHORT)
    assert json.loads(again.out) == record
    assert "done before" in resonance("run digits/mlp static", *SHORT).out
    anew = json.loads(resonance("run digits/mlp static --json --overwrite always", *SHORT).out)
    assert anew["timing"] != record["timing"]
    assert anew["digests"] == record["digests"]
    assert Store(place / "results").keys() == [record["key"]]


def test_a_loss_that_is_not_a_number_ends_the_trial_naming_step_and_layer(resonance, place):
    result = resonance("run digits/mlp static", *SHORT, "--recipe", "learning_rate=1e30")
    assert result.code == 1
    assert result.err.startswith("failed: digits/mlp static s=0.9 seed=0")
    assert "loss is nan at step 2, first in layer '3'" in result.err
    assert "Traceback" not in result.err
    (key,) = Store(place / "results").keys()
    record = Store(place / "results").read(key)
    assert record is not None
    assert record.status == "failed"
    assert "Traceback" in (place / "results" / "trials" / key / "error.txt").read_text()
    assert str(Path("results/trials") / key / "error.txt") in result.err


def test_a_failed_trial_is_tried_again_unless_told_not_to(resonance, place, monkeypatch):
    failing = "run digits/mlp static --recipe learning_rate=1e30"
    assert resonance(failing, *SHORT).code == 1
    results = place / "results" / "trials"
    (before,) = results.iterdir()
    old = before.stat().st_ino
    never = resonance(f"{failing} --overwrite never", *SHORT)
    assert never.code == 1
    assert "loss is nan" in never.err
    assert before.stat().st_ino == old
    assert resonance(failing, *SHORT).code == 1
    assert before.stat().st_ino != old


def test_options_reach_the_trial(resonance):
    line = "run digits/mlp rigl -s 0.5 --seed 3 --set update_every=5 --set dense_layers=5,"
    record = json.loads(resonance(f"{line} --json", *SHORT).out)
    assert record["trial"] == Trial.make(
        task="digits/mlp",
        method="rigl",
        sparsity=0.5,
        seed=3,
        hyperparameters={"update_every": 5, "dense_layers": ["5"]},
        recipe={"epochs": 1},
    ).model_dump(mode="json")
    assert {layer["name"]: layer["zeros"] for layer in record["layers"]}["5"] == 0


# ---------------------------------------------------------------- a study


def test_a_study_goes_on_past_a_trial_that_fails_and_says_so_at_the_end(resonance, place):
    result = resonance("--plugin exploding.py study mixed.yaml --workers 2")
    assert result.code == 1
    assert "0 done · 3 to run" in result.out
    assert "2 finished, 1 failed" in result.out
    assert "exploding s=0.8 seed=0 epochs=1: loss is nan at step 4, first in layer" in result.err
    assert "Traceback" not in result.out + result.err
    statuses = {r.trial["method"]: r.status for r in Store(place / "results").records()}
    assert statuses == {"static": "done", "exploding": "failed", "dense": "done"}
    again = resonance("--plugin exploding.py study mixed.yaml --overwrite never")
    assert again.code == 1
    assert "2 done · 0 to run · 1 failed before" in again.out


def test_a_dry_run_shows_the_plan_and_writes_nothing(resonance, place):
    before = sorted(place.iterdir())
    result = resonance("study quickstart --dry-run")
    assert result.code == 0
    assert "0 done · 75 to run" in result.out
    assert sorted(place.iterdir()) == before


def test_a_study_that_is_done_runs_nothing(resonance, place, store, monkeypatch):
    for trial in load_study("quickstart").trials():
        store.write(trial.key, {"record.json": done(trial).to_json()})
    monkeypatch.setattr(run_study, "run_trials", None)
    result = resonance("study quickstart")
    assert result.code == 0
    assert "75 done · 0 to run" in result.out


def test_a_full_disk_stops_a_study_in_one_line(resonance, place, store, monkeypatch):
    def no_space(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", no_space)
    result = resonance("--plugin exploding.py study mixed.yaml")
    assert "No space left on device" in result.complaint
    assert "--store" in result.complaint
    assert store.keys() == []


# ---------------------------------------------------------------- status, list, info


def test_status_counts_what_is_done_failed_and_missing(resonance, place, store):
    trials = load_study("quickstart").trials()
    for trial in trials[:5]:
        store.write(trial.key, {"record.json": done(trial).to_json()})
    resonance("run digits/mlp static --recipe learning_rate=1e30", *SHORT)
    assert resonance("status").out.splitlines()[0].endswith("5 done, 1 failed")
    assert "5 done, 0 failed, 70 to run" in resonance("status quickstart").out
    status = json.loads(resonance("status --json").out)
    assert (status["done"], status["failed"], status["missing"]) == (5, 1, 0)
    assert status["failures"][0]["error"]["type"] == "TrialFailed"


def test_the_store_may_be_named_in_the_environment(resonance, place, store, monkeypatch):
    (trial, *_) = load_study("quickstart").trials()
    Store(place / "elsewhere").write(trial.key, {"record.json": done(trial).to_json()})
    assert "0 done" in resonance("status").out
    monkeypatch.setenv("RESONANCE_STORE", "elsewhere")
    assert "1 done" in resonance("status").out


def test_a_choice_that_does_not_exist_is_answered_with_those_that_do(resonance):
    found = resonance("export 0123 --to foo")
    assert found.code == 2
    assert "Invalid value for '--to': 'foo' is not one of 'safetensors'" in found.complaint
    assert "Value error" not in found.err


def explained(kind, listed):
    """Return the names to ask about: all, of tasks the first of each builder and each dataset."""
    if kind != "tasks":
        return listed
    tasks = [registry.tasks()[name] for name in reversed(listed)]
    first = {task.model: task.name for task in tasks} | {task.dataset: task.name for task in tasks}
    return sorted(set(first.values()))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("methods", "resonance"),
        ("tasks", "digits/mlp"),
        ("datasets", "fashion_mnist"),
        ("studies", "quickstart"),
    ],
)
def test_everything_listed_can_be_explained(resonance, kind, name):
    listed = [row["name"] for row in json.loads(resonance(f"list {kind} --json").out)]
    assert name in listed
    rows = resonance(f"list {kind}").out.splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == listed
    for each in explained(kind, listed):
        result = resonance("info", each)
        assert result.code == 0
        assert each in result.out.splitlines()[0]


def test_the_explanation_of_a_method_holds_every_hyperparameter(resonance):
    method = registry.methods()["resonance"]
    told = json.loads(resonance("info resonance --json").out)["hyperparameters"]
    assert [p["name"] for p in told] == [p.name for p in method.hyperparameters]
    assert {p["name"]: p["allowed"] for p in told}["cooldown"] == (
        "an integer of at least 0, or 'auto'"
    )


def test_a_plug_in_s_method_is_listed(resonance):
    listed = json.loads(resonance("--plugin exploding.py list methods --json").out)
    assert "exploding" in [row["name"] for row in listed]


@pytest.mark.parametrize("line", ["--help", "run --help", "study --help", "leaderboard --help"])
def test_help_is_shown(resonance, line):
    result = resonance(line)
    assert result.code == 0
    assert "Usage" in result.out


WITHOUT_TORCH = [
    "--help",
    "--version",
    "run --help",
    "list methods",
    "list tasks",
    "list datasets",
    "list studies",
    "info resonance",
    "status",
    "study quickstart --dry-run",
    "run digits/mlp riggl",
    "run digits/mlp rigl -s 2",
    "leaderboard build --out site",
]


def test_what_only_looks_or_refuses_imports_no_torch(place, store):
    (trial, *_) = load_study("quickstart").trials()
    store.write(trial.key, {"record.json": done(trial).to_json()})
    code = (
        "import io, json, shlex, sys\n"
        "from contextlib import redirect_stderr, redirect_stdout\n"
        "from suite.cli import app as cli\n"
        "from suite.execution import estimate\n"
        "estimate.PROBE_SECONDS = 0.0\n"  # a worker, which a busy machine starts late or ends
        "heavy = {}\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['resonance', *shlex.split(line)]\n"
        "    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):\n"
        "        try:\n"
        "            cli.main()\n"
        "        except SystemExit as end:\n"
        "            code = end.code\n"
        "    heavy[line] = [code or 0, 'torch' in sys.modules]\n"
        "print(json.dumps(heavy))\n"
    )
    words = [sys.executable, "-c", code, json.dumps(WITHOUT_TORCH)]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, cwd=place)
    expected = {line: [2 if " riggl" in line or "-s 2" in line else 0, False]
                for line in WITHOUT_TORCH}  # fmt: skip
    assert json.loads(ended.stdout) == expected


def test_a_study_says_at_its_end_what_its_records_note(resonance, place):
    (place / "short.yaml").write_text(
        "name: short\nquestion: too short for an update?\ntasks: [digits/mlp]\n"
        "methods: [rigl, static]\nsparsities: [0.9]\nseeds: 2\nrecipe: {epochs: 1}\n"
    )
    result = resonance("study short.yaml")
    assert result.code == 0, result.err
    (line,) = [line for line in result.out.splitlines() if "no update falls into these" in line]
    assert line.startswith("  2 of them: ")
