"""Results belong to the code and the data that made them: an edit is seen, and is said.

Played through the command, as a user would: run, edit, run again.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import PIL.Image
import polars as pl
import pytest

from suite.experiments import registry
from suite.results.store import Store
from tests.support.cli_runner import Result

METHOD = '''
"""A method of one's own."""
{imports}
import torch
from suite.core.declarations import Method
from suite.core.hyperparameters import DROP_FRACTION, LAYERWISE, UPDATE_END, UPDATE_EVERY
from suite.sparsity.drop_grow import DropGrow

METHOD = Method(
    "wander", "this test", title="Wander", summary="drops and grows", implementation="Wander",
    family="sparse to sparse",
    hyperparameters=(*LAYERWISE, UPDATE_EVERY, DROP_FRACTION, UPDATE_END),
)


class Wander(DropGrow):
    def drop_scores(self, layer, step):
        return {sign} * layer.values.abs()

    def grow_scores(self, layer, step):
        return torch.rand(layer.shape, generator=self.generator(layer, "grow", step))
'''
STUDY = """
name: mine
question: does it help?
plugins: [my_method.py]
tasks: [digits/mlp]
methods: [{name: wander, set: {update_every: 5}}]
controls_left_out: they are not needed here
sparsities: [0.9]
seeds: 1
recipe: {epochs: 1}
"""
RUN = "run digits/mlp wander --set update_every=5 --recipe epochs=1"
TASK = """
name: own/net
data: {data}
model: {model}
recipe: {{epochs: 2, batch_size: 8, validation: 0.2}}
"""
MLP = "mlp\nmodel_options: {hidden: [4]}"
NET = """
from torch import nn
from {helper} import WIDTH


class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.LazyLinear(WIDTH), nn.ReLU(), nn.Linear(WIDTH, classes)
        )
        self.net[1] = nn.Linear(shape[0], WIDTH)

    def forward(self, x):
        return self.net(x)
"""


def method(place: Path, sign: str = "1", imports: str = "") -> Path:
    """Write the plug-in."""
    path = place / "my_method.py"
    path.write_text(METHOD.format(sign=sign, imports=imports))
    return path


def record_of(result: Result) -> dict[str, Any]:
    """Return what a run with --json printed."""
    assert result.code == 0, result.err
    record: dict[str, Any] = json.loads(result.out)
    return record


def table(place: Path) -> None:
    """Write a small table."""
    rows = [f"{i % 7},{i % 5},{'ab'[i % 2]}" for i in range(60)]
    (place / "data.csv").write_text("\n".join(["x,y,target", *rows]))


# ------------------------------------------------------------------ code


def test_a_method_whose_sign_is_flipped_is_run_again_and_the_older_result_is_marked(
    resonance, place, store
):
    plugin = method(place)
    first = resonance(f"--plugin {plugin} {RUN} --json")
    assert first.code == 0, first.err
    assert "done before" in resonance(f"--plugin {plugin} {RUN}").out
    plugin.write_text("# a comment, and other line ends\n" + plugin.read_text() + "\n\n")
    assert "done before" in resonance(f"--plugin {plugin} {RUN}").out

    method(place, sign="-1")
    (place / "study.yaml").write_text(STUDY)
    status = resonance("status study.yaml")
    assert "0 done, 0 failed, 1 to run" in status.out
    assert "1 of older code or data (my_method.py changed): run again" in status.out
    (changed,) = record_of(resonance("status study.yaml --json"))["older"].values()
    assert changed == ["my_method.py"]
    dry = resonance("study study.yaml --dry-run")
    assert "1 of older code or data (my_method.py changed): run again" in dry.out

    second = resonance(f"--plugin {plugin} {RUN} --json")
    old, new = json.loads(first.out), json.loads(second.out)
    assert old["key"] != new["key"]
    assert old["digests"]["mask"] != new["digests"]["mask"]
    assert old["code"].keys() == new["code"].keys() == {"my_method.py"}

    built = resonance(f"--plugin {plugin} leaderboard build --out site")
    assert built.code == 0, built.err
    rows = pl.read_csv(place / "site" / "leaderboard.csv", schema_overrides={"older_code": str})
    labels = dict(rows.filter(pl.col("method") == "wander")[["older_code", "test_accuracy"]].rows())
    older = old["declared"]["method"]["code"][:6]
    assert labels == {
        "": pytest.approx(new["metrics"]["test_accuracy"]),
        older: pytest.approx(old["metrics"]["test_accuracy"]),
    }
    assert (
        f"Wander (update\\_every=5) (older code {older})"
        in (place / "site" / "leaderboard.md").read_text()
    )
    compared = resonance(f"--plugin {plugin} compare wander wander@{older}")
    assert compared.code == 0, compared.err

    # Turned back, the first result is the current one again, and nothing is run.
    method(place)
    assert "done before" in resonance(f"--plugin {plugin} {RUN}").out


def test_an_edited_helper_is_noticed_and_named(resonance, place, store):
    tools = place / "tools"
    tools.mkdir()
    (tools / "__init__.py").write_text("")
    (tools / "signs.py").write_text("from . import deep\nSIGN = deep.SIGN\n")
    (tools / "deep.py").write_text("SIGN = 1\n")
    plugin = method(place, sign="SIGN", imports="from tools.signs import SIGN")
    first = record_of(resonance(f"--plugin {plugin} {RUN} --json"))
    assert first["code"].keys() == {"my_method.py", "tools", "tools.signs", "tools.deep"}
    (tools / "deep.py").write_text("SIGN = -1\n")
    (place / "study.yaml").write_text(STUDY)
    assert "(tools.deep changed)" in resonance("status study.yaml").out
    second = record_of(resonance(f"--plugin {plugin} {RUN} --json"))
    assert first["digests"]["mask"] != second["digests"]["mask"]


def test_an_edited_helper_of_a_task_s_own_model_is_noticed(resonance, place, store):
    table(place)
    (place / "net.py").write_text(NET.format(helper="net_widths"))
    (place / "net_widths.py").write_text("WIDTH = 6\n")
    data = "{format: table, path: data.csv, target: target}"
    (place / "own.yaml").write_text(TASK.format(data=data, model="net.py:Net"))
    run = "--plugin own.yaml run own/net static -s 0.5 --json"
    first = record_of(resonance(run))
    (place / "net_widths.py").write_text("WIDTH = 9\n")
    second = record_of(resonance(run))
    assert first["key"] != second["key"]
    assert [r["layers"][0]["shape"][0] for r in (first, second)] == [6, 9]
    assert first["code"].keys() == {"net.py", "net_widths"}
    assert first["declared"]["task"]["metric"] == "accuracy"


def test_a_study_s_workers_run_the_code_that_was_planned(resonance, place, store):
    """In worker processes, from the console's point of view: helper found, then noticed."""
    (place / "worker_signs.py").write_text("SIGN = 1\n")
    method(place, sign="SIGN", imports="from worker_signs import SIGN")
    (place / "study.yaml").write_text(STUDY)
    ran = resonance("study study.yaml --workers 1")
    assert ran.code == 0, ran.err
    assert "1 finished, 0 failed" in ran.out
    (place / "worker_signs.py").write_text("SIGN = -1\n")
    again = resonance("study study.yaml --workers 1")
    assert "0 done · 1 to run · 1 of older code or data (worker_signs changed)" in again.out
    assert "1 finished, 0 failed" in again.out
    assert len(store.keys()) == 2


def test_a_module_that_is_imported_by_name_at_run_time_is_recorded_with_a_warning(
    resonance, place, store
):
    (place / "hidden_signs.py").write_text("SIGN = 1\n")
    plugin = method(
        place,
        sign="importlib.import_module('hidden' + '_signs').SIGN",
        imports="import importlib",
    )
    record = record_of(resonance(f"--plugin {plugin} {RUN} --json"))
    assert record["unseen"] == ["hidden_signs"]
    (note,) = [note for note in record["notes"] if "run time" in note]
    assert "hidden_signs" in note
    assert "import it with an import statement" in note


def test_two_plugins_of_one_stem_and_their_helpers_do_not_mix(resonance, place, store):
    for folder in ("a", "b"):
        (place / folder).mkdir()
        text = METHOD.format(sign="1", imports="").replace('"wander"', f'"wander_{folder}"')
        (place / folder / "my_method.py").write_text(text + f"\nMARK = '{folder}'\n")
    plugins = f"--plugin {place}/a/my_method.py --plugin {place}/b/my_method.py"
    run = "digits/mlp wander_{} --set update_every=5 --recipe epochs=1 --json"
    one, two = (record_of(resonance(f"{plugins} run {run.format(x)}")) for x in "ab")
    assert one["code"] != two["code"]

    for folder in ("a", "b"):
        (place / folder / "shared_helper.py").write_text("SIGN = 1\n")
        path = place / folder / "my_method.py"
        path.write_text("import shared_helper\n" + path.read_text())
    refused = resonance(f"{plugins} run {run.format('b')}")
    assert "imports 'shared_helper'" in refused.complaint
    assert "rename" in refused.complaint


def test_nothing_of_a_plugin_s_folder_shadows_a_package(resonance, place, store):
    for name in ("torch", "suite", "numpy", "json"):
        (place / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    plugin = method(place, imports="import json, numpy")
    ran = resonance(f"--plugin {plugin} {RUN} --json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["code"].keys() == {"my_method.py"}


def test_the_keys_of_the_suite_s_own_trials_cover_no_code(resonance, place, store):
    record = record_of(resonance("run digits/mlp static --recipe epochs=1 --json"))
    assert not {"code", "unseen", "declared"} & record.keys()
    assert "code" not in record["configuration"]


# ------------------------------------------------------------------ data


def saved(path: Path, flip: bool) -> None:
    """Save inputs and labels; with `flip` the labels are the others, in the same shapes."""
    import torch

    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    torch.save({"x": x, "y": (x[:, 0] > 0).long() ^ int(flip)}, path)


LOADER = """
from pathlib import Path

import torch

CONTENT = torch.load(Path(__file__).with_name("data.pt"), weights_only=True)


def part(start, stop):
    x, y = CONTENT["x"][start:stop], CONTENT["y"][start:stop]
    return torch.utils.data.TensorDataset(x, y)


def training():
    return part(0, 40)


def testing():
    return part(40, 60)
"""


@pytest.mark.parametrize("path", ["", ", path: data.pt", ", path: [data.pt]"])
def test_a_replaced_data_file_of_the_same_shape_is_other_data(resonance, place, store, path):
    (place / "pt_loader.py").write_text(LOADER)
    data = f"{{format: torch, train: pt_loader.py:training, test: pt_loader.py:testing{path}}}"
    (place / "own.yaml").write_text(TASK.format(data=data, model=MLP))
    run = "--plugin own.yaml run own/net static -s 0.5 --json"
    saved(place / "data.pt", flip=False)
    first = record_of(resonance(run))
    _as_in_a_new_process(place)
    assert record_of(resonance(run))["key"] == first["key"]
    saved(place / "data.pt", flip=True)
    _as_in_a_new_process(place)
    second = record_of(resonance(run))
    assert first["key"] != second["key"]
    assert first["data"]["fingerprint"] != second["data"]["fingerprint"]
    assert first["data"]["checksum"] != second["data"]["checksum"]


def _as_in_a_new_process(place: Path) -> None:
    """Let the loader be imported again, although its own file is as it was."""
    import suite.core.discovery as discovery

    discovery._loaded_files.pop(str(place / "pt_loader.py"), None)
    from tasks.loading import load_arrays, load_data

    load_arrays.cache_clear()
    load_data.cache_clear()


def test_changed_pixels_in_a_file_of_the_same_size_and_time_are_other_data(
    resonance, place, store, monkeypatch
):
    monkeypatch.setenv("RESONANCE_CACHE", str(place / "cache"))
    for number in range(24):
        folder = place / "pictures" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        color = (number, 0, 0) if number % 2 else (0, number, 0)
        PIL.Image.new("RGB", (4, 4), color).save(folder / f"{number}.bmp")
    data = "{format: images, path: pictures, test: 0.25}"
    (place / "own.yaml").write_text(TASK.format(data=data, model=MLP))
    run = "--plugin own.yaml run own/net static -s 0.5 --json"
    long_ago = time.time() - 1000
    for path in (place / "pictures").rglob("*.bmp"):
        os.utime(path, (long_ago, long_ago))
    first = record_of(resonance(run))
    assert record_of(resonance(run))["key"] == first["key"]
    changed = place / "pictures" / "a" / "0.bmp"
    before = changed.stat()
    PIL.Image.new("RGB", (4, 4), (255, 255, 255)).save(changed)
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changed.stat().st_size == before.st_size
    second = record_of(resonance(run))
    assert first["key"] != second["key"]
    (place / "study.yaml").write_text(
        "name: s\nquestion: q?\nplugins: [own.yaml]\ntasks: [own/net]\nmethods: [static]\n"
        "controls_left_out: x\nsparsities: [0.5]\nseeds: 1\n"
    )
    PIL.Image.new("RGB", (4, 4), (128, 255, 255)).save(changed)
    status = resonance("status study.yaml")
    assert "1 of older code or data (data of own/net changed): run again" in status.out


def test_a_dataset_declared_in_python_covers_the_files_that_its_options_name(
    resonance, place, store
):
    (place / "own_task.py").write_text(
        """
from tasks.task import Dataset, Task

DATASET = Dataset(
    "own", "me", title="Own", load=":load", shape=(2,), classes=2, train=40, test=20, mean=(0.0,),
    std=(1.0,), options={"file": "numbers.csv"},
)
TASK = Task("own/mlp", "me", title="Own MLP", dataset="own", model="tasks.models.mlp:mlp",
            model_options={"hidden": (4,)}, recipe={"epochs": 1, "batch_size": 8})


def load(dataset):
    import torch
    from pathlib import Path
    from tasks.data import Arrays

    text = Path(__file__).with_name(dataset.options["file"]).read_text()
    x = torch.tensor([[float(v) for v in line.split(",")] for line in text.split()])
    y = (x[:, 0] > 0).long()
    return Arrays(x[:40], y[:40], x[40:], y[40:])
"""
    )
    run = f"--plugin {place}/own_task.py run own/mlp static -s 0.5 --json"
    numbers = place / "numbers.csv"
    numbers.write_text("\n".join(f"{(-1) ** i * i},{i}" for i in range(60)))
    first = record_of(resonance(run))
    assert record_of(resonance(run))["key"] == first["key"]
    numbers.write_text("\n".join(f"{(-1) ** (i // 2) * i},{i}" for i in range(60)))
    assert record_of(resonance(run))["key"] != first["key"]


# ------------------------------------------------------------------ without the plug-in


def test_a_leaderboard_without_the_plugin_knows_its_title_and_source(resonance, place, store):
    method(place)
    table(place)
    data = "{format: table, path: data.csv, target: target}"
    own = TASK.format(data=data, model=MLP) + "title: A table of ours\nsource: our laboratory\n"
    (place / "own.yaml").write_text(own)
    study = STUDY.replace("my_method.py", "my_method.py, own.yaml").replace(
        "digits/mlp", "digits/mlp, own/net"
    )
    (place / "study.yaml").write_text(study)
    ran = resonance("study study.yaml --engine inline")
    assert ran.code == 0, ran.err + ran.out
    registry._plugins.clear()  # as in a process of its own
    built = resonance("leaderboard build --out site")
    assert built.code == 0, built.err
    page = (place / "site" / "leaderboard.md").read_text()
    assert "| Wander (wander) (update\\_every=5) |" in page
    assert "not installed here" not in page
    method_page = next((place / "site" / "methods").glob("wander*.html")).read_text()
    assert "this test" in method_page
    assert "sparse to sparse" in method_page
    pages = [p.read_text() for p in (place / "site" / "tasks").glob("own*.html")]
    assert len(pages) == 1
    assert "A table of ours" in pages[0]
    assert "our laboratory" in pages[0]


def test_records_of_code_survive_merge_verify_and_compact(resonance, place, store):
    method(place)
    assert resonance(f"--plugin my_method.py {RUN}").code == 0
    registry._plugins.clear()
    merged = resonance("store merge results other")
    assert merged.code == 0, merged.err
    assert resonance("store verify --store other").code == 0
    assert resonance("store compact --store other").code == 0
    (record,) = Store("other").records()
    assert record.settings_key == record.key
    assert record.declared is not None
    assert record.declared.method is not None
    assert record.declared.method.title == "Wander"
