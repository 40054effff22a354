"""Keeping secrets out of what is written: records, tracebacks, messages."""

import functools
import json
import netrc
import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

SECRET_NAME = re.compile(r"API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|ACCESS_KEY|PRIVATE_KEY", re.I)
# A password may hold an @ or a / that should have been escaped: up to the last @ before a space.
USERINFO = re.compile(
    r"(?:(?<=://)(?:[^\s/?#:'\"]*:[^\s'\"]*|[^\s/?#'\"]+)"
    r"|(?:(?<=\bpostgres:)|(?<=\bpostgresql:))(?!//)[^\s'\"]+)@"
)
PARAMETER = re.compile(
    r"((?:[?&][\w.-]*(?:token|secret|signature|api_?key|access_?key|private_?key)"
    r"|(?<![\w.-])(?:ssl)?(?:password|passwd|pwd))[\w.-]*=)[^&\s'\"#]+",
    re.I,
)
"""A password in a URL's query, or among the words that a database is addressed by."""
WORD = re.compile(r".{0,7}|[^0-9]{0,15}", re.S)
"""What is no key, and might stand in a record for another reason: ``false``, ``resonance``."""
MARK = "[secret]"
PART = 3
"""Letters that a part of a password has at least, to be taken for one."""


def redact(text: str) -> str:
    """Return `text` without keys of this machine: environment variables, ~/.netrc, URLs' logins."""
    for secret in secrets():
        text = text.replace(secret, MARK)
    return PARAMETER.sub(rf"\1{MARK}", USERINFO.sub(f"{MARK}@", text))


def redact_address(text: str, address: str) -> str:
    """Return `text`, which tells of a database's address, without the passwords in that.

    Those who read an address divide a password that is not escaped in their own ways, so its
    parts are taken out as well.
    """
    logins = [found[0][:-1] for found in USERINFO.finditer(address)]
    logins += [login.partition(":")[2] for login in logins]
    logins += [found[0].partition("=")[2] for found in PARAMETER.finditer(address)]
    whole = {unquote(one) for one in logins} | set(logins)
    parts = {part for one in whole for part in _parts(one) if len(part) >= PART}
    for secret in sorted((whole | parts) - {""}, key=len, reverse=True):
        text = text.replace(secret, MARK)
    return redact(text)


def _parts(login: str) -> Iterator[str]:
    """Yield what lies between any two of the characters that divide an address."""
    words = re.split(r"([@/:?#])", login)
    for first in range(0, len(words), 2):
        for last in range(first, len(words), 2):
            yield "".join(words[first : last + 1])


def redact_bytes(content: bytes) -> bytes:
    """Return a text file's content without keys of this machine; other bytes stay as they are."""
    for secret in secrets():
        content = content.replace(secret.encode(), MARK.encode())
        content = content.replace(json.dumps(secret)[1:-1].encode(), MARK.encode())
    return content


def secrets() -> list[str]:
    """Return the values that must not be written, longest first."""
    found = {value for name, value in os.environ.items() if SECRET_NAME.search(name)}
    found |= _netrc(os.environ.get("NETRC"))
    return sorted((s for s in found if not WORD.fullmatch(s)), key=len, reverse=True)


@functools.lru_cache(maxsize=4)
def _netrc(path: str | None) -> frozenset[str]:
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return frozenset()
    return frozenset(password for _, _, password in hosts.values() if password)
