"""Charts as files, drawn by vl-convert without a browser: SVG, PNG and PDF."""

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

GRADIENT = re.compile(r'(\bid="|\burl\(#)gradient_(\d+)')
"""A gradient of Vega's, where it is made and where it is used."""
PNG_SCALE = 2
"""Pixels of a PNG per pixel of the chart."""
VERSION = f"vl-convert {version('vl-convert-python')}"


def pictures(specification: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a Vega-Lite chart with its rows as svg, png and pdf, in light colours on white."""
    return drawn(picture_specification(specification))


def picture_specification(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chart with the theme of pictures."""
    from leaderboard.charts.theme import themes  # here: processes that draw do not need Altair

    return {**specification, "config": themes()["picture"]}


def drawn(specification: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a chart with its theme as svg, png and pdf.

    Vega runs once: PNG and PDF are converted from the SVG. The same chart gives the same bytes,
    except that the order of fonts within a PDF may differ.
    """
    import vl_convert

    svg = _numbered(vl_convert.vegalite_to_svg(dict(specification)))
    return {
        "svg": svg.encode(),
        "png": vl_convert.svg_to_png(svg, scale=PNG_SCALE),
        "pdf": vl_convert.svg_to_pdf(svg),
    }


def _numbered(svg: str) -> str:
    """Return a picture whose gradients are numbered from 0: Vega counts on from chart to chart."""
    numbers: dict[str, int] = {}
    return GRADIENT.sub(
        lambda found: f"{found[1]}gradient_{numbers.setdefault(found[2], len(numbers))}", svg
    )


def warm_up() -> None:
    """Start Vega, which takes as long as to draw a chart."""
    point = {"data": {"values": [{"x": 0}]}, "mark": "point", "encoding": {"x": {"field": "x"}}}
    drawn(point)


def png(specification: Mapping[str, Any]) -> bytes:
    """Return a Vega-Lite chart with its data as PNG, in the configuration that it holds."""
    import vl_convert

    return vl_convert.vegalite_to_png(dict(specification), scale=PNG_SCALE)
