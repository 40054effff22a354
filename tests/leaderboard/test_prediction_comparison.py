"""Two methods compared example by example, from what their trials stored."""

import json

import numpy as np

from leaderboard.statistics.mcnemar import exact_p
from leaderboard.store_comparison import compare_in_store
from suite.results.counts import Counts
from tests.support.sample_records import done, make_trial


def put(store, method: str, seed: int, right: list[int], checksum: str = "abc") -> str:
    record = done(make_trial(method, seed=seed))
    counts = Counts(correct=sum(right), total=len(right))
    changes = {
        "counts": {"test": counts},
        "metrics": record.metrics | {"test_accuracy": counts.correct / counts.total},
        "data": record.data | {"checksum": checksum, "test": len(right)},
    }
    bits = np.packbits(np.array(right, dtype=bool)).tobytes()
    files = {"record.json": record.model_copy(update=changes).to_json(), "correct.bits": bits}
    store.write(record.key, files)
    return record.key


A, B = [1] * 8 + [0] * 2 + [1], [0] * 6 + [1, 1, 1] + [0, 1]


def test_pairs_of_one_seed_are_compared_on_every_example(store, resonance):
    keys = [put(store, "rigl", 0, A), put(store, "static", 0, B)]
    put(store, "rigl", 1, A, "other data"), put(store, "static", 1, B)
    put(store, "rigl", 2, A)
    without = done(make_trial("static", seed=2))
    store.write(without.key, {"record.json": without.to_json()})
    found = compare_in_store(store, "rigl", "static")
    (one,) = found.predictions
    assert (one.seed, [one.first, one.second]) == (0, keys)
    assert (one.total, one.first_only, one.second_only) == (11, 6, 1)
    assert one.p == exact_p(6, 1)
    assert found.damaged == []
    shown = resonance("compare rigl static").out
    assert "only A right" in shown
    assert "not corrected" in shown
    content = json.loads(resonance("compare rigl static --json").out)
    assert content["predictions"] == [
        {"task": one.task, "sparsity": one.sparsity, "seed": 0, "first": keys[0],
         "second": keys[1], "total": 11, "first_only": 6, "second_only": 1, "p": one.p}
    ]  # fmt: skip


def test_damaged_predictions_cost_their_pair_only(store, resonance):
    bad = put(store, "rigl", 0, A)
    for seed in (0, 1):
        put(store, "static", seed, B)
    put(store, "rigl", 1, A)
    (store.folder(bad) / "correct.bits").write_bytes(b"\xff\xff")
    result = resonance("compare rigl static")
    assert result.code == 0
    assert f"left out: {bad}: trial {bad}: correct.bits has bits after the last" in result.out
    assert [one.seed for one in compare_in_store(store, "rigl", "static").predictions] == [1]


def test_without_predictions_nothing_is_said_of_them(store, resonance):
    for method in ("rigl", "static"):
        record = done(make_trial(method))
        store.write(record.key, {"record.json": record.to_json()})
    assert "McNemar" not in resonance("compare rigl static").out
