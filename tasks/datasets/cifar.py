"""CIFAR-10 and CIFAR-100 from the authors' binary archives, read without unpacking them.

(The archives "for Python" contain pickles, which can run arbitrary code when loaded.)
"""

import numpy as np
import torch

from suite.core.errors import InvalidInput
from tasks.data import Arrays
from tasks.datasets.files import fetch, members
from tasks.task import Dataset

PIXELS = 3 * 32 * 32


def load(dataset: Dataset) -> Arrays:
    """Return uint8 images [n, 3, 32, 32] and int64 labels [n] from a dataset's archive.

    The declaration's options are the archive's name, URL and checksum, the members of the two
    splits, and the number of label bytes before each image, of which the last is the label.

    Raises:
        InvalidInput: the archive is missing, or has a wrong checksum or other members.
    """
    o = dataset.options
    archive = fetch(o["archive"], o["url"], tuple(o["digest"]), dataset.name)
    wanted = {*o["train"], *o["test"]}
    found = {}
    for path, content in members(archive):
        if (name := path.rpartition("/")[2]) in wanted:
            found[name] = _read(str(archive), name, content, o["label_bytes"])
    if missing := sorted(wanted - set(found)):
        raise InvalidInput(f"archive {archive} lacks {', '.join(missing)}: fetch it again")
    parts = []
    for names in (o["train"], o["test"]):
        parts.append(torch.cat([found[name][0] for name in names]))
        parts.append(torch.cat([found[name][1] for name in names]))
    return Arrays(*parts)


def _read(
    archive: str, name: str, content: bytes, labels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    if len(content) % (labels + PIXELS):
        raise InvalidInput(
            f"archive {archive}: '{name}' has {len(content)} bytes, no multiple of "
            f"{labels + PIXELS}: fetch it again"
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, labels + PIXELS)
    images = torch.from_numpy(rows[:, labels:].reshape(-1, 3, 32, 32).copy())
    return images, torch.from_numpy(rows[:, labels - 1].astype(np.int64))
