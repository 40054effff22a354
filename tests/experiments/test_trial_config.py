import itertools
import random
import shlex
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from suite.cli import app as cli
from suite.cli import run as run_verb
from suite.core.declarations import Difference, Hyperparameter
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial

RIGL: dict[str, Any] = {"task": "fashion_mnist/lenet_300_100", "method": "rigl", "sparsity": 0.9}


def refusal(**given: Any) -> str:
    """Return the one-line message a trial is refused with."""
    with pytest.raises(InvalidInput) as refused:
        Trial.make(**given)
    message = str(refused.value)
    assert "\n" not in message
    return message


# ---------------------------------------------------------------- trials


def test_what_equals_a_default_is_not_part_of_a_trial():
    plain = Trial.make(**RIGL)
    spelled = Trial.make(
        **RIGL,
        seed=0,
        hyperparameters={"update_every": 100, "replace_step": False, "dense_layers": []},
        recipe={"epochs": 20, "optimizer": "sgd"},
    )
    assert spelled.hyperparameters == {}
    assert spelled.recipe == {}
    assert spelled == plain
    assert spelled.key == plain.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"update_every": 200}, {"update_every": 200.0}),
        ({"drop_fraction": 1}, {"drop_fraction": 1.0}),
        ({"dense_layers": ["a", "b"]}, {"dense_layers": ("a", "b")}),
        ({"dense_layers": ["a", "b"]}, {"dense_layers": "a, b"}),
        ({"dense_layers": ["a", "b"]}, {"dense_layers": ["b", "a", "b"]}),
        ({"dense_layers": ["1"]}, {"dense_layers": 1}),
        ({"drop_fraction": 0.0}, {"drop_fraction": -0.0}),
    ],
)
def test_two_ways_to_write_a_hyperparameter_are_one_trial(one, other):
    first = Trial.make(**RIGL, hyperparameters=one)
    second = Trial.make(**RIGL, hyperparameters=other)
    assert first == second
    assert first.key == second.key
    assert first.key != Trial.make(**RIGL).key


def test_a_trial_that_went_through_its_own_dump_is_the_same_trial():
    trial = Trial.make(
        **RIGL, hyperparameters={"dense_layers": ["a"], "drop_fraction": 0.5}, recipe={"epochs": 3}
    )
    assert Trial.make(**trial.model_dump()) == trial
    assert Trial.make(**trial.model_dump(mode="json")).key == trial.key


GOLDEN_KEYS = [
    ("56d6b7d4374ae1ed", {"task": "mnist/lenet_300_100", "method": "dense"}),
    ("58cb451a97ffdf71", RIGL | {"seed": 3, "hyperparameters": {"update_every": 50}}),
    (
        "d52385184fcdbf49",
        {
            "task": "fashion_mnist/lenet_5",
            "method": "resonance",
            "sparsity": 0.95,
            "hyperparameters": {"dense_layers": ["fc*", "conv1"], "interpolate": False},
            "recipe": {"epochs": 5, "learning_rate": 0.02},
            "threads": 2,
        },
    ),
]


@pytest.mark.parametrize(("key", "given"), GOLDEN_KEYS)
def test_a_key_never_changes_as_long_as_the_declarations_do_not(key, given):
    assert Trial.make(**given).key == key


def test_a_key_does_not_depend_on_the_order_of_anything():
    given = RIGL | {
        "hyperparameters": {"update_every": 50, "drop_fraction": 0.5, "replace_step": True},
        "recipe": {"epochs": 3, "momentum": 0.5},
    }

    def shuffled(mapping: dict[str, Any], order: random.Random) -> dict[str, Any]:
        items = [(k, shuffled(v, order) if isinstance(v, dict) else v) for k, v in mapping.items()]
        order.shuffle(items)
        return dict(items)

    keys = {Trial.make(**shuffled(given, random.Random(seed))).key for seed in range(20)}
    assert len(keys) == 1


def test_a_key_differs_for_every_single_field():
    changes: list[dict[str, Any]] = [
        {},
        {"task": "mnist/lenet_300_100"},
        {"method": "set"},
        {"sparsity": 0.8},
        {"seed": 1},
        {"device": "cuda"},
        {"threads": 2},
    ]
    for name in ("rigl", "fashion_mnist/lenet_300_100"):
        method = name == "rigl"
        declared = registry.methods()[name] if method else registry.tasks()[name]
        field = "hyperparameters" if method else "recipe"
        changes += [{field: {p.name: another_value(p)}} for p in declared.hyperparameters]
    keys = [Trial.make(**RIGL | change).key for change in changes]
    pairs = itertools.combinations(zip(changes, keys, strict=True), 2)
    same = [(change, other) for (change, key), (other, twin) in pairs if key == twin]
    assert same == []
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)


@pytest.mark.parametrize("kind", ["task", "dataset", "method"])
def test_a_raised_revision_changes_the_key(kind, monkeypatch):
    trial = Trial.make(**RIGL)
    before = trial.key
    declaration = getattr(trial, f"{kind}_declaration")
    monkeypatch.setitem(declaration.__dict__, "revision", declaration.revision + 1)
    assert trial.key != before


def test_what_documentation_says_of_a_method_does_not_change_the_key(monkeypatch):
    trial = Trial.make(**RIGL)
    before = trial.key
    told = (Difference("a rule", "here", "theirs", "because"),)
    monkeypatch.setitem(trial.method_declaration.__dict__, "differences", told)
    assert trial.key == before


def test_an_edited_task_is_another_trial(monkeypatch):
    trial = Trial.make(**RIGL)
    keys = {trial.key}
    task, dataset = trial.task_declaration, trial.dataset_declaration
    for declaration, field, value in [
        (task, "recipe", {**task.recipe, "epochs": 21}),
        (task, "model_options", {"hidden": (30, 10)}),
        (task, "model", "tasks.models.lenet:lenet_5"),
        (dataset, "mean", (0.5,)),
        (dataset, "checksum", "0" * 64),
    ]:
        with monkeypatch.context() as patch:
            patch.setitem(declaration.__dict__, field, value)
            keys.add(trial.key)
    assert len(keys) == 6
    assert trial.key == Trial.make(**RIGL).key


def another_value(parameter: Hyperparameter) -> Any:
    """Return a valid value other than the default."""
    if parameter.choices:
        return next(choice for choice in parameter.choices if choice != parameter.default)
    if parameter.type is bool:
        return not parameter.default
    if parameter.name == "milestones":
        return ("0.25", "0.5")
    if parameter.type is tuple:
        return ("fc*", "conv?.1")
    if parameter.type is str:
        return f"{parameter.default}x"
    for value in (parameter.low, parameter.high, 0.5, 7, 3, 10):
        if value is None or parameter.type(value) == parameter.default:
            continue
        try:
            return parameter.check(value)
        except InvalidInput:
            continue
    raise AssertionError(f"no other value of {parameter.name} found")


def test_a_dense_network_takes_no_sparsity():
    assert "dense takes none" in refusal(task="digits/mlp", method="dense", sparsity=0.5)
    assert Trial.make(task="digits/mlp", method="dense").sparsity == 0.0


def test_minus_zero_is_zero():
    given = {"task": "digits/mlp", "method": "static"}
    assert Trial.make(**given, sparsity=-0.0).key == Trial.make(**given, sparsity=0).key


@pytest.mark.parametrize(
    "sparsity", [1.0, 1, -0.1, 2, float("nan"), float("inf"), True, "0.5", None]
)
def test_a_sparsity_outside_zero_to_one_is_refused(sparsity):
    message = refusal(**RIGL | {"sparsity": sparsity})
    assert message.startswith("sparsity=")
    assert "[0, 1)" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "digits/mpl"}, ["unknown task 'digits/mpl'", "digits/mlp"]),
        ({"method": "riggl"}, ["unknown method 'riggl'", "did you mean rigl"]),
        ({"hyperparameters": {"drop_fractoin": 0.1}}, ["drop_fractoin", "drop_fraction"]),
        ({"recipe": {"epoch": 3}}, ["'epoch'", "epochs"]),
        ({"sparsty": 0.9}, ["unknown field 'sparsty'", "sparsity"]),
        ({"hyperparameters": {"drop_fraction": True}}, ["drop_fraction=True", "from 0 to 1"]),
        ({"hyperparameters": {"drop_fraction": float("nan")}}, ["drop_fraction=nan"]),
        ({"recipe": {"epochs": 0}}, ["epochs=0", "at least 1"]),
        ({"recipe": {"optimizer": "lion"}}, ["optimizer='lion'", "sgd, adam, adamw"]),
        ({"seed": -1}, ["seed=-1"]),
        ({"seed": 2**31}, ["seed=2147483648"]),
        ({"seed": 0.5}, ["seed=0.5"]),
        ({"device": "tpu"}, ["device='tpu'", "cpu", "cuda"]),
        ({"precision": "float8"}, ["precision='float8'", "float32"]),
        ({"threads": 0}, ["threads=0"]),
        ({"threads": 10**9}, ["threads=1000000000"]),
    ],
)
def test_a_bad_setting_is_refused_in_one_line_with_what_would_do(change, words):
    message = refusal(**RIGL | change)
    for word in words:
        assert word in message


def test_a_trial_without_a_method_is_told_so():
    assert "'method' is missing" in refusal(task="digits/mlp")


def test_the_resolved_configuration_states_every_setting_and_every_revision():
    trial = Trial.make(**RIGL, hyperparameters={"update_every": 50})
    resolved = trial.resolved()
    assert resolved["hyperparameters"]["update_every"] == 50
    assert set(resolved["hyperparameters"]) == {
        parameter.name for parameter in registry.methods()["rigl"].hyperparameters
    }
    assert resolved["recipe"]["batch_size"] == 128
    for kind in ("task", "dataset", "method"):
        assert resolved[f"{kind}_revision"] >= 1


# ---------------------------------------------------------------- the command that repeats a trial


@pytest.fixture
def parsed(monkeypatch):
    """Return a function from a command line to the trial that the command would run."""

    def parse(command: str) -> Trial:
        found: list[Trial] = []

        def catch(trials, *_):
            found.extend(trials)
            raise typer.Exit

        monkeypatch.setattr(run_verb, "schedule", catch)
        program, *arguments = shlex.split(command)
        assert program == "resonance"
        result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        (trial,) = found
        return trial

    return parse


@pytest.mark.parametrize("method", [method.name for method in registry.methods()])
def test_the_command_of_a_trial_with_every_hyperparameter_changed_runs_the_same_trial(
    method, parsed
):
    declared = registry.methods()[method]
    trial = Trial.make(
        task="digits/mlp",
        method=method,
        sparsity=0.0 if declared.dense else 0.123456789,
        seed=7,
        hyperparameters={p.name: another_value(p) for p in declared.hyperparameters},
        threads=2,
    )
    assert len(trial.hyperparameters) == len(declared.hyperparameters)
    again = parsed(trial.command())
    assert again == trial
    assert again.key == trial.key


@pytest.mark.parametrize("task", [task.name for task in registry.tasks()])
def test_the_command_of_a_trial_with_every_recipe_field_changed_runs_the_same_trial(task, parsed):
    fields = registry.tasks()[task].hyperparameters
    trial = Trial.make(
        task=task, method="dense", recipe={f.name: another_value(f) for f in fields}, device="cuda"
    )
    assert len(trial.recipe) == len(fields)
    assert parsed(trial.command()).key == trial.key


def test_words_such_as_auto_may_be_given_on_the_command_line(parsed):
    plain = parsed("resonance run digits/mlp resonance -s 0.9")
    auto = parsed("resonance run digits/mlp resonance --set update_every=auto --set cooldown=auto")
    assert auto.key == plain.key
    assert parsed("resonance run digits/mlp resonance --set cooldown=40").key != plain.key


SEEDED: list[dict[str, Any]] = [
    RIGL,
    RIGL | {"hyperparameters": {"update_every": 50, "dense_layers": ["a, \u00e9", "b"]}},
    {"task": "digits/mlp", "method": "dense", "recipe": {"epochs": 3, "learning_rate": 1e-05}},
    {"task": "digits/mlp", "method": "set", "sparsity": 0.1 + 0.2, "execution": "csr"},
    {"task": "digits/mlp", "method": "static", "sparsity": 0.5, "evaluate": "validation"},
    {"task": "digits/mlp", "method": "static", "sparsity": 0.5, "processes": 2, "threads": 3},
    {"task": "digits/mlp", "method": "static", "sparsity": 0.5, "trainer": "signals"},
]


@pytest.mark.parametrize("given", SEEDED)
def test_trials_of_other_seeds_are_those_that_are_made_one_by_one(given):
    seeds = Trial.make(**given, seed=7).seeds()
    for seed in (0, 1, 12, 2**31 - 1):
        single = Trial.make(**given, seed=seed)
        assert seeds.trial(seed) == single
        assert seeds.trial(seed).model_dump_json() == single.model_dump_json()
        assert seeds.key(seed) == single.key == seeds.trial(seed).key


@pytest.mark.parametrize("seed", [-1, 2**31, True, 1.0, "1"])
def test_another_seed_is_checked_like_the_first(seed):
    with pytest.raises(InvalidInput) as one:
        Trial.make(**RIGL).seeds().trial(seed)
    assert str(one.value) == refusal(**RIGL, seed=seed)
