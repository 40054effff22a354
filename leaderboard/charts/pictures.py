"""Charts as files, drawn by vl-convert without a browser: SVG, PNG and PDF."""

from collections.abc import Mapping
from typing import Any

from leaderboard.charts.theme import themes

PNG_SCALE = 2
"""Pixels of a PNG per pixel of the chart."""


def pictures(specification: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a Vega-Lite chart with its rows as svg, png and pdf, in light colours on white.

    Vega runs once: PNG and PDF are converted from the SVG. The same chart gives the same bytes,
    except that the order of fonts within a PDF may differ.
    """
    import vl_convert

    svg = vl_convert.vegalite_to_svg({**specification, "config": themes()["picture"]})
    return {
        "svg": svg.encode(),
        "png": vl_convert.svg_to_png(svg, scale=PNG_SCALE),
        "pdf": vl_convert.svg_to_pdf(svg),
    }


def png(specification: Mapping[str, Any]) -> bytes:
    """Return a Vega-Lite chart with its data as PNG, in the configuration that it holds."""
    import vl_convert

    return vl_convert.vegalite_to_png(dict(specification), scale=PNG_SCALE)
