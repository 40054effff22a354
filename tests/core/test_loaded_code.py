"""What is imported at run time is told from the files of the plug-ins themselves."""

import sys
from pathlib import Path

import pytest

from suite.core import code_files, loaded_code
from suite.core.code_files import own_code
from suite.core.discovery import import_origin
from suite.core.loaded_code import noting, unseen


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(loaded_code, "_loaded", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    yield
    for name in sys.modules.keys() - modules:
        del sys.modules[name]
    code_files.forget()


def plugin(folder: Path, name: str, text: str = "") -> str:
    path = folder / f"{name}.py"
    path.write_text(text)
    return str(path)


def test_another_plugin_of_a_trial_is_not_imported_at_run_time(tmp_path):
    """The task of one plug-in is trained with the method of another, then without it."""
    plugin(tmp_path, "lc_helper")
    task = plugin(tmp_path, "lc_moons")
    method = plugin(tmp_path, "lc_method", "import lc_helper\n")
    both = own_code([task, method], [tmp_path])
    with noting([task, method], both):
        import_origin(task)
        import_origin(method)
    assert "lc_helper" in sys.modules
    assert unseen([task, method], both) == []
    assert unseen([task], own_code([task], [tmp_path])) == []
    assert unseen([method], own_code([method], [tmp_path])) == []


def test_what_is_imported_by_name_is_noted_for_all_that_may_have_imported_it(tmp_path):
    plugin(tmp_path, "lc_hidden")
    task = plugin(tmp_path, "lc_blobs")
    text = "import importlib\nimportlib.import_module('lc_' + 'hidden')\n"
    method = plugin(tmp_path, "lc_by_name", text)
    both = own_code([task, method], [tmp_path])
    with noting([task, method], both):
        import_origin(task)
        import_origin(method)
    assert unseen([task, method], both) == ["lc_hidden"]
    assert unseen([method], own_code([method], [tmp_path])) == ["lc_hidden"]
    with noting([], own_code([])):  # nothing is noted for the suite's own code
        pass
    assert unseen([], own_code([])) == []
