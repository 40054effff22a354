"""Building the site: the main page, pages of tasks, methods and trials, tables and charts.

The files of the folder::

    index.html                the leaderboard, a single file
    equal-flops-BUDGET.html   likewise the boards at equal training FLOPs, where there are any
    tasks.html, tasks/        a list, and a page each; likewise methods, studies (of the store, and
                              shipped ones with trials in bundles), ablations, tunings, and
                              reproductions of published tables
    trials/KEY.html           a page per record, finished or failed
    compare.html              any two rows compared
    evidence.html             what the project claims of its own method, of the shipped records
    signals.html              what gradient signals say, if any training was analysed
    paper.html                tables/*.tex, tables/*.md and charts/*.svg|png|pdf
    leaderboard.md            and leaderboard.csv (cells), trials.csv
    assets/                   style, scripts, chart data and search index that pages share
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from leaderboard.ablation_effects import design_effects
from leaderboard.board_groups import BoardGroup, board_groups, states_terms
from leaderboard.board_markdown import boards_markdown, spliced, surroundings
from leaderboard.boards import Board, Boards, Excluded, PlacedRecord
from leaderboard.bundles.bundle_file import Sender
from leaderboard.bundles.signature import ALLOWED_SIGNERS
from leaderboard.charts.board_charts import CHART_TEXTS, board_charts
from leaderboard.charts.picture_files import PictureFiles, start_drawing
from leaderboard.charts.pictures import VERSION
from leaderboard.charts.vega_bundle import classic_script
from leaderboard.data_frames import csv_text, summary_frame, trial_frame
from leaderboard.output_folder import SiteFolder, code_digest, inputs_digest
from leaderboard.pages.ablation_page import ablation_page, named_charts
from leaderboard.pages.comparison_page import COMPARISON_SCRIPTS
from leaderboard.pages.index_page import FurtherPage, index_page
from leaderboard.pages.navigation import PAPER, Navigation
from leaderboard.pages.paper_view import PaperSection, PaperStudy, paper_page, paper_sections
from leaderboard.pages.signals_page import ABOUT, PAGE, TITLE, signals_page
from leaderboard.pages.signals_page import named_charts as named_signal_charts
from leaderboard.pages.task_and_method_pages import (
    BoardView,
    board_views,
    chart_data_script,
    method_page,
    task_page,
)
from leaderboard.pages.templating import CHART_SCRIPTS, asset
from leaderboard.pages.trial_page import trial_chart_data_script
from leaderboard.pages.trial_page_writer import (
    PageJob,
    TrialPages,
    page_address,
    page_job,
)
from leaderboard.pages.tuning_page import tuning_address, tuning_page, tuning_summary
from leaderboard.signal_figures import signal_groups
from leaderboard.site.further_pages import (
    RelatedPages,
    write_comparison,
    write_further_pages,
)
from leaderboard.site.overviews import ablation_address, methods_pages
from leaderboard.site.sources import ShownAblation, Source, SourceRecord
from leaderboard.study_boards import study_boards
from leaderboard.trial_facts import TrialResult
from leaderboard.workers import Workers
from suite.core.errors import InvalidInput
from suite.core.files import atomic_write
from suite.core.redact import redact_file
from suite.results.record import Record
from suite.results.store import Store, gc_paused
from suite.tuning.schema import tuned_runs

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class BuiltSite:
    """What `build` wrote.

    Attributes:
        page: the main page.
        boards: what it shows.
        excluded: records that are on no board, and why.
        tables: the CSV files as data frames, by name.
        apart: how many trials are not on boards because they belong to an ablation or a tuning
            only, by its kind and name.
    """

    page: Path
    boards: list[Board]
    excluded: list[Excluded]
    tables: dict[str, "pl.DataFrame"]
    apart: dict[str, int]


def build(
    source: Store | Iterable[Record],
    out: Path,
    markdown: Path | None = None,
    workers: int = 1,
    bundles: Sequence[Path] = (),
    *,
    study: str | None = None,
    include_ablations: bool = False,
    signers: Path = ALLOWED_SIGNERS,
) -> BuiltSite:
    """Write the site of a store's records, or of records alone, into `out`.

    Boards, tables and CSV files are of studies: trials that belong to ablations or tunings only
    have pages, but are on no board unless `include_ablations`. With `study`, only the trials of
    that study (ablation, tuning) of the store are shown.

    `bundles` are files of records, or folders of such files, to show as well. Pages whose inputs
    have not changed are kept; pages of trials that no longer exist are removed; files that no build
    wrote are left alone. `markdown` is another file, in which the text between markers is replaced.
    `signers` is the file of those whose signatures of bundles are known.
    With more than one worker, pages of trials are written in spawned processes, which import the
    main module.

    Raises:
        InvalidInput: there is no record, no such study, or a file cannot be written.
    """
    content = Source(
        source, bundles, study, root=out, include_ablations=include_ablations, signers=signers
    )
    found = content.read()
    first = next(found, None)
    if first is None and content.selection.study:
        raise InvalidInput(
            f"study {content.selection.study} has no trial in the store yet: run it first "
            "(`resonance status STUDY` counts them)"
        )
    if first is None and content.unreadable:
        one = content.unreadable[0]
        raise InvalidInput(
            f"none of the {len(content.unreadable)} records can be read; the first, {one.key}: "
            f"{one.reason}"
        )
    if first is None and content.missing:
        raise InvalidInput(
            f"store {content.location} holds no trials: there is no such folder; name another with "
            f"--store, or run a first one, `resonance study quickstart --store {content.location}`"
        )
    if first is None:
        raise InvalidInput("the store holds no trials: run one first, `resonance study quickstart`")
    targets = [out / "leaderboard.md", *([markdown] if markdown is not None else [])]
    around = [surroundings(path) for path in targets]  # raises before anything is written
    try:
        with gc_paused():  # millions of objects that stay, and few cycles
            return _write(content, chain([first], found), SiteFolder(out), targets, around, workers)
    except OSError as error:
        raise InvalidInput(
            f"{error.filename or out} cannot be written ({error.strerror}): choose another --out"
        ) from error


def _write(
    content: Source,
    found: Iterable[SourceRecord],
    folder: SiteFolder,
    targets: Sequence[Path],
    around: Sequence[tuple[str, str]],
    workers: int,
) -> BuiltSite:
    """Write the site: pages of trials while records are still being read, then the others."""
    tuned = tuned_runs(content.tunings)
    collection = Boards(tuned)
    placed: list[PlacedRecord[TrialResult]] = []
    sent: Counter[Sender] = Counter(dict.fromkeys(content.senders, 0))
    signals: list[SourceRecord] = []
    folder.begin([page_address(key) for key in content.trials()])
    with Workers(workers) as processes:
        pages = TrialPages(folder, content.location, processes)
        pictures = PictureFiles(folder, code_digest(), processes)
        content.write_pages(folder, processes, tuned)
        if content.few_changes:
            start_drawing(processes)
        for one in found:
            aside = content.selection.apart.get(one.result.key, "")
            placed.append(collection.add(one.result, aside))
            pages.add(_job(placed[-1], one, content))
            if one.sender is not None:
                sent[one.sender] += 1
            if one.has_signals:
                signals.append(one)
        boards, excluded = collection.built(), [*collection.excluded, *content.unreadable]
        placed = [collection.settled(one) for one in placed]
        records = {one.record.key: one.record for one in placed}
        groups = board_groups(boards)
        drawn = _draw_boards(pictures, groups)
        _write_assets(folder)
        views = [view for group in groups for view in board_views(group, placed)]
        bar = content.navigation
        further = _write_ablations(folder, pictures, content.ablations, records, bar)
        further += _write_tunings(folder, content, records, methods_pages(views))
        analyses = _write_signals(folder, pictures, content.signals(signals), bar)
        shown = [one.record for one in placed if one.on_board]
        keys = {study.name: study.trials.keys() for study in content.studies}
        by_study = study_boards(keys, shown, groups, tuned)
        related = write_further_pages(folder, content, views, placed, analyses, by_study.of_study)
        _write_boards(folder, views, related, bar)
        sections = paper_sections(
            [
                PaperStudy(one.name, one.question, by_study.of_study.get(one.name, ()))
                for one in content.studies
            ],
            by_study.of_none,
        )
        _write_paper(folder, groups, sections, drawn, bar)
        write_comparison(folder, groups, bar)
        further += analyses
        for group in groups:
            charts = drawn[group.page]
            page = index_page(
                group.boards, excluded, further, list(sent.items()), charts, groups, navigation=bar
            )
            folder.write(group.page, page)
        tables_text = boards_markdown(groups)
        texts = [spliced(tables_text, one) for one in around]
        folder.write("leaderboard.md", texts[0])
        own = [one.record for one in placed if content.selection.takes(one.record.key)]
        rows = trial_frame(own)
        frames = {"leaderboard": summary_frame(boards), "trials": rows}
        for name, frame in frames.items():
            folder.write(f"{name}.csv", csv_text(frame))
        pages.finish()
        pictures.finish()
    folder.finish()
    content.keep()
    for path, text in zip(targets[1:], texts[1:], strict=True):
        atomic_write(path, redact_file(text), sync=False)
    apart = Counter(content.selection.apart[key] for key in records.keys() - {r.key for r in own})
    return BuiltSite(
        folder.root / "index.html", boards, excluded, frames, dict(sorted(apart.items()))
    )


def _job(placed: PlacedRecord[TrialResult], found: SourceRecord, content: Source) -> PageJob:
    """Return the job of writing a trial's page."""
    return page_job(
        placed,
        found.evaluations,
        curves=bool(content.location),
        sender=found.sender,
        reruns=found.reruns,
        record=found.record,
        navigation=content.navigation,
    )


def _write_assets(folder: SiteFolder) -> None:
    scripts = (
        *CHART_SCRIPTS,
        "copy_buttons.js",
        "chart_figure.js",
        "trial_curves.js",
        "task_charts.js",
        "embedded_charts.js",
        "search.js",
        *COMPARISON_SCRIPTS,
    )
    for name in ("style.css", "subpages.css", *scripts):
        folder.write(f"assets/{name}", asset(name))
    made_by = {
        "assets/trial_chart_data.js": (trial_chart_data_script, version("altair")),
        "assets/vega.js": (classic_script, VERSION),
    }
    for name, (script, library) in made_by.items():
        made_from = inputs_digest(code_digest(), library)
        if not folder.current(name, made_from):
            folder.write(name, script(), made_from)


def _write_boards(
    folder: SiteFolder, boards: list[BoardView], related: RelatedPages, bar: Navigation
) -> None:
    """Write the pages of tasks and methods."""
    folder.write("assets/task_chart_data.js", chart_data_script([one.board for one in boards]))
    for one in boards:
        folder.write(one.page, task_page(one, boards, related.of_task(one.board), bar))
    for method, page in methods_pages(boards).items():
        folder.write(page, method_page(method, boards, related.of_method(method), bar))


def _draw_boards(pictures: PictureFiles, groups: Sequence[BoardGroup]) -> dict[str, list[str]]:
    """Draw the charts of each group's page; return their names."""
    found = {}
    for group in groups:
        charts = board_charts(group.boards)
        pictures.add({f"{group.prefix}{name}": chart for name, chart in charts.items()})
        found[group.page] = list(charts)
    return found


def _write_paper(
    folder: SiteFolder,
    groups: Sequence[BoardGroup],
    sections: Sequence[PaperSection],
    drawn: Mapping[str, Sequence[str]],
    bar: Navigation,
) -> None:
    """Write the paper view with its tables; `drawn` are the charts of each group's page."""
    for table in (table for section in sections for table in section.tables):
        folder.write(f"{table.name}.tex", table.latex)
        folder.write(f"{table.name}.md", table.markdown)
    texts = {}
    for group in groups:
        where = f", {group.terms.words}" if states_terms(groups) else ""
        for name in drawn[group.page]:
            about = CHART_TEXTS[name]
            texts[f"{group.prefix}{name}"] = (f"{about.title}{where}", about.text)
    folder.write(PAPER.address, paper_page(sections, texts, bar))


def _write_ablations(
    folder: SiteFolder,
    pictures: PictureFiles,
    found: Sequence[ShownAblation],
    records: Mapping[str, TrialResult],
    bar: Navigation,
) -> list[FurtherPage]:
    """Write the pages and pictures of ablations; return them with their questions."""
    written = []
    for one, sender, sent in found:
        page, read = ablation_address(one), (records if sent is None else sent).get
        folder.write(page, ablation_page(one, read, sender, bar))
        charts = named_charts(design_effects(one, read))
        pictures.add({f"{one.name}-{name}": chart for name, chart in charts.items()})
        written.append(FurtherPage(one.name, page, one.question))
    return written


def _write_tunings(
    folder: SiteFolder,
    content: Source,
    records: Mapping[str, TrialResult],
    addresses: Mapping[str, str],
) -> list[FurtherPage]:
    """Write the pages of tunings; return them with their summaries."""
    written = []
    for one in content.tunings:
        page, sender = tuning_address(one), content.tuning_senders.get(one.settings.name)
        folder.write(page, tuning_page(one, records.get, addresses, sender, content.navigation))
        written.append(FurtherPage(one.settings.name, page, tuning_summary(one)))
    return written


def _write_signals(
    folder: SiteFolder, pictures: PictureFiles, records: Iterable[Record], bar: Navigation
) -> list[FurtherPage]:
    """Write the page and pictures of what signals say; return it, if there is such a record."""
    groups = signal_groups(records)
    if not groups:
        return []
    folder.write(PAGE, signals_page(groups, bar))
    pictures.add(named_signal_charts(groups))
    trials = frozenset(record.key for group in groups for record in group.records)
    return [FurtherPage(TITLE, PAGE, ABOUT, trials)]
