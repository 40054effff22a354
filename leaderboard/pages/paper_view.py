"""The paper view: tables as LaTeX and Markdown, and the charts as pictures.

A score is bold where no other method is shown to be better and at least half are shown to be worse,
with at least five seeds (`leaderboard.summary_table.is_best`). Several scores of a column may be
bold: no difference between them is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board_columns import Column
from leaderboard.board_markdown import escape as escape_markdown
from leaderboard.boards import Board
from leaderboard.page_data import page_name
from leaderboard.pages.latex import escape_latex
from leaderboard.pages.navigation import HOME, Navigation
from leaderboard.pages.templating import environment
from leaderboard.score_text import caption
from leaderboard.statistics.paired_comparisons import MIN_SEEDS
from leaderboard.summary_table import (
    NO_UPDATE,
    OFF_BUDGET,
    SummaryCell,
    SummaryRow,
    SummaryTable,
)
from suite import __version__

EXPLANATION = (
    "Mean ± half the 95 % interval over seeds. Bold: no other method is shown "
    f"to be better and at least half are shown to be worse (paired t-tests at 5 % with Holm's "
    f"correction over all pairs in all tables on the same terms, at least {MIN_SEEDS} seeds)."
)
MISSING, FAILED, OUTDATED = "–", "failed", "out of date"


@dataclass(frozen=True)
class PaperTable:
    """A board's table: title, address without an ending, caption, LaTeX, Markdown, and rows.

    `terms` are said at equal training FLOPs only; LaTeX and Markdown have them in their captions.
    """

    title: str
    name: str
    caption: str
    terms: str
    latex: str
    markdown: str
    summary_table: SummaryTable
    sparsities: list[float]


def paper_table(board: Board, summary_table: SummaryTable) -> PaperTable:
    """Return a board as LaTeX and Markdown; `summary_table` is of this board alone."""
    name = page_name("tables", board.title).removesuffix(".html")
    return PaperTable(
        board.title,
        name,
        table_caption(board.metric),
        stated_terms(board),
        latex_table(board, summary_table),
        markdown_table(board, summary_table),
        summary_table,
        board.sparsities,
    )


def table_caption(metric: Column, terms: str = "") -> str:
    """Return the caption of a table: what it shows, in which unit, and how to read it."""
    return " ".join(filter(None, (f"{caption(metric)}.", terms, EXPLANATION)))


def stated_terms(board: Board) -> str:
    """Return a board's terms as a sentence; empty at equal steps, the usual ones."""
    return f"{board.terms.heading}." if board.terms.flops_budget else ""


def latex_table(board: Board, summary_table: SummaryTable) -> str:
    """Return a board as a table of LaTeX's package booktabs (and textcomp, in old LaTeX)."""
    head = ["Method", *(f"$s = {sparsity:g}$" for sparsity in board.sparsities)]
    parts = [
        [_latex_row(row) for row in summary_table.rows if row.entry.dense],
        [_latex_row(row) for row in summary_table.rows if not row.entry.dense],
    ]
    body = "\n    \\midrule\n".join("\n".join(rows) for rows in parts if rows)
    words = table_caption(board.metric, stated_terms(board))
    label = page_name("tab", board.title).removesuffix(".html").replace("/", ":")
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            "\\begin{table}",
            "  \\centering",
            f"  \\caption{{{escape_latex(f'{board.title}: {words}')}}}",
            f"  \\label{{{label}}}",
            f"  \\begin{{tabular}}{{l{'r' * len(board.sparsities)}}}",
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


def markdown_table(board: Board, summary_table: SummaryTable) -> str:
    """Return a board as a Markdown table."""
    words = table_caption(board.metric, stated_terms(board))
    lines = [f"**{escape_markdown(board.title)}**: {words}", ""]
    heads = ["Method", *(f"s = {sparsity:g}" for sparsity in board.sparsities)]
    lines += ["| " + " | ".join(heads) + " |", "|---" + "|---:" * len(board.sparsities) + "|"]
    for row in summary_table.rows:
        cells = [escape_markdown(row.entry.label), *map(_markdown_cell, row.cells)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def paper_page(
    tables: Sequence[PaperTable],
    charts: Mapping[str, tuple[str, str]],
    navigation: Navigation | None = None,
) -> str:
    """Return the page; `charts` are title and text of the pictures in ``charts/``, by name."""
    captions = {table.caption for table in tables}
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
            tables=tables,
            charts=charts,
            caption=captions.pop() if len(captions) == 1 else EXPLANATION,
            note=note,
        )
    )


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
    beside = escape_latex(note(cell))
    if not cell.mean:
        return beside
    mean = f"\\textbf{{{cell.mean}}}" if cell.best else cell.mean
    half = f" $\\pm$ {escape_latex(cell.half)}" if cell.half else ""
    return f"{mean}{half}" + (f"\\textsuperscript{{{beside}}}" if beside else "")


def _markdown_cell(cell: SummaryCell) -> str:
    beside = note(cell)
    if not cell.mean:
        return beside
    text = cell.mean + (f" ± {cell.half}" if cell.half else "")
    return (f"**{text}**" if cell.best else text) + (f" ({beside})" if beside else "")
