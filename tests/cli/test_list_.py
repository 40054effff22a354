"""`resonance list tasks`, chosen by dataset and model."""

import json

import pytest

from suite.cli.list_ import list_
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.study import shipped_groups, shipped_studies
from suite.experiments.study_group import load_group


def listed(capsys, **options) -> list[str]:
    list_("tasks", json=True, **options)
    return [one["name"] for one in json.loads(capsys.readouterr().out)]


def test_without_a_choice_all_tasks_are_listed(capsys):
    assert listed(capsys) == [task.name for task in registry.tasks()]


@pytest.mark.parametrize(
    ("dataset", "model", "expected"),
    [
        (["digits"], None, {"digits/mlp"}),
        (["mnist"], ["lenet_5"], {"mnist/lenet_5"}),
        (None, ["lenet_5"], {"mnist/lenet_5", "fashion_mnist/lenet_5"}),
        (
            ["mnist"],
            ["lenet_300_100"],
            {"mnist/lenet_300_100", "mnist/lenet_300_100@rigl"},  # each recipe is a task
        ),
    ],
)
def test_tasks_are_chosen_by_dataset_and_model(capsys, dataset, model, expected):
    found = set(listed(capsys, dataset=dataset, model=model))
    assert expected <= found
    for name in found:
        dataset_of, model_of = name.partition("@")[0].split("/")
        assert dataset is None or dataset_of in dataset
        assert model is None or model_of in model


def test_a_choice_that_no_task_meets_is_said(capsys):
    list_("tasks", dataset=["mnist"], model=["mlp"])
    assert "no task has both such a dataset and such a model" in capsys.readouterr().err


def test_several_datasets_are_those_of_any(capsys):
    both = listed(capsys, dataset=["digits", "mnist"])
    assert {name.partition("/")[0] for name in both} == {"digits", "mnist"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dataset": ["mnst"]}, "unknown dataset 'mnst': did you mean mnist"),
        ({"model": ["lenet_6"]}, "unknown model 'lenet_6': did you mean lenet_5"),
    ],
)
def test_a_name_that_no_task_has_is_refused_with_the_nearest(options, words):
    with pytest.raises(InvalidInput, match="unknown") as refused:
        list_("tasks", **options)
    assert str(refused.value).startswith(words)


def test_the_options_are_for_tasks_alone():
    with pytest.raises(InvalidInput, match=r"--model: only for `resonance list tasks`"):
        list_("methods", model=["mlp"])


def test_groups_are_listed_among_the_shipped_studies(resonance):
    rows = json.loads(resonance("list studies --json").out)
    names = [row["name"] for row in rows]
    assert names == sorted([*shipped_studies(), *shipped_groups()])
    (group,) = (row for row in rows if row["kind"] == "group")
    official = load_group("official")
    assert group == {
        "name": "official", "trials": str(len(official.trials_by_key())),
        "question": official.question, "kind": "group", "since": "",
    }  # fmt: skip
