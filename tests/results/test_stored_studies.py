import json

import pytest

from suite.core.errors import InvalidInput
from suite.experiments.study import Study, load_study
from suite.experiments.study_group import load_group
from suite.results import ablation_design
from suite.results.ablation_design import ablation_of
from suite.results.integrity import with_integrity
from suite.results.merge import merge
from suite.results.metadata_store import load_document, save_document
from suite.results.store import Store
from suite.results.stored_studies import (
    KIND,
    apart_from_studies,
    chosen_trials,
    find_study,
    remember,
    stored_studies,
    stored_study,
    study_keys,
)
from tests.support.sample_records import done, make_trial
from tests.support.sample_studies import study as varied_study


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def study(name: str = "mine", **given) -> Study:
    content = {"question": "?", "tasks": ["digits/mlp"], "methods": ["static", "rigl"]}
    content |= {"sparsities": [0.9], "seeds": 2, "controls_left_out": "small"}
    return Study.make(name=name, **content | given)


def keys(of: Study) -> list[str]:
    return [trial.key for trial in of.trials()]


def save(store: Store, of: Study) -> None:
    remember(store, of, of.trials_by_key())


def test_a_study_is_remembered_with_its_content_and_trials(store):
    made = study()
    save(store, made)
    (found,), _ = stored_studies(store)
    assert Study.make(**found.study) == made
    assert list(found.trials) == keys(made)
    assert found.trials[keys(made)[3]] == {
        "task": "digits/mlp", "method": "rigl", "sparsity": 0.9, "seed": 1
    }  # fmt: skip
    assert not found.shipped
    assert not found.varies
    assert chosen_trials(store, "mine").trials == found.trials


def test_saying_the_same_again_writes_nothing(store):
    save(store, study())
    path = store.root / KIND / "mine.json"
    before = path.stat().st_mtime_ns
    save(store, study())
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in path.parent.iterdir()] == ["mine.json"]


def test_an_edited_study_replaces_the_older_one_whose_trials_stay_known(store):
    old, new = study(), study(seeds=[1, 2])
    save(store, old)
    save(store, new)
    found = stored_study(store, "mine")
    assert list(found.trials) == keys(new)
    assert set(found.earlier) == set(keys(old)) - set(keys(new))
    save(store, old)
    again = stored_study(store, "mine")
    assert (list(again.trials), set(again.earlier)) == (keys(old), set(keys(new)) - set(keys(old)))


def test_a_damaged_document_is_named_and_replaced_by_the_next_run(store):
    save(store, study())
    (store.root / KIND / "mine.json").write_text('{"name": "mine"}')
    with pytest.raises(InvalidInput, match=r"study/mine\.json .*resonance study"):
        study_keys(store, "mine")
    save(store, study())
    assert study_keys(store, "mine") == keys(study())


def test_a_newer_document_is_refused(store):
    save(store, study())
    save_document(store, KIND, "mine", load_document(store, KIND, "mine") | {"schema_version": 9})
    with pytest.raises(InvalidInput, match="schema version 9.*update"):
        study_keys(store, "mine")


def test_a_shipped_study_means_what_it_would_run_now(store):
    shipped = load_study("quickstart")
    assert study_keys(store, "quickstart") == keys(shipped)
    save(store, shipped)
    assert stored_study(store, "quickstart").shipped
    assert study_keys(store, "quickstart") == keys(shipped)


def test_a_study_of_ones_own_with_a_shipped_name_is_the_one_that_was_run(store):
    own = study("quickstart")
    save(store, own)
    assert study_keys(store, "quickstart") == keys(own)


def test_a_file_means_what_it_would_run_now(store, tmp_path):
    save(store, study())
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(study(seeds=3).model_dump(mode="json")))
    assert study_keys(store, str(path)) == keys(study(seeds=3))


def test_a_group_means_what_its_studies_would_run_now_each_trial_once(store, tmp_path):
    official = load_group("official")
    assert study_keys(store, "official") == list(official.trials_by_key())
    assert find_study(store, "official") == official
    for name in ("mine", "more"):
        made = study(name, seeds={"mine": 2, "more": 3}[name])
        (tmp_path / f"{name}.yaml").write_text(json.dumps(made.model_dump(mode="json")))
    path = tmp_path / "group.yaml"
    path.write_text("name: g\nquestion: '?'\nstudies: [mine.yaml, more.yaml]\n")
    found = chosen_trials(store, path)
    assert found.name == "g"
    assert set(found.keys) == set(keys(study(seeds=3)))
    assert found.trials == chosen_trials(store, study(seeds=3)).trials


def test_a_study_of_ones_own_with_the_name_of_a_group_is_the_one_that_was_run(store):
    own = study("official")
    save(store, own)
    assert study_keys(store, "official") == keys(own)


def test_an_ablation_and_a_tuning_are_found_by_name_too(store):
    ablation = ablation_of(varied_study({"window": [8, 16]}))
    ablation_design.save(store, ablation)
    cells = [key for cell in ablation.designs[0].cells for key in cell.trials.values()]
    assert set(study_keys(store, "small")) == set(cells)
    save_document(store, "tuning", "t1", {"methods": {"rigl": {"trials": [{"keys": ["a" * 16]}]}}})
    assert study_keys(store, "t1") == ["a" * 16]


@pytest.mark.parametrize("name", ["mien", "", "../mine", "mine.json"])
def test_a_name_that_is_none_is_refused_with_the_nearest(store, name):
    save(store, study())
    with pytest.raises(InvalidInput, match=r"unknown study .*mine"):
        study_keys(store, name)
    with pytest.raises(InvalidInput, match=r"unknown study 'oficial': did you mean official or"):
        study_keys(store, "oficial")


# ------------------------------------------------------------------ what is not a study's


def test_levels_are_apart_and_what_a_study_names_is_not(store):
    varied = varied_study({"window": [8, 16]})
    base = study("plain", methods=["resonance"])
    save(store, varied)
    assert set(apart_from_studies(store)[0]) == set(keys(varied))
    assert set(apart_from_studies(store)[0].values()) == {"ablation small"}
    save(store, base)
    assert set(apart_from_studies(store)[0]) == set(keys(varied)) - set(keys(base))
    assert set(keys(base)) < set(keys(varied))


def test_what_was_in_the_store_before_an_ablation_is_not_apart(store):
    varied = varied_study({"window": [8, 16]})
    by_hand = varied.trials()[0]
    store.write(by_hand.key, {"record.json": done(by_hand).to_json()})
    for _ in range(2):
        save(store, varied)
        assert set(apart_from_studies(store)[0]) == set(keys(varied)) - {by_hand.key}


def test_a_level_that_was_another_ablations_only_stays_apart(store):
    first = varied_study({"window": [8, 16]})
    save(store, first)
    for trial in first.trials():
        store.write(trial.key, {"record.json": done(trial).to_json()})
    second = varied_study({"cooldown": [0, 200]}).model_copy(update={"name": "other"})
    save(store, second)
    assert set(apart_from_studies(store)[0]) == {*keys(first), *keys(second)}


def test_a_method_that_is_not_varied_is_not_apart(store):
    varied = Study.make(**varied_study({"window": [8, 16]}).model_dump() | {"methods": [
        {"name": "resonance", "vary": {"window": [8, 16]}}, "static",
    ]})  # fmt: skip
    save(store, varied)
    apart, _ = apart_from_studies(store)
    assert {t.method for t in varied.trials() if t.key not in apart} == {"static"}


def test_a_study_that_varies_nothing_any_more_is_a_study(store):
    varied = varied_study({"window": [8, 16]})
    save(store, varied)
    plain = Study.make(**varied.model_dump() | {"methods": ["resonance"]})
    save(store, plain)
    assert not set(apart_from_studies(store)[0]) & set(keys(plain))


# ------------------------------------------------------------------ merging


def test_merging_keeps_the_trials_of_both_versions(store, tmp_path):
    other = Store(tmp_path / "other")
    for place, seeds in ((store, [0, 1]), (other, [1, 2])):
        one = study(seeds=seeds)
        save(place, one)
        for trial in one.trials():
            place.write(trial.key, {"record.json": done(trial).to_json()})
    report = merge(other, store)
    assert report.documents == ["study/mine"]
    found = stored_study(store, "mine")
    assert {*found.trials, *found.earlier} == {*keys(study(seeds=[0, 1, 2]))}
    assert merge(other, store).documents == []


def test_merging_the_same_study_changes_nothing(store, tmp_path):
    other = Store(tmp_path / "other")
    trial = make_trial()
    other.prepare()
    other.write(trial.key, {"record.json": done(trial).to_json()})
    for place in (store, other):
        save(place, study())
    content = load_document(other, KIND, "mine") | {"updated": "2031-01-01T00:00:00+00:00"}
    save_document(other, KIND, "mine", content)
    before = load_document(store, KIND, "mine")
    report = merge(other, store)
    assert (report.documents, report.kept_documents) == ([], [])
    assert load_document(store, KIND, "mine") == before


def test_settings_that_trials_share_are_written_once(store):
    save(store, study(seeds=50))
    content = load_document(store, KIND, "mine")
    assert [one["method"] for one in content["settings"]] == ["static", "rigl"]
    assert len(content["trials"]) == 100
    assert content["trials"][keys(study(seeds=50))[99]] == [1, 49]
    trials = study(seeds=50).trials_by_key()
    found = chosen_trials(store, "mine").trials
    assert list(found) == list(trials)
    for key, trial in trials.items():
        assert found[key] == trial.model_dump(mode="json", exclude_defaults=True)


def test_a_document_of_an_earlier_schema_is_read(store):
    save(store, study())
    content = load_document(store, KIND, "mine")
    trials = {key: dict(one) for key, one in chosen_trials(store, "mine").trials.items()}
    del content["settings"]
    older = content | {"trials": trials, "schema_version": 2}
    (store.root / KIND / "mine.json").write_text(json.dumps(with_integrity(older, {})))
    assert chosen_trials(store, "mine").trials == trials
    save(store, study())
    assert load_document(store, KIND, "mine")["schema_version"] == 3
    assert chosen_trials(store, "mine").trials == trials


@pytest.mark.parametrize(
    "change",
    [
        {"settings": 3},
        {"settings": [3]},
        {"settings": [{str(number): number for number in range(30)}]},
        {"settings": []},
        {"trials": []},
        {"trials": {"a" * 16: [0]}},
        {"trials": {"a" * 16: [0, 0.5]}},
        {"trials": {"a" * 16: [-1, 0]}},
        {"trials": {"a" * 16: [2, 0]}},
        {"trials": {"a" * 16: {"task": "digits/mlp"}}},
    ],
    ids=str,
)
def test_a_document_whose_trials_are_none_is_damaged(store, change):
    save(store, study())
    save_document(store, KIND, "mine", load_document(store, KIND, "mine") | change)
    assert stored_studies(store)[0] == []
    with pytest.raises(InvalidInput, match="is not a readable document"):
        study_keys(store, "mine")
