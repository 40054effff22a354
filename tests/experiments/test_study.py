from typing import Any

import pytest
import yaml

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.study import Study, load_study, shipped_studies

STUDY: dict[str, Any] = {
    "name": "small",
    "question": "Does it work?",
    "tasks": ["digits/mlp"],
    "methods": ["dense", "static", {"name": "rigl", "set": {"update_every": 50}}],
    "sparsities": [0.8, 0.9],
    "seeds": 3,
}


def study_refusal(**changes: Any) -> str:
    """Return the one-line message a study with these changes is refused with."""
    with pytest.raises(InvalidInput) as refused:
        Study.make(**STUDY | changes).trials()
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_dense_runs_once_per_task_and_seed_whatever_the_sparsities():
    trials = Study.make(**STUDY).trials()
    dense = [trial for trial in trials if trial.method == "dense"]
    assert [trial.seed for trial in dense] == [0, 1, 2]
    assert len(trials) == 3 + 3 * 2 * 2


def test_a_study_is_every_task_seed_sparsity_and_method_once():
    study = Study.make(**STUDY | {"tasks": ["digits/mlp", "mnist/lenet_300_100"], "seeds": [4, 9]})
    trials = study.trials()
    cells = {(t.task, t.method, t.sparsity, t.seed) for t in trials}
    assert len(trials) == len(cells) == 2 * (2 + 2 * 2 * 2)
    assert {t.seed for t in trials} == {4, 9}
    assert all(t.hyperparameters == {"update_every": 50} for t in trials if t.method == "rigl")
    assert all(t.hyperparameters == {} for t in trials if t.method != "rigl")


def test_a_study_s_recipe_device_and_threads_reach_every_trial():
    study = Study.make(**STUDY | {"recipe": {"epochs": 2}, "device": "cuda", "threads": 2})
    for trial in study.trials():
        assert trial.recipe == {"epochs": 2}
        assert (trial.device, trial.threads) == ("cuda", 2)


def test_what_is_listed_twice_runs_once():
    once = Study.make(**STUDY).trials()
    twice = Study.make(**STUDY | {"sparsities": [0.8, 0.80, 0.9], "seeds": [0, 1, 2, 1]}).trials()
    assert {t.key for t in twice} == {t.key for t in once}
    assert len(twice) == len(once)


def test_one_method_under_two_settings_is_two_entries():
    methods = [{"name": "rigl"}, {"name": "rigl", "set": {"update_every": 10}}]
    trials = Study.make(**STUDY | {"methods": methods, "sparsities": [0.9], "seeds": 1}).trials()
    assert len({trial.key for trial in trials}) == 2


def test_quickstart_has_75_trials():
    trials = load_study("quickstart").trials()
    assert len(trials) == 75
    assert len({trial.key for trial in trials}) == 75


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_expands_and_says_why_a_control_is_missing(name):
    study = load_study(name)
    assert study.name == name
    assert study.trials()
    assert not study.missing_controls() or study.controls_left_out


def test_a_study_knows_which_controls_it_leaves_out():
    missing = Study.make(**STUDY).missing_controls()
    assert "resonance_shuffled" in missing
    assert not {"dense", "static"} & set(missing)


@pytest.mark.parametrize("field", ["tasks", "methods"])
def test_a_name_where_a_list_belongs_is_told_so(field):
    assert study_refusal(**{field: "rigl"}) == f"{field}=rigl: give a list, e.g. [rigl]"


@pytest.mark.parametrize("empty", [{"tasks": []}, {"methods": []}, {"seeds": []}, {"seeds": 0}])
def test_an_empty_study_is_refused(empty):
    assert "study small is empty" in study_refusal(**empty)


def test_a_study_without_sparsities_may_hold_dense_methods_only():
    assert "rigl needs a sparsity" in study_refusal(methods=["rigl"], sparsities=[])
    assert len(Study.make(**STUDY | {"methods": ["dense"], "sparsities": []}).trials()) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tasks": ["digits/mpl"]}, ["unknown task 'digits/mpl'", "digits/mlp"]),
        ({"methods": ["riggl"]}, ["unknown method 'riggl'", "rigl"]),
        ({"methods": [{"name": "rigl", "set": {"windo": 3}}]}, ["'windo' of rigl"]),
        ({"recipe": {"epoch": 3}}, ["'epoch'", "epochs"]),
        ({"task": "digits/mlp"}, ["unknown field 'task'", "tasks"]),
        ({"methods": [{"name": "rigl", "sett": {}}]}, ["methods.0.sett"]),
        ({"sparsities": [1.0]}, ["sparsity=1 "]),
        ({"sparsities": [-0.1]}, ["sparsity=-0.1"]),
        ({"sparsities": [float("nan")]}, ["sparsity=nan"]),
        ({"seeds": [-1]}, ["seed=-1"]),
        ({"seeds": 10**6}, ["seeds=1000000", "at most 1000"]),
        ({"cls": 3}, ["unknown field 'cls'"]),
        ({"name": "Two Words"}, ["name='Two Words'"]),
        ({"device": "tpu"}, ["device='tpu'"]),
        ({"threads": 0}, ["threads=0"]),
    ],
)
def test_a_bad_study_is_refused_in_one_line(change, words):
    message = study_refusal(**change)
    for word in words:
        assert word in message


def test_a_study_without_a_question_is_refused():
    given = {key: value for key, value in STUDY.items() if key != "question"}
    with pytest.raises(InvalidInput, match="study small: 'question' is missing"):
        Study.make(**given)


@pytest.mark.parametrize(
    "text",
    ["tasks: [digits/mlp", "a: b: c", "name: !!python/name:os.system ''", "? {a: b} : c"],
)
def test_what_is_not_yaml_is_refused_in_one_line_that_says_where(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        load_study(str(path))
    message = str(refused.value)
    assert "is not valid YAML" in message
    assert "line 1, column" in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "[1, 2]", "quickstart", "{1: 2}"])
def test_yaml_that_is_no_mapping_is_no_study(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="expected a mapping with tasks"):
        load_study(str(path))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_missing_or_binary_study_file_is_refused(tmp_path, content):
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"study\.yaml cannot be read"):
        load_study(str(path))


def test_an_unknown_study_gets_the_nearest_name_and_how_to_give_a_file():
    with pytest.raises(InvalidInput, match=r"did you mean quickstart\?.*ends in \.yaml"):
        load_study("quikstart")


def test_a_study_written_as_yaml_and_read_again_has_the_same_trials(tmp_path):
    study = Study.make(**STUDY | {"recipe": {"epochs": 2}})
    path = tmp_path / "copy.yaml"
    path.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    again = load_study(str(path))
    assert again == study
    assert [t.key for t in again.trials()] == [t.key for t in study.trials()]


def test_a_study_names_its_plugins_from_its_own_folder(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    plugin = tmp_path / "mine" / "toy.py"
    plugin.write_text(
        "from suite.core.declarations import Method\n"
        'METHOD = Method("toy", "ours", title="Toy", summary="none", implementation="Toy",\n'
        '                family="dense", dense=True)\n'
    )
    file = tmp_path / "study.yaml"
    asked = STUDY | {"methods": ["toy"], "plugins": ["mine/toy.py"]}
    file.write_text(yaml.safe_dump(asked))
    monkeypatch.chdir("/")
    monkeypatch.setattr(registry, "_plugins", [])
    assert {trial.method for trial in load_study(str(file)).trials()} == {"toy"}
    assert registry.plugins() == [str(plugin.resolve())]
    file.write_text(yaml.safe_dump(asked | {"plugins": ["none.py"]}))
    with pytest.raises(InvalidInput, match=r"plugin .*none\.py: there is no such file"):
        load_study(str(file))
    monkeypatch.undo()
    registry.use_plugins([])
