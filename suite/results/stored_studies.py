"""The studies that a store remembers by name, and which trials belong to them. Imports no torch.

A study, an ablation or a tuning leaves a document with the keys of its trials. So its trials are
found again without the file that it was run from.
"""

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    StrictInt,
    model_serializer,
    model_validator,
)

from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.experiments.study import Study, load_study, shipped_groups, shipped_studies
from suite.experiments.study_group import StudyGroup, load_study_or_group
from suite.experiments.trial_config import Trial
from suite.results import ablation_design
from suite.results.metadata_store import (
    FORMATS,
    KINDS,
    DamagedDocument,
    as_it_is,
    document_names,
    documents,
    listed,
    load_document,
    save_document,
    validated,
)
from suite.results.record import Unreadable
from suite.results.storage_backend import KEY
from suite.results.store import Store

KIND = "study"
SCHEMA_VERSION = FORMATS[KIND].schema_version
FILES = (".yaml", ".yml")
SETTINGS = "settings"
MAX_SETTINGS = len(Trial.model_fields)


class StoredStudy(BaseModel, frozen=True, extra="forbid"):
    """A study as it was last run in a store.

    In its document, settings that trials with other seeds share are listed once, under `settings`,
    and a trial is ``KEY: [place in that list, seed]``: a study may have 100,000 trials. Documents
    of schemas 1 and 2 hold the settings of each trial.

    Attributes:
        study: its definition, as in YAML.
        trials: its trials by key, each with the settings that differ from the defaults.
        earlier: keys of trials that were in it before it was edited.
        run_before: of a study that varies a method: keys of its trials that were in the store
            before it, and so are not its levels only.
        shipped: whether the project ships this very study.
        updated: when it was first run like this: date and time in ISO format.
    """

    schema_version: StrictInt = SCHEMA_VERSION
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    question: str
    study: dict[str, Any]
    trials: dict[str, dict[str, Any]]
    earlier: tuple[str, ...] = ()
    run_before: tuple[str, ...] = ()
    shipped: bool = False
    updated: str = ""

    @model_validator(mode="before")
    @classmethod
    def _unpacked(cls, content: Any) -> Any:
        if not isinstance(content, dict) or SETTINGS not in content:
            return content
        settings, trials = content[SETTINGS], content.get("trials")
        if not isinstance(settings, list) or not isinstance(trials, dict):
            raise ValueError("its trials are not listed")
        if any(not isinstance(one, dict) or len(one) > MAX_SETTINGS for one in settings):
            raise ValueError("the settings of its trials are none")
        unpacked = {key: _with_seed(settings, place) for key, place in trials.items()}
        return {name: value for name, value in content.items() if name != SETTINGS} | {
            "trials": unpacked
        }

    @model_serializer(mode="wrap")
    def _packed(self, make: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        if info.mode != "json":
            return make(self)
        shared: dict[str, int] = {}
        settings: list[dict[str, Any]] = []
        trials = {}
        for key, one in self.trials.items():
            common = {name: value for name, value in one.items() if name != "seed"}
            place = shared.setdefault(repr(common), len(shared))
            if place == len(settings):
                settings.append(common)
            trials[key] = [place, one.get("seed", 0)]
        return make(self.model_copy(update={"trials": {}})) | {
            SETTINGS: settings,
            "trials": trials,
        }

    @property
    def varies(self) -> bool:
        """Whether it varies a method, which makes it an ablation."""
        methods = self.study.get("methods", ())
        return any(isinstance(entry, dict) and entry.get("vary") for entry in methods)

    def follows(self, other: "StoredStudy") -> "StoredStudy":
        """Return this study with the trials of an older or other version of it as `earlier`."""
        known = [*other.trials, *other.earlier, *self.earlier]
        earlier = tuple(key for key in dict.fromkeys(known) if key not in self.trials)
        before = tuple(sorted({*self.run_before, *other.run_before}))
        return self.model_copy(update={"earlier": earlier, "run_before": before})


def _with_seed(settings: list[dict[str, Any]], place: Any) -> dict[str, Any]:
    """Return the settings of a trial, given their place in the list and its seed."""
    if not isinstance(place, list) or [type(number) for number in place] != [int, int]:
        raise ValueError("a trial is given by the place of its settings and its seed")
    number, seed = place
    if not 0 <= number < len(settings):
        raise ValueError("the settings of a trial are not listed")
    return {**settings[number], **({"seed": seed} if seed else {})}


@dataclass(frozen=True)
class ChosenTrials:
    """The trials of a study, a group of studies, an ablation or a tuning.

    Attributes:
        name: of the study.
        trials: settings by key; empty where they are not known.
    """

    name: str
    trials: Mapping[str, Mapping[str, Any]]

    @property
    def keys(self) -> list[str]:
        """The trials' keys."""
        return list(self.trials)


def remember(store: Store, study: Study, trials: Mapping[str, Trial]) -> list[DamagedDocument]:
    """Save a study, with its trials by key, in its store, so that `chosen_trials` finds them.

    An older version of the same name is replaced; its trials are kept as `earlier`. The design of a
    study that varies a method is saved as well. Nothing is written if nothing has changed. A
    damaged document of this name is replaced; those of other names that it read are returned.

    Raises:
        Unreadable: a newer version of this program has written it.
        StoreUnusable: it cannot be written.
    """
    made = StoredStudy(
        name=study.name,
        question=study.question,
        study=study.model_dump(mode="json", exclude_defaults=True),
        trials=_settings(trials),
        shipped=study.name in shipped_studies() and load_study(study.name) == study,
        updated=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    damaged: list[DamagedDocument] = []
    before = None
    if (content := _replaceable(store, KIND, study.name)) is not None:
        with contextlib.suppress(InvalidInput):
            before = read_study(store, study.name, content)
    if before is not None:
        made = made.follows(before)
    elif made.varies:
        apart, damaged = apart_from_studies(store)
        own = set(store.keys()) & made.trials.keys() - apart.keys()
        made = made.model_copy(update={"run_before": tuple(sorted(own))})
    if before is None or made.model_copy(update={"updated": before.updated}) != before:
        save_document(store, KIND, study.name, made.model_dump(mode="json"))
    if made.varies:
        try:
            design = ablation_design.ablation_of(study)
        except InvalidInput:  # it names a task twice, which only `resonance ablate` refuses
            return damaged
        stored = _replaceable(store, ablation_design.KIND, study.name)
        if stored != design.model_dump(mode="json"):
            ablation_design.save(store, design)
    return damaged


def _settings(trials: Mapping[str, Trial]) -> dict[str, dict[str, Any]]:
    """Return what of each trial differs from the defaults, as JSON has it."""
    return {
        key: trial.model_dump(mode="json", exclude_defaults=True) for key, trial in trials.items()
    }


def _replaceable(store: Store, kind: str, name: str) -> dict[str, Any] | None:
    """Return the content of a document that is about to be replaced; None if there is none.

    One that is damaged counts as none: what replaces it mends it.

    Raises:
        Unreadable: a newer version of this program has written it.
    """
    try:
        return load_document(store, kind, name)
    except Unreadable as error:
        if error.kind == "newer":
            raise
    except InvalidInput:
        pass
    return None


def stored_study(store: Store, name: str) -> StoredStudy | None:
    """Return the study of that name as the store remembers it; None if it does not.

    Raises:
        InvalidInput: its document is damaged, or the name is not a plain one.
    """
    content = load_document(store, KIND, name)
    return None if content is None else read_study(store, name, content)


def stored_studies(store: Store) -> tuple[list[StoredStudy], list[DamagedDocument]]:
    """Return the studies that a store remembers, by name, and those that are damaged."""
    return listed(store, KIND, read_study)


def read_study(store: Store, name: str, content: dict[str, Any]) -> StoredStudy:
    """Return the study that a document holds.

    Raises:
        Unreadable: it is none, or one of another name.
    """
    return validated(StoredStudy, store, KIND, name, content, lambda one: one.name)


# ------------------------------------------------------------------ which trials are meant


def study_keys(store: Store, name_or_file: str) -> list[str]:
    """Return the keys of the trials that `chosen_trials` returns."""
    return chosen_trials(store, name_or_file).keys


def chosen_trials(store: Store, given: str | Path | Study) -> ChosenTrials:
    """Return the trials of a study: itself, its file, or a name that is shipped or in the store.

    A `Study`, a file and a shipped study mean the trials that they would run now, and so does a
    group of studies. The name of another study means those that it was last run with in this
    store; that of an ablation or a tuning, its trials so far.

    Raises:
        InvalidInput: there is no such study or file, or its document is damaged.
    """
    return trials_of(find_study(store, given))


def trials_of(found: Study | StudyGroup | ChosenTrials) -> ChosenTrials:
    """Return the trials that a study, or a group of studies, would run now; raises as it does."""
    if isinstance(found, ChosenTrials):
        return found
    return ChosenTrials(found.name, _settings(found.trials_by_key()))


def find_study(store: Store, given: str | Path | Study) -> Study | StudyGroup | ChosenTrials:
    """Return the study or the group that is meant, or the trials of one that the store remembers.

    Raises:
        InvalidInput: as `chosen_trials`.
    """
    if isinstance(given, Study):
        return given
    name_or_file = str(given)
    if name_or_file.endswith(FILES):
        return load_study_or_group(name_or_file)
    known: dict[str, str] = {}
    unlisted: InvalidInput | None = None
    for kind in KINDS:
        try:
            known |= dict.fromkeys(document_names(store, kind), kind)
        except InvalidInput as error:
            unlisted = error
    found_kind, shipped = known.get(name_or_file), [*shipped_studies(), *shipped_groups()]
    found = stored_study(store, name_or_file) if found_kind == KIND else None
    if name_or_file in shipped and (found is None or found.shipped):
        return load_study_or_group(name_or_file)
    if found is not None:
        return ChosenTrials(found.name, found.trials)
    if found_kind is None:
        if unlisted is not None:
            raise unlisted
        names = dict.fromkeys([*known, *shipped])
        message = unknown("study", name_or_file, names, see="list studies")
        raise InvalidInput(
            f"{message}; those run in store {store.location} are known by name, others are a file "
            "that ends in .yaml"
        )
    content = load_document(store, found_kind, name_or_file)
    return ChosenTrials(name_or_file, {key: {} for key in dict.fromkeys(_keys_in(content))})


def _keys_in(content: Any) -> Iterator[str]:
    """Yield all keys of trials in a document: its values that look like one."""
    if isinstance(content, str) and KEY.fullmatch(content):
        yield content
    elif isinstance(content, dict):
        for part in content.values():
            yield from _keys_in(part)
    elif isinstance(content, list):
        for part in content:
            yield from _keys_in(part)


def _run_before(content: Any) -> set[str]:
    """Return the keys of a tuning's trials that were in the store before it."""
    noted = content.get("run_before") if isinstance(content, dict) else None
    return {key for key, was in noted.items() if was} if isinstance(noted, dict) else set()


def apart_from_studies(store: Store) -> tuple[dict[str, str], list[DamagedDocument]]:
    """Return the trials that belong to ablations or tunings only, and to which one: its name.

    A trial that is also in a study (other than as a level that the study varies), or that was run
    on its own, is not among them. Documents that are damaged count as none, and are returned too.
    """
    found: dict[str, str] = {}
    levels: dict[str, set[str]] = {}
    not_apart: set[str] = set()
    damaged: list[DamagedDocument] = []
    for kind in [kind for kind in KINDS if kind != KIND]:
        contents, broken = documents(store, kind, as_it_is)
        damaged += broken
        for name, content in contents.items():
            keys = set(_keys_in(content))
            found |= dict.fromkeys(keys, f"{kind} {name}")
            not_apart |= _run_before(content)
            if kind == ablation_design.KIND:
                levels[name] = keys
    studies, broken = stored_studies(store)
    for study in studies:
        varied = levels.get(study.name, set()) if study.varies else set()
        varied -= set(study.run_before)
        not_apart |= {*study.trials, *study.earlier} - varied
    apart = {key: name for key, name in found.items() if key not in not_apart}
    return apart, damaged + broken
