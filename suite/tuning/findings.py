"""The document of a tuning as searches add to it: nothing that was found before is lost."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from suite import __version__
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.store import Store
from suite.tuning.choice import front, importance, winner
from suite.tuning.document import (
    Dimension,
    Final,
    Tried,
    Tuned,
    Tuning,
    TuningConfig,
    load_tuning,
    refuse_other,
    save_tuning,
)

GROWS = {"budget", "final_seeds"}
"""What may differ when a tuning goes on: more of either adds to what there is."""


class Found(Protocol):
    """The search of one method, as far as its findings go."""

    method: str
    space: list[Dimension]

    def tried(self) -> list[Tried]:
        """Return the configurations whose trials are finished."""

    def final(self, best: Tried | None, seeds: Sequence[int]) -> tuple[list[Trial], list[Trial]]:
        """Return the tested trials of a winner and of the default, on fresh seeds."""


def continued(
    settings: TuningConfig, spaces: Mapping[str, Sequence[Dimension]], store: Store
) -> TuningConfig:
    """Return the settings under which the stored tuning of that name goes on, if there is one.

    Its budget stands where it is the larger one: its winner is chosen among all that was tried,
    and every method gets the same.

    Raises:
        InvalidInput: it was made under other settings, or its document is damaged.
    """
    if (stored := load_tuning(store, settings.name)) is None:
        return settings
    methods = registry.methods()
    now = {name: (methods[name].revision, space) for name, space in spaces.items()}
    before = {name: (one.revision, one.space) for name, one in stored.methods.items()}
    # Methods that one of the two lacks are named as such, once.
    refuse_other(
        f"tuning {settings.name}",
        _asked(stored.settings, {name: before[name] for name in before if name in now}),
        _asked(settings, {name: now[name] for name in now if name in before}),
    )
    return settings.model_copy(update={"budget": max(settings.budget, stored.settings.budget)})


def _asked(
    settings: TuningConfig, methods: Mapping[str, tuple[int, Sequence[Dimension]]]
) -> dict[str, Any]:
    said = settings.model_dump(mode="json", exclude=GROWS | {"name"})
    for name, (revision, space) in methods.items():
        said[f"revision of {name}"] = revision
        said |= {f"space of {name}'s {dimension.name}": str(dimension) for dimension in space}
    return said


def keep(
    settings: TuningConfig, searches: Sequence[Found], store: Store, final_seeds: Sequence[int]
) -> Tuning:
    """Save what was found, together with what is stored, and return it.

    `final_seeds` are those on which winners and defaults have been run by now.

    Raises:
        InvalidInput: the stored document is damaged.
        StoreUnusable: it cannot be written.
    """
    stored = load_tuning(store, settings.name)
    before = {} if stored is None else stored.methods
    seeds = {*settings.final_seeds, *(stored.settings.final_seeds if stored else ())}
    settings = settings.model_copy(update={"final_seeds": tuple(sorted(seeds))})
    tuning = Tuning(
        settings=settings,
        versions={"suite": __version__, "optuna": importlib.metadata.version("optuna")},
        methods={
            search.method: _found(settings, search, before.get(search.method), final_seeds)
            for search in searches
        },
    )
    save_tuning(store, tuning)
    return tuning


def _found(
    settings: TuningConfig, search: Found, stored: Tuned | None, final_seeds: Sequence[int]
) -> Tuned:
    """Return what is known of a method by now."""
    known = {one.number: one for one in stored.trials} if stored else {}
    known |= {one.number: one for one in search.tried()}
    tried = [known[number] for number in sorted(known)]
    found = Tuned(
        revision=registry.methods()[search.method].revision,
        space=search.space,
        trials=tried,
        winner=winner(tried, settings.objectives),
        front=front(tried, settings.objectives),
        importance=importance(search.space, tried),
        tested=stored.tested if stored else [],
    )
    ours, default = ([t.key for t in part] for part in search.final(found.best, final_seeds))
    final = stored.final if stored else None
    winners = {t.key for t in search.final(found.best, settings.final_seeds)[0]}
    if final is not None and winners.issuperset(final.winner):
        ours, default = _union(final.winner, ours), _union(final.default, default)
    if default:
        found.final = Final(winner=ours, default=default)
    return found


def _union(stored: Sequence[str], more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*stored, *more]))
