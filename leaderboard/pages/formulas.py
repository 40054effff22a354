"""Formulas as MathML, which browsers show by themselves: no script, no fonts, nothing to load.

The converter is one of the documentation's packages (the extra `docs`); where it is not installed,
a page of the leaderboard shows the LaTeX.
"""

import re
from xml.etree import ElementTree

from markupsafe import Markup

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ELEMENTS = frozenset((
    "math", "mfrac", "mi", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow", "mspace",
    "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder",
    "munderover",
))  # fmt: skip
ATTRIBUTES = frozenset((
    "accent", "accentunder", "columnalign", "columnspacing", "depth", "display", "displaystyle",
    "fence", "form", "height", "largeop", "linethickness", "lspace", "mathvariant", "maxsize",
    "minsize", "movablelimits", "rowspacing", "rspace", "scriptlevel", "separator", "stretchy",
    "symmetric", "width",
))  # fmt: skip
"""What a formula on a page may consist of: the converter passes on markup in a text, and links."""


def mathml(latex: str, *, block: bool) -> str:
    """Return a formula as a MathML element.

    Raises:
        ImportError: the converter is not installed.
        ValueError: a command of it is not known; the converter would show its name.
    """
    from latex2mathml.converter import convert

    shown: str = convert(latex, display="block" if block else "inline")
    if unknown := re.search(r"\\\w+", shown):
        raise ValueError(f"{unknown[0]} is not known")
    return shown


def formula(latex: str) -> Markup:
    """Return a formula that stands by itself, for a page: MathML, or else its LaTeX as code."""
    plain = Markup("<code>{}</code>").format(latex)
    try:
        shown = mathml(latex, block=True)
    except Exception:  # without the converter; and it has no common class of errors
        return plain
    try:
        return _checked(shown)
    except (ElementTree.ParseError, ValueError):
        return plain


def _checked(shown: str) -> Markup:
    """Return MathML written anew, so that its texts are escaped.

    Raises:
        ParseError: it is not XML.
        ValueError: it has something else than `ELEMENTS` and `ATTRIBUTES`.
    """
    root = ElementTree.fromstring(shown)
    for one in root.iter():
        one.tag = one.tag.removeprefix(f"{{{NAMESPACE}}}")
        if one.tag not in ELEMENTS or not one.attrib.keys() <= ATTRIBUTES:
            raise ValueError(f"{one.tag} is no part of a formula")
    root.set("xmlns", NAMESPACE)
    return Markup(ElementTree.tostring(root, encoding="unicode"))
