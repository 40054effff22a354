"""Whoever types a name that was changed gets one line that says what it is now."""

import pytest
import torch

from suite import sparsify
from suite.core.declarations import Hyperparameter, unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from tasks.recipe import RECIPE

METHOD = "method 'resonance_null' is now 'resonance_shuffled'"
FIELDS = {"final_rate": "min_lr_ratio", "decay_what": "weight_decay_scope"}
STUDY = """
name: old
question: old names?
tasks: [digits/mlp]
methods: [{method}]
sparsities: [0.9]
seeds: 1
recipe: {recipe}
controls_left_out: a test
"""
TASK_FILE = """
name: old/mlp
data: {format: table, path: data.csv, target: y}
model: mlp
recipe: {final_rate: 0.1}
"""
PLUGIN = """
from tasks.task import Task

TASK = Task("digits/old", "a test", title="Old", dataset="digits", model="mlp",
            recipe={"decay_what": "all"})
"""

METHOD_FILE = """
from dataclasses import replace

from baselines.rigl import METHOD as RIGL

EVERY = next(p for p in RIGL.hyperparameters if p.name == "update_every")
METHOD = replace(RIGL, name="mine", implementation="baselines.rigl:RigL",
                 hyperparameters=(replace(EVERY, formerly="delta_t"),))
"""


@pytest.mark.parametrize(
    "line",
    [
        "run digits/mlp resonance_null",
        "ablate resonance_null --task digits/mlp --vary window=16,32",
        "tune resonance_null --task digits/mlp",
    ],
)
def test_an_old_method_on_the_command_line(resonance, line):
    assert "'resonance_null' is now 'resonance_shuffled'" in resonance(line).complaint


def test_an_old_method_in_info(resonance):
    complaint = resonance("info resonance_null").complaint
    assert "name 'resonance_null' is now 'resonance_shuffled'" in complaint


@pytest.mark.parametrize(("old", "new"), FIELDS.items())
@pytest.mark.parametrize(
    "line",
    [
        "run digits/mlp rigl --recipe {old}=0.1",
        "ablate rigl --task digits/mlp --vary update_every=10,20 --recipe {old}=0.1",
        "tune rigl --task digits/mlp --recipe {old}=0.1",
        "tune rigl --task digits/mlp --recipe {old}",
    ],
)
def test_an_old_recipe_field_on_the_command_line(resonance, line, old, new):
    complaint = resonance(line.format(old=old)).complaint
    assert f"recipe field '{old}' of digits/mlp is now '{new}'" in complaint


def test_old_names_in_a_study(resonance, place):
    (place / "method.yaml").write_text(STUDY.format(method="resonance_null", recipe="{}"))
    assert METHOD in resonance("study method.yaml").complaint
    (place / "field.yaml").write_text(STUDY.format(method="rigl", recipe="{final_rate: 0.1}"))
    assert "is now 'min_lr_ratio'" in resonance("study field.yaml").complaint


@pytest.mark.usefixtures("no_plugins")
def test_an_old_recipe_field_in_a_task_file(resonance, place):
    (place / "old.yaml").write_text(TASK_FILE)
    (place / "data.csv").write_text("x,y\n" + "1,a\n2,b\n" * 20)
    complaint = resonance("run --task-file old.yaml dense").complaint
    assert "recipe field 'final_rate' is now 'min_lr_ratio'" in complaint


@pytest.mark.usefixtures("no_plugins")
def test_an_old_recipe_field_in_a_declaration(resonance, place):
    (place / "old.py").write_text(PLUGIN)
    complaint = resonance("run --task-file old.py dense").complaint
    assert "recipe field 'decay_what' of digits/old is now 'weight_decay_scope'" in complaint


def test_an_old_method_in_a_loop_of_ones_own():
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(InvalidInput, match=METHOD):
        sparsify(model, optimizer, "resonance_null", sparsity=0.5, steps=10)


@pytest.fixture
def no_plugins(monkeypatch):
    """Forget the plug-ins that a test uses."""
    with monkeypatch.context() as inside:
        inside.setattr(registry, "_plugins", [])
        yield
    registry.use_plugins([])


@pytest.mark.usefixtures("no_plugins")
def test_an_old_hyperparameter(resonance, place):
    (place / "mine.py").write_text(METHOD_FILE)
    renamed = "hyperparameter 'delta_t' of mine is now 'update_every'"
    for line in ("run digits/mlp mine --set", "ablate mine --task digits/mlp --vary"):
        assert renamed in resonance(f"--plugin mine.py {line} delta_t=5").complaint
    with pytest.raises(InvalidInput, match=renamed):
        Trial.make(task="digits/mlp", method="mine", hyperparameters={"delta_t": 5})
    entry = {"name": "mine", "vary": {"delta_t": [5, 10]}}
    given = {"question": "?", "tasks": ["digits/mlp"], "sparsities": [0.9], "seeds": 1}
    with pytest.raises(InvalidInput, match=renamed):
        Study.make(name="x", methods=[entry], **given).trials()
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(InvalidInput, match=renamed):
        sparsify(model, optimizer, "mine", sparsity=0.5, steps=10, delta_t=5)


def test_a_name_that_was_never_used_gets_the_nearest_ones():
    valid = {"new": Hyperparameter("new", int, 1, "", formerly="old")}
    assert "is now 'new'" in unknown("hyperparameter", "old", valid, see="x")
    assert "is now" not in unknown("hyperparameter", "", valid, see="x")
    assert "valid: new" in unknown("hyperparameter", "other", valid, see="x")


def test_no_old_name_is_in_use_or_claimed_twice():
    declared = [*registry.methods(), *RECIPE]
    old = [one.formerly for one in declared if one.formerly]
    assert len(set(old)) == len(old) == 3
    assert not set(old) & {one.name for one in declared}
