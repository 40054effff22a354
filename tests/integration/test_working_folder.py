"""Nothing that lies in the working folder stands in for the package, in any of its processes.

The names of its packages are ordinary words: the folder of a user may well hold them too.
"""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.results.store import Store
from tests.conftest import require
from tests.integration.conftest import Installation

NAMES = ("suite", "tasks", "baselines", "leaderboard", "tests")
STUDY = """
name: mine
question: Which suite is imported?
tasks: [digits/mlp]
methods: [static]
sparsities: [0.9]
seeds: 1
recipe: {epochs: 1}
controls_left_out: it is an example
"""
SLURM = """
from suite.execution.runner import run
from suite.execution.slurm import SlurmEngine
from suite.execution.worker_handle import WorkerConfig
from suite.experiments.study import load_study
from suite.results.store import Store

store = Store("results")
store.prepare()
settings = WorkerConfig(str(store.root.resolve()))
engine = SlurmEngine(settings, {"timeout_min": 5}, 1, 0, None, cluster="local")
summary = run(load_study("mine.yaml").trials(), store, engine, lambda trial, record: None, 0)
assert (summary.done, summary.failed) == (1, []), summary
"""
NOTEBOOK = """
from suite import load_results, run_study
print(run_study("mine.yaml", workers=1).done, load_results().height)
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a user's folder with packages of our names, none of which can be imported."""
    folder = tmp_path / "project"
    for name in NAMES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('the user's {name}')")
    (folder / "mine.yaml").write_text(STUDY)
    return folder


@pytest.fixture
def resonance(installation, folder) -> Callable[..., str]:
    """Return a function that runs a line of the installed command in the user's folder."""

    def run(how: str, line: str, **more: str) -> str:
        installed: Installation = installation(how)
        done = installed.run(["resonance", *line.split()], folder, more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def script(installation, folder, tmp_path) -> Callable[..., str]:
    """Return a function that runs a script, which lies elsewhere, in the user's folder."""

    def run(code: str, **more: str) -> str:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "script.py").write_text(code)
        words = ["python", tmp_path / "bin" / "script.py"]
        done = installation("wheel").run(words, folder, more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def methods_in(folder: Path) -> list[str]:
    return sorted(record.trial["method"] for record in Store(folder / "results").read_all()[0])


def test_every_verb_works_beside_packages_of_our_names(resonance, folder):
    resonance("wheel", "run digits/mlp set -s 0.9 --recipe epochs=1")
    # A process of ours talks to W&B.
    study = "study mine.yaml --workers 1 --wandb offline"
    shown = resonance("wheel", study, WANDB_SILENT="true")
    assert "1 finished, 0 failed" in shown
    assert "W&B: 1 run under" in shown
    assert methods_in(folder) == ["set", "static"]
    resonance(
        "wheel",
        "tune rigl --task digits/mlp --budget 2 --seeds 1 --final-seeds 1 --recipe epochs=1 "
        "--workers 2",
    )
    # Bundles are read, and pages of trials are written, in further processes.
    resonance("wheel", "submit --study mine --name me --out mine.jsonl.gz")
    resonance("wheel", "leaderboard check mine.jsonl.gz")
    resonance("wheel", "leaderboard build --shipped --out site")
    assert (folder / "site" / "index.html").is_file()
    assert len(list((folder / "site" / "trials").glob("*.html"))) > 200


def test_every_kind_of_process_of_an_editable_installation_is_ours(resonance, folder):
    """The command; a worker and its server; what talks to W&B; what reads bundles; page writers.

    Where the packages lie in no folder that Python searches by itself, each is told of it.
    """
    study = "study mine.yaml --workers 1 --wandb offline"
    assert "W&B: 1 run under" in resonance("editable", study, WANDB_SILENT="true")
    assert methods_in(folder) == ["static"]
    resonance("editable", "submit --study mine --name me --out mine.jsonl.gz")
    resonance("editable", "leaderboard build --with mine.jsonl.gz --out site")
    assert len(list((folder / "site" / "trials").glob("*.html"))) == 1


def test_a_ray_task_is_ours(installation, folder):
    require("ray", importlib.util.find_spec("ray") is not None, "the extra ray")
    words = ["resonance", "study", "mine.yaml", "--engine", "ray", "--workers", "1"]
    done = installation("wheel").run(words, folder)
    assert "1 finished, 0 failed" in done.stdout, done.stdout + done.stderr


def test_a_slurm_job_is_ours(script, folder, tmp_path):
    require("submitit", importlib.util.find_spec("submitit") is not None, "the extra slurm")
    script(SLURM, HOME=str(tmp_path))
    assert methods_in(folder) == ["static"]


def test_a_script_finds_our_tasks_beside_its_own(script, folder):
    assert script(NOTEBOOK).split() == ["1", "1"]


def test_a_program_started_with_c_finds_our_tasks_beside_its_own(installation, folder):
    """As a notebook, it searches the working folder first."""
    (folder / "suite" / "__init__.py").unlink()
    (folder / "suite").rmdir()
    done = installation("wheel").run(["python", "-c", NOTEBOOK], folder)
    assert done.stdout.split() == ["1", "1"], done.stderr


def test_a_package_of_our_name_that_was_imported_before_is_named(installation, folder):
    (folder / "tasks" / "__init__.py").write_text("")
    done = installation("wheel").run(["python", "-c", "import tasks, baselines"], folder)
    assert "the user's baselines" in done.stderr  # the user's own come first as long as ours do not
    (folder / "suite" / "__init__.py").unlink()
    (folder / "suite").rmdir()
    done = installation("wheel").run(["python", "-c", "import tasks, suite"], folder)
    assert f"'tasks', but {folder / 'tasks' / '__init__.py'} was imported" in done.stderr


def test_pythonpath_of_the_user_reaches_trials_and_nothing_else_changes(script, folder, tmp_path):
    """A worker has the variables of the command, without those that its start needed."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "helper.py").write_text("VALUE = 7")
    (folder / "plugin.py").write_text(ENVIRONMENT_PLUGIN)
    code = 'from suite import run_study; run_study("mine.yaml", workers=1, plugins=["plugin.py"])'
    study = STUDY.replace("[static]", "[{name: told}]")
    (folder / "mine.yaml").write_text(study)
    script(code, PYTHONPATH=str(tmp_path / "own"))
    told = json.loads((folder / "told.json").read_text())
    assert told == {"PYTHONPATH": str(tmp_path / "own"), "PYTHONSAFEPATH": None, "VALUE": 7}


ENVIRONMENT_PLUGIN = """
import json
import os
from pathlib import Path

from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method("told", "this test", title="t", summary="t", implementation="Told", family="t")


class Told(Sparsifier):
    def start(self):
        import helper

        self.draw_masks()
        told = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
        Path("told.json").write_text(json.dumps(told | {"VALUE": helper.VALUE}))
"""
