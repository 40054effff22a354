"""What docs/evidence.md says of gradient signals, and of readings in training.

Generated from the records that are shipped.
"""

from collections.abc import Sequence

from leaderboard.ablation_effects import design_effects
from leaderboard.ablation_tables import TextTable, cells_against_controls
from leaderboard.board_markdown import escape
from leaderboard.bundles.bundle_file import SHIPPED, SUFFIX, read_all, read_bundle
from leaderboard.charts.pictures import png
from leaderboard.charts.signal_charts import signal_charts
from leaderboard.charts.theme import themes
from leaderboard.signal_figures import (
    SignalGroup,
    counts,
    percent,
    sentences,
    signal_groups,
    summary_table,
)
from suite.core.errors import InvalidInput
from suite.results.signal_measures import pruned

RECORDS = SHIPPED[0] / f"signal_reliability{SUFFIX}"
"""The records of the study ``signal_reliability``."""
READINGS_STUDY = "ablate_reading"
READINGS = SHIPPED[0] / f"{READINGS_STUDY}{SUFFIX}"
"""The records of that study, with its design."""
NOT_SHIPPED = "No such records are shipped yet."
PICTURED = "fashion_mnist/lenet_300_100 dense"
"""The training whose charts are pictures of the page: the beginning of its title."""


def with_block(text: str, name: str, block: str) -> str:
    """Return a page in which the text between the two markers of a name is replaced.

    Raises:
        InvalidInput: the page does not have both, once each, in order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InvalidInput(
            f"the page has no place for {name}: add a line {begin}, and after it a line {end}"
        )
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{block}\n{end}{rest.partition(end)[2]}"


def shipped_signals() -> list[SignalGroup]:
    """Return the analyses that are shipped; none if the file is not there.

    Raises:
        InvalidInput: it is damaged.
    """
    if not RECORDS.exists():
        return []
    records, rejected = read_all([RECORDS])
    for one in rejected:
        raise InvalidInput(f"{RECORDS}: {one.where}: {one.reason}")
    return signal_groups(records)


def signals_markdown() -> str:
    """Return what the shipped analyses say: for each training, sentences and a table."""
    found = shipped_signals()
    return "\n\n".join(map(_section, found)) if found else NOT_SHIPPED


def controls_tables() -> list[TextTable]:
    """Return what the shipped ablation of readings says: each against its shuffled control.

    None if it is not there.

    Raises:
        InvalidInput: its file is damaged.
    """
    if not READINGS.exists():
        return []
    bundle = read_bundle(READINGS)
    for one in bundle.rejected:
        raise InvalidInput(f"{READINGS}: {one.where}: {one.reason}")
    if bundle.ablation is None:
        raise InvalidInput(f"{READINGS} has no design: write it with `resonance submit --study`")
    effects = design_effects(bundle.ablation, {one.key: one for one in bundle.records}.get)
    return [table for one in effects for table in cells_against_controls(one)]


def controls_markdown() -> str:
    """Return `controls_tables` as Markdown; raises as it does."""
    found = controls_tables()
    tables = "\n\n".join(f"### {escape(one[0])}\n\n{_table(one)}" for one in found)
    return tables or NOT_SHIPPED


def signal_pictures() -> dict[str, bytes]:
    """Return the charts of `PICTURED` as PNG, by file name."""
    chosen: Sequence[SignalGroup] = [
        group for group in shipped_signals() if group.title.startswith(PICTURED)
    ]
    return {
        f"signals-{name}.png": png({**chart, "config": themes()["picture"]})
        for group in chosen[:1]
        for name, chart in signal_charts(group).items()
    }


def _section(group: SignalGroup) -> str:
    table = summary_table(group)
    lines = [
        f"### {escape(table[0])}",
        "",
        " ".join([counts(group), *map(escape, sentences(group))]),
        "",
    ]
    lines.append(_table(table))
    whole = percent([record.score for record in group.records])
    lines += [
        "",
        f"Accuracies in %. At random: {percent(group.accuracy(pruned('random')))}; by |w|: "
        f"{percent(group.accuracy(pruned('magnitude')))}; nothing pruned: {whole}.",
    ]
    return "\n".join(lines)


def _table(table: TextTable) -> str:
    _, columns, rows = table
    lines = [columns, *rows]
    texts = ["| " + " | ".join(map(escape, line)) + " |" for line in lines]
    return "\n".join([texts[0], "|---" + "|---:" * (len(columns) - 1) + "|", *texts[1:]])
