"""A study: a set of trials with a question, from YAML. Imports no torch."""

import itertools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    StrictFloat,
    StrictInt,
    model_serializer,
    model_validator,
)

from suite.core.arguments import not_a_sparsity
from suite.core.declarations import Value, check_once, unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.factors import Factor, combinations, count_combinations, factors_of
from suite.experiments.study_file import STUDIES_FIELD, read_study_file
from suite.experiments.trial_config import MAX_SEED, Trial, TrialSeeds, validated

MAX_SEEDS = 1000
MAX_TRIALS = 100_000
"""Most trials of a study; `--max-trials` sets a lower limit for what is run."""
STUDIES = Path(__file__).with_name("studies")
"""The folder of the studies that are part of the project."""
GROUPS = Path(__file__).with_name("study_groups")
"""The folder of the groups of studies that are part of the project."""
MAX_NAMED = 12
"""Studies of a group that one line names."""


Seed = Annotated[StrictInt, Field(ge=0, lt=MAX_SEED)]
Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
Threads = Annotated[StrictInt, Field(ge=1, le=1024)]
Execution = Literal["masked", "csr", "auto"]


class TaskEntry(BaseModel, frozen=True, extra="forbid"):
    """A task in a study, with what differs there from the study: recipe fields, device, ….

    One that is only a name is written as that name.
    """

    name: str
    recipe: dict[str, Any] = {}
    device: Device | None = None
    precision: Precision | None = None
    threads: Threads | None = None
    execution: Execution | None = None

    @model_serializer
    def _short(self) -> Any:
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        given = {n: getattr(self, n) for n in defaults if getattr(self, n) != defaults[n]}
        return self.name if given.keys() == {"name"} else given


class TaskSettings(BaseModel, frozen=True, extra="forbid"):
    """What a method sets on one task only: hyperparameters and recipe fields."""

    set: dict[str, Any] = {}
    recipe: dict[str, Any] = {}


class MethodEntry(BaseModel, frozen=True, extra="forbid"):
    """A method in a study, with its hyperparameters (`set`) and recipe fields there.

    `tasks` sets more on single tasks (task → settings), `only` lists the tasks that it is run on.
    `vary` makes it an ablation: hyperparameter → levels. One factor is varied at a time while the
    others keep their defaults, or, with `grid`, all combinations are run.
    """

    name: str
    set: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    tasks: dict[str, TaskSettings] = {}
    only: tuple[str, ...] | None = None
    vary: dict[str, tuple[Any, ...]] = {}
    grid: bool = False

    def runs_on(self, task: str) -> bool:
        """Return whether the method is run on a task of the study."""
        return self.only is None or task in self.only

    def on(self, task: str) -> "MethodEntry":
        """Return the entry with what it sets on a task, which overrides what it sets on all."""
        own = self.tasks.get(task)
        if own is None:
            return self
        more = {"set": self.set | own.set, "recipe": self.recipe | own.recipe, "tasks": {}}
        return self.model_copy(update=more)

    def restricted_to(self, tasks: Collection[str]) -> "MethodEntry":
        """Return the entry in a study that has these tasks only; its `only` may be empty then."""
        only = None if self.only is None else tuple(task for task in self.only if task in tasks)
        own = {task: settings for task, settings in self.tasks.items() if task in tasks}
        return self.model_copy(update={"only": only, "tasks": own})

    def factors(self) -> tuple[Factor, ...]:
        """Return the factors of `vary`.

        Raises:
            InvalidInput: as `factors_of`.
        """
        return factors_of(registry.methods()[self.name], self.set, self.vary)

    def variant_count(self) -> int:
        """Return the number of variants, without making them; raises as `variants`."""
        return count_combinations(self.factors(), grid=self.grid)

    def base(self) -> dict[str, Value]:
        """Return the first of `variants`; raises as `factors`."""
        return {factor.name: factor.base for factor in self.factors()}

    def variants(self) -> list[dict[str, Value]]:
        """Return the settings of each variant, in addition to `set`; the base comes first.

        Raises:
            InvalidInput: as `factors_of` and `combinations`.
        """
        return combinations(self.factors(), grid=self.grid)


class Study(BaseModel, frozen=True, extra="forbid"):
    """A set of trials with a question: every task × seed × sparsity × method.

    A method that takes no sparsity is run once per task and seed, one with levels to `vary` once
    for each variant. A recipe field is that of the method's entry for the task, else of the
    method's entry, of the task's entry, of the study, of the task's declaration.
    `controls_left_out` gives the reason for a missing control method. `trainer` names a published
    protocol that replaces the training loop. `execution` is how weights are stored. `plugins` are
    files with additional methods and tasks, as for ``--plugin``, with paths relative to the
    study's file.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=200)
    question: str
    tasks: tuple[TaskEntry, ...]
    methods: tuple[MethodEntry, ...]
    sparsities: tuple[StrictFloat, ...] = ()
    seeds: tuple[Seed, ...]
    recipe: dict[str, Any] = {}
    device: Device = "cpu"
    precision: Precision = "float32"
    threads: Threads = 1
    execution: Execution = "masked"
    trainer: str = ""
    controls_left_out: str = ""
    plugins: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = dict(given)
        listed = given.get("sparsities")
        for one in listed if isinstance(listed, list | tuple) else ():
            if isinstance(one, bool):
                raise InvalidInput("sparsities: give numbers in [0, 1), not true or false")
            if not isinstance(one, int | float) or not 0 <= one < 1:
                raise not_a_sparsity("sparsities: sparsity", one)
        for field in ("tasks", "methods"):
            if isinstance(given.get(field), str):
                raise InvalidInput(f"{field}={given[field]}: give a list, e.g. [{given[field]}]")
        for field in ("tasks", "methods"):
            if isinstance(given.get(field), list | tuple):
                given[field] = [
                    {"name": entry} if isinstance(entry, str) else entry for entry in given[field]
                ]
        seeds = given.get("seeds")
        if isinstance(seeds, list | tuple) and len(seeds) > MAX_SEEDS:
            raise InvalidInput(f"seeds: {len(seeds)} are listed: give at most {MAX_SEEDS}")
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            if not 1 <= seeds <= MAX_SEEDS:
                raise InvalidInput(f"seeds={seeds}: give at least 1 and at most {MAX_SEEDS}")
            given["seeds"] = list(range(seeds))
        elif "seeds" in given and not isinstance(seeds, list | tuple):
            raise InvalidInput(
                f"seeds={seeds!r:.80} is not usable: give a whole number or a list, e.g. 5 "
                "or [0, 1]"
            )
        return given

    @classmethod
    def make(cls, /, **given: Any) -> "Study":
        """Return a validated study; raises `InvalidInput` with a one-line message."""
        what = f"study {given.get('name', '')!s:.80}".strip()
        return validated(cls, given, what, see="")

    @model_validator(mode="after")
    def _once(self) -> "Study":
        for what, given in (("sparsity", self.sparsities), ("seed", self.seeds)):
            if len(set(given)) < len(given):
                check_once(what, given)
        names = self.task_names
        for entry in self.methods:
            if entry.only is not None:
                check_once(f"methods: {entry.name}: only: task", entry.only)
                if not entry.only:
                    raise InvalidInput(f"methods: {entry.name}: only: give at least one task")
            for task in (*entry.tasks, *(entry.only or ())):
                if task not in names:
                    raise InvalidInput(
                        f"methods: {entry.name}: '{task}' is not a task of the study: add it to "
                        f"'tasks', or give one of {', '.join(names)}"
                    )
            if unused := [task for task in entry.tasks if not entry.runs_on(task)]:
                raise InvalidInput(
                    f"methods: {entry.name}: '{unused[0]}' has settings and is not listed under "
                    "'only': add it there, or leave its settings out"
                )
        return self

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(dict.fromkeys(task.name for task in self.tasks))

    def count(self) -> int:
        """Return the number of trials without making all; what two ablations share counts twice.

        Raises:
            InvalidInput: one of the kinds is invalid.
        """
        return sum(count for _, count in self.kinds())

    def kinds(self) -> Iterator[tuple[Trial, int]]:
        """Yield one trial of each task and method entry, with the number of its trials.

        Raises:
            InvalidInput: one is invalid, or there are more than `MAX_TRIALS` of them.
        """
        self._check_size(len(self.tasks) * len(self.methods))
        for task in self.tasks:
            for entry in self._entries(task):
                if count := self._count(entry):
                    sparsity, base = self._sparsities(entry)[0], entry.base()
                    yield self.trial(task, entry, sparsity, self.seeds[0], base), count

    def trials(self) -> list[Trial]:
        """Return the trials, in a fixed order (all methods of a cell together).

        Variants of two ablations may share trials, such as the base; these are returned once.

        Raises:
            InvalidInput: there are none or more than `MAX_TRIALS`, one is invalid, or an entry
                repeats another.
        """
        return list(self.trials_by_key().values())

    def trials_by_key(self) -> dict[str, Trial]:
        """Return `trials` by their keys, in their order; raises as it does."""
        self._check_size(self.count())
        unique: dict[str, Trial] = {}
        cells: dict[frozenset[str], int] = {}
        for place, task in enumerate(self.tasks):
            entries = [(e, self._sparsities(e), e.variants()) for e in self._entries(task)]
            made: dict[tuple[int, float | None], list[TrialSeeds]] = {}
            for seed, sparsity in itertools.product(self.seeds, self.sparsities or (None,)):
                for number, (entry, sparsities, variants) in enumerate(entries):
                    if sparsity not in sparsities:
                        continue
                    if (configurations := made.get((number, sparsity))) is None:
                        configurations = made[number, sparsity] = [
                            self.trial(task, entry, sparsity, seed, one).seeds() for one in variants
                        ]
                    if (seed, sparsity) == (self.seeds[0], sparsities[0]):
                        keys = frozenset(one.key(seed) for one in configurations)
                        if keys in cells:
                            raise _listed_twice(task, entry, same_task=cells[keys] == place)
                        cells[keys] = place
                    for one in configurations:
                        if (key := one.key(seed)) not in unique:
                            unique[key] = one.trial(seed)
        self._check_some(len(unique))
        return unique

    def check(self) -> None:
        """Check names, settings and levels of every task and method, by one trial of each.

        Raises:
            InvalidInput: one is invalid, or there is no trial.
        """
        self._check_some(self.count())

    def _check_some(self, count: int) -> None:
        if not count:
            raise InvalidInput(
                f"study {self.name} is empty: give at least one task, one method and one seed"
            )

    def _check_size(self, count: int) -> None:
        if count > MAX_TRIALS:
            raise InvalidInput(
                f"study {self.name} has {count:,} trials, more than the {MAX_TRIALS:,} of a study: "
                "list fewer tasks, methods, sparsities, seeds or levels, or make several studies"
            )

    def _count(self, entry: MethodEntry) -> int:
        """Return the number of trials of a method's entry on a task."""
        return len(self.seeds) * len(self._sparsities(entry)) * entry.variant_count()

    def _entries(self, task: TaskEntry) -> list[MethodEntry]:
        entries = [entry.on(task.name) for entry in self.methods if entry.runs_on(task.name)]
        if self.methods and not entries:
            raise InvalidInput(
                f"study {self.name}: no method is run on {task.name}: leave it out of 'tasks', or "
                "add it to the 'only' of a method"
            )
        return entries

    def _sparsities(self, entry: MethodEntry) -> tuple[float | None, ...]:
        """Return the sparsities that a method is run at; a dense method ignores them."""
        listed = self.sparsities or (None,)
        return listed[:1] if registry.methods()[entry.name].dense else listed

    def trial(
        self,
        task: TaskEntry,
        entry: MethodEntry,
        sparsity: float | None,
        seed: int,
        varied: Mapping[str, Value],
    ) -> Trial:
        """Return the trial of one variant of a method's entry on a task.

        Raises:
            InvalidInput: it is invalid, or has no sparsity.
        """
        dense = registry.methods()[entry.name].dense
        if sparsity is None and not dense:
            raise InvalidInput(
                f"study {self.name}: {entry.name} needs a sparsity; list some under 'sparsities'"
            )
        return Trial.make(
            task=task.name,
            method=entry.name,
            sparsity=0.0 if dense or sparsity is None else sparsity,
            seed=seed,
            hyperparameters={**entry.set, **varied},
            recipe=self.recipe | task.recipe | entry.recipe,
            device=self.device if task.device is None else task.device,
            precision=self.precision if task.precision is None else task.precision,
            threads=self.threads if task.threads is None else task.threads,
            execution=self.execution if task.execution is None else task.execution,
            trainer=self.trainer,
        )

    def on_tasks(self, tasks: Collection[str]) -> "Study":
        """Return the part of the study that is run on some of its tasks; its trials are the same.

        Raises:
            InvalidInput: one of them is not a task of the study.
        """
        check_tasks(tasks, self.task_names, f"study {self.name}")
        kept = [entry.restricted_to(tasks) for entry in self.methods]
        return self.model_copy(
            update={
                "tasks": tuple(task for task in self.tasks if task.name in tasks),
                "methods": tuple(entry for entry in kept if entry.only is None or entry.only),
            }
        )

    def missing_controls(self) -> list[str]:
        """Return the control methods that are not in the study, or ``NAME on TASK, …``.

        One that is the control of a single method is missing only beside that method, unless it
        belongs in every study.
        """
        missing, names = [], {entry.name for entry in self.methods}
        for method in registry.methods():
            beside = method.control_of and not method.in_every_study
            if beside and method.control_of not in names:
                continue
            named = [entry for entry in self.methods if entry.name == method.name]
            lacking = [t for t in self.task_names if not any(e.runs_on(t) for e in named)]
            if method.control and not named:
                missing.append(method.name)
            elif method.control and lacking:
                missing.append(f"{method.name} on {', '.join(lacking)}")
        return missing


def _listed_twice(task: TaskEntry, entry: MethodEntry, *, same_task: bool) -> InvalidInput:
    if same_task:
        return InvalidInput(
            f"methods: {entry.name} is listed twice with the same settings on {task.name}: leave "
            "one out"
        )
    return InvalidInput(
        f"tasks: {task.name} is listed twice with the same settings for {entry.name}: leave one out"
    )


def check_tasks(tasks: Collection[str], valid: Collection[str], of: str) -> None:
    """Check that the tasks that were asked for are among those `of` a study or a group.

    Raises:
        InvalidInput: one is not; the message has the nearest names.
    """
    for task in tasks:
        if task not in valid:
            raise InvalidInput(unknown("task", task, valid, of=of))


def shipped_studies() -> list[str]:
    """Return the names of the studies that are part of the project."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def shipped_groups() -> list[str]:
    """Return the names of the groups of studies that are part of the project."""
    return sorted(path.stem for path in GROUPS.glob("*.yaml"))


def path_of(name_or_file: str) -> Path:
    """Return the file of a shipped study or group of that name, or the file itself.

    Raises:
        InvalidInput: it is neither such a name nor a YAML file's.
    """
    for folder, names in ((STUDIES, shipped_studies()), (GROUPS, shipped_groups())):
        if name_or_file in names:
            return folder / f"{name_or_file}.yaml"
    path = Path(name_or_file)
    if path.suffix not in (".yaml", ".yml"):
        names = [*shipped_studies(), *shipped_groups()]
        message = unknown("study", name_or_file, names, see="list studies")
        raise InvalidInput(f"{message}; a study of your own is a file that ends in .yaml")
    return path


def load_study(name_or_file: str) -> Study:
    """Return a shipped study by name, or one from a YAML file.

    Raises:
        InvalidInput: no such study or file, not YAML, not a valid study, a group of studies, or
            files that include each other in a circle.
    """
    path, what = path_of(name_or_file), f"study {name_or_file}"
    content = read_study_file(path, what)
    if STUDIES_FIELD in content:
        raise is_a_group(what, content[STUDIES_FIELD])
    try:
        study = validated(Study, content, what, see="")
        if study.plugins:
            registry.use_plugins([str(path.parent / plugin) for plugin in study.plugins])
        if path.parent != STUDIES:
            study.check()
    except InvalidInput as error:
        raise InvalidInput(str(error) if what in str(error) else f"{what}: {error}") from None
    return study


def is_a_group(what: str, members: Any) -> InvalidInput:
    """Return the refusal of a group where one study is wanted; it names the `members`."""
    names = [str(one) for one in members] if isinstance(members, list | tuple) else []
    shown = ", ".join(names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
    which = f": {shown:.800}" if shown else ""
    return InvalidInput(f"{what:.200} is a group of studies: give one of them{which}")
