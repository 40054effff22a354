"""Sentences are true of the records, or the check says which number is not."""

from pathlib import Path

import pytest

from leaderboard.claims import (
    NamedRecords,
    Number,
    StatedClaim,
    check_claims,
    claims_markdown,
    load_claims,
    shipped_records,
    stored_records,
)
from suite.core.errors import InvalidInput
from suite.experiments.study import Study
from suite.results.ablation_design import ablation_of, save
from suite.results.store import Store
from tests.support.cli_runner import Command
from tests.support.sample_records import done, make_trial

BASE = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96]
TASK = make_trial("rigl").task


def records(method: str, accuracies: list[float], **given):
    return [done(make_trial(method, seed=s, **given), a) for s, a in enumerate(accuracies)]


def better(by: float) -> list[float]:
    return [a + by + 0.001 * (-1) ** i for i, a in enumerate(BASE)]


BARELY = [0.0, 0.005, 0.01, 0.015, 0.02, 0.0, 0.02]
"""Differences whose paired t-test gives p between 1 and 5 %."""

SAMPLES = [
    *records("rigl", better(0.02), sparsity=0.8),
    *records("static", BASE, sparsity=0.8),
    *records("rigl", BASE, sparsity=0.9),
    *records("static", BASE, sparsity=0.9),
]


ABLATION = Study.make(
    name="windows", question="Which?", tasks=["digits/mlp"], sparsities=[0.9],
    methods=[{"name": "resonance", "vary": {"window": [8], "shuffle": ["fixed"]}, "grid": True}],
    seeds=len(BASE), controls_left_out="they are its cells",
)  # fmt: skip


def ablated() -> NamedRecords:
    """Return an ablation in which a window of 8 is better than its control, one of 32 is not."""
    found = []
    for trial in ABLATION.trials():
        own = trial.hyperparameters == {"window": 8}
        score = BASE[trial.seed] + (0.02 + 0.001 * (-1) ** trial.seed) * own
        found.append(
            done(trial, score + 0.001 * (-1) ** (trial.seed // 2) * bool(trial.hyperparameters))
        )
    return NamedRecords(found, ablation_of(ABLATION))


def controls(states: str, **given) -> dict:
    return number(states, "controls", **{"records": "ablation", "method": "resonance", **given})


def number(states: str, quantity: str, **given) -> dict:
    given = {"records": "sample", "method": "rigl", **given}
    return {"states": states, "quantity": quantity, **given}


def claim(says: str = "It is {x}.", **numbers) -> StatedClaim:
    return StatedClaim(question="Is it?", says=says, numbers=numbers)


def check(one: dict, samples=SAMPLES):
    named = {"sample": NamedRecords(samples), "ablation": ablated()}
    (checked,) = check_claims([claim(x=one)], named.__getitem__)
    return checked.numbers[0]


AT_80 = {"task": TASK, "sparsity": 0.8}


@pytest.mark.parametrize(
    "one",
    [
        number("95.01", "score", **AT_80),
        number("93.0", "score", method="static", **AT_80),
        number("+2.0", "difference", than="static", verdict="better", **AT_80),
        number("−2.0", "difference", method="static", than="rigl", verdict="worse", **AT_80),
        number("0", "difference", than="static", verdict="not better", task=TASK, sparsity=0.9),
        number("1.0", "cost", than="static", at_most=1.0, **AT_80),
        number("1", "cells", than="static", verdict="better"),
        number("2", "cells", than="static", verdict="not worse"),
        number("2", "cells", than="static"),
        number("1", "cells", than="static", sparsity=0.9),
        number("95.0", "metric", metric="test_accuracy", over="least", **AT_80),
        controls("2"),
        controls("1", verdict="better"),
        controls("1", verdict="not better", task="digits/mlp", sparsity=0.9),
        controls("0", verdict="worse"),
    ],
    ids=lambda one: f"{one['quantity']} {one['states']} {one.get('verdict', '')}",
)
def test_a_number_of_the_records_holds(one):
    assert check(one).problem == ""


@pytest.mark.parametrize(
    ("one", "problem"),
    [
        (number("95.1", "score", **AT_80), "the sentence says 95.1, the records 95.0"),
        (
            number("2.0", "difference", than="static", verdict="worse", **AT_80),
            "rigl is not shown to be worse than static",
        ),
        (
            number("2.0", "difference", than="static", verdict="not better", **AT_80),
            "rigl is better than static",
        ),
        (number("1", "cost", than="static", at_most=0.9, **AT_80), "1 is more than 0.9"),
        (number("95.0", "score", at_least=96, **AT_80), "95.0143 is less than 96"),
        (
            number("0", "cells", than="static", verdict="better"),
            "the sentence says 0, the records 1",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else one["quantity"],
)
def test_a_number_that_is_not_that_of_the_records_is_named(one, problem):
    assert check(one).problem == problem


def test_a_difference_of_too_few_seeds_shows_nothing():
    few = [record for record in SAMPLES if record.trial["seed"] < 4]
    found = check(number("2.0", "difference", than="static", verdict="better", **AT_80), few)
    assert found.problem == "rigl is not shown to be better than static"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"states": "much"}, "give a number as text"),
        ({"quantity": "cost"}, "a cost needs 'than'"),
        ({"quantity": "cells"}, "a cells needs 'than'"),
        ({"quantity": "metric"}, "a metric needs 'metric'"),
        ({"verdict": "better"}, "a score has no verdict"),
        ({"task": ""}, "a score needs 'task'"),
    ],
    ids=lambda one: one if isinstance(one, str) else next(iter(one)),
)
def test_a_number_that_is_incomplete_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Number(**{**number("95.0", "score", **AT_80), **given})


def test_sentence_and_numbers_go_together():
    one = number("95.0", "score", **AT_80)
    with pytest.raises(ValueError, match="'y' stands in the sentence"):
        claim("It is {x} and {y}.", x=one)
    with pytest.raises(ValueError, match="'y' does not stand in the sentence"):
        claim("It is {x}.", x=one, y=one)
    assert claim("It\n is {x}.", x=one).sentence == "It is 95.0."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "digits/none"}, "0 boards of these records fit"),
        ({"sparsity": 0.7}, "give a sparsity of 0.8, 0.9"),
        ({"method": "set"}, "method 'set' has no trial among these"),
        ({"recipe": {"epochs": 3}}, "0 boards of these records fit"),
        ({"quantity": "controls"}, "sample is no ablation: name one"),
        ({"quantity": "controls", "records": "ablation"}, "no cell there has a shuffled control"),
    ],
    ids=lambda one: one if isinstance(one, str) else next(iter(one)),
)
def test_what_the_records_do_not_have_is_refused(given, message):
    with pytest.raises(InvalidInput, match=message):
        check({**number("95.0", "score", **AT_80), **given})


def test_shipped_records_are_found_by_name():
    assert shipped_records("official_small").records
    assert shipped_records("official_small").ablation is None
    with pytest.raises(InvalidInput, match="records=no_such: .* there are .*official_conv"):
        shipped_records("no_such")


def test_what_a_budget_adds_is_no_part_of_the_family_at_equal_steps():
    """With four cells more to correct over, this difference would no longer be shown."""
    barely = [
        *records("rigl", [a + d for a, d in zip(BASE, BARELY, strict=True)], sparsity=0.8),
        *records("static", BASE, sparsity=0.8),
    ]
    at_budget = [
        record.model_copy(
            update={"flops": record.flops | {"training": 300.0, "dense_training": 1000.0}}
        )
        for sparsity in (0.8, 0.9, 0.95, 0.98)
        for method in ("rigl", "static")
        for record in records(method, BASE, sparsity=sparsity, recipe={"flops_budget": 0.3})
    ]
    own = number("1.0", "difference", than="static", verdict="better", **AT_80)
    assert check(own, barely).problem == ""
    assert check(own, [*barely, *at_budget]).problem == ""


def at_budget(method: str, accuracies: list[float], *, spent: float = 300.0, **given):
    """Return records of a `flops_budget` of 0.3; they miss it unless `spent` is 300."""
    found = records(method, accuracies, recipe={"flops_budget": 0.3}, **given)
    flops = {"training": spent, "dense_training": 1000.0}
    return [one.model_copy(update={"flops": one.flops | flops}) for one in found]


BOTH = [
    *SAMPLES,
    *at_budget("rigl", better(-0.02), sparsity=0.8),
    *at_budget("static", BASE, sparsity=0.8),
]
METRIC = {"quantity": "metric", "metric": "test_accuracy"}


@pytest.mark.parametrize(
    "one",
    [
        number("95.0", **METRIC, **AT_80),
        number("91.0", **METRIC, **AT_80, recipe={"flops_budget": 0.3}),
        number("91.0", "score", **AT_80, recipe={"flops_budget": 0.3}),
        number("95.0", "score", **AT_80, recipe={"flops_budget": 0}),
        number("1", "cells", than="static", verdict="better", recipe={"flops_budget": 0}),
        number("0", "cells", than="static", verdict="better", recipe={"flops_budget": 0.3}),
        number("1", "cells", than="static", verdict="worse", recipe={"flops_budget": 0.3}),
        number("2", "cells", than="static", recipe={"flops_budget": 0}),
    ],
    ids=lambda one: f"{one['quantity']} {one['states']} {one.get('recipe', '')}",
)
def test_numbers_are_of_one_kind_of_boards(one):
    assert check(one, BOTH).problem == ""


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (
            number("2", "cells", than="static"),
            "boards at equal steps and at equal training FLOPs .* recipe: {flops_budget: 0}",
        ),
        (number("95.0", **METRIC, task=TASK), "give a sparsity of 0.8, 0.9"),
        (
            number("95.0", **METRIC, **AT_80, recipe={"epochs": 2}),
            "these records have epochs=2, batch_size=4 and epochs=2, batch_size=8",
        ),
    ],
    ids=["cells of both kinds", "several sparsities", "several recipes"],
)
def test_numbers_of_several_boards_are_refused(one, message):
    other = [
        record
        for size in (4, 8)
        for record in records("rigl", BASE, sparsity=0.8, recipe={"epochs": 2, "batch_size": size})
    ]
    with pytest.raises(InvalidInput, match=message):
        check(one, [*BOTH, *other])


def test_a_metric_is_of_records_that_count():
    missed = at_budget("rigl", better(0.02), sparsity=0.8, spent=350.0)
    own = number("91.0", **METRIC, **AT_80, recipe={"flops_budget": 0.3})
    with pytest.raises(InvalidInput, match="none of 0 records that count has 'test_accuracy'"):
        check(own, missed)


def test_a_verdict_says_over_how_many_comparisons_it_is_corrected():
    assert (
        check(number("2.0", "difference", than="static", verdict="better", **AT_80)).comparisons
        == 2
    )
    assert check(number("95.0", "score", **AT_80)).comparisons == 0


def test_a_study_without_trials_in_the_store_is_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match="records=quickstart: .* has no trial of this study"):
        stored_records(Store(tmp_path))("quickstart")


def test_claims_of_ones_own_are_checked_against_a_store(tmp_path: Path, monkeypatch, capsys):
    resonance = Command(monkeypatch, capsys)
    store = Store(tmp_path / "results")
    for record in SAMPLES:
        store.write(record.key, {"record.json": record.to_json()})
    study = tmp_path / "mine.yaml"
    study.write_text(
        f"name: mine\nquestion: Which?\ntasks: [{TASK}]\nmethods: [rigl, static]\n"
        "sparsities: [0.8]\nseeds: 7\n"
    )
    file = tmp_path / "claims.yaml"
    text = (
        "claims:\n  - question: Is it?\n    says: It is {x}.\n    numbers:\n      x: "
        f"{{states: 'STATED', quantity: score, records: {study}, method: rigl, task: {TASK}, "
        "sparsity: 0.8}\n"
    )
    file.write_text(text.replace("STATED", "95.0"))
    told = resonance("claims", file, "--store", store.location)
    assert told.code == 0
    assert "Is it? It is 95.0." in told.out
    assert check_claims(load_claims(file), stored_records(store))[0].holds
    file.write_text(text.replace("STATED", "95.5"))
    told = resonance("claims", file, "--store", store.location)
    assert told.code == 1
    assert "the sentence says 95.5, the records 95.0" in told.out


def test_an_ablation_of_a_store_is_found_with_its_design(tmp_path: Path):
    store, (found, design) = Store(tmp_path / "results"), ablated()
    for record in found:
        store.write(record.key, {"record.json": record.to_json()})
    save(store, design)
    one = claim(x=controls("1", records="windows", verdict="better"))
    assert check_claims([one], stored_records(store))[0].holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: []", "give a list of claims"),
        ("claims: [{question: Why, says: No., numbers: {}}]", "claim 1, numbers"),
        (
            "claims: [{question: Why, says: No., numbers: {x: {states: '1'}}}]",
            "claim 1, numbers.x.quantity: it is missing",
        ),
        (
            "claims: [{question: Why, says: No., number: {}}]",
            "claim 1, number: there is no such field: give one of question, says, numbers",
        ),
        (
            "claims: [{question: Why, says: No., numbers: {x: {states: 96.0}}}]",
            "numbers.x.states: 96.0 stands there as a number, .* put it in quotes",
        ),
        (
            "claims: [{question: Why, says: No., numbers: {x: {verdict: nicer}}}]",
            "numbers.x.verdict: 'nicer' is not usable: give better, worse, equivalent, not better",
        ),
        (
            "claims: [{question: Why, says: No., numbers: {x: {at_mos: 1}}}]",
            "numbers.x.at_mos: there is no such field: give one of states, quantity, .* at_most",
        ),
    ],
)
def test_a_file_of_claims_that_is_not_one_is_refused(tmp_path: Path, text, message):
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        load_claims(file)


def test_the_list_of_claims_is_markdown():
    assert (
        claims_markdown([claim(x=number("95.0", "score", **AT_80))]) == "1. **Is it?** It is 95.0."
    )


def test_every_claim_of_this_project_holds():
    for checked in check_claims(load_claims(), shipped_records):
        problems = {number.name: number.problem for number in checked.numbers if number.problem}
        assert problems == {}, checked.claim.question
