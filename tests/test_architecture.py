"""The layout in docs/design.md, and other rules of structure, hold in the code.

Imports are read from the source, wherever in a module they are.
"""

import ast
import functools
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from suite.experiments import registry

ROOT = Path(__file__).parents[1]
OURS = ("suite", "baselines", "tasks", "leaderboard")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for folder in OURS
    for path in sorted((ROOT / folder).rglob("*.py"))
}
MAX_LINES = 650
EVERYTHING = "everything"


def layout() -> dict[str, set[str]]:
    """Return what each row of the table in docs/design.md may import, by its folder or file."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    head = re.search(r"^\| folder \| what it is \| may import \|\n\|[-|]+\|\n", page, re.MULTILINE)
    assert head is not None, "docs/design.md has no table: folder | what it is | may import"
    rows: dict[str, set[str]] = {}
    for line in page[head.end() :].splitlines():
        if not line.startswith("|"):
            break
        folder, _, allowed = (cell.strip() for cell in line.strip("|").split("|"))
        names = re.findall(r"`([^`]+)`", allowed)
        plain = re.sub(r"`[^`]+`", "", allowed).strip(" ,")
        assert plain in ("", EVERYTHING, "nothing"), line
        assert plain == "" or not names, line
        (name,) = re.findall(r"`([^`]+)`", folder)
        rows[name.rstrip("/")] = {n.rstrip("/") for n in names} | ({plain} & {EVERYTHING})
    return rows


LAYOUT = layout()


def imports(module: str, *, at_top: bool = False) -> set[str]:
    """Return the full names of what a module imports, anywhere or when it is imported itself.

    The package itself, for its version and its place, is left out: it is for everyone.
    """
    found: set[str] = set()
    for node in import_statements(FILES[module].read_text(encoding="utf-8"), at_top=at_top):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} - {"suite"}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level]
                base = ".".join([*package, base] if base else package)
            names = [a.name for a in node.names if (base, a.name) != ("suite", "__version__")]
            found |= {full_name(base, name) for name in names}
    return found


@functools.cache
def import_statements(code: str, *, at_top: bool) -> list[ast.Import | ast.ImportFrom]:
    """Return the import statements of a file; the same text is parsed once."""
    tree = ast.parse(code)
    nodes = statements(tree) if at_top else ast.walk(tree)
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def full_name(base: str, name: str) -> str:
    """Return what ``from base import name`` needs: a module of ours of that name, else `base`."""
    inner = f"{base}.{name}"
    return inner if inner in FILES or f"{inner}.__init__" in FILES else base


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield what runs when a module is imported: not functions, not what is for type checkers."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt)]


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def modules_of(*packages: str) -> list[str]:
    found = [module for module in FILES if is_in(module, packages)]
    assert found
    return found


PACKAGES = {name.removesuffix(".__init__") for name in FILES if name.endswith(".__init__")}


@functools.cache
def row_of(module: str) -> str | None:
    """Return the row a module is in: its own file's, else that of the nearest folder."""
    path = module.replace(".", "/")
    if module in PACKAGES:
        path = f"{path}/__init__"
    if f"{path}.py" in LAYOUT:
        return f"{path}.py"
    return next((str(p) for p in Path(path).parents if str(p) in LAYOUT), None)


def imports_of_row(row: str) -> dict[str, list[str]]:
    """Return by another row that a row imports the imports themselves."""
    found: dict[str, list[str]] = {}
    for module in FILES:
        if row_of(module) != row:
            continue
        for name in sorted(imports(module)):
            other = row_of(name) if is_in(name, OURS) else None
            if other not in (None, row):
                found.setdefault(other, []).append(f"{module} imports {name}")
    return found


def row_imports() -> dict[str, dict[str, list[str]]]:
    """Return for each row what it imports of others."""
    return {row: imports_of_row(row) for row in LAYOUT}


def strangers(row: str) -> list[str]:
    """Return the imports of a row that its cell in the table does not allow."""
    if EVERYTHING in LAYOUT[row]:
        return []
    others = imports_of_row(row)
    return [line for other in sorted(others.keys() - LAYOUT[row]) for line in others[other]]


# ------------------------------------------------------------------ the table of docs/design.md


def test_every_module_is_in_a_row_of_the_table():
    assert [module for module in FILES if row_of(module) is None] == []


def test_every_row_of_the_table_exists_and_names_rows():
    for row, allowed in LAYOUT.items():
        assert (ROOT / row).exists(), row
        assert allowed - {EVERYTHING} <= LAYOUT.keys(), row


@pytest.mark.parametrize("row", LAYOUT)
def test_a_folder_imports_only_what_the_table_says(row):
    assert strangers(row) == []


def test_the_table_allows_nothing_that_is_not_used():
    used = {row: set(others) for row, others in row_imports().items()}
    unused = {row: LAYOUT[row] - used[row] - {EVERYTHING} for row in LAYOUT}
    assert {row: names for row, names in unused.items() if names} == {}


def test_folders_do_not_import_each_other_in_a_circle():
    try:
        TopologicalSorter({row: set(others) for row, others in row_imports().items()}).prepare()
    except CycleError as error:
        pytest.fail(f"folders import each other: {' → '.join(error.args[1])}")


def test_modules_do_not_import_each_other_in_a_circle():
    graph = {module: imports(module) & FILES.keys() for module in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("row", [row for row in LAYOUT if EVERYTHING not in LAYOUT[row]])
def test_the_rules_see_a_forbidden_import_in_any_folder(row, tmp_path, monkeypatch):
    forbidden = next(r for r in LAYOUT if r != row and r not in LAYOUT[row])
    name = forbidden.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    (tmp_path / "bad.py").write_text(f"def late():\n    import {name}\n")
    module = row.removesuffix(".py").replace("/", ".")
    planted = module if row.endswith(".py") else f"{module}.bad"
    monkeypatch.setitem(FILES, planted, tmp_path / "bad.py")
    assert f"{planted} imports {name}" in strangers(row)


def test_the_rules_see_relative_late_and_typing_imports(tmp_path, monkeypatch):
    path = tmp_path / "bad.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "from suite import __version__\n"
        "from suite.experiments import trial_config\n"
        "from .record import Record\n"
        "if TYPE_CHECKING:\n"
        "    import polars\n"
        "class A:\n"
        "    import torch.nn\n"
        "def f():\n"
        "    from tasks.loading import load_data\n"
    )
    monkeypatch.setitem(FILES, "suite.sparsity.bad", path)
    assert strangers("suite/sparsity") == [
        "suite.sparsity.bad imports suite.experiments.trial_config",
        "suite.sparsity.bad imports tasks.loading",
    ]
    assert imports("suite.sparsity.bad", at_top=True) == {
        "typing", "suite.experiments.trial_config", "suite.sparsity.record", "torch.nn",
    }  # fmt: skip


# ------------------------------------------------------------------ other rules of imports


def test_the_core_needs_neither_torch_nor_pydantic():
    for module in modules_of("suite.core"):
        assert not {name.split(".")[0] for name in imports(module)} & {"torch", "pydantic"}


def test_the_leaderboard_reads_records_and_never_trains():
    banned = ("torch", "torchvision", "sklearn", "suite.training", "suite.sparsity",
              "suite.resonance", "suite.execution", "baselines", "tasks")  # fmt: skip
    found = [(m, name) for m in modules_of("leaderboard") for name in imports(m)
             if is_in(name, banned)]  # fmt: skip
    assert found == []


def test_the_statistics_are_of_numbers_and_know_nothing_of_records():
    package = ("leaderboard.statistics",)
    found = [(m, name) for m in modules_of(*package) for name in imports(m)
             if is_in(name, OURS) and not is_in(name, package)]  # fmt: skip
    assert found == []


@pytest.mark.parametrize(
    ("package", "users"),
    [
        ("leaderboard.charts", ("leaderboard.pages", "leaderboard.site.build")),
        ("leaderboard.pages", ("leaderboard.site",)),
        ("leaderboard.site", ()),
    ],
)
def test_a_leaderboard_goes_from_figures_to_charts_to_pages(package, users):
    others = [m for m in modules_of("leaderboard") if not is_in(m, (package, *users))]
    assert [(m, name) for m in others for name in imports(m) if is_in(name, (package,))] == []


@pytest.mark.parametrize(
    "module",
    [
        "suite.__init__",
        "suite.api",
        *modules_of("suite.cli", "suite.core", "suite.experiments"),
        *modules_of("suite.results", "suite.execution"),
        "suite.training.planned_steps",
        *modules_of("tasks.catalogue", "tasks.task"),
    ],
)
def test_what_lists_plans_and_reads_does_not_import_torch(module):
    heavy = ("torch", "torchvision", "sklearn", "safetensors", "polars",
             "tasks.data", "tasks.loading",
             "suite.training", "suite.sparsity", "suite.resonance", "baselines")  # fmt: skip
    assert [name for name in imports(module, at_top=True) if is_in(name, heavy)] == []


def test_only_the_registry_looks_for_methods_and_the_training_loop_knows_none_of_them():
    names = {method.name for method in registry.methods()} - {"dense", "set"}  # plain words too
    for module in modules_of("suite.training", "suite.execution", "suite.sparsity"):
        assert not any(is_in(name, ("baselines", "suite.resonance")) for name in imports(module))
        tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
        texts = {node.value for node in ast.walk(tree)
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)}  # fmt: skip
        assert texts & names == set(), module


def test_every_import_of_ours_leads_somewhere():
    for module in FILES:
        for name in imports(module):
            if is_in(name, OURS):
                assert name in FILES or f"{name}.__init__" in FILES, f"{module} imports {name}"


# ------------------------------------------------------------------ files


def test_modules_of_the_suite_are_in_folders():
    loose = {path.name for path in (ROOT / "suite").glob("*.py")}
    assert loose <= {"__init__.py", "__main__.py", "api.py"}


def test_no_file_is_too_long_to_read_in_one_sitting():
    files = [*FILES.values(), *(ROOT / "tests").rglob("*.py")]
    lengths = {str(p.relative_to(ROOT)): len(p.read_bytes().splitlines()) for p in files}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


ACROSS_MODULES = ("integration", "docs", "bench", "security", "support", "infrastructure", "gpu")
"""Folders of tests that are named after what they are about, not after a module."""


def subject(path: Path) -> str | None:
    """Return the module or folder that a test file is named after, or the longest such."""
    *folders, _ = path.relative_to(ROOT / "tests").parts
    root = ROOT / "suite" if not folders or folders[0] not in OURS else ROOT
    source = root.joinpath(*folders)
    stem = path.stem.removeprefix("test_")
    names = {p.stem for p in source.glob("*.py")} | {p.name for p in source.glob("*/")}
    fits = [name for name in names if stem == name or stem.startswith(f"{name}_")]
    return max(fits, key=len, default=None)


def test_a_test_file_is_named_after_what_it_tests():
    found = [
        path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if path.relative_to(ROOT / "tests").parts[0] not in (*ACROSS_MODULES, Path(__file__).name)
    ]
    nameless = [str(path.relative_to(ROOT)) for path in found if subject(path) is None]
    assert nameless == []
