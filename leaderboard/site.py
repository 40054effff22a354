"""A leaderboard in a folder: the main page, pages of tasks, methods and trials, tables, charts.

What is in the folder::

    index.html                the leaderboard, a single file
    tasks/, methods/          a page each
    trials/KEY.html           a page per record, finished or failed
    tunings/                  a page per tuning of the store
    ablations/                a page per ablation of the store
    paper.html                tables/*.tex, tables/*.md and charts/*.svg|png|pdf
    leaderboard.md            and leaderboard.csv (cells), trials.csv
    assets/                   what the pages share
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard.ablation import figures_of
from leaderboard.charts.board import ABOUT, board_charts, pictures
from leaderboard.charts.vega import VERSION, classic_script
from leaderboard.data import page_name
from leaderboard.folder import SiteFolder, stamp, write_whole
from leaderboard.frames import csv_text, summary_frame, trial_frame
from leaderboard.markdown import spliced, surroundings
from leaderboard.pages import board, index, tuning
from leaderboard.pages.ablation import ablation_page, named_charts
from leaderboard.pages.board import Seen, method_page, seen, task_page
from leaderboard.pages.paper import Table, paper_page, paper_table
from leaderboard.pages.templating import DRAWING, asset
from leaderboard.pages.trial import TrialLinks, charts_script
from leaderboard.pages.trial_files import Job, TrialPages
from leaderboard.source import Found, Source
from leaderboard.submission import Header
from leaderboard.tables import Board, Boards, Excluded, Placed, board_title, is_result
from suite import __version__
from suite.core.errors import InvalidInput
from suite.results.ablation_design import Ablation
from suite.results.record import Record
from suite.results.store import Store
from suite.tuning.schema import Tuning, tuned_runs

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Built:
    """What `build` wrote, and what it is made from; `tables` are its CSV files, by name."""

    page: Path
    boards: list[Board]
    excluded: list[Excluded]
    tables: dict[str, "pl.DataFrame"]


def build(
    source: Store | Iterable[Record],
    out: Path,
    markdown: Path | None = None,
    workers: int = 1,
    bundles: Sequence[Path] = (),
) -> Built:
    """Write the site of a store's records, or of records alone, into `out`.

    `bundles` are files of records, or folders of such files, that are shown beside them.

    Pages that are there already and would be the same stay; pages of trials that are gone are
    removed; files that no build wrote are left alone. `markdown` is a further file whose marked
    part is replaced. With more than one worker the pages of trials are made in processes, which
    import the main module anew.

    Raises:
        InvalidInput: there is no record, or a file cannot be written.
    """
    content = Source(source, bundles)
    found = content.read()
    first = next(found, None)
    if first is None:
        raise InvalidInput("the store holds no trials: run one first, `resonance study quickstart`")
    targets = [out / "leaderboard.md", *([markdown] if markdown is not None else [])]
    around = [surroundings(path) for path in targets]  # refuses before anything is written
    try:
        return _write(content, chain([first], found), SiteFolder(out), targets, around, workers)
    except OSError as error:
        raise InvalidInput(
            f"{error.filename or out} cannot be written ({error.strerror}): choose another --out"
        ) from error


def _write(
    content: Source,
    found: Iterable[Found],
    folder: SiteFolder,
    targets: Sequence[Path],
    around: Sequence[tuple[str, str]],
    workers: int,
) -> Built:
    """Write the site; the pages of trials while the next are read, the others beside them."""
    collection = Boards(tuned_runs(content.tunings))
    placed: list[Placed] = []
    sent: Counter[Header] = Counter(dict.fromkeys(content.senders, 0))
    folder.begin([_page(key) for key in content.trials()])
    with TrialPages(folder, content.location, workers) as pages:
        for one in found:
            placed.append(collection.add(one.record))
            pages.add(_job(placed[-1], one, bool(content.location)))
            if one.sender is not None:
                sent[one.sender] += 1
        boards, excluded = collection.built(), [*collection.excluded, *content.lost]
        records = {one.record.key: one.record for one in placed}
        _write_assets(folder)
        tasks = seen(boards, [one for one in placed if is_result(one.record)])
        tables = _write_boards(folder, tasks, content.tunings)
        _write_paper(folder, boards, tables)
        further = _write_ablations(folder, content.ablations, records)
        further += _write_tunings(folder, content.tunings, records, _methods(tasks))
        folder.write("index.html", index.render(boards, excluded, further, list(sent.items())))
        texts = [spliced(boards, one) for one in around]
        folder.write("leaderboard.md", texts[0])
        rows = trial_frame(one.record for one in placed)
        frames = {"leaderboard": summary_frame(boards), "trials": rows}
        for name, frame in frames.items():
            folder.write(f"{name}.csv", csv_text(frame))
    folder.finish()
    for path, text in zip(targets[1:], texts[1:], strict=True):
        write_whole(path, text)
    return Built(folder.root / "index.html", boards, excluded, frames)


@cache
def code_digest() -> str:
    """Return a digest of all that pages are made by: the files of this package."""
    package = resources.files("leaderboard")
    files = [package, *(package / name for name in ("charts", "pages", "templates", "assets"))]
    parts = [
        path.read_bytes()
        for folder in files
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.is_file()
    ]
    return stamp(__version__, *parts)


def _page(key: str) -> str:
    return f"trials/{key}.html"


def _job(placed: Placed, found: Found, curves: bool) -> Job:
    """Return what a trial's page is to be made from; `curves` says whether there may be some."""
    record, (task, settings), entry, left_out = placed
    title = board_title(task, settings)
    where = TrialLinks(
        title, page_name("tasks", title), entry.title, page_name("methods", entry.method), left_out
    )
    if not is_result(record):
        where = replace(where, task_page="", method_page="")
    integrity = record.checksum or record.model_dump_json()
    made_from = stamp(
        code_digest(), integrity, repr(where), repr(found.sender), "curves" if curves else "",
        *(evaluation.model_dump_json() for evaluation in found.evaluations),
    )  # fmt: skip
    return Job(_page(record.key), made_from, record, found.evaluations, where, found.sender)


def _write_assets(folder: SiteFolder) -> None:
    scripts = (*DRAWING, "pages.js", "trial.js", "board.js", "drawings.js")
    for name in ("style.css", "pages.css", *scripts):
        folder.write(f"assets/{name}", asset(name))
    folder.write("assets/trial-charts.js", charts_script())
    if not folder.current("assets/vega.js", stamp(VERSION)):
        folder.write("assets/vega.js", classic_script(), stamp(VERSION))


def _methods(boards: Sequence[Seen]) -> set[str]:
    return {entry.method for one in boards for entry, _ in one.board.rows}


def _write_boards(folder: SiteFolder, boards: list[Seen], tuned: Sequence[Tuning]) -> list[Table]:
    """Write the pages of tasks and methods; return the tables of the paper view."""
    folder.write("assets/board-charts.js", board.charts_script([one.board for one in boards]))
    for one in boards:
        folder.write(one.page, task_page(one))
    for method in sorted(_methods(boards)):
        links = [(t.settings.name, tuning.address(t)) for t in tuned if method in t.methods]
        folder.write(page_name("methods", method), method_page(method, boards, links))
    return [paper_table(one.board, one.summary_table) for one in boards]


def _write_paper(folder: SiteFolder, boards: Sequence[Board], tables: Sequence[Table]) -> None:
    for table in tables:
        folder.write(f"{table.name}.tex", table.latex)
        folder.write(f"{table.name}.md", table.markdown)
    charts = board_charts(boards)
    _write_pictures(folder, charts)
    about = {name: (ABOUT[name].title, ABOUT[name].text) for name in charts}
    folder.write("paper.html", paper_page(tables, about))


def _write_ablations(
    folder: SiteFolder, found: Sequence[Ablation], records: Mapping[str, Record]
) -> list[tuple[str, str, str]]:
    """Write the pages and pictures of ablations; return title, address and question of each."""
    written = []
    for one in found:
        page = f"ablations/{one.name}.html"
        folder.write(page, ablation_page(one, records.get))
        drawn = named_charts(figures_of(one, records.get))
        _write_pictures(folder, {f"{one.name}-{name}": chart for name, chart in drawn.items()})
        written.append((one.name, page, one.question))
    return written


def _write_tunings(
    folder: SiteFolder,
    found: Sequence[Tuning],
    records: Mapping[str, Record],
    methods: Collection[str],
) -> list[tuple[str, str, str]]:
    """Write the pages of tunings; return title, address and what was asked of each."""
    addresses = {method: page_name("methods", method) for method in methods}
    written = []
    for one in found:
        page = tuning.address(one)
        folder.write(page, tuning.tuning_page(one, records.get, addresses))
        written.append((one.settings.name, page, tuning.about(one)))
    return written


def _write_pictures(folder: SiteFolder, charts: Mapping[str, Any]) -> None:
    for name, chart in charts.items():
        made_from = stamp(VERSION, code_digest(), json.dumps(chart, sort_keys=True))
        files = [f"charts/{name}.{ending}" for ending in ("svg", "png", "pdf")]
        stale = [file for file in files if not folder.current(file, made_from)]
        drawn = pictures(chart) if stale else {}
        for file in stale:
            folder.write(file, drawn[file.rpartition(".")[2]], made_from)
