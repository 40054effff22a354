"""What W&B's own variables say holds, and runs are grouped by study and ablation."""

import json
from pathlib import Path

import pytest

from suite.core.errors import InvalidInput
from suite.results.store import Store
from suite.tracking.wandb import WANDB_MODES, Mode, allowed_mode
from tests.support.sample_records import done, make_trial
from tests.tracking.transaction_log import OfflineRun, read_run

STUDY = """
name: small
question: Does it work?
tasks: [digits/mlp]
methods: [static]
sparsities: [0.9]
seeds: 2
recipe: {epochs: 1}
controls_left_out: a test
"""


@pytest.fixture
def study_file(place) -> Path:
    path = place / "w.yaml"
    path.write_text(STUDY)
    return path


def runs_in(place: Path) -> list[OfflineRun]:
    folders = sorted((place / "results" / "wandb").glob("offline-run-*"))
    return [read_run(folder) for folder in folders]


def groups_in(place: Path) -> list[tuple[str, str]]:
    return [(run.about.run_group, run.about.job_type) for run in runs_in(place)]


# ---------------------------------------------------------------- WANDB_MODE


@pytest.mark.parametrize(
    ("asked", "variable", "mode"),
    [
        (Mode.ONLINE, "disabled", Mode.OFF),
        (Mode.OFFLINE, "disabled", Mode.OFF),
        (Mode.ONLINE, "offline", Mode.OFFLINE),
        (Mode.ONLINE, "dryrun", Mode.OFFLINE),
        (Mode.ONLINE, "online", Mode.ONLINE),
        (Mode.OFFLINE, "online", Mode.OFFLINE),
        (Mode.OFF, "online", Mode.OFF),
        (Mode.ONLINE, "", Mode.ONLINE),
    ],
)
def test_the_variable_can_only_forbid(monkeypatch, asked, variable, mode):
    monkeypatch.setenv("WANDB_MODE", variable)
    found, note = allowed_mode(asked)
    assert found is mode
    assert (variable in note) == (mode is not asked) or not note


def test_an_unknown_value_is_refused_with_those_that_there_are(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(InvalidInput, match="WANDB_MODE='of': it is online, run"):
        allowed_mode(Mode.ONLINE)
    assert allowed_mode(Mode.OFF) == (Mode.OFF, "")


def test_every_value_that_wandb_knows_is_known():
    from typing import get_args

    import wandb

    assert set(get_args(wandb.Settings.model_fields["mode"].annotation)) == set(WANDB_MODES)


def test_disabled_holds_over_the_option_and_one_line_says_so(
    resonance, place, study_file, monkeypatch
):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    result = resonance("study w.yaml --engine inline --wandb online")
    assert result.code == 0, result.err
    (line,) = (line for line in result.err.splitlines() if "W&B" in line)
    assert "WANDB_MODE=disabled" in line
    assert "nothing is sent" in line
    assert len(Store("results").keys()) == 2
    assert not (place / "results" / "wandb").exists()
    assert not (place / "results" / "published").exists()


def test_a_push_that_is_disabled_is_refused(resonance, store, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert "WANDB_MODE=disabled" in resonance("wandb push").complaint


def test_offline_turns_online_into_offline(resonance, place, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("WANDB_ENTITY", "them")
    result = resonance("run digits/mlp static --recipe epochs=1 --wandb online")
    assert result.code == 0, result.err
    assert "WANDB_MODE=offline" in result.err
    (run,) = runs_in(place)
    assert (run.about.project, run.about.entity) == ("theirs", "them")
    result = resonance("wandb push")
    assert result.code == 0, result.err
    assert result.out.startswith("1 of 1 trials are published under ")
    assert len(runs_in(place)) == 1, "it had been published"


# ---------------------------------------------------------------- groups


def test_a_study_is_one_group_by_its_name_live_and_pushed(resonance, place, study_file):
    assert resonance("study w.yaml --engine inline --wandb offline").code == 0
    assert groups_in(place) == [("small", "study")] * 2
    for chosen in ("w.yaml", "small"):  # the store remembers it by name
        assert resonance(f"wandb push --offline --study {chosen}").code == 0
        assert groups_in(place) == [("small", "study")] * 2


def test_the_studies_that_one_command_runs_are_each_a_group(resonance, place, study_file):
    (place / "other.yaml").write_text(
        STUDY.replace("small", "other").replace("[static]", "[static, set]")
    )
    (place / "both.yaml").write_text("name: both\nquestion: Both?\nstudies: [w.yaml, other.yaml]\n")
    result = resonance("study both.yaml --engine inline --wandb offline")
    assert result.code == 0, result.err
    assert groups_in(place) == [("small", "study")] * 2 + [("other", "study")] * 2
    assert "W&B: 2 runs under" in result.err


def test_a_push_of_a_study_file_groups_by_the_name_in_it(resonance, place, study_file):
    assert resonance("study w.yaml --engine inline").code == 0
    result = resonance("wandb push --offline --study w.yaml --json")
    assert result.code == 0, result.err
    said = json.loads(result.out)
    assert (said["mode"], said["group"], said["errors"]) == ("offline", "small", {})
    assert sorted(said["published"]) == Store("results").keys()
    assert groups_in(place) == [("small", "study")] * 2


def test_trials_pushed_alone_join_their_study_when_it_is_pushed(resonance, place, study_file):
    assert resonance("study w.yaml --engine inline").code == 0
    assert resonance("wandb push --offline").code == 0
    assert groups_in(place) == [("", "trial")] * 2
    assert resonance("wandb push --offline --study w.yaml").code == 0
    assert groups_in(place) == [("small", "study")] * 2


def test_an_ablation_is_a_group_live_and_pushed(resonance, place):
    line = "ablate set --task digits/mlp --seeds 1 --recipe epochs=1 --engine inline"
    result = resonance(f"{line} --vary drop_fraction=0.2,0.3 --wandb offline")
    assert result.code == 0, result.err
    found = set(groups_in(place))
    ((name, job_type),) = found
    assert job_type == "ablation"
    assert name.startswith("ablate-set-drop_fraction-")
    assert resonance(f"wandb push --offline --study {name}").code == 0
    assert set(groups_in(place)) == found


def test_a_tuning_is_a_group_live_and_pushed(resonance, place):
    line = "tune set --task digits/mlp --budget 2 --seeds 1 --final-seeds 1 --recipe epochs=1"
    result = resonance(f"{line} --name mine --engine inline --wandb offline")
    assert result.code == 0, result.err
    trials = Store("results").keys()
    assert len(trials) >= 3
    assert groups_in(place) == [("mine", "tuning")] * len(trials)
    result = resonance("wandb push --offline --study mine --json")
    assert sorted(json.loads(result.out)["published"]) == trials
    assert groups_in(place) == [("mine", "tuning")] * len(trials)


def test_what_cannot_be_pushed_is_listed_as_json(resonance, store, monkeypatch):
    def refused(*_: object) -> str:
        raise OSError("W&B does not answer")

    for seed in range(4):
        trial = make_trial(seed=seed)
        store.write(trial.key, {"record.json": done(trial).to_json()})
    monkeypatch.setattr("suite.cli.wandb.publish", refused)
    result = resonance("wandb push --offline --json")
    assert result.code == 1
    said = json.loads(result.out)
    assert said["published"] == {}
    assert len(said["errors"]) == 3
    assert len(said["not_tried"]) == 1
