"""Every verb takes --json, and its standard output is then one JSON document."""

import json
from collections.abc import Iterator

import pytest
import typer

from suite.cli.app import app
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

COMMAND = typer.main.get_command(app)


def verbs() -> Iterator[str]:
    """Yield every verb, with its subcommands."""
    context = COMMAND.context_class(COMMAND)
    for name in COMMAND.list_commands(context):
        command = COMMAND.get_command(context, name)
        inner = getattr(command, "commands", None)
        yield from [f"{name} {one}" for one in inner] if inner else [name]


def options(verb: str) -> set[str]:
    command = COMMAND
    for name in verb.split():
        command = command.get_command(command.context_class(command), name)
    return {option for one in command.params for option in one.opts}


@pytest.mark.parametrize("verb", list(verbs()))
def test_a_verb_takes_json(verb):
    assert "--json" in options(verb)


STUDY = "name: two\nquestion: '?'\ntasks: [digits/mlp]\nmethods: [static]\nsparsities: [0.9]\n"
STUDY += "seeds: 2\n"


@pytest.fixture
def filled(store, place) -> Store:
    (place / "two.yaml").write_text(STUDY)
    for seed in range(2):
        for method in ("static", "rigl"):
            record = done(make_trial(method, seed=seed), 0.9 + seed / 100)
            store.write(record.key, {"record.json": record.to_json()})
    return store


@pytest.mark.parametrize(
    "line",
    [
        "list trials",
        "list trials --study two.yaml",
        "list trials --status failed",
        "list studies",
        "list tasks",
        "list methods",
        "list datasets",
        "list tables",
        "list trainers",
        "show KEY",
        "status",
        "status two.yaml",
        "compare rigl static",
        "info rigl",
        "run digits/mlp static",
        "leaderboard build",
        "store verify",
        "store migrate",
        "store compact",
        "store merge results other",
        "study two.yaml --dry-run",
        "doctor --offline",
        "submit --out two.jsonl.gz --name me",
    ],
)
def test_the_output_is_one_json_document(resonance, filled, line):
    key = make_trial("static").key
    result = resonance(f"{line} --json".replace("KEY", key[:8]))
    # The sample records lack what a submission is checked for: its findings are the document.
    assert result.code == (1 if line.startswith("submit") else 0), result.err
    json.loads(result.out)
