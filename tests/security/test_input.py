"""Input and stored files that are wrong, odd or hostile."""

import json
import subprocess
import threading
from pathlib import Path

import pytest
import torch

from leaderboard.board_groups import board_groups
from leaderboard.board_markdown import BEGIN, END, boards_markdown, spliced, surroundings
from leaderboard.boards import build_boards
from suite.core.discovery import load
from suite.core.errors import InvalidInput
from suite.experiments.study import Study, load_study
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from tests.support.sample_records import done, make_trial

KEY = "0123456789abcdef"
ROOT = Path(load.__code__.co_filename).parents[2]


def record():
    return done(make_trial()).model_copy(update={"key": KEY})


# repository
def test_no_source_file_is_ignored_by_git():
    files = [
        str(p)
        for f in ("suite", "baselines", "tasks", "leaderboard", "tests")
        for p in (ROOT / f).rglob("*.py")
    ]
    r = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True)
    assert r.stdout.split() == []


# training
NAN = """
import torch
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier
METHOD = Method("nan", "t", title="n", summary="n", implementation="Nan", family="t")
class Nan(Sparsifier):
    def attach(self, model, optimizer, **more):
        super().attach(model, optimizer, **more); self.model = model
    def start(self): self.draw_masks()
    def after_step(self, step):
        if step == 3:
            with torch.no_grad(): self.model[3].bias.fill_(float("nan"))
"""


def test_a_nan_names_the_layer_where_it_arose(resonance, place):
    (place / "nan.py").write_text(NAN)
    result = resonance("--plugin nan.py run digits/mlp nan --recipe epochs=1")
    assert "at step 4, first in layer '3'" in result.err


def test_a_validation_share_that_rounds_to_nothing_is_no_validation(resonance):
    result = resonance("run digits/mlp static --recipe epochs=1 --recipe validation=0.0001 --json")
    assert json.loads(result.out)["notes"]


# store
def test_a_process_killed_while_it_overwrites_loses_neither_result(store, monkeypatch):
    """kill -9 after the older folder was removed and before the new one is in its place."""
    import suite.results.local_store as module

    store.write(KEY, {"record.json": record().to_json()})
    rmtree = module.shutil.rmtree

    def killed(path, **options):
        rmtree(path, **options)
        if not options:  # an older folder, whose removal may fail; not the writer's own
            raise KeyboardInterrupt

    monkeypatch.setattr(module.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write(KEY, {"record.json": record().to_json()})
    monkeypatch.undo()
    store.prepare()
    assert store.read(KEY) is not None


def test_two_writers_of_one_trial_both_succeed_and_leave_one_folder(store):
    errors = []

    def write():
        for _ in range(100):
            try:
                store.write(KEY, {"record.json": record().to_json()})
            except Exception as error:
                errors.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == []
    assert [p.name for p in store.trials.iterdir()] == [KEY]


def test_what_another_writer_has_moved_away_is_not_replaced_by_something_older(store, monkeypatch):
    store.write(KEY, {"record.json": record().to_json()})
    rename = Path.rename

    def overtaken(source: Path, target: Path) -> Path:
        """Just after ours is in its place, the other writer makes room for its own."""
        found = rename(source, target)
        if source.name.startswith(".new"):
            rename(target, store.trials / "the-other-writer-has-it")
        return found

    monkeypatch.setattr(Path, "rename", overtaken)
    store.write(KEY, {"record.json": record().to_json()})
    assert [p.name for p in store.trials.iterdir()] == ["the-other-writer-has-it"]


@pytest.mark.parametrize("name", [".new-foo", ".old-foo"])
def test_a_stray_hidden_folder_does_not_stop_prepare(store, name):
    (store.trials / name).mkdir()
    store.prepare()


def test_a_stray_file_is_no_trial(store):
    (store.trials / "README").write_text("x")
    assert list(store.records()) == []


@pytest.mark.parametrize("version", ["2", None, [1]])
def test_a_schema_version_that_is_no_number_is_refused(version):
    content = json.loads(record().to_json()) | {"schema_version": version}
    with pytest.raises(InvalidInput):
        Record.from_json(json.dumps(content).encode(), "here")


def test_a_nan_in_a_record_file_is_refused():
    content = json.loads(record().to_json())
    content["metrics"]["test_accuracy"] = float("nan")
    with pytest.raises(InvalidInput):
        Record.from_json(json.dumps(content).encode(), "here")


@pytest.mark.parametrize("field", ["trial", "metrics"])
def test_a_finished_record_without_what_boards_need_is_refused(field):
    content = json.loads(record().to_json()) | {field: {}}
    with pytest.raises(InvalidInput):
        build_boards([Record.from_json(json.dumps(content).encode(), "here")])


# leaderboard
def test_a_record_of_another_dataset_revision_is_left_out():
    old = record()
    old.configuration["dataset_revision"] -= 1
    assert build_boards([old])[1]


def test_markdown_outside_the_markers_keeps_its_line_ends(tmp_path):
    path = tmp_path / "a.md"
    path.write_bytes(f"a\r\n{BEGIN}\r\n{END}\r\nb\r\n".encode())
    path.write_bytes(spliced(boards_markdown(board_groups([])), surroundings(path)).encode())
    assert path.read_bytes().endswith(b"\r\nb\r\n")


def test_a_markdown_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "a.md"
    path.write_bytes(b"\xff" + f"{BEGIN}\n{END}\n".encode())
    with pytest.raises(InvalidInput):
        spliced(boards_markdown(board_groups([])), surroundings(path))


def test_a_method_name_is_no_link_in_markdown(tmp_path):
    hostile = record()
    hostile.trial["method"] = "[x](javascript:alert(1))"
    assert "[x](" not in spliced(
        boards_markdown(board_groups(build_boards([hostile])[0])), surroundings(tmp_path / "a.md")
    )


def test_missing_markers_are_found_before_anything_is_written(resonance, place, store):
    store.write(KEY, {"record.json": record().to_json()})
    (place / "R.md").write_text("none")
    assert resonance("leaderboard build --markdown R.md").code == 2
    assert not (place / "site").exists()


# configuration
def test_minus_zero_is_zero():
    a, b = (Trial.make(task="digits/mlp", method="static", sparsity=s) for s in (0.0, -0.0))
    assert a.key == b.key
    a, b = (make_trial(recipe={"momentum": m}) for m in (0.0, -0.0))
    assert a.key == b.key


def test_a_huge_integer_is_refused():
    with pytest.raises(InvalidInput):
        make_trial("rigl", hyperparameters={"update_every": 10**400})
    with pytest.raises(InvalidInput):
        make_trial(sparsity=10**400)


@pytest.mark.parametrize("field", ["seed", "threads"])
def test_a_truth_value_is_no_number(field):
    with pytest.raises(InvalidInput):
        make_trial(**{field: True})


@pytest.mark.parametrize("names", [["1"], ["1", "fc*"]])
def test_the_command_gives_a_list_back(names, resonance, monkeypatch):
    import shlex

    import typer

    from suite.cli import run as run_verb

    trial = make_trial(hyperparameters={"dense_layers": names})
    found = []

    def catch(trials, *_):
        found.extend(trials)
        raise typer.Exit

    monkeypatch.setattr(run_verb, "schedule", catch)
    resonance("", *shlex.split(trial.command())[1:])
    assert found == [trial]


def test_a_layer_named_by_a_number_can_be_kept_dense(resonance):
    assert resonance("run digits/mlp static --set dense_layers=5 --recipe epochs=1").code == 0


def test_the_command_survives_a_shell(tmp_path):
    (tmp_path / "dense_layers=fc1").write_text("")
    trial = make_trial(hyperparameters={"dense_layers": ["fc*"]})
    shown = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {trial.command()}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    assert "dense_layers=fc*" in shown


STUDY = {
    "name": "n",
    "question": "q",
    "tasks": ["digits/mlp"],
    "methods": ["static"],
    "sparsities": [0.9],
    "seeds": [0],
}


@pytest.mark.parametrize("change", [{"seeds": [True]}, {"sparsities": [False]}, {"threads": True}])
def test_a_truth_value_in_a_study_is_refused(change):
    with pytest.raises(InvalidInput):
        Study.make(**STUDY | change).trials()


def test_a_field_given_twice_in_yaml_is_refused(tmp_path):
    import yaml

    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(STUDY) + "seeds: [1, 2]\n")
    with pytest.raises(InvalidInput):
        load_study(str(path))


def test_a_field_named_cls_is_refused(tmp_path):
    import yaml

    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(STUDY) + "cls: 3\n")
    with pytest.raises(InvalidInput):
        load_study(str(path))


def test_a_misspelled_required_field_gets_the_nearest_name():
    given = {("task" if k == "tasks" else k): v for k, v in STUDY.items()}
    with pytest.raises(InvalidInput, match="unknown field 'task'"):
        Study.make(**given)


# plug-ins
def test_a_store_that_is_a_file_is_refused_by_status(resonance, place):
    (place / "taken").write_text("")
    assert resonance("status --store taken").code == 2


def test_a_store_that_is_a_file_is_answered_with_what_to_do(resonance, place):
    (place / "taken").write_text("")
    assert "--store" in resonance("run digits/mlp static --store taken").complaint


def test_a_missing_gpu_is_found_before_anything_is_written(resonance, place, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "cuda" in resonance("run digits/mlp static --device cuda").complaint
    assert list(place.iterdir()) == []


def test_a_glob_that_matches_no_layer_is_found_before_anything_is_written(resonance, place):
    assert "nope" in resonance("run digits/mlp static --set dense_layers=nope").complaint
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        "run digits/mlp static -s abc",
        "run digits/mlp static --seed 1.5",
        "run digits/mlp static --overwrite maybe",
        "nonsense",
    ],
)
def test_what_the_option_parser_refuses_is_one_line_too(resonance, line):
    assert resonance(line).complaint


def test_a_text_is_shown_as_it_was_given(resonance):
    assert "':smile:'" in resonance("run :smile: rigl").err


def test_a_name_with_a_line_end_is_refused_in_one_line(resonance):
    assert resonance("run", "a\nb", "rigl").complaint


def test_a_recipe_field_is_not_called_a_hyperparameter(resonance):
    assert "recipe" in resonance("run digits/mlp static --recipe epoch=3").err
