"""Curves of trials as JSON for their pages, converted for many trials at once.

A page holds ``{"series": [[round, series, layer, steps, values], …], "step": …, "value": …}``: the
number of steps and values of each series, then the steps and values of all series, concatenated, as
Base64 of little-endian unsigned 32-bit integers and 32-bit floats. At each step a series has
values / steps values: one, or the bins of a histogram. Decimal text would be no shorter, and
writing it took half of the time of a page.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import polars as pl

from suite.results.stored_curves import read_all_curves, read_curves


def curves_json(contents: Mapping[str, bytes]) -> dict[str, str]:
    """Return the curves of trials, given as Parquet files by key; damaged files are left out."""
    try:
        frames = dict(zip(contents, read_all_curves(list(contents.values())), strict=True))
    except ValueError:
        frames = {}
        for key, content in contents.items():
            try:
                frames[key] = read_curves(content)
            except ValueError:
                continue
    if not frames:
        return {}
    lengths = [len(frame) for frame in frames.values()]
    return dict(zip(frames, _packed(pl.concat(frames.values()), lengths), strict=True))


def _packed(frame: pl.DataFrame, lengths: list[int]) -> Iterator[str]:
    """Yield the JSON of each trial; `lengths` are the row counts of the concatenated trials."""
    trial = np.repeat(np.arange(len(lengths)), lengths)
    # A name's place is where it first comes in its own trial, whatever other trials are there.
    numbered = frame.with_columns(trial=trial, row=np.arange(len(frame)))
    places = numbered.select(
        pl.col("row").min().over("trial", name).alias(name) for name in ("series", "layer")
    )
    series_at, layer_at = (places[name].to_numpy() for name in ("series", "layer"))
    ids = (layer_at, series_at, frame["round"].to_numpy(), trial)  # the last is sorted by first
    order = np.lexsort(ids)
    changes = np.zeros(len(order), bool)
    changes[:1] = True
    for one in ids:
        changes[1:] |= np.diff(one[order]) != 0
    begins = np.flatnonzero(changes)  # of series
    heads = frame.select("round", "series", "layer")[order[begins]]
    texts = {name: json.dumps(name) for name in {*heads["series"], *heads["layer"]}}
    cuts = [*begins.tolist(), len(order)]
    first = np.flatnonzero(frame["index"].to_numpy()[order] == 0)
    counts = np.diff(np.searchsorted(first, cuts)).tolist()
    series = [
        f"[{round_},{texts[series]},{texts[layer]},{steps},{end - begin}]"
        for (round_, series, layer), steps, (begin, end) in zip(
            heads.iter_rows(), counts, pairwise(cuts), strict=True
        )
    ]
    step = frame["step"].to_numpy()[order[first]].clip(0, 2**32 - 1).astype("<u4")
    with np.errstate(over="ignore"):  # becomes infinite, which the page treats as missing
        value = frame["value"].to_numpy()[order].astype("<f4")
    rows = np.cumsum([0, *lengths])
    at = zip(
        *(pairwise(np.searchsorted(marks, rows).tolist()) for marks in (begins, first)),
        pairwise(rows.tolist()),
        strict=True,
    )
    for in_series, in_step, in_value in at:
        yield (
            f'{{"series":[{",".join(series[slice(*in_series)])}],'
            f'"step":"{_base64(step[slice(*in_step)])}",'
            f'"value":"{_base64(value[slice(*in_value)])}"}}'
        )


def _base64(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.tobytes()).decode()
