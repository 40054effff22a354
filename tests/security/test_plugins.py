"""Plug-ins that are wrong, odd or hostile."""

import pytest

from suite.core.discovery import load, read_declarations
from suite.core.errors import InvalidInput
from suite.execution.failures import AttemptResult, Crashed
from suite.execution.runner import execute, write_failure
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.store import Store


@pytest.mark.parametrize("value", ["3", "None", "'rigl'", "[1]"])
def test_a_declaration_that_is_none_is_refused(tmp_path, value):
    path = tmp_path / "p.py"
    path.write_text(f"METHOD = {value}\n")
    with pytest.raises(InvalidInput):
        read_declarations(path, ("METHOD",), "here")


def test_a_plug_in_may_hold_a_dataclass(tmp_path):
    path = tmp_path / "p.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass A:\n    x: int = 0\n"
    )
    assert load("A", str(path))


def test_a_plug_in_that_raises_on_import_is_refused(tmp_path):
    path = tmp_path / "p.py"
    path.write_text("class A: pass\n1/0\n")
    with pytest.raises(InvalidInput):
        load("A", str(path))


ODD = """
import sys, torch
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier
from tasks.data import Arrays
from tasks.task import Dataset, Task
METHODS = tuple(
    Method(n, "x", title=n, summary=n, implementation=i, family="t")
    for n, i in (("exits", "Exits"), ("ctor", "Ctor"), ("notsp", "NotS"))
)
DATASET = Dataset("own", "x", title="o", load="load_own", shape=(1, 2, 2), classes=2, train=16,
                  test=4, mean=(0.,), std=(1.,))
TASK = Task("own/mlp", "x", title="o", dataset="own", model="tasks.models.mlp:mlp",
            model_options={"hidden": (8,)}, recipe={"batch_size": 8, "validation": 0.0})
def load_own(d):
    x, y = torch.rand(16, 1, 2, 2), torch.arange(16) % 2
    return Arrays(x, y, x[:4], y[:4])
class NotS: pass
class Exits(Sparsifier):
    def start(self): sys.exit(3)
class Ctor(Sparsifier):
    def __init__(self, p, o): raise RuntimeError("ctor")
"""


def test_a_plug_in_s_dataset_may_name_a_loader_of_its_own_file(resonance, place):
    (place / "odd.py").write_text(ODD)
    result = resonance("--plugin odd.py run own/mlp static -s 0.5 --recipe epochs=1")
    assert result.code == 0, result.err


@pytest.mark.parametrize("method", ["ctor", "notsp"])
def test_a_method_that_cannot_be_made_is_no_traceback(resonance, place, method):
    (place / "odd.py").write_text(ODD)
    assert resonance(f"--plugin odd.py run digits/mlp {method}").code in (1, 2)


def test_a_method_that_exits_fails_its_trial_only(resonance, place):
    (place / "odd.py").write_text(ODD)
    result = resonance("--plugin odd.py run digits/mlp exits")
    assert result.code == 1
    assert Store("results").keys()


# command


def test_a_trial_of_a_missing_plug_in_says_how_to_name_its_file(resonance, place):
    (place / "odd.py").write_text(ODD)
    assert resonance("--plugin odd.py run own/mlp static --recipe epochs=1").code == 0
    (key,) = Store("results").keys()
    registry._plugins.clear()  # as in a command of its own
    registry.use_plugins([])
    for verb in (f"export {key}", f"evaluate {key}", "info own/mlp", "run own/mlp static"):
        complaint = resonance(verb).complaint
        assert "'own/mlp'" in complaint
        assert "resonance --plugin FILE" in complaint, verb
    assert resonance(f"inspect {key}").code == 0  # needs the record alone
    assert resonance("submit --name me --out me.jsonl.gz").code == 0
    checked = resonance("leaderboard check me.jsonl.gz").out
    assert checked.count("unknown task") == 1  # one line per trial
    assert "no error; " in checked
    assert resonance(f"--plugin odd.py export {key}").code == 0


# ---------------------------------------------------------------- what a method may raise

RAISES = r"""
import sys
from suite.core.declarations import Method
from suite.core.errors import InvalidInput
from suite.sparsity.sparsifier import Sparsifier

METHODS = tuple(
    Method(name, "x", title=name, summary=name, implementation=name, family="t")
    for name in ("Half", "HalfRefused", "Wordless", "Long", "Exits", "Deep", "Several")
)


class Unspeakable(Exception):
    def __str__(self):
        raise KeyError("no words")


class Raises(Sparsifier):
    def start(self):
        self.fail()


class Half(Raises):
    def fail(self): raise ValueError("half \ud800 of a pair")
class HalfRefused(Raises):
    def fail(self): raise InvalidInput("half \udc00 of a pair")
class Wordless(Raises):
    def fail(self): raise Unspeakable
class Long(Raises):
    def fail(self): raise ValueError("x" * 10_000_000)
class Exits(Raises):
    def fail(self): sys.exit("no more")
class Deep(Raises):
    def fail(self): self.fail()
class Several(Raises):
    def fail(self): raise ExceptionGroup("two", [ValueError("\ud800"), OSError("b")])
"""


def test_whatever_a_method_raises_is_recorded_as_what_it_was(place, monkeypatch):
    (place / "raises.py").write_text(RAISES)
    monkeypatch.setattr(registry, "_plugins", [])
    registry.use_plugins(["raises.py"])
    store = Store("results")
    expected = {
        "Half": "ValueError: half \\ud800 of a pair",
        "HalfRefused": "half \\udc00 of a pair",
        "Wordless": "Unspeakable: its message cannot be shown: KeyError",
        "Long": "ValueError: xxx",
        "Exits": "SystemExit: no more",
        "Deep": "RecursionError: maximum recursion depth exceeded",
        "Several": "ExceptionGroup: two (2 sub-exceptions)",
    }
    for method, message in expected.items():
        trial = Trial.make(task="digits/mlp", method=method, sparsity=0.5, recipe={"epochs": 1})
        record = execute(trial, store)
        assert record.error is not None
        assert record.error["message"].startswith(message)
        assert store.read(trial.key) is not None
        files = [path.read_bytes() for path in store.folder(trial.key).iterdir()]
        assert sum(map(len, files)) < 300_000
        for content in files:
            content.decode()
    monkeypatch.undo()
    registry.use_plugins([])


def test_a_crash_of_a_worker_is_told_in_text_that_can_be_written(place):
    trial = Trial.make(task="digits/mlp", method="static", recipe={"epochs": 1})
    ended = AttemptResult(trial, error=Crashed("exit \ud800"), details="native \udcff" * 100_000)
    record = write_failure(ended, 2, Store("results"))
    assert record.error == {"type": "Crashed", "message": "exit \\ud800"}
    text = (Store("results").folder(trial.key) / "error.txt").read_text()
    assert text.startswith("Crashed: exit \\ud800 (the last of 2 attempts)")
    assert len(text) < 1_000_000
