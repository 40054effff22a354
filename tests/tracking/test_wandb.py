"""Real wandb, offline; and the ways in which it can be broken."""

import errno
import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save

from suite.cli import wandb as wandb_verb
from suite.cli.wandb import MAX_CONSECUTIVE_FAILURES
from suite.core.errors import InvalidInput, TrialFailed
from suite.results.record import failed
from suite.results.store import Store
from suite.tracking.publish import publish, publish_tables
from suite.tracking.tracker import Tracker
from suite.tracking.view import MAX_PICTURE_SIDE, mask_pictures
from suite.tracking.wandb import JobType, Mode, WandbConfig
from suite.training.trial import run_trial
from tests.support.helpers import trial as short_trial
from tests.support.sample_records import done, make_trial
from tests.tracking.transaction_log import OfflineRun, read_run

SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
FIRST, SECOND, THIRD = (make_trial(seed=seed) for seed in range(3))


def files_of(folder: Path) -> dict[Path, bytes]:
    """Return all files, but for the logs that wandb may go on writing."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log")
    return {path: path.read_bytes() for path in files}


def offline(store: Store, **given: object) -> WandbConfig:
    return WandbConfig.for_store(store, mode=Mode.OFFLINE, **given)


# ---------------------------------------------------------------- a real trial, read back


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Store:
    """Return a store of one real trial."""
    store = Store(tmp_path_factory.mktemp("ran"))
    outcome = run_trial(short_trial("resonance"))
    store.write(outcome.trial.key, outcome.files())
    return store


@pytest.fixture(scope="module")
def run(ran: Store) -> OfflineRun:
    """Publish the trial offline, with a key in the environment, and read the run back."""
    (key,) = ran.keys()
    about = offline(ran, group="a-study", job_type=JobType.STUDY, artifacts=True)
    os.environ["WANDB_API_KEY"] = SECRET
    try:
        folder = publish(ran, key, about)
    finally:
        del os.environ["WANDB_API_KEY"]
        os.environ.pop("WANDB_DATA_DIR", None)
    return read_run(Path(folder))


def test_an_offline_run_is_named_and_grouped_as_its_trial(ran, run):
    (key,) = ran.keys()
    about = run.about
    assert (about.run_id, about.run_group, about.job_type) == (key, "a-study", "study")
    assert about.project == "resonance-bench"
    assert list(about.tags) == ["digits/mlp", "resonance", "s=0.9", "done"]
    assert run.exit_code == 0


def test_an_offline_run_holds_the_whole_configuration(ran, run):
    (record,) = ran.records()
    configuration = json.loads(json.dumps(record.configuration))
    assert {name: run.config[name] for name in configuration} == configuration
    assert run.config["hyperparameters"]["window"] == 8
    assert run.config["environment"] == record.environment
    assert run.config["key"] == record.key


def test_an_offline_run_holds_the_curves(ran, run):
    (key,) = ran.keys()
    curves = pl.read_parquet(ran.folder(key) / "curves.parquet")
    for series, layer in [("train_loss", ""), ("validation_accuracy", ""), ("density", "3")]:
        rows = curves.filter((pl.col("series") == series) & (pl.col("layer") == layer))
        assert rows.height > 2
        name = f"{series}/{layer}" if layer else series
        assert run.curve(name) == list(zip(rows["step"], rows["value"], strict=True))


def test_an_offline_run_holds_the_summary(ran, run):
    (record,) = ran.records()
    for name, value in record.metrics.items():
        assert run.summary[name] == value, name
    assert run.summary["status"] == "done"
    assert run.summary["sparsity"] == pytest.approx(record.sparsity)
    assert run.summary["flops/training"] == record.flops["training"]


def test_a_runs_time_is_that_of_the_training(ran, run):
    (record,) = ran.records()
    seconds = record.timing["seconds"]
    assert run.summary["_runtime"] == seconds
    assert run.summary["_wandb"] == {"runtime": seconds}
    clock = [row["_runtime"] for row in run.history]
    assert clock == sorted(clock)
    assert clock[-1] == seconds
    assert 0 < clock[0] < seconds
    started = datetime.fromisoformat(record.timing["started"]).timestamp()
    times = [row["_timestamp"] for row in run.history if "train_loss" in row]
    assert times[-1] == pytest.approx(started + seconds)
    assert [row["_step"] for row in run.history] == list(range(len(run.history)))


def test_an_offline_run_holds_pictures_of_masks_and_spectra_and_the_weights(ran, run):
    (key,) = ran.keys()
    last = run.history[-1]
    (folder,) = (ran.root / "wandb").glob(f"offline-run-*-{key}")
    for name in ("figures/spectra", "figures/frequency", "figures/churn", "masks/1", "masks/5"):
        path = folder / "files" / last[name]["path"]
        assert path.read_bytes().startswith(b"\x89PNG"), name
    assert run.artifacts == [f"trial-{key}"]


def test_no_file_that_wandb_wrote_holds_the_key(ran, run):
    written = [path for path in (ran.root / "wandb").rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in written)
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_publishing_again_does_nothing_and_a_newer_record_takes_the_runs_place(ran, run):
    (key,) = ran.keys()
    before = files_of(ran.root)
    publish(ran, key, offline(ran, group="a-study"))
    assert files_of(ran.root) == before
    record = ran.read(key)
    metrics = record.metrics | {"test_accuracy": 0.25}
    changed = record.model_copy(update={"metrics": metrics, "counts": {}})
    again = Store(ran.root.parent / "again")
    again.write(key, {"record.json": record.to_json()})
    first = publish(again, key, offline(again))
    again.write(key, {"record.json": changed.to_json()})
    time.sleep(1.1)  # wandb names folders by the second
    second = publish(again, key, offline(again))
    assert first != second
    runs = list((again.root / "wandb").glob("offline-run-*"))
    assert [str(path) for path in runs] == [second]
    assert read_run(Path(second)).summary["test_accuracy"] == 0.25


def test_the_record_of_a_published_trial_is_what_it_was(ran, run):
    from suite.results.verify import verify

    assert verify(ran).findings == []


# ---------------------------------------------------------------- broken


@pytest.fixture
def full(store) -> Store:
    """Return a store of two finished trials and one that failed."""
    for trial in (FIRST, SECOND):
        store.write(trial.key, {"record.json": done(trial).to_json()})
    record = failed(THIRD, TrialFailed("loss is nan"))
    store.write(THIRD.key, {"record.json": record.to_json()})
    return store


def test_a_failed_trial_is_a_failed_run(full):
    run = read_run(Path(publish(full, THIRD.key, offline(full))))
    assert run.exit_code == 1
    assert run.summary["status"] == "failed"
    assert run.summary["error"] == "loss is nan"


def track(store: Store, mode: Mode = Mode.OFFLINE, patience: float = 60.0) -> Tracker:
    """Publish all trials as a study would; nothing may change in the trials' folders."""
    before = files_of(store.trials)
    with Tracker(store, WandbConfig.for_store(store, mode=mode), patience) as tracker:
        for key in list(store.keys()):
            tracker.finished(key)
    assert files_of(store.trials) == before
    return tracker


def test_without_a_place_to_write_nothing_is_published_and_records_stay(full):
    (full.root / "wandb").write_text("in the way")
    published = track(full).published
    assert published.where == {}
    assert sorted(published.errors) == full.keys()


def test_with_a_bad_key_nothing_is_published_and_records_stay(full, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "bad-key-0123456789")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    tracker = track(full, Mode.ONLINE)
    assert tracker.published.where == {}
    assert sorted(tracker.published.errors) == full.keys()
    said = "\n".join(tracker.published.lines(tracker.settings))
    assert "3 not published" in said
    assert "resonance wandb push" in said
    assert "bad-key-0123456789" not in said


TALKS = """
import os
print("x" * 10**6, flush=True)
raise OSError(os.environ["WANDB_API_KEY"])
"""


@pytest.mark.parametrize(
    ("fake", "reason"),
    [
        ("raise ImportError('no wandb here')", "no wandb here"),
        ("raise SystemExit('wandb quits')", "wandb quits"),
        ("import os; os._exit(3)", "ended early"),
        ("import os; os.kill(os.getpid(), 11)", "ended early"),
        ("import time; time.sleep(10_000)", "no answer in 4 s"),
        (TALKS, "[secret]"),
    ],
)
def test_whatever_wandb_does_the_study_ends_and_records_stay(
    full, monkeypatch, tmp_path, fake, reason
):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "wandb.py").write_text(fake)
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "fake"), str(root)]))
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    published = track(full, patience=4.0 if "sleep" in fake else 600.0).published
    assert sorted(published.errors) == full.keys()
    assert reason in next(iter(published.errors.values()))
    assert SECRET not in str(published.errors)


def test_a_study_that_is_stopped_does_not_wait_for_wandb(full, monkeypatch, tmp_path):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "wandb.py").write_text("import time; time.sleep(10_000)")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "fake"), str(root)]))
    began = time.perf_counter()
    tracker = Tracker(full, offline(full), patience=2000.0)
    tracker.finished(FIRST.key)
    tracker.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert time.perf_counter() - began < 1000  # it takes no time at all, or all of the patience
    assert tracker.published.errors == {FIRST.key: "stopped"}


def test_off_starts_nothing(full):
    with Tracker(full, WandbConfig()) as tracker:
        tracker.finished(FIRST.key)
    assert tracker._process is None
    assert tracker.published.lines(tracker.settings) == []


# ---------------------------------------------------------------- the command


def test_push_publishes_the_store_and_again_changes_nothing(resonance, full):
    result = resonance("wandb push --offline")
    assert result.code == 0, result.err
    assert result.out.startswith("3 of 3 trials are published under ")
    before = files_of(full.root)
    assert resonance("wandb push --offline").code == 0
    assert files_of(full.root) == before
    runs = sorted(p.name[-16:] for p in (full.root / "wandb").glob("offline-run-*"))
    assert runs == full.keys()


def test_push_takes_the_first_characters_of_keys(resonance, full):
    first, _, third = full.keys()
    names = f"{first[:14].upper()} {third[:14]} {third}"
    result = resonance(f"wandb push --offline {names}")
    assert result.code == 0, result.err
    assert result.out.startswith("2 of 2 trials are published under ")
    runs = sorted(p.name[-16:] for p in (full.root / "wandb").glob("offline-run-*"))
    assert runs == [first, third]


def test_push_gives_up_after_some_in_a_row_and_says_what_to_do(resonance, full, monkeypatch):
    for seed in range(3, 6):
        trial = make_trial(seed=seed)
        full.write(trial.key, {"record.json": done(trial).to_json()})
    monkeypatch.setattr(wandb_verb, "publish", refused)
    result = resonance("wandb push --offline")
    assert result.code == 1
    assert result.out.startswith(f"stopped: {MAX_CONSECUTIVE_FAILURES} trials in a row")
    assert "doctor" in result.out
    assert len(result.err.splitlines()) == MAX_CONSECUTIVE_FAILURES


def refused(*_: object) -> str:
    raise OSError("W&B does not answer")


def read_only(*_: object, **options: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("mode", ["", "--offline"])
def test_push_to_a_store_that_cannot_be_written_says_so_before_anything_is_sent(
    resonance, full, monkeypatch, mode
):
    monkeypatch.setattr(wandb_verb, "publish", refused)  # it is not asked
    before = files_of(full.root)
    monkeypatch.setattr(Path, "mkdir", read_only)
    said = resonance(f"wandb push {mode}").complaint
    assert f"store {full.root.name} cannot be written (Read-only file system)" in said
    assert "`resonance store merge results COPY`" in said
    assert files_of(full.root) == before


def test_push_names_a_file_in_the_place_of_the_folder_of_runs(resonance, full):
    (full.root / "wandb").write_text("in the way")
    said = resonance("wandb push --offline").complaint
    assert "results/wandb cannot be written (File exists)" in said


def test_push_of_what_is_published_needs_not_write(resonance, full, monkeypatch):
    assert resonance("wandb push --offline").code == 0
    before = files_of(full.root)
    monkeypatch.setattr(Path, "mkdir", read_only)
    result = resonance("wandb push --offline")
    assert result.out.startswith("3 of 3 trials are published under ")
    assert files_of(full.root) == before


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0000000000000000", "no trial in store"),
        (f"{FIRST.key} --study lth_mnist", f"trial {FIRST.key} is none of lth_mnist"),
        ("--project ../elsewhere", "W&B project"),
        ("--entity a/b", "W&B entity"),
        ("--study nonsense", "unknown study"),
    ],
)
def test_what_cannot_be_pushed_is_refused_in_one_line(resonance, full, line, why):
    assert why in resonance(f"wandb push --offline {line}").complaint


def test_push_of_an_empty_store_is_refused(resonance, place):
    assert "run one first" in resonance("wandb push --offline").complaint


def test_a_trial_is_published_as_it_finishes(resonance, place):
    result = resonance("run digits/mlp static --recipe epochs=1 --wandb offline --json")
    assert result.code == 0, result.err
    key = json.loads(result.out)["key"]
    assert result.err.startswith("W&B: 1 run under ")
    (folder,) = (place / "results" / "wandb").glob("offline-run-*")
    assert read_run(folder).about.run_id == key


def test_wandb_is_not_imported_until_a_run_is_made():
    code = (
        "import sys; from suite.cli import app, run, study, wandb as verb; "
        "import suite.tracking.tracker, suite.execution.runner; "
        "print([m for m in ('wandb', 'torch', 'fsspec', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- pictures of masks


def test_a_mask_is_drawn_with_white_for_active():
    mask = np.array([[True, False], [False, True], [True, True]])
    content = save({"mask/fc": mask, "model/fc.weight": np.ones((3, 2), np.float32)})
    ((name, picture),) = mask_pictures(content)
    assert name == "fc"
    assert picture.tolist() == [[255, 0], [0, 255], [255, 255]]


def test_a_large_mask_is_drawn_smaller_with_its_shares():
    mask = np.zeros((4 * MAX_PICTURE_SIDE, 3, 3, 3), bool)
    mask[::2] = True
    ((_, picture),) = mask_pictures(save({"mask/conv": mask}))
    assert picture.shape == (MAX_PICTURE_SIDE, 27)
    assert (picture == 128).all()


def test_a_name_that_leads_elsewhere_is_no_project():
    with pytest.raises(InvalidInput, match="W&B project"):
        WandbConfig(project="../../x")


# ---------------------------------------------------------------- tables


def test_tables_of_a_leaderboard_are_tables_of_one_run(tmp_path):
    cells = pl.DataFrame({"method": ["rigl", "set"], "test_accuracy": [0.9, None]})
    trials = pl.DataFrame({"key": ["a", "b", "c"], "seed": [0, 1, 2]})
    settings = WandbConfig(mode=Mode.OFFLINE, project="mine", folder=str(tmp_path))
    folder = Path(publish_tables({"leaderboard": cells, "trials": trials}, settings))
    run = read_run(folder)
    assert (run.about.job_type, run.about.project, run.exit_code) == ("leaderboard", "mine", 0)
    found = {}
    for name in ("leaderboard", "trials"):
        (path,) = (folder / "files" / "media" / "table").glob(f"{name}_*.table.json")
        found[name] = json.loads(path.read_text())
    assert found["leaderboard"]["columns"] == ["method", "test_accuracy"]
    assert found["leaderboard"]["data"] == [["rigl", 0.9], ["set", None]]
    assert found["trials"]["data"] == [["a", 0], ["b", 1], ["c", 2]]


def test_equal_tables_are_one_run_and_others_another(tmp_path):
    settings = WandbConfig(mode=Mode.OFFLINE, folder=str(tmp_path))
    table = pl.DataFrame({"key": ["a"]})
    runs = [publish_tables({"trials": one}, settings) for one in (table, table, table[:0])]
    assert [Path(run).is_dir() for run in runs] == [False, True, True]


def test_a_leaderboard_publishes_the_tables_that_it_writes(resonance, store):
    trials = [make_trial("static", seed=seed) for seed in range(2)]
    for trial in trials:
        store.write(trial.key, {"record.json": done(trial).to_json()})
    assert resonance("leaderboard build --wandb offline").code == 0
    (path,) = Path("site/wandb").glob("offline-run-*/files/media/table/trials_*.table.json")
    content = json.loads(path.read_text())
    key = content["columns"].index("key")
    assert {row[key] for row in content["data"]} == {trial.key for trial in trials}
