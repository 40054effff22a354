"""Format `numpy`: an .npz file of inputs and labels."""

from pathlib import Path
from typing import Any

from tasks.formats.fields import Described, files_digest, fraction


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe an .npz file of x and y, or of train_x, train_y, test_x, test_y; `test` fraction."""
    from tasks.datasets.arrays import read_archive

    arrays = read_archive(Path(data["path"]))
    x, y = (arrays.get(f"train_{part}", arrays.get(part)) for part in ("x", "y"))
    assert x is not None
    assert y is not None
    test = len(arrays["test_x"]) if "test_x" in arrays else round(len(x) * fraction(data, path))
    return {
        "load": "tasks.datasets.arrays:load_archive",
        "shape": tuple(x.shape[1:]),
        "classes": max(int(part.max()) for key, part in arrays.items() if key.endswith("y")) + 1,
        "train": len(x) if "test_x" in arrays else len(x) - test,
        "test": test,
        "fingerprint": files_digest(data),
        "options": {"path": data["path"]},
    }
