"""What a Python file binds at its top level, read from its syntax tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

CHANGES = {
    "add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse",
    "setdefault", "sort", "update",
}  # fmt: skip
"""Methods of lists, dictionaries and sets that change them."""
Bound = ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Bindings:
    """The names of a file's top level.

    Attributes:
        bound: name → its last import, assignment, function or class.
        elsewhere: name → a statement that also gives it a value or changes it: a second assignment,
            ``+=``, ``del``, an assignment to an item, ``append``, or any within ``if``, ``for``,
            ``try`` or ``with``.
    """

    bound: dict[str, Bound] = field(default_factory=dict)
    elsewhere: dict[str, ast.stmt] = field(default_factory=dict)


def bindings(tree: ast.Module) -> Bindings:
    """Return what a file binds at its top level; nothing is run."""
    found = Bindings()
    for node in tree.body:
        simple = _simple(node)
        for name in simple:
            if name in found.bound:
                found.elsewhere[name] = node
            found.bound[name] = node  # type: ignore[assignment]
        for name in _changed(node):
            found.elsewhere[name] = node
    return found


def _simple(node: ast.stmt) -> list[str]:
    """Return the names to which a statement gives one value each."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    return []


def _changed(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement changes, or gives a value in another way."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Assign):
        parts: list[ast.AST] = [t for t in node.targets if not isinstance(t, ast.Name)]
        yield from _stores([*parts, node.value])
    elif isinstance(node, ast.AnnAssign):
        target = [] if isinstance(node.target, ast.Name) else [node.target]
        yield from _stores([*target, *([node.value] if node.value is not None else [])])
    else:
        yield from _stores([node])


def _stores(nodes: list[ast.AST]) -> Iterator[str]:
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
            continue
        if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp):
            continue
        if isinstance(node, ast.GeneratorExp):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _simple(node)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            if not isinstance(node.ctx, ast.Load):
                yield from _root(node)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CHANGES
        ):
            yield from _root(node.func)
        waiting.extend(ast.iter_child_nodes(node))


def _root(node: ast.expr) -> Iterator[str]:
    """Yield the name at the start of ``name.x[0].y``."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
