"""The lists of a site: of its tasks, methods, studies, ablations, tunings and reproductions."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from leaderboard.boards import Entry
from leaderboard.page_data import page_name
from leaderboard.pages.comparison_page import PAGE as COMPARE
from leaderboard.pages.comparison_page import TITLE as COMPARE_TITLE
from leaderboard.pages.list_page import ListedPage, PageList
from leaderboard.pages.navigation import (
    ABLATIONS,
    METHODS,
    REPRODUCTIONS,
    STUDIES,
    TASKS,
    TUNINGS,
)
from leaderboard.pages.recipe_texts import differing_recipe
from leaderboard.pages.reproduction_page import ShownReproduction
from leaderboard.pages.search_index import FoundPage
from leaderboard.pages.study_page import ShownStudy
from leaderboard.pages.task_and_method_pages import BoardView
from leaderboard.pages.tuning_page import tuning_address, tuning_summary
from leaderboard.score_text import caption
from leaderboard.site.sources import ShownAblation
from leaderboard.trial_facts import TrialResult
from suite.experiments import registry
from suite.results.ablation_design import Ablation
from suite.tuning.schema import Tuning

ReadRecord = Callable[[str], TrialResult | None]


def task_list(views: Sequence[BoardView]) -> PageList:
    """Return the list of boards."""
    known = registry.tasks()
    pages = []
    for view in views:
        board = view.board
        title = known[board.task].title if board.task in known else "not installed here"
        facts = (
            title,
            differing_recipe(board) or "as declared",
            caption(board.metric),
            _numbers(board.sparsities),
            f"{len(board.rows)}",
            f"{sum(map(len, view.trials.values())):,}",
        )
        pages.append(ListedPage(board.title, view.page, facts, title))
    return PageList(
        TASKS,
        "A dataset, a network and a recipe; where trials changed the recipe, a page of their own.",
        ("what it is", "recipe", "ranked by", "sparsities", "rows", "trials"),
        pages,
        ("what it is", "recipe", "ranked by"),
    )


def method_list(views: Sequence[BoardView]) -> PageList:
    """Return the list of methods that have a trial on a board, by family."""
    entries: dict[str, list[Entry]] = {}
    for view in views:
        for entry, _ in view.board.rows:
            entries.setdefault(entry.method, []).append(entry)
    on_tasks = Counter(
        method for one in views for method in {entry.method for entry, _ in one.board.rows}
    )
    trials = Counter[str]()
    for view in views:
        for (entry, _), found in view.trials.items():
            trials[entry.method] += len(found)
    known = registry.methods()
    pages = []
    for method, own in entries.items():
        declared = known[method] if method in known else None  # noqa: SIM401 - a registry has no get
        settings = len({entry.label for entry in own})
        facts = (
            own[0].family,
            declared.summary if declared else "not installed here",
            f"{settings}",
            f"{on_tasks[method]}",
            f"{trials[method]:,}",
        )
        words = f"{method} {own[0].family}"
        pages.append(ListedPage(own[0].title, page_name("methods", method), facts, words))
    pages.sort(key=lambda one: (one.facts[0] != "dense", one.facts[0], one.title.lower()))
    return PageList(
        METHODS,
        "What is compared, by family.",
        ("family", "what it does", "rows", "tasks", "trials"),
        pages,
        ("family", "what it does"),
        [(COMPARE_TITLE, COMPARE, "paired by seeds, in every cell and over all tasks.")],
    )


def study_list(
    studies: Sequence[ShownStudy], read: ReadRecord, more: Sequence[tuple[str, str, str]]
) -> PageList:
    """Return the list of studies; `more` are pages of analyses that are no studies' own."""
    pages = []
    for one in studies:
        states = one.states(read)
        facts = (
            one.question,
            one.size.partition(" of ")[2],
            f"{len(one.trials):,}",
            *(f"{states[state]:,}" for state in ("done", "failed", "not run")),
        )
        pages.append(ListedPage(one.name, one.page, facts, one.question))
    return PageList(
        STUDIES,
        "Trials that were planned together to answer a question. Ablations and tunings have lists "
        "of their own.",
        ("question", "size", "trials", "done", "failed", "not run"),
        pages,
        ("question", "size"),
        more,
    )


def ablation_list(ablations: Sequence[ShownAblation], read: ReadRecord) -> PageList:
    """Return the list of ablations."""
    pages = []
    for one, _, sent in ablations:
        states = _states(one, read if sent is None else sent.get)
        of = {f"{design.method} on {design.task} at {design.sparsity:g}" for design in one.designs}
        facts = (
            one.question,
            ", ".join(sorted(of)),
            *(f"{states[state]:,}" for state in ("done", "failed", "not run")),
        )
        pages.append(ListedPage(one.name, ablation_address(one), facts, one.question))
    return PageList(
        ABLATIONS,
        "One method with itself: what each of its parts and settings does.",
        ("question", "of", "done", "failed", "not run"),
        pages,
        ("question", "of"),
    )


def ablation_address(ablation: Ablation) -> str:
    """Return the address of an ablation's page within the site."""
    return f"ablations/{ablation.name}.html"


def _states(ablation: Ablation, read: ReadRecord) -> Counter[str]:
    keys = {
        key for design in ablation.designs for cell in design.cells for key in cell.trials.values()
    }
    found = [read(key) for key in keys]
    return Counter("not run" if record is None else record.status for record in found)


def tuning_list(tunings: Sequence[Tuning]) -> PageList:
    """Return the list of tunings."""
    pages = [
        ListedPage(
            one.settings.name,
            tuning_address(one),
            (
                tuning_summary(one),
                f"{sum(len(found.trials) for found in one.methods.values()):,}",
            ),
            " ".join(one.methods),
        )
        for one in tunings
    ]
    return PageList(
        TUNINGS,
        "Searches for settings on validation data, and what the winner is worth on fresh seeds.",
        ("what was tuned", "trials"),
        pages,
        ("what was tuned",),
    )


def reproduction_list(found: Sequence[ShownReproduction]) -> PageList:
    """Return the list of published tables."""
    pages = [
        ListedPage(
            one.table.title,
            one.page,
            (f"{len(one.lines)}", one.state, one.verdict, one.table.needs or ""),
            f"{one.table.name} {' '.join(sorted(set(one.methods)))}",
        )
        for one in found
    ]
    return PageList(
        REPRODUCTIONS,
        "Tables of papers beside what this suite reproduces under the published protocols. They "
        "are no entries of the leaderboard, whose protocol is the suite's own.",
        ("lines", "reproduced", "verdict", "running it needs"),
        pages,
        ("running it needs",),
    )


def found_pages(lists: Sequence[PageList]) -> list[FoundPage]:
    """Return what the search finds of lists: every row, and the lists themselves."""
    found = [FoundPage("list", one.section.name, "", one.section.address) for one in lists]
    for listed in lists:
        found += [
            FoundPage(listed.section.name, one.title, one.words, one.address)
            for one in listed.pages
        ]
        found += [FoundPage("page", title, "", address) for title, address, _ in listed.more]
    return found


def _numbers(sparsities: Sequence[float]) -> str:
    return ", ".join(f"{sparsity:g}" for sparsity in sparsities)


def methods_pages(views: Sequence[BoardView]) -> Mapping[str, str]:
    """Return the addresses of methods' pages by name."""
    names = {entry.method for one in views for entry, _ in one.board.rows}
    return {name: page_name("methods", name) for name in sorted(names)}
