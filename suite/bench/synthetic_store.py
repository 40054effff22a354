"""Stores of many trials, made from few: a possible result of each cell, copied under other seeds.

Each cell (method and sparsity on one task) is trained once for each of `TRAINED` seeds. Its other
seeds get a copy of one of these results, with their own keys, digests and checksums: every file is
what training could have left, and `resonance store verify` finds such a store intact.
"""

import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.core.redact import redact_bytes
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from suite.results.integrity import FileChecksum, canonical_text
from suite.results.record import to_json
from suite.results.storage_backend import RECORD
from suite.results.store import Store

TRAINED = 2
"""Seeds of each cell that are trained; with one, no figure would vary."""
METHODS: dict[str, dict[str, Any]] = {
    "dense": {},
    "static": {},
    "magnitude": {"update_every": 20},
    "rigl": {"update_every": 10},
    "set": {},
    "snip": {},
    "granet": {"update_every": 10},
    "resonance": {"window": 8, "update_every": 5},
    "resonance_coherent": {"update_every": 10},
    "resonance_shuffled": {"window": 8, "update_every": 5},
}
"""With settings under which each updates often within four epochs on the digits."""
FEW = (0.8, 0.9, 0.95, 0.98)
"""Sparsities that make 37 cells."""
MANY = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.95, 0.96, 0.97, 0.98)
"""Sparsities that make 100 cells: 100,000 trials have the 1,000 seeds that a study may have."""
NOT_COPIED = "model.safetensors"
"""Weights take space, and nothing that is measured reads them."""
SETTINGS = "trial.json"
EMPTY = hashlib.sha256().hexdigest()
"""The digest of the masks of a network that has none."""
SEED, SIZE = 2_024_202_421, 7_202_420_241
KEY, SUM, DIGEST = "5eed" * 4, "5e77" * 16, "d19e" * 16
"""Stand for the seed, the size of `SETTINGS`, the key, and the digests of it and of the record."""


def study_of(trials: int, sparsities: Sequence[float] = FEW) -> Study:
    """Return a study of at least so many trials, of as many seeds as that takes."""
    cells = len(METHODS) - 1
    seeds = math.ceil(trials / (cells * len(sparsities) + 1))
    return Study.make(
        name="synthetic",
        question="How long does it take to read the results of many trials?",
        tasks=["digits/mlp"],
        methods=[{"name": name, "set": settings} for name, settings in METHODS.items()],
        sparsities=list(sparsities),
        seeds=seeds,
        recipe={"epochs": 4},
        controls_left_out="nothing is claimed",
    )


def fill(store: Store, trials: int, sparsities: Sequence[float] = FEW) -> list[str]:
    """Add the first `trials` trials of `study_of` to a store in a folder; return their keys.

    Trials that are there already are kept as they are. Nothing is synced to the disk.

    Raises:
        InvalidInput: the store is not in a folder, or cannot be written.
    """
    store.prepare()
    present = set(store.keys())
    keys = []
    for trial in study_of(trials, sparsities).trials()[:trials]:
        key = trial.key
        keys.append(key)
        if key not in present:
            trained = trial.model_copy(update={"seed": trial.seed % TRAINED})
            _result(trained.model_dump_json()).write(store.folder(key), key, trial.seed)
    return keys


@functools.cache
def _result(trial: str) -> "_Result":
    """Return what a trial, given as JSON, leaves; it is trained once in a process."""
    return _Result.of(Trial.model_validate_json(trial))


@dataclass(frozen=True)
class _Result:
    """What a trial left, with stand-ins for all that depends on its key and seed.

    Attributes:
        record: the text of its record.
        canonical: the text that the record's digest is made from.
        settings: the text of `SETTINGS`.
        others: its other files, which are the same for every seed.
        digests: those of its weights and masks, which differ from seed to seed.
    """

    record: str
    canonical: str
    settings: str
    others: Mapping[str, bytes]
    digests: Sequence[str]

    @classmethod
    def of(cls, trial: Trial) -> "_Result":
        """Train a trial."""
        from suite.training.trial import run_trial

        outcome = run_trial(trial)
        files = {name: redact_bytes(content) for name, content in outcome.files().items()}
        content = json.loads(files.pop(RECORD))
        settings = json.loads(files.pop(SETTINGS))
        del files[NOT_COPIED]
        for part in (content["trial"], content["configuration"], settings):
            part["seed"] = SEED
        content["key"] = KEY
        sums = {name: FileChecksum.of(file).model_dump() for name, file in files.items()}
        sums[SETTINGS] = {"size": SIZE, "sha256": SUM}
        return cls(
            record=to_json(content | {"seal": {"digest": DIGEST, "files": sums}}).decode(),
            canonical=canonical_text(content, sums),
            settings=to_json(settings).decode(),
            others=files,
            digests=[one for one in content["digests"].values() if one != EMPTY],
        )

    def write(self, folder: Path, key: str, seed: int) -> None:
        """Write the files of the same trial with another seed, which has this key."""
        settings = self.settings.replace(str(SEED), str(seed)).encode()
        given = {
            str(SEED): str(seed),
            KEY: key,
            str(SIZE): str(len(settings)),
            SUM: hashlib.sha256(settings).hexdigest(),
            **{one: hashlib.sha256(f"{one} {seed}".encode()).hexdigest() for one in self.digests},
        }
        digest = hashlib.sha256(_replaced(self.canonical, given).encode()).hexdigest()
        record = _replaced(self.record, given | {DIGEST: digest}).encode()
        folder.mkdir()
        for name, content in {SETTINGS: settings, **self.others, RECORD: record}.items():
            (folder / name).write_bytes(content)


def _replaced(text: str, given: Mapping[str, str]) -> str:
    for standing, value in given.items():
        text = text.replace(standing, value)
    return text
