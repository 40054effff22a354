"""A leaderboard in a folder: a page, Markdown, and the figures behind them as CSV."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from leaderboard.markdown import ENOUGH, cell_text, spliced
from leaderboard.tables import Board, Excluded, build_boards, summary_frame, trial_frame
from suite import __version__
from suite.errors import InvalidInput
from suite.results.record import Record


@dataclass(frozen=True)
class Built:
    """What `build` wrote, and what it is made from."""

    page: Path
    boards: list[Board]
    excluded: list[Excluded]


def build(records: Iterable[Record], out: Path, markdown: Path | None = None) -> Built:
    """Write index.html, leaderboard.md, leaderboard.csv and trials.csv into `out`.

    `markdown` is a further file whose marked part is replaced.

    Raises:
        InvalidInput: there is no record, or a file cannot be written.
    """
    records = list(records)
    if not records:
        raise InvalidInput("the store holds no trials: run one first, `resonance study quickstart`")
    boards, excluded = build_boards(records)
    try:
        targets = [out / "leaderboard.md", *([markdown] if markdown is not None else [])]
        texts = [spliced(boards, path) for path in targets]  # refuses before anything is written
        out.mkdir(parents=True, exist_ok=True)
        _write(out / "index.html", render(boards, excluded))
        for path, text in zip(targets, texts, strict=True):
            _write(path, text)
        _write(out / "leaderboard.csv", summary_frame(boards).write_csv())
        _write(out / "trials.csv", trial_frame(records).write_csv())
    except OSError as error:
        raise InvalidInput(
            f"{error.filename or out} cannot be written ({error.strerror}): choose another --out"
        ) from error
    return Built(out / "index.html", boards, excluded)


def render(boards: list[Board], excluded: list[Excluded]) -> str:
    """Return the page; all text from records is escaped."""
    environment = Environment(
        loader=PackageLoader("leaderboard"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("index.html")
    return template.render(
        boards=boards, excluded=excluded, cell_text=cell_text, enough=ENOUGH, version=__version__
    )


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(text.encode())
    temporary.replace(path)
