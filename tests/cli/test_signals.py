"""`resonance signals`: what it prints and writes, and what it refuses."""

import json

import pytest

from suite.results.store import Store

SHORT = ("--recipe", "epochs=2")


def test_it_prints_tables_and_sentences_and_writes_a_page(resonance, place):
    result = resonance("signals", "digits/mlp", *SHORT)
    assert result.code == 0, result.err
    assert "Test–retest reliability, 1 seed" in result.out
    assert "a connection's dominant frequency agrees with itself" in result.out
    (record,) = Store(place / "results").records()
    assert record.trial["trainer"] == "signals"
    folder = place / "site" / "trials" / record.key
    assert {path.name for path in folder.glob("*.png")} >= {"reliability.png"}
    assert (folder / "index.html").exists()


def test_as_json_it_is_what_the_record_holds_and_a_second_time_nothing_runs(resonance, place):
    given = ("signals", "digits/mlp", "static", "-s", "0.5", "--window", "16", "--json", *SHORT)
    first = json.loads(resonance(*given).out)
    (record,) = Store(place / "results").records()
    assert first["layers"] == {layer.name: layer.signals for layer in record.layers}
    assert first["pruned_at_once"]["pruned_random_accuracy"] > 0
    assert record.trial["sparsity"] == 0.5
    again = resonance(*given)
    assert json.loads(again.out) == first
    (same,) = Store(place / "results").records()
    assert same.checksum == record.checksum


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--window", "48"), "window=48: give one of 16, 32, 64, 128"),
        (("--window", "0"), "window=0: give one of 16, 32, 64, 128"),
        (("--window", "128", "--recipe", "epochs=1"), "window=128: 2 windows need 256 steps"),
        (("nonsense",), "unknown method"),
        (("lottery_ticket",), "trains once"),
        (("--sparsity", "0.5"), "dense takes none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_measured_is_refused_in_one_line(resonance, words, reason):
    result = resonance("signals", "digits/mlp", *words)
    assert result.code == 2
    assert reason in result.err
    assert len(result.err.strip().splitlines()) == 1
