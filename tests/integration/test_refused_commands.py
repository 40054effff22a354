import gzip
import math
import struct
from pathlib import Path

import pytest

from tasks.datasets import idx as idx_files
from tasks.datasets.idx import FILES
from tasks.loading import load_arrays
from tests.support.cli_runner import Command


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty folder, with nothing set from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("RESONANCE_STORE", "RESONANCE_PLUGINS", "RESONANCE_DATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def resonance(place, monkeypatch, capsys) -> Command:
    return Command(monkeypatch, capsys)


RUN = "run digits/mlp rigl"
REFUSED = [
    ("run digits/mpl rigl", ["unknown task 'digits/mpl'", "digits/mlp", "resonance list tasks"]),
    ("run digits/mlp riggl", ["unknown method 'riggl'", "rigl", "resonance list methods"]),
    ("study quikstart", ["unknown study 'quikstart'", "quickstart", "resonance list studies"]),
    ("study nowhere.yaml", ["nowhere.yaml cannot be read"]),
    (f"{RUN} --set drop_fractoin=0.3", ["'drop_fractoin'", "drop_fraction", "info rigl"]),
    (f"{RUN} --recipe epoch=3", ["'epoch'", "epochs", "info digits/mlp"]),
    (f"{RUN} -s 1.0", ["sparsity=1 ", "[0, 1)"]),
    (f"{RUN} -s -0.1", ["sparsity=-0.1 ", "[0, 1)"]),
    (f"{RUN} -s nan", ["sparsity=nan ", "[0, 1)"]),
    (f"{RUN} -s inf", ["sparsity=inf ", "[0, 1)"]),
    ("run digits/mlp dense -s 0.5", ["dense takes none"]),
    (
        "run digits/mlp resonance --set window=64 --recipe epochs=1",
        ["window=64 gradients", "30 steps", "at most 28"],
    ),
    ("run digits/mlp resonance --set window=33", ["window=33 must be even", "34"]),
    ("run digits/mlp resonance --set window=4", ["window=4 ", "from 8 to 4096"]),
    ("run digits/mlp resonance --set window=soon", ["window='soon' ", "from 8 to 4096"]),
    ("run digits/mlp resonance --set cooldown=-1", ["cooldown=-1 ", "at least 0, or 'auto'"]),
    ("run digits/mlp resonance --set cooldown=99999", ["cooldown=99999 ", "or auto"]),
    ("run digits/mlp lottery_ticket --set rewind_step=99999", ["rewind_step=99999 ", "give 0 to"]),
    (f"{RUN} --set replace_step=1", ["replace_step=1 ", "true or false"]),
    (f"{RUN} --set distribution=erq", ["distribution='erq' ", "erk, er, uniform"]),
    (f"{RUN} --set drop_fraction=nan", ["drop_fraction=nan ", "from 0 to 1"]),
    (f"{RUN} --set drop_fraction", ["--set drop_fraction", "name=value"]),
    (f"{RUN} --set =0.3", ["--set =0.3", "name=value"]),
    (f"{RUN} --set drop_fraction=0.3 --set drop_fraction=0.4", ["drop_fraction", "twice"]),
    (f"{RUN} --recipe epochs", ["--recipe epochs", "name=value"]),
    (f"{RUN} --recipe epochs=0", ["epochs=0 ", "at least 1"]),
    (f"{RUN} --recipe optimizer=lion", ["optimizer='lion' ", "sgd, adam, adamw"]),
    (f"{RUN} --recipe batch_size=5000", ["batch_size=5000 ", "give at most"]),
    (f"{RUN} --seed -1", ["seed=-1"]),
    (f"{RUN} --seed 2147483648", ["seed=2147483648"]),
    (f"{RUN} --device tpu", ["device='tpu'", "cpu", "cuda"]),
    (f"{RUN} --threads 0", ["threads=0"]),
    (f"{RUN} --set dense_layers=nope", ["'nope' matches no layer"]),
    (f"{RUN} -s much", ["--sparsity", "number"]),
    (f"{RUN} --seed 1.5", ["--seed", "integer"]),
    (f"{RUN} --overwrite maybe", ["'maybe'", "never", "failed", "always"]),
    (f"{RUN} --sparcity 0.9", ["No such option", "--sparcity"]),
    ("run digits/mlp", ["a method is missing", "list methods"]),
    ("study quickstart --workers 0", ["--workers"]),
    ("rum digits/mlp rigl", ["No such command 'rum'"]),
    ("list method", ["unknown kind 'method'", "methods"]),
    ("info riggl", ["unknown name 'riggl'", "rigl"]),
    ("--plugin nowhere.py list methods", ["nowhere.py", "no such file"]),
    ("status nowhere", ["unknown study 'nowhere'"]),
    ("leaderboard build", ["holds no trials", "resonance study quickstart"]),
]


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=[line for line, _ in REFUSED])
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(resonance, place, line, words):
    result = resonance(line)
    for word in words:
        assert word in result.complaint
    assert list(place.iterdir()) == []


STUDY = """
name: mine
question: Does it work?
tasks: [digits/mlp]
methods: [static]
sparsities: [0.9]
seeds: 1
recipe: {epochs: 1}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds: 1", "seeds: []", ["study mine is empty", "at least one task"]),
        ("seeds: 1", "seeds: 0", ["study mine.yaml: seeds=0", "at least 1"]),
        ("[static]", "[]", ["study mine.yaml: study mine is empty"]),
        ("seeds: 1", "seeds: [-1]", ["study mine.yaml: seeds: -1", "at least 0"]),
        ("seeds: 1", "", ["'seeds' is missing"]),
        ("[0.9]", "[1.0]", ["sparsity=1 ", "[0, 1)"]),
        ("[0.9]", "[-0.1]", ["sparsity=-0.1 "]),
        ("[0.9]", "[.nan]", ["sparsity=nan "]),
        ("sparsities: [0.9]", "", ["static needs a sparsity"]),
        ("digits/mlp", "digits/mpl", ["unknown task 'digits/mpl'", "digits/mlp"]),
        ("[static]", "[statc]", ["unknown method 'statc'", "static"]),
        ("[static]", "[{name: static, set: {windw: 3}}]", ["'windw' of static"]),
        ("epochs: 1", "epoch: 1", ["'epoch'", "epochs"]),
        ("recipe:", "recipes:", ["unknown field 'recipes'", "recipe"]),
        ("[digits/mlp]", "[digits/mlp", ["is not valid YAML", "line"]),
        ("[static]", "[resonance]", ["window=32 gradients", "give a window of at most"]),
    ],
)
def test_a_study_that_cannot_run_is_one_line_and_nothing_is_written(
    resonance, place, old, new, words
):
    text = STUDY.replace(old, new)
    assert text != STUDY
    (place / "mine.yaml").write_text(text)
    result = resonance("study mine.yaml")
    for word in words:
        assert word in result.complaint
    assert [path.name for path in place.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    "line", ["run digits/mlp static", "study quickstart", "status", "leaderboard build"]
)
def test_a_store_that_is_a_file_is_refused_and_left_as_it_is(resonance, place, line):
    (place / "taken").write_text("mine")
    result = resonance(f"{line} --store taken")
    assert "taken" in result.complaint
    assert (place / "taken").read_text() == "mine"
    assert len(list(place.iterdir())) == 1


def test_a_missing_gpu_is_found_before_anything_is_written(resonance, place, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    complaint = resonance(f"{RUN} --device cuda").complaint
    assert "no GPU" in complaint
    assert "--device cpu" in complaint
    assert list(place.iterdir()) == []


# ---------------------------------------------------------------- data


def idx(shape: tuple[int, ...]) -> bytes:
    """Return an IDX file of zeros."""
    header = b"\x00\x00\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return header + bytes(math.prod(shape))


SHAPES = ((20, 28, 28), (20,), (10, 28, 28), (10,))
CUT_STREAM = gzip.compress(idx(SHAPES[0]))[:-20]
CUT_PAYLOAD = gzip.compress(idx(SHAPES[0])[:-1])
TOO_LONG = gzip.compress(idx(SHAPES[0]) + b"\x00")
NOT_IDX = gzip.compress(b"<html>not found</html>")
NOT_GZIP = b"<html>not found</html>"


@pytest.fixture
def data(place, monkeypatch):
    """Return a folder of MNIST's four files, all zero and far too small."""
    folder = place / "data" / "mnist"
    folder.mkdir(parents=True)
    for name, shape in zip(FILES, SHAPES, strict=True):
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(shape)))
    monkeypatch.setenv("RESONANCE_DATA", str(place / "data"))
    load_arrays.cache_clear()
    yield folder
    load_arrays.cache_clear()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CUT_STREAM, "cannot be read"),
        (CUT_PAYLOAD, "is cut short or too long"),
        (TOO_LONG, "is cut short or too long"),
        (NOT_IDX, "is not an IDX file"),
        (NOT_GZIP, "cannot be read"),
        (b"", "is not an IDX file"),
        (gzip.compress(b""), "is not an IDX file"),
    ],
    ids=["cut stream", "cut payload", "too long", "not IDX", "not gzip", "empty", "empty gzip"],
)
def test_a_damaged_data_file_is_named_with_what_to_do(resonance, place, data, content, words):
    damaged = data / f"{FILES[0]}.gz"
    damaged.write_bytes(content)
    complaint = resonance("run mnist/lenet_300_100 static").complaint
    assert str(damaged) in complaint
    assert words in complaint
    assert "delete it and fetch it again" in complaint
    assert not (place / "results").exists()


def test_data_of_another_size_than_declared_is_refused(resonance, place, data):
    complaint = resonance("run mnist/lenet_300_100 static").complaint
    assert "(20, 1, 28, 28)" in complaint
    assert "(60000, 1, 28, 28)" in complaint
    assert not (place / "results").exists()


def test_a_data_file_need_not_be_compressed(resonance, data):
    for name, shape in zip(FILES, SHAPES, strict=True):
        (data / f"{name}.gz").unlink()
        (data / name).write_bytes(idx(shape))
    assert "(20, 1, 28, 28)" in resonance("run mnist/lenet_300_100 static").complaint


@pytest.mark.parametrize(
    ("task", "name", "hint"),
    [
        ("mnist/lenet_300_100", "MNIST", "/usr/share/datasets/mnist"),
        ("fashion_mnist/lenet_5", "FashionMNIST", "dataset-fashion-mnist"),
    ],
)
def test_missing_data_is_answered_with_all_three_ways_to_get_it(
    resonance, place, monkeypatch, task, name, hint
):
    from torchvision import datasets

    monkeypatch.setattr(idx_files, "find", lambda dataset: None)
    no_mirror = [f"{(place / 'nowhere').as_uri()}/"]
    monkeypatch.setattr(getattr(datasets, name), "mirrors", no_mirror)
    monkeypatch.setenv("HOME", str(place))
    load_arrays.cache_clear()
    complaint = resonance(f"run {task} static").complaint
    assert "RESONANCE_DATA" in complaint
    assert hint in complaint
    assert "network" in complaint
    assert not (place / "results").exists()
