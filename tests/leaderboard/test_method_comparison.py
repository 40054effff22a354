"""Two methods side by side, from records."""

import json

import pytest

from leaderboard.boards import build_boards
from leaderboard.method_comparison import compare_entries
from suite.core.errors import InvalidInput
from suite.results.store import Store
from tests.support.cli_runner import Command
from tests.support.sample_records import done, done_real, make_trial

BASE = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96]


def records(method: str, accuracies: list[float], **given):
    return [done(make_trial(method, seed=s, **given), a) for s, a in enumerate(accuracies)]


def better(by: float) -> list[float]:
    return [a + by + 0.001 * (-1) ** i for i, a in enumerate(BASE)]


def report(first, second, *more, task=None):
    boards, _ = build_boards([*first, *second, *more])
    return compare_entries(boards, "rigl", "static", task)


def test_a_planted_difference_is_found_in_its_cell_and_over_all():
    found = report(
        records("rigl", better(0.02), sparsity=0.8) + records("rigl", BASE, sparsity=0.9),
        records("static", BASE, sparsity=0.8) + records("static", BASE[::-1], sparsity=0.9),
    )
    planted, none = found.lines
    assert (planted.sparsity, none.sparsity) == (0.8, 0.9)
    assert planted.verdict == "RigL is better than Static random"
    assert planted.comparison.difference.mean == pytest.approx(0.02, abs=1e-3)
    assert none.verdict == "no difference shown at n = 7"
    assert planted.p == pytest.approx(2 * planted.comparison.p)
    # Seeds are the pairs, however many sparsities they were run at.
    assert found.overall.n == 7


def test_what_was_worse_is_said_so():
    found = report(records("rigl", BASE), records("static", better(0.02)))
    assert found.verdict == "Static random is better than RigL"
    assert found.overall is None


def test_seeds_without_a_partner_are_counted():
    found = report(records("rigl", BASE), records("static", BASE[:5]))
    assert found.lines[0].comparison.n == 5
    assert found.lines[0].comparison.unpaired == 2


def test_a_seed_that_is_missing_at_one_sparsity_is_counted_over_all():
    static = records("static", BASE, sparsity=0.8) + records("static", BASE, sparsity=0.9)
    rigl = records("rigl", better(0.02), sparsity=0.8) + records("rigl", BASE, sparsity=0.9)[1:]
    found = report(rigl, static)
    assert (found.overall.n, found.overall.unpaired) == (6, 1)
    kept = [(better(0.02)[s] - BASE[s]) / 2 for s in range(1, 7)]
    assert found.overall.difference.mean == pytest.approx(sum(kept) / 6)


def test_settings_are_entries_of_their_own():
    slow = records("rigl", better(0.02), hyperparameters={"update_every": 50})
    boards, _ = build_boards([*records("rigl", BASE), *slow])
    found = compare_entries(boards, "rigl:update_every=50", "rigl")
    assert found.verdict.startswith("RigL (update_every=50) is better than RigL")
    default = compare_entries(boards, "rigl:update_every=50", "rigl:update_every=100")
    assert default.verdict == found.verdict
    with pytest.raises(InvalidInput, match="A and B are both rigl"):
        compare_entries(boards, "rigl:update_every=100", "rigl")
    with pytest.raises(InvalidInput, match="give one of rigl, 'rigl:update_every=50'"):
        compare_entries(boards, "rigl:update_every=3", "rigl")


def test_tuned_settings_are_named_by_the_word():
    given = {"hyperparameters": {"update_every": 50}}
    tuned = records("rigl", better(0.03), **given)
    boards, _ = build_boards([*tuned, *records("rigl", BASE)], {record.key: () for record in tuned})
    found = compare_entries(boards, "rigl:tuned", "rigl")
    assert found.verdict.startswith("RigL (tuned: update_every=50) is better than RigL")


def test_what_cannot_be_compared_is_refused():
    boards, _ = build_boards([*records("rigl", BASE, sparsity=0.8), *records("static", BASE)])
    with pytest.raises(InvalidInput, match="no task and sparsity in common"):
        compare_entries(boards, "rigl", "static")
    with pytest.raises(InvalidInput, match="static"):
        compare_entries(boards, "rigl", "statik")
    with pytest.raises(InvalidInput, match="digits/mlp"):
        compare_entries(boards, "rigl", "static", "digits/mlq")


def test_the_command_says_it_in_numbers_and_words(tmp_path, monkeypatch, capsys):
    resonance = Command(monkeypatch, capsys)
    store = Store(tmp_path)
    for record in (*records("rigl", better(0.02)), *records("static", BASE[:6])):
        store.write(record.key, {"record.json": record.to_json()})
    told = resonance("compare rigl static --store", tmp_path)
    assert told.code == 0
    assert "RigL is better than Static random" in told.out
    assert "not used, because the other method lacks the seed: 1 trial" in told.out
    data = json.loads(resonance("compare rigl static --json --store", tmp_path).out)
    assert data["lines"][0]["comparison"]["difference"]["n"] == 6
    assert "unknown method 'rigle'" in resonance("compare rigle static --store", tmp_path).complaint


def test_a_narrower_comparison_corrects_over_fewer_cells_and_says_so():
    both = [
        record
        for sparsity, by in ((0.8, 0.002), (0.9, 0.0))
        for record in (
            *records("rigl", better(by), sparsity=sparsity),
            *records("static", BASE, sparsity=sparsity),
        )
    ]
    boards, _ = build_boards(both)
    wide = compare_entries(boards, "rigl", "static")
    narrow = compare_entries(boards, "rigl", "static", "digits/mlp", [0.8])
    assert wide.family == "p-values: Holm-corrected over the 2 cells with five common seeds"
    assert narrow.family == (
        "p-values: Holm-corrected over the one cell with five common seeds of task digits/mlp and "
        "sparsity 0.8 only; a claim about all cells needs the comparison of all"
    )
    assert wide.lines[0].p == pytest.approx(2 * narrow.lines[0].p)
    assert narrow.lines[0].p == narrow.lines[0].comparison.p
    few = compare_entries(build_boards(records("rigl", BASE[:3]) + records("static", BASE[:3]))[0],
                          "rigl", "static")  # fmt: skip
    assert few.family == "p-values: none, because no cell has five common seeds"
    assert few.lines[0].p is None


def test_what_is_close_enough_is_equivalent_and_the_region_can_be_chosen():
    boards, _ = build_boards([*records("rigl", better(0.0)), *records("static", BASE)])
    (line,) = compare_entries(boards, "rigl", "static").lines
    assert line.verdict == "RigL and Static random are equivalent within ± 0.5 points"
    assert (line.rope, line.equivalence_p < 0.001) == (0.005, True)
    (line,) = compare_entries(boards, "rigl", "static", rope=0.05).lines
    assert line.verdict == "no difference shown at n = 7"
    assert line.rope == pytest.approx(0.0005)
    boards, _ = build_boards([*records("rigl", better(0.003)), *records("static", BASE)])
    (line,) = compare_entries(boards, "rigl", "static", rope=1).lines
    assert line.verdict == "RigL is better than Static random, by less than 1 point"


def test_a_region_without_a_meaning_is_refused():
    boards, _ = build_boards([*records("rigl", BASE), *records("static", BASE)])
    for rope in (0, -1, float("inf"), float("nan")):
        with pytest.raises(InvalidInput, match="is a number above 0"):
            compare_entries(boards, "rigl", "static", rope=rope)
    real = [
        done_real(make_trial(method, task="diabetes/mlp", seed=seed), 0.4 + seed / 100)
        for method in ("rigl", "static")
        for seed in range(5)
    ]
    mixed, _ = build_boards([*records("rigl", BASE), *records("static", BASE), *real])
    with pytest.raises(InvalidInput, match="no common unit: the tasks rank by .*--task"):
        compare_entries(mixed, "rigl", "static", rope=1)
    alone = compare_entries(mixed, "rigl", "static", "diabetes/mlp", rope=0.1)
    assert alone.lines[0].verdict.endswith("are equivalent within ± 0.1 of test R²")
    assert compare_entries(mixed, "rigl", "static", "diabetes/mlp").lines[0].rope is None


def test_over_tasks_the_tests_of_tasks_stand_beside_the_sign_flips():
    names = ("digits/mlp", "mnist/lenet_5", "planted/mlp", "fashion_mnist/lenet_300_100")
    both = [
        record
        for name in names
        for record in (
            *records("rigl", better(0.02), task=name), *records("static", BASE, task=name)
        )
    ]  # fmt: skip
    found = compare_entries(build_boards(both)[0], "rigl", "static")
    assert found.over_tasks.tasks == 4
    assert found.over_tasks.wilcoxon_p is None
    assert found.over_tasks.signed_rank.right > 0.95
    assert found.verdict == "RigL is better than Static random"


def test_the_command_names_the_family_and_the_region(tmp_path, monkeypatch, capsys):
    resonance = Command(monkeypatch, capsys)
    store = Store(tmp_path)
    names = ("digits/mlp", "mnist/lenet_5", "planted/mlp", "fashion_mnist/lenet_300_100")
    for name in names:
        for record in (
            *records("rigl", better(0.0), task=name), *records("static", BASE, task=name)
        ):  # fmt: skip
            store.write(record.key, {"record.json": record.to_json()})
    told = resonance("compare rigl static --store", tmp_path).out
    assert "equivalent within ± 0.5 points" in told
    assert "Holm-corrected over the 4 cells with five common seeds" in told
    assert "quotes the p-values of the study's page" in " ".join(told.split())
    assert "Wilcoxon's signed-rank test: cannot decide at 4 tasks" in told
    assert "Bayesian signed-rank test: A better 0.000, equivalent within ± 0.5 points 1.000" in told
    one = resonance("compare rigl static --task digits/mlp --rope 2 --store", tmp_path).out
    assert "equivalent within ± 2 points" in one
    assert "of task digits/mlp only" in one
    data = json.loads(resonance("compare rigl static --json --store", tmp_path).out)
    assert data["over_tasks"]["signed_rank"]["rope"] > 0.99
    assert data["lines"][0]["rope"] == 0.005
    refused = resonance("compare rigl static --rope 0 --store", tmp_path)
    assert "--rope 0: the largest difference" in refused.complaint


def test_each_budget_is_a_family_of_its_own_and_there_is_no_verdict_over_both(
    tmp_path, monkeypatch, capsys
):
    resonance = Command(monkeypatch, capsys)
    store = Store(tmp_path)
    made = []
    for recipe in ({"flops_budget": 0.3}, {}):
        for sparsity in (0.8, 0.9):
            for method, by in (("rigl", 0.002), ("static", 0.0)):
                found = records(method, better(by), sparsity=sparsity, recipe=recipe)
                flops = {"training": 300.0, "dense_training": 1000.0} if recipe else {}
                made += [r.model_copy(update={"flops": r.flops | flops}) for r in found]
    alone = compare_entries(build_boards(made[-28:])[0], "rigl", "static")
    both = compare_entries(build_boards(made)[0], "rigl", "static")
    assert [line.task for line in both.lines] == ["digits/mlp"] * 2 + [
        "digits/mlp (flops_budget=0.3)"
    ] * 2
    assert both.lines[:2] == alone.lines
    assert both.lines[0].p == pytest.approx(2 * both.lines[0].comparison.p)
    assert both.family == (
        "p-values: Holm-corrected over the 2 cells at equal steps and the 2 cells at equal "
        "training FLOPs (0.3 × dense) with five common seeds, each of these by itself"
    )
    for record in made:
        store.write(record.key, {"record.json": record.to_json()})
    told = resonance("compare rigl static --store", tmp_path).out
    assert "no comparison over all tasks: some boards are at equal steps, others at equal" in told


def test_cells_without_an_update_are_not_compared_and_named():
    def of(method, sparsity, no_update=""):
        return [
            done(make_trial(method, seed=seed, sparsity=sparsity)).model_copy(
                update={"no_update": no_update}
            )
            for seed in range(5)
        ]

    why = "no update falls into these 40 steps"
    records = [*of("set", 0.8, why), *of("set", 0.9), *of("static", 0.8), *of("static", 0.9)]
    boards, _ = build_boards(records)
    found = compare_entries(boards, "set", "static")
    assert [line.sparsity for line in found.lines] == [0.9]
    assert found.left_out == (f"digits/mlp at 0.8: SET has no result there ({why})",)
    assert compare_entries(boards, "set", "static", sparsities=[0.9]).left_out == ()
    with pytest.raises(InvalidInput, match="cannot be compared: digits/mlp at 0.8: SET has no res"):
        compare_entries(boards, "set", "static", sparsities=[0.8])
