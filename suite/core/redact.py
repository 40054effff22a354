"""Removes secrets from what is written: records, tracebacks, messages, pages.

`suite.core.secrets` says which values are secrets. They are removed as they are and in the usual
encodings. There is a function for each kind of text: `redact` for messages, `redact_value` for a
single value such as a table's cell, `redact_json` for JSON, whose numbers and names stay as they
are, and `redact_file` for the content of a text file.
"""

import base64
import functools
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from suite.core.secrets import (
    ASSIGNED,
    COOKIES,
    HINTS,
    PARAMETER,
    PRIVATE_KEY,
    SCHEME,
    USERINFO,
    Secret,
    is_assigned_secret,
    is_plain,
    secrets,
)

WORD = re.compile(r".{0,7}|[^0-9]{0,15}", re.S)
"""Passwords of an address that are removed only where they stand by themselves."""
MARK = "[secret]"
MIN_PART = 3
"""A part of a password in an address is redacted if it has at least this many characters."""
MIN_LINE = 16
"""A line of a secret of several lines is one by itself if it has at least this many characters."""
ANYWHERE = 8
"""A secret with this many characters is removed within words as well."""
WIDTHS, LINE_ENDS = (64, 76), ("\n", "\r\n", " ", "\\n", "\\r\\n")
"""Characters in a line of Base64, and what is between lines."""
MIN_CODE = 6
"""The fewest characters of Base64 that are recognised within a longer text."""
BEFORE = (
    r"(?:(?<![^\W_])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4}))"
)
"""What stands before a word: no letter or digit, unless it ends an escaped character."""
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)


@dataclass(frozen=True)
class _Form:
    """A secret in one encoding: where it is found, and the pattern that is replaced."""

    text: str
    pattern: re.Pattern[str]
    word: bool


def redact(text: str) -> str:
    """Return a message without secrets: of environment variables and ~/.netrc, logins in URLs."""
    return _without_logins(_without(text, _forms()))


def redact_value(text: str) -> str:
    """Return a value, such as a cell or a title, without secrets.

    A secret that could be a word stays in a value without spaces, which may be a name.
    """
    return redact_values([text])[0]


def redact_values(texts: Iterable[str]) -> list[str]:
    """Return values as `redact_value` does; the environment is read once for all of them."""
    forms = _forms()
    no_words = [form for form in forms if not form.word]
    return [
        _without_logins(_without(text, forms if any(map(str.isspace, text)) else no_words))
        for text in texts
    ]


def redact_json(text: str) -> str:
    """Return JSON without secrets in its strings; it stays the JSON of the same structure.

    Secrets that could be words or numbers stay in strings without spaces and in names.
    """
    if not (
        any(form.text in text for form in _forms()) or _may_have_logins(text) or _has_hints(text)
    ):
        return text
    return STRING.sub(lambda match: _redacted_string(match[0], plain=text.isascii()), text)


def _redacted_string(literal: str, *, plain: bool) -> str:
    try:
        value = json.loads(literal, strict=False)
    except ValueError:  # no JSON after all
        return f'"{redact_value(literal[1:-1])}"'
    clean = redact_value(value)
    return literal if clean == value else json.dumps(clean, ensure_ascii=plain)


def redact_data(content: Any) -> Any:
    """Return nested dictionaries, lists and tuples with their texts redacted, as by `redact_value`.

    Names stay, and so does everything that is no text.
    """
    if isinstance(content, str):
        return redact_value(content)
    if isinstance(content, dict):
        return {name: redact_data(value) for name, value in content.items()}
    if isinstance(content, list):
        return [redact_data(one) for one in content]
    return tuple(map(redact_data, content)) if isinstance(content, tuple) else content


def redact_file(content: str) -> str:
    """Return a page or another file to publish without secrets; what could be a word stays."""
    return _without(content, [form for form in _forms() if not form.word])


def redact_files(contents: Iterable[str]) -> list[str]:
    """Return the contents of several files as `redact_file` does; secrets are looked up once."""
    forms = [form for form in _forms() if not form.word]
    return [_without(content, forms) for content in contents]


def redact_bytes(content: bytes) -> bytes:
    """Return the content of a text file, JSON or not, without secrets."""
    text = content.decode("utf-8", "surrogateescape")
    clean = redact_json(text) if text[:1] in ("{", "[") else redact(text)
    return content if clean == text else clean.encode("utf-8", "surrogateescape")


def redacted_line(error: BaseException) -> str:
    """Return an exception's message in one line without secrets; its type's name if it has none."""
    return redact(" ".join(str(error).split()) or type(error).__name__)


def _may_have_logins(text: str) -> bool:
    """Return whether a text may have a login in a URL; quick, because most texts have none."""
    if "@" in text and ("://" in text or "postgres" in text):
        return True
    return "=" in text and PARAMETER.search(text) is not None


def _without_logins(text: str) -> str:
    """Return a text without what its own words say is a secret."""
    if _may_have_logins(text):
        text = PARAMETER.sub(rf"\1{MARK}", USERINFO.sub(f"{MARK}@", text))
    if not _has_hints(text):
        return text
    text = PRIVATE_KEY.sub(rf"\1{MARK}\2", text)
    text = ASSIGNED.sub(_assigned, COOKIES.sub(rf"\1{MARK}", text))
    return SCHEME.sub(lambda m: m[0] if is_plain(m[2]) else f"{m[1]}{MARK}", text)


def _has_hints(text: str) -> bool:
    if not any(sign in text for sign in ":= "):
        return False
    small = text.lower()
    return any(word in small and HINTS[word].search(small) for word in HINTS)


def _assigned(match: re.Match[str]) -> str:
    name, between, scheme, value = match.groups(default="")
    if not is_assigned_secret(name, between, scheme, value):
        return match[0]
    quote_mark = value[-1] if value[-1] in "\"'" else ""
    start = value[: value.index(quote_mark) + 1] if quote_mark else ""
    return f"{name}{between}{scheme}{start}{MARK}{start.lstrip('bruBRU')}"


def _without(text: str, forms: Iterable[_Form]) -> str:
    for form in forms:
        if form.text in text:
            text = form.pattern.sub(MARK, text)
    return text


# ------------------------------------------------------------------ encodings


def _forms() -> tuple[_Form, ...]:
    return _forms_of(secrets())


@functools.lru_cache(maxsize=8)
def _forms_of(known: tuple[Secret, ...]) -> tuple[_Form, ...]:
    """Return every secret in every encoding, longest first."""
    found: dict[str, _Form] = {}
    for secret in known:
        for form in (*_wrapped(secret.value), *_all_percent(secret.value)):
            found.setdefault(form, _Form(form, _pattern(form, by_itself=True), word=False))
        for text in _lines(secret.value):
            for form in _encoded(text):
                by_itself = len(secret.value) < ANYWHERE or secret.word
                found.setdefault(form, _Form(form, _pattern(form, by_itself), secret.word))
            for code in _codes(text):
                found.setdefault(code, _Form(code, _within_code(code), word=False))
            whole = base64.b64encode(_bytes(text)).decode().rstrip("=")
            found.setdefault(whole, _Form(whole, _pattern(whole, by_itself=True), word=False))
    return tuple(sorted(found.values(), key=lambda form: len(form.text), reverse=True))


def _lines(value: str) -> set[str]:
    """Return a value, as one line as well, and those of its lines that are long enough."""
    whole = value.replace("\\r", "").replace("\\n", "\n")  # a key that was put into one line
    lines = {line.strip() for line in whole.splitlines()}
    several = {value, whole, " ".join(whole.split())}
    return several | {one for one in lines if len(one) >= MIN_LINE}


def _encoded(text: str) -> set[str]:
    """Return a text escaped for URLs (also twice), HTML, Python, JSON, and JSON within JSON."""
    quoted = {quote(text), quote(text, safe=""), quote_plus(text)}
    quoted |= {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), one) for one in quoted}
    quoted |= {quote(one, safe="") for one in quoted}  # a URL within a URL
    found = {text, html.escape(text), html.escape(text, quote=False), *quoted}
    decimal = html.escape(text).replace("&#x27;", "&#39;")
    found |= {decimal, decimal.replace("&quot;", "&#34;")}
    found |= {repr(text)[1:-1], repr(_bytes(text))[2:-1]}
    for _ in range(2):
        found |= {
            json.dumps(one, ensure_ascii=ascii)[1:-1] for one in found for ascii in (False, True)
        }
    return found


def _all_percent(text: str) -> set[str]:
    """Return a text with every character escaped for URLs, also those that need not be."""
    code = "".join(f"%{byte:02X}" for byte in _bytes(text))
    return {code, code.lower()}


def _codes(text: str) -> Iterator[str]:
    """Yield a text in hexadecimal and in Base64, also as a part of a longer text in Base64."""
    content = _bytes(text)
    yield from (content.hex(), content.hex().upper())
    for offset in range(3):
        code = base64.b64encode(b"\0" * offset + content).decode().rstrip("=")
        first = (offset * 8 + 5) // 6  # the first character that depends on the text alone
        last = (offset + len(content)) * 8 // 6
        inner = code[first:last]
        if len(inner) >= MIN_CODE:
            yield from {inner, inner.replace("+", "-").replace("/", "_")}


def _wrapped(text: str) -> Iterator[str]:
    """Yield a text in Base64 of several lines, as programs for mail and keys write it."""
    code = base64.b64encode(_bytes(text)).decode().rstrip("=")
    for width in WIDTHS:
        lines = [code[start : start + width] for start in range(0, len(code), width)]
        if len(lines) > 1:
            yield from (end.join(lines) for end in LINE_ENDS)
            yield from (line for line in lines if len(line) >= MIN_LINE)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _pattern(text: str, by_itself: bool) -> re.Pattern[str]:
    """Return the pattern of a text; one that stands by itself has no letter or digit beside it."""
    before = BEFORE if by_itself and text[:1].isalnum() else ""
    after = r"(?![^\W_])" if by_itself and text[-1:].isalnum() else ""
    return re.compile(before + re.escape(text) + after)


def _within_code(text: str) -> re.Pattern[str]:
    """Return the pattern of a code with the characters beside it, which hold some of its bits."""
    return re.compile(rf"[A-Za-z0-9+/_-]?{re.escape(text)}[A-Za-z0-9+/_-]?={{0,2}}")


# ------------------------------------------------------------------ addresses


def redact_address(text: str, address: str) -> str:
    """Return `text`, a message about a database's address, without the passwords in the address.

    Parsers split a password that is not escaped in different ways, so its parts are removed too. A
    password that looks like a word is removed where it stands by itself, not within other words.
    An address without a password has no secret.
    """
    logins = [match[0][:-1] for match in USERINFO.finditer(address)]
    passwords = [_password(login) for login in logins]
    passwords += [match[2].strip("'\"") for match in PARAMETER.finditer(address)]
    whole = {unquote(one) for one in passwords} | set(passwords)
    parts = {part for one in whole for part in _parts(one) if len(part) >= MIN_PART}
    for secret in sorted((whole | parts) - {""}, key=len, reverse=True):
        text = _without_secret(text, secret)
    return redact(text)


def _password(login: str) -> str:
    """Return the secret part of a login; what cannot be a user's name may be all password."""
    user, colon, password = login.partition(":")
    if re.search(r"[@/?#]", user):
        return login
    return password if colon or WORD.fullmatch(login) else login


def _without_secret(text: str, secret: str) -> str:
    if not WORD.fullmatch(secret):
        return text.replace(secret, MARK)
    return re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", MARK, text)


def _parts(password: str) -> Iterator[str]:
    """Yield every substring between two of the characters that separate parts of an address."""
    words = re.split(r"([@/:?#])", password)
    for first in range(0, len(words), 2):
        for last in range(first, len(words), 2):
            yield "".join(words[first : last + 1])
