"""The user's own code that a declaration runs: which files, found without running any of them.

Starting from a file or module, the imports in the syntax tree are followed to files outside of
this project, the standard library and installed packages. A package that registers an entry point
(`ENTRY_POINTS`), or that a declaration names, counts with all its files: a wheel and an editable
install of it are the same code.
"""

import ast
import functools
import hashlib
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution, entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from suite.core.errors import InvalidInput
from suite.core.source_digest import DIGITS, source_digest
from suite.core.source_tree import parse

ENTRY_POINTS = "resonance_bench"
"""The group of entry points in which a package registers its methods and tasks."""
PROJECT = ("suite", "baselines", "tasks", "leaderboard")
"""The packages of this project, whose code is identified by revisions."""
LIBRARIES = frozenset(
    {
        "datasets", "jax", "keras", "lightning", "monai", "numpy", "pandas", "PIL", "polars",
        "scipy", "sklearn", "skimage", "tensorflow", "timm", "torch", "torchaudio", "torchvision",
        "transformers",
    }
)  # fmt: skip
"""Installed packages that a declaration may name without their code counting as the user's."""
MAX_FILES = 100
"""A package of more files is one entry, the digest of them all."""
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class OwnCode:
    """The user's files that something runs.

    Attributes:
        digests: `source_digest` by name: of a module its name, of a file by path ``NAME.py``.
        files: their paths.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """One digest of all of them; empty if there are none."""
        return code_digest(self.digests)


def code_digest(digests: Mapping[str, str]) -> str:
    """Return one digest of the digests of several files by name; empty if there are none."""
    if not digests:
        return ""
    words = "\0".join(f"{name}\0{digests[name]}" for name in sorted(digests))
    return hashlib.sha256(words.encode()).hexdigest()[:DIGITS]


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the files that differ, of two sets of digests."""
    return sorted(n for n in {**before, **now} if before.get(n) != now.get(n))


def own_code(origins: Iterable[str], folders: Sequence[Path] = ()) -> OwnCode:
    """Return the user's own files that these origins run: ``.py`` paths and names of modules.

    `folders` are searched for modules after `sys.path`, as the folders of plug-ins are when they
    are loaded. A file is read once until `forget`, so an edit meanwhile changes nothing.

    Raises:
        InvalidInput: a file cannot be read, or two of the user's modules of one name clash.
    """
    digests: dict[str, str] = {}
    files: set[str] = set()
    for origin in dict.fromkeys(origins):
        for module in _Walk(origin, folders).modules():
            name, digest = module.name, _source(module.path).digest
            while digests.get(name, digest) != digest:  # files of one name in two folders
                name += "'"
            digests[name] = digest
            files.add(module.path)
    return OwnCode(_collapsed(digests), frozenset(files))


def _collapsed(digests: dict[str, str]) -> dict[str, str]:
    """Replace the modules of a large package by one entry."""
    by_package: dict[str, dict[str, str]] = {}
    for name, digest in digests.items():
        by_package.setdefault(name.partition(".")[0], {})[name] = digest
    for package, inside in by_package.items():
        if len(inside) > MAX_FILES:
            digests = {n: d for n, d in digests.items() if n not in inside}
            digests[f"{package}.*"] = code_digest(inside)
    return digests


# ------------------------------------------------------------------ one file


class _Import(NamedTuple):
    """An import statement: ``from`` `level` dots and `module` ``import`` `names`."""

    module: str
    level: int
    names: tuple[str, ...]


class _Source(NamedTuple):
    digest: str
    imports: tuple[_Import, ...]


_read: dict[str, _Source] = {}
"""What was read of each file, until `forget`."""


def _source(path: str) -> _Source:
    if path not in _read:
        try:
            about = Path(path).stat()
            version = (about.st_mtime_ns, about.st_size, about.st_ino)
            _read[path] = _parsed(path, version)
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    return _read[path]


@functools.lru_cache(maxsize=10_000)
def _parsed(path: str, version: tuple[int, int, int]) -> _Source:
    content = Path(path).read_bytes()
    if not path.endswith(".py"):  # a compiled module
        return _Source(hashlib.sha256(content).hexdigest()[:DIGITS], ())
    try:
        imports = tuple(_imports(parse(content, path)))
    except (SyntaxError, ValueError):
        imports = ()
    return _Source(source_digest(content), imports)


def _imports(tree: ast.Module) -> Iterator[_Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name, 0, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield _Import(node.module or "", node.level, names)


def relative_import(node: ast.ImportFrom) -> str:
    """Return in words why a file without a package has no relative import, and what to write."""
    names = [alias for alias in node.names if alias.name != "*"]
    absolute: ast.stmt = ast.Import(names)
    if node.module:
        absolute = ast.ImportFrom(node.module, node.names, 0)
    beside = node.level == 1 and (node.module or names)
    write = f"write `{ast.unparse(absolute)}` (what is beside the file is found)" if beside else ""
    return (
        f"`{ast.unparse(node)}`, which is relative to a package, and a plug-in given by its path "
        f"is loaded by itself, without its package: {write or 'import by the full name'}, or "
        "install the package and name the module in its entry point (docs/extending.md)"
    )


def forget() -> set[str]:
    """Read files anew from now on; return all that were read, if any of them has changed since."""
    before = dict(_read)
    _read.clear()
    _packages.cache_clear()
    changed = any(_changed(path, source) for path, source in before.items())
    _read.clear()
    return set(before) if changed else set()


def _changed(path: str, before: _Source) -> bool:
    try:
        return _source(path).digest != before.digest
    except InvalidInput:
        return True


# ------------------------------------------------------------------ folders of plug-ins

_folders: list[str] = []
"""Those that were added to `sys.path`."""


def make_importable(folder: Path) -> None:
    """Let what is in a plug-in's folder be imported, unless anything else has its name."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        _folders.append(str(folder))


def importable_only(folders: Iterable[Path]) -> None:
    """Let what is in these folders be imported, and nothing of other plug-ins' folders."""
    for added in _folders:
        if added in sys.path:
            sys.path.remove(added)
    _folders.clear()
    for folder in folders:
        make_importable(folder)


# ------------------------------------------------------------------ whose a file is


def is_project(module: str) -> bool:
    """Return whether a module of this name is one of this project's."""
    return module.partition(".")[0] in PROJECT


def is_own_origin(origin: str) -> bool:
    """Return whether a declaration's module or file is not one of this project's."""
    return origin.endswith((".py", ".yaml", ".yml")) or not is_project(origin)


@functools.cache
def is_own(path: str) -> bool:
    """Return whether a file is the user's: not this project's, Python's or an installed package's.

    Links are not followed: an installer may put links into ``site-packages``.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - keeps links
    for place in {absolute, Path(os.path.realpath(path))}:
        if any(place.is_relative_to(_ROOT / package) for package in PROJECT):
            return False
    parts = absolute.parts
    if "site-packages" in parts or "dist-packages" in parts:
        return False
    return not any(absolute.is_relative_to(folder) for folder in _system_folders())


@functools.cache
def _system_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({str(Path(paths[name])) for name in names if name in paths})


def loaded_files() -> dict[str, str]:
    """Return the user's own modules that this process has imported: name → file."""
    found = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) if isinstance(module, ModuleType) else None
        if name != "__main__" and isinstance(path, str) and is_own(path):
            found[name] = os.path.abspath(path)  # noqa: PTH100
    return found


class _Package(NamedTuple):
    """A package that counts as a whole; `project` is the folder of an editable install."""

    name: str
    project: str


@functools.cache
def _packages() -> tuple[_Package, ...]:
    """Return the packages of every distribution that registers an entry point."""
    found: dict[_Package, None] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        top = entry.module.partition(".")[0]
        if top in PROJECT:
            continue
        project = _editable_folder(entry.dist) if entry.dist is not None else ""
        names = {top}
        for path in (entry.dist.files or ()) if entry.dist is not None else ():
            if path.suffix == ".py" and ".." not in path.parts:
                names.add(path.parts[0].removesuffix(".py"))
        names = {name for name in names if name.isidentifier() and not _is_hook(name)}
        found |= {_Package(name, project): None for name in sorted(names)}
    return tuple(found)


def _is_hook(name: str) -> bool:
    """Return whether a file is an installer's, which finds an editable package."""
    return name.startswith(("__editable__", "_editable_", "__pycache__"))


def _editable_folder(distribution: Distribution) -> str:
    """Return the folder of an editable install; empty for another one."""
    import json
    from urllib.parse import unquote, urlparse

    try:
        about = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return ""
    url = about.get("url", "")
    if not about.get("dir_info", {}).get("editable") or not url.startswith("file:"):
        return ""
    return os.path.abspath(unquote(urlparse(url).path))  # noqa: PTH100


# ------------------------------------------------------------------ following imports


class _Found(NamedTuple):
    """Where a module is: its file (None for a namespace package), and where its submodules are."""

    path: str | None
    inside: tuple[str, ...]


def find_module(name: str, origin: str) -> _Found | None:
    """Return where a module is that a file or module `origin` imports; nothing is imported."""
    return _Walk(origin, ())._find(name)


class _Module(NamedTuple):
    name: str
    path: str
    package: str


class _Walk:
    """Follows the imports of one origin."""

    def __init__(self, origin: str, folders: Sequence[Path]) -> None:
        self._origin = origin
        self._beside = str(Path(origin).parent) if origin.endswith(".py") else ""
        own = [str(folder) for folder in folders]
        base = [entry for entry in sys.path if entry not in (*own, *_folders)]
        self._path = tuple(dict.fromkeys([*base, *own, *([self._beside] if self._beside else [])]))
        self._found: dict[str, _Found | None] = {}
        self._modules: dict[str, _Module] = {}
        self._waiting: list[_Module] = []

    def modules(self) -> list[_Module]:
        """Return the user's modules that the origin runs, itself first."""
        if self._beside:
            path = os.path.abspath(self._origin)  # noqa: PTH100
            if is_own(path):
                self._add(_Module(Path(path).name, path, ""))
        elif not is_project(self._origin):
            self._import(self._origin, named=True)
        while self._waiting:
            module = self._waiting.pop()
            for statement in _source(module.path).imports:
                self._follow(module, statement)
        return list(self._modules.values())

    def _add(self, module: _Module) -> None:
        if module.name not in self._modules:
            self._modules[module.name] = module
            self._waiting.append(module)

    def _follow(self, module: _Module, statement: _Import) -> None:
        base = statement.module
        if statement.level:
            parts = module.package.split(".")
            if not module.package or statement.level > len(parts):
                return  # a file outside of a package: Python refuses it as well
            parts = parts[: len(parts) - statement.level + 1]
            base = ".".join([*parts, base] if base else parts)
        if self._import(base):
            for name in statement.names:
                self._import(f"{base}.{name}")

    def _import(self, name: str, *, named: bool = False) -> bool:
        """Add a module and the packages it is in; return whether it may hold further modules."""
        parts = name.split(".")
        if parts[0] in PROJECT:
            return False
        whole = self._whole(parts[0], named=named)
        for number in range(1, len(parts) + 1):
            part = ".".join(parts[:number])
            found = self._find(part)
            if found is None:
                return False
            if found.path is None:  # a namespace package
                continue
            if not (whole or is_own(found.path)):
                return False
            if number == 1 and whole:
                self._add_all(part, found)
            package = part if found.inside else part.rpartition(".")[0]
            self._add(_Module(part, found.path, package))
        return bool(found and found.inside)

    def _whole(self, top: str, *, named: bool) -> bool:
        """Return whether all files of a package count: it is a plug-in's, or was named."""
        found = self._find(top)
        for package in _packages():
            if package.name == top:
                return True
            if package.project and found is not None and found.path is not None:
                inside = Path(found.path).is_relative_to(package.project)
                if inside and self._has(package.name):
                    return True
        own = found is not None and found.path is not None and is_own(found.path)
        standard = top in sys.stdlib_module_names
        return named and found is not None and not own and top not in LIBRARIES and not standard

    def _has(self, package: str) -> bool:
        return any(name.partition(".")[0] == package for name in self._modules)

    def _add_all(self, package: str, found: _Found) -> None:
        for folder in found.inside:
            for path in sorted(Path(folder).rglob("*.py")):
                inner = path.relative_to(folder).with_suffix("").parts
                if "__pycache__" in inner:
                    continue
                is_package = inner[-1] == "__init__"
                name = ".".join([package, *(inner[:-1] if is_package else inner)])
                inside = name if is_package else name.rpartition(".")[0]
                self._add(_Module(name, str(path), inside))

    def _find(self, name: str) -> _Found | None:
        """Return where a module is, level by level; nothing is imported."""
        if name not in self._found:
            parent, _, _ = name.rpartition(".")
            if parent:
                above = self._find(parent)
                self._found[name] = _search(name, above.inside) if above is not None else None
            else:
                self._found[name] = self._find_top(name)
        return self._found[name]

    def _find_top(self, name: str) -> _Found | None:
        if name in sys.builtin_module_names:
            return None
        found = _search(name, self._path) or _search_hooks(name)
        if self._beside and found is not None and found.path is not None and is_own(found.path):
            beside = _search(name, (self._beside,))
            if beside is not None and beside.path not in (None, found.path):
                raise InvalidInput(
                    f"{self._origin} imports '{name}', which Python finds in {found.path}, not "
                    f"beside it: rename {beside.path}"
                )
        return found


def _search(name: str, entries: Iterable[str]) -> _Found | None:
    """Return a module found in folders of `sys.path`'s kind, as Python's PathFinder does."""
    namespace: list[str] = []
    for entry in entries:
        importer = pkgutil.get_importer(entry or os.curdir)
        spec = importer.find_spec(name) if importer is not None else None
        if spec is None:
            continue
        inside = tuple(map(os.path.abspath, spec.submodule_search_locations or ()))
        if spec.loader is not None:
            path = spec.origin if spec.has_location else None
            is_file = path is not None and Path(path).is_file()  # not one inside of a zip file
            return _Found(os.path.abspath(path) if path and is_file else None, inside)  # noqa: PTH100
        namespace.extend(inside)
    return _Found(None, tuple(namespace)) if namespace else None


def _search_hooks(name: str) -> _Found | None:
    """Return a module that an installer's hook finds: an editable install."""
    for finder in sys.meta_path:
        if "editable" not in f"{type(finder).__module__} {finder!r}".lower():
            continue
        spec = finder.find_spec(name, None)
        if spec is not None and spec.origin is not None:
            inside = tuple(map(os.path.abspath, spec.submodule_search_locations or ()))
            return _Found(os.path.abspath(spec.origin), inside)  # noqa: PTH100
    return None
