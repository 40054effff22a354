"""The studies of a site: those that its store remembers, and shipped ones that it has trials of."""

from collections.abc import Collection

from leaderboard.pages.study_page import ShownStudy
from suite.experiments.study import load_study, shipped_studies
from suite.results.metadata_store import DamagedDocument
from suite.results.store import Store
from suite.results.stored_studies import stored_studies


def studies_of_store(store: Store) -> tuple[list[ShownStudy], list[DamagedDocument]]:
    """Return the studies that a store remembers, and those that are damaged."""
    found, damaged = stored_studies(store)
    shown = [
        ShownStudy(one.name, one.question, one.study, one.trials, one.shipped) for one in found
    ]
    return shown, damaged


def studies_with_trials(keys: Collection[str]) -> list[ShownStudy]:
    """Return the shipped studies that have any of these trials: a bundle names no study."""
    found = []
    for name in shipped_studies() if keys else []:
        study = load_study(name)
        trials = {
            key: trial.model_dump(mode="json", exclude_defaults=True)
            for key, trial in study.trials_by_key().items()
        }
        if not trials.keys().isdisjoint(keys):
            content = study.model_dump(mode="json", exclude_defaults=True)
            found.append(ShownStudy(name, study.question, content, trials, shipped=True))
    return found
