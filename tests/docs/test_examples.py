"""Every example runs as its text says."""

import functools
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from torch import nn

from suite.core.declarations import Method
from suite.experiments import registry
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from tests.docs.collector import collect
from tests.support.helpers import OPTIMIZERS, PLAN, conv_net, fit
from tests.support.updates import WithSpare, grown_places

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_in_the_table_of_examples():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in EXAMPLES.iterdir()} - {"README.md", "wine.csv"}
    assert all(f"[{name}" in text for name in names)


def test_a_loop_of_ones_own_trains_a_sparse_network(place, capsys):
    runpy.run_path(str(EXAMPLES / "own_loop.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "sparsity 0.9500" in printed
    last = next(line for line in printed.splitlines() if line.startswith("epoch 30"))
    assert float(last.split()[-1]) > 0.9


def test_a_method_in_a_package_is_found_through_its_entry_point(tmp_path, monkeypatch, resonance):
    # What `pip install` leaves: the module, and metadata that names the entry point.
    shutil.copy(EXAMPLES / "noisy_rigl" / "noisy_rigl.py", tmp_path)
    metadata = tmp_path / "noisy_rigl-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy-rigl\nVersion: 0.1.0\n")
    project = (EXAMPLES / "noisy_rigl" / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.entry-points.resonance_bench]\n")[2].partition("\n\n")[0]
    (metadata / "entry_points.txt").write_text(
        "[resonance_bench]\n" + section.replace('"', "") + "\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.use_plugins([])
    assert "temperature" in resonance("info noisy_rigl").out
    ran = resonance("run digits/mlp noisy_rigl --recipe epochs=5 --set update_every=20")
    assert ran.code == 0, ran.err


def own_methods() -> dict[str, Callable[..., Sparsifier]]:
    """Return what makes each method that the pages and the examples show, by name."""
    texts = [piece.text for piece in collect() if re.search("^METHOD = ", piece.text, re.MULTILINE)]
    texts.append((EXAMPLES / "noisy_rigl" / "noisy_rigl.py").read_text(encoding="utf-8"))
    found = {}
    for text in texts:
        scope: dict[str, Any] = {"__name__": "shown"}
        exec(text, scope)
        declared = scope["METHOD"]
        found[declared.name] = functools.partial(made, scope[declared.implementation], declared)
    return found


def made(method: type[Sparsifier], declared: Method, plan: Plan, **options: Any) -> Sparsifier:
    return method(plan, declared.resolve(options))


@pytest.mark.parametrize("name", ["saliency", "taylor", "noisy_rigl"])
def test_a_method_that_is_shown_leaves_a_layer_alone_that_no_pass_reaches(name):
    model = WithSpare(conv_net())
    optimizer = OPTIMIZERS["sgd"](model)
    method = own_methods()[name](PLAN, update_every=10)
    method.attach(model, optimizer)
    grown = grown_places(
        method, lambda step: fit(model, optimizer, method, start=step - 1, stop=step)
    )
    assert grown.pop("spare") == 0
    assert sum(grown.values()) > 0
    assert method.sparsity_errors() == ""


def test_a_method_that_is_shown_grows_at_random():
    """Places just after a kept weight, or before it, grow as often as there are of them."""
    beside, expected, variance = [0, 0], [0.0, 0.0], [0.0, 0.0]
    for seed in range(20):
        model = nn.Sequential(nn.Linear(50, 40))
        method = own_methods()["random_walk"](Plan(2000, 0.8, seed, 0), moved_fraction=1 / 3)
        method.attach(model, torch.optim.SGD(model.parameters(), 0.1))
        (layer,) = method.layers
        mask = layer.mask.flatten().clone()
        method.update(1000)
        after = layer.mask.flatten()
        kept, grown = mask & after, after & ~mask
        for side, shift in enumerate((1, -1)):
            places = ~mask & kept.roll(shift)
            share = float(places.sum() / (~mask).sum())
            beside[side] += int((grown & places).sum())
            expected[side] += share * int(grown.sum())
            variance[side] += share * (1 - share) * int(grown.sum())
    for side in (0, 1):
        assert expected[side] > 100
        assert abs(beside[side] - expected[side]) < 4 * variance[side] ** 0.5


def test_a_table_of_ones_own_is_a_task(resonance):
    ran = resonance("run rigl -s 0.8 --recipe epochs=3 --task-file", EXAMPLES / "wine.yaml")
    assert ran.code == 0, ran.err


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    notebook = nbformat.read(EXAMPLES / "explore_results.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    written = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "all tasks:" in written


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_for_colab_needs_no_data(tmp_path, monkeypatch):
    monkeypatch.delenv("RESONANCE_STORE", raising=False)
    notebook = nbformat.read(EXAMPLES / "colab.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    written = "".join(output.get("text", "") for output in outputs)
    assert "sparsity 0.9500" in written
    assert "15 trained, 0 failed" in written
    assert "95 % from" in written
    assert "altair-viz" in str(outputs[-1]["data"])
    assert "pip" not in written, "it is installed already"


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_of_the_python_api_trains_and_compares(tmp_path, monkeypatch):
    monkeypatch.delenv("RESONANCE_STORE", raising=False)
    for name in ("tasks", "baselines"):  # of the user's own, beside the notebook
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    notebook = nbformat.read(EXAMPLES / "python_api.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    written = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "0 done before, 18 finished, 0 failed" in written
    assert "digits/mlp (epochs=2, batch_size=8) s=0.98" in written
    assert "unknown method 'rigll': did you mean rigl" in written
