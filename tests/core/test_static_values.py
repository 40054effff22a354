"""Declarations are evaluated from the syntax tree: what they may use, and that nothing is run."""

import importlib
import math
from dataclasses import replace
from pathlib import Path

import pytest

from suite.core.discovery import KINDS, read_declarations
from suite.core.errors import InvalidInput
from suite.core.static_values import MAX_BYTES, Reader
from suite.experiments import registry

PACKAGES = ("suite.resonance", "baselines", "tasks.catalogue", "suite.reproduce")
HEAD = """
import math
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import torch
from baselines.rigl import METHOD as RIGL
from suite.core import hyperparameters as shared
from suite.core.declarations import Difference, Hyperparameter, Method, Search
from tasks.catalogue import mnist

A = 3
NAMES = ("x", "y")
TABLE: dict[str, int] = {"one": 1, **{"two": A - 1}}


def choose():
    Path("owned").write_text("")
    return 1


class Rule:
    low = 8


CIRCLE = 1 + CIRCLE
TWICE = 1
TWICE += 1
LISTED = [1]
LISTED.append(choose())
LEVEL_0 = (1,) * 9
LEVEL_1 = (LEVEL_0,) * 9
LEVEL_2 = (LEVEL_1,) * 99
LEVEL_3 = (LEVEL_2,) * 99
MANY = tuple(range(9999))
if A:
    INSIDE = 1
for LOOPED in NAMES:
    pass
A1, A2 = 1, 2
Path("owned").write_text("")
while True:
    pass
"""


def evaluate(folder: Path, expression: str):
    path = folder / "plugin.py"
    path.write_text(f"{HEAD}\nVALUE = {expression}\n")
    return Reader().value(path, "VALUE")


def test_every_declaration_of_the_project_is_read_as_python_itself_reads_it():
    names = sorted(KINDS)
    for path, origin in registry._project_sources(PACKAGES):
        read = read_declarations(path, names, origin)
        module = importlib.import_module(origin)
        values = [getattr(module, name) for name in names if hasattr(module, name)]
        flat = [x for v in values for x in (v if isinstance(v, tuple | list) else (v,))]
        assert repr(read) == repr([replace(one, origin=origin) for one in flat])


@pytest.mark.parametrize(
    "expression",
    [
        "(1, 2.5, -3, +4, None, True, 'a' 'b', b'c', 1_000)",
        "[*NAMES, 'z']",
        "{'a': {1, 2}, **TABLE}",
        "TABLE | {'three': 3}",
        "{1, 2} - {2}",
        "A * 2 + 7 // 2 - 2 ** 3 % 5 + 1 / 4 + (1 << 4) + (0xFF & 15 | 16 ^ 3) + ~A",
        "'ab' * A + NAMES[0] + NAMES[-1] + 'abcdef'[1:4]",
        "A if A > 2 and not A == 5 or False else 0",
        "1 < A <= 3 != 4",
        "'x' in NAMES and 'q' not in NAMES and None is None",
        "f'{A:03d} {NAMES[0]!r} {0.5:.2%} {A:>{A}}'",
        "[n * m for n in range(4) if n % 2 for m in (1, 2)]",
        "{name: number for number, name in enumerate(NAMES)}",
        "tuple(key.upper() for key, value in sorted(TABLE.items()) if value)",
        "max(len(name) for name in NAMES) + sum(TABLE.values()) + round(2.5, 1)",
        "next(name for name in NAMES if name == 'y')",
        "dict(a=1, **TABLE)",
        "list(zip(NAMES, reversed(NAMES), strict=True))",
        "', '.join(NAMES).title()",
        "str(A) + str(float('0.5')) + str(int('7'))",
        "math.sqrt(math.pi)",
        "TABLE.get('none', 5)",
    ],
)
def test_what_declarations_may_use_has_python_s_value(tmp_path, expression):
    own = {"A": 3, "NAMES": ("x", "y"), "TABLE": {"one": 1, "two": 2}, "math": math}
    assert evaluate(tmp_path, expression) == eval(expression, own)


def test_declarations_and_constants_of_the_project_may_be_used(tmp_path):
    rigl = registry.methods()["rigl"]
    assert evaluate(tmp_path, "RIGL.hyperparameters") == rigl.hyperparameters
    assert evaluate(tmp_path, "replace(RIGL, name='mine').name") == "mine"
    assert evaluate(tmp_path, "shared.LAYERWISE[0].search_space().choices") == ("erk", "er")
    assert evaluate(tmp_path, "mnist.DATASETS[0].title") == "MNIST"
    read = evaluate(tmp_path, "Hyperparameter('a', int, A, 'm', search=Search(low=1, high=9))")
    assert (read.type, read.default, read.search.high) == (int, 3, 9)
    read = evaluate(tmp_path, "Difference('batch', str(A), 'one' 'two', why=NAMES[0])")
    assert (read.here, read.authors, read.why) == ("3", "onetwo", "x")


def test_a_file_may_name_files_beside_it(tmp_path):
    said = evaluate(tmp_path, "str(Path(__file__).parent / 'data' / 'x.csv')")
    assert said == str(tmp_path / "data" / "x.csv")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("choose()", "uses the function choose of line 19.*write out what it returns"),
        ("Rule.low", "uses the class Rule of line 24.*write the value out"),
        ("(lambda: 1)()", "a lambda"),
        ("os.system('touch owned')", "uses system of os"),
        ("subprocess.run(['touch', 'owned'])", "uses run of subprocess"),
        ("os.environ['HOME']", "uses environ of os"),
        ("torch.__version__", "uses __version__ of torch"),
        ("Path('owned').write_text('')", "calls .*write_text"),
        ("Path('owned').touch()", "calls .*touch"),
        ("open('owned', 'w')", "uses open, which is neither imported nor assigned"),
        ("__import__('os')", "uses __import__"),
        ("eval('1')", "uses eval"),
        ("''.__class__", "__class__"),
        ("().__class__.__bases__[0].__subclasses__()", "__class__"),
        ("RIGL.__init__.__globals__", "__init__"),
        ("'{0.__class__}'.format(1)", "calls .*format"),
        ("'%1000000000d' % 1", "are not numbers"),
        ("getattr(A, 'real')", "uses getattr"),
        ("math", "the module math"),
        ("(walrus := 3)", "an assignment within an expression"),
        ("unknown", "neither imported nor assigned"),
        ("CIRCLE", "defined by itself"),
        ("TWICE", "also given a value or changed"),
        ("LISTED", "also given a value or changed"),
        ("INSIDE", "only running the file"),
        ("LOOPED", "only running the file"),
        ("A1", "only running the file"),
        ("9**9**9", "bits"),
        ("2 ** 5000 ** 2.0", "cannot be evaluated|bits"),
        ("1 << 10**9", "bits"),
        ("'a' * 10**9", "characters"),
        ("(0,) * 10**9", "items"),
        ("[x for x in range(10**9)]", "range"),
        ("[x for x in MANY for y in MANY]", "steps"),
        ("[sorted(MANY) for x in MANY]", "steps"),
        ("('a' * 99999).join(('a',) * 9999)", "characters"),
        ("f'{A:1000000000}'", "format"),
        ("round(1, -10**9)", "digits"),
        ("int('9' * 5000)", "cannot be evaluated"),
        ("LEVEL_3 == LEVEL_3", "values in it"),
        ("+".join(["1"] * 300), "nested deeper"),
        ("1 / 0", "ZeroDivisionError"),
        ("TABLE['none']", "KeyError"),
        ("{[]: 1}", "unhashable"),
        ("Method('a', 'b', titel='c')", "unexpected keyword argument 'titel'"),
    ],
)
def test_everything_else_is_refused_with_its_line_and_nothing_is_run(
    tmp_path, monkeypatch, expression, said
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=said) as refused:
        evaluate(tmp_path, expression)
    assert str(refused.value).startswith(f"{tmp_path / 'plugin.py'}:")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "owned").exists()


def test_other_files_of_a_plug_in_are_read_and_not_run(tmp_path):
    (tmp_path / "told.py").write_text(
        "from parts.inner import LOW\nDEFAULT = 2 * LOW\nraise RuntimeError('run')\n"
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("raise RuntimeError('run')\n")
    (tmp_path / "parts" / "inner.py").write_text("from . import more\nLOW = more.LOW\n")
    (tmp_path / "parts" / "more.py").write_text("LOW = 8\ndef get(): return 1\nGOT = get()\n")
    path = tmp_path / "plugin.py"
    path.write_text(
        "import parts.more\nfrom parts.more import GOT\nfrom told import DEFAULT\n"
        "VALUE = (DEFAULT, parts.more.LOW)\nBAD = GOT\n"
    )
    assert Reader().value(path, "VALUE") == (16, 8)
    with pytest.raises(InvalidInput, match=r"more\.py:3: .*the function get of line 2"):
        Reader().value(path, "BAD")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "plugin.py"
    path.write_text("VALUE = 1\n" + "#" * MAX_BYTES)
    with pytest.raises(InvalidInput, match="larger than 1 MB"):
        Reader().value(path, "VALUE")
