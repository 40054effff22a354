"""The digest of source: tokens without comments and layout, the same in every version of Python."""

import shutil
import subprocess
import tokenize
from pathlib import Path

import pytest

from suite.core.source_digest import normalized, source_digest
from tests.conftest import require

ROOT = Path(__file__).parents[2]
SOURCE = '''# comment
"""Doc ünï."""
from __future__ import annotations

import asyncio
type_hint: dict[str, list[int | None]] = {}
naïve = "ß" 'x' rb'\\d'
def f(a: int, /, b: str = f"{naïve!r:>{10}}", *, c=f\'\'\'ü{
    naïve
    + "é"}
{{ }} z\'\'\', **kw) -> str:
\t# a comment
\tif (n := len(b)) > 10 and \\
\t   n < 20:
\t\treturn f"{'nested' f'{n:{n}d}'} {n=} é{b}ü" + F"{n:%Y-%m}" "é"

\tmatch b:
\t\tcase {"x": [1, *_]} if n: pass
\t\tcase _: ...
\treturn rf"\\d{n}" ; x = 0x_ff + 1e3j
async def g():
    async for x in y():
        await x
    return [z async for z in w() if z != 3 if not z] @ m
@decorator
class Ω(f"{1}".__class__):
    x = lambda *a, **k: (yield)
    y = f"a{x}b" f"{ {'a': 1}['a'] }"


try:
    pass
except* ValueError as e:
    raise e from None
'''
STORED = {
    SOURCE: "a985cd0d27293943",
    "": "e3b0c44298fc1c14",
    "x = 1\n": "f7c4ad3a2a094626",
    "if x:\n  y": "fb72d64279e6f602",
    "class A:\n  def f(s):\n    pass\n  # c\n\n  # d\n  def g(s): pass": "b7e2a1b3db5af2f4",
    "x = f'{a!r}' f'''{\nb}''' \n": "4f39e7c47014f6df",
    "a = f'{x:{y}{z!s:>3}}'": "b26fa47f69058ef8",
    "def f(:\n": "d77e0f7d60990680",
    "x = 'abc": "e5c375092be79f4d",
    "x=!a": "c08d9c4eedc9b2b0",
}
"""Digests of keys that are in stores: they may never change."""


@pytest.mark.parametrize(("source", "digest"), STORED.items())
def test_digests_are_those_that_stores_hold(source, digest):
    assert source_digest(source.encode()) == digest


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_other_versions_of_python_agree(version, tmp_path):
    python = _python(version)
    require(f"python{version}", python is not None, f"install Python {version}")
    assert python is not None
    (tmp_path / "source.py").write_text(SOURCE, encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from suite.core.source_digest import source_digest\n"
        f"print(source_digest(Path({str(tmp_path / 'source.py')!r}).read_bytes()))"
    )
    command = [python, "-I", "-c", _without_the_package(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == STORED[SOURCE]


def _without_the_package(code: str) -> str:
    """Import the module without ``suite/__init__.py``, which needs libraries."""
    stub = (
        "import types, sys\n"
        f"for name, place in (('suite', {str(ROOT / 'suite')!r}), "
        f"('suite.core', {str(ROOT / 'suite' / 'core')!r})):\n"
        "    module = types.ModuleType(name); module.__path__ = [place]\n"
        "    sys.modules[name] = module\n"
    )
    return stub + code


def _python(version: str) -> str | None:
    """Return an interpreter of this version that works: on the path, or one of pyenv's."""
    found = [shutil.which(f"python{version}")]
    found += sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
    for python in filter(None, found):
        command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return python
    return None


def test_f_strings_in_parts_are_put_together_again(monkeypatch):
    """The stream of tokens as from Python 3.12 on, for ``x = f"a{b:{c}}" 'd'``."""
    text = "x = f\"a{b:{f'{c}'}}\" 'd'"
    kinds = {"FSTRING_START": 900, "FSTRING_MIDDLE": 901, "FSTRING_END": 902}
    names = {**tokenize.tok_name, **{number: name for name, number in kinds.items()}}
    monkeypatch.setattr(tokenize, "tok_name", names)

    def token(kind, string, start, end):
        return tokenize.TokenInfo(kind, string, (1, start), (1, end), text)

    stream = [
        token(tokenize.NAME, "x", 0, 1),
        token(tokenize.OP, "=", 2, 3),
        token(900, 'f"', 4, 6),
        token(901, "a", 6, 7),
        token(tokenize.OP, "{", 7, 8),
        token(tokenize.NAME, "b", 8, 9),
        token(tokenize.OP, ":", 9, 10),
        token(tokenize.OP, "{", 10, 11),
        token(900, "f'", 11, 13),
        token(tokenize.OP, "{", 13, 14),
        token(tokenize.NAME, "c", 14, 15),
        token(tokenize.OP, "}", 15, 16),
        token(902, "'", 16, 17),
        token(tokenize.OP, "}", 17, 18),
        token(tokenize.OP, "}", 18, 19),
        token(902, '"', 19, 20),
        token(tokenize.STRING, "'d'", 21, 24),
        token(tokenize.NEWLINE, "", 24, 25),
    ]
    expected = ["x", "=", "f\"a{b:{f'{c}'}}\"", "'d'", "\1newline"]
    assert list(normalized(stream, text)) == expected


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):  # why\n    return x + 1\n",
        "\n\ndef f(\n  x  # so\n  ):\n\n\n        return x + 1\n",
        "def f(x):\r\n\treturn x + 1\r\n",
        "\ufeffdef f(x):\n  return x \\\n  + 1",
    ],
)
def test_comments_and_layout_do_not_count(other):
    assert source_digest(other.encode()) == source_digest(b"def f(x):\n    return x + 1\n")


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x - 1\n",
        "def f(x):\n    return x + 1.0\n",
        "def f(y):\n    return y + 1\n",
        "def f(x):\n    pass\nreturn x + 1\n",
        "def f(x):\n    '''doc'''\n    return x + 1\n",
    ],
)
def test_what_code_does_counts(other):
    assert source_digest(other.encode()) != source_digest(b"def f(x):\n    return x + 1\n")
