"""Published beside reproduced: from records alone, and escaped wherever it is written."""

import io
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from leaderboard.pages.latex import escape_latex
from leaderboard.pages.reproduction_tables import (
    cells,
    columns,
    latex,
    markdown,
    page,
    rule,
    write,
)
from leaderboard.reproduction.early_stop import RELATIONS, EarlyStop, early_stop
from leaderboard.reproduction.published_results import (
    PublishedResult,
    PublishedTable,
    TableRows,
    table,
)
from leaderboard.reproduction.published_vs_reproduced import ShippedTrials, TableLine, table_lines
from suite.core.errors import InvalidInput
from suite.reproduce.flops import inference_ratio
from suite.results.record import failed
from suite.results.store import Store
from suite.training.curves import Curves
from tests.support.sample_records import done

NAME = "set-fashion-mnist-2000"
HOSTILE = "<script>alert(1)</script> | a_b \\input{x} & 5 % $x$ `code`\n# next"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    store.prepare()
    return store


def put(store, trial, accuracy):
    record = done(trial, accuracy)
    store.write(trial.key, {"record.json": record.to_json()})


def chosen(name, method):
    found = table(name)
    return [t for t in found.load_study().trials() if t.method == method]


def line(store, method):
    return next(x for x in table_lines(table(NAME), store) if x.method.startswith(method))


def test_without_records_a_line_says_that_nothing_was_run(store):
    for one in table_lines(table(NAME), store):
        assert one.values == ()
        assert one.mean is None
        assert one.within is None
        assert cells(table(NAME), one)[3:7] == ["not run", "0", "", ""]


def test_reproduced_is_the_mean_over_the_seeds_in_the_store(store):
    accuracies = [0.82, 0.83, 0.84]
    for trial, accuracy in zip(chosen(NAME, "set"), accuracies, strict=False):
        put(store, trial, accuracy)
    one = line(store, "SET")
    assert one.values == pytest.approx((82.0, 83.0, 84.0))
    assert (one.mean, one.std) == (pytest.approx(83), pytest.approx(1))
    assert one.difference == pytest.approx(83 - 82.56)
    assert one.within is True
    assert cells(table(NAME), one)[2:7] == ["82.56 ± 0.91", "83.00 ± 1.00", "3", "+0.44", "yes"]


@pytest.mark.parametrize(("accuracy", "within"), [(0.8098, True), (0.8472, False), (0.79, False)])
def test_within_is_two_published_standard_deviations(store, accuracy, within):
    put(store, chosen(NAME, "set")[0], accuracy)
    assert line(store, "SET").within is within


def test_a_failed_trial_is_counted_and_gives_no_value(store):
    good, bad = chosen(NAME, "static")[:2]
    put(store, good, 0.8)
    store.write(bad.key, {"record.json": failed(bad, RuntimeError("no")).to_json()})
    one = line(store, "FixProb")
    assert one.values == (80.0,)
    assert cells(table(NAME), one)[4] == "1 (1 failed)"


def test_the_dense_line_takes_the_trials_at_its_own_learning_rate(store):
    for trial in chosen(NAME, "dense"):
        put(store, trial, 0.82)
    assert line(store, "FC").values == pytest.approx((82.0,) * 5)
    assert line(store, "SET").values == ()


def test_published_only_needs_no_store_and_shows_no_reproduction():
    for one in table_lines(table("rigl-imagenet"), None):
        assert one.values is None
        assert cells(table("rigl-imagenet"), one)[3:7] == ["", "", "", ""]


def test_test_flops_of_resnet_50_are_within_a_hundredth_of_every_published_entry():
    found = table("rigl-imagenet-flops")
    known: dict = {}

    def compute(what, sparsity):
        key = (what.distribution, what.dense, sparsity)
        if key not in known:
            known[key] = inference_ratio(
                what.task, sparsity, what.distribution, what.dense, what.dense_layers_compensate
            )
        return known[key]

    lines = table_lines(found, None, compute)
    assert len(lines) == 23
    assert all(one.within for one in lines)
    assert max(abs(one.difference) for one in lines) < 0.0075
    assert {cells(found, one)[4] for one in lines} == {"computed"}
    by_name = {(x.method, x.sparsity): round(x.mean, 3) for x in lines}
    assert by_name["RigL-ERK-1x", 0.8] == 0.414
    assert by_name["RigL-ERK-5x", 0.99] == 0.052
    assert by_name["RigL-Uniform-5x", 0.965] == 0.063

    others = {(x.method, x.sparsity): x.rounded for x in lines if not x.rounds_to_published}
    assert others == {
        ("RigL-ERK-1x", 0.8): "0.41",
        ("RigL-ERK-5x", 0.8): "0.41",
        ("RigL-Uniform-1x", 0.8): "0.22",
        ("RigL-Uniform-5x", 0.8): "0.22",
        ("RigL-Uniform-5x", 0.965): "0.06",
    }
    words = [cells(found, one)[6] for one in lines]
    assert sorted(set(words)) == [
        "yes", "yes, rounds to 0.06", "yes, rounds to 0.22", "yes, rounds to 0.41"
    ]  # fmt: skip
    assert words.count("yes") == 16
    assert "7 of 23 do not round to the published figure" in rule(found, lines)
    assert "7 of 23 do not round" in markdown(found, lines)
    assert "7 of 23 do not round" in page(found, lines)
    assert "7 of 23 do not round" in latex(found, lines)


@pytest.mark.parametrize(
    ("published", "printed", "value", "rounded", "rounds"),
    [
        (0.42, "0.42", 0.4137, "0.41", False),
        (0.09, "0.09", 0.0852, "0.09", True),
        (1.0, "1", 1.0, "1", True),
        (82.56, "82.56 ± 0.91", 82.564, "82.56", True),
        (94.0, "94.0", 93.94, "93.9", False),
        ("<0.3", "<0.3", 0.2, "", None),
    ],
)
def test_a_value_is_rounded_to_the_decimals_that_were_published(
    published, printed, value, rounded, rounds
):
    one = table_lines(table("rigl-imagenet"), None)[0]
    one = replace(one, published=published, printed=printed, values=(value,))
    assert (one.rounded, one.rounds_to_published) == (rounded, rounds)
    without = replace(one, values=None)
    assert (without.rounded, without.rounds_to_published) == ("", None)


def test_the_rule_names_what_the_lines_are_judged_by():
    assert rule(table("lth-mnist")) == "within: on the published side of the bound"
    assert rule(table(NAME)) == "within: inside the published mean ± 2 standard deviations"
    assert rule(table("rigl-imagenet-flops")) == "within: at most 0.01 from the published value"


def test_a_published_number_keeps_its_decimals():
    found = table("rigl-cifar10-wrn22-2")
    rows = [cells(found, one)[:3] for one in table_lines(found, None)]
    for row in (
        ["Pruning (GMP)", "0.5", "94.0"],
        ["RigL (ERK)", "0.8", "93.6"],
        ["Small-Dense", "0.8", "91.0 ± 0.07"],
    ):
        assert row in rows


def test_a_bound_is_met_on_its_side_only(store):
    one = next(x for x in table_lines(table("lth-mnist"), store) if x.bound == ">0.3")
    assert replace(one, values=(0.31,)).within is True
    assert replace(one, values=(0.29,)).within is False
    assert "yes (> 0.3)" in cells(table("lth-mnist"), replace(one, values=(0.31,)))


def test_relations_compare_trainings_of_the_same_seed_where_their_validation_loss_is_least(store):
    found = table("lth-mnist")
    trials = found.load_study().trials()
    losses = {"dense": [0.5, 0.3, 0.2, 0.4], "lottery_ticket": [0.4, 0.1, 0.2, 0.3]}
    for trial in trials:
        if trial.seed > 1 or trial.hyperparameters.get("control"):
            continue
        curves = Curves()
        for epoch, loss in enumerate(losses[trial.method], 1):
            curves.add(100 * epoch, "validation_nll", loss)
            curves.add(100 * epoch, "validation_accuracy", 1 - loss / 10)
        files = {"record.json": done(trial).to_json(), "curves.parquet": curves.to_parquet()}
        store.write(trial.key, files)
    change, gain, speedup = sorted(
        table_lines(found, store), key=lambda x: [-38.0, ">0.3", 2.51].index(x.published)
    )
    assert change.values == pytest.approx((100 * (200 / 300 - 1),) * 2)
    assert gain.values == pytest.approx((1.0, 1.0))
    assert (change.within, gain.within) == (True, True)
    assert speedup.values == ()


def test_an_early_stop_is_looked_for_in_the_last_round():
    curves = Curves()
    for round_, losses in enumerate([[0.1, 0.2], [0.9, 0.8]]):
        curves.round = round_
        for step, loss in enumerate(losses):
            curves.add(step, "validation_nll", loss)
            curves.add(step, "validation_accuracy", 1 - loss)
    assert early_stop(curves.to_parquet()) == EarlyStop(1, pytest.approx(0.2))
    assert RELATIONS["early_stop_speedup_x"](EarlyStop(100, 0.9), EarlyStop(250, 0.8)) == 2.5


def test_without_a_validation_split_there_is_no_early_stop():
    buffer = io.BytesIO()
    pl.DataFrame(
        {"round": [0], "step": [1], "series": ["train_loss"], "layer": [""], "index": [0]}
        | {"value": [0.1]}
    ).write_parquet(buffer)
    with pytest.raises(InvalidInput, match="no validation split"):
        early_stop(buffer.getvalue())


def hostile() -> tuple[PublishedTable, list[TableLine]]:
    result = PublishedResult(
        paper=HOSTILE, table=HOSTILE, dataset="d", model="m", method=HOSTILE, metric="x",
        value=HOSTILE, trust="secondary", source=HOSTILE,
    )  # fmt: skip
    found = PublishedTable(
        name="hostile", title=HOSTILE, rows=(TableRows(label=HOSTILE),), note=HOSTILE
    )
    one = table_lines(found, None)[0]
    return found, [replace(one, method=result.method, published=HOSTILE, source=result.source)]


def test_no_text_breaks_out_of_its_cell():
    found, lines = hostile()
    text = markdown(found, lines)
    assert "<script>" not in text
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert len(rows) == 3
    bars = {row.replace("\\|", "").count("|") for row in rows}
    assert bars == {len(columns(found)) + 1}
    assert "<script>" not in page(found, lines)
    tex = latex(found, lines)
    body = [row for row in tex.splitlines() if row.endswith(r"\\")]
    assert len(body) == 2
    assert all(row.replace(r"\&", "").count("&") == len(columns(found)) - 1 for row in body)
    assert "\\input{x}" not in body[1]
    assert tex.rstrip().splitlines()[-1].startswith("% ")


def test_latex_prints_every_special_character():
    assert escape_latex("50 % & a_b #1 $x$ {y} ~ ^ \\") == (
        r"50 \% \& a\_b \#1 \$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escape_latex("1 ± 2 × 3 − 4") == r"1 $\pm$ 2 $\times$ 3 $-$ 4"


def test_a_table_is_written_three_times_and_whole(tmp_path, store):
    found = table(NAME)
    paths = write(found, table_lines(found, store), tmp_path / "out")
    assert [path.name for path in paths] == [f"{NAME}.md", f"{NAME}.tex", f"{NAME}.html"]
    for path in paths:
        text = path.read_text()
        assert "81.98" in text
        assert "primary" in text
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path, store):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="choose another --out"):
        write(table(NAME), [], tmp_path / "file" / "out")


def test_the_command_shows_and_writes_what_was_published(resonance, place):
    shown = resonance("reproduce rigl-imagenet --published-only")
    assert shown.code == 0
    assert "77.17" in shown.out
    assert "ImageNet and GPUs" in shown.out
    assert list(place.iterdir()) == []
    shown = resonance("reproduce rigl-imagenet --published-only --out mine")
    assert "Table: mine/rigl-imagenet.md" in shown.out
    assert (place / "mine" / "rigl-imagenet.tex").is_file()
    assert not (place / "results").exists()


def test_a_dry_run_writes_nothing(resonance, place):
    assert resonance("reproduce lth-mnist --dry-run").code == 0
    assert list(place.iterdir()) == []
    assert (
        "--dry-run writes nothing" in resonance("reproduce lth-mnist --dry-run --out x").complaint
    )
    assert list(place.iterdir()) == []


def test_the_command_compares_with_what_the_store_has(resonance, store, place):
    for trial in chosen(NAME, "set"):
        put(Store(place / "results"), trial, 0.825)
    shown = resonance(f"reproduce {NAME} --dry-run --json --store", place / "results")
    lines = {line["method"]: line for line in json.loads(shown.out)}
    assert lines["SET-MLP"]["mean"] == pytest.approx(82.5)
    assert lines["SET-MLP"]["within"] is True
    assert lines["FC-MLP (dense)"]["mean"] is None


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(resonance, place):
    (place / "file").write_text("")
    refused = resonance(f"reproduce {NAME} --out file")
    assert "file cannot be written" in refused.complaint
    assert not (place / "results").exists()


def test_an_unknown_table_is_refused_in_one_line_and_nothing_is_written(resonance, place):
    assert "did you mean lth-mnist" in resonance("reproduce lth-mnis").complaint
    assert list(place.iterdir()) == []


def test_tables_and_trainers_are_listed(resonance):
    assert "set_fashion_mnist_2000" in resonance("list tables").out
    assert "set_2019" in resonance("list trainers").out


def test_what_is_shipped_of_sets_logs_is_within_and_stands_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    lines = table_lines(table("set-fashion-mnist-2000"), ShippedTrials())
    assert [(len(line.values), line.within) for line in lines] == [(5, True)] * 3
    for line in lines:
        assert f"| {line.mean:.2f} ± {line.std:.2f} |" in page


def test_a_shipped_file_that_is_damaged_is_refused_in_one_line(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(b"no archive")
    with pytest.raises(InvalidInput, match=r"a\.jsonl\.gz"):
        ShippedTrials(tmp_path)


def test_what_is_shipped_is_shown_without_a_store(resonance, place):
    shown = resonance("reproduce set-fashion-mnist-2000 --shipped --json")
    assert shown.code == 0
    assert {x["method"].split("-")[0] for x in json.loads(shown.out)} == {"FC", "FixProb", "SET"}
    assert not (place / "results").exists()
    assert resonance("reproduce set-fashion-mnist-2000 --shipped --dry-run").code == 2


def test_a_difference_that_rounds_to_nothing_is_not_negative():
    found = table("set-fashion-mnist-2000")
    line = table_lines(found, ShippedTrials())[2]
    assert "+0.00" in cells(found, replace(line, published=line.mean + 1e-9))
