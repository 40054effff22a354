import json
from typing import Any

import pytest

from suite.cli.ablate import twins
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.factors import combinations, factors_of
from suite.experiments.study import Study, load_study
from suite.experiments.trial_config import Trial
from suite.results.ablation_design import ablation_of, ablations, save
from suite.results.metadata_store import save_document
from suite.training.canonical_config import canonical_config

READY = ("ablate_window_cooldown", "ablate_bits_argument", "ablate_parts")


def study(vary: dict[str, Any], **entry: Any) -> Study:
    method = {"name": "resonance", "vary": vary} | entry
    return Study.make(
        name="small",
        question="?",
        tasks=["digits/mlp"],
        methods=[method],
        sparsities=[0.9],
        seeds=2,
    )


def settings(trials: list[Trial]) -> list[dict[str, Any]]:
    return [trial.hyperparameters for trial in trials if trial.seed == 0]


# ------------------------------------------------------------------ what is run


def test_one_at_a_time_changes_one_setting_of_the_base():
    found = settings(study({"window": [8, 64], "cooldown": [0]}).trials())
    assert found == [{}, {"window": 8}, {"window": 64}, {"cooldown": 0}]


def test_a_grid_has_every_combination_with_the_default_of_each_factor():
    found = settings(study({"window": [8, 64], "cooldown": [0]}, grid=True).trials())
    assert found[0] == {}
    assert len(found) == 3 * 2
    assert {"window": 64, "cooldown": 0} in found
    assert {"cooldown": 0} in found


def test_a_level_at_the_default_is_the_base_trial_and_runs_once():
    with_default = study({"window": [8, 32]})
    assert settings(with_default.trials()) == [{}, {"window": 8}]
    (base, *_) = ablation_of(with_default).designs[0].cells
    assert base.trials[0] == Trial.make(task="digits/mlp", method="resonance", sparsity=0.9).key


def test_what_is_set_holds_in_every_cell():
    found = settings(study({"window": [8]}, set={"update_every": 5}).trials())
    assert found == [{"update_every": 5}, {"window": 8, "update_every": 5}]


def test_levels_that_are_numbers_ascend_and_words_keep_their_order():
    method = registry.methods()["resonance"]
    window, cooldown = factors_of(method, {}, {"window": [64, 8], "cooldown": [400, 0]})
    assert window.levels == (8, 32, 64)
    assert cooldown.levels == ("auto", 400, 0)
    assert len(combinations([window, cooldown], grid=True)) == 9


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ({"windw": [8, 16]}, ["'windw' of resonance", "did you mean window"]),
        ({"window": [4]}, ["window=4", "from 8 to 4096"]),
        ({"window": ["wide"]}, ["window='wide'", "from 8 to 4096"]),
        ({"window": []}, ["no level is given", "from 8 to 4096"]),
        ({"window": [32]}, ["32 alone is the default"]),
        ({"window": [8, 16, 8]}, ["8 is given twice"]),
        ({"window": [8, 8.0]}, ["8 is given twice"]),
        ({"update_every": [7]}, ["both set and varied"]),
        ({"window": list(range(8, 400, 2))}, ["196 levels", "at most 100"]),
    ],
)
def test_what_cannot_be_varied_is_refused_in_one_line(vary, words):
    with pytest.raises(InvalidInput) as refused:
        study(vary, set={"update_every": 5}).trials()
    message = str(refused.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_grid_that_nobody_runs_is_refused_before_it_is_made():
    wide = {name: list(range(1, 100)) for name in ("update_every", "record_every", "cooldown")}
    with pytest.raises(InvalidInput, match="combinations, more than 10000"):
        study(wide, grid=True).trials()


# ------------------------------------------------------------------ the ready studies


@pytest.mark.parametrize("twice", ["--task digits/mlp", "-s 0.9 -s 0.9"])
def test_what_is_named_twice_is_refused(resonance, place, twice):
    line = "ablate rigl --task digits/mlp --vary drop_fraction=0.1,0.5 --seeds 2"
    assert "is given twice: give it once" in resonance(f"{line} {twice}").complaint
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", READY)
def test_levels_of_the_ready_studies_differ_in_effect(name):
    ready = load_study(name)
    assert twins(ready, ablation_of(ready)) == []


def test_the_ready_studies_are_about_a_hundred_trials_together():
    keys = {trial.key for name in READY for trial in load_study(name).trials()}
    assert 90 <= len(keys) <= 110


def test_each_part_of_the_method_is_taken_out_alone():
    (design,) = ablation_of(load_study("ablate_parts")).designs
    base, *others = design.cells
    changed = [{n for n in cell.levels if cell.levels[n] != base.levels[n]} for cell in others]
    assert [len(names) for names in changed] == [1] * 7
    assert set().union(*changed) == {
        "taper", "interpolate", "detrend", "cooldown", "modulation", "accuracy_depth", "shuffle",
    }  # fmt: skip


# ------------------------------------------------------------------ levels that do the same


def resonance_effect(**hyperparameters: Any) -> str:
    return canonical_config(Trial.make(task="digits/mlp", method="resonance", sparsity=0.9,
                             hyperparameters=hyperparameters, recipe={"epochs": 40}))  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"update_every": 10, "cooldown": 10}, {"update_every": 10, "cooldown": 0}),
        ({"update_every": 10, "cooldown": 20}, {"update_every": 10, "cooldown": "auto"}),
        ({"modulation": 0, "bits": 1}, {"modulation": 0}),
        ({"proportional_gain": 1.0}, {}),
        ({"accuracy_depth": 0}, {"accuracy_gain": 0}),
    ],
)
def test_settings_that_do_the_same_have_the_same_effect(one, other):
    assert resonance_effect(**one) == resonance_effect(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"update_every": 10, "cooldown": 11}, {"update_every": 10, "cooldown": 0}),
        ({"bits": 1}, {}),
        ({"solve": "feedback", "proportional_gain": 1.0}, {"solve": "feedback"}),
        ({"accuracy_depth": 0}, {}),
    ],
)
def test_settings_that_differ_have_other_effects(one, other):
    assert resonance_effect(**one) != resonance_effect(**other)


def test_a_level_without_an_effect_of_its_own_is_told():
    given = study({"cooldown": [0, 10]}, set={"update_every": 10})
    (note,) = twins(given, ablation_of(given))
    assert note.startswith("cooldown=10 does what cooldown=0 does on digits/mlp")


# ------------------------------------------------------------------ documents


def test_a_design_is_kept_as_it_is(store):
    given = ablation_of(study({"window": [8], "taper": ["none"]}))
    save(store, given)
    assert ablations(store) == [given]
    assert Study.make(**given.study) == study({"window": [8], "taper": ["none"]})


def damaged(**changes: Any) -> dict[str, Any]:
    """Return the document of an ablation with other content in its only design."""
    content = ablation_of(study({"window": [8]})).model_dump(mode="json")
    content["designs"][0] |= changes
    return content


@pytest.mark.parametrize(
    "content",
    [
        {"name": "small"},
        damaged(cells=[]),
        damaged(cells=[{"levels": {"window": "8"}, "trials": {0: "a"}}]),
        damaged(cells=[{"levels": {"window": "32"}, "trials": {}}]),
        damaged(cells=[{"levels": {"window": "32", "taper": "none"}, "trials": {0: "a"}}]),
        damaged() | {"name": "../../elsewhere"},
    ],
)
def test_a_damaged_document_is_refused_in_one_line(store, content):
    save_document(store, "ablation", "small", content)
    with pytest.raises(InvalidInput, match="ablation small of the store is damaged") as refused:
        ablations(store)
    assert "\n" not in str(refused.value)


def test_a_study_that_varies_nothing_is_no_ablation():
    with pytest.raises(InvalidInput, match="varies nothing"):
        ablation_of(load_study("quickstart"))


# ------------------------------------------------------------------ the command

SMALL = ("ablate resonance --task digits/mlp --vary window=8,32 --seeds 2 --recipe epochs=4 "
         "--engine inline")  # fmt: skip


def test_an_ablation_runs_keeps_its_design_and_is_not_run_again(resonance, store):
    first = resonance(SMALL)
    assert first.code == 0, first.err
    assert "4 to run" in first.out
    assert "window=8" in first.out
    (kept,) = ablations(store)
    assert set(store.keys()) == {k for c in kept.designs[0].cells for k in c.trials.values()}
    again = resonance(f"{SMALL} --json")
    (design,) = json.loads(again.out)["designs"]
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
        ("ablate ablate_parts --seeds 2 --grid", "--grid, --seeds: study ablate_parts"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(resonance, place, line, words):
    assert words in resonance(line).complaint
    assert list(place.iterdir()) == []
