"""Names of lines at their right ends, moved apart where they would cover one another.

The positions are computed by the chart itself, from its rows, so that saved pictures and the page
have one implementation. In a panel, names are sorted by where their lines end. A name that keeps
its distance to all above it, and one that keeps it to all below it, are two monotone sequences;
their mean is one too, so names in these places do not overlap. That is the case as long as the
panel is as high as its names, which `panel_height` and `assets/fitting.js` see to.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

LINE = 11
"""Height in pixels of a line of a name."""
WIDEST = 18
"""Characters of a line, of a name that can be broken."""
LIMIT = 150
"""Pixels of a line after which it is cut off: settings of methods have no spaces to break at."""
MARGIN = 6
"""Pixels between a panel and its names, for the end of the leader and its symbol."""
BREAK = rf"(.{{1,{WIDEST}}})( +|$)"


def name_lines(name: str) -> list[str]:
    """Return a name in the lines that a chart shows it in; `assets/fitting.js` counts the same."""
    return re.sub(BREAK, r"\1\n", name).strip("\n").split("\n")


def panel_height(panels: Mapping[str, Iterable[str]], least: int) -> int:
    """Return the height in pixels of panels with these names: all of one panel must fit."""
    lines = [sum(len(name_lines(name)) for name in names) for names in panels.values()]
    return max([least, *(LINE * (count + 1) for count in lines)])


def placed_names(chart: Any, end: str, groupby: list[str], test: str) -> Any:
    """Return a chart whose rows, one for each name, have the place of that name.

    A row that fails the test has no name, and takes no room.

    `end` is where a line ends, as a fraction of the panel's height from its top; `place` is where
    the middle of the name's first line is, likewise, and `words` are its lines.
    """
    order = [alt.SortField(end), alt.SortField("entry")]
    shared = {"sort": order, "groupby": groupby, "ignorePeers": True}
    lines = f"split(replace(datum.entry, regexp('{BREAK}', 'g'), '$1\\n'), '\\n')"
    return (
        chart.transform_calculate(broken=lines)
        .transform_calculate(words="slice(datum.broken, 0, max(1, length(datum.broken) - 1))")
        .transform_calculate(tall=f"{test} ? length(datum.words) * {LINE} / child_height : 0")
        .transform_window(above="sum(tall)", frame=[None, 0], **shared)
        .transform_calculate(loose=f"datum.{end} - datum.above + datum.tall / 2")
        .transform_window(pushed="max(loose)", frame=[None, 0], **shared)
        .transform_window(pulled="min(loose)", frame=[0, None], **shared)
        .transform_joinaggregate(total="sum(tall)", groupby=groupby)
        .transform_calculate(
            place="datum.above - datum.tall"
            f" + clamp((datum.pushed + datum.pulled) / 2, 0, max(0, 1 - datum.total))"
            f" + {LINE / 2} / child_height"
        )
    )


def name_layers(chart: Any, encodings: Mapping[str, Any], place: alt.Y, leader: Any) -> list[Any]:
    """Return the layers of names: leaders, symbols and words.

    `chart` has the rows of `placed_names`; `place` is the axis of the place's value. `leader` has
    the encodings of the ends of lines, from which leaders start, or None for none.
    """
    right = alt.value("width")
    layers = []
    if leader is not None:
        y2 = alt.Y2(place.shorthand)
        layers.append(
            chart.mark_rule(x2Offset=MARGIN, strokeWidth=0.8).encode(
                color=encodings["color"], x2=right, y2=y2, **leader
            )
        )
    symbol = chart.mark_point(filled=True, size=34, xOffset=MARGIN + 4)
    words = chart.mark_text(
        align="left", baseline="middle", dx=MARGIN + 11, fontSize=10, lineHeight=LINE, limit=LIMIT
    )
    return [
        *layers,
        symbol.encode(x=right, y=place, color=encodings["color"], shape=encodings["shape"]),
        words.encode(x=right, y=place, text="words:N"),
    ]
