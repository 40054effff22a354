"""Kinds of input: how a random one is made of a sound one, and what reads it."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from leaderboard.boards import build_boards
from leaderboard.bundles.bundle_file import read_bundles
from suite.core.errors import InvalidInput
from suite.experiments.study import load_study
from suite.own_loop.initial_masks import _of_file as read_masks
from suite.results.ablation_design import ablations
from suite.results.integrity import with_integrity
from suite.results.record import Record
from suite.results.record_index import FOLDER, write_index
from suite.results.store import Store
from suite.results.stored_curves import schema
from suite.results.stored_studies import remember, stored_studies
from suite.results.verify import verify
from suite.training.serialization import pack, unpack
from suite.tuning.schema import load_tunings
from tasks.taskfile import read_task_file
from tests.fuzz.mutation import dump, mutate_bytes, mutate_tree, parse
from tests.leaderboard.sample_bundles import HEADER
from tests.support.sample_records import done, make_trial

MAX_EXPANDED = 2000
"""Largest study whose trials are made: a longer one is only counted."""
MAX_DAMAGED = 10**6
"""Larger files of a store have been damaged already."""
GARBAGE = (b"", b"\0" * 100, b"{", b"[]", b"null", b"\xff\xfe", b"PAR1", b"[" * 100_000)

STUDY = """\
name: small
question: Which?
tasks: [digits/mlp, {name: breast_cancer/mlp, recipe: {epochs: 2}}]
methods:
  - dense
  - {name: rigl, set: {update_every: 20}, only: [digits/mlp], tasks: {digits/mlp: {recipe: {}}}}
  - {name: set, vary: {drop_fraction: [0.1, 0.2]}, grid: true}
sparsities: [0.8, 0.9]
seeds: 3
recipe: {epochs: 3, batch_size: 64, nesterov: false}
threads: 2
"""
TASK = """\
name: own/mlp
data: {format: table, path: table.csv, target: y, ignore: [b], test: 0.25}
model: mlp
model_options: &m {hidden: [16, 8]}
recipe: {epochs: 2, batch_size: 8, learning_rate: 0.05}
title: "Own"
revision: 2
prunable: [linear]
metric: accuracy
"""
TABLE = b"a,b,y\n" + b"".join(b"%d,%d.5,%s\n" % (n, n % 7, b"uv"[n % 2 :][:1]) for n in range(40))


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        make: writes a random input into an empty folder.
        read: reads it; returns whether all of it was accepted.
        refusals: what it raises for an input that it refuses.
    """

    make: Callable[[random.Random, Path], None]
    read: Callable[[Path], bool]
    refusals: tuple[type[Exception], ...] = (InvalidInput,)


@cache
def _records() -> tuple[bytes, ...]:
    """Return sound records, as they are stored."""
    trials = [make_trial(method, seed=seed) for method in ("dense", "rigl") for seed in (0, 1)]
    contents = [json.loads(done(trial).to_json()) for trial in trials]
    return tuple(json.dumps(with_integrity(content, {})).encode() for content in contents)


def _record(random: random.Random) -> bytes:
    """Return a changed record, half of the time sealed again as a forger would."""
    content = random.choice(_records())
    if random.random() < 0.3:
        return mutate_bytes(random, content)
    tree = parse(content)
    mutate_tree(random, tree)
    text = dump(tree)
    if random.random() < 0.5:
        try:
            sealed = json.loads(text)
            return json.dumps(with_integrity(sealed, {})).encode()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass  # it cannot be sealed: as it is
    return text.encode(errors="surrogatepass")


def _make_record(random: random.Random, folder: Path) -> None:
    (folder / "record.json").write_bytes(_record(random))


def _read_record(folder: Path) -> bool:
    build_boards([Record.from_json((folder / "record.json").read_bytes(), "here")])
    return True


def _make_bundle(random: random.Random, folder: Path) -> None:
    lines = [json.dumps(HEADER.model_dump()).encode(), *_records()]
    place = random.randrange(len(lines) + 1)
    if place == 0:
        tree = parse(lines[0])
        mutate_tree(random, tree)
        lines[0] = dump(tree).encode(errors="surrogatepass")
    elif place < len(lines):
        lines[place] = _record(random)
    packed = gzip.compress(b"\n".join([*lines, b""]), 1, mtime=0)
    if place == len(lines) or random.random() < 0.1:
        packed = mutate_bytes(random, packed)
    (folder / "x.jsonl.gz").write_bytes(packed)


def _read_bundle(folder: Path) -> bool:
    bundles, rejected = read_bundles([folder / "x.jsonl.gz"])
    records = [record for bundle in bundles for record in bundle.records]
    build_boards(records)
    return bool(records) and not rejected


def _yaml(text: str) -> Callable[[random.Random, Path], None]:
    """Return what writes a changed YAML file: of text, or of the structure (JSON is YAML)."""
    import yaml

    def make(random: random.Random, folder: Path) -> None:
        (folder / "table.csv").write_bytes(TABLE)
        if random.random() < 0.5:
            content = mutate_bytes(random, text.encode())
        else:
            tree = parse(json.dumps(yaml.safe_load(text)))
            mutate_tree(random, tree)
            content = dump(tree).encode(errors="surrogatepass")
        (folder / "x.yaml").write_bytes(content)

    return make


def _read_study(folder: Path) -> bool:
    study = load_study(str(folder / "x.yaml"))
    if study.count() <= MAX_EXPANDED:
        study.trials()
    return True


def _read_task(folder: Path) -> bool:
    read_task_file(folder / "x.yaml")
    return True


def _make_data(random: random.Random, folder: Path) -> None:
    """Write a sound task file and changed data."""
    file = io.BytesIO()
    kind = random.choice(("csv", "parquet", "npz", "text"))
    fields = {"csv": "table, target: y", "parquet": "table, target: y", "npz": "numpy"}
    if kind == "npz":
        np.savez_compressed(file, x=np.arange(80.0).reshape(40, 2), y=np.arange(40) % 2)
    elif kind == "parquet":
        pl.read_csv(TABLE).write_parquet(file)
    else:
        file.write(TABLE)
    (folder / f"x.{kind}").write_bytes(mutate_bytes(random, file.getvalue()))
    data = f"{{format: {fields.get(kind, 'text, length: 8')}, path: x.{kind}}}"
    (folder / "x.yaml").write_text(f"name: own/mlp\ndata: {data}\nmodel: mlp\n")


@cache
def _states() -> tuple[bytes, ...]:
    state = {"step": 3, "masks": {"1": torch.ones(4, 4, dtype=torch.bool)}, "rest": (1.5, None)}
    return pack(state, {"key": "0" * 16}), pack({"mask/1": torch.ones(2, 2)})


def _make_state(random: random.Random, folder: Path) -> None:
    content = random.choice(_states())
    size = int.from_bytes(content[:8], "little")
    if random.random() < 0.6:
        content = mutate_bytes(random, content)
    else:
        tree = parse(content[8 : 8 + size])
        mutate_tree(random, tree)
        header = dump(tree).encode(errors="surrogatepass")
        claimed = random.choice((len(header), len(header), 2**62, 0))
        content = claimed.to_bytes(8, "little") + header + content[8 + size :]
    (folder / "state.safetensors").write_bytes(content)


def _read_state(folder: Path) -> bool:
    unpack((folder / "state.safetensors").read_bytes())
    return True


def _read_masks(folder: Path) -> bool:
    read_masks(folder / "state.safetensors", 10_000)
    return True


@cache
def _sound_store() -> Path:
    """Make a small sound store, once: four trials, their index, and documents."""
    cache = Path(os.environ.get("RESONANCE_CACHE", tempfile.gettempdir()))
    cache.mkdir(parents=True, exist_ok=True)
    store = Store(Path(tempfile.mkdtemp(dir=cache)) / "store")
    store.prepare()
    for content in _records():
        record = Record.from_json(content, "here")
        curves = io.BytesIO()
        rows = {"round": [0], "step": [1], "series": ["a"], "layer": [""], "index": [0]}
        pl.DataFrame(rows | {"value": [0.5]}, schema=schema()).write_parquet(curves)
        store.write(
            record.key, {"record.json": record.to_json(), "curves.parquet": curves.getvalue()}
        )
    write_index(store.backend)
    study = load_study("quickstart")
    remember(store, study, dict(list(study.trials_by_key().items())[:4]))
    return store.root


def _store(folder: Path) -> Store:
    """Return a copy of the sound store."""
    shutil.copytree(_sound_store(), folder / "store")
    return Store(folder / "store")


def _make_index(random: random.Random, folder: Path) -> None:
    (path,) = (_store(folder).root / FOLDER).iterdir()
    content = mutate_bytes(random, path.read_bytes())
    path.unlink()  # what is read has the name that is right for it
    path.with_name(f"{hashlib.sha256(content).hexdigest()[:32]}.parquet").write_bytes(content)


def _make_store(random: random.Random, folder: Path) -> None:
    root = _store(folder).root
    for _ in range(random.choice((1, 1, 2, 3))):
        plain = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        files = sorted(path for path in plain if path.stat().st_size < MAX_DAMAGED)
        path = random.choice(files)
        _damage(random, path)


def _damage(random: random.Random, path: Path) -> None:
    path.chmod(0o600)
    content = path.read_bytes()
    what = random.randrange(10)
    path.unlink()
    if what == 0:
        os.mkfifo(path)
    elif what == 1:
        path.mkdir()
    elif what == 2:
        path.symlink_to(random.choice(("/dev/zero", "/etc/passwd", "nowhere", path.name)))
    elif what == 3:
        with path.open("wb") as file:
            file.write(content[: random.randrange(len(content) + 1)])
            file.truncate(2 ** random.choice((20, 31, 36, 40)))
    elif what == 4:
        path.write_bytes(random.choice(GARBAGE))
    elif what == 5:
        path.write_bytes(content)
        path.chmod(0)
    elif what == 6 and path.suffix == ".json" and (tree := _tree(content)) is not None:
        mutate_tree(random, tree)
        path.write_bytes(dump(tree).encode(errors="surrogatepass"))
    elif what == 7 and path.name == "record.json":
        path.write_bytes(_record(random))
    else:
        path.write_bytes(mutate_bytes(random, content))


def _tree(content: bytes) -> Any:
    """Return the content of a JSON file; None if it has been damaged already."""
    with contextlib.suppress(ValueError):
        return parse(content)
    return None


def _read_store(folder: Path) -> bool:
    """Read all of a store, each part whatever became of the others."""
    store = Store(folder / "store")
    sound = not verify(store).findings
    records, corrupt = store.read_all()
    build_boards(records)
    for record in records:
        try:
            store.load(record.key, "curves.parquet")
        except InvalidInput:
            sound = False
    for read in (stored_studies, load_tunings, ablations):
        try:
            read(store)
        except InvalidInput:
            sound = False
    return sound and not corrupt


KINDS: Mapping[str, Kind] = {
    "bundle": Kind(_make_bundle, _read_bundle),
    "record": Kind(_make_record, _read_record),
    "study": Kind(_yaml(STUDY), _read_study),
    "task": Kind(_yaml(TASK), _read_task),
    "data": Kind(_make_data, _read_task),
    "checkpoint": Kind(_make_state, _read_state, (ValueError,)),
    "masks": Kind(_make_state, _read_masks),
    "index": Kind(_make_index, _read_store),
    "store": Kind(_make_store, _read_store),
}


def make(kind: str, number: int, seed: int, folder: Path) -> None:
    """Write input `number` of a kind into an empty folder: the same for the same seed."""
    KINDS[kind].make(random.Random(f"{seed} {kind} {number}"), folder)


def clear(folder: Path) -> None:
    """Remove what is in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
