"""Removes secrets from what is written: records, tracebacks, messages."""

import functools
import json
import netrc
import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

SECRET_NAME = re.compile(r"API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|ACCESS_KEY|PRIVATE_KEY", re.I)
# A password may contain an unescaped @ or /, so this matches up to the last @ before a space.
USERINFO = re.compile(
    r"(?:(?<=://)(?:[^\s/?#:'\"]*:[^\s'\"]*|[^\s/?#'\"]+)"
    r"|(?:(?<=\bpostgres:)|(?<=\bpostgresql:))(?!//)[^\s'\"]+)@"
)
PARAMETER = re.compile(
    r"((?:[?&][\w.-]*(?:token|secret|signature|api_?key|access_?key|private_?key)"
    r"|(?<![\w.-])(?:ssl)?(?:password|passwd|pwd))[\w.-]*=)[^&\s'\"#]+",
    re.I,
)
"""A password in the query of a URL, or in the connection string of a database."""
WORD = re.compile(r".{0,7}|[^0-9]{0,15}", re.S)
"""Values not treated as secrets, because records contain such words: ``false``, ``resonance``."""
MARK = "[secret]"
MIN_PART = 3
"""A part of a password is redacted if it has at least this many characters."""


def redact(text: str) -> str:
    """Return `text` without secrets: in environment variables and ~/.netrc, and logins in URLs."""
    for secret in secrets():
        text = text.replace(secret, MARK)
    return PARAMETER.sub(rf"\1{MARK}", USERINFO.sub(f"{MARK}@", text))


def redacted_line(error: BaseException) -> str:
    """Return an exception's message in one line without secrets; its type's name if it has none."""
    return redact(" ".join(str(error).split()) or type(error).__name__)


def redact_address(text: str, address: str) -> str:
    """Return `text`, a message about a database's address, without the passwords in the address.

    Parsers split a password that is not escaped in different ways, so its parts are removed too. A
    password that looks like a word is removed where it stands by itself, not within other words.
    An address without a password has no secret.
    """
    logins = [match[0][:-1] for match in USERINFO.finditer(address)]
    passwords = [_password(login) for login in logins]
    passwords += [match[0].partition("=")[2] for match in PARAMETER.finditer(address)]
    whole = {unquote(one) for one in passwords} | set(passwords)
    parts = {part for one in whole for part in _parts(one) if len(part) >= MIN_PART}
    for secret in sorted((whole | parts) - {""}, key=len, reverse=True):
        text = _without(text, secret)
    return redact(text)


def _password(login: str) -> str:
    """Return the secret part of a login; what cannot be a user's name may be all password."""
    user, colon, password = login.partition(":")
    if re.search(r"[@/?#]", user):
        return login
    return password if colon or WORD.fullmatch(login) else login


def _without(text: str, secret: str) -> str:
    if not WORD.fullmatch(secret):
        return text.replace(secret, MARK)
    return re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", MARK, text)


def _parts(password: str) -> Iterator[str]:
    """Yield every substring between two of the characters that separate parts of an address."""
    words = re.split(r"([@/:?#])", password)
    for first in range(0, len(words), 2):
        for last in range(first, len(words), 2):
            yield "".join(words[first : last + 1])


def redact_bytes(content: bytes) -> bytes:
    """Return a file's content without the secrets of this machine."""
    for secret in secrets():
        content = content.replace(secret.encode(), MARK.encode())
        content = content.replace(json.dumps(secret)[1:-1].encode(), MARK.encode())
    return content


def secrets() -> list[str]:
    """Return the values that must not be written, longest first."""
    values = {value for name, value in os.environ.items() if SECRET_NAME.search(name)}
    values |= _netrc(os.environ.get("NETRC"))
    return sorted((s for s in values if not WORD.fullmatch(s)), key=len, reverse=True)


@functools.lru_cache(maxsize=4)
def _netrc(path: str | None) -> frozenset[str]:
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return frozenset()
    return frozenset(password for _, _, password in hosts.values() if password)
