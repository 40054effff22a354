"""The verbs as functions: what they return, what they refuse, what they leave as it was."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest
import torch

import suite
from suite import (
    InvalidInput,
    Store,
    Study,
    TrialFailed,
    compare,
    load_results,
    run,
    run_study,
)
from suite.experiments import registry
from suite.results.verify import verify
from tests.support import forked
from tests.support.sample_records import done, make_trial, revised

QUICK = {"epochs": 1}
FAULTY = """
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method("faulty", "this test", title="f", summary="f", implementation="Faulty", family="t")


class Faulty(Sparsifier):
    def start(self):
        self.draw_masks()

    def is_update(self, step):
        return step == 3

    def update(self, step):
        raise RuntimeError("the update broke")
"""


@pytest.fixture(autouse=True)
def forget_plugins(place, monkeypatch):
    """Start in an empty folder; plug-ins of a test are forgotten."""
    monkeypatch.setattr(registry, "_plugins", [])
    yield
    monkeypatch.undo()
    registry.use_plugins([])


@pytest.fixture
def faulty(place):
    (place / "faulty.py").write_text(FAULTY)
    return place / "faulty.py"


def study(**more):
    given = {"name": "s", "question": "?", "tasks": ["digits/mlp"],
             "methods": ["static", "magnitude"], "sparsities": [0.9], "seeds": 2,
             "recipe": QUICK}  # fmt: skip
    return Study.make(**given | more)


# ------------------------------------------------------------------ one trial


def test_a_trial_is_the_one_that_the_command_runs(place, resonance):
    record = run("digits/mlp", "rigl", 0.8, recipe=QUICK, hyperparameters={"update_every": 20})
    assert record.status == "done"
    assert record.sparsity == pytest.approx(0.8, abs=1e-3)
    line = "run digits/mlp rigl -s 0.8 --recipe epochs=1 --set update_every=20"
    assert f"results/trials/{record.key}" in (shown := resonance(line)).out
    assert "done before" in shown.out


def test_a_stored_trial_is_not_run_again(place):
    first = run("digits/mlp", "static", recipe=QUICK)
    assert first.trial["sparsity"] == 0.9
    again = run("digits/mlp", "static", recipe=QUICK)
    assert again.timing == first.timing
    assert run("digits/mlp", "static", recipe=QUICK, overwrite="always").timing != first.timing


def test_torch_is_left_as_it_was(place):
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    run("digits/mlp", "dense", recipe=QUICK)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_a_trial_that_fails_says_why_and_where(place, faulty):
    with pytest.raises(TrialFailed, match=r"faulty s=0\.9.*the update broke.*results/trials"):
        run("digits/mlp", "faulty", recipe=QUICK, plugins=[faulty])
    assert load_results()["status"].to_list() == ["failed"]


def test_the_store_and_plugins_of_the_environment_count(place, faulty, monkeypatch):
    monkeypatch.setenv("RESONANCE_STORE", "elsewhere")
    monkeypatch.setenv("RESONANCE_PLUGINS", str(faulty))
    run("digits/mlp", "dense", recipe=QUICK)
    with pytest.raises(TrialFailed):
        run("digits/mlp", "faulty", recipe=QUICK)
    assert len(Store("elsewhere").keys()) == 2
    assert not (place / "results").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "rigll"}, "did you mean rigl"),
        ({"task": "digits/mpl"}, "did you mean digits/mlp"),
        ({"sparsity": 1.0}, r"give a number in \[0, 1\)"),
        ({"hyperparameters": {"nosuch": 1}}, "nosuch"),
        ({"recipe": {"epochs": 0}}, "epochs"),
        ({"overwrite": "maybe"}, "never, failed, always"),
        ({"checkpoint_every": "soon"}, "soon"),
        ({"plugins": ["nosuch.py"]}, "there is no such file"),
        ({"device": "tpu"}, "device='tpu'"),
        ({"store": 3}, "store=3: give a folder or a URL"),
        ({"store": ""}, "store='': give a folder or a URL"),
        ({"store": b"results"}, "store=b'results': give a folder or a URL"),
        ({"store": ["results"]}, "give a folder or a URL"),
        ({"task": Path("digits/mlp")}, "task=.*: give a text"),
        ({"method": 3}, "method=3: give a text"),
        ({"trainer": 3}, "trainer=3: give a text"),
        ({"checkpoint_every": 60}, "checkpoint_every=60: give a text: '30s'"),
        ({"overwrite": True}, "overwrite=True: give one of never, failed, always"),
        ({"plugins": 3}, "plugins=3: give a list of paths"),
        ({"plugins": None}, "plugins=None: give a list of paths"),
        ({"plugins": {"a.py": 1}}, "plugins=.*: give a list of paths"),
        ({"plugins": b"a.py"}, "plugins=.*: give a list of paths"),
        ({"plugins": [3]}, "plugins=3: give a path"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_writes_nothing(place, given, message):
    arguments = {"task": "digits/mlp", "method": "rigl", "sparsity": 0.9} | given
    with pytest.raises(InvalidInput, match=message) as refused:
        run(**arguments)
    assert "\n" not in str(refused.value)
    assert list(place.iterdir()) == []


def test_a_plugin_of_a_refused_call_is_not_used_by_later_ones(place, faulty):
    (place / "broken.yaml").write_text(
        "name: broken/mlp\ndata: {format: numpy, path: nosuch.npz}\nmodel: mlp\n"
    )
    folders = list(sys.path)
    with pytest.raises(InvalidInput, match=r"there is no .*nosuch\.npz"):
        run("broken/mlp", "static", plugins=[faulty, place / "broken.yaml"])
    (place / "s.yaml").write_text(
        "name: s\nquestion: q\ntasks: [broken/mlp]\nmethods: [static]\nsparsities: [0.5]\n"
        "seeds: 1\nplugins: [broken.yaml]\n"
    )
    with pytest.raises(InvalidInput, match=r"there is no .*nosuch\.npz"):
        run_study("s.yaml")
    assert registry.plugins() == []
    assert sys.path == folders
    assert run("digits/mlp", "static", recipe=QUICK).status == "done"
    assert load_results()["task"].to_list() == ["digits/mlp"]


# ------------------------------------------------------------------ studies


def test_a_study_runs_what_is_missing(place, faulty):
    seen = []

    class Watch:
        def planned(self, plan):
            seen.append(str(plan))

        def started(self, trial):
            pass

        def dropped(self, trial):
            pass

        def finished(self, trial, record):
            seen.append(trial.key)

    with_faulty = {"methods": ["static", "faulty"]}
    registry.use_plugins([str(faulty)])
    result = run_study(study(**with_faulty), engine="inline", observer=Watch())
    assert (result.done, len(result.failed)) == (2, 2)
    assert {message for _, message in result.failed} == {"RuntimeError: the update broke"}
    assert seen[0] == "0 done · 4 to run"
    assert len(seen) == 5
    again = run_study(study(**with_faulty), engine="inline", overwrite="never")
    assert (again.done, len(again.plan.done), len(again.failed)) == (0, 2, 2)


def test_a_study_is_a_name_a_file_or_a_study(place):
    (place / "mine.yaml").write_text(
        "name: mine\nquestion: q\ntasks: [digits/mlp]\nmethods: [dense]\nseeds: 1\n"
        "recipe: {epochs: 1}\n"
    )
    assert run_study("mine.yaml", engine="inline").done == 1
    assert len(run_study(place / "mine.yaml", engine="inline").plan.done) == 1
    with pytest.raises(InvalidInput, match="did you mean quickstart"):
        run_study("quikstart")


def test_a_group_of_studies_is_loaded_and_not_run(place):
    """A result is of one study; the refusal names those of the group."""
    (place / "mine.yaml").write_text(
        "name: mine\nquestion: q\ntasks: [digits/mlp]\nmethods: [dense]\nseeds: 1\n"
        "recipe: {epochs: 1}\n"
    )
    (place / "group.yaml").write_text("name: g\nquestion: q\nstudies: [mine.yaml]\n")
    with pytest.raises(InvalidInput, match=r"group of studies: give one of them: mine\.yaml"):
        run_study("group.yaml")
    assert list(place.glob("results")) == []
    run_study("mine.yaml", engine="inline")
    run("digits/mlp", "static", recipe=QUICK)
    assert load_results(study="group.yaml")["method"].to_list() == ["dense"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 0}, "workers=0: give at least 1"),
        ({"workers": 1.5}, "give a whole number"),
        ({"engine": "lokal"}, "local, inline, ray, slurm"),
        ({"timeout": -1.0}, "give a number above 0"),
        ({"retries": -1}, "give at least 0"),
        ({"retries": None}, "retries=None: give a whole number"),
        ({"study": 3}, "study=3: give a name, a file, or a `Study`"),
        ({"study": None}, "study=None: give a name, a file, or a `Study`"),
        ({"address": 3, "engine": "ray"}, "address=3: give a text"),
        ({"timeout": "5"}, "timeout='5': give a number"),
        ({"timeout": True}, "timeout=True: give a number"),
        ({"memory": "1"}, "memory='1': give a number"),
        ({"gpus_per_trial": "1"}, "gpus_per_trial='1': give a number"),
        ({"gpus_per_trial": None}, "gpus_per_trial=None: give a number"),
        ({"checkpoint_every": 60}, "checkpoint_every=60: give a text"),
        ({"observer": "x"}, "observer='x': give an `Observer`"),
        ({"store": 3}, "store=3: give a folder or a URL"),
        ({"plugins": None}, "plugins=None: give a list of paths"),
    ],
)
def test_options_that_cannot_be_used_run_nothing(place, given, message):
    with pytest.raises(InvalidInput, match=message):
        run_study(**{"study": study()} | given)
    assert list(place.iterdir()) == []


def test_a_script_needs_no_guard(place):
    """Workers do not run the caller's script again, as multiprocessing would let them."""
    (place / "script.py").write_text(
        textwrap.dedent("""
            from suite import Study, run_study
            print("once", flush=True)
            study = Study.make(name="s", question="q", tasks=["digits/mlp"], methods=["static"],
                               sparsities=[0.9], seeds=2, recipe={"epochs": 1})
            print(run_study(study, workers=2).done)
        """)
    )
    done = forked.python(["script.py"], cwd=place)
    assert (done.returncode, done.stdout.split()) == (0, ["once", "2"]), done.stderr


# ------------------------------------------------------------------ results


def filled(place) -> Store:
    """Return a store with records of two methods, one of them failed, and one not current."""
    store = Store(place / "results")
    store.prepare()
    for method in ("rigl", "static"):
        for seed in range(5):
            accuracy = 0.9 + 0.01 * (method == "rigl") + 0.001 * seed
            record = done(make_trial(method, seed=seed, sparsity=0.9), accuracy)
            store.write(record.key, {"record.json": record.to_json()})
    return store


def test_results_are_one_row_per_trial(place):
    run("digits/mlp", "rigl", 0.8, recipe=QUICK, hyperparameters={"update_every": 20})
    run("digits/mlp", "dense", recipe=QUICK)
    frame = load_results(settings=["update_every", "epochs", "device"]).sort("method")
    assert frame["method"].to_list() == ["dense", "rigl"]
    assert frame["update_every"].to_list() == [None, 20]
    assert frame["epochs"].to_list() == [1, 1]
    assert frame["device"].to_list() == ["cpu", "cpu"]
    assert frame["hyperparameters"].to_list() == ["", "update_every=20"]
    assert frame["error"].to_list() == frame["left_out"].to_list() == [None, None]
    assert frame.schema["sparsity"] == frame.schema["test_accuracy"] == pl.Float64
    assert frame.schema["seed"] == frame.schema["epochs"] == pl.Int64
    assert frame["training_flops"].min() > 0
    assert frame["seconds"].min() > 0


def test_columns_have_the_same_types_where_nothing_finished(place, faulty):
    with pytest.raises(TrialFailed):
        run("digits/mlp", "faulty", recipe=QUICK, plugins=[faulty])
    failed = load_results()
    assert failed.schema["seconds"] == failed.schema["realised_sparsity"] == pl.Float64
    run("digits/mlp", "static", recipe=QUICK, store="other")
    both = pl.concat([failed, load_results("other")], how="diagonal")
    assert both.height == 2


def test_only_the_trials_of_a_study(place):
    run("digits/mlp", "dense", recipe=QUICK)
    run_study(study(), engine="inline")
    assert load_results().height == 5
    for chosen in (study(), "s"):
        assert set(load_results(study=chosen)["method"]) == {"static", "magnitude"}
        (line,) = compare("magnitude", "static", study=chosen).lines
        assert line.comparison.n == 2


METHOD = """
from suite.core.declarations import Method
from suite.core.hyperparameters import LAYERWISE
from suite.sparsity.sparsifier import Sparsifier
METHOD = Method("mine", "here", title="Mine", summary="is random", implementation="Mine",
                family="fixed mask", hyperparameters=LAYERWISE)
class Mine(Sparsifier):
    def start(self):
        self.draw_masks()
        self.report(0, "version", {version})
"""


def test_results_of_code_that_was_edited_since_are_left_out(place):
    file, records = place / "mine.py", []
    for version in (1, 2):
        file.write_text(METHOD.replace("{version}", str(version)))
        records.append(run("digits/mlp", "mine", recipe=QUICK, plugins=[file]))
    older, newest = (record.key for record in records)
    with pytest.warns(UserWarning, match="1 trials of older code"):
        assert load_results()["key"].to_list() == [newest]
    reasons = dict(load_results(everything=True).select("key", "left_out").iter_rows())
    assert reasons[newest] is None
    assert reasons[older].startswith("its code is older (")
    file.write_text(METHOD.replace("{version}", "3"))
    with pytest.warns(UserWarning, match="2 trials of older code"):
        assert load_results().height == 0


def test_one_setting_is_written_without_a_list(place):
    run("digits/mlp", "static", recipe=QUICK)
    assert load_results(settings="epochs")["epochs"].to_list() == [1]


@pytest.mark.parametrize("name", ["recipe", "hyperparameters"])
def test_settings_that_are_no_dictionary_are_refused(place, name):
    with pytest.raises(InvalidInput, match=rf"{name}=\['epochs'\]: give a dictionary"):
        run("digits/mlp", "static", **{name: ["epochs"]})


def test_a_tuners_trials_and_other_revisions_are_left_out(place):
    run("digits/mlp", "static", recipe=QUICK, evaluate="validation")
    run("digits/mlp", "static", recipe=QUICK)
    assert load_results().height == 1
    every = load_results(everything=True)
    assert sorted(reason or "" for reason in every["left_out"]) == [
        "", "it was not tested (it belongs to a tuner's search), so it is not a result",
    ]  # fmt: skip
    with (
        revised(registry.methods()["static"], 99),
        pytest.warns(UserWarning, match="1 trials of older code"),
    ):
        assert load_results().height == 0


def test_a_damaged_record_is_named(place):
    record = run("digits/mlp", "static", recipe=QUICK)
    run("digits/mlp", "dense", recipe=QUICK)
    path = place / "results" / "trials" / record.key / "record.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="1 records cannot be used.*resonance store verify"):
        assert load_results()["method"].to_list() == ["dense"]
    assert verify(Store("results")).broken


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"store": "typo"}, "holds no trials"),
        ({"settings": ["epoch"]}, "did you mean epochs"),
        ({"study": "quikstart"}, "did you mean quickstart"),
        ({"store": 3}, "store=3: give a folder or a URL"),
        ({"settings": 3}, "settings=3: give a list of texts"),
        ({"settings": {"epochs": 1}}, "settings=.*: give a list of texts"),
        ({"settings": [3]}, "settings=3: give a text"),
        ({"everything": "no"}, "everything='no': give True or False"),
        ({"study": ["m"]}, r"study=\['m'\]: give a name"),
    ],
)
def test_results_that_are_not_there_are_refused(place, given, message):
    run("digits/mlp", "dense", recipe=QUICK)
    with pytest.raises(InvalidInput, match=message):
        load_results(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": 3}, "method=3: give a text"),
        ({"reference": None}, "reference=None: give a text"),
        ({"task": ["digits/mlp"]}, "task=.*: give a text"),
        ({"sparsity": "0.9"}, "sparsity='0.9': give a number"),
        ({"sparsity": True}, "sparsity=True: give a number"),
        ({"study": 3}, "study=3: give a name"),
        ({"include_ablations": "no"}, "include_ablations='no': give True or False"),
        ({"store": 3}, "store=3: give a folder or a URL"),
    ],
)
def test_what_cannot_be_compared_is_refused(place, given, message):
    with pytest.raises(InvalidInput, match=message):
        compare(**{"method": "rigl", "reference": "static"} | given)
    assert list(place.iterdir()) == []


def test_a_comparison_is_that_of_the_command(place, resonance):
    store = filled(place)
    report = compare("rigl", "static", store=store)
    (line,) = report.lines
    assert line.comparison.n == 5
    assert line.comparison.difference.mean == pytest.approx(0.01)
    shown = json.loads(resonance("compare rigl static --json").out)
    assert shown["verdict"] == report.verdict
    assert compare("rigl", "static", task=line.task, sparsity=line.sparsity).lines == [line]
    with pytest.raises(InvalidInput, match="nosuch"):
        compare("rigl", "nosuch")


# ------------------------------------------------------------------ the package


def test_importing_the_package_is_light():
    code = (
        "import sys, suite; assert 'run' in dir(suite); from suite import Store, run, load_results;"
        "print(sorted({'torch', 'polars', 'pandas', 'optuna', 'wandb'} & sys.modules.keys()))"
    )
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_all_that_is_promised_is_there():
    for name in suite.__all__:
        assert getattr(suite, name).__doc__
    with pytest.raises(AttributeError, match="nosuch"):
        _ = suite.nosuch


def test_trials_off_their_budget_are_left_out_and_counted_as_such(tmp_path):
    store = Store(tmp_path / "results")
    for seed, training in enumerate((300.0, 320.0)):
        one = done(make_trial("static", seed=seed, recipe={"flops_budget": 0.3}))
        flops = one.flops | {"training": training, "dense_training": 1000.0}
        store.write(one.key, {"record.json": one.model_copy(update={"flops": flops}).to_json()})
    words = "1 trials that missed their flops_budget by more than 1 % are left out"
    with pytest.warns(UserWarning, match=words) as said:
        assert load_results(store=store)["seed"].to_list() == [0]
    assert len(said) == 1  # they are not out of date
    reasons = load_results(store=store, everything=True)["left_out"].to_list()
    assert reasons.count(None) == 1


def test_trials_whose_method_never_updated_are_left_out_and_counted(place):
    run("digits/mlp", "static", 0.9, recipe=QUICK)
    idle = run("digits/mlp", "set", 0.9, recipe=QUICK)
    assert idle.no_update.startswith("no update falls into these 40 steps")
    with pytest.warns(UserWarning, match="1 trials whose method never updated connectivity"):
        assert load_results()["method"].to_list() == ["static"]
    reasons = dict(load_results(everything=True).select("method", "left_out").iter_rows())
    assert reasons == {"static": None, "set": idle.no_update}
    with pytest.raises(InvalidInput, match="SET has no result there"):
        compare("set", "static")
