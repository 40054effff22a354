"""Keeping secrets out of what is written: records, tracebacks, messages."""

import functools
import json
import netrc
import os
import re

SECRET_NAME = re.compile(r"API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|ACCESS_KEY|PRIVATE_KEY", re.I)
USERINFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
WORD = re.compile(r".{0,7}|[^0-9]{0,15}", re.S)
"""What is no key, and might stand in a record for another reason: ``false``, ``resonance``."""
MARK = "[secret]"


def redact(text: str) -> str:
    """Return `text` without keys of this machine: environment variables, ~/.netrc, URL logins."""
    for secret in secrets():
        text = text.replace(secret, MARK)
    return USERINFO.sub(f"{MARK}@", text)


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
