"""Tables of published against reproduced results, as text, Markdown, LaTeX and HTML."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from leaderboard.board_markdown import escape as escape_markdown
from leaderboard.pages.latex import escape_latex
from leaderboard.pages.templating import environment
from leaderboard.reproduction.published_results import PublishedTable
from leaderboard.reproduction.published_vs_reproduced import TableLine, table_lines
from suite import __version__
from suite.core.errors import InvalidInput
from suite.core.files import atomic_write

UNITS = {"percent": ("%", 2), "times": ("× dense", 3), "number": ("", 2)}
"""Unit and decimals of reproduced values."""


def columns(table: PublishedTable) -> list[str]:
    """Return the column headings."""
    unit = UNITS[table.unit][0]
    suffix = f" ({unit})" if unit else ""
    return [
        "method",
        "sparsity",
        f"published{suffix}",
        f"reproduced{suffix}",
        "n",
        "difference",
        "within?",
        "deviations",
        "trust",
        "source",
    ]


def cells(table: PublishedTable, line: TableLine) -> list[str]:
    """Return a line as texts, in the order of `columns`."""
    decimals = UNITS[table.unit][1]
    reproduced, n, difference = "not run", "0", ""
    if line.values is None:
        reproduced, n = "", ""
    elif line.mean is not None:
        reproduced, n = f"{line.mean:.{decimals}f}", str(len(line.values))
        if line.std is not None:
            reproduced += f" ± {line.std:.{decimals}f}"
    if line.computed:
        n = "computed"
    if line.failed:
        n += f" ({line.failed} failed)"
    if line.difference is not None:
        rounded = round(line.difference, decimals) + 0.0  # + 0.0 turns −0.0 into 0.0
        difference = f"{rounded:+.{decimals}f}".replace("-", "−")
    return [
        line.method,
        "" if line.sparsity is None else f"{line.sparsity:g}",
        line.printed or "–",
        reproduced,
        n,
        difference,
        _within(table, line),
        line.deviations,
        line.trust,
        ", ".join(filter(None, (line.where, line.source))),
    ]


def _within(table: PublishedTable, line: TableLine) -> str:
    if line.mean is None:
        return ""
    if line.within is None:
        return "no std published" if line.published is not None else "nothing published"
    words = "yes" if line.within else "no"
    if line.bound:
        return f"{words} ({line.bound[0]} {line.bound[1:]})"
    if table.tolerance is not None and line.rounds_to_published is False:
        words += f", rounds to {line.rounded}"
    return words


def rule(table: PublishedTable, lines: Sequence[TableLine] = ()) -> str:
    """Return in words what counts as within, and how many `lines` do not round to the figure.

    That is counted where a table declares a tolerance: a distance, in which a figure may round to
    another one than was published.
    """
    words = _rule(table)
    compared = [one for one in lines if one.rounds_to_published is not None]
    others = sum(not one.rounds_to_published for one in compared)
    if table.tolerance is None or not others:
        return words
    return (
        f"{words}; {others} of {len(compared)} do not round to the published figure, and are "
        "marked with what they round to"
    )


def _rule(table: PublishedTable) -> str:
    lines = table_lines(table, None)
    rules = ["on the published side of the bound"] if any(one.bound for one in lines) else []
    if table.tolerance is not None:
        rules.append(f"at most {table.tolerance:g} from the published value")
    elif any(one.tolerance is not None for one in lines if not one.bound):
        rules.append("inside the published mean ± 2 standard deviations")
    return (
        f"within: {', or '.join(rules)}"
        if rules
        else "within: undecided, no standard deviation is published"
    )


def markdown(table: PublishedTable, lines: Sequence[TableLine]) -> str:
    """Return the table as Markdown."""
    head = columns(table)
    rows = [head, ["---"] * len(head)]
    rows += [[escape_markdown(text) for text in cells(table, line)] for line in lines]
    text = [f"**{escape_markdown(table.title)}**", ""]
    text += ["| " + " | ".join(row) + " |" for row in rows]
    below = f"{rule(table, lines)}. {table.note}".strip()
    return "\n".join([*text, "", escape_markdown(below), ""])


def latex(table: PublishedTable, lines: Sequence[TableLine]) -> str:
    """Return the table as LaTeX, for the package booktabs."""
    head = columns(table)
    rows = [
        " & ".join(map(escape_latex, row)) + r" \\"
        for row in [head, *(cells(table, line) for line in lines)]
    ]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{ll{'r' * 4}{'l' * (len(head) - 6)}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            f"% {_one_line(f'{table.title}. {rule(table, lines)}. {table.note}')}",
            "",
        ]
    )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def page(table: PublishedTable, lines: Sequence[TableLine]) -> str:
    """Return the table as an HTML page; all text is escaped."""
    return (
        environment()
        .get_template("reproduction_table.html")
        .render(
            table=table,
            columns=columns(table),
            rows=[cells(table, line) for line in lines],
            rule=rule(table, lines),
            version=__version__,
        )
    )


def make_folder(out: Path) -> None:
    """Create the folder for tables; called before training, so that an error is reported early.

    Raises:
        InvalidInput: it cannot be created or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise _unusable(out, error) from error


def _unusable(out: Path, error: OSError) -> InvalidInput:
    return InvalidInput(
        f"{error.filename or out} cannot be written ({error.strerror}): choose another --out"
    )


def write(table: PublishedTable, lines: Sequence[TableLine], out: Path) -> list[Path]:
    """Write NAME.md, NAME.tex and NAME.html into `out`; return their paths.

    Raises:
        InvalidInput: they cannot be written.
    """
    texts = {"md": markdown, "tex": latex, "html": page}
    make_folder(out)
    try:
        paths = []
        for ending, render in texts.items():
            paths.append(out / f"{table.name}.{ending}")
            atomic_write(paths[-1], render(table, lines))
    except OSError as error:
        raise _unusable(out, error) from error
    return paths
