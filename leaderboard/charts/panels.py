"""What charts of boards share: the dataset of rows, titles of panels, ends of intervals."""

from typing import Any

import altair as alt

ROWS = "rows"
"""Name of the dataset that a chart draws."""


def rows_data() -> alt.NamedData:
    """Return the dataset of a chart's rows."""
    return alt.NamedData(ROWS)


def with_ends(chart: Any, value: str) -> Any:
    """Return a chart with the ends of its interval, or the value if there is none.

    Vega warns about an axis of a field without any number.
    """
    return chart.transform_calculate(
        lower=f"isValid(datum.low) ? datum.low : datum.{value}",
        upper=f"isValid(datum.high) ? datum.high : datum.{value}",
    )


def shown_if(test: str, opacity: float = 1) -> Any:
    """Return an opacity that hides the rows which do not pass a test."""
    return alt.condition(test, alt.value(opacity), alt.value(0))


TASK_LINES = "split(replace(replace(datum.value, ' (', '/('), regexp(', ', 'g'), ',/'), '/')"
"""A task's title in lines: of its name, and of each setting. On one line they would overlap."""
TASK_HEADER = alt.Header(
    labelExpr=TASK_LINES,
    labelAngle=-90,
    labelAlign="center",
    labelFontSize=11,
    titleFontWeight="normal",
)
MEASURED = (
    "replace(replace(datum.measure, regexp(' ', 'g'), '\u00a0'), '/', '∕') + '/' + datum.task"
)
"""A measure and a task, as a title of which `TASK_LINES` breaks the task only."""
TASK_BESIDE = alt.Header(
    labelExpr="split(replace(datum.value, ' (', '|('), '|')",
    labelAngle=0,
    labelAlign="left",
    labelAnchor="middle",
    labelFontSize=10,
    labelLimit=190,
)
"""A task's title in two lines, so that it has room beside a row with a single sparsity."""
TASK_ABOVE = alt.Header(labelExpr=TASK_LINES, labelFontSize=11)
