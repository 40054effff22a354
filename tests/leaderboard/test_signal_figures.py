"""What records say of signals: grouped, averaged over seeds, as tables and sentences."""

import statistics
from dataclasses import replace

import pytest

from leaderboard.board_markdown import escape
from leaderboard.boards import build_boards
from leaderboard.charts.signal_charts import (
    pruning_rows,
    relation_rows,
    reliability_rows,
    signal_charts,
)
from leaderboard.pages import evidence
from leaderboard.pages.evidence import controls_markdown, signals_markdown, with_block
from leaderboard.pages.signals_page import signals_page
from leaderboard.signal_figures import (
    between,
    counts,
    number,
    percent,
    pruning_table,
    relation_table,
    reliability_table,
    sentences,
    signal_groups,
    summary_table,
)
from leaderboard.site.build import build
from suite.core.errors import InvalidInput
from suite.results.record import LayerRecord, Record
from suite.results.signal_measures import (
    KEPT,
    READINGS,
    RELATED,
    LayerSignals,
    ReadingMeasures,
    pruned,
    spearman_brown,
)
from tests.support.sample_records import done, make_trial

LAYERS = ("1", "3")


def once(layer: str, reading: str, seed: int) -> float:
    return 0.1 * (1 + LAYERS.index(layer)) + 0.05 * list(READINGS).index(reading) + 0.02 * seed


def signals_of(layer: str, seed: int) -> LayerSignals:
    readings = {
        name: ReadingMeasures(
            {1: once(layer, name, seed), 2: once(layer, name, seed) + 0.1},
            {to: -once(layer, name, seed) * (1 + i) / 4 for i, to in enumerate(RELATED)},
        )
        for name in READINGS
    }
    return LayerSignals(32, 5, 1000, 10 * seed, 900, readings)


def analysed(seed: int = 0, method: str = "dense", trainer: str = "signals", **given) -> Record:
    record = done(make_trial(method, seed=seed, trainer=trainer, **given), 0.9)
    layers = [
        LayerRecord(
            name=name,
            shape=(10, 100),
            zeros=0,
            flops=2000.0,
            signals=signals_of(name, seed).numbers(),
        )
        for name in LAYERS
    ]
    more = {
        pruned(reading, keep): (0.8 if keep == "low" else 0.2) + 0.01 * seed
        for reading in READINGS
        for keep in KEPT
    }
    more |= {pruned("random"): 0.5, pruned("magnitude"): 0.85}
    return record.model_copy(update={"layers": layers, "metrics": record.metrics | more})


def test_seeds_of_one_training_are_one_group_and_others_are_apart():
    records = [analysed(seed) for seed in (2, 0, 1)]
    records += [analysed(0, "rigl"), analysed(0, recipe={"epochs": 2})]
    records += [done(make_trial("rigl", seed=5))]  # not an analysis
    groups = signal_groups(records)
    assert [group.title for group in groups] == [
        "digits/mlp dense",
        "digits/mlp dense (epochs=2)",
        "digits/mlp rigl at 0.9",
    ]
    assert [one.trial["seed"] for one in groups[0].records] == [0, 1, 2]
    assert groups[0].layers == LAYERS


def test_figures_are_means_over_seeds():
    (group,) = signal_groups([analysed(seed) for seed in (0, 1, 2)])
    expected = statistics.fmean(once("3", "rms", seed) for seed in (0, 1, 2))
    assert group.reliability("3", "rms", 1) == pytest.approx(expected)
    assert group.related("3", "rms", "magnitude") == pytest.approx(-expected / 4)
    assert group.reliability("3", "rms", 4) is None
    assert group.largest_k() == 2


def test_tables_have_a_row_for_each_layer_and_reading():
    (group,) = signal_groups([analysed(seed) for seed in (0, 1)])
    _, columns, rows = reliability_table(group)
    assert columns[1:] == ["1 window", "mean of 2", "expected for 2 (Spearman–Brown)"]
    assert len(rows) == len(LAYERS) * len(READINGS)
    first = once("1", "dominant", 0) + 0.01
    assert rows[0][1:] == [number(x) for x in (first, first + 0.1, spearman_brown(first, 2))]
    _, columns, rows = relation_table(group)
    assert columns[1:] == ["with |w|", "with F·w²", "with F·w² at equal |w|"]
    assert rows[0][1:] == [number(-first * (1 + i) / 4) for i in range(3)]
    _, _, rows = pruning_table(group)
    assert rows[0][1:] == ["20.5 ± 0.7", "80.5 ± 0.7"]
    assert rows[-1] == ["nothing is pruned", "90.0 ± 0.0", "90.0 ± 0.0"]
    _, columns, rows = summary_table(group)
    assert all(len(row) == len(columns) for row in rows)
    assert rows[0][1] == between([first, first + 0.1])


def test_sentences_and_counts_say_the_figures():
    (group,) = signal_groups([analysed(seed) for seed in (0, 2)])
    text = " ".join(sentences(group))
    low, high = (once(layer, "dominant", 1) for layer in LAYERS)
    assert f"rank correlation of {number(low)} to {number(high)} (by layer)" in text
    assert "21.0 ± 1.4 % are right if the highest are kept" in text
    assert "5 windows of 32 successive gradients; 2,000 connections" in counts(group)
    assert "of which 20 had no signal" in counts(group)


@pytest.mark.parametrize(
    ("silent", "end"),
    [
        (0, "drawn at random, in 2 layers."),
        (1, "in 2 layers, of which 2 had no signal in any window and are left out."),
    ],
)
def test_connections_without_a_signal_are_only_spoken_of_where_there_are_any(silent, end):
    (group,) = signal_groups([analysed(0)])
    of_all = {
        layer: tuple(replace(one, silent=silent) for one in found)
        for layer, found in group.signals.items()
    }
    assert counts(replace(group, signals=of_all)).endswith(end)


def test_where_nothing_was_averaged_no_expectation_is_shown():
    (group,) = signal_groups([analysed(0)])
    once_only = {
        layer: tuple(
            replace(
                one,
                readings={
                    name: replace(found, reliability={1: found.reliability[1]})
                    for name, found in one.readings.items()
                },
            )
            for one in each
        )
        for layer, each in group.signals.items()
    }
    _, columns, rows = reliability_table(replace(group, signals=once_only))
    assert columns == ["layer and reading", "1 window"]
    assert {len(row) for row in rows} == {2}


def test_numbers_are_written_with_a_minus_sign_and_without_a_negative_zero():
    assert [number(x) for x in (-0.271, -0.001, 0.5, None)] == ["−0.27", "0.00", "0.50", "–"]
    assert between([0.2, 0.2]) == "0.20"
    assert between([]) == percent([]) == "–"
    assert percent([0.5]) == "50.0"


def test_charts_have_a_row_for_everything_measured():
    (group,) = signal_groups([analysed(seed) for seed in (0, 1)])
    rows = reliability_rows(group)
    assert len(rows) == len(LAYERS) * len(READINGS) * 2
    assert all(row["expected"] == row["reliability"] for row in rows if row["k"] == 1)
    assert len(relation_rows(group)) == len(LAYERS) * len(READINGS) * len(RELATED)
    assert len(pruning_rows(group)) == 2 * len(READINGS) + 2
    assert set(signal_charts(group)) == {"reliability", "relations", "pruning"}


def test_a_layer_without_any_signal_is_shown_as_missing():
    record = analysed()
    nothing = LayerSignals(32, 5, 1000, 1000, 0, {})
    layers = [x.model_copy(update={"signals": nothing.numbers()}) for x in record.layers]
    (group,) = signal_groups([record.model_copy(update={"layers": layers})])
    assert reliability_table(group)[2][0][1] == "–"
    assert "of – (by layer)" in sentences(group)[0]
    assert set(signal_charts(group)) == {"pruning"}
    assert "too short" in sentences(group)[1]


def test_the_page_escapes_what_records_say_and_links_their_trials():
    record = analysed()
    hostile = record.layers[0].model_copy(update={"name": "<script>alert(1)</script>"})
    record = record.model_copy(update={"layers": [hostile]})
    page = signals_page(signal_groups([record]))
    assert "<script>alert" not in page
    assert f'href="trials/{record.key}.html"' in page
    assert "Test–retest reliability" in page


def test_the_site_has_the_page_where_there_are_such_records_and_no_board_of_them(tmp_path):
    usual = done(make_trial("rigl"))
    site = build([analysed(), usual], tmp_path / "with")
    index = site.page.read_text(encoding="utf-8")
    assert 'href="signals.html"' in index
    assert (tmp_path / "with" / "signals.html").exists()
    assert (tmp_path / "with" / "charts" / "signals-1-reliability.pdf").exists()
    assert [run.key for board in site.boards for *_, c in board.cells() for run in c.runs] == [
        usual.key
    ]
    page = (tmp_path / "with" / "trials" / f"{analysed().key}.html").read_text(encoding="utf-8")
    assert "it is an analysis (signals)" in page
    build([usual], tmp_path / "without")
    assert not (tmp_path / "without" / "signals.html").exists()


def test_an_analysis_is_placed_but_on_no_board():
    boards, excluded = build_boards([analysed()])
    assert (boards, excluded) == ([], [])


def test_a_block_is_replaced_between_its_markers_alone():
    text = "before\n<!-- a:begin -->\nold\n<!-- a:end -->\nafter\n"
    once_ = with_block(text, "a", "new")
    assert once_ == "before\n<!-- a:begin -->\nnew\n<!-- a:end -->\nafter\n"
    assert with_block(once_, "a", "new") == once_
    for broken in ("", text + text, "<!-- a:end --><!-- a:begin -->"):
        with pytest.raises(InvalidInput, match="no place for a"):
            with_block(broken, "a", "new")


def test_the_shipped_records_are_a_section_each():
    text = signals_markdown()
    assert text.count("\n| reading |") == text.count("### ") >= 1
    assert escape("|w|") in text


def test_every_reading_stands_beside_its_control(tmp_path, monkeypatch):
    """The rows are those that an ablation's page shows: cell, mean, its control, difference."""
    text = controls_markdown()
    assert text.count("### ") == text.count("| its control |") == 2
    assert text.count("\n| reading=") == 2 * 3 * 2 * 2
    monkeypatch.setattr(evidence, "READINGS", tmp_path / "none.jsonl.gz")
    assert controls_markdown() == evidence.NOT_SHIPPED
    monkeypatch.setattr(evidence, "READINGS", evidence.RECORDS)
    with pytest.raises(InvalidInput, match="has no design: write it with"):
        controls_markdown()
