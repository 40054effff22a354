"""Format `numpy`: an .npz file of inputs and labels."""

from pathlib import Path
from typing import Any

from tasks.formats.fields import Described, files_digest, fraction


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe an .npz file of x and y, or of train_x, train_y, test_x, test_y; `test` fraction."""
    from tasks.datasets.arrays import read_archive
    from tasks.labels import distinct, encode, renamed

    arrays = read_archive(Path(data["path"]))
    x, y = (arrays.get(f"train_{part}", arrays.get(part)) for part in ("x", "y"))
    assert x is not None
    assert y is not None
    labels = distinct(y, f"{data['path']}: '{'train_y' if 'train_y' in arrays else 'y'}'")
    if "test_y" in arrays:
        encode(arrays["test_y"], labels, f"{data['path']}: 'test_y'")
    test = len(arrays["test_x"]) if "test_x" in arrays else round(len(x) * fraction(data, path))
    return {
        "load": "tasks.datasets.arrays:load_archive",
        "shape": tuple(x.shape[1:]),
        "classes": len(labels),
        "labels": renamed(labels),
        "train": len(x) if "test_x" in arrays else len(x) - test,
        "test": test,
        "fingerprint": files_digest(data),
        "options": {"path": data["path"]},
    }
