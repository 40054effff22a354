"""Which files are the user's own code, found from syntax trees."""

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from suite.core import code_files
from suite.core.code_files import code_digest, forget, is_own, own_code
from suite.core.errors import InvalidInput


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Read every file anew, and look for packages as they are in this test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    forget()
    yield
    forget()


def write(folder: Path, **files: str) -> Path:
    """Write files; ``a__b`` stands for ``a/b.py``, ``INIT`` for ``__init__``."""
    for name, text in files.items():
        parts = [part.replace("INIT", "__init__") for part in name.split("__")]
        path = folder.joinpath(*parts).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(folder: Path, origin: str = "plug") -> set[str]:
    return set(own_code([str(folder / f"{origin}.py")]).digests)


def test_imports_are_followed_wherever_they_are_and_nothing_is_run(tmp_path):
    write(
        tmp_path,
        plug="""
import json, numpy, torch.nn
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import typed
raise RuntimeError("this file was run")
def late():
    import inside.deep as d
    from inside import other, NAME
class A:
    from suite.core import errors
""",
        typed="raise RuntimeError",
        unused="",
        inside__INIT="NAME = 1",
        inside__deep="from . import sibling\nfrom .sub.leaf import *\nfrom .. import beyond",
        inside__sibling="",
        inside__other="import missing_module",
        inside__unused="",
        inside__sub__INIT="",
        inside__sub__leaf="from ..third import x",
        inside__third="import plug",
    )
    assert names(tmp_path) == {
        "plug.py", "plug", "typed", "inside", "inside.deep", "inside.sibling", "inside.other",
        "inside.sub", "inside.sub.leaf", "inside.third",
    }  # fmt: skip


def test_a_namespace_package_is_followed(tmp_path):
    write(tmp_path, plug="from space.inner import leaf", space__inner__leaf="import space.two")
    write(tmp_path, space__two="")
    assert names(tmp_path) == {"plug.py", "space.inner.leaf", "space.two"}


def test_names_and_digest_do_not_depend_on_the_place(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder, plug="import tool", tool="x = 1")
    one, two = (own_code([str(tmp_path / f / "plug.py")]) for f in "ab")
    assert one.digests == two.digests
    assert one.digest == two.digest == code_digest(one.digests)
    assert one.files != two.files
    assert own_code([]).digest == ""


def test_the_suite_the_standard_library_and_packages_are_not_the_user_s():
    import torch

    import suite.core.files

    for module in (suite.core.files, torch, json, importlib.metadata):
        assert not is_own(str(module.__file__))
    assert own_code(["baselines.rigl", "torchvision.models", "json", "missing"]).digests == {}
    assert is_own(__file__)


def test_a_file_is_read_once_until_plugins_are_read_anew(tmp_path):
    write(tmp_path, plug="import tool", tool="x = 1")
    before = own_code([str(tmp_path / "plug.py")]).digests
    write(tmp_path, tool="x = 22")
    assert own_code([str(tmp_path / "plug.py")]).digests == before
    assert forget() == {str(tmp_path / "plug.py"), str(tmp_path / "tool.py")}
    after = own_code([str(tmp_path / "plug.py")]).digests
    assert code_files.changed_files(before, after) == ["tool"]
    assert forget() == set()


def test_a_broken_file_counts_by_its_bytes(tmp_path):
    write(tmp_path, plug="import tool", tool="def f(:")
    assert names(tmp_path) == {"plug.py", "tool"}


def test_files_of_one_name_in_two_folders_both_count(tmp_path):
    write(tmp_path / "a", net="x = 1")
    write(tmp_path / "b", net="x = 2")
    both = own_code([str(tmp_path / "a" / "net.py"), str(tmp_path / "b" / "net.py")])
    assert set(both.digests) == {"net.py", "net.py'"}


def test_a_module_that_another_plugin_s_folder_hides_is_refused(tmp_path):
    write(tmp_path / "a", plug="import tool", tool="x = 1")
    write(tmp_path / "b", plug="import tool", tool="x = 2")
    folders = [tmp_path / "a", tmp_path / "b"]
    own_code([str(tmp_path / "a" / "plug.py")], folders)
    with pytest.raises(InvalidInput, match="imports 'tool'.*rename"):
        own_code([str(tmp_path / "b" / "plug.py")], folders)


def test_a_large_package_is_one_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(code_files, "MAX_FILES", 2)
    write(tmp_path, plug="import big.a, big.b", big__INIT="", big__a="", big__b="x = 1")
    assert names(tmp_path) == {"plug.py", "big.*"}


# ------------------------------------------------------------------ installed packages


def distribution(site: Path, source: Path, *, editable: bool) -> None:
    """Write what an installer leaves: a wheel's files in `site`, or a link to `source`."""
    info = site / "mine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[resonance_bench]\nmine = mine.methods\n")
    record = ["mine-1.0.dist-info/METADATA,,"]
    if editable:
        url = {"url": source.as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(url))
        record.append("__editable__.mine-1.0.pth,,")
    else:
        for path in source.rglob("*.py"):
            inside = path.relative_to(source)
            (site / inside).parent.mkdir(parents=True, exist_ok=True)
            (site / inside).write_bytes(path.read_bytes())
            record.append(f"{inside.as_posix()},,")
    (info / "RECORD").write_text("\n".join(record))


def test_a_wheel_and_an_editable_install_are_the_same_code(tmp_path, monkeypatch):
    source = write(
        tmp_path / "source",
        mine__INIT="",
        mine__methods="from mine_tools import one\nimport numpy",
        mine__unused="x = 1",
        mine_tools__INIT="",
        mine_tools__one="",
        mine_tools__two="",
    )
    expected = {
        "mine", "mine.methods", "mine.unused", "mine_tools", "mine_tools.one", "mine_tools.two",
    }  # fmt: skip
    found = []
    for editable in (False, True):
        site = tmp_path / str(editable) / "site-packages"
        distribution(site, source, editable=editable)
        with monkeypatch.context() as inside:
            places = [str(site), *([str(source)] if editable else [])]
            inside.setattr(sys, "path", [*sys.path, *places])
            forget()
            found.append(own_code(["mine.methods"]))
    wheel, linked = found
    assert set(wheel.digests) == expected
    assert wheel.digests == linked.digests
    assert wheel.files != linked.files


def test_an_installed_package_counts_whole_if_a_task_names_it(tmp_path, monkeypatch):
    site = write(tmp_path / "site-packages", nets__INIT="", nets__a="", nets__b="")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    assert set(own_code(["nets.a"]).digests) == {"nets", "nets.a", "nets.b"}
    write(tmp_path, plug="import nets.a")
    assert names(tmp_path) == {"plug.py"}
