from pathlib import Path
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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tasks": ["digits/mlp", "digits/mlp"]}, "tasks: digits/mlp is listed twice"),
        (
            {"tasks": ["digits/mlp", {"name": "digits/mlp", "device": "cpu"}]},
            "tasks: digits/mlp is listed twice with the same settings for dense: leave one out",
        ),
        ({"sparsities": [0.8, 0.80, 0.9]}, "sparsity 0.8 is given twice: give it once"),
        ({"seeds": [0, 1, 2, 1]}, "seed 1 is given twice: give it once"),
        (
            {"methods": ["static", "rigl", "static"]},
            "methods: static is listed twice with the same settings on digits/mlp: leave one out",
        ),
        # 100 is the default
        ({"methods": ["rigl", {"name": "rigl", "set": {"update_every": 100}}]}, "methods: rigl is"),
        (
            {"methods": [{"name": "rigl", "vary": {"update_every": [50, 20]}}] * 2},
            "methods: rigl is listed twice",
        ),
    ],
)
def test_what_is_listed_twice_is_refused_by_name(change, words):
    assert study_refusal(**change).startswith(words)


def test_ablations_of_one_method_share_their_base():
    vary = [
        {"name": "rigl", "vary": vary} for vary in ({"update_every": [50]}, {"update_end": [0.5]})
    ]
    trials = Study.make(**STUDY | {"methods": ["rigl", *vary], "sparsities": [0.9]}).trials()
    assert len(trials) == 3 * (1 + 1 + 1)


def test_one_method_under_two_settings_is_two_entries():
    methods = [{"name": "rigl"}, {"name": "rigl", "set": {"update_every": 10}}]
    trials = Study.make(**STUDY | {"methods": methods, "sparsities": [0.9], "seeds": 1}).trials()
    assert len({trial.key for trial in trials}) == 2


# ---------------------------------------------------------------- per task


def test_a_recipe_field_is_that_of_the_nearest_entry():
    study = Study.make(
        name="near",
        question="?",
        tasks=["digits/mlp", {"name": "mnist/lenet_300_100", "recipe": {"epochs": 3}}],
        methods=[
            "dense",
            {"name": "snip", "recipe": {"epochs": 4}},
            {
                "name": "rigl",
                "set": {"update_every": 50, "distribution": "uniform"},
                "recipe": {"epochs": 4, "weight_decay": 0.1},
                "tasks": {
                    "mnist/lenet_300_100": {"set": {"update_every": 9}, "recipe": {"epochs": 5}}
                },
            },
        ],
        sparsities=[0.9],
        seeds=1,
        recipe={"epochs": 2, "learning_rate": 0.03},
    )
    found = {(t.task, t.method): t for t in study.trials()}
    epochs = {cell: t.recipe["epochs"] for cell, t in found.items()}
    assert epochs == {
        ("digits/mlp", "dense"): 2,  # of the study
        ("mnist/lenet_300_100", "dense"): 3,  # of the task
        ("digits/mlp", "snip"): 4,  # of the method
        ("mnist/lenet_300_100", "snip"): 4,
        ("digits/mlp", "rigl"): 4,
        ("mnist/lenet_300_100", "rigl"): 5,  # of the method on the task
    }
    assert all(t.recipe["learning_rate"] == 0.03 for t in found.values())
    one, other = found["digits/mlp", "rigl"], found["mnist/lenet_300_100", "rigl"]
    assert one.recipe["weight_decay"] == other.recipe["weight_decay"] == 0.1
    assert one.hyperparameters == {"update_every": 50, "distribution": "uniform"}
    assert other.hyperparameters == {"update_every": 9, "distribution": "uniform"}


def test_a_task_has_its_own_device_precision_threads_and_execution():
    own = {"device": "cuda", "precision": "bfloat16", "threads": 3}
    tasks = [{"name": "digits/mlp", "execution": "csr"}, {"name": "mnist/lenet_300_100", **own}]
    study = Study.make(**STUDY | {"tasks": tasks, "methods": ["rigl"], "threads": 2})
    settings = {(t.task, t.device, t.precision, t.threads, t.execution) for t in study.trials()}
    assert settings == {
        ("digits/mlp", "cpu", "float32", 2, "csr"),
        ("mnist/lenet_300_100", "cuda", "bfloat16", 3, "masked"),
    }


def test_one_task_under_two_recipes_is_two_entries():
    tasks = ["digits/mlp", {"name": "digits/mlp", "recipe": {"epochs": 1}}]
    study = Study.make(**STUDY | {"tasks": tasks})
    assert len(study.trials()) == study.count() == 2 * (3 + 3 * 2 * 2)


def test_a_method_is_run_only_on_the_tasks_it_lists():
    methods = ["dense", {"name": "rigl", "only": ["digits/mlp"]}, "static"]
    tasks = ["digits/mlp", "mnist/lenet_300_100"]
    study = Study.make(**STUDY | {"methods": methods, "tasks": tasks})
    assert {t.task for t in study.trials() if t.method == "rigl"} == {"digits/mlp"}
    assert {t.task for t in study.trials() if t.method == "static"} == set(tasks)
    controls = [{"name": "static", "only": ["digits/mlp"]}, "dense"]
    missing = Study.make(**STUDY | {"methods": controls, "tasks": tasks}).missing_controls()
    assert "static on mnist/lenet_300_100" in missing
    assert "dense" not in " ".join(missing).split()


def test_a_study_is_counted_without_making_its_trials():
    methods = [
        "dense",
        {"name": "rigl", "vary": {"update_every": [50, 20], "update_end": [0.5]}, "grid": True},
        {"name": "static", "only": ["digits/mlp"]},
    ]
    tasks = ["digits/mlp", "mnist/lenet_300_100"]
    study = Study.make(**STUDY | {"methods": methods, "tasks": tasks})
    assert study.count() == len(study.trials())
    counts = {(t.task, t.method): count for t, count in study.kinds()}
    assert counts["digits/mlp", "rigl"] == 3 * 2 * 6
    assert counts["mnist/lenet_300_100", "dense"] == 3
    endless = study.model_copy(update={"seeds": range(10**9)})
    assert endless.count() > 10**10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tasks": [{"recipe": {"epochs": 5}}]}, ["small: tasks: entry 1: 'name' is missing"]),
        (
            {"tasks": [{"name": "digits/mlp", "recip": {}}]},
            ["small: tasks: digits/mlp: unknown field 'recip': did you mean recipe"],
        ),
        ({"tasks": [{"name": "digits/mlp", "recipe": {"epoch": 5}}]}, ["'epoch'", "epochs"]),
        (
            {"tasks": [{"name": "digits/mlp", "device": "tpu"}]},
            ["small: tasks: digits/mlp: device='tpu'"],
        ),
        ({"tasks": [{"name": "digits/mpl"}]}, ["unknown task 'digits/mpl'", "digits/mlp"]),
        (
            {"methods": [{"name": "rigl", "tasks": {"digits/mpl": {"set": {}}}}]},
            ["methods: rigl: 'digits/mpl' is not a task of the study", "digits/mlp"],
        ),
        (
            {"methods": [{"name": "rigl", "only": ["digits/mpl"]}]},
            ["methods: rigl: 'digits/mpl' is not a task of the study"],
        ),
        ({"methods": [{"name": "rigl", "only": []}]}, ["rigl: only: give at least one task"]),
        (
            {
                "tasks": ["digits/mlp", "mnist/lenet_300_100"],
                "methods": [{"name": "rigl", "only": ["digits/mlp"]}],
            },
            ["no method is run on mnist/lenet_300_100"],
        ),
        (
            {
                "tasks": ["digits/mlp", "mnist/lenet_300_100"],
                "methods": [
                    "dense",
                    {
                        "name": "rigl",
                        "only": ["digits/mlp"],
                        "tasks": {"mnist/lenet_300_100": {"recipe": {"epochs": 5}}},
                    },
                ],
            },
            ["rigl: 'mnist/lenet_300_100' has settings and is not listed under 'only'"],
        ),
        (
            {
                "methods": [
                    {
                        "name": "rigl",
                        "vary": {"update_every": [50]},
                        "tasks": {"digits/mlp": {"set": {"update_every": 9}}},
                    }
                ]
            },
            ["update_every is both set and varied"],
        ),
    ],
)
def test_what_cannot_be_set_for_a_task_is_refused_in_one_line(change, words):
    message = study_refusal(**change)
    for word in words:
        assert word in message


def test_a_task_that_is_only_a_name_is_written_as_one():
    tasks = ["digits/mlp", {"name": "mnist/lenet_300_100", "recipe": {"epochs": 5}}]
    study = Study.make(**STUDY | {"tasks": tasks})
    assert study.model_dump(mode="json")["tasks"] == tasks
    assert Study.make(**study.model_dump(mode="json")) == study


# ---------------------------------------------------------------- files


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


def test_the_control_of_one_method_is_missing_only_beside_it():
    control = "resonance_sampled_shuffled"
    assert control not in Study.make(**STUDY).missing_controls()
    beside = Study.make(**STUDY | {"methods": ["resonance_sampled", "dense"]})
    assert control in beside.missing_controls()


@pytest.mark.parametrize("field", ["tasks", "methods"])
def test_a_name_where_a_list_belongs_is_told_so(field):
    assert study_refusal(**{field: "rigl"}) == f"{field}=rigl: give a list, e.g. [rigl]"


@pytest.mark.parametrize("empty", [{"tasks": []}, {"methods": []}, {"seeds": []}])
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
        (
            {"methods": [{"name": "rigl", "sett": {}}]},
            ["small: methods: rigl: unknown field 'sett'", "mean set?"],
        ),
        ({"sparsities": [1.0]}, ["sparsity=1 "]),
        ({"sparsities": [-0.1]}, ["sparsity=-0.1"]),
        ({"sparsities": [float("nan")]}, ["sparsity=nan"]),
        ({"seeds": [-1]}, ["seeds: -1", "at least 0"]),
        ({"seeds": 0}, ["seeds=0", "at least 1"]),
        ({"seeds": "five"}, ["seeds='five'", "a whole number or a list, e.g. 5 or [0, 1]"]),
        ({"sparsities": ["high"]}, ["sparsities: sparsity='high'", "a number in [0, 1)"]),
        ({"sparsities": 0.9}, ["sparsities=0.9", "a list, e.g. [0.9]"]),
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
    assert "line 1, column" in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "[1, 2]", "quickstart"])
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


def test_the_part_on_some_tasks_has_the_same_trials_there():
    methods = [
        "dense",
        {"name": "set", "only": ["mnist/lenet_300_100"]},
        {"name": "rigl", "only": ["digits/mlp", "planted/mlp"]},
        {"name": "static", "tasks": {"mnist/lenet_300_100": {"recipe": {"epochs": 3}}}},
    ]
    tasks = ["digits/mlp", {"name": "planted/mlp", "recipe": {"epochs": 2}}, "mnist/lenet_300_100"]
    study = Study.make(**STUDY | {"methods": methods, "tasks": tasks})
    whole = study.trials_by_key()
    for chosen in (["planted/mlp"], ["mnist/lenet_300_100"], ["digits/mlp", "planted/mlp"]):
        part = study.on_tasks(chosen)
        assert part.trials_by_key() == {k: t for k, t in whole.items() if t.task in chosen}
        assert list(part.task_names) == chosen
        assert Study.make(**part.model_dump(mode="json")) == part, "it is a valid study"
    assert study.on_tasks(study.task_names) == study


def test_a_task_that_a_study_does_not_have_is_refused_with_the_nearest():
    with pytest.raises(InvalidInput) as refused:
        Study.make(**STUDY).on_tasks(["digit/mlp"])
    message = "unknown task 'digit/mlp' of study small: did you mean digits/mlp?"
    assert str(refused.value) == message


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": list(range(200_000))}, "seeds: 200000 are listed: give at most 1000"),
        (
            {"sparsities": [n / 20_000 for n in range(20_000)], "seeds": 1000, "methods": ["set"]},
            "study small has 20,000,000 trials, more than the 100,000 of a study",
        ),
        (
            {"tasks": ["digits/mlp"] * 5000, "methods": ["set"] * 5000},
            "has 25,000,000 trials, more than the 100,000",
        ),
        ({"name": "x" * 300}, "give at most 200 characters"),
        ({"tasks": ["x" * 10_000]}, "unknown task 'xxx"),
        ({"x" * 10_000: 1}, "unknown field 'xxx"),
        ({"methods": [{"name": "set", "x" * 10_000: 1}]}, "methods: set: unknown field 'xxx"),
    ],
)
def test_what_is_too_much_is_refused_before_it_is_made(change, words):
    with pytest.raises(InvalidInput) as refused:
        Study.make(**STUDY | change).trials()
    assert words in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"seeds": "five"},
            "study {}: seeds='five' is not usable: give a whole number or a list, e.g. 5 or [0, 1]",
        ),
        ({"sparsity": [0.9]}, "unknown field 'sparsity' of study {}: did you mean sparsities?"),
        (
            {"sparsities": [1.5]},
            "study {}: sparsities: sparsity=1.5 is not usable: give a number in [0, 1); 1.5 % is "
            "0.015",
        ),
        (
            {"sparsities": [90]},
            "study {}: sparsities: sparsity=90 is not usable: give a number in [0, 1); 90 % is 0.9",
        ),
        (
            {"name": "My Study"},
            "study {}: name='My Study' is not usable: give small letters, digits, - and _, "
            "beginning with a letter or digit",
        ),
        ({"plugins": ["gone.py"]}, "study {}: plugin gone.py: there is no such file"),
        ({"recipe": {"epochs": -2}}, "study {}: epochs=-2 is not usable: give an integer of at"),
        ({"methods": ["statc"]}, "study {}: unknown method 'statc': did you mean static?"),
        ({"methods": []}, "study {}: study small is empty: give at least one task"),
    ],
)
def test_a_refused_file_is_named_with_the_field(no_plugins, change, message):
    Path("my.yaml").write_text(yaml.safe_dump(STUDY | change))
    with pytest.raises(InvalidInput) as refused:
        load_study("my.yaml")
    assert str(refused.value).startswith(message.replace("{}", "my.yaml"))
