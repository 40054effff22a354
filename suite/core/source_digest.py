"""A digest of Python source by what it means: tokens, without comments and layout.

It is the same under every version of Python, so that a result's key does not depend on the
interpreter. From Python 3.12 on the tokenizer splits an f-string into parts; here it is one string
again, as it stands in the source.
"""

import hashlib
import io
import tokenize
import warnings
from collections.abc import Iterable, Iterator

from suite.core.source_tree import parse

DIGITS = 16
"""Hexadecimal digits of a digest."""
_LAYOUT = {
    tokenize.INDENT: "\1indent",
    tokenize.DEDENT: "\1dedent",
    tokenize.NEWLINE: "\1newline",
}
"""What counts of the layout: where a line and a block end. No source holds the character 1."""
_IGNORED = {tokenize.NL, tokenize.COMMENT, tokenize.ENCODING, tokenize.ENDMARKER}
_STARTS = {"FSTRING_START", "TSTRING_START"}
_ENDS = {"FSTRING_END", "TSTRING_END"}


def source_digest(content: bytes) -> str:
    """Return the digest of a Python file; that of its bytes if it is not Python."""
    try:
        parse(content)
        words = list(_words(_text(content)))
    except (SyntaxError, ValueError, tokenize.TokenError):
        return hashlib.sha256(content).hexdigest()[:DIGITS]
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def _text(content: bytes) -> str:
    """Return the decoded source with line ends as Python reads them."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def _words(text: str) -> Iterator[str]:
    with warnings.catch_warnings():  # of odd but valid code
        warnings.simplefilter("ignore")
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    return normalized(tokens, text)


def normalized(tokens: Iterable[tokenize.TokenInfo], text: str) -> Iterator[str]:
    """Yield the tokens of a source that count, as strings: the same ones in every version."""
    lines = text.split("\n")
    depth, start = 0, (0, 0)
    name, name_end = "", (0, 0)
    for token in tokens:
        kind = tokenize.tok_name[token.type]
        # Python 3.11 splits a name at the few letters that are none of a regular expression's \w.
        is_name = kind in ("NAME", "ERRORTOKEN") and depth == 0
        if name and not (is_name and token.start == name_end):
            yield name
            name = ""
        if is_name:
            name, name_end = name + token.string, token.end
        elif kind in _STARTS:
            start = token.start if depth == 0 else start
            depth += 1
        elif kind in _ENDS:
            depth -= 1
            if depth == 0:
                yield _between(lines, start, token.end)
        elif depth == 0 and token.type not in _IGNORED:
            yield _LAYOUT.get(token.type, token.string)
    if name:
        yield name


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the source between two places, (line from 1, column from 0)."""
    first, last = start[0] - 1, end[0] - 1
    if first == last:
        return lines[first][start[1] : end[1]]
    inner = lines[first + 1 : last]
    return "\n".join([lines[first][start[1] :], *inner, lines[last][: end[1]]])
