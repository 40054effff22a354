"""Declarations: what exists and how it can be set, readable in milliseconds and without torch.

A method, a task or a dataset is *declared* in the file that implements it, by an assignment at
the top of the file:

    METHOD = Method(name="rigl", implementation="RigL", hyperparameters=(...), ...)

`suite.core.discovery` evaluates that assignment and the names it uses, without running the rest
of the file. Listing, help, validation, keys, documentation and search spaces are derived from the
declaration, so nothing is stated twice and none of them needs torch.
"""

import difflib
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from suite.core.errors import InvalidInput
from suite.core.finite_numbers import finite_number

NAME = re.compile(r"[A-Za-z0-9_]+([./@+-][A-Za-z0-9_]+)*")
"""What may be declared and submitted: no markup, no space, no path out of a folder."""
MAX_NAME = 200
"""Characters of a name; a record holds no longer one."""
MAX_SHOWN = 80
"""Characters of a name or value that a message shows; so many are compared with valid names."""
Value = int | float | bool | str | tuple[str, ...]
TYPES = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    tuple: "a list of strings",
}
"""The types of a hyperparameter, in words."""


@dataclass(frozen=True)
class Search:
    """The search space of a hyperparameter: a numeric range, or a list of choices.

    With a single choice it is not searched and keeps its default. `when` is
    (hyperparameter, value): this one is searched only if that one has that value.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] = ()
    when: tuple[str, Value] | None = None


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter, declared once: its help, checks and search space are derived from this.

    `words` are values allowed besides numbers, such as ``"auto"``. `low` and `high` are inclusive;
    `below` is an exclusive upper bound. `formerly` is its name before it was renamed.
    """

    name: str
    type: type
    default: Value
    meaning: str
    low: float | None = None
    high: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    unit: str = ""
    source: str = ""
    search: Search | None = None
    formerly: str = ""

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise TypeError(f"{self.name}: type {self.type} cannot be declared")
        object.__setattr__(self, "default", self.check(self.default))

    def allowed(self) -> str:
        """Return the allowed values in words: ``an integer from 8 to 4096, or 'auto'``."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        return TYPES[self.type] + self._range() + "".join(f", or '{w}'" for w in self.words)

    def _range(self) -> str:
        if self.low is not None and self.high is not None:
            return f" from {self.low:g} to {self.high:g}"
        if self.low is not None and self.below is not None:
            return f" in [{self.low:g}, {self.below:g})"
        if self.low is not None:
            return f" of at least {self.low:g}"
        if self.high is not None:
            return f" of at most {self.high:g}"
        return f" below {self.below:g}" if self.below is not None else ""

    def check(self, value: object) -> Value:
        """Return `value` in its canonical type.

        Raises:
            InvalidInput: the value has the wrong type or lies outside the bounds.
        """
        if isinstance(value, str) and value in self.words:
            return value
        canonical = self._convert(value)
        if canonical is None or not self._within(canonical):
            raise InvalidInput(f"{self.name}={value!r:.500} is not usable: give {self.allowed()}")
        return canonical

    def _convert(self, value: object) -> Value | None:
        if self.type in (bool, str):
            return value if isinstance(value, self.type) else None
        if self.type is tuple:
            return _texts(value)
        number = finite_number(value)
        if number is None:
            return None
        if self.type is int:
            whole = int(value) if isinstance(value, int) else int(number)  # beyond 2**53 as it is
            return whole if number.is_integer() else None
        return number + 0.0  # -0.0 is 0.0

    def _within(self, value: Value) -> bool:
        if isinstance(value, str):
            return not self.choices or value in self.choices
        if isinstance(value, tuple):
            return True
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.below is None or value < self.below)
        )

    def search_space(self) -> Search | None:
        """Return its search space: as declared, else its choices; None if it is not tuned."""
        if self.search is not None:
            return self.search
        if self.choices:
            return Search(choices=self.choices)
        return Search(choices=(False, True)) if self.type is bool else None


def _texts(value: object) -> tuple[str, ...] | None:
    """Return a set of strings in canonical order; a single string or number is a set of one."""
    if isinstance(value, str):
        value = value.split(",")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple):
        return None
    if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in value):
        return None
    return tuple(sorted({text for item in value if (text := str(item).strip())}))


class Configurable:
    """Something with hyperparameters, which checks the values that a user gives."""

    name: str
    hyperparameters: tuple[Hyperparameter, ...]
    setting: ClassVar[str] = "hyperparameter"

    def check(self, options: Mapping[str, object]) -> dict[str, Value]:
        """Return `options` in canonical types, in the order of declaration.

        Raises:
            InvalidInput: an unknown name (the message has the nearest valid ones) or a bad value.
        """
        known = {parameter.name: parameter for parameter in self.hyperparameters}
        for name in options:
            if name not in known:
                raise InvalidInput(
                    unknown(self.setting, name, known, of=self.name, see=f"info {self.name}")
                )
        return {name: known[name].check(options[name]) for name in known if name in options}

    def resolve(self, options: Mapping[str, object]) -> dict[str, Value]:
        """Return the value of every hyperparameter: that in `options`, else the default."""
        return {p.name: p.default for p in self.hyperparameters} | self.check(options)

    def changed(self, options: Mapping[str, object]) -> dict[str, Value]:
        """Return only the checked options that differ from their defaults."""
        defaults = {p.name: p.default for p in self.hyperparameters}
        return {n: v for n, v in self.check(options).items() if v != defaults[n]}


@dataclass(frozen=True)
class Declared:
    """What every declaration has.

    `formerly` is its name before it was renamed. Discovery fills in `origin`, the module or file.

    Raises:
        InvalidInput: the name is none that records, folders and pages can have.
    """

    name: str
    source: str
    revision: int = field(default=1, kw_only=True)
    origin: str = field(default="", kw_only=True)
    formerly: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        name, kind = self.name, type(self).__name__.lower()
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidInput(
                f"{kind} name {name!r:.80} is not usable: give letters (A to Z), digits and _, "
                "with single . / @ + - between them"
            )
        if len(name) > MAX_NAME:
            raise InvalidInput(
                f"{kind} name {name[:40]}… has {len(name):,} characters: give at most {MAX_NAME}"
            )


@dataclass(frozen=True)
class Difference:
    """Where a method is not as in its authors' code: for documentation only, not in any key.

    `setting` is a hyperparameter, or a few words for what none sets; `here` and `authors` are what
    this project and the authors' code do (by default, if a hyperparameter has both); `why` is the
    reason for the difference. All are plain text, to be read side by side.

    Raises:
        InvalidInput: one of them is empty or not text.
    """

    setting: str
    here: str
    authors: str
    why: str

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str) or not value.strip():
                raise InvalidInput(f"difference: {name}={value!r:.80} is not usable: give text")


@dataclass(frozen=True, kw_only=True)
class Method(Declared, Configurable):
    """A way to decide which connections a network has.

    `implementation` names the Sparsifier class in the file of the declaration (or
    ``package.module:Class``). `revision` is raised whenever the same settings would give other
    masks. `dense` methods take no sparsity: their one result is shown at every sparsity. A method
    without `zeros` reduces the number of parameters by other means than masks. `control_of` names
    the method that it leaves one ingredient out of, and is compared with. A `control` belongs in
    every study, unless the study gives a reason to leave it out; with `control_of` in those that
    have this method, unless it belongs `in_every_study`. One with
    `own_arithmetic` charges products of its own beside passes (`Sparsifier.method_cost`). One with
    a `constant_fan_in` may have more zeros than the sparsity says, by less than one a neuron.
    For documentation only, in no key: `cost` says what a training costs, `equation` is its rule in
    LaTeX, and `differences` state where it departs from its authors' code.
    """

    title: str
    summary: str
    implementation: str
    family: str
    hyperparameters: tuple[Hyperparameter, ...] = ()
    dense: bool = False
    zeros: bool = True
    control: bool = False
    own_arithmetic: bool = False
    control_of: str = ""
    in_every_study: bool = False
    constant_fan_in: bool = False
    cost: str = ""
    equation: str = ""
    differences: tuple[Difference, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_several("hyperparameters", Hyperparameter)
        self._check_several("differences", Difference)

    def _check_several(self, field_name: str, kind: type) -> None:
        given, name = getattr(self, field_name), kind.__name__
        if not isinstance(given, list | tuple) or not all(isinstance(one, kind) for one in given):
            raise InvalidInput(
                f"method {self.name}: {field_name} is a {type(given).__name__}: give a tuple of "
                f"{name}(…), of one: ({name}(…),)"
            )


D = TypeVar("D", bound=Declared)


class Registry(Generic[D]):
    """Declarations of one kind by name; for an unknown name it suggests the nearest valid ones."""

    def __init__(self, kind: str, declarations: Iterable[D]) -> None:
        self.kind = kind
        self._by_name: dict[str, D] = {}
        for declaration in declarations:
            if (other := self._by_name.get(declaration.name)) is not None:
                raise InvalidInput(
                    f"{kind} '{declaration.name}' is declared twice, in {other.origin} and in "
                    f"{declaration.origin}: rename one of them"
                )
            self._by_name[declaration.name] = declaration

    def __getitem__(self, name: str) -> D:
        if not isinstance(name, str) or name not in self._by_name:
            see = f"list {self.kind}s"
            raise InvalidInput(unknown(self.kind, name, self._by_name, see=see, declared=True))
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[D]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


def check_once(what: str, given: Sequence[Hashable]) -> None:
    """Check that a list has no duplicates.

    Raises:
        InvalidInput: it has one.
    """
    seen = set()
    for one in given:
        if one in seen:
            raise InvalidInput(f"{what} {one!s:.80} is given twice: give it once")
        seen.add(one)


def unknown(
    kind: str,
    name: str,
    valid: Iterable[str],
    *,
    see: str = "",
    of: str = "",
    declared: bool = False,
) -> str:
    """Return the one-line message for a name that does not exist.

    If one of `valid` (declarations by name) formerly had this name, it gives the new name; else
    it suggests the nearest valid names, else it lists them: all, unless `see` is a verb that does.
    `declared` names can also come from a file or package of the user's, and the message says how.
    """
    name = " ".join(str(name)[: 2 * MAX_SHOWN].split())
    name = name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"
    whose = f" of {of}" if of else ""
    if isinstance(valid, Mapping):
        for new, declaration in valid.items():
            if name and name == getattr(declaration, "formerly", ""):
                return f"{kind} '{name}'{whose} is now '{new}': give that name"
    valid = list(valid)
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.55)
    if near:
        hint = "did you mean " + " or ".join(near) + "?"
    elif valid:
        most = 12 if see else len(valid)
        hint = "valid: " + ", ".join(valid[:most]) + (", …" if len(valid) > most else "")
    else:
        hint = "there is none"
    own = "; to add your own: `resonance --plugin FILE …`, or install its package"
    more = f" (`resonance {see}` shows all{own * declared})" if see else ""
    return f"unknown {kind} '{name}'{whose}: {hint}{more}"
