"""The texts of a picture in SVG, with where they are, so that tests can ask what covers what."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SVG = "{http://www.w3.org/2000/svg}"
LETTER = 0.5
"""Mean width of a letter as a fraction of the size of the font."""
MOVED = re.compile(r"translate\(([-\d.e]+),([-\d.e]+)\)")


@dataclass(frozen=True)
class Text:
    """A text: its lines, the edges of its box in pixels, and the size of its font."""

    words: str
    left: float
    top: float
    right: float
    bottom: float
    size: float

    def covers(self, other: "Text") -> bool:
        """Return whether the two overlap by more than a pixel of rounding in each direction."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 1 and down > 1


def texts(svg: str | bytes) -> list[Text]:
    """Return the visible horizontal texts of a picture."""
    return [*_texts(ElementTree.fromstring(svg), 0.0, 0.0)]


def overlaps(found: Sequence[Text]) -> list[tuple[str, str]]:
    """Return the pairs of texts that cover one another."""
    return [(a.words, b.words) for a, b in itertools.combinations(found, 2) if a.covers(b)]


def _texts(node: ElementTree.Element, x: float, y: float) -> Iterator[Text]:
    change = node.get("transform", "")
    if moved := MOVED.match(change):
        x, y = x + float(moved[1]), y + float(moved[2])
    if node.tag == f"{SVG}text" and node.get("opacity") != "0" and "rotate" not in change:
        lines = [part.text or "" for part in node.iter() if part.text]
        size = float(node.get("font-size", "11px").removesuffix("px"))
        wide = LETTER * size * max(map(len, lines), default=0)
        start = {"end": 1.0, "middle": 0.5}.get(node.get("text-anchor", "start"), 0.0)
        left, top = x - start * wide, y - 0.8 * size
        high = size + 1.1 * size * (len(lines) - 1)
        if lines:
            yield Text(" ".join(lines), left, top, left + wide, top + high, size)
    for child in node:
        yield from _texts(child, x, y)
