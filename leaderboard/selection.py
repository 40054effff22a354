"""Which trials of a store are on boards: those of studies, or of one study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suite.experiments.study import Study
from suite.results.metadata_store import DamagedDocument
from suite.results.store import Store
from suite.results.stored_studies import apart_from_studies, chosen_trials


@dataclass(frozen=True)
class Selection:
    """The trials of a store that boards, tables and bundles are made of.

    Attributes:
        study: the name of the only study that is shown; empty for all.
        keys: of its trials; None for all.
        apart: the trials that are left out, because they belong to ablations or tunings only, and
            what each belongs to, in words.
        damaged: documents of the store that cannot be read, so that their trials are not known.
    """

    study: str = ""
    keys: frozenset[str] | None = None
    apart: Mapping[str, str] = field(default_factory=dict)
    damaged: Sequence[DamagedDocument] = ()

    def takes(self, key: str) -> bool:
        """Return whether a trial is shown."""
        return (self.keys is None or key in self.keys) and key not in self.apart


def select(
    store: Store, study: str | Path | Study | None = None, *, include_ablations: bool = False
) -> Selection:
    """Return the trials that boards are made of.

    With `study` (a name, a file or itself) those of one study, ablation or tuning; with
    `include_ablations` also those that belong to ablations or tunings only.

    Raises:
        InvalidInput: there is no such study, or its document is damaged.
    """
    if study is not None:
        chosen = chosen_trials(store, study)
        return Selection(chosen.name, frozenset(chosen.keys))
    if include_ablations:
        return Selection()
    apart, damaged = apart_from_studies(store)
    return Selection(apart=apart, damaged=tuple(damaged))
