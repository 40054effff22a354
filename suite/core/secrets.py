"""Which values of this machine are secrets: by the names of variables, and by what they look like.

A variable whose name says so (``DB_PASSWORD``) holds a secret of 4 characters or more. A variable
with another name holds one if the name is not a usual one (`USUAL`) and the value has 12 characters
or more and is no path, number, URL without a login, or plain words. Passwords in URLs and in
``~/.netrc`` are secrets as well.
"""

import contextlib
import functools
import json
import netrc
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

SHORTEST_NAMED = 4
"""A value of a variable whose name says that it is a secret has at least this many characters."""
SHORTEST_OTHER = 12
"""A value of another variable that is taken for a secret has at least this many."""

SECRET_WORDS = frozenset(
    {
        "APIKEY", "AUTH", "AUTHORIZATION", "BEARER", "COOKIE", "COOKIES", "CREDENTIAL",
        "CREDENTIALS", "CREDS", "DSN", "JWT", "KEY", "KEYS", "PASS", "PASSCODE", "PASSPHRASE",
        "PASSWD", "PASSWORD", "PASSWORDS", "PAT", "PSWD", "PW", "PWD", "SECRET", "SECRETS",
        "SESSION", "SESSIONID", "SSHPASS", "TOKEN",
    }
)  # fmt: skip
"""Words that make a name that of a secret; ``_`` and ``-`` separate words, digits may end one."""
SECRET_ENDINGS = (
    "ACCESSKEY", "ACCOUNTKEY", "APIKEY", "CREDENTIALS", "PASSPHRASE", "PASSWD", "PASSWORD",
    "PRIVATEKEY", "SECRET", "SECRETKEY", "TOKEN",
)  # fmt: skip
"""Endings of words that do so as well: ``PGPASSWORD``, ``clientSecret``."""
PLACE = ("_FILE", "_PATH", "_DIR", "_SOCK")
"""A name with such an ending says where a secret is, which is none."""
USUAL = frozenset(
    {
        "_", "BROWSER", "COLORTERM", "COLUMNS", "DEBUGINFOD_URLS", "DESKTOP_SESSION", "DISPLAY",
        "EDITOR", "GDMSESSION", "GREP_COLORS", "HISTCONTROL", "HOME", "HOST", "HOSTNAME",
        "HOSTTYPE", "INFOPATH", "INVOCATION_ID", "JOURNAL_STREAM", "LANG", "LANGUAGE", "LESS",
        "LESSCLOSE", "LESSOPEN", "LINES", "LOGNAME", "LSCOLORS", "LS_COLORS", "MACHTYPE", "MAIL",
        "MANPATH", "OLDPWD", "OSTYPE", "PAGER", "PATH", "PROMPT", "PROMPT_COMMAND", "PS1", "PS2",
        "PWD", "SESSION_MANAGER", "SHELL", "SHLVL", "TEMP", "TERM", "TERMCAP", "TMP", "TMPDIR",
        "TMUX", "TMUX_PANE", "TZ", "USER", "USERNAME", "VISUAL", "WINDOWID",
    }
)  # fmt: skip
"""Names of variables that hold no secret, whatever they hold."""
USUAL_SESSION = ("DBUS_", "GNOME_", "ITERM_", "KDE_", "TERM_", "XDG_")
"""Variables of a desktop or a terminal, also those with SESSION in their name."""
USUAL_START = (
    "CONDA_", "CUBLAS_", "CUDA_", "CUDNN_", "GOMP_", "GPU_", "GTK_", "JOBLIB_", "KMP_", "LC_",
    "LD_", "MKL_", "MODULE", "NCCL_", "NUMEXPR_", "NVIDIA_", "OMP_", "OPENBLAS_", "PBS_", "PIP_",
    "PYENV_", "PYTEST_", "PYTHON", "PYTORCH_", "QT_", "RAY_", "RESONANCE_", "ROCM_", "ROCR_",
    "SLURM", "SSH_", "TF_", "TORCH", "UV_", "VIRTUAL_ENV", "VSCODE_", "WSL",
)  # fmt: skip
"""Starts of names that hold none, unless a word in them says that they do."""
NEVER = frozenset(
    {
        "always", "auto", "default", "disabled", "enabled", "false", "never", "none", "null",
        "secret", "true",
    }
)  # fmt: skip
"""Values that are settings, whatever their variable is called."""

# A password may contain an unescaped @ or /, so this matches up to the last @ before a space.
USERINFO = re.compile(
    r"(?:(?<=://)(?:[^\s/?#:'\"]*:[^\s'\"]*|[^\s/?#'\"]+)"
    r"|(?:(?<=\bpostgres:)|(?<=\bpostgresql:))(?!//)[^\s'\"]+)@"
)
"""A login in a URL, with the @ after it."""
PARAMETER = re.compile(
    r"((?:[?&#][\w.-]{0,80}(?:token|secret|signature|api_?key|access_?key|private_?key)[\w.-]{0,80}"
    r"|[?&#](?:[\w.-]{0,80}[_.-])?(?:auth|key|sig)"
    r"|(?<![\w.-])(?:ssl)?(?:password|passwd|pwd)[\w.-]{0,80}"
    r"|(?<![\w.-])(?:AccountKey|SharedAccessKey|SharedAccessSignature)"
    r"|(?<![\w.-])--?(?:[\w-]{0,80}[_-])?(?:password|passwd|pwd|token|secret"
    r"|api[_-]?key|access[_-]?key|private[_-]?key))=)"
    r"('[^'\n]+'|\"[^\"\n]+\"|[^&\s'\"#]+)",
    re.I,
)
"""A password in the query or the fragment of a URL, in the connection string of a database or of a
cloud's storage, or in an option of a command: its name with ``=``, and the value."""
HEADER = re.compile(r"\b(?:bearer|basic|token)\s+(\S+)", re.I)
"""A login in a header of HTTP."""
KEYWORD = (
    r"(?:pass|pswd|pwd|pw|secret|token|auth|cookie|cred|dsn|jwt|sessionid"
    r"|(?:api|access|private|secret|account|signing|encryption)[_-]?key)"
)
"""What is in the name of an `ASSIGNED` value that may be a secret."""
SEPARATOR = r"\\{0,8}[\"']?\s{0,4}(?::\s{0,4}[A-Za-z][\w.\[\]|]{0,40}\s=|[:=])\s{0,4}"
HINTS = {
    "private key": re.compile("private key-"),
    **{word: re.compile(rf"{word}\s") for word in ("bearer", "basic")},
    **{
        word: re.compile(rf"{word}[\w-]{{0,80}}{SEPARATOR}")
        for word in (
            "pass", "pswd", "pwd", "pw", "secret", "token", "auth", "cookie", "cred", "dsn", "jwt",
            "sessionid", "_key", "-key", "apikey", "accesskey", "accountkey", "privatekey",
            "signingkey", "encryptionkey",
        )
    },
}  # fmt: skip
"""A word, and a pattern that begins with it: every text that has what `PRIVATE_KEY`, `SCHEME`,
`COOKIES` or `ASSIGNED` match has one of them in its small letters, and that is quicker to see."""
ASSIGNED = re.compile(
    rf"(?<![\w-])([\w-]{{0,80}}?(?:{KEYWORD}|(?-i:[A-Z]_KEYS?))[\w-]{{0,80}})({SEPARATOR})"
    r"((?:bearer|basic|token|digest|negotiate)\s+)?(\\{0,8}[bru]?"
    r"(?:\"(?:[^\"\\\n]|\\.)+\"|'(?:[^'\\\n]|\\.)+'|\\{1,8}\"[^\"\n]+\"|\\{1,8}'[^'\n]+'"
    r")|[^&\s'\"#]+)",
    re.I,
)
"""A name, ``:`` or ``=`` (after a type, in code), the scheme of a login, and a value in quotes, or
up to a space: of headers, settings, JSON and Python."""
PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----).*?(?:(-----END [A-Z ]{0,40}PRIVATE KEY-----)|\Z)",
    re.S,
)
"""A private key in PEM; one without an end goes on to that of the text."""
COOKIES = re.compile(r"\b((?:set-)?cookie[\"']?\s{0,4}:\s{0,4}[\"']?)([^\n\"']+)", re.I)
"""A header's cookies: its name, and all of its value."""
SCHEME = re.compile(r"\b((?:bearer|basic)\s+)([\w+/=.~-]{8,})", re.I)
"""The login of a header whose name is not there."""
CERTAIN = re.compile(
    r"pass|pswd|pwd|pw$|secret|cred|authorization"
    r"|(?:api|access|private|account|signing|encryption)[_-]?key"
    r"|(?:api|auth|access|bearer|client|refresh|security|session)[_-]?token",
    re.I,
)
"""What is in names whose value is a secret whatever it looks like."""
IN_CODE = re.compile(r"[a-z_]+(?:\.[a-z_]+)*[(\[]\S*|[a-z_]+(?:\.[a-z_]+)+[,:]?")
"""What code assigns to such a name: the result of a call, an element, an attribute."""
HEXADECIMAL = re.compile(r"[0-9a-f]+|[0-9A-F]+")
IDENTITY = re.compile(
    r"(?:(?:md5|sha1|sha256):)?(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}|[0-9a-f]{16})"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.I,
)
"""A checksum, a commit, a trial's key or a UUID: no secret, unless its variable's name says so."""
MOST_JSON = 65_536
"""Variables hold no longer JSON with credentials."""
MIN_FIELD = 16
"""A text of JSON in a variable is a secret by itself if it has at least this many characters."""

URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.I)
PATH = re.compile(r"(?:~|\.{1,2})?/\S*|[A-Za-z]:\\.*|\.{1,2}")
DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
PLAIN = re.compile(r"(?:[a-z]+|[A-Z]+|[A-Z]?[a-z]{2,}(?:[A-Z][a-z]{2,})*)s?")
LONGEST_PLAIN = 20
"""A word with more letters is none."""
WORD = re.compile(r"[\w./@+-]{1,15}")
"""A secret that may be a word or a name of a text, if it is plain; a longer one is not."""
NUMBER = re.compile(r"\d+|0[xX][0-9a-fA-F]{1,8}|\d+(?:\.\d+)?[eE]?")
NUMBERED = re.compile(r"[A-Za-z]{1,12}\d{1,4}[a-z]?|\d{1,4}[A-Za-z]{1,8}")
"""A word with a number: ``utf8``, ``node042``, ``4x``."""
MOST_NUMBERED = 2
"""More such words are no text."""
BETWEEN = re.compile(r"[\s/\\._\-:;,=+@%(){}\[\]\"'|#&~<>*]+")
"""What separates words."""


@dataclass(frozen=True)
class Secret:
    """A value that must not be written.

    Attributes:
        word: whether it could also be a word or a number of a text: it is then taken out where it
            stands by itself in a message, and stays in names.
    """

    value: str
    word: bool


def secrets() -> tuple[Secret, ...]:
    """Return the secrets of this machine, longest first."""
    return _secrets(tuple(os.environ.items()))


@functools.lru_cache(maxsize=8)
def _secrets(environment: tuple[tuple[str, str], ...]) -> tuple[Secret, ...]:
    named = {
        one for name, value in environment if is_secret_name(name) for one in _named(value.strip())
    }
    named |= {one for name, value in environment for one in _passwords(value)}
    named |= _netrc(dict(environment).get("NETRC"))
    named = {one for one in named if len(one) >= SHORTEST_NAMED}
    values = {
        one
        for name, value in environment
        if not is_secret_name(name) and not is_usual_name(name)
        for one in _unlisted(value.strip())
    }
    found = {
        Secret(value, word=_may_be_a_name(value, value in named))
        for value in named | values
        if value.lower() not in NEVER
    }
    return tuple(sorted(found, key=lambda one: (-len(one.value), one.value)))


def _may_be_a_name(value: str, named: bool) -> bool:
    """Return whether a secret could be a word of a text, or an identity of a record (a digest)."""
    if WORD.fullmatch(value) and is_plain(value):
        return True
    return not named and HEXADECIMAL.fullmatch(value) is not None


def _named(value: str) -> Iterator[str]:
    """Yield the secrets in the value of a variable whose name says that it holds one."""
    yield value
    yield from (one for one in _parts(value) if not is_plain(one))


def _unlisted(value: str) -> Iterator[str]:
    """Yield the secrets in the value of a variable whose name says nothing."""
    for one in (value, *_parts(value)):
        if len(one) >= SHORTEST_OTHER and not is_plain(one) and not IDENTITY.fullmatch(one):
            yield one


def _parts(value: str) -> Iterator[str]:
    """Yield what may be secrets by themselves: logins of headers, and the texts in JSON."""
    yield from (match[1] for match in HEADER.finditer(value))
    if value[:1] in ("{", "[") and len(value) <= MOST_JSON:
        with contextlib.suppress(ValueError, RecursionError):
            yield from (one for one in _texts(json.loads(value)) if len(one) >= MIN_FIELD)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content.strip()
    elif isinstance(content, dict | list):
        for one in content.values() if isinstance(content, dict) else content:
            yield from _texts(one)


def is_secret_name(name: str) -> bool:
    """Return whether a variable's name says that its value is a secret."""
    name = name.upper()
    if name in USUAL or name.startswith(USUAL_SESSION) or name.endswith(PLACE):
        return False
    words = (word.rstrip("0123456789") for word in re.split(r"[_.-]+", name))
    return any(word in SECRET_WORDS or word.endswith(SECRET_ENDINGS) for word in words)


def is_assigned_secret(name: str, between: str, scheme: str, value: str) -> bool:
    """Return whether `value` of `ASSIGNED` is a secret; `between` is what stands before it.

    A value of a name such as ``password`` is one, unless it can be read as prose (``password: must
    be …``) or code (``password = ask()``). That of ``token`` or ``MY_KEY`` has to look like one. A
    login after its `scheme` always is.
    """
    bare = re.sub(r"^[bru](?=[\\\"'])|[\\\"']", "", value)
    if not is_secret_name(name) or bare.lower() in NEVER or not bare.strip("{}[]()"):
        return False
    if scheme:
        return True
    if bare == value and between[-1:].isspace():  # not in quotes
        is_prose = ":" in between and re.fullmatch(r"[^\W\d_]+\W?", value)
        if is_prose or IN_CODE.fullmatch(value):
            return False
    if CERTAIN.search(name):
        return True
    return len(bare) >= SHORTEST_OTHER and not is_plain(bare) and not IDENTITY.fullmatch(bare)


def is_usual_name(name: str) -> bool:
    """Return whether a variable has a usual name: its value is no secret."""
    name = name.upper()
    return name in USUAL or name.startswith(USUAL_SESSION + USUAL_START)


def is_plain(value: str) -> bool:
    """Return whether a value is a path, a number, a URL without a login, words, or several."""
    if URL.fullmatch(value):
        return not USERINFO.search(value) and not PARAMETER.search(value)
    if DATE.fullmatch(value):
        return True
    numbered = 0
    for part in re.split(r"[\s,;]+|:(?!//|\\)", value):
        if PATH.fullmatch(part) or (URL.fullmatch(part) and is_plain(part)):
            continue
        for word in filter(None, BETWEEN.split(part)):
            if NUMBER.fullmatch(word):
                continue
            if PLAIN.fullmatch(word) and len(word) <= LONGEST_PLAIN:
                continue
            numbered += 1
            if not NUMBERED.fullmatch(word) or numbered > MOST_NUMBERED:
                return False
    return True


def _passwords(value: str) -> Iterator[str]:
    """Yield the passwords in the URLs of a value, as they are there and unescaped."""
    if "://" not in value and "=" not in value and ":" not in value:
        return
    for match in USERINFO.finditer(value):
        user, colon, password = match[0][:-1].partition(":")
        secret = password if colon else user
        if colon or not is_plain(user):
            yield from {secret, unquote(secret)}
    for match in PARAMETER.finditer(value):
        secret = match[2].strip("'\"")
        yield from {secret, unquote(secret)}


@functools.lru_cache(maxsize=4)
def _netrc(path: str | None) -> frozenset[str]:
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return frozenset()
    return frozenset(password for _, _, password in hosts.values() if password)
