"""The values of a Python file's constants, from its syntax tree: nothing of the file is run.

A `Reader` evaluates literals, names assigned at the top level, arithmetic, f-strings,
comprehensions, and calls of this project's declaration types and of a few functions of Python's.
What is imported from this project or from another file of the user's is read in the same way.
Everything else is refused, with its line and what to write instead. Steps and sizes are limited, so
that reading always ends.
"""

import ast
import importlib
import importlib.util
import time
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, NoReturn

from suite.core import bounded_operators as bounded
from suite.core.code_files import find_module, is_own, is_project, relative_import
from suite.core.declared_kinds import (
    CALLABLE,
    Located,
    Module,
    Own,
    Unsafe,
    inside,
    is_callable,
    is_data,
    is_declared,
    length,
    own,
    with_place,
)
from suite.core.source_bindings import Bindings, bindings
from suite.core.source_tree import parse

MAX_BYTES = 1_000_000
"""Largest file that is read for a declaration."""
MAX_STEPS = 100_000
"""A declaration is refused if its evaluation takes more steps; the largest here takes 15,000."""
MAX_SECONDS = 5.0
"""Of a processor: steps cost more than they count where values are large (hashes, long paths)."""
MAX_SIZE = 100_000
"""Largest number of values in a value, those inside of it included."""
MAX_DEPTH = 100
"""Deepest nesting of expressions and of names that stand for expressions."""
CALL_STEPS = 20
"""What the call of a declaration type counts: it checks all of its fields."""

IMPORTED = ("suite.core", "tasks.task", "tasks.recipe", "tasks.catalogue")
"""Modules whose constants are imported, because none of them needs torch; those of others of this
project are read."""


class _File:
    """A file whose names are read."""

    def __init__(self, path: Path, module: str, origin: str) -> None:
        self.path = path
        self.module = module
        self.origin = origin  # the declaring file or module, beside which modules are looked for
        self.is_package = path.name == "__init__.py"
        self.bindings: Bindings = bindings(read_source(path))
        self.values: dict[str, Any] = {}
        self.reading: set[str] = set()

    @property
    def package(self) -> str:
        return self.module if self.is_package else self.module.rpartition(".")[0]


def read_source(path: Path) -> ast.Module:
    """Return the syntax tree of a file.

    Raises:
        InvalidInput: it is too large, or not Python.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise Located(
                f"{path} is larger than {MAX_BYTES // 1_000_000} MB: put the declarations into a "
                "file of their own"
            )
        return parse(content.decode(), str(path))
    except (OSError, SyntaxError, ValueError) as error:
        raise Located(f"{path} cannot be read as Python: {error}") from error


class Reader:
    """Evaluates names of files; all that one reader evaluates has one limit."""

    def __init__(self) -> None:
        self._files: dict[Path, _File] = {}
        self._steps = 0
        self._began = time.thread_time()
        self._depth = 0
        self._sizes: dict[int, tuple[Any, int]] = {}

    def value(self, path: Path, name: str, module: str = "") -> Any:
        """Return the value of `name` at the top level of a file, which is `module` if it has one.

        Raises:
            InvalidInput: it uses what only running the file would tell; the line is named.
        """
        file = self._file(path, module, module or str(path))
        value = self._name(file, name)
        if isinstance(value, Own):
            _refuse(file, file.bindings.bound[name], f"the declaration {own(value)}")
        return value

    def binds(self, path: Path, module: str = "") -> Bindings:
        """Return what a file binds at its top level."""
        return self._file(path, module, module or str(path)).bindings

    def _file(self, path: Path, module: str, origin: str) -> _File:
        if path not in self._files:
            self._files[path] = _File(path, module, origin)
        return self._files[path]

    def charge(self, steps: int) -> None:
        """Count steps."""
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise Unsafe(
                f"takes more than {MAX_STEPS:,} steps to evaluate: write out what it results in"
            )
        if time.thread_time() - self._began > MAX_SECONDS:
            raise Unsafe(
                f"takes more than {MAX_SECONDS:g} seconds to evaluate: write out what it results in"
            )

    def sized(self, value: Any) -> Any:
        """Return `value`, and count what is inside of it."""
        self.size(value)
        return value

    def size(self, value: Any) -> int:
        """Return the number of values in a value, and count those that are new."""
        if isinstance(value, str | bytes):
            return 1 + len(value) // 64
        parts = inside(value)
        if parts is None:
            return 1
        if (known := self._sizes.get(id(value))) is not None:
            return known[1]
        self.charge(len(parts))
        size = 1 + sum(map(self.size, parts))
        if size > MAX_SIZE:
            raise Unsafe(f"has more than {MAX_SIZE:,} values in it: leave some out")
        self._sizes[id(value)] = (value, size)  # kept, so that no other value gets this id
        return size

    def enter(self) -> None:
        """Count a step and a level; `leave` must follow."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unsafe(f"is nested deeper than {MAX_DEPTH}: give parts of it names")
        self.charge(1)

    def leave(self) -> None:
        """End a level."""
        self._depth -= 1

    def _name(self, file: _File, name: str) -> Any:
        if name in file.values:
            return file.values[name]
        node = file.bindings.bound[name]
        other = file.bindings.elsewhere.get(name)
        if other is not None:
            _refuse(
                file,
                other,
                f"{name} is also given a value or changed here, and only running the file would "
                "tell which: assign it once",
            )
        if name in file.reading:
            _refuse(file, node, f"{name} is defined by itself: write it out")
        file.reading.add(name)
        try:
            with _located(file, node):
                self.enter()
                file.values[name] = self._bound(file, name, node)
        finally:
            self.leave()
            file.reading.discard(name)
        return file.values[name]

    def _bound(self, file: _File, name: str, node: ast.stmt) -> Any:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname == name:
                    return Module(alias.name, file.origin)
            return Module(name, file.origin)
        if isinstance(node, ast.ImportFrom):
            (original,) = {a.name for a in node.names if (a.asname or a.name) == name}
            return self.imported(_absolute(file, node), original, file)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            return _Evaluator(self, file).visit(node.value)
        kind = "class" if isinstance(node, ast.ClassDef) else "function"
        return Own(name, kind, node.lineno)

    def imported(self, module: str, name: str, file: _File) -> Any:
        """Return what ``from module import name`` means in a file."""
        if name in CALLABLE.get(module, ()):
            return getattr(importlib.import_module(module), name)
        if module == "math" and name in bounded.MATH:
            return bounded.MATH[name]
        if is_project(module):
            return self._of_project(module, name)
        found = find_module(module, file.origin)
        same = bool(file.module) and module.partition(".")[0] == file.module.partition(".")[0]
        if found is None or not (same or found.path is None or is_own(found.path)):
            raise Unsafe(
                f"uses {name} of {module}, which is not imported to read a declaration: "
                "write the value out"
            )
        if found.path is not None and found.path.endswith(".py"):
            own = self._file(Path(found.path), module, file.origin)
            if name in own.bindings.bound or name in own.bindings.elsewhere:
                return self.of_file(own, name)
        if find_module(f"{module}.{name}", file.origin) is not None:
            return Module(f"{module}.{name}", file.origin)
        raise Unsafe(f"uses {name} of {module}, which assigns none at its top level: assign it")

    def of_file(self, file: _File, name: str) -> Any:
        """Return the value of a name that a file binds in some way."""
        if name not in file.bindings.bound:
            _refuse(
                file,
                file.bindings.elsewhere[name],
                f"{name} is given its value here, which only running the file would do: assign it "
                "by itself at the top level",
            )
        return self._name(file, name)

    def _of_project(self, module: str, name: str) -> Any:
        if importlib.util.find_spec(module) is None:
            raise Unsafe(f"uses {name} of {module}, and there is no such module: correct the name")
        if module.startswith(IMPORTED):
            known = importlib.import_module(module)
            if hasattr(known, name) and is_data(getattr(known, name)):
                return getattr(known, name)
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None and not module.startswith(IMPORTED):
            file = self._file(Path(spec.origin), module, module)
            if name in file.bindings.bound:
                return self._name(file, name)
        inner = f"{module}.{name}"
        if spec is not None and spec.submodule_search_locations and importlib.util.find_spec(inner):
            return Module(inner, module)
        raise Unsafe(
            f"uses {name} of {module}, which is no constant and no declaration: write the value out"
        )


class _Evaluator(ast.NodeVisitor):
    """Evaluates expressions of one file."""

    def __init__(self, reader: Reader, file: _File, local: Mapping[str, Any] | None = None) -> None:
        self._reader = reader
        self._file = file
        self._local = dict(local or {})

    def visit(self, node: ast.AST) -> Any:
        value = self._value(node)
        if isinstance(value, Module):
            with _located(self._file, node):
                raise Unsafe(f"uses the module {value.name} as a value: name what is in it")
        if isinstance(value, Own):
            with _located(self._file, node):
                raise Unsafe(own(value))
        return value

    def _value(self, node: ast.AST) -> Any:
        try:
            self._reader.enter()
            return super().visit(node)
        except Located:
            raise
        except Exception as error:
            raise with_place(self._file.path, node, error) from error
        finally:
            self._reader.leave()

    def generic_visit(self, node: ast.AST) -> NoReturn:
        what = {"Lambda": "a lambda", "NamedExpr": "an assignment within an expression"}
        kind = type(node).__name__
        raise Unsafe(f"has {what.get(kind, kind)}, which is not evaluated: write the value out")

    # ------------------------------------------------------------------ names and literals

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:
        name = node.id
        if name in self._local:
            return self._local[name]
        found = self._file.bindings
        if name in found.bound or name in found.elsewhere:
            return self._reader.of_file(self._file, name)
        if name == "__file__":
            return str(self._file.path)
        if name in bounded.TYPES:
            return bounded.TYPES[name]
        if name in bounded.FUNCTIONS:
            raise Unsafe(f"uses {name} without calling it: write the value out")
        raise Unsafe(
            f"uses {name}, which is neither imported nor assigned at the top level of the file: "
            "assign it there"
        )

    def visit_Tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return self._reader.sized(tuple(self._items(node.elts)))

    def visit_List(self, node: ast.List) -> list[Any]:
        return self._reader.sized(list(self._items(node.elts)))

    def visit_Set(self, node: ast.Set) -> set[Any]:
        return self._reader.sized(set(self._items(node.elts)))

    def visit_Dict(self, node: ast.Dict) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                merged = self.visit(value)
                self._reader.charge(length(merged))
                made |= merged
            else:
                made[self.visit(key)] = self.visit(value)
        return self._reader.sized(made)

    def _items(self, nodes: Iterable[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self._iterated(self.visit(node.value))
            else:
                yield self.visit(node)

    def _iterated(self, value: Any) -> Any:
        self._reader.charge(length(value))
        return value

    # ------------------------------------------------------------------ operators

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return bounded.UNARY[type(node.op)](self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        apply = bounded.BINARY.get(type(node.op))
        if apply is None:
            self.generic_visit(node.op)
        left, right = self.visit(node.left), self.visit(node.right)
        self._reader.charge(length(left) + length(right))
        return self._reader.sized(apply(left, right))

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        for operand in node.values:
            value = self.visit(operand)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def visit_Compare(self, node: ast.Compare) -> bool:
        left = self.visit(node.left)
        for op, operand in zip(node.ops, node.comparators, strict=True):
            right = self.visit(operand)
            self._reader.charge(self._reader.size(left) + self._reader.size(right))
            if not bounded.COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self.visit(node.body if self.visit(node.test) else node.orelse)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> str:
        parts = [self.visit(value) for value in node.values]
        bounded.items(sum(map(len, parts)), text=True)
        return "".join(parts)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> str:
        spec = self.visit(node.format_spec) if node.format_spec is not None else ""
        return bounded.formatted(self.visit(node.value), node.conversion, spec)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        owner = self.visit(node.value)
        if not isinstance(owner, str | bytes | tuple | list | dict | range):
            raise TypeError(f"a {type(owner).__name__} has no items")
        index = self.visit(node.slice)
        self._reader.charge(length(owner) if isinstance(index, slice) else 0)
        return self._reader.sized(owner[index])

    def visit_Slice(self, node: ast.Slice) -> slice:
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if part is None else self.visit(part) for part in parts))

    # ------------------------------------------------------------------ comprehensions

    def visit_ListComp(self, node: ast.ListComp) -> list[Any]:
        return self._reader.sized([e.visit(node.elt) for e in self._each(node.generators)])

    def visit_SetComp(self, node: ast.SetComp) -> set[Any]:
        return self._reader.sized({e.visit(node.elt) for e in self._each(node.generators)})

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> tuple[Any, ...]:
        made = tuple(e.visit(node.elt) for e in self._each(node.generators))
        return self._reader.sized(made)

    def visit_DictComp(self, node: ast.DictComp) -> dict[Any, Any]:
        each = self._each(node.generators)
        return self._reader.sized({e.visit(node.key): e.visit(node.value) for e in each})

    def _each(self, loops: list[ast.comprehension]) -> Iterator["_Evaluator"]:
        """Yield an evaluator for every pass of nested loops."""
        if not loops:
            yield self
            return
        loop = loops[0]
        if loop.is_async:
            self.generic_visit(loop)
        for value in self._iterated(self.visit(loop.iter)):
            inner = _Evaluator(self._reader, self._file, self._local)
            inner._assign(loop.target, value)
            if all(inner.visit(condition) for condition in loop.ifs):
                yield from inner._each(loops[1:])

    def _assign(self, target: ast.expr, value: Any) -> None:
        self._reader.charge(1)
        if isinstance(target, ast.Name):
            self._local[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            values = tuple(self._iterated(value))
            for part, one in zip(target.elts, values, strict=True):
                self._assign(part, one)
        else:
            self.generic_visit(target)

    # ------------------------------------------------------------------ attributes and calls

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        owner = self._value(node.value)
        if isinstance(owner, Module):
            return self._reader.imported(owner.name, node.attr, self._file)
        if isinstance(owner, Own):
            raise Unsafe(own(owner))
        name = node.attr
        if not name.startswith("_"):
            if is_declared(owner) and hasattr(owner, name):
                value = getattr(owner, name)
                if is_data(value):
                    return value
            if isinstance(owner, PurePath) and name in bounded.PATH_PARTS:
                return getattr(owner, name)
        raise Unsafe(f"uses .{name} of a {type(owner).__name__}: write the value out")

    def visit_Call(self, node: ast.Call) -> Any:
        function = self._function(node.func)
        arguments = list(self._items(node.args))
        keywords: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.visit(keyword.value)
            more = {keyword.arg: value} if keyword.arg is not None else dict(value)
            if repeated := keywords.keys() & more.keys():
                raise TypeError(f"{min(repeated)} is given twice")
            keywords |= more
        self._reader.charge(CALL_STEPS + sum(map(length, (*arguments, *keywords.values()))))
        if function in (max, min, sorted) and "key" in keywords:
            raise TypeError("key= is not supported")
        return self._reader.sized(function(*arguments, **keywords))

    def _function(self, node: ast.expr) -> Any:
        """Return what a call calls, if it may be called."""
        if isinstance(node, ast.Attribute):
            owner = self._value(node.value)
            if isinstance(owner, Module):
                return self._callable(
                    self._reader.imported(owner.name, node.attr, self._file), node
                )
            return self._method(owner, node)
        if isinstance(node, ast.Name) and node.id in bounded.FUNCTIONS:
            known = (*self._local, *self._file.bindings.bound, *self._file.bindings.elsewhere)
            if node.id not in known:
                return bounded.FUNCTIONS[node.id]
        return self._callable(self._value(node), node)

    def _method(self, owner: Any, node: ast.Attribute) -> Any:
        name = node.attr
        if is_declared(owner) and not name.startswith("_") and callable(getattr(owner, name, 0)):
            return getattr(owner, name)
        if isinstance(owner, str) and name == "join":
            return lambda parts: bounded.join(owner, parts)
        for kind, names in bounded.METHODS.items():
            if type(owner) is kind and name in names:
                return _listed(getattr(owner, name)) if kind is dict else getattr(owner, name)
        if isinstance(owner, PurePath) and name in bounded.PATH_METHODS:
            return getattr(owner, name)
        if isinstance(owner, Own):
            raise Unsafe(own(owner))
        raise Unsafe(
            f"calls {ast.unparse(node)[:60]}(), which is not run to read a declaration: write "
            "the value out"
        )

    def _callable(self, value: Any, node: ast.expr) -> Any:
        if isinstance(value, Own):
            raise Unsafe(own(value))
        if value in bounded.TYPES.values():
            return bounded.FUNCTIONS[value.__name__]
        if is_callable(value):
            return value
        raise Unsafe(
            f"calls {ast.unparse(node)[:60]}(), which is not run to read a declaration: write "
            "the value out"
        )


# ------------------------------------------------------------------ where, and what to do


def _absolute(file: _File, node: ast.ImportFrom) -> str:
    """Return the module that a ``from`` statement names."""
    if not node.level:
        return node.module or ""
    if not file.package:
        raise Unsafe(f"uses {relative_import(node)}")
    parts = file.package.split(".")
    if node.level > len(parts):
        raise Unsafe("imports from above the package that the file is in: name the module")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _listed(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a dictionary that returns a tuple in place of a view."""

    def call(*arguments: Any) -> Any:
        made = method(*arguments)
        return tuple(made) if isinstance(made, KeysView | ValuesView | ItemsView) else made

    return call


def _refuse(file: _File, node: ast.AST, what: str) -> NoReturn:
    raise Located(f"{file.path}:{getattr(node, 'lineno', 1)}: {what}")


@contextmanager
def _located(file: _File, node: ast.AST) -> Iterator[None]:
    """Name the file and the line in what is raised within."""
    try:
        yield
    except Exception as error:
        raise with_place(file.path, node, error) from error
