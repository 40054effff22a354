"""The paper view: tables by study, as LaTeX and Markdown, and the charts as pictures.

A score is bold where no other method is shown to be better and at least half are shown to be worse,
with at least five seeds (`leaderboard.summary_table.is_best`). Several scores of a column may be
bold: no difference between them is shown. Signs say how a score compares with the reference
(`leaderboard.board_claims`). Both are corrected over the tables of the section on the same terms.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board_claims import SIGNS, BoardClaims
from leaderboard.board_groups import BoardGroup, board_groups
from leaderboard.board_markdown import escape as escape_markdown
from leaderboard.boards import Board, Boards
from leaderboard.page_data import page_name
from leaderboard.pages.latex import escape_latex
from leaderboard.pages.navigation import HOME, Navigation
from leaderboard.pages.templating import environment
from leaderboard.score_text import caption
from leaderboard.statistics.paired_comparisons import MIN_SEEDS
from leaderboard.summary_table import (
    SummaryCell,
    SummaryRow,
    SummaryTable,
    summary_table,
)
from leaderboard.terms import NO_UPDATE, OFF_BUDGET
from leaderboard.trial_facts import TrialResult
from suite import __version__

MISSING, FAILED, OUTDATED = "–", "failed", "out of date"
OF_NO_STUDY = "By task and recipe"
WITHOUT_STUDY = (
    "These trials belong to no study: bundles do not say of which study their records are, and "
    "others were run on their own. There is a table for each task and recipe."
)


@dataclass(frozen=True)
class PaperStudy:
    """A study as the paper view shows it: its name, its question, and the keys of its trials."""

    name: str
    question: str
    keys: Collection[str]


@dataclass(frozen=True)
class PaperTable:
    """A board's table: title, address without an ending, caption, LaTeX, Markdown, and rows.

    `terms` are said at equal training FLOPs only; LaTeX and Markdown have the whole caption.
    """

    title: str
    name: str
    metric: str
    terms: str
    caption: str
    latex: str
    markdown: str
    summary_table: SummaryTable
    sparsities: list[float]


@dataclass(frozen=True)
class PaperSection:
    """The tables of a study, or of the trials of no study.

    `explanations` say how to read them, one for each kind of terms.
    """

    title: str
    text: str
    explanations: list[str]
    tables: list[PaperTable]


def paper_sections(
    studies: Iterable[PaperStudy],
    results: Sequence[TrialResult],
    groups: Sequence[BoardGroup],
    tuned: Mapping[str, Collection[str]],
) -> list[PaperSection]:
    """Return a section for each study that has results, and one for the results of none.

    `results` are those on the boards of `groups`; `tuned` is as for `Boards`. A trial of several
    studies is in the tables of each.
    """
    sections: list[PaperSection] = []
    of_studies: set[str] = set()
    for study in studies:
        own = [one for one in results if one.key in study.keys]
        of_studies.update(one.key for one in own)
        boards = groups if len(own) == len(results) else board_groups(_boards(own, tuned))
        if any(group.boards for group in boards):
            sections.append(_section(study.name, study.question, boards, study.name))
    rest = [one for one in results if one.key not in of_studies]
    boards = groups if len(rest) == len(results) else board_groups(_boards(rest, tuned))
    if any(group.boards for group in boards):
        sections.append(_section(OF_NO_STUDY, WITHOUT_STUDY, boards))
    return sections


def _boards(results: Iterable[TrialResult], tuned: Mapping[str, Collection[str]]) -> list[Board]:
    collection = Boards(tuned)
    for one in results:
        collection.add(one)
    return collection.built()


def _section(title: str, text: str, groups: Sequence[BoardGroup], study: str = "") -> PaperSection:
    tables = [
        paper_table(board, group.claims, len(group.boards), study)
        for group in groups
        for board in group.boards
    ]
    terms = [f"{group.terms.heading}: " if len(groups) > 1 else "" for group in groups]
    explanations = [
        which + explanation(group.claims, len(group.boards))
        for which, group in zip(terms, groups, strict=True)
    ]
    return PaperSection(title, text, explanations, tables)


def explanation(claims: BoardClaims, tables: int = 1) -> str:
    """Return how to read tables of these claims: intervals, bold scores, signs."""
    where = "this table" if tables == 1 else f"the {tables} tables on the same terms"
    pairs = "one pair" if claims.pairs == 1 else f"{claims.pairs:,} pairs"
    bold = (
        "Mean ± half the 95 % interval over seeds. Bold: no other method is shown to be better "
        "and at least half are shown to be worse (paired t-tests at 5 % with Holm's correction "
        f"over the {pairs} of methods in {where}, at least {MIN_SEEDS} seeds)."
    )
    return " ".join(filter(None, (bold, claims.sentences(f"in {where}"))))


def paper_table(board: Board, claims: BoardClaims, tables: int = 1, study: str = "") -> PaperTable:
    """Return a board as LaTeX and Markdown; `claims` are those of `tables` boards, of a study."""
    title = f"{study}: {board.title}" if study else board.title
    table = summary_table([board], claims)
    words = f"{title}: {table_caption(board, claims, tables)}"
    name = page_name("tables", title).removesuffix(".html")
    label = page_name("tab", title).removesuffix(".html").replace("/", ":")
    return PaperTable(
        board.title,
        name,
        caption(board.metric),
        stated_terms(board),
        words,
        latex_table(board.sparsities, table, words, label),
        markdown_table(board.sparsities, table, words),
        table,
        board.sparsities,
    )


def table_caption(board: Board, claims: BoardClaims, tables: int = 1) -> str:
    """Return the caption of a table: what it shows, in which unit, and how to read it."""
    parts = (f"{caption(board.metric)}.", stated_terms(board), explanation(claims, tables))
    return " ".join(filter(None, parts))


def stated_terms(board: Board) -> str:
    """Return a board's terms as a sentence; empty at equal steps, the usual ones."""
    return f"{board.terms.heading}." if board.terms.flops_budget else ""


def latex_table(sparsities: Sequence[float], table: SummaryTable, words: str, label: str) -> str:
    """Return a table of LaTeX's packages booktabs and amssymb (and textcomp, in old LaTeX)."""
    head = ["Method", *(f"$s = {sparsity:g}$" for sparsity in sparsities)]
    parts = [
        [_latex_row(row) for row in table.rows if row.entry.dense],
        [_latex_row(row) for row in table.rows if not row.entry.dense],
    ]
    body = "\n    \\midrule\n".join("\n".join(rows) for rows in parts if rows)
    return "\n".join(
        [
            "% \\usepackage{booktabs,amssymb}",
            "\\begin{table}",
            "  \\centering",
            f"  \\caption{{{escape_latex(words)}}}",
            f"  \\label{{{label}}}",
            f"  \\begin{{tabular}}{{l{'r' * len(sparsities)}}}",
            "    \\toprule",
            f"    {' & '.join(head)} \\\\",
            "    \\midrule",
            body,
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def markdown_table(sparsities: Sequence[float], table: SummaryTable, words: str) -> str:
    """Return a table of Markdown below its caption."""
    lines = [escape_markdown(words), ""]
    heads = ["Method", *(f"s = {sparsity:g}" for sparsity in sparsities)]
    lines += ["| " + " | ".join(heads) + " |", "|---" + "|---:" * len(sparsities) + "|"]
    for row in table.rows:
        cells = [escape_markdown(row.entry.label), *map(_markdown_cell, row.cells)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def paper_page(
    sections: Sequence[PaperSection],
    charts: Mapping[str, tuple[str, str]],
    navigation: Navigation | None = None,
) -> str:
    """Return the page; `charts` are title and text of the pictures in ``charts/``, by name."""
    return (
        environment()
        .get_template("paper.html")
        .render(
            title="Paper view · leaderboard",
            root="",
            trail=[],
            version=__version__,
            navigation=navigation,
            section=HOME,
            sections=sections,
            charts=charts,
            beside=beside,
        )
    )


def beside(cell: SummaryCell) -> str:
    """Return what stands beside a mean, or in its place: the sign against the reference, a note."""
    signs = [mark.sign for mark in cell.marks if mark.kind in SIGNS] if cell.mean else []
    return ", ".join([*signs, *filter(None, [note(cell)])])


def note(cell: SummaryCell) -> str:
    """Return the note beside a mean (few seeds, off-nominal sparsity), or in its place."""
    kinds = {mark.kind: mark for mark in cell.marks}
    if cell.mean:
        return ", ".join(kinds[kind].sign for kind in ("few", "off") if kind in kinds)
    if "failed" in kinds:
        return FAILED
    if "off-budget" in kinds:
        return OFF_BUDGET
    if "no-update" in kinds:
        return NO_UPDATE
    return OUTDATED if "outdated" in kinds else MISSING


def _latex_row(row: SummaryRow) -> str:
    cells = [escape_latex(row.entry.label), *map(_latex_cell, row.cells)]
    return f"    {' & '.join(cells)} \\\\"


def _latex_cell(cell: SummaryCell) -> str:
    raised = escape_latex(beside(cell))
    if not cell.mean:
        return raised
    mean = f"\\textbf{{{cell.mean}}}" if cell.best else cell.mean
    half = f" $\\pm$ {escape_latex(cell.half)}" if cell.half else ""
    return f"{mean}{half}" + (f"\\textsuperscript{{{raised}}}" if raised else "")


def _markdown_cell(cell: SummaryCell) -> str:
    if not cell.mean:
        return note(cell)
    text = cell.mean + (f" ± {cell.half}" if cell.half else "")
    raised = beside(cell)
    return (f"**{text}**" if cell.best else text) + (f" ({raised})" if raised else "")
