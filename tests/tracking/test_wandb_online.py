"""Publishing online, to a server of this test's own: what it is sent, and that it is sent once."""

import json

import pytest
import wandb

from suite.results.store import Store
from suite.training.curves import Curves
from tests.support.sample_records import done, make_trial
from tests.tracking.server import Server, serving

SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
TRIAL = make_trial("rigl", seed=3)


@pytest.fixture
def server(monkeypatch):
    with serving() as server:
        monkeypatch.setenv("WANDB_API_KEY", SECRET)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        # A user is told after half a minute that the server is away; here it is known to be there,
        # and a busy machine may take longer to start W&B's service.
        monkeypatch.setattr("suite.tracking.wandb_run.START_SECONDS", 600.0)
        monkeypatch.setattr("suite.tracking.wandb_run.FINISH_SECONDS", 600.0)
        # W&B reads the server's address once in a process: an earlier test's address is forgotten.
        wandb.teardown()
        yield server
        wandb.teardown()


def write(store: Store, accuracy: float = 0.9) -> None:
    curves = Curves()
    for step in (10, 20, 30):
        curves.add(step, "train_loss", 1 / step)
    record = done(TRIAL, accuracy=accuracy)
    store.write(TRIAL.key, {"record.json": record.to_json(), "curves.parquet": curves.to_parquet()})


def test_a_run_is_sent_once_whole_and_without_the_key(resonance, store, server: Server):
    write(store)
    result = resonance("wandb push --project somewhere")
    assert (result.code, result.err) == (0, ""), result.out
    assert {run["name"] for run in server.runs} == {TRIAL.key}
    created = server.runs[0]
    assert (created["project"], created["jobType"]) == ("somewhere", "trial")
    assert "rigl" in created["tags"]
    config = {
        name: entry["value"]
        for run in server.runs
        for name, entry in json.loads(run.get("config") or "{}").items()
    }
    assert config["hyperparameters"]["drop_fraction"] == TRIAL.resolved()["hyperparameters"][
        "drop_fraction"
    ]  # fmt: skip
    history = server.lines("wandb-history.jsonl")
    assert [row["_step"] for row in history] == list(range(len(history)))
    assert history[-1]["_runtime"] == store.read(TRIAL.key).timing["seconds"]
    losses = [(row["step"], row["train_loss"]) for row in history if "train_loss" in row]
    assert losses == [(10, 0.1), (20, 0.05), (30, pytest.approx(1 / 30))]
    assert server.lines("wandb-summary.json")[-1]["test_accuracy"] == 0.9
    assert not any(SECRET in body for body in server.bodies)

    sent = len(server.bodies)
    result = resonance("wandb push --project somewhere")
    assert result.code == 0
    assert len(server.bodies) == sent  # it was published already

    write(store, accuracy=0.5)  # run again: the run of the same id is written anew
    assert resonance("wandb push --project somewhere").code == 0
    assert {run["name"] for run in server.runs} == {TRIAL.key}
    assert server.lines("wandb-summary.json")[-1]["test_accuracy"] == 0.5
