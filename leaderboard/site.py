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
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard.ablation import figures_of
from leaderboard.charts.board import ABOUT, board_charts, pictures
from leaderboard.charts.vega import VERSION, classic_script
from leaderboard.data import page_name
from leaderboard.folder import SiteFolder, stamp, write_whole
from leaderboard.markdown import spliced
from leaderboard.pages import board, index, tuning
from leaderboard.pages.ablation import ablation_page, named_charts
from leaderboard.pages.board import Seen, method_page, seen, task_page
from leaderboard.pages.paper import Table, paper_page, paper_table
from leaderboard.pages.templating import DRAWING, asset
from leaderboard.pages.trial import Place, charts_script
from leaderboard.pages.trial_files import Job, write_trials
from leaderboard.submission import Bundle, Header, read_bundles
from leaderboard.tables import (
    Board,
    Entry,
    Excluded,
    board_title,
    build_boards,
    csv_text,
    is_result,
    place,
    summary_frame,
    trial_frame,
)
from suite import __version__
from suite.ablation import Ablation, ablations
from suite.errors import InvalidInput
from suite.results.evaluation import Evaluation, load_evaluations
from suite.results.record import Record
from suite.results.store import Store
from suite.tuning.document import Tuning, tuned_runs, tunings

if TYPE_CHECKING:
    import polars as pl

UNTESTED = "it was never tested (a tuner's search): it is no result"
Placed = tuple[Record, tuple[str, str], Entry]


@dataclass(frozen=True)
class Built:
    """What `build` wrote, and what it is made from; `tables` are its CSV files, by name."""

    page: Path
    boards: list[Board]
    excluded: list[Excluded]
    tables: dict[str, "pl.DataFrame"]


@dataclass(frozen=True)
class Content:
    """What a site is made from: records, those that cannot be read, and what stands beside them.

    `bundles` are those that further records came in, each with its records that are shown.
    """

    records: list[Record]
    damaged: list[Excluded]
    evaluations: Mapping[str, list[Evaluation]]
    tunings: list[Tuning]
    ablations: list[Ablation]
    bundles: Sequence[Bundle] = ()
    store: str = ""

    @property
    def senders(self) -> dict[str, Header]:
        """Trial's key → who sent its record, where that came in a bundle."""
        return {record.key: one.header for one in self.bundles for record in one.records}

    @classmethod
    def of(cls, source: Store | Iterable[Record], bundles: Sequence[Path] = ()) -> "Content":
        """Read a store, and bundles beside it; records alone have no curves.

        Raises:
            InvalidInput: the store cannot be listed, or a document beside the trials is damaged.
        """
        sent, rejected = read_bundles(bundles)
        lost = [Excluded(one.where, "record", one.reason) for one in rejected]
        records, damaged = source.readable() if isinstance(source, Store) else ([*source], [])
        own = {record.key for record in records}
        sent = [one._replace(records=[r for r in one.records if r.key not in own]) for one in sent]
        records += [record for one in sent for record in one.records]
        if not isinstance(source, Store):
            return cls(records, lost, {}, [], [], sent)
        lost += [Excluded(one.key, "trial", one.reason) for one in damaged]
        measured = {name[:16] for name in source.place.shared_names("evaluations")}
        evaluations = {
            record.key: load_evaluations(source, record)
            for record in records
            if record.key in measured
        }
        found = tunings(source), ablations(source)
        return cls(records, lost, evaluations, *found, sent, source.location)


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
    content = Content.of(source, bundles)
    if not content.records:
        raise InvalidInput("the store holds no trials: run one first, `resonance study quickstart`")
    tuned = tuned_runs(content.tunings)
    boards, excluded = build_boards(content.records, tuned)
    placed = [(record, *place(record, tuned)) for record in content.records]
    left_out = {one.key: one.reason for one in excluded}
    excluded += content.damaged
    targets = [out / "leaderboard.md", *([markdown] if markdown is not None else [])]
    try:
        texts = [spliced(boards, path) for path in targets]  # refuses before anything is written
        folder = SiteFolder(out)
        senders = content.senders
        jobs = [_job(one, content, left_out, senders.get(one[0].key)) for one in placed]
        folder.begin([job.name for job in jobs])
        with write_trials(folder, content.store, jobs, workers):
            _write_assets(folder)
            tested = [one for one in placed if is_result(one[0])]
            tasks = seen(boards, tested, left_out)
            tables = _write_boards(folder, tasks, content.tunings)
            _write_paper(folder, boards, tables)
            further = _write_ablations(folder, content)
            further += _write_tunings(folder, content, _methods(tasks))
            sent = [(one.header, len(one.records)) for one in content.bundles]
            folder.write("index.html", index.render(boards, excluded, further, sent))
            folder.write("leaderboard.md", texts[0])
            frames = {"leaderboard": summary_frame(boards), "trials": trial_frame(content.records)}
            for name, frame in frames.items():
                folder.write(f"{name}.csv", csv_text(frame))
        folder.finish()
        if markdown is not None:
            write_whole(markdown, texts[1])
    except OSError as error:
        raise InvalidInput(
            f"{error.filename or out} cannot be written ({error.strerror}): choose another --out"
        ) from error
    return Built(out / "index.html", boards, excluded, frames)


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


def _job(one: Placed, content: Content, left_out: Mapping[str, str], sender: Header | None) -> Job:
    """Return what a trial's page is to be made from."""
    record, (task, settings), entry = one
    title = board_title(task, settings)
    where = Place(
        title,
        page_name("tasks", title),
        entry.title,
        page_name("methods", entry.method),
        left_out.get(record.key, ""),
    )
    if not is_result(record):
        where = replace(where, task_page="", method_page="", left_out=UNTESTED)
    evaluations = content.evaluations.get(record.key, [])
    seal = record.seal.digest if record.seal is not None else record.model_dump_json()
    made_from = stamp(
        code_digest(), seal, repr(where), repr(sender), content.store and "curves",
        *(evaluation.model_dump_json() for evaluation in evaluations),
    )  # fmt: skip
    return Job(f"trials/{record.key}.html", made_from, record, evaluations, where, sender)


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
    return [paper_table(one.board, one.glance) for one in boards]


def _write_paper(folder: SiteFolder, boards: Sequence[Board], tables: Sequence[Table]) -> None:
    for table in tables:
        folder.write(f"{table.name}.tex", table.latex)
        folder.write(f"{table.name}.md", table.markdown)
    charts = board_charts(boards)
    _write_pictures(folder, charts)
    about = {name: (ABOUT[name].title, ABOUT[name].text) for name in charts}
    folder.write("paper.html", paper_page(tables, about))


def _write_ablations(folder: SiteFolder, content: Content) -> list[tuple[str, str, str]]:
    """Write the pages and pictures of ablations; return title, address and question of each."""
    records = {record.key: record for record in content.records}
    written = []
    for one in content.ablations:
        page = f"ablations/{one.name}.html"
        folder.write(page, ablation_page(one, records.get))
        drawn = named_charts(figures_of(one, records.get))
        _write_pictures(folder, {f"{one.name}-{name}": chart for name, chart in drawn.items()})
        written.append((one.name, page, one.question))
    return written


def _write_tunings(
    folder: SiteFolder, content: Content, methods: Collection[str]
) -> list[tuple[str, str, str]]:
    """Write the pages of tunings; return title, address and what was asked of each."""
    records = {record.key: record for record in content.records}
    addresses = {method: page_name("methods", method) for method in methods}
    written = []
    for one in content.tunings:
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
