import ast
from collections.abc import Iterator
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
FOUNDATION = (
    "suite.core.errors", "suite.core.declarations", "suite.core.discovery", "suite.core.seeds", "suite.core.hyperparameters",
)  # fmt: skip
"""What everything may import."""


def imports(module: str, *, at_top: bool = False) -> set[str]:
    """Return the full names of what a module imports, anywhere or when it is imported itself."""
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in statements(tree) if at_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level]
                base = ".".join([*package, base] if base else package)
            found |= {full_name(base, alias.name) for alias in node.names}
    return found


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


def strangers(package: str, allowed: tuple[str, ...]) -> list[str]:
    """Return what a package imports of ours beyond itself, the foundation and what is allowed."""
    allowed = (*FOUNDATION, *allowed, package)
    return [
        f"{module} imports {name}"
        for module in modules_of(package)
        for name in sorted(imports(module))
        if is_in(name, OURS) and not is_in(name, allowed)
    ]


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("suite.sparsity", ()),
        ("suite.resonance", ("suite.sparsity",)),
        ("baselines", ("suite.sparsity",)),
        ("tasks", ()),
    ],
)
def test_a_package_imports_only_what_lies_behind_it(package, allowed):
    assert strangers(package, allowed) == []


def test_the_foundation_rests_on_nothing_but_itself():
    for module in FOUNDATION:
        assert [name for name in imports(module) if is_in(name, OURS)
                and name not in FOUNDATION] == []  # fmt: skip
        assert not {name.split(".")[0] for name in imports(module)} & {"torch", "pydantic"}


def test_the_leaderboard_reads_records_and_never_trains():
    banned = ("torch", "torchvision", "sklearn", "suite.training", "suite.sparsity",
              "suite.resonance", "suite.execution", "baselines", "tasks")  # fmt: skip
    found = [(m, name) for m in modules_of("leaderboard") for name in imports(m)
             if is_in(name, banned)]  # fmt: skip
    assert found == []


@pytest.mark.parametrize(
    ("room", "users"),
    [
        ("leaderboard.charts", ("leaderboard.pages", "leaderboard.site.build")),
        ("leaderboard.pages", ("leaderboard.site.build",)),
        ("leaderboard.site", ()),
    ],
)
def test_a_leaderboard_goes_from_figures_to_charts_to_pages(room, users):
    others = [m for m in modules_of("leaderboard") if not is_in(m, (room, *users))]
    assert [(m, name) for m in others for name in imports(m) if is_in(name, (room,))] == []


@pytest.mark.parametrize(
    "module",
    [
        *FOUNDATION,
        *(
            "suite.__init__",
            "suite.cli.app",
            "suite.experiments.trial_config",
            "suite.experiments.study",
        ),
        *("suite.core.console", "suite.experiments.registry"),
        *modules_of("suite.results", "suite.execution", "tasks.catalogue", "tasks.task"),
    ],
)
def test_what_lists_plans_and_reads_does_not_import_torch(module):
    heavy = ("torch", "torchvision", "sklearn", "safetensors", "polars",
             "tasks.data", "tasks.pipeline",
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


def test_no_file_is_longer_than_400_lines():
    files = [*FILES.values(), *(ROOT / "tests").rglob("*.py")]
    lengths = {str(p.relative_to(ROOT)): len(p.read_bytes().splitlines()) for p in files}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_the_rules_see_a_forbidden_import(tmp_path, monkeypatch):
    path = tmp_path / "bad.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "from suite import config\n"
        "from .record import Record\n"
        "if TYPE_CHECKING:\n"
        "    import polars\n"
        "class A:\n"
        "    import torch.nn\n"
        "def f():\n"
        "    from tasks.pipeline import load_data\n"
    )
    monkeypatch.setitem(FILES, "suite.sparsity.bad", path)
    assert strangers("suite.sparsity", ()) == [
        "suite.sparsity.bad imports suite.experiments.trial_config", "suite.sparsity.bad imports tasks.pipeline",
    ]  # fmt: skip
    assert imports("suite.sparsity.bad", at_top=True) == {
        "typing", "suite.experiments.trial_config", "suite.sparsity.record", "torch.nn",
    }  # fmt: skip
