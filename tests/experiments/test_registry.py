import subprocess
import sys
from collections.abc import Iterator

import pytest

from suite.core.declarations import Hyperparameter
from suite.core.discovery import load
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial, show
from suite.sparsity.sparsifier import Sparsifier
from suite.training.context import TrialContext
from suite.training.model import make_model

METHODS = [method.name for method in registry.methods()]
TASKS = [task.name for task in registry.tasks()]
CONFIGURABLE = [*registry.methods(), *registry.tasks()]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def plugins(monkeypatch) -> Iterator[None]:
    """Let a test use plug-ins of its own; afterwards there are none."""
    monkeypatch.setattr(registry, "_plugins", [])
    yield
    monkeypatch.undo()
    registry.use_plugins([])


def test_the_published_methods_and_the_family_of_resonance_are_there():
    found = {"dense", "static", "magnitude", "set", "rigl", "lottery_ticket"}
    assert found | {"resonance", "resonance_shuffled"} <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_s_implementation_loads_and_is_a_sparsifier(name):
    method = registry.methods()[name]
    assert issubclass(load(method.implementation, method.origin), Sparsifier)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_accepts_its_own_defaults_on_a_whole_training(name):
    declared = registry.methods()[name]
    pattern = declared.resolve({}).get("pattern", "none")  # N:M fixes the sparsity
    sparse = 0.9 if pattern == "none" else 1 - int(pattern[0]) / int(pattern[2])
    sparsifier = TrialContext.of(
        Trial.make(task="digits/mlp", method=name, sparsity=0.0 if declared.dense else sparse)
    ).make_sparsifier()
    assert sparsifier.rounds >= 1


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_dataset_a_loader_and_a_model_for_it(name):
    trial = Trial.make(task=name, method="dense")
    dataset = trial.dataset_declaration
    assert callable(load(dataset.load))
    normalised = {"text": {0}}.get(dataset.kind, {1, dataset.shape[0]})
    assert len(dataset.mean) == len(dataset.std)
    assert len(dataset.std) in normalised
    assert sum(p.numel() for p in make_model(TrialContext.of(trial)).parameters()) > 0


@pytest.mark.parametrize("name", [*METHODS, *TASKS])
def test_everything_declared_states_its_source_and_title(name):
    kind = registry.methods() if name in registry.methods() else registry.tasks()
    assert kind[name].source.strip()
    assert kind[name].title.strip()


def ends(parameter: Hyperparameter) -> list[object]:
    space = parameter.search_space()
    if space is None:
        return []
    return [value for value in (space.low, space.high, *space.choices) if value is not None]


@pytest.mark.parametrize("declared", CONFIGURABLE, ids=lambda d: d.name)
def test_every_search_space_lies_within_the_bounds(declared):
    for parameter in declared.hyperparameters:
        for value in ends(parameter):
            assert parameter.check(value) == value, parameter.name


@pytest.mark.parametrize("declared", CONFIGURABLE, ids=lambda d: d.name)
def test_every_numeric_search_space_is_an_interval_and_logarithmic_only_above_zero(declared):
    for parameter in declared.hyperparameters:
        space = parameter.search_space()
        if space is not None and not space.choices:
            assert space.low is not None, parameter.name
            assert space.high is not None, parameter.name
            assert space.low < space.high, parameter.name
            assert not space.log or space.low > 0, parameter.name


@pytest.mark.parametrize("declared", CONFIGURABLE, ids=lambda d: d.name)
def test_every_hyperparameter_says_what_it_means_and_appears_once(declared):
    names = [parameter.name for parameter in declared.hyperparameters]
    assert len(names) == len(set(names))
    for parameter in declared.hyperparameters:
        assert parameter.meaning
        assert show(parameter.default) is not None


def test_listing_methods_tasks_and_datasets_imports_no_torch():
    code = (
        "import sys\n"
        "from suite.experiments import registry\n"
        "n = len(registry.methods()) + len(registry.tasks()) + len(registry.datasets())\n"
        "print(n > 10, 'torch' in sys.modules)"
    )
    assert run_python(code) == "True False"


def test_listing_methods_imports_no_tasks():
    code = (
        "import sys\n"
        "from suite.experiments import registry\n"
        "registry.methods()\n"
        "print(any(name.split('.')[0] == 'tasks' for name in sys.modules))"
    )
    assert run_python(code) == "False"


PLUGIN = """
import torch
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method("{name}", "me", title="Mine", summary="mine", implementation="Mine", family="own")

class Mine(Sparsifier):
    pass
"""


@pytest.mark.usefixtures("plugins")
def test_a_method_in_a_plug_in_file_is_found_and_loads(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(name="mine"))
    registry.use_plugins([str(path)])
    method = registry.methods()["mine"]
    assert issubclass(load(method.implementation, method.origin), Sparsifier)
    assert registry.plugins() == [str(path.resolve())]


@pytest.mark.usefixtures("plugins")
def test_a_plug_in_given_twice_counts_once(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(name="mine"))
    registry.use_plugins([str(path), str(path)])
    registry.use_plugins([str(path)])
    assert registry.plugins() == [str(path.resolve())]


@pytest.mark.usefixtures("plugins")
def test_a_plug_in_cannot_take_the_name_of_a_method_that_exists(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(name="rigl"))
    registry.use_plugins([str(path)])
    with pytest.raises(InvalidInput, match=r"method 'rigl' is declared twice, .*baselines\.rigl"):
        registry.methods()


@pytest.mark.usefixtures("plugins")
def test_a_plug_in_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no such file"):
        registry.use_plugins([str(tmp_path / "none.py")])
    for place, kind in (("/dev/zero", "a device"), (str(tmp_path), "a folder")):
        with pytest.raises(InvalidInput, match=f"it is {kind}: give a file"):
            registry.use_plugins([place])


@pytest.mark.usefixtures("plugins")
def test_a_plugin_that_declares_nothing_is_refused(tmp_path):
    plugin = tmp_path / "mistyped.py"
    plugin.write_text("METHODE = 1\n")
    with pytest.raises(InvalidInput, match=r"mistyped\.py declares nothing: assign METHOD"):
        registry.use_plugins([str(plugin)])
    assert registry.plugins() == []


@pytest.mark.usefixtures("plugins")
def test_a_bad_declaration_names_its_file(tmp_path):
    plugin = tmp_path / "bad.py"
    plugin.write_text(
        "from suite.core.declarations import Hyperparameter\n"
        'METHOD = Hyperparameter("share", float, 2.0, "a share", low=0.0, high=1.0)\n'
    )
    registry.use_plugins([str(plugin)])
    with pytest.raises(InvalidInput, match=r"bad\.py:2: .*share=2\.0"):
        registry.methods()
