"""Resume a stored tuning, and save its results without losing earlier ones."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from suite import __version__
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.metadata_store import DamagedDocument
from suite.results.store import Store
from suite.results.stored_studies import apart_from_studies
from suite.tuning import schema
from suite.tuning.selection import importance, pareto_front, select_winner

EXTENDABLE = {"budget", "final_seeds"}
"""Settings that may differ when a tuning is resumed: more of either adds to the results."""


class FinishedSearch(Protocol):
    """The part of a method's search that results are read from."""

    method: str
    space: list[schema.Dimension]

    def candidates(self) -> list[schema.Candidate]:
        """Return the configurations whose trials have finished."""

    def final(
        self, best: schema.Candidate | None, seeds: Sequence[int]
    ) -> tuple[list[Trial], list[Trial]]:
        """Return the winner's and the default's trials on the test split, with fresh seeds."""


def resume_config(
    settings: schema.TuningConfig, spaces: Mapping[str, Sequence[schema.Dimension]], store: Store
) -> schema.TuningConfig:
    """Return the settings to continue with: `settings`, merged with the stored tuning's, if any.

    The larger of the two budgets is used: the winner is chosen among all trials, and every method
    gets the same number.

    Raises:
        InvalidInput: the stored tuning has other settings, or its file is damaged.
    """
    if (stored := schema.load_tuning(store, settings.name)) is None:
        return settings
    methods = registry.methods()
    now = {name: (methods[name].revision, space) for name, space in spaces.items()}
    before = {name: (one.revision, one.space) for name, one in stored.methods.items()}
    # A method that only one of the two has is reported once, by the settings' list of methods.
    schema.check_same_settings(
        f"tuning {settings.name}",
        _identity(stored.settings, {name: before[name] for name in before if name in now}),
        _identity(settings, {name: now[name] for name in now if name in before}),
    )
    return settings.model_copy(update={"budget": max(settings.budget, stored.settings.budget)})


def _identity(
    settings: schema.TuningConfig, methods: Mapping[str, tuple[int, Sequence[schema.Dimension]]]
) -> dict[str, Any]:
    content = settings.model_dump(mode="json", exclude=EXTENDABLE | {"name"})
    for name, (revision, space) in methods.items():
        content[f"revision of {name}"] = revision
        content |= {f"space of {name}'s {dimension.name}": str(dimension) for dimension in space}
    return content


def save_results(
    settings: schema.TuningConfig,
    searches: Sequence[FinishedSearch],
    store: Store,
    final_seeds: Sequence[int],
) -> schema.Tuning:
    """Merge the searches' results with the stored ones, save and return them.

    `final_seeds` are the seeds on which winners and defaults have been run so far.

    Raises:
        InvalidInput: the stored file is damaged.
        StoreUnusable: the store cannot be written to.
    """
    stored = schema.load_tuning(store, settings.name)
    before = {} if stored is None else stored.methods
    seeds = {*settings.final_seeds, *(stored.settings.final_seeds if stored else ())}
    settings = settings.model_copy(update={"final_seeds": tuple(sorted(seeds))})
    tuning = schema.Tuning(
        settings=settings,
        versions={"suite": __version__, "optuna": importlib.metadata.version("optuna")},
        methods={
            search.method: _method_result(settings, search, before.get(search.method), final_seeds)
            for search in searches
        },
        run_before=stored.run_before if stored else {},
    )
    schema.save_tuning(store, tuning)
    return tuning


def note_run_before(
    tuning: schema.Tuning, keys: Sequence[str], store: Store
) -> list[DamagedDocument]:
    """Note in a saved tuning which of these tested runs were in the store before it.

    What was noted of a run stays, so a search that was interrupted, or that several processes
    share, does not take its own runs for earlier ones. Documents that cannot be read, whose trials
    are not known, are returned.

    Raises:
        InvalidInput: the tuning's own document is damaged.
        StoreUnusable: the store cannot be written to.
    """
    # Listed before the notes are read: another process notes its runs before it trains them.
    there = set(store.keys()) & set(keys)
    stored = schema.load_tuning(store, tuning.settings.name) or tuning
    new = set(keys) - stored.run_before.keys()
    damaged: list[DamagedDocument] = []
    if new:
        apart, damaged = apart_from_studies(store)
        before = there - apart.keys()
        noted = stored.run_before | {key: key in before for key in sorted(new)}
        schema.save_tuning(store, stored.model_copy(update={"run_before": noted}))
    return damaged


def _method_result(
    settings: schema.TuningConfig,
    search: FinishedSearch,
    stored: schema.MethodResult | None,
    final_seeds: Sequence[int],
) -> schema.MethodResult:
    """Return a method's results so far."""
    known = {one.number: one for one in stored.trials} if stored else {}
    known |= {one.number: one for one in search.candidates()}
    tried = [known[number] for number in sorted(known)]
    result = schema.MethodResult(
        revision=registry.methods()[search.method].revision,
        space=search.space,
        trials=tried,
        winner=select_winner(tried, settings.objectives),
        front=pareto_front(tried, settings.objectives),
        importance=importance(search.space, tried),
        tried=len(tried),
        pruned=sum(one.state == "pruned" for one in tried),
        spent=round(sum(one.share for one in tried), 6),
        tested=stored.tested if stored else [],
    )
    ours, default = ([t.key for t in part] for part in search.final(result.best, final_seeds))
    final = stored.final if stored else None
    winners = {t.key for t in search.final(result.best, settings.final_seeds)[0]}
    if final is not None and winners.issuperset(final.winner):
        ours = list(dict.fromkeys([*final.winner, *ours]))
        default = list(dict.fromkeys([*final.default, *default]))
    if not default:
        return result
    return result.model_copy(update={"final": schema.Final(winner=ours, default=default)})
