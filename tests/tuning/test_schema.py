"""The document of a tuning and its charts: read without torch and Optuna."""

import subprocess
import sys

import pytest

from leaderboard.charts.tuning_charts import tuning_charts
from suite.core.errors import InvalidInput
from suite.results.metadata_store import save_document
from suite.tuning.schema import Final, PastWinner, load_tuning, load_tunings, save_tuning
from tests.tuning.sample import settings, tuning


def test_a_document_is_read_as_it_was_saved(store):
    save_tuning(store, tuning())
    assert load_tuning(store, "t") == tuning()
    assert load_tunings(store) == ([tuning()], [])
    assert load_tuning(store, "other") is None


def test_runs_of_a_winner_are_tuned_and_those_of_a_default_that_won_are_not():
    won = tuning(final=Final(winner=["a" * 16], default=["b" * 16]))
    assert won.tuned_keys() == {"a" * 16: ()}
    assert tuning(final=Final(winner=["b" * 16], default=["b" * 16])).tuned_keys() == {}
    assert tuning().tuned_keys() == {}


def test_runs_of_winners_of_smaller_budgets_stay_tuned():
    earlier = [PastWinner(budget=2, keys=["a" * 16]), PastWinner(budget=3, keys=["c" * 16])]
    final = Final(winner=["a" * 16, "d" * 16], default=["b" * 16])
    asked = tuning(final=final, tested=earlier)
    assert list(asked.tuned_keys()) == ["a" * 16, "d" * 16, "c" * 16]
    assert [one.budget for one in asked.methods["rigl"].tested] == [2, 3]


def test_a_document_of_schema_1_is_read_with_its_winner_among_the_tested(store):
    content = tuning(final=Final(winner=["a" * 16], default=["b" * 16])).model_dump(mode="json")
    del content["methods"]["rigl"]["tested"]
    save_document(store, "tuning", "t", content | {"schema_version": 1})
    assert load_tuning(store, "t").tuned_keys() == {"a" * 16: ()}


@pytest.mark.parametrize("content", [{}, {"methods": 1}, {"schema_version": 1, "settings": {}}])
def test_what_is_no_tuning_is_refused(store, content):
    save_document(store, "tuning", "t", content)
    found, (refused,) = load_tunings(store)
    assert found == []
    assert "tuning/t.json is not a readable document" in refused.reason
    with pytest.raises(InvalidInput, match="run `resonance tune` again"):
        load_tuning(store, "t")


def test_a_document_of_a_newer_program_is_refused(store):
    save_document(store, "tuning", "t", {"schema_version": 99})
    with pytest.raises(InvalidInput, match="schema version 99"):
        load_tuning(store, "t")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"methods": []}, "methods: the list is empty"),
        ({"tasks": []}, "tasks: the list is empty"),
        ({"methods": ["rigl", "rigl"]}, "rigl is given twice"),
        ({"sparsities": [0.9, 0.8, 0.9]}, "sparsity 0.9 is given twice: give it once"),
        ({"methods": ["rigle"]}, "did you mean rigl"),
        ({"objectives": ["accuracies"]}, "did you mean accuracy"),
        ({"sampler": "cma"}, "unknown sampler 'cma': did you mean cmaes"),
        ({"sampler": "grid"}, "unknown sampler 'grid': valid: tpe, cmaes, gp, random, qmc, nsgaii"),
        ({"pruner": "asha"}, "unknown pruner 'asha': valid: none, median, hyperband"),
        ({"prune_after": "epochs"}, "unknown prune-after 'epochs': did you mean epoch"),
        ({"budget": 0}, "--budget 0: give a whole number from 1 to 100000"),
        ({"seeds": []}, r"--seeds \(\)|--seeds \[\]"),
        ({"seed": -1}, "--seed -1: give a whole number from 0 to 2147483647"),
        ({"threads": 0}, "--threads 0: give a whole number from 1 to 1024"),
        ({"device": "tpu"}, "--device tpu: give cpu or cuda"),
        ({"precision": "half"}, "--precision half: give float32 or bfloat16"),
        ({"name": "../x"}, r"--name \.\./x: give up to 100 characters"),
        ({"pruner": "median"}, "--pruner median with one seed per configuration prunes nothing"),
        ({"prune_after": "epoch"}, "--prune-after epoch: no --pruner is given"),
        ({"sampler": "cmaes", "objectives": ["accuracy", "train_flops"]}, "one objective"),
        (
            {"final_seeds": [1000]},
            r"seeds \[1000\] are used both for tuning and for the final test",
        ),
        ({"pruner": "median", "objectives": ["accuracy", "train_flops"]}, "--pruner median"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_in_one_line(given, complaint):
    with pytest.raises(InvalidInput, match=complaint) as error:
        settings(**given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("TPE", "tpe"),
        ("CMA-ES", "cmaes"),
        ("TPESampler", "tpe"),
        ("nsga-ii", "nsgaii"),
        ("GP", "gp"),
    ],
)
def test_samplers_are_named_as_users_of_optuna_name_them(given, name):
    assert settings(sampler=given).sampler == name


def test_pruners_are_named_as_users_of_optuna_name_them():
    assert settings(pruner="MedianPruner", prune_after="Epoch").pruner == "median"


def test_every_kind_of_chart_is_drawn_from_the_document_alone():
    charts = tuning_charts(tuning())
    kinds = ("history", "importance", "slice", "parallel", "contour", "front")
    assert list(charts) == ["budget", *(f"rigl-{kind}" for kind in kinds)]
    assert all(chart.to_dict()["$schema"] for chart in charts.values())
    history = charts["rigl-history"].to_dict()
    (rows,) = history["datasets"].values()
    assert [(row["number"], row["best"], row["kind"]) for row in rows] == [
        (0, 0.7, "default"), (1, 0.9, "winner"), (2, 0.9, "trial"),
    ]  # fmt: skip


def test_a_chart_without_data_is_left_out():
    assert tuning_charts(tuning(trials=[], importance={}, winner=None, front=[])) == {}


def test_neither_torch_nor_optuna_is_needed_to_read_and_draw():
    code = (
        "import sys; import leaderboard.charts.tuning_charts; "
        "assert not {'torch', 'optuna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
