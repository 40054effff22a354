"""What `resonance study` says beside the results: what the leaderboard will lack."""

import pytest

from suite.cli.study import tasks_without_dense
from suite.experiments.study import Study
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

SMALL = """
name: small
question: "?"
tasks: [digits/mlp]
methods: [{methods}]
sparsities: [0.9]
seeds: 1
recipe: {{epochs: 1}}
"""


@pytest.mark.parametrize("verb", ["study small.yaml --dry-run", "study small.yaml --engine inline"])
def test_a_study_without_dense_says_how_to_add_it(resonance, tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL.format(methods="static"))
    told = " ".join(resonance(verb).out.split())
    assert "no dense network of the same recipe on digits/mlp" in told
    assert "methods: [dense, …]" in told
    (tmp_path / "small.yaml").write_text(SMALL.format(methods="dense, static"))
    assert "no dense network" not in resonance(verb).out


def test_a_dense_network_of_the_same_recipe_in_the_store_is_enough(tmp_path):
    store = Store(tmp_path)
    study = Study.make(
        name="small", question="?", tasks=["digits/mlp", "mnist/lenet_5"], sparsities=[0.9],
        methods=["static", {"name": "dense", "only": ["mnist/lenet_5"]}], seeds=2,
    )  # fmt: skip
    assert tasks_without_dense(study, store) == ["digits/mlp"]
    for trial in (make_trial("dense", recipe={"epochs": 3}), make_trial("static")):
        store.write(trial.key, {"record.json": done(trial).to_json()})
    assert tasks_without_dense(study, store) == ["digits/mlp"]
    trial = make_trial("dense", seed=1)
    store.write(trial.key, {"record.json": done(trial).to_json()})
    assert tasks_without_dense(study, store) == []
