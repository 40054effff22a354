"""Search spaces: from declared hyperparameters to dimensions, and from values to settings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from suite.core.declarations import Hyperparameter, Method, Search, unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.tuning.schema import Dimension
from tasks.task import Task

NUMBER = "number"
Part = Literal["hyperparameters", "recipe"]
Values = dict[str, bool | int | float | str]
Configuration = dict[str, dict[str, Any]]
"""A trial's settings: ``hyperparameters`` and ``recipe``, by name."""

DEFAULT: Configuration = {"hyperparameters": {}, "recipe": {}}


def search_space(
    method: Method, tasks: Sequence[Task], tuned_recipe: Sequence[str] = ()
) -> list[Dimension]:
    """Return the dimensions of a method's search space; a dimension comes after its condition.

    Raises:
        InvalidInput: the method declares none and no recipe field is given, one that it declares is
            impossible, or a given field cannot be tuned.
    """
    found = [
        dimension
        for parameter in method.hyperparameters
        for dimension in _dimensions(parameter, "hyperparameters", f"method {method.name}")
    ]
    fields = {field.name: field for field in tasks[0].hyperparameters}
    for name in tuned_recipe:
        if name not in fields:
            task = tasks[0].name
            raise InvalidInput(unknown("recipe field", name, fields, of=task, see=f"info {task}"))
        if not (dimensions := _dimensions(fields[name], "recipe", "recipe")):
            tunable = [n for n, f in fields.items() if _dimensions(f, "recipe", "recipe")]
            raise InvalidInput(
                f"--recipe {name}: the field declares no search space; set it with {name}=VALUE, "
                f"or tune {', '.join(tunable)}"
            )
        found += dimensions
    if not found:
        raise InvalidInput(
            f"method {method.name} has nothing to tune: name fields of the recipe "
            "(--recipe learning_rate,weight_decay), or leave it out"
        )
    return _sorted_by_condition(_reachable(found, method))


def _dimensions(parameter: Hyperparameter, part: Part, of: str) -> list[Dimension]:
    search = parameter.search_space()
    if search is None or len(search.choices) == 1:
        return []
    if problem := _problem(parameter, search):
        raise InvalidInput(f"{of}: the search space of {parameter.name} {problem}")
    name = parameter.name
    given = asdict(search)
    if search.choices:
        given["choices"] = tuple(dict.fromkeys((*search.choices, parameter.default)))
    whole = parameter.type is int
    dimension = Dimension(name=name, parameter=name, part=part, whole=whole, **given)
    if search.choices or not parameter.words:
        return [dimension]
    words = (*parameter.words, NUMBER)
    when = dimension.when
    kind = Dimension(name=f"{name}.kind", parameter=name, part=part, choices=words, when=when)
    return [kind, dimension.model_copy(update={"when": (kind.name, NUMBER)})]


def _problem(parameter: Hyperparameter, search: Search) -> str:
    """Return what is wrong with a declared search space and what to write; empty if nothing is."""
    for value in search.choices or (search.low, search.high):
        try:
            if search.choices or value is None or value != parameter.below:  # a bound of a range
                parameter.check(value)
        except InvalidInput:
            return f"has {value!r:.60}: give {parameter.allowed()}"
    if search.choices:
        return ""
    assert search.low is not None
    assert search.high is not None
    if parameter.type not in (int, float):
        return "is a range, and its values are no numbers: give choices"
    text = f"is {search.low:g} to {search.high:g}"
    if search.low > search.high:
        return f"{text}: give low ≤ high"
    if search.log and search.low <= 0:
        return f"{text}, logarithmic: give a low above 0"
    if search.step is not None and (search.log or not search.step > 0):
        return f"{text} in steps of {search.step:g}: give a step above 0, and not log as well"
    return ""


def _reachable(found: list[Dimension], method: Method) -> list[Dimension]:
    """Resolve conditions on hyperparameters that are not searched: keep or drop the dimension."""
    defaults, names = method.resolve({}), {dimension.name for dimension in found}
    kept = []
    for dimension in found:
        if (when := dimension.when) is None or when[0] in names:
            kept.append(dimension)
        elif when[0] not in defaults:
            raise InvalidInput(
                f"method {method.name}: {dimension.name} is searched where {when[0]} is {when[1]}: "
                "name one of the method's hyperparameters"
            )
        elif defaults[when[0]] == when[1]:
            kept.append(dimension.model_copy(update={"when": None}))
    return kept


def _sorted_by_condition(found: list[Dimension]) -> list[Dimension]:
    """Sort dimensions so that each comes after the one it depends on, otherwise as declared."""
    placed: dict[str, Dimension] = {}
    waiting = list(found)
    while waiting:
        ready = next((d for d in waiting if d.when is None or d.when[0] in placed), None)
        if ready is None or ready.name in placed:
            names = ", ".join(dimension.name for dimension in waiting)
            raise InvalidInput(f"search spaces: {names} depend on each other or are declared twice")
        placed[ready.name] = ready
        waiting.remove(ready)
    return list(placed.values())


def active(dimension: Dimension, chosen: Mapping[str, object]) -> bool:
    """Return whether a dimension applies, given the values of the dimensions before it."""
    return dimension.when is None or chosen.get(dimension.when[0]) == dimension.when[1]


def default_point(space: Sequence[Dimension], method: Method, tasks: Sequence[Task]) -> Values:
    """Return the default configuration's coordinates in a search space.

    A default outside the searched range has no coordinate, nor has a recipe field whose default
    differs between tasks. (The default configuration is run unchanged in either case.)
    """
    values = dict(method.resolve({}))
    recipes = [task.resolve({}) for task in tasks]
    point: Values = {}
    for dimension in space:
        if dimension.part == "recipe":
            defaults = {repr(recipe[dimension.parameter]) for recipe in recipes}
            value: Any = recipes[0][dimension.parameter] if len(defaults) == 1 else None
        else:
            value = values[dimension.parameter]
        if dimension.name != dimension.parameter:
            value = value if isinstance(value, str) else NUMBER
        if active(dimension, point) and _contains(dimension, value):
            point[dimension.name] = value
    return point


def _contains(dimension: Dimension, value: Any) -> bool:
    if dimension.choices:
        return value in dimension.choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    assert dimension.low is not None
    assert dimension.high is not None
    if not dimension.low <= value <= dimension.high:
        return False
    steps = (value - dimension.low) / dimension.step if dimension.step else 0.0
    return abs(steps - round(steps)) < 1e-9


def configuration(space: Iterable[Dimension], chosen: Mapping[str, Any]) -> Configuration:
    """Return the settings that these values stand for."""
    settings: Configuration = {"hyperparameters": {}, "recipe": {}}
    for dimension in space:
        if dimension.name not in chosen:
            continue
        value = chosen[dimension.name]
        if dimension.name != dimension.parameter and value == NUMBER:
            continue
        settings[dimension.part][dimension.parameter] = value
    return settings


def spaces_of(
    methods: Sequence[str], tasks: Sequence[str], tuned_recipe: Sequence[str] = ()
) -> dict[str, list[Dimension]]:
    """Return the search space of each method. Raises as `search_space` does."""
    chosen = [registry.tasks()[name] for name in tasks]
    return {name: search_space(registry.methods()[name], chosen, tuned_recipe) for name in methods}
