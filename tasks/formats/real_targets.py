"""Formats `table` and `numpy` with `targets: real`: regression."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from tasks.formats.fields import Describe, Described, check_ignored, files_digest, fraction


def _table(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe a table: `target`, a column or several, `ignore`, `test_path` or `test` fraction."""
    from tasks.datasets.real_targets import read_table

    given = data.get("target")
    targets = [given] if isinstance(given, str) else given
    if not isinstance(targets, list) or not targets or not all(isinstance(t, str) for t in targets):
        raise InvalidInput(
            f"task file {path}: data: 'target' must name the column to predict, or several"
        )
    if len(set(targets)) < len(targets):
        raise InvalidInput(f"task file {path}: data: target={given!r}: give each column once")
    check_ignored(data, path)
    options: dict[str, Any] = {
        key: data[key] for key in ("path", "test_path", "ignore") if key in data
    }
    options["target"] = tuple(targets)
    x, _ = read_table(Path(data["path"]), options)
    if "test_path" in data:
        train, test = len(x), len(read_table(Path(data["test_path"]), options).y)
    else:
        test = round(len(x) * fraction(data, path))
        train = len(x) - test
    return {
        "load": "tasks.datasets.real_targets:load_table",
        "kind": "real",
        "shape": (x.shape[1],),
        "classes": len(targets),
        "train": train,
        "test": test,
        "fingerprint": files_digest(data),
        "options": options,
    }


def _numpy(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe an .npz file of x and y, or of train_x, train_y, test_x, test_y; `test` fraction."""
    from tasks.datasets.real_targets import read_archive

    parts = read_archive(Path(data["path"]))
    count = len(parts[0].y)
    test = len(parts[1].y) if len(parts) == 2 else round(count * fraction(data, path))
    return {
        "load": "tasks.datasets.real_targets:load_archive",
        "kind": "real",
        "shape": tuple(parts[0].x.shape[1:]),
        "classes": parts[0].y.shape[1],
        "train": count if len(parts) == 2 else count - test,
        "test": test,
        "fingerprint": files_digest(data),
        "options": {"path": data["path"]},
    }


DESCRIBE: Mapping[str, Describe] = {"table": _table, "numpy": _numpy}
"""Format → the function that describes its data with real targets."""
