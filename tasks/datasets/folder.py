"""A folder or an archive of images, loaded into memory; decoded images may be cached."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import torch

from suite.core.errors import InvalidInput
from suite.core.files import atomic_file
from suite.core.seeds import derive_seed
from tasks.data import Arrays
from tasks.datasets.files import cache_folder, locate, verify
from tasks.datasets.images import by_split, check_empty_classes, contents
from tasks.datasets.pixels import Reading, open_image, to_array
from tasks.labels import why_not_stratified
from tasks.task import Dataset

PARTS = ("train_x", "train_y", "test_x", "test_y")


def load(dataset: Dataset) -> Arrays:
    """Return images [n, *shape] and int64 labels; classes are numbered in order of name.

    Images are uint8, or float32 in [0, 1] where some have more than 8 bits (`Reading`).

    Options: `path` of the folder or archive, or `files`, names to look for in $RESONANCE_DATA and
    the cache; `sha256` of an archive; `resize` if sizes differ; `cache` to store decoded
    images; those of `Reading`.
    Without folders ``train`` and ``test``, a stratified test split is drawn, fixed by the
    dataset's name.

    Raises:
        InvalidInput: it is missing, an image is damaged or has another size, or the folders are
            not one per class.
    """
    options = dataset.options
    path = Path(options["path"]) if "path" in options else locate(*options["files"])
    if path is None:
        raise InvalidInput(
            f"dataset {dataset.name} was not found: set RESONANCE_DATA to a folder that holds "
            f"{' or '.join(options['files'])}"
        )
    if expected := options.get("sha256"):
        verify(path, ("sha256", expected))
    if path.is_dir():
        check_empty_classes(path)
    cached = _cache_file(dataset) if options.get("cache") else None
    if cached is not None and cached.is_file() and (arrays := _read_cache(cached)) is not None:
        return arrays
    arrays = _decode(dataset, path)
    if cached is not None:
        _write_cache(cached, arrays)
    return arrays


def _decode(dataset: Dataset, path: Path) -> Arrays:
    resize = bool(dataset.options.get("resize"))
    reading = Reading.of(dataset.shape, dataset.options)
    images = {}
    for name, content in contents(path):
        image = open_image(content, where := f"{path}/{name}", reading.orient)
        images[name] = to_array(image, where, dataset.shape, resize, reading)
    train, test = by_split(list(images), str(path))
    if len(train) != dataset.classes:
        raise InvalidInput(
            f"images {path}: {len(train)} classes were found, {dataset.classes} are declared"
        )
    if test is not None:
        parts = (train, test)
        chosen = [[n for names in part.values() for n in names] for part in parts]
        labels = [[k for k, names in enumerate(part.values()) for _ in names] for part in parts]
    else:
        names = [name for inside in train.values() for name in inside]
        label = np.array([k for k, inside in enumerate(train.values()) for _ in inside])
        kept, held = held_out(label, dataset.test, dataset.name)
        chosen = [[names[i] for i in part] for part in (kept, held)]
        labels = [label[part].tolist() for part in (kept, held)]
    arrays = []
    for names, numbers in zip(chosen, labels, strict=True):
        arrays.append(torch.from_numpy(np.stack([images[name] for name in names])))
        arrays.append(torch.tensor(numbers))
    return Arrays(*arrays)


def held_out(labels: np.ndarray, held: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of training and test examples: stratified, fixed by the dataset's name.

    Raises:
        InvalidInput: a class has too few examples to be in both.
    """
    from sklearn.model_selection import train_test_split

    try:
        kept, out = train_test_split(
            np.arange(len(labels)),
            test_size=held,
            stratify=labels,
            random_state=derive_seed(name, "test") % 2**32,
        )
    except ValueError as error:
        raise InvalidInput(
            f"dataset {name}: no test split of {held} examples can be drawn: "
            f"{why_not_stratified(labels, held) or error}"
        ) from error
    return np.sort(kept), np.sort(out)


def _cache_file(dataset: Dataset) -> Path:
    """Return the cache file of decoded images, named by archive, shape and decoder."""
    import PIL.features

    decoder = f"{PIL.__version__} {PIL.features.version('libjpeg_turbo')}"
    content = f"{dataset.options['sha256']} {dataset.shape} {decoder}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return cache_folder() / "decoded" / f"{dataset.name}-{digest}.npz"


def _read_cache(path: Path) -> Arrays | None:
    try:
        # Opened explicitly: np.load would leave the file open if it is not an archive.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return Arrays(*(torch.from_numpy(file[part]) for part in PARTS))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # truncated: decode again


def _write_cache(path: Path, arrays: Arrays) -> None:
    """Write the cache; if that fails, images are decoded again next time."""
    try:
        with atomic_file(path) as file:
            np.savez(file, **{part: getattr(arrays, part).numpy() for part in PARTS})
    except OSError:
        pass
