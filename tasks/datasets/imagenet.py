"""Streamed image folders: ImageNet, or a user's own."""

from pathlib import Path

import torch

from suite.core.errors import InvalidInput
from tasks.datasets.files import locate
from tasks.datasets.images import Listing, by_split, check_empty_classes, image_paths
from tasks.stream import Files
from tasks.task import Dataset


def find_files(dataset: Dataset) -> Files:
    """Return the image files of ``train/CLASS/`` and ``val/CLASS/`` (or ``test``), in order.

    Options: `path`, or `files`, names of folders to look for in $RESONANCE_DATA and the cache.
    Classes are numbered in order of their folders' names. Files are listed, not opened: a trial
    that reads a damaged image fails with the file's name.

    Raises:
        InvalidInput: the folder is missing, a class is empty or missing, or there is no split.
    """
    options = dataset.options
    folder = Path(options["path"]) if "path" in options else locate(*options["files"])
    if folder is None or not folder.is_dir():
        raise InvalidInput(
            f"dataset {dataset.name} was not found: set RESONANCE_DATA to a folder that holds "
            f"{' or '.join(options.get('files', [str(folder)]))} with train/CLASS and val/CLASS"
        )
    check_empty_classes(folder)
    train, test = by_split(image_paths(folder), str(folder))
    if test is None:
        raise InvalidInput(f"images {folder}: a streamed dataset needs folders 'train' and 'val'")
    if len(train) != dataset.classes:
        raise InvalidInput(
            f"images {folder}: {len(train)} classes were found, {dataset.classes} are declared"
        )
    train_paths, train_y = _listed(folder, train)
    test_paths, test_y = _listed(folder, test)
    return Files(train_paths, train_y, test_paths, test_y)


def _listed(folder: Path, split: Listing) -> tuple[list[Path], torch.Tensor]:
    labels = [number for number, inside in enumerate(split.values()) for _ in inside]
    return [folder / name for inside in split.values() for name in inside], torch.tensor(labels)
