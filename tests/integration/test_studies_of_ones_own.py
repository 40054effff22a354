"""Studies as a user writes, plans and watches them: recipes per task, time, progress."""

import contextlib
import json
import os
import pty
import re
from pathlib import Path

import pytest
import yaml

from suite.execution import estimate
from suite.results.store import Store
from tests.support.forked import start

SECONDS = 300
CASE_12 = """
name: own
question: Does each task get its own recipe?
tasks:
  - {name: mnist/lenet_300_100, recipe: {epochs: 5}}
  - digits/mlp
methods: [static]
sparsities: [0.9]
seeds: 2
"""
SMALL = """
name: small
question: "?"
tasks: [digits/mlp]
methods: [dense, static]
sparsities: [0.9]
seeds: 2
recipe: {epochs: 1}
"""


def test_a_study_has_a_recipe_per_task(resonance, place):
    (place / "own.yaml").write_text(CASE_12)
    shown = resonance("study own.yaml --dry-run --json")
    assert shown.code == 0, shown.err
    assert "0 done · 4 to run" in shown.err
    planned = json.loads(shown.out)
    assert (planned["to_run"], planned["finished"], len(planned["keys"])) == (4, 0, 4)
    line = "run mnist/lenet_300_100 static -s 0.9 --recipe epochs=5"
    from suite.cli.options import settings
    from suite.experiments.trial_config import Trial

    recipe = settings([line.split()[-1]], "--recipe")
    own = Trial.make(task="mnist/lenet_300_100", method="static", sparsity=0.9, recipe=recipe)
    assert own.key in planned["keys"]
    assert Trial.make(task="digits/mlp", method="static", sparsity=0.9).key in planned["keys"]
    assert not (place / "results").exists()


def test_a_study_that_includes_another_reuses_its_results(resonance, place):
    (place / "small.yaml").write_text(SMALL)
    assert resonance("study small.yaml --engine inline").code == 0
    (place / "more.yaml").write_text("include: small.yaml\nname: more\nmethods: [static, snip]\n")
    assert "2 done · 2 to run" in resonance("study more.yaml --dry-run").out
    (place / "circle.yaml").write_text("include: circle.yaml\nname: circle\n")
    assert "circle.yaml → circle.yaml" in resonance("study circle.yaml").complaint


def test_too_large_a_study_is_refused_before_anything_is_written(resonance, place):
    content = yaml.safe_load(SMALL) | {"name": "huge", "sparsities": [n / 1000 for n in range(999)]}
    (place / "huge.yaml").write_text(yaml.safe_dump(content | {"seeds": 1000}))
    for verb in ("study huge.yaml", "study huge.yaml --dry-run"):
        complaint = resonance(verb).complaint
        assert "has 1,000,000 trials, more than --max-trials 10,000" in complaint
    content["methods"] = [{"name": "rigl", "vary": {"update_every": [10, 20]}}]
    (place / "huge.yaml").write_text(yaml.safe_dump(content))
    complaint = resonance("ablate huge.yaml --max-trials 5000").complaint
    assert "has 5,994 trials, more than --max-trials 5,000" in complaint
    assert not (place / "results").exists()


def test_a_dry_run_says_how_long_it_takes_and_by_what(resonance, place, monkeypatch):
    (place / "small.yaml").write_text(SMALL)
    monkeypatch.setattr(estimate, "PROBE_SECONDS", 5.0)
    probed = resonance("study small.yaml --dry-run --workers 2").out
    assert re.search(
        r"4 to run: about .* with 2 workers .*, by a probe of .* on digits/mlp", probed
    )
    assert list(place.iterdir()) == [place / "small.yaml"]
    resonance("run digits/mlp dense --recipe epochs=1")
    stored = resonance("study small.yaml --dry-run --workers 2").out
    assert re.search(r"3 to run: about .* with 2 workers .*, by trials in the store", stored)


def test_a_log_has_a_line_for_each_trial_and_json_is_alone_on_standard_output(resonance, place):
    (place / "small.yaml").write_text(SMALL)
    logged = resonance("study small.yaml --engine inline")
    lines = [line for line in logged.out.splitlines() if line.startswith("[")]
    assert len(lines) == 4
    assert re.fullmatch(
        r"\[1/4\] digits/mlp dense seed=0 epochs=1: test accuracy \d+\.\d\d %, \d+\.\d s", lines[0]
    )
    again = resonance("study small.yaml --engine inline --overwrite always --json")
    ended = json.loads(again.out)
    assert (ended["finished"], ended["failed"]) == (4, [])
    assert sorted(ended["keys"]) == Store(place / "results").keys()
    assert "[4/4] digits/mlp static" in again.err


SLOW_PLUGIN = """
import os
import time
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier
from suite.training import live_report

METHOD = Method("slow", "this test", title="Slow", summary="waits for a file",
                implementation="Slow", family="test")


class Slow(Sparsifier):
    def start(self):
        self.draw_masks()
        live_report.EPOCH_SECONDS = 0.0  # the end of an epoch is reported, however fast it was

    def is_update(self, step):
        while step > 50 and not os.path.exists(os.environ["GO_ON"]):
            time.sleep(0.05)
        return False

    def update(self, step):
        raise AssertionError("no step is an update")
"""


@pytest.fixture
def slow(place: Path) -> Path:
    """Return a folder with a study of trials that stop at step 50 until a file `go` exists."""
    (place / "slow.py").write_text(SLOW_PLUGIN)
    (place / "slow.yaml").write_text(
        "name: slow\nquestion: '?'\ntasks: [digits/mlp]\nmethods: [slow]\nsparsities: [0.9]\n"
        "seeds: 2\nrecipe: {epochs: 2}\nplugins: [slow.py]\n"
    )
    return place


def read_until(terminal: int, *words: str) -> str:
    """Return what a terminal or a pipe gives until all words have been, or its end is closed."""
    shown = ""
    with contextlib.suppress(OSError):
        while not words or not all(word in shown for word in words):
            if not (part := os.read(terminal, 4096)):
                break
            shown += part.decode(errors="replace")
    assert all(word in shown for word in words), shown
    return shown


def test_a_terminal_shows_what_runs_and_how_far_it_is(slow):
    ours, theirs = pty.openpty()
    command = start(
        ["study", "slow.yaml", "--workers", "2"],
        cwd=slow,
        stdout=theirs,
        stderr=theirs,
        env={"GO_ON": str(slow / "go"), "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    read_until(
        ours,
        "0/2 trials",
        "digits/mlp slow s=0.9 seed=0  step ",
        "digits/mlp slow s=0.9 seed=1  step ",
        "/80, loss ",
    )
    (slow / "go").touch()
    rest = read_until(ours)
    os.close(ours)
    command.communicate(timeout=SECONDS)
    assert command.returncode == 0, rest
    assert "2 finished, 0 failed" in rest
    assert "[1/2]" not in rest  # the lines of a log


def test_a_log_says_what_runs_while_nothing_ends(slow, monkeypatch):
    """The time of a line is set to be short: what is waited for is the line, not the 30 seconds."""
    command = start(
        ["study", "slow.yaml", "--workers", "1"],
        cwd=slow,
        env={"GO_ON": str(slow / "go")},
        text=True,
        call="tests.support.short_lines:main",
    )
    assert command.stdout is not None
    read_until(command.stdout.fileno(), "[0/2] 1 running", "/80, loss")
    (slow / "go").touch()
    out, err = command.communicate(timeout=SECONDS)
    assert command.returncode == 0, err
    assert "[2/2] digits/mlp slow s=0.9 seed=1 epochs=2: test accuracy" in (out or "")
