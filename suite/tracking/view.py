"""A trial in the form that tracking services show, from its folder in the store alone."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from suite.core.bounded_safetensors import metadata
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_curves import CURVES_FILE, read_curves

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

MAX_TAG_LENGTH = 64
MAX_PICTURE_SIDE = 256
ARTIFACT_FILES = ("model.safetensors", "record.json", "trial.json")


@dataclass(frozen=True)
class View:
    """A trial as a run: configuration, history and summary.

    Attributes:
        record: the trial's record.
        curves: its curves (round, step, series, layer, index, value), if there are any.
        masks: the final mask of each layer, as a grey picture of densities.
    """

    record: Record
    curves: "pl.DataFrame | None"
    masks: "dict[str, np.ndarray]"

    @property
    def tags(self) -> list[str]:
        """Tags to filter runs by."""
        return [*tags_of(self.record.trial), self.record.status]

    def config(self) -> dict[str, Any]:
        """Return all settings, and the environment in which the trial ran."""
        record = self.record
        more = {"environment": record.environment, "data": record.data, "key": record.key}
        return json.loads(json.dumps({**record.configuration, **more}))

    def summary(self) -> dict[str, Any]:
        """Return the results: metrics, FLOPs, times, overall and per-layer sparsity."""
        record = self.record
        return {
            "status": record.status,
            **record.metrics,
            **{f"flops/{name}": value for name, value in record.flops.items()},
            **{f"time/{n}": v for n, v in record.timing.items() if v is not None},
            **({"sparsity": record.sparsity} if record.layers else {}),
            **{f"sparsity/{x.name}": x.zeros / x.size for x in record.layers if x.size},
            **({"error": record.error.get("message", "")} if record.error else {}),
        }

    def history(self) -> Iterator[dict[str, Any]]:
        """Yield the values of each step by series; a histogram is a list of values."""
        if self.curves is None:
            return
        by_step = self.curves.sort("round", "step", maintain_order=True)
        for (number, step), rows in by_step.group_by("round", "step", maintain_order=True):
            row: dict[str, Any] = {"round": number, "step": step}
            for (series, layer), values in rows.group_by("series", "layer", maintain_order=True):
                name = f"{series}/{layer}" if layer else str(series)
                numbers = values["value"].to_list()
                row[name] = numbers[0] if len(numbers) == 1 else numbers
            yield row

    def pictures(self) -> dict[str, bytes]:
        """Return charts of masks, churn, threshold and spectra as PNG, by name."""
        if self.curves is None or self.curves.is_empty():
            return {}
        from leaderboard.charts.pictures import png
        from leaderboard.charts.trial_charts import filled_charts

        charts = filled_charts(self.curves)
        return {name: png(chart) for name, chart in charts.items() if name != "learning"}


def tags_of(trial: Mapping[str, Any]) -> list[str]:
    """Return the tags of a trial with these settings, finished or not."""
    tags = [trial["task"], trial["method"], f"s={trial['sparsity']:g}"]
    return [str(tag)[:MAX_TAG_LENGTH] for tag in tags]


def view(store: Store, key: str) -> View | None:
    """Return the view of a trial; None if it has no record.

    Raises:
        InvalidInput: its record is damaged.
    """
    if (record := store.read(key)) is None:
        return None
    return View(record, _curves(store, key), _masks(store, key))


def _curves(store: Store, key: str) -> "pl.DataFrame | None":
    try:
        return read_curves(store.load(key, CURVES_FILE))
    except (OSError, ValueError):
        return None


def _masks(store: Store, key: str) -> "dict[str, np.ndarray]":
    from safetensors import SafetensorError

    try:
        return dict(mask_pictures(store.load(key, "model.safetensors")))
    except (OSError, ValueError, SafetensorError):
        return {}


def mask_pictures(content: bytes) -> "Iterator[tuple[str, np.ndarray]]":
    """Yield each mask in a safetensors file as a grey picture: uint8, white where all are active.

    Rows are outputs. A large mask is scaled down; a pixel is the density of its block.
    """
    import numpy as np
    from safetensors import deserialize

    metadata(content)
    for name, about in deserialize(content):  # type: ignore[no-untyped-call]
        if not name.startswith("mask/") or about["dtype"] != "BOOL" or not about["shape"]:
            continue
        active = np.frombuffer(about["data"], dtype=np.uint8).reshape(about["shape"][0], -1)
        if active.size == 0:
            continue
        density = active.astype(np.float64)
        for axis in (0, 1):
            size = density.shape[axis]
            edges = np.linspace(0, size, min(size, MAX_PICTURE_SIDE), endpoint=False).astype(int)
            counts = np.diff([*edges, size])
            sums = np.add.reduceat(density, edges, axis=axis)
            density = sums / (counts[:, None] if axis == 0 else counts)
        yield name.removeprefix("mask/"), (density * 255).round().astype(np.uint8)
