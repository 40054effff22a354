"""Format `table`: a CSV, TSV or Parquet file with a column to predict."""

from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from tasks.formats.fields import Described, check_ignored, files_digest, fraction


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe a CSV, TSV or Parquet file: `target`, `ignore`, `test_path` or `test` fraction."""
    from tasks.datasets.table import read_table

    if not isinstance(data.get("target"), str):
        raise InvalidInput(f"task file {path}: data: 'target' must name the column to predict")
    check_ignored(data, path)
    options: dict[str, Any] = {
        key: data[key] for key in ("path", "test_path", "target", "ignore") if key in data
    }
    table = read_table(Path(data["path"]), options)
    if "test_path" in data:
        test = len(read_table(Path(data["test_path"]), options, table.classes).y)
        train = len(table.y)
    else:
        test = round(len(table.y) * fraction(data, path))
        train = len(table.y) - test
    return {
        "load": "tasks.datasets.table:load",
        "shape": (table.x.shape[1],),
        "classes": len(table.classes),
        "labels": tuple(table.classes),
        "train": train,
        "test": test,
        "fingerprint": files_digest(data),
        "options": options,
    }
