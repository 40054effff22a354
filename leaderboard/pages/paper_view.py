"""The paper view: tables by study, as LaTeX and Markdown, and the charts as pictures.

A score is bold where no other method is shown to be better and at least half are shown to be worse,
with at least five seeds (`leaderboard.summary_table.is_best`). Several scores of a column may be
bold: no difference between them is shown. Signs say how a score compares with the reference
(`leaderboard.board_claims`). Both are corrected over the tables of the section on the same terms.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board_claims import SIGNS, BoardClaims
from leaderboard.board_groups import BoardGroup
from leaderboard.board_markdown import escape as escape_markdown
from leaderboard.boards import Board
from leaderboard.page_data import page_name
from leaderboard.pages.latex import escape_latex
from leaderboard.pages.navigation import PAPER, Navigation
from leaderboard.pages.templating import environment
from leaderboard.score_text import caption, direction, heading
from leaderboard.statistics.paired_comparisons import MIN_SEEDS, Verdict
from leaderboard.summary_table import (
    SummaryCell,
    SummaryRow,
    SummaryTable,
    summary_table,
)
from leaderboard.terms import NO_UPDATE, OFF_BUDGET
from suite import __version__

MISSING, FAILED, OUTDATED = "–", "failed", "out of date"
MARKS = {
    "few": f"n: seeds where fewer than {MIN_SEEDS}, which support no claim",
    "off": "s: realised sparsity where it is not the nominal one",
    MISSING: f"{MISSING}: not run",
    FAILED: f"{FAILED}: no trial finished",
    OUTDATED: f"{OUTDATED}: only results of an older version",
    NO_UPDATE: f"{NO_UPDATE}: connectivity was never updated",
    OFF_BUDGET: f"{OFF_BUDGET}: trained for more or fewer FLOPs",
}
"""What marks of a table mean: beside a score by their kind, in its place as they are written."""
OF_NO_STUDY = "By task and recipe"
WITHOUT_STUDY = (
    "These trials belong to no study: bundles do not say of which study their records are, and "
    "others were run on their own. There is a table for each task and recipe."
)


@dataclass(frozen=True)
class PaperStudy:
    """A study as the paper view shows it: its name, its question, and the boards of its trials."""

    name: str
    question: str
    groups: Sequence[BoardGroup]


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
    studies: Iterable[PaperStudy], of_none: Sequence[BoardGroup] = ()
) -> list[PaperSection]:
    """Return a section for each study that has results, and one for the boards of none."""
    sections = [
        _section(one.name, one.question, one.groups, one.name)
        for one in studies
        if any(group.boards for group in one.groups)
    ]
    if any(group.boards for group in of_none):
        sections.append(_section(OF_NO_STUDY, WITHOUT_STUDY, of_none))
    return sections


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
    words = table_caption(board, table, claims, tables)
    name = page_name("tables", title).removesuffix(".html")
    label = page_name("tab", title).removesuffix(".html").replace("/", ":")
    return PaperTable(
        board.title,
        name,
        caption(board.metric),
        stated_terms(board),
        words,
        latex_table(board.sparsities, table, words, label, title),
        markdown_table(board.sparsities, table, words),
        table,
        board.sparsities,
    )


def table_caption(board: Board, table: SummaryTable, claims: BoardClaims, tables: int = 1) -> str:
    """Return the caption of a table: what it shows, how it is read, and the marks that it has."""
    what, way = heading(board.metric), direction(board.metric)
    metric = f"{what}, {way}," if "(" in what else f"{what} ({way})"
    terms = f" {board.terms.words}" if board.terms.flops_budget else ""
    halves = any(cell.half for row in table.rows for cell in row.cells)
    mean = "mean ± half the 95 % interval" if halves else "mean"
    shown = f"{metric[0].upper()}{metric[1:]} on {board.title}{terms}: {mean} over {_seeds(board)}."
    return " ".join(filter(None, (shown, _how(table, claims, tables), _legend(table))))


def _seeds(board: Board) -> str:
    """Return over how many seeds scores are."""
    numbers = sorted({len(cell.runs) for _, _, cell in board.cells() if cell.runs})
    if not numbers:
        return "seeds"
    if len(numbers) == 1:
        return f"{numbers[0]} seed{'s' * (numbers[0] != 1)}"
    return f"{numbers[0]} to {numbers[-1]} seeds"


def _how(table: SummaryTable, claims: BoardClaims, tables: int) -> str:
    """Return what bold and the signs against the reference say, and by which tests."""
    cells = [cell for row in table.rows for cell in row.cells]
    kinds = {mark.kind for cell in cells for mark in cell.marks if cell.mean}
    where = "this table" if tables == 1 else f"{tables} tables"
    parts, counted = [], []
    if any(cell.best for cell in cells):
        parts.append("bold: none is shown to be better, and at least half to be worse")
        counted.append("one pair" if claims.pairs == 1 else f"{claims.pairs:,} pairs")
    if claims.reference and claims.comparisons:
        within = f" (within ± {claims.within})"
        parts += [
            f"{sign}: {kind}{within if kind is Verdict.EQUIVALENT else ''}"
            for kind, sign in SIGNS.items()
            if kind in kinds
        ]
        parts.append(f"no sign: no difference from {claims.reference} shown")
        one = claims.comparisons == 1
        words = "one comparison" if one else f"{claims.comparisons:,} comparisons"
        counted.append(f"{words} with {claims.reference}")
    if not parts:
        return ""
    tests = f"paired t-tests at 5 %, Holm-corrected over {' and '.join(counted)} in {where}"
    text = f"{'; '.join(parts)} ({tests})."
    return text[0].upper() + text[1:]


def _legend(table: SummaryTable) -> str:
    """Return what the other marks of a table mean; empty without any."""
    shown = {
        beside_mean if cell.mean else note(cell)
        for row in table.rows
        for cell in row.cells
        for beside_mean in ([m.kind for m in cell.marks] or [""])
    }
    words = [meaning for mark, meaning in MARKS.items() if mark in shown]
    return f"{'; '.join(words)}." if words else ""


def stated_terms(board: Board) -> str:
    """Return a board's terms as a sentence; empty at equal steps, the usual ones."""
    return f"{board.terms.heading}." if board.terms.flops_budget else ""


def latex_table(
    sparsities: Sequence[float], table: SummaryTable, words: str, label: str, title: str = ""
) -> str:
    """Return a table of LaTeX's packages booktabs and amssymb; `title` is in a comment above."""
    head = ["Method", *(f"$s = {sparsity:g}$" for sparsity in sparsities)]
    parts = [
        [_latex_row(row) for row in table.rows if row.entry.dense],
        [_latex_row(row) for row in table.rows if not row.entry.dense],
    ]
    body = "\n    \\midrule\n".join("\n".join(rows) for rows in parts if rows)
    return "\n".join(
        [
            *([f"% {escape_latex(title)}"] if title else []),
            "% \\usepackage{booktabs,amssymb}",
            "\\begin{table}",
            "  \\centering",
            f"  \\caption{{{_latex_text(words)}}}",
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
            section=PAPER,
            here=PAPER.address,
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


def _latex_text(text: str) -> str:
    """Return running text, with per cent signs that stay on the line of their number."""
    return re.sub(r"(?<=\d) \\%", r"\\,\\%", escape_latex(text))


def _latex_row(row: SummaryRow) -> str:
    cells = [escape_latex(row.entry.label), *map(_latex_cell, row.cells)]
    return f"    {' & '.join(cells)} \\\\"


def _latex_cell(cell: SummaryCell) -> str:
    raised = _latex_text(beside(cell))
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
