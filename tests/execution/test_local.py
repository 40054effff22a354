from pathlib import Path

import pytest

from suite import registry
from suite.config import Trial
from suite.errors import TrialFailed
from suite.execution import local
from suite.results.record import Record
from tests.sample_records import done


def test_a_failing_trial_does_not_stop_the_others(trial, store):
    good, bad = [trial("good", seed=seed) for seed in range(3)], trial("raises")
    finished: list[tuple[Trial, Record]] = []
    summary = local.run(
        [good[0], bad, *good[1:]], store, 2, lambda trial, record: finished.append((trial, record))
    )
    assert summary.done == 3
    assert summary.failed == [(bad, "the update broke")]
    assert {t.key: r.status for t, r in finished} == {
        bad.key: "failed", **{t.key: "done" for t in good},
    }  # fmt: skip
    assert store.keys() == sorted(t.key for t in [bad, *good])
    for t, record in finished:
        read = store.read(t.key)
        assert read is not None
        assert read.to_json() == record.to_json()


DEADLY = """
import multiprocessing
import os
from suite.declare import Method

def summary():
    if multiprocessing.parent_process() is not None:
        os._exit(9)
    return "kills whatever process but the first reads about it"

METHOD = Method(
    "deadly", "this test", title="Deadly", summary=summary(), implementation="none", family="test"
)
"""


def test_a_killed_worker_is_reported_and_what_had_finished_is_kept(trial, store, tmp_path: Path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    registry.use_plugins([str(tmp_path / "deadly.py")])
    finished = trial("good")
    store.write(finished.key, {"record.json": done(finished).to_json()})
    with pytest.raises(TrialFailed, match=r"killed .*what had finished is kept.*--workers"):
        local.run([trial("deadly", seed=seed) for seed in range(3)], store, 1, lambda *_: None)
    assert store.keys() == [finished.key]


@pytest.mark.parametrize(("threads", "workers"), [(1, 6), (2, 3), (4, 1), (100, 1)])
def test_as_many_workers_as_the_cores_hold(threads, workers, monkeypatch):
    monkeypatch.setattr(local.os, "sched_getaffinity", lambda pid: set(range(6)))
    assert local.default_workers(threads) == workers
