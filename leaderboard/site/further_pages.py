"""Writing the pages of a site beside boards and trials: lists, studies, reproductions, evidence."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board_groups import BoardGroup
from leaderboard.boards import Board, PlacedRecord
from leaderboard.output_folder import SiteFolder
from leaderboard.pages import evidence, evidence_page
from leaderboard.pages.comparison_page import PAGE as COMPARE
from leaderboard.pages.comparison_page import comparison_page, data_file, data_script
from leaderboard.pages.index_page import FurtherPage
from leaderboard.pages.list_page import list_page
from leaderboard.pages.navigation import EVIDENCE, Navigation
from leaderboard.pages.reproduction_page import (
    ShownReproduction,
    SiteTrials,
    reproduction,
    reproduction_page,
)
from leaderboard.pages.search_index import PAGES, TRIALS, FoundPage, page_index, trial_index
from leaderboard.pages.study_page import study_page
from leaderboard.pages.task_and_method_pages import BoardView, RelatedPage
from leaderboard.pages.tuning_page import tuning_address
from leaderboard.reproduction.published_results import table, tables
from leaderboard.site.overviews import (
    ablation_address,
    ablation_list,
    found_pages,
    method_list,
    methods_pages,
    reproduction_list,
    study_list,
    task_list,
    tuning_list,
)
from leaderboard.site.sources import Source
from leaderboard.trial_facts import TrialResult


@dataclass(frozen=True)
class RelatedPages:
    """Pages that the pages of a task or of a method link to, by its name."""

    tasks: Mapping[str, Sequence[RelatedPage]]
    methods: Mapping[str, Sequence[RelatedPage]]

    def of_task(self, board: Board) -> Sequence[RelatedPage]:
        """Return those of a board's task."""
        return self.tasks.get(board.task, ())

    def of_method(self, method: str) -> Sequence[RelatedPage]:
        """Return those of a method."""
        return self.methods.get(method, ())


def write_further_pages(
    folder: SiteFolder,
    content: Source,
    views: Sequence[BoardView],
    placed: Sequence[PlacedRecord[TrialResult]],
    analyses: Sequence[FurtherPage],
    of_study: Mapping[str, Sequence[BoardGroup]],
) -> RelatedPages:
    """Write the pages of studies and reproductions, the lists, the evidence and the search index.

    `placed` are all trials of the site, `analyses` the pages of analyses of trainings, `of_study`
    the boards of each study by itself. Returns what pages of tasks and methods link to.
    """
    bar = content.navigation
    records = {one.record.key: one.record for one in placed}
    reproductions = _write_reproductions(folder, content, records, views)
    _write_studies(folder, content, records.get, analyses, of_study)
    lists = [
        task_list(views),
        method_list(views),
        study_list(
            content.studies, records.get, [(one.title, one.address, one.about) for one in analyses]
        ),
        ablation_list(content.ablations, records.get),
        tuning_list(content.tunings),
        reproduction_list(reproductions),
    ]
    lists = [one for one in lists if one.section in bar.sections]
    for one in lists:
        folder.write(one.section.address, list_page(one, bar))
    _write_evidence(folder, content, analyses)
    pages = [
        *found_pages(lists),
        FoundPage("page", "Paper view: tables, figures", "", "paper.html"),
    ]
    if EVIDENCE in bar.sections:
        pages.append(FoundPage("page", "Evidence", "claims of the project", EVIDENCE.address))
    folder.write(PAGES, page_index(pages))
    folder.write(TRIALS, trial_index(records.values()))
    return _related(content, reproductions)


def write_comparison(
    folder: SiteFolder, groups: Sequence[BoardGroup], navigation: Navigation
) -> None:
    """Write the page that compares two rows, and the scores of each group of boards."""
    for group in groups:
        folder.write(data_file(group), data_script(group))
    folder.write(COMPARE, comparison_page(groups, navigation))


def _write_reproductions(
    folder: SiteFolder,
    content: Source,
    records: Mapping[str, TrialResult],
    views: Sequence[BoardView],
) -> list[ShownReproduction]:
    trials = SiteTrials(records, content.store)
    present = {one.trial["task"] for one in records.values()} | trials.shipped_tasks
    methods = methods_pages(views)
    studies = {one.name: one.page for one in content.studies}
    found = [reproduction(table(name), trials, present) for name in tables()]
    for one in found:
        boards = [(v.board.title, v.page) for v in views if v.board.task in one.tasks]
        study = studies.get(one.table.study or "", "")
        page = reproduction_page(one, methods, boards, study, content.navigation)
        folder.write(one.page, page)
    return found


def _write_studies(
    folder: SiteFolder,
    content: Source,
    read: Callable[[str], TrialResult | None],
    analyses: Sequence[FurtherPage],
    of_study: Mapping[str, Sequence[BoardGroup]],
) -> None:
    analysed = {key for one in analyses for key in one.trials}
    for study in content.studies:
        further = [] if analysed.isdisjoint(study.trials) else analyses
        links = [(one.title, one.address) for one in further]
        groups = of_study.get(study.name, ())
        folder.write(study.page, study_page(study, read, groups, links, content.navigation))


def _write_evidence(folder: SiteFolder, content: Source, analyses: Sequence[FurtherPage]) -> None:
    bar = content.navigation
    if EVIDENCE not in bar.sections:
        return
    signals = analyses[0].address if analyses else ""
    readings = [
        ablation_address(one.ablation)
        for one in content.ablations
        if one.ablation.name == evidence.READINGS_STUDY
    ]
    ablation = readings[0] if readings else ""
    made_from = evidence_page.made_from(bar, signals, ablation)
    if not folder.current(EVIDENCE.address, made_from):
        page = evidence_page.evidence_page(signals, ablation, bar)
        folder.write(EVIDENCE.address, page, made_from)


def _related(content: Source, reproductions: Sequence[ShownReproduction]) -> RelatedPages:
    """Return the pages of studies, tunings, ablations and reproductions by task and by method."""
    tasks: dict[str, list[RelatedPage]] = defaultdict(list)
    methods: dict[str, list[RelatedPage]] = defaultdict(list)
    for study in content.studies:
        page = RelatedPage("study", study.name, study.page)
        for place, name in ((tasks, "task"), (methods, "method")):
            for value in {str(trial.get(name, "")) for trial in study.trials.values()}:
                place[value].append(page)
    for one in content.ablations:
        page = RelatedPage("ablation", one.ablation.name, ablation_address(one.ablation))
        for task in {design.task for design in one.ablation.designs}:
            tasks[task].append(page)
        for method in {design.method for design in one.ablation.designs}:
            methods[method].append(page)
    for tuning in content.tunings:
        page = RelatedPage("tuning", tuning.settings.name, tuning_address(tuning))
        for method in tuning.methods:
            methods[method].append(page)
    for shown in reproductions:
        page = RelatedPage("reproduction", shown.table.title, shown.page)
        for task in shown.tasks:
            tasks[task].append(page)
        for method in set(shown.methods) - {""}:
            methods[method].append(page)
    return RelatedPages(tasks, methods)
