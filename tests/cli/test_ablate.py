"""The command `resonance ablate`."""

import json

import pytest

from suite.cli.ablate import twins
from suite.experiments.study import load_study
from suite.results.ablation_design import ablation_of, ablations
from tests.support.sample_studies import READY, study


@pytest.mark.parametrize("twice", ["--task digits/mlp", "-s 0.9 -s 0.9"])
def test_what_is_named_twice_is_refused(resonance, place, twice):
    line = "ablate rigl --task digits/mlp --vary drop_fraction=0.1,0.5 --seeds 2"
    assert "is given twice: give it once" in resonance(f"{line} {twice}").complaint
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", READY)
def test_levels_of_the_ready_studies_differ_in_effect(name):
    ready = load_study(name)
    assert twins(ready, ablation_of(ready)) == []


def test_a_level_without_an_effect_of_its_own_is_told():
    given = study({"cooldown": [0, 10]}, set={"update_every": 10})
    (note,) = twins(given, ablation_of(given))
    assert note.startswith("cooldown=10 does what cooldown=0 does on digits/mlp")


SMALL = ("ablate resonance --task digits/mlp --vary window=8,32 --seeds 2 --recipe epochs=4 "
         "--engine inline")  # fmt: skip


def test_an_ablation_runs_keeps_its_design_and_is_not_run_again(resonance, store):
    first = resonance(SMALL)
    assert first.code == 0, first.err
    assert "4 to run" in first.out
    assert "window=8" in first.out
    assert "In a paper quote those of the tables" in " ".join(first.out.split())
    (kept,), _ = ablations(store)
    assert set(store.keys()) == {k for c in kept.designs[0].cells for k in c.trials.values()}
    again = resonance(f"{SMALL} --json")
    (design,) = json.loads(again.out)["designs"]
    assert design["metric"] == "test_accuracy"
    assert "4 done · 0 to run" in again.err
    assert [cell["mean"]["n"] for cell in design["cells"]] == [2, 2]
    assert [level["level"] for level in design["levels"]] == ["8", "32"]


def test_the_plan_alone_writes_nothing(resonance, place):
    shown = resonance(f"{SMALL} --dry-run")
    assert "4 to run" in shown.out
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ablate resonnance --task digits/mlp --vary window=8", "did you mean resonance"),
        ("ablate resonance --vary window=8", "give a --task"),
        ("ablate resonance --task digits/mlp", "give --vary"),
        ("ablate resonance --task digits/mlp --vary window", "name=value,value"),
        ("ablate resonance --task digits/mlp --vary window=", "no level is given"),
        ("ablate resonance --task digits/mlp --vary window=8,,16", "a level is empty"),
        ("ablate resonance --task digits/mlp --vary window=8 --vary window=16", "given twice"),
        ("ablate resonance --task digits/mlp --vary window=9", "must be even"),
        ("ablate resonance --task digits/mlp --vary window=8 --set window=16", "set and varied"),
        ("ablate resonance --task digits/mlp --vary modulation=0,nan", "modulation=nan"),
        ("ablate resonance --task digits/mlp --vary window=8 -s nan", "sparsity"),
        ("ablate quickstart", "varies nothing"),
        ("ablate official", "is a group of studies: give one of them: official_small, "),
        ("ablate ablate_parts --seeds 2 --grid", "--grid, --seeds: study ablate_parts"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(resonance, place, line, words):
    assert words in resonance(line).complaint
    assert list(place.iterdir()) == []
