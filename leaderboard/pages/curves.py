"""Curves of many trials at once, as JSON for their pages.

A page holds a list of ``{"round", "series", "layer", "width", "step": [...], "value": [...]}``: at
each step a series has `width` values (one, or those of a histogram), which follow each other.
"""

import io
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import polars as pl

DIGITS = 5
SCHEMA = {
    "round": pl.Int32, "step": pl.Int64, "series": pl.String, "layer": pl.String,
    "index": pl.Int32, "value": pl.Float64,
}  # fmt: skip
"""Of a trial's ``curves.parquet``."""


def read_curves(content: bytes) -> pl.DataFrame:
    """Return a trial's curves.

    Raises:
        ValueError: it is no Parquet file with these columns.
    """
    return _read([content])[0]


def curves_json(contents: Mapping[str, bytes]) -> dict[str, str]:
    """Return the curves of trials, given as Parquet files by key; what is damaged is left out."""
    try:
        frames = dict(zip(contents, _read(list(contents.values())), strict=True))
    except ValueError:
        frames = {}
        for key, content in contents.items():
            try:
                frames[key] = read_curves(content)
            except ValueError:
                continue
    found: dict[str, list[str]] = {key: [] for key in frames}
    if frames:
        keys = list(frames)
        lengths = [len(frame) for frame in frames.values()]
        for place, text in _series(pl.concat(frames.values()), lengths):
            found[keys[place]].append(text)
    return {key: f"[{','.join(parts)}]" for key, parts in found.items()}


def _read(contents: list[bytes]) -> list[pl.DataFrame]:
    columns = [pl.col(name).cast(kind) for name, kind in SCHEMA.items()]
    try:
        scans = [pl.scan_parquet(io.BytesIO(content)).select(columns) for content in contents]
        return pl.collect_all(scans)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error


def _series(frame: pl.DataFrame, lengths: list[int]) -> Iterator[tuple[int, str]]:
    """Yield each series as JSON, with the place of its trial; `lengths` are the trials' rows.

    Numbers become text all together, in the order of the series, and are cut out where it ends.
    """
    names = [frame[name].cast(pl.Categorical) for name in ("series", "layer")]
    ids = np.stack(
        [
            np.repeat(np.arange(len(lengths)), lengths),
            frame["round"].to_numpy(),
            *(name.to_physical().to_numpy() for name in names),
        ]
    ).astype(np.int64)
    spans = ids.max(axis=1, initial=0) + 1
    code = np.ravel_multi_index(tuple(ids), tuple(spans), mode="clip")
    order = np.argsort(code, kind="stable")
    cuts = np.flatnonzero(np.diff(code[order], prepend=-1, append=-1))
    index = frame["index"].to_numpy()[order]
    values, at = _numbers(frame["value"].gather(order))
    first = np.flatnonzero(index == 0)
    steps, step_at = _joined(frame["step"].gather(order[first]).cast(pl.String))
    step_cuts = np.searchsorted(first, cuts).tolist()
    starts = frame.select("round", "series", "layer")[order[cuts[:-1]]]
    texts = {name: json.dumps(name) for name in {*starts["series"], *starts["layer"]}}
    places = ids[0, order[cuts[:-1]]].tolist()
    groups = zip(
        places, starts.iter_rows(), pairwise(cuts.tolist()), pairwise(step_cuts), strict=True
    )
    for place, (round_, series, layer), (begin, end), (low, high) in groups:
        width, rest = divmod(end - begin, high - low) if high > low else (0, 1)
        if rest:
            continue  # not what a trial leaves: values that belong to no step
        yield (
            place,
            f'{{"round":{round_},"series":{texts[series]},"layer":{texts[layer]},'
            f'"width":{width},"step":[{steps[step_at[low] : step_at[high] - 1]}],'
            f'"value":[{values[at[begin] : at[end] - 1]}]}}',
        )


def _numbers(values: pl.Series) -> tuple[str, "np.ndarray"]:
    short = values.to_frame("value").select(
        pl.when(pl.col("value").is_finite())
        .then(pl.col("value").round_sig_figs(DIGITS).cast(pl.Float32))
        .cast(pl.String)
        .fill_null("null")
    )
    return _joined(short["value"])


def _joined(texts: pl.Series) -> tuple[str, "np.ndarray"]:
    """Return texts joined by commas, and where each begins in that (and the end of the last)."""
    ends = np.cumsum(texts.str.len_bytes().to_numpy().astype(np.int64) + 1)
    return ",".join(texts.to_list()), np.concatenate([[0], ends])
