import gc
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suite.core.declarations import Method
from suite.core.discovery import load, read_declarations
from suite.core.errors import InvalidInput

HEAVY = """
import torch
from torch import nn
from suite.core.declarations import Hyperparameter, Method

LOW = 8
WINDOW = Hyperparameter("window", int, 32, "gradients", low=LOW)

METHOD = Method(
    "heavy", "nobody", title="Heavy", summary="needs torch", implementation="Heavy",
    family="test", hyperparameters=(WINDOW,),
)

class Heavy(nn.Module):
    pass

raise RuntimeError("the file was run")
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "plugin.py"
    path.write_text(text)
    return path


def test_a_file_that_needs_torch_is_read_without_importing_it(tmp_path):
    path = write(tmp_path, HEAVY)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from suite.core.discovery import read_declarations\n"
        f"(found,) = read_declarations(Path({str(path)!r}), ('METHOD', 'METHODS'), 'here')\n"
        "print(found.name, found.origin, found.hyperparameters[0].low, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["heavy", "here", "8", "False"]


def test_a_tuple_of_declarations_is_read_one_by_one(tmp_path):
    text = (
        "from suite.core.declarations import Declared\n"
        "METHODS = (Declared('a', 'x'), Declared('b', 'y', revision=2))\n"
    )
    first, second = read_declarations(write(tmp_path, text), ("METHOD", "METHODS"), "here")
    assert (first.name, first.origin) == ("a", "here")
    assert (second.name, second.revision) == ("b", 2)


def test_a_file_without_a_declaration_declares_nothing(tmp_path):
    assert read_declarations(write(tmp_path, "import torch\nX = 1\n"), ("METHOD",), "here") == []


def test_a_syntax_error_in_a_plug_in_names_the_file_and_the_line(tmp_path):
    path = write(tmp_path, "METHOD = (\n")
    with pytest.raises(InvalidInput, match=r"cannot be read as Python: .*line 1") as refused:
        read_declarations(path, ("METHOD",), "here")
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_or_binary_file_is_not_read_as_python(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read as Python"):
        read_declarations(tmp_path / "none.py", ("METHOD",), "here")
    path = tmp_path / "binary.py"
    path.write_bytes(b"\xff\xfe\x00METHOD = 1")
    with pytest.raises(InvalidInput, match="cannot be read as Python"):
        read_declarations(path, ("METHOD",), "here")


def test_a_wrong_argument_is_named_with_its_line(tmp_path):
    text = "from suite.core.declarations import Method\nMETHOD = Method('a', 'me', titel='A')\n"
    with pytest.raises(InvalidInput, match=r"plugin\.py:2: .*unexpected keyword argument 'titel'$"):
        read_declarations(write(tmp_path, text), ("METHOD",), "here")


def test_a_declaration_with_a_bad_default_is_reported_as_such(tmp_path):
    text = (
        "from suite.core.declarations import Hyperparameter\n"
        "METHOD = Hyperparameter('window', int, 4, 'gradients', low=8)\n"
    )
    with pytest.raises(InvalidInput, match="window=4 is not usable"):
        read_declarations(write(tmp_path, text), ("METHOD",), "here")


@pytest.mark.parametrize("value", ["3", "None", "'rigl'", "[1]"])
def test_what_is_no_declaration_is_not_taken_for_one(tmp_path, value):
    with pytest.raises(InvalidInput, match="METHOD must be declarations"):
        read_declarations(write(tmp_path, f"METHOD = {value}\n"), ("METHOD",), "here")


# ---------------------------------------------------------------- loading


def test_an_implementation_is_found_in_a_module_and_in_a_file(tmp_path):
    assert load("suite.core.declarations:Method") is Method
    assert load("Method", "suite.core.declarations") is Method
    path = write(tmp_path, "class Mine:\n    pass\n")
    assert load("Mine", str(path)).__name__ == "Mine"
    assert load("Mine", str(path)) is load("Mine", str(path))


def test_an_implementation_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"suite\.core\.declarations defines no 'Methud'"):
        load("Methud", "suite.core.declarations")
    with pytest.raises(InvalidInput, match=r"suite\.nowhere cannot be imported"):
        load("suite.nowhere:Method")


def test_a_plug_in_that_raises_while_it_is_imported_is_refused(tmp_path):
    path = write(tmp_path, "class Mine:\n    pass\n\n1 / 0\n")
    with pytest.raises(InvalidInput, match=r"plugin\.py cannot be imported: ZeroDivisionError"):
        load("Mine", str(path))


def test_a_plug_in_may_hold_a_dataclass_with_postponed_annotations(tmp_path):
    text = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n\n"
        "@dataclass\nclass Mine:\n    x: int = 3\n"
    )
    assert load("Mine", str(write(tmp_path, text)))().x == 3


@pytest.mark.slow
def test_threads_may_read_the_same_file_at_once():
    """A thread that yields in the middle of a tree (here whenever memory is tidied up) must not
    disturb another one that parses; Python 3.11 alone does."""

    def give_way(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    def read(_: int) -> int:
        return len(read_declarations(family, ("METHODS",), "here"))

    family = Path(__file__).parents[2] / "suite" / "resonance" / "family.py"
    often, switch = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(give_way)
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            counts = set(pool.map(read, range(80)))
    finally:
        sys.setswitchinterval(switch)
        gc.set_threshold(*often)
        gc.callbacks.remove(give_way)
    assert len(counts) == 1


RELATIVE = """
from suite.core.declarations import Declared
from suite.sparsity.sparsifier import Sparsifier
{}
METHOD = Declared({}, "x")

class Mine(Sparsifier):
    pass
"""
BY_ITSELF = (
    "{}, which is relative to a package, and a plug-in given by its path is loaded by itself, "
    "without its package: {}, or install the package and name the module in its entry point"
)


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("from . import helper", "write `import helper` (what is beside the file is found)"),
        ("from .helper import (\n    A,\n    B as C,\n)",
         "write `from helper import A, B as C` (what is beside the file is found)"),
        ("from .. import helper", "import by the full name"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("within", ["plugin", "beside"])
def test_a_relative_import_of_a_file_given_by_path_says_what_to_write(
    tmp_path, statement, advice, within
):
    beside = tmp_path / f"beside_{tmp_path.name}.py"  # a module of this name is imported once
    beside.write_text(statement)
    own = statement if within == "plugin" else f"import {beside.stem}"
    path = write(tmp_path, RELATIVE.format(own, "'a'"))
    at = f"{path}:4" if within == "plugin" else f"{beside}:1"
    (found,) = read_declarations(path, ("METHOD",), str(path))
    with pytest.raises(InvalidInput) as refused:
        load(":Mine", found.origin)
    shown = " ".join(statement.replace("(\n", "").replace(",\n)", "").split())
    said = BY_ITSELF.format(f"{at} has `{shown}`", advice)
    assert str(refused.value).startswith(f"{path} cannot be imported: {said}")


def test_a_relative_import_that_a_declaration_uses_says_what_to_write(tmp_path):
    (tmp_path / "helper.py").write_text("NAME = 'a'\n")
    path = write(tmp_path, RELATIVE.format("from .helper import NAME", "NAME"))
    with pytest.raises(InvalidInput) as refused:
        read_declarations(path, ("METHOD",), str(path))
    said = BY_ITSELF.format(
        "uses `from .helper import NAME`",
        "write `from helper import NAME` (what is beside the file is found)",
    )
    assert str(refused.value).startswith(f"{path}:4: the declaration {said}")
    path = write(tmp_path, RELATIVE.format("from helper import NAME", "NAME"))
    (found,) = read_declarations(path, ("METHOD",), str(path))
    assert found.name == "a"


def test_another_import_that_fails_keeps_pythons_words(tmp_path):
    path = write(tmp_path, RELATIVE.format("import no_such_module_here", "'a'"))
    with pytest.raises(InvalidInput, match="ModuleNotFoundError: No module named 'no_such_module"):
        load(":Mine", str(path))
