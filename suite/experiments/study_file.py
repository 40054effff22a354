"""The YAML file of a study, with the files that it includes. Imports no torch."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from suite.core.named_paths import real_path
from suite.core.yaml_reader import read_yaml

FIELDS = "tasks, methods, sparsities, seeds, plugins, include"
MAX_FILES = 100
"""Most files that one study is made of; one that is included twice counts twice."""
MAX_CHAIN = 20
"""Most files that include one another in a row."""
STUDIES_FIELD = "studies"
"""The field that makes a file a group of studies (`suite.experiments.study_group`)."""
OWN = ("name",)
"""Not taken from an included file: two studies would have one name."""


def read_study_file(path: Path, what: str) -> dict[str, Any]:
    """Return the content of a study's file, with what it includes in place of `include`.

    A field of the file replaces that of an included one, and that of a later included file one of
    an earlier; only `recipe` is merged field by field, and `plugins` are joined. Paths of plug-ins
    are relative to the file's folder in the result.

    Raises:
        InvalidInput: a file cannot be read or is no mapping, `include` is not a path or a list of
            paths or names a group, files include each other in a circle, or there are too many.
    """
    return _read(path, what, (), [])


def _read(path: Path, what: str, above: tuple[Path, ...], so_far: list[Path]) -> dict[str, Any]:
    """Return the content of a file; `so_far` collects what has been read."""
    real = real_path(path)
    chain = (*above, real)
    if real in above:
        circle = " → ".join(one.name for one in chain[above.index(real) :])
        raise InvalidInput(f"study files include each other in a circle: {circle}; remove one")
    so_far.append(real)
    if len(chain) > MAX_CHAIN or len(so_far) > MAX_FILES:
        raise InvalidInput(
            f"{what}: a study is made of at most {MAX_FILES} files, and at most {MAX_CHAIN} "
            "include each other in a row: include fewer"
        )
    content = dict(read_yaml(path, what, FIELDS))
    merged: dict[str, Any] = {}
    for included in _paths(content.pop("include", ()), what):
        file = path.parent / included
        named = f"study file {file} (included by {path.name})"
        read = _read(file, named, chain, so_far)
        if STUDIES_FIELD in read:
            raise InvalidInput(f"{named} is a group of studies: include a study")
        merged = _merged(merged, _moved(read, included.parent))
    return _merged({n: v for n, v in merged.items() if n not in OWN}, content)


def _paths(given: Any, what: str) -> list[Path]:
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise InvalidInput(
            f"{what}: include={given!r:.80}: give the path of a study file, or a list"
        )
    for one in listed:
        if not one.endswith((".yaml", ".yml")):
            raise InvalidInput(f"{what}: include={one:.80}: give a file that ends in .yaml")
    return [Path(one) for one in listed]


def _moved(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the content with the paths of its plug-ins relative to the including file."""
    plugins = _list(content.get("plugins"))
    moved = [os.path.normpath(folder / one) if isinstance(one, str) else one for one in plugins]
    return {**content, "plugins": moved} if plugins else dict(content)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**below, **above}
    recipes = [part["recipe"] for part in (below, above) if isinstance(part.get("recipe"), dict)]
    if len(recipes) == 2:
        merged["recipe"] = recipes[0] | recipes[1]
    plugins = [_list(part.get("plugins")) for part in (below, above)]
    if all(plugins):
        merged["plugins"] = [*plugins[0], *(one for one in plugins[1] if one not in plugins[0])]
    return merged


def _list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else []
