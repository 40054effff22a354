"""Reading declarations from files without running the files, and loading what they name.

`read_declarations` evaluates the assignment to ``METHOD``, ``TASK`` and similar names at the top
level of a file from its syntax tree: no code of the file is run, and a method whose class needs
torch is listed in milliseconds. `load` imports what a declaration names, when it is needed.
"""

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from suite.core.code_files import forget, loaded_files, make_importable, relative_import
from suite.core.declarations import Declared
from suite.core.errors import InvalidInput
from suite.core.source_bindings import bindings
from suite.core.static_values import Reader, read_source

KINDS = {"METHOD", "METHODS", "TASK", "TASKS", "DATASET", "DATASETS", "TRAINER", "TRAINERS"}
"""The names to which a file assigns its declarations."""


def declares(path: Path) -> bool:
    """Return whether a Python file assigns one of `KINDS` at its top level; True if unreadable."""
    try:
        return bool(KINDS & bindings(read_source(path)).bound.keys())
    except InvalidInput:
        return True  # reading the declarations reports what is wrong


def read_declarations(path: Path, names: Sequence[str], origin: str) -> list[Any]:
    """Evaluate the assignments to `names` at the top level of a Python file; run nothing of it.

    `suite.core.static_values` says what a declaration may use. A file whose class needs torch is
    read without importing torch. Each value may be one declaration or a tuple of them; `origin` is
    noted in every one.

    Raises:
        InvalidInput: the file cannot be parsed, or a declaration cannot be evaluated.
    """
    reader = Reader()
    module = "" if origin.endswith(".py") else origin
    bound = reader.binds(path, module).bound
    wanted = [name for name in names if name in bound]
    declarations: list[Any] = []
    for name in wanted:
        value = reader.value(path, name, module)
        declarations.extend(value if isinstance(value, tuple | list) else (value,))
    for declaration in declarations:
        if not isinstance(declaration, Declared):
            raise InvalidInput(
                f"{path}: {' and '.join(wanted)} must be declarations (Method, Task, Dataset), "
                f"not {declaration!r}"
            )
    return [replace(declaration, origin=origin) for declaration in declarations]


def docstring(path: Path, name: str) -> str:
    """Return the docstring of a class or function at the top level of a Python file."""
    definitions = (
        n for n in read_source(path).body if isinstance(n, ast.ClassDef | ast.FunctionDef)
    )
    return next(ast.get_docstring(node) or "" for node in definitions if node.name == name)


def load(reference: str, origin: str = "") -> Any:
    """Import what a declaration names: ``package.module:attribute``, or an attribute of `origin`.

    `origin` is the module name or the ``.py`` path noted by `read_declarations`.

    Raises:
        InvalidInput: the module cannot be imported, or has no such attribute.
    """
    module_name, _, attribute = reference.rpartition(":")
    try:
        module = import_origin(module_name or origin)
    except Exception as error:  # a plug-in may raise anything
        what = _relative_import(error) or f"{type(error).__name__}: {error}"
        raise InvalidInput(f"{module_name or origin} cannot be imported: {what}") from error
    if not hasattr(module, attribute):
        raise InvalidInput(f"{module_name or origin} defines no '{attribute}'")
    return getattr(module, attribute)


def _relative_import(error: Exception) -> str:
    """Return which import of which file failed, if it is a relative one outside of a package."""
    trace = error.__traceback__ if isinstance(error, ImportError) else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals.get("__package__"):
        return ""
    path, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
    with contextlib.suppress(InvalidInput):
        for node in ast.walk(read_source(Path(path))):
            if isinstance(node, ast.ImportFrom) and node.level and node.lineno == line:
                return f"{path}:{line} has {relative_import(node)}"
    return ""


_loaded_files: dict[str, ModuleType] = {}
_when_dropped: list[Callable[[], object]] = []


def import_origin(origin: str) -> ModuleType:
    """Import a module by name, or a file by its path (once per process)."""
    if not origin.endswith(".py"):
        return importlib.import_module(origin)
    path = Path(origin)
    make_importable(path.absolute().parent)
    if origin not in _loaded_files:
        place = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:8]
        name = f"plugin_{path.stem}_{place}"  # another folder may hold a file of this name
        spec = importlib.util.spec_from_file_location(name, origin)
        if spec is None or spec.loader is None:
            raise ImportError(f"no module at {origin}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look up their module there
        try:
            with _no_bytecode():
                spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        _loaded_files[origin] = module
    return _loaded_files[origin]


@contextlib.contextmanager
def _no_bytecode() -> Iterator[None]:
    """Leave no bytecode of the user's code beside it.

    Python would take it for that of a file that was edited within the same second, if its size
    stayed the same: a result would be of other code than its key says.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def when_dropped(forget: Callable[[], object]) -> None:
    """Call `forget` whenever code that was loaded has changed and is dropped."""
    _when_dropped.append(forget)


def drop_changed() -> None:
    """Read the user's code anew from now on; where any has changed, import all of it again."""
    importlib.invalidate_caches()
    files = forget()
    if not files:
        return
    _loaded_files.clear()
    for name, path in loaded_files().items():
        if path in files:
            sys.modules.pop(name, None)
    for act in _when_dropped:
        act()
