"""A store that the file system refuses, as ``chmod 000`` does: every verb says so in one line."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.results.damage import FIRST, SECOND, put
from tests.support.sample_records import make_trial

STUDY = """
{name: mine, question: What is read, tasks: [digits/mlp], methods: [static, dense], seeds: 1,
 sparsities: [0.9], recipe: {epochs: 1}}
"""
VERBS = [
    "status",
    "status mine.yaml",
    "list trials",
    "show KEY",
    "inspect KEY",
    "compare static dense",
    "leaderboard build",
    "leaderboard serve",
    "store verify",
    "store merge results other",
    "store merge other results",
    "store compact",
    "store migrate",
    "submit --name me --out me.jsonl.gz",
    "evaluate KEY",
    "export KEY --to safetensors",
    "wandb push --offline",
    "study mine.yaml",
    "tune rigl --task digits/mlp --budget 1",
    "ablate rigl --task digits/mlp --vary drop_fraction=0.2,0.4",
]
GO_ON = {
    "status": [0],
    "list trials": [0],
    "compare static dense": [0],
    "submit --name me --out me.jsonl.gz": [1],
    "store verify": [1],
    "store merge results other": [1],
    "store compact": [0, 1],
    "store migrate": [1],
    "wandb push --offline": [1],
}
"""What one unreadable record need not stop, and the exit codes."""
CONCERNED = [*GO_ON, "show KEY", "inspect KEY", "evaluate KEY", "export KEY --to safetensors"]


@pytest.fixture
def filled(store, place):
    for trial in (FIRST, SECOND, make_trial("dense", seed=0), make_trial("dense", seed=1)):
        put(store, trial)
    other = store.__class__("other")
    put(other, make_trial(seed=9))
    (place / "mine.yaml").write_text(STUDY)
    return store


def refuse(patch: pytest.MonkeyPatch, where: str, number: int) -> None:
    """Let the file system refuse to open or list what is at `where` or below it."""

    def refusing(real: Callable[..., object]) -> Callable[..., object]:
        def call(path: object = ".", *given: object, **options: object) -> object:
            if isinstance(path, str | Path) and f"{os.path.relpath(path)}/".startswith(where):
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *given, **options)

        return call

    for module, name in ((os, "open"), (os, "scandir"), (os, "listdir"), (io, "open")):
        patch.setattr(module, name, refusing(getattr(module, name)))


def test_trials_that_cannot_be_listed_are_one_line_of_every_verb(resonance, filled, monkeypatch):
    wrong = []
    for verb in VERBS:
        with monkeypatch.context() as patch:
            refuse(patch, "results/trials/", errno.EACCES)
            result = resonance(verb.replace("KEY", FIRST.key))
        lines = result.err.splitlines()
        if result.code != 2 or len(lines) != 1 or "(Permission denied): check your" not in lines[0]:
            wrong.append((verb, result))
    assert wrong == []


def test_a_record_that_cannot_be_read_costs_a_line_or_one_trial(resonance, filled, monkeypatch):
    wrong = []
    for verb in CONCERNED:
        with monkeypatch.context() as patch:
            refuse(patch, f"results/trials/{FIRST.key}/", errno.EIO)
            result = resonance(verb.replace("KEY", FIRST.key))
        said = f"{FIRST.key}/record.json cannot be read (Input/output error)"
        complaint = result.code == 2 and len(result.err.splitlines()) == 1
        if not (complaint or result.code in GO_ON.get(verb, ())) or said not in (
            result.out + result.err
        ):
            wrong.append((verb, result))
    assert wrong == []
