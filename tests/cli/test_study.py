"""`resonance study`: what it says beside the results, groups of studies, parts of a study."""

import json
from collections.abc import Callable

import pytest

from suite.cli.study import tasks_without_dense
from suite.experiments.study import Study, load_study
from suite.results.store import Store
from suite.results.stored_studies import study_keys
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


# ------------------------------------------------------------------ groups and parts

FIRST = """
name: first
question: First?
tasks: [digits/mlp]
methods: [dense, static]
sparsities: [0.9]
seeds: 1
recipe: {epochs: 1}
controls_left_out: it is small
"""
SECOND = (
    FIRST.replace("first", "second")
    .replace("First", "Second")
    .replace("[digits/mlp]", "[digits/mlp, planted/mlp]")
    .replace("static", "set")
)
GROUP = "name: both\nquestion: Both?\nstudies: [first.yaml, second.yaml]\n"
FAILS = FIRST.replace("recipe: {epochs: 1}", "recipe: {epochs: 1, learning_rate: 1.0e+30}")


@pytest.fixture
def run(resonance, place) -> Callable:
    """Return the command, in a folder that has a group of two studies that share a trial."""
    for name, text in (("first", FIRST), ("second", SECOND), ("group", GROUP)):
        (place / f"{name}.yaml").write_text(text)
    return lambda line: resonance(f"{line} --engine inline")


def head(out: str) -> list[str]:
    """Return the lines about plans and ends, without those about single trials and controls."""
    apart = ("[", "  1 of them", "  controls left out")
    return [line for line in out.splitlines() if not line.startswith(apart)]


def plans(first: str, second: str, total: str) -> list[str]:
    """Return the lines about the plan of the group, with these counts."""
    return [
        "Group both: Both?",
        "Study first: First?",
        f"  {first} · store results",
        "Study second: Second?",
        f"  {second} · store results",
        f"Total of 2 studies: 5 trials (1 in several, run once) · {total}",
    ]


def test_a_group_is_shown_run_and_summed_up(run):
    result = run("study group.yaml")
    assert result.code == 0, result.err
    assert head(result.out) == [
        *plans("0 done · 2 to run", "0 done · 4 to run", "0 done · 5 to run"),
        "Study first (1 of 2): 0 done · 2 to run",
        "2 finished, 0 failed; results in results",
        "Study second (2 of 2): 1 done · 3 to run",
        "3 finished, 0 failed; results in results",
        "Group both:",
        "  first: 2 done, 0 failed",
        "  second: 4 done, 0 failed",
    ]
    assert result.out.count("controls left out: ") == 2
    assert head(run("study group.yaml").out) == [
        *plans("2 done · 0 to run", "4 done · 0 to run", "5 done · 0 to run"),
        "Study first (1 of 2): 2 done · 0 to run",
        "Study second (2 of 2): 4 done · 0 to run",
        "Group both:",
        "  first: 2 done, 0 failed",
        "  second: 4 done, 0 failed",
    ]


def test_a_dry_run_of_a_group_shows_the_plans_and_how_long_all_takes(run, place):
    before = sorted(place.iterdir())
    result = run("study group.yaml --dry-run")
    assert result.code == 0
    *shown, estimate = head(result.out)
    assert shown == plans("0 done · 2 to run", "0 done · 4 to run", "0 done · 5 to run")
    assert estimate.startswith("  5 to run: ")
    assert sorted(place.iterdir()) == before


def test_a_group_as_json_is_one_document(run):
    result = run("study group.yaml --json")
    assert "Study first (1 of 2)" in result.err
    told = json.loads(result.out)
    assert (told["group"], told["store"]) == ("both", "results")
    assert (told["done_before"], told["to_run"], told["finished"]) == (0, 5, 5)
    each = [(one["study"], one["done_before"], one["finished"]) for one in told["studies"]]
    assert each == [("first", 0, 2), ("second", 1, 3)]
    for one in told["studies"]:
        assert one["keys"] == study_keys(Store("results"), one["study"])
    planned = json.loads(run("study group.yaml --json --dry-run").out)
    assert (planned["done_before"], planned["to_run"], planned["finished"]) == (5, 0, 0)
    assert [one["done_before"] for one in planned["studies"]] == [2, 4]


def test_a_failed_trial_fails_the_group_and_the_other_studies_run(run, place):
    (place / "first.yaml").write_text(FAILS)
    result = run("study group.yaml")
    assert result.code == 1
    assert head(result.out)[-2:] == ["  first: 0 done, 2 failed", "  second: 4 done, 0 failed"]
    told = run("study group.yaml --json --overwrite never")
    assert told.code == 1
    assert [len(one["failed"]) for one in json.loads(told.out)["studies"]] == [2, 0]


def test_a_group_says_where_a_dense_network_is_missing_once_all_has_run(run, place):
    (place / "first.yaml").write_text(FIRST.replace("dense, ", ""))
    assert "no dense network" not in run("study group.yaml").out, "the second study has it"
    (place / "first.yaml").write_text(
        FIRST.replace("dense, ", "").replace("epochs: 1", "epochs: 2")
    )
    lines = run("study group.yaml").out.splitlines()
    assert [line.split(":")[0] for line in lines if "no dense network" in line] == ["first"]


def test_the_most_trials_are_of_all_studies_and_to_be_run(run):
    complaint = run("study group.yaml --max-trials 4").complaint
    assert "group both has 5 trials to run, more than --max-trials 4" in complaint
    assert run("study group.yaml --max-trials 5").code == 0
    assert run("study group.yaml --max-trials 1").code == 0


def test_a_mistake_about_w_and_b_is_refused_before_anything_is_planned(run, place):
    result = run("study group.yaml --wandb offline --wandb-project ?")
    assert "W&B project '?' is not usable" in result.complaint
    assert result.out == ""


@pytest.mark.parametrize("name", ["second.yaml", "group.yaml"])
def test_a_part_is_run_and_the_whole_is_remembered(run, place, resonance, name):
    result = run(f"study {name} --task planted/mlp --task planted/mlp")
    assert result.code == 0, result.err
    assert "0 done · 2 to run" in result.out
    whole = load_study("second.yaml").trials_by_key()
    assert set(Store("results").keys()) == {k for k, t in whole.items() if t.task == "planted/mlp"}
    told = resonance("status second").out.splitlines()[0]
    assert told == "study second: 2 done (1 no update), 0 failed, 2 to run"
    assert "2 done · 2 to run" in run("study second.yaml --dry-run").out
    told = json.loads(run(f"study {name} --task planted/mlp --json").out)
    (told,) = told.get("studies", [told])
    assert told["keys"] == [key for key, trial in whole.items() if trial.task == "planted/mlp"]


def test_a_part_of_a_group_leaves_out_studies_without_the_task(run):
    lines = run("study group.yaml --task planted/mlp --dry-run").out.splitlines()
    assert "Left out, without these tasks: first" in lines
    assert "Total of 1 study: 2 trials · 0 done · 2 to run" in lines
    assert not any(line.startswith("Study first") for line in lines)


@pytest.mark.parametrize(
    ("name", "of"), [("second.yaml", "study second"), ("group.yaml", "group both")]
)
def test_a_task_that_is_not_there_is_refused(run, place, name, of):
    complaint = run(f"study {name} --task digits/mlp --task planted/ml").complaint
    assert complaint == f"error: unknown task 'planted/ml' of {of}: did you mean planted/mlp?"
    assert not (place / "results").exists()


def test_a_part_is_not_told_what_other_tasks_lack(run, place):
    methods = "methods: [{name: dense, only: [planted/mlp]}, set]"
    (place / "second.yaml").write_text(SECOND.replace("methods: [dense, set]", methods))
    assert (
        "no dense network of the same recipe on digits/mlp"
        in run("study second.yaml --dry-run").out
    )
    assert "no dense network" not in run("study second.yaml --task planted/mlp --dry-run").out
