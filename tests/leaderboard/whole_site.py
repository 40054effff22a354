"""A small site that has every kind of page."""

from pathlib import Path

from leaderboard.bundles.bundle_file import Header, write_bundle
from leaderboard.site.build import build
from suite.core.errors import TrialFailed
from suite.experiments.study import Study
from suite.results.ablation_design import ablation_of, save
from suite.results.record import Record, failed
from suite.results.store import Store
from suite.results.stored_studies import remember
from suite.tuning.schema import save_tuning
from tests.leaderboard.at_equal_flops import at_equal_flops
from tests.support.sample_records import done, make_trial, with_counts
from tests.tuning.sample import tuning

QUESTION = "Is <b>RigL</b> better than SET?"
ABLATION, STUDY = "small", "mine"


def write_store(folder: Path) -> Store:
    """Fill a store: a study with a failed trial and one that is not run, an ablation, a tuning."""
    store = Store(folder)
    mine = Study.make(
        name=STUDY, question=QUESTION, tasks=["digits/mlp"], methods=["dense", "rigl", "set"],
        sparsities=[0.8, 0.9], seeds=5, recipe={"epochs": 7},
    )  # fmt: skip
    varied = Study.make(
        name=ABLATION, question="What does the window do?", tasks=["digits/mlp"],
        methods=[{"name": "resonance", "vary": {"window": [8, 64]}}], sparsities=[0.9], seeds=2,
    )  # fmt: skip
    records: list[Record] = []
    trials = mine.trials()
    for number, trial in enumerate(trials[:-1]):
        better = trial.method == "rigl"
        records.append(done(trial, 0.9 + 0.02 * better + 0.001 * (number % 3), 100.0 + number))
    records[3] = failed(trials[3], TrialFailed("loss is not finite"))
    records += [done(trial) for trial in varied.trials()]
    records += [one for one in at_equal_flops() if one.trial["task"] == "digits/mlp"]
    for record in records:
        store.write(record.key, {"record.json": record.to_json()})
    remember(store, mine, mine.trials_by_key())
    save(store, ablation_of(varied))
    save_tuning(store, tuning())
    return store


def build_whole(folder: Path) -> Path:
    """Write the store and its site into `folder`; return the site."""
    header = Header.make(name="A group")
    bundle = folder / "sent.jsonl.gz"
    write_bundle([with_counts(done(make_trial("snip", seed=77)))], header, bundle)
    build(write_store(folder / "store"), folder / "site", bundles=[bundle])
    return folder / "site"
