"""What to type for results of methods and tasks of one's own, where these are not known."""

import pytest

from suite.experiments import registry
from suite.experiments.study import Study
from suite.results.stored_studies import remember
from tests.support.sample_records import done, make_trial

METHOD = """
from suite.core.declarations import Method

raise SystemExit("a store names this file; nothing runs it")
METHOD = Method("mine", "this test", title="Mine", summary="stays", implementation="Mine",
                family="test")
"""


@pytest.fixture
def of_mine(no_plugins, store, tmp_path_factory, monkeypatch):
    """Return the record of a trial of a method that is declared in ``mine.py``, not known here."""
    path = tmp_path_factory.mktemp("elsewhere") / "mine.py"
    path.write_text(METHOD)
    registry.use_plugins([str(path)])
    trial = make_trial("mine")
    record = done(trial).model_copy(update={"code": dict(trial.code.digests)})
    store.write(record.key, {"record.json": record.to_json()})
    monkeypatch.setattr(registry, "_plugins", [])
    registry.use_plugins([])
    return record


@pytest.fixture
def build(resonance, monkeypatch):
    """Return a function that builds the site without drawing it."""
    from leaderboard.boards import build_boards
    from leaderboard.site import build as site

    def quickly(source, out, *args, **more):
        boards, excluded = build_boards(source.records())
        return site.BuiltSite(out / "index.html", boards, excluded, {}, {})

    monkeypatch.setattr(site, "build", quickly)
    return lambda line="leaderboard build --out there": resonance(line)


def test_a_build_says_which_file_to_name_and_runs_nothing(build, of_mine, place):
    (place / "mine.py").write_text(METHOD)
    result = build()
    assert result.code == 0
    assert result.err.splitlines() == [
        "not known here, so shown by what their records say: method mine; with their own files: "
        "resonance --plugin mine.py leaderboard build --out there"
    ]


def test_a_file_that_is_elsewhere_is_looked_for_by_the_user(build, of_mine):
    assert build().err.endswith(
        "resonance --plugin mine.py leaderboard build --out there (not in this folder: give the "
        "path of mine.py)\n"
    )


def test_a_file_is_found_where_the_study_says(build, of_mine, store, place):
    (place / "my methods").mkdir()
    (place / "my methods/mine.py").write_text(METHOD)
    study = Study.make(
        name="one", question="?", tasks=["digits/mlp"], methods=["static"], sparsities=[0.9],
        seeds=1, plugins=["my methods/mine.py", "data.yaml"],
    )  # fmt: skip
    remember(store, study, {})
    assert "resonance --plugin 'my methods/mine.py' leaderboard" in build().err


def test_a_task_file_is_named_by_the_studies_of_the_store(build, store):
    study = Study.make(
        name="one", question="?", tasks=["digits/mlp"], methods=["static"], sparsities=[0.9],
        seeds=1, plugins=["data.yaml"],
    )  # fmt: skip
    remember(store, study, {})
    record = done(make_trial())
    trial = record.trial | {"task": "mine/net"}
    store.write(record.key, {"record.json": record.model_copy(update={"trial": trial}).to_json()})
    assert "task mine/net; with their own files: resonance --plugin data.yaml " in build().err


def test_nothing_is_said_of_what_is_known(build, store):
    record = done(make_trial())
    store.write(record.key, {"record.json": record.to_json()})
    assert build().err == ""


def test_a_trial_is_run_again_with_its_plugin(resonance, of_mine, place):
    (place / "mine.py").write_text(METHOD)
    shown = resonance("--plugin mine.py show", of_mine.key).out
    assert "resonance --plugin mine.py run digits/mlp mine -s 0.9" in shown


def test_a_plugin_after_the_verb_is_told_where_it_goes(resonance):
    result = resonance("leaderboard build --plugin mine.py")
    assert (result.code, result.err) == (
        2,
        "error: --plugin comes before the verb: resonance --plugin FILE VERB … (see `--help`)\n",
    )
