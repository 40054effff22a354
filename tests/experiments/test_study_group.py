import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from suite.core.errors import InvalidInput
from suite.experiments import study_group as module
from suite.experiments.study import Study, load_study, shipped_groups, shipped_studies
from suite.experiments.study_group import (
    MAX_STUDIES,
    StudyGroup,
    load_group,
    load_study_or_group,
)

STUDY: dict[str, Any] = {
    "name": "first",
    "question": "?",
    "tasks": ["digits/mlp"],
    "methods": ["dense", "static"],
    "sparsities": [0.9],
    "seeds": 2,
}
SECOND = STUDY | {"name": "second", "tasks": ["digits/mlp", "planted/mlp"], "methods": ["dense"]}


@pytest.fixture
def write(place) -> Callable[..., None]:
    """Return a function that writes a YAML file of this content."""

    def write(name: str, /, **content: Any) -> None:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(yaml.safe_dump(content))

    return write


@pytest.fixture
def refusal(write) -> Callable[..., str]:
    """Return a function that writes a group's file and returns the line it is refused with."""

    def refusal(**content: Any) -> str:
        write("group.yaml", **{"name": "mine", "question": "?"} | content)
        with pytest.raises(InvalidInput) as refused:
            load_study_or_group("group.yaml")
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return refusal


def group(*studies: dict[str, Any]) -> StudyGroup:
    made = [Study.make(**one) for one in studies]
    return StudyGroup.make(name="both", question="?", studies=made)


# ------------------------------------------------------------------ what is shipped


def test_every_shipped_group_has_a_name_of_its_own_and_trials():
    assert "official" in shipped_groups()
    assert not set(shipped_groups()) & set(shipped_studies())
    for name in shipped_groups():
        found = load_group(name)
        assert found == load_study_or_group(name)
        assert found.name == name
        assert len(found.trials_by_key()) > 0


def test_the_official_group_is_all_official_studies():
    official = [name for name in shipped_studies() if name.startswith("official_")]
    assert sorted(study.name for study in load_group("official").studies) == official


# ------------------------------------------------------------------ files


def test_a_group_has_shipped_studies_and_files_beside_its_own(write, monkeypatch):
    write("sub/first.yaml", **STUDY)
    write("sub/group.yaml", name="mine", question="?", studies=["first.yaml", "quickstart"])
    found = load_study_or_group("sub/group.yaml")
    assert isinstance(found, StudyGroup)
    assert found.studies == (Study.make(**STUDY), load_study("quickstart"))
    folder = Path.cwd()
    monkeypatch.chdir("/")
    assert load_study_or_group(os.fspath(folder / "sub" / "group.yaml")) == found


def test_a_study_is_loaded_as_a_study(write):
    write("first.yaml", **STUDY)
    assert load_study_or_group("first.yaml") == load_study("first.yaml")
    assert load_study_or_group("quickstart") == load_study("quickstart")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"studies": []}, "group group.yaml: studies is empty: list at least one study"),
        (
            {"studies": ["quickstart", "quickstart"]},
            "group group.yaml: studies: study quickstart is given twice: give it once",
        ),
        (
            {"studies": ["quickstrt"]},
            "group group.yaml: unknown study 'quickstrt': did you mean quickstart? (`resonance "
            "list studies` shows all); a study of your own is a file that ends in .yaml",
        ),
        ({"studies": ["gone.yaml"]}, "group group.yaml: study gone.yaml cannot be read: No such"),
        (
            {"studies": ["official"]},
            "group group.yaml: study official is a group of studies: give one of them: official_sm",
        ),
        ({"studies": ["group.yaml"]}, "group group.yaml: study group.yaml is a group of studies"),
        (
            {"studies": "quickstart"},
            "group group.yaml: studies='quickstart' is not usable: give a list of shipped studies",
        ),
        ({"studies": [3]}, "group group.yaml: studies=[3] is not usable: give a list of shipped"),
        ({"studies": None}, "group group.yaml: studies=None is not usable: give a list of shipped"),
        (
            {"studies": ["quickstart"], "tasks": ["digits/mlp"]},
            "group group.yaml: 'tasks' belongs to a study, and 'studies' to a group of them: leave "
            "one of the two out",
        ),
        ({"studies": ["quickstart"], "methods": ["set"]}, "group group.yaml: 'methods' belongs to"),
        ({"studies": ["quickstart"], "seeds": 3}, "group group.yaml: 'seeds' belongs to a study"),
        (
            {"studies": ["quickstart"], "include": "a.yaml"},
            "group group.yaml: 'include' belongs to",
        ),
        (
            {"studies": ["quickstart"], "questoin": "?"},
            "unknown field 'questoin' of group group.yaml: did you mean question?",
        ),
        (
            {"studies": ["quickstart"], "name": "My Group"},
            "group group.yaml: name='My Group' is not usable: give small letters, digits, - and _",
        ),
        (
            {"studies": [f"{number}.yaml" for number in range(MAX_STUDIES + 1)]},
            f"group group.yaml: studies: {MAX_STUDIES + 1} are listed: give at most {MAX_STUDIES}",
        ),
    ],
)
def test_a_group_that_cannot_be_right_is_refused_in_one_line(refusal, content, message):
    assert refusal(**content).startswith(message)


def test_two_files_of_one_name_are_refused(write, refusal):
    write("a.yaml", **STUDY)
    write("b.yaml", **STUDY | {"seeds": 3})
    message = refusal(studies=["a.yaml", "b.yaml"])
    assert message.startswith("group group.yaml: studies: two of them are named first, and a store")


def test_a_member_that_is_not_valid_is_named(write, refusal):
    write("bad.yaml", **STUDY | {"methods": ["statc"]})
    assert refusal(studies=["bad.yaml"]).startswith(
        "group group.yaml: study bad.yaml: unknown method 'statc': did you mean static?"
    )


def test_a_group_where_one_study_is_wanted_is_refused_with_its_studies(write):
    names = "official_small, official_equal_cost, official_conv, official_text, official_table"
    message = f"study official is a group of studies: give one of them: {names}"
    with pytest.raises(InvalidInput) as refused:
        load_study("official")
    assert str(refused.value) == message
    write("group.yaml", name="mine", question="?", studies=[f"{n}.yaml" for n in range(50)])
    with pytest.raises(InvalidInput, match=r"group\.yaml is a group of studies.*11\.yaml, …$"):
        load_study("group.yaml")


def test_an_unknown_name_is_answered_with_groups_too():
    with pytest.raises(InvalidInput, match="unknown study 'oficial': did you mean official or"):
        load_study_or_group("oficial")


# ------------------------------------------------------------------ trials


def test_a_trial_of_several_studies_is_one_trial_of_the_group():
    both = group(STUDY, SECOND)
    first, second = (study.trials_by_key() for study in both.studies)
    assert len(set(first) & set(second)) == 2
    assert list(both.trials_by_key()) == list(dict.fromkeys([*first, *second]))


def test_a_group_of_too_many_trials_is_refused_before_they_are_made(monkeypatch):
    both = group(STUDY, SECOND)
    monkeypatch.setattr(module, "MAX_TRIALS", 7)
    monkeypatch.setattr(Study, "trials_by_key", None)
    with pytest.raises(InvalidInput, match="group both has 8 trials, more than the 7 of a group"):
        both.trials_by_key()


def test_the_part_on_a_task_has_the_same_trials_and_leaves_other_studies_out():
    both = group(STUDY, SECOND)
    part = both.on_tasks(["planted/mlp"])
    assert [study.name for study in part.studies] == ["second"]
    whole = both.trials_by_key()
    assert part.trials_by_key() == {k: t for k, t in whole.items() if t.task == "planted/mlp"}
    assert both.on_tasks(["planted/mlp", "digits/mlp"]) == both


def test_a_task_that_no_study_has_is_refused_with_the_nearest():
    with pytest.raises(InvalidInput, match="unknown task 'digits/ml' of group both: did you mean"):
        group(STUDY, SECOND).on_tasks(["planted/mlp", "digits/ml"])
