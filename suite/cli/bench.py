"""`resonance bench`: how fast the suite is on this machine."""

import datetime
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from suite.bench.catalogue import BENCHMARKS, Benchmark
from suite.bench.measurement import Measurement
from suite.bench.report import COLUMNS, Measured, Report, machine_text, row, short_line
from suite.cli import completion
from suite.cli.options import JsonOption
from suite.core.console import complain, print_json, print_table, say
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput

NAMES = completion.completer(lambda: {one.name: one.about for one in BENCHMARKS})
LIBRARIES = ("numba",)
"""Optional ones that change what is measured."""


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Benchmarks to run (`resonance list benchmarks`); default: all but the long ones.",
            autocompletion=NAMES,
        ),
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", help="Also the long ones: stores of 100,000 trials.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the measurements to a JSON file.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a bar is missed.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure how fast the suite is on this machine: training steps, stores, the site.

    Ratios come from two ways of doing the same work that take turns in one process. The bars were
    set for two cores of an AMD EPYC. Let the machine do nothing else meanwhile.
    """
    chosen = _chosen(names or [], long=long)
    if out is not None and not out.parent.is_dir():
        raise InvalidInput(f"--out {out}: there is no folder {out.parent}; make it first")
    minutes = sum(one.minutes for one in chosen)
    time_text = "a minute" if minutes < 1.5 else f"{round(minutes)} minutes"
    what = "1 benchmark" if len(chosen) == 1 else f"{len(chosen)} benchmarks"
    complain(f"{what}, about {time_text} on two cores …")
    measured = []
    for benchmark in chosen:
        for measurement in _run(benchmark):
            measured.append(Measured(benchmark.name, measurement))
            complain(short_line(measured[-1]))
    report = Report(
        _machine(), datetime.datetime.now(datetime.UTC).date().isoformat(), tuple(measured)
    )
    if out is not None:
        out.write_text(report.to_json(), encoding="utf-8")
    if json:
        import json as format_

        print_json(format_.loads(report.to_json()))
    else:
        print_table("", list(COLUMNS), [row(one) for one in measured])
        say(f"{report.date}: {machine_text(report)}")
    if check and report.missed:
        raise typer.Exit(1)
    if not measured:
        raise typer.Exit(1)


def _chosen(names: list[str], *, long: bool) -> list[Benchmark]:
    known = {one.name: one for one in BENCHMARKS}
    for name in names:
        if name not in known:
            raise InvalidInput(unknown("benchmark", name, known, see="list benchmarks"))
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    return [one for one in BENCHMARKS if long or not one.long]


def _run(benchmark: Benchmark) -> Iterator[Measurement]:
    """Run a benchmark; say in a line what it lacks, if it cannot run here."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield from benchmark.run()
    except InvalidInput as error:
        complain(f"{benchmark.name} is left out: {error}")
    finally:
        torch.set_num_threads(threads)


def _machine() -> dict[str, object]:
    import torch

    from suite.training.environment import environment

    present = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    return environment(torch.device("cpu"), present)
