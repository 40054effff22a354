"""The facts that are listed of a task."""

from suite.cli.listing import task_facts
from suite.experiments import registry


def test_the_facts_of_a_task_hold_its_size_and_its_data():
    told = task_facts(registry.tasks()["fashion_mnist/lenet_300_100"])
    assert told["parameters"].startswith("266,610, of them 266,200")
    assert told["FLOPs"].startswith("532,400 ")
    assert told["input"] == "1×28×28"
    assert told["examples"].startswith("60,000 for training, 10,000 for test")
