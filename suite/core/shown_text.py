"""Text from outside as it may be shown: on terminals, pages and in tables.

Control characters can rewrite what a terminal shows, bidirectional controls turn the order of
letters around, and invisible characters make two names look like one. They are replaced where text
is shown; records keep what they hold.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from suite.core.errors import printable

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SPACES = "\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029"
"""Controls that separate words or lines: in one line each is a space."""
UNSHOWN = (
    "\x00-\x1f\x7f-\x9f\u2028\u2029"  # controls, separators of lines and paragraphs
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"  # invisible formats
    "\ud800-\uf8ff\U000f0000-\U0010ffff"  # halves of pairs, private use
)
"""What is not shown, as the inside of a regular expression's class: Unicode's categories Cc, Cf,
Cs, Co, Zl and Zp."""
INVISIBLE = UNSHOWN + "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""The same with the letters that look like nothing, which no name needs."""

_LINE = re.compile(f"[{UNSHOWN}]")
_LINES = re.compile(f"(?![\n\t])[{UNSHOWN}]")
_SPACE = re.compile(f"[{_SPACES}]+")
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]..|u[0-9a-fA-F]{4}|.)", re.S)
_RAW = re.compile(f"(?!\n)[{UNSHOWN}]")


def is_shown(text: str) -> bool:
    """Return whether a text is shown as it is, in one line."""
    return not _LINE.search(text)


def shown(text: str) -> str:
    """Return a text as one line: line ends and tabs are spaces, the others replacement marks."""
    if not _LINE.search(text):
        return text
    return _LINE.sub(REPLACEMENT, _SPACE.sub(" ", printable(text)))


def shown_lines(text: str) -> str:
    """Return a text of our own of several lines, such as a help text or a page; its lines stay."""
    return text if _is_plain(text) else _LINES.sub(REPLACEMENT, text)


def _is_plain(text: str) -> bool:
    """Return whether Python takes every character but ends of lines for printable.

    No character of `UNSHOWN` is, so such a text is shown as it is. This is several times faster
    than a search, and says no of a few texts that are (with a space that does not break, say).
    """
    if text.isprintable():
        return True
    return "\n" in text and str.replace(text, "\n", "").isprintable()  # of markup, too


def shown_data(content: Any) -> Any:
    """Return JSON-ready data with every text of it as `shown`, names too."""
    if isinstance(content, str):
        return shown(content)
    if isinstance(content, dict):
        return {shown_data(name): shown_data(value) for name, value in content.items()}
    return [shown_data(one) for one in content] if isinstance(content, list | tuple) else content


def texts_of(content: Any) -> Iterator[str]:
    """Yield every text of JSON-ready data, names too."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list | tuple):
        for one in content:
            yield from texts_of(one)
        for one in content.values() if isinstance(content, dict) else ():
            yield from texts_of(one)


def shown_json(text: str) -> str:
    """Return JSON whose texts a page can show; like `shown_lines`, also within escapes."""
    text = text if text.isprintable() else _RAW.sub(REPLACEMENT, text)
    return _ESCAPE.sub(_shown_escape, text) if "\\" in text else text


def escaped_json(text: str) -> str:
    """Return JSON of the same content for a terminal: what is not shown is escaped."""
    return _RAW.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _shown_escape(found: re.Match[str]) -> str:
    try:
        letter = json.loads(f'"{found[0]}"')
    except ValueError:  # no JSON after all
        return found[0]
    return json.dumps(REPLACEMENT)[1:-1] if _LINES.search(letter) else found[0]
