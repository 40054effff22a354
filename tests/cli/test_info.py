"""The facts that are listed of tasks and methods."""

import json

from suite.cli.info import information, task_facts
from suite.experiments import registry
from suite.experiments.study_group import load_group
from tests.cli.test_plugin_hints import METHOD


def test_the_facts_of_a_task_hold_its_size_and_its_data():
    told = task_facts(registry.tasks()["fashion_mnist/lenet_300_100"])
    assert told["parameters"].startswith("266,610, of them 266,200")
    assert told["FLOPs"].startswith("532,400 ")
    assert told["input"] == "1×28×28"
    assert told["examples"].startswith("60,000 for training, 10,000 for test")


def test_a_preset_says_of_which_method_and_what_it_sets():
    facts = information("gse").facts
    assert facts["preset of"] == "rigl, with candidate_ratio=1.0"
    facts = information("set_itop").facts
    assert facts["preset of"].startswith("set, with update_every=auto, intervals=65, ")
    assert "preset of" not in information("rigl").facts


def test_a_method_s_rule_is_told_and_that_of_a_preset_s_base():
    rule = information("rigl").facts["equation"]
    assert rule == registry.methods()["rigl"].equation
    assert information("gse").facts["equation"]
    assert "equation" not in information("dense").facts


def test_a_method_of_ones_own_says_where_it_is_declared_and_no_empty_row(resonance, place):
    (place / "mine.py").write_text(METHOD)
    lines = resonance("--plugin mine.py info mine").out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "name", "title", "summary", "family", "source", "revision", "declared",
    ]  # fmt: skip
    assert lines[-1] == f"declared in  {place / 'mine.py'}"
    assert "declared in" not in information("rigl").facts


def test_a_group_has_its_studies_with_their_trials_and_questions(resonance):
    told = json.loads(resonance("info official --json").out)
    group = load_group("official")
    assert told["question"] == group.question
    assert told["trials"] == str(len(group.trials_by_key()))
    assert told["studies"] == [
        {"name": one.name, "trials": str(len(one.trials())), "question": one.question}
        for one in group.studies
    ]
    shown = resonance("info official").out.splitlines()
    assert shown[1] == f"question     {group.question}"
    assert [line.split("\t")[0] for line in shown[-5:]] == [one.name for one in group.studies]
    assert "studies" not in json.loads(resonance("info quickstart --json").out)
