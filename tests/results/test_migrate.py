"""`resonance store migrate`: results that hold old names of methods and recipe fields."""

import json
from pathlib import Path
from typing import Any

import pytest

from leaderboard.bundles.bundle_file import Header, read_bundle, write_bundle
from leaderboard.bundles.migrate_bundle import migrate_bundle
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial, key_of, task_digest
from suite.results.local_store import LocalStore
from suite.results.merge import trial_files
from suite.results.metadata_store import load_document, save_document
from suite.results.migrate import migrate, migrate_record
from suite.results.old_names import OLD_RECIPE
from suite.results.record import Record, to_json
from suite.results.remote_store import RemoteStore
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation, load_evaluations, save_evaluation
from suite.results.verify import verify
from suite.training.complete_flops import with_own_arithmetic
from tests.support.sample_records import done, make_trial

RENAMED = make_trial("resonance_shuffled", recipe={"epochs": 2})
FIELDS = make_trial("rigl", recipe={"min_lr_ratio": 0.1, "weight_decay_scope": "matrices"})
DEFAULTS = make_trial("static")
TRAINED_SO = make_trial("static", task="tinyshakespeare/gpt_small@short")
"""Its task's own recipe names renamed fields, so its digest was another one."""
TRIALS = (RENAMED, FIELDS, DEFAULTS, TRAINED_SO)


def old_settings(settings: dict[str, Any], digest: str | None = None) -> dict[str, Any]:
    """Return settings under the names they had before."""
    method = {"resonance_shuffled": "resonance_null"}.get(settings["method"], settings["method"])
    recipe = {OLD_RECIPE.get(name, name): value for name, value in settings["recipe"].items()}
    digests = {"task_digest": digest} if digest and "task_digest" in settings else {}
    return settings | {"method": method, "recipe": recipe} | digests


def old_record(trial: Trial, **changes: Any) -> Record:
    """Return a trial's record as it was before the settings were renamed."""
    task, dataset = trial.task_declaration, trial.dataset_declaration
    recipe = {OLD_RECIPE.get(name, name): value for name, value in task.recipe.items()}
    said = old_settings(trial.model_dump(mode="json"))
    configuration = old_settings(trial.resolved(), task_digest(task, dataset, recipe))
    configuration |= changes
    return done(trial, 1.0).model_copy(
        update={
            "key": key_of(said, configuration), "trial": said, "configuration": configuration,
            "schema_version": 2,
        }
    )  # fmt: skip


def old_files(trial: Trial, **changes: Any) -> dict[str, bytes]:
    record = old_record(trial, **changes)
    settings = to_json(record.configuration)
    files = {"trial.json": settings, "curves.parquet": b"PAR1 PAR1", "model.safetensors": b"\0\1"}
    return {"record.json": record.to_json(), **files}


def new_files(trial: Trial) -> dict[str, bytes]:
    files = old_files(trial) | {"trial.json": to_json(trial.resolved())}
    record = done(trial, 1.0).model_copy(update={"schema_version": 2})
    return files | {"record.json": record.to_json()}


def put_old(store: Store, trial: Trial, **changes: Any) -> str:
    key = old_record(trial, **changes).key
    store.write(key, old_files(trial, **changes))
    return key


@pytest.fixture(params=["folder", "bucket"])
def old(request, place) -> Store:
    """Return a store of old results, in a folder and under a URL."""
    kind = {"folder": "results", "bucket": f"memory://{place.name}/results"}
    store = Store(kind[request.param])
    store.prepare()
    for trial in TRIALS:
        put_old(store, trial)
    return store


def content(store: Store) -> dict[str, dict[str, bytes]]:
    """Return the files of every trial, which all must be whole."""
    found = {}
    for key in store.keys():  # noqa: SIM118
        record = store.read(key)
        assert record is not None
        found[key] = trial_files(store, key, record)
    return found


def expected(store: Store) -> dict[str, dict[str, bytes]]:
    """Return what a store of the same trials holds that was written under today's names."""
    fresh = Store(f"memory://fresh-{id(store)}/results")
    for trial in TRIALS:
        fresh.write(trial.key, new_files(trial))
    return content(fresh)


def test_old_trials_become_what_they_would_be_if_they_were_written_today(old):
    before = {old_record(trial).key: trial.key for trial in TRIALS}
    report = migrate(old)
    assert report.moved == {k: n for k, n in before.items() if k != n}
    assert report.rewritten == [DEFAULTS.key]
    assert set(report.moved.values()) == {RENAMED.key, FIELDS.key, TRAINED_SO.key}
    assert (report.conflicts, report.refused) == ({}, [])
    assert content(old) == expected(old)
    assert verify(old).broken == []


def test_a_second_migration_changes_nothing(old):
    migrate(old)
    before = content(old)
    report = migrate(old)
    assert (report.moved, report.rewritten, report.documents) == ({}, [], [])
    assert report.current == len(TRIALS)
    assert content(old) == before


def test_a_dry_run_says_the_same_and_writes_nothing(old, monkeypatch):
    def refuse(*given: Any) -> None:
        raise AssertionError

    save_document(old, "ablation", "a", {"name": "a", "key": old_record(RENAMED).key})
    with monkeypatch.context() as patch:
        for kind in (LocalStore, RemoteStore):
            for name in ("write", "remove", "save_shared", "remove_shared", "prepare"):
                patch.setattr(kind, name, refuse)
        foreseen = migrate(old, dry_run=True)
    done_then = migrate(old)
    assert foreseen == done_then
    assert foreseen.documents == ["ablation/a"]


@pytest.mark.parametrize("steps", range(12))
def test_a_migration_that_is_killed_loses_nothing_and_is_finished_by_the_next(
    old, monkeypatch, steps
):
    left = [steps]

    def counted(kind: type, name: str) -> None:
        method = getattr(kind, name)

        def step(self: Any, *given: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return method(self, *given)

        monkeypatch.setattr(kind, name, step)

    record = old_record(RENAMED)
    evaluation = evaluated(record)
    save_evaluation(old, evaluation)
    for kind in (LocalStore, RemoteStore):
        for name in ("write", "remove", "save_shared", "remove_shared"):
            counted(kind, name)
    try:
        migrate(old)
    except KeyboardInterrupt:
        there = old.keys()
        for trial in TRIALS:
            assert {trial.key, old_record(trial).key} & set(there)
        assert {issue.kind for issue in verify(old).findings} <= {"outdated", "leftover"}
    left[0] = 1000
    migrate(old)
    assert content(old) == expected(old)
    new = old.read(RENAMED.key)
    assert load_evaluations(old, new)[0] == [evaluation.model_copy(update={"key": RENAMED.key})]
    assert old.backend.shared_names("evaluations") == [f"{RENAMED.key}-cpu.json"]


def evaluated(record: Record) -> Evaluation:
    return Evaluation(
        key=record.key, model=record.digests["model"], device="cpu", threads=1,
        metrics={"test_nll": 0.5}, latency={}, absent={}, timing={}, environment={},
    )  # fmt: skip


def test_where_both_keys_hold_a_result_neither_is_touched(old):
    other = done(RENAMED, accuracy=0.5)
    old.write(RENAMED.key, {"record.json": other.to_json()})
    report = migrate(old)
    assert report.conflicts == {old_record(RENAMED).key: RENAMED.key}
    assert not report.complete
    assert old.read(RENAMED.key).metrics["test_accuracy"] == 0.5
    assert old_record(RENAMED).key in old.keys()  # noqa: SIM118


def test_a_damaged_trial_gets_no_new_checksums(store):
    key = put_old(store, RENAMED)
    (store.folder(key) / "curves.parquet").write_bytes(b"PAR1 PAR2")
    report = migrate(store)
    assert [issue.kind for issue in report.refused] == ["altered"]
    assert store.keys() == [key]


def test_a_trial_whose_task_is_unknown_or_has_changed_is_left_alone(store):
    unknown = old_record(RENAMED)
    unknown.trial["task"] = unknown.configuration["task"] = "mine/mlp"
    unknown = unknown.model_copy(update={"key": key_of(unknown.trial, unknown.configuration)})
    store.write(unknown.key, {"record.json": unknown.to_json()})
    changed = put_old(store, TRAINED_SO, task_digest="0123456789ab")
    report = migrate(store)
    assert sorted(store.keys()) == sorted([unknown.key, changed])
    reasons = " ".join(issue.what for issue in report.refused)
    assert "its task mine/mlp is unknown here: name its file with --plugin" in reasons
    assert "its task tinyshakespeare/gpt_small@short has changed since it was run" in reasons


def test_a_record_under_todays_names_is_left_as_it_is_whatever_its_task_was(store):
    configuration = TRAINED_SO.resolved() | {"task_digest": "0123456789ab"}
    record = done(TRAINED_SO).model_copy(update={"configuration": configuration})
    assert migrate_record(record) is record
    other = record.model_copy(update={"trial": record.trial | {"task": "mine/mlp"}})
    assert migrate_record(other) is other


def test_a_record_whose_configuration_names_no_revisions_is_left_alone(store):
    record = old_record(RENAMED)
    record.configuration.pop("method_revision")
    with pytest.raises(
        InvalidInput, match="its configuration lacks settings that its key is made of"
    ):
        migrate_record(record)


def test_a_changed_task_that_sets_no_renamed_field_keeps_its_digest(store):
    put_old(store, RENAMED, task_digest="0123456789ab")
    assert migrate(store).refused == []
    (record,) = store.records()
    assert record.configuration["task_digest"] == "0123456789ab"
    assert verify(store).findings == []


def test_documents_name_trials_and_settings_anew_and_keep_their_own_names(old):
    key = old_record(RENAMED).key
    design = {"method": "resonance_null", "fixed": {"final_rate": "0.1"}, "trials": {"0": key}}
    study = {"name": "resonance_null", "methods": [{"name": "resonance_null"}]}
    save_document(old, "ablation", "resonance_null",
                  {"name": "resonance_null", "study": study, "designs": [design]})  # fmt: skip
    tuned = {"space": [{"name": "decay_what.kind", "parameter": "decay_what"}], "keys": [key]}
    settings = {"name": "t", "tuned_recipe": ["final_rate"], "question": "why decay_what?"}
    save_document(old, "tuning", "t", {"settings": settings, "methods": {"resonance_null": tuned}})
    assert sorted(migrate(old).documents) == ["ablation/resonance_null", "tuning/t"]
    ablation = load_document(old, "ablation", "resonance_null")
    assert ablation["designs"] == [
        {
            "method": "resonance_shuffled",
            "fixed": {"min_lr_ratio": "0.1"},
            "trials": {"0": RENAMED.key},
        }
    ]
    assert ablation["name"] == ablation["study"]["name"] == "resonance_null"
    assert ablation["study"]["methods"] == [{"name": "resonance_shuffled"}]
    tuning = load_document(old, "tuning", "t")
    scope = "weight_decay_scope"
    assert tuning["methods"] == {
        "resonance_shuffled": {
            "space": [{"name": f"{scope}.kind", "parameter": scope}], "keys": [RENAMED.key],
        }
    }  # fmt: skip
    assert tuning["settings"] == settings | {"tuned_recipe": ["min_lr_ratio"]}


def test_an_old_result_is_refused_with_the_command_that_mends_it(resonance, store):
    key = put_old(store, RENAMED)
    with pytest.raises(InvalidInput, match="was written under old names: run `resonance store mi"):
        store.read(key)
    for line in ("status", "store verify"):
        assert "run `resonance store migrate" in resonance(line).out
    assert [issue.kind for issue in verify(store).findings] == ["outdated"]
    result = resonance("store migrate --dry-run")
    assert result.out.splitlines()[0] == f"{key} becomes {RENAMED.key}"
    assert store.keys() == [key]
    assert resonance("store migrate").out.startswith("store results: 1 trials with a new key, 0 ")
    assert resonance("store verify").code == 0
    assert json.loads(resonance("store migrate --json").out)["store results"]["current"] == 1


@pytest.mark.parametrize("option", ["", " --dry-run"])
def test_a_store_without_results_is_refused_and_not_made(resonance, place, option):
    result = resonance(f"store migrate --store nowhere{option}")
    assert result.code == 2
    assert "nowhere holds no results" in result.complaint
    assert list(place.iterdir()) == []


def test_a_bundle_is_migrated_as_its_store_is(store, place, resonance):
    for trial in TRIALS:
        put_old(store, trial)
    stored = [
        Record.from_json(store.backend.load(key, "record.json", None), "here", old_names=True)
        for key in store.keys()  # noqa: SIM118
    ]
    path, header = Path("old.jsonl.gz"), Header.make(name="A group")
    write_bundle(stored, header, path)
    assert all("under old names" in one.reason for one in read_bundle(path).rejected)
    assert "run `resonance store migrate [FILE]`" in resonance(f"leaderboard check {path}").out
    assert resonance("store migrate", path).code == 0
    migrate(store, complete=with_own_arithmetic)
    write_bundle(store.records(), header, Path("new.jsonl.gz"))
    assert path.read_bytes() == Path("new.jsonl.gz").read_bytes()
    assert migrate_bundle(path).current == len(TRIALS)


@pytest.mark.slow
def test_the_shipped_bundles_hold_no_old_names(place):
    root = Path(registry.__file__).parents[2]
    bundles = sorted((root / "leaderboard").glob("re*/*.jsonl.gz"))
    assert len(bundles) >= 6
    for path in bundles:
        for record in read_bundle(path).records:
            assert migrate_record(record) is record
            trial = Trial.make(**record.trial)
            revised = trial.method_declaration.revision != record.configuration["method_revision"]
            assert (trial.key == record.key) is not revised
