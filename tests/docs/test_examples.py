"""Every example runs as its text says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from suite.experiments import registry

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_in_the_table_of_examples():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in EXAMPLES.iterdir()} - {"README.md", "wine.csv"}
    assert all(f"[{name}" in text for name in names)


def test_a_loop_of_ones_own_trains_a_sparse_network(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXAMPLES / "own_loop.py")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "sparsity 0.9500" in done.stdout
    last = next(line for line in done.stdout.splitlines() if line.startswith("epoch 30"))
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
