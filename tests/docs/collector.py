"""What the pages of documentation show: blocks of code, commands, and options in running text.

Pages are parsed as CommonMark, so nothing that a reader sees as code is missed.
"""

import functools
import keyword
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    *(
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "docs").glob("**/*.md"))
        if path.parent.name != "methods"
    ),
]
"""All but those of methods, which are written when the site is built."""
SHELL = ("", "sh", "bash", "shell", "console")
"""Languages of blocks whose lines are commands; an indented block has none."""


@dataclass(frozen=True)
class Piece:
    """Something shown as code: where it stands, and what it is.

    Attributes:
        line: counted from 1.
        kind: a block's language, ``command`` (a line of a shell block) or ``span`` (in running
            text).
        section: the heading of second level that it is under.
    """

    page: str
    line: int
    kind: str
    text: str
    section: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def words(self) -> list[str]:
        """Return the words of a command, without its comment."""
        return shlex.split(self.text.removeprefix("$ "), comments=True)


def pieces(page: str, text: str) -> Iterator[Piece]:
    """Yield all code of a page, in its order; of shell blocks each command by itself."""
    section, in_heading = "", False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.tag == "h2":
            in_heading = token.type == "heading_open"
        elif in_heading and token.type == "inline":
            section = token.content
        for piece in _of_token(page, text, token):
            yield replace(piece, section=section)


def _of_token(page: str, text: str, token: Token) -> Iterator[Piece]:
    """Yield the code of a token."""
    if token.type in ("fence", "code_block") and not token.info.startswith("{"):  # a directive
        assert token.map is not None
        first = token.map[0] + (2 if token.type == "fence" else 1)
        block = Piece(page, first, token.info.strip(), token.content)
        yield from _lines(block) if block.kind in SHELL else (block,)
    elif token.type == "inline":
        assert token.map is not None
        spans = [child.content for child in token.children or () if child.type == "code_inline"]
        source = text.splitlines(keepends=True)[token.map[0] : token.map[1]]
        yield from _placed(page, token.map[0] + 1, "".join(source), spans)


def _lines(block: Piece) -> Iterator[Piece]:
    """Yield the commands of a shell block; a line that ends in a backslash goes on in the next."""
    pending, start = "", 0
    for number, line in enumerate(block.text.splitlines()):
        start = start if pending else number
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
        elif pending.strip():
            yield replace(block, line=block.line + start, kind="command", text=pending.strip())
            pending = ""
    assert not pending, f"{block.place}: the last line of the block ends in a backslash"


def _placed(page: str, line: int, source: str, spans: list[str]) -> Iterator[Piece]:
    """Yield spans with their lines: each is looked for behind the one before."""
    at = 0
    for span in spans:
        words = [re.escape(word).replace(r"\|", r"\\?\|") for word in span.split()]
        found = re.compile(r"\s+".join(words)).search(source, at)
        at = found.end() if found else at
        where = line + source.count("\n", 0, found.start() if found else at)
        yield Piece(page, where, "span", " ".join(span.split()))


def is_command(span: str) -> bool:
    """Say whether a span is a command: a program's name and more, that is no Python and no data."""
    first, _, rest = span.partition(" ")
    program = re.fullmatch(r"[a-z][a-z0-9_.-]*", first) is not None
    return program and bool(rest) and not keyword.iskeyword(first) and rest[0] not in "=:<"


def is_option(span: str) -> bool:
    """Say whether a span is an option of a command, with or without a value."""
    return re.match(r"--?[a-z]", span) is not None


@functools.cache
def collect() -> tuple[Piece, ...]:
    """Return all code of all pages."""
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    return tuple(piece for page, text in texts.items() for piece in pieces(page, text))


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in a language."""
    return [piece.text for piece in collect() if (piece.page, piece.kind) == (page, language)]
