"""Escaping of untrusted text for LaTeX."""

import itertools
import re

LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "*": "{*}", "“": "``", "”": "''", "‘": "`", "’": "'",
    "–": "--", "—": "---", "…": r"\dots{}", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "ε": r"$\varepsilon$", "ν": r"$\nu$",
    "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$", "ζ": r"$\zeta$", "≤": r"$\le$",
    "≥": r"$\ge$", "²": r"$^2$", "→": r"$\to$", "−": r"$-$",
    "▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$", "≈": r"$\approx$",
}  # fmt: skip
"""Characters with a meaning in LaTeX; brackets and stars have one at the start of a row."""
OPENING = frozenset(" ([{/-–—")
"""What stands before an opening quote."""
QUOTES = {'"': ("``", "''"), "'": ("`", "'")}
"""Straight quotes as opening and closing ones."""
LIGATURES = re.compile(r"--|``|''|[?!]`")
"""What LaTeX would join over the end of one letter and the start of the next."""


def escape_latex(text: str) -> str:
    """Return text as one line that LaTeX typesets literally, with straight quotes as its own.

    Characters that pdfLaTeX has no glyph for are replaced by their code point.
    """
    one_line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())
    found = ""
    for before, letter in itertools.pairwise(f" {one_line}"):
        if letter in QUOTES:
            word = QUOTES[letter][before not in OPENING]
        else:
            word = LATEX.get(letter, _letter(letter))
        apart = "{}" if found and LIGATURES.fullmatch(found[-1] + word[:1]) else ""
        found += apart + word
    return found


def _letter(letter: str) -> str:
    known = letter.isascii() or (letter.isalpha() and ord(letter) < 0x180)
    return letter if known else f"(U+{ord(letter):04X})"
