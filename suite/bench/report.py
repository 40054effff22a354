"""The measurements of one machine: as a file, and as rows of a table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suite.bench.measurement import Bar, Measurement
from suite.core.errors import InvalidInput

COLUMNS = ("benchmark", "what", "value", "range", "bar", "conditions")
DECIMALS = {"": 2, "×": 2, "s": 2, "ms": 2, "%": 1, "GiB": 2}
"""Decimals of a value, by unit; 1 for others."""


@dataclass(frozen=True)
class Measured:
    """What a benchmark of this name measured."""

    benchmark: str
    measurement: Measurement


@dataclass(frozen=True)
class Report:
    """The measurements taken on one machine.

    `machine` says what it is (`suite.training.environment.environment`), `date` when (ISO 8601).
    """

    machine: dict[str, Any]
    date: str
    measured: tuple[Measured, ...]

    def to_json(self) -> str:
        """Return the report as the text of a JSON file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @property
    def missed(self) -> list[Measured]:
        """What did not reach its bar."""
        return [one for one in self.measured if not one.measurement.met]


def load(path: Path) -> Report:
    """Return the report in a file; raise InvalidInput if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = []
        for one in content["measured"]:
            fields = dict(one["measurement"])
            spread, bar = fields["spread"], fields["bar"]
            fields["spread"] = None if spread is None else (spread[0], spread[1])
            fields["bar"] = None if bar is None else Bar(**bar)
            found.append(Measured(one["benchmark"], Measurement(**fields)))
        return Report(content["machine"], content["date"], tuple(found))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} is not a report of measurements ({error}): write one with "
            "`resonance bench --out FILE`"
        ) from error


def row(measured: Measured) -> list[str]:
    """Return a measurement as the cells of `COLUMNS`."""
    one = measured.measurement
    spread = ""
    if one.spread is not None:
        low, high = (figure(bound, one.unit) for bound in one.spread)
        spread = f"{low} … {high}"
    return [
        measured.benchmark,
        one.what + (f", {one.trials:,} trials" if one.trials is not None else ""),
        f"{figure(one.value, one.unit)} {one.unit}",
        spread,
        bar_text(one),
        one.note,
    ]


def short_line(measured: Measured) -> str:
    """Return a measurement in a line, without its conditions."""
    _, what, value, spread, bar, _ = row(measured)
    return f"{what}: {value}" + (f" ({spread})" if spread else "") + (f", bar {bar}" if bar else "")


def figure(value: float, unit: str) -> str:
    """Return a value without its unit, as a table shows it."""
    decimals = DECIMALS.get(unit, 1)
    return f"{value:,.{decimals}f}"


def bar_text(one: Measurement) -> str:
    """Return the bar, and whether it is missed; empty without one."""
    if one.bar is None:
        return ""
    sign = "≥" if one.bar.least else "≤"
    return f"{sign} {one.bar.limit:g}" + ("" if one.met else ", missed")


def machine_text(report: Report) -> str:
    """Return the machine in a sentence."""
    about = report.machine
    return (
        f"{about['cores']} cores of {about['processor']}, {about['instructions']}, "
        f"{about['system']}, Python {about['python']}, PyTorch {about['torch']}"
        + (f", numba {about['numba']}" if "numba" in about else ", without numba")
    )
