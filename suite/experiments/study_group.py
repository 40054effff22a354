"""A group of studies, which one command runs, from YAML. Imports no torch."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, model_validator

from suite.core.declarations import check_once, unknown
from suite.core.errors import InvalidInput
from suite.core.yaml_reader import read_yaml
from suite.experiments.study import (
    GROUPS,
    MAX_TRIALS,
    Study,
    check_tasks,
    load_study,
    path_of,
    shipped_groups,
    shipped_studies,
)
from suite.experiments.study_file import FIELDS, STUDIES_FIELD
from suite.experiments.trial_config import Trial, validated

MAX_STUDIES = 100
"""Most studies of a group."""
FILES = (".yaml", ".yml")


class StudyGroup(BaseModel, frozen=True, extra="forbid"):
    """Studies that are run one after another by one command.

    In YAML, `studies` lists names of shipped studies, and study files relative to the group's.
    What several of them have in common is run once. A group has no results of its own: a store
    remembers its studies.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=200)
    question: str
    studies: tuple[Study, ...]

    @model_validator(mode="after")
    def _told_apart(self) -> "StudyGroup":
        if not self.studies:
            raise InvalidInput(f"{STUDIES_FIELD} is empty: list at least one study")
        names = [study.name for study in self.studies]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise InvalidInput(
                    f"{STUDIES_FIELD}: two of them are named {name}, and a store knows a study by "
                    "its name: leave one out, or rename it"
                )
        return self

    @classmethod
    def make(cls, /, **given: Any) -> "StudyGroup":
        """Return a validated group; raises `InvalidInput` with a one-line message."""
        return validated(cls, given, f"group {given.get('name', '')!s:.80}".strip(), see="")

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of the tasks of all studies, each once."""
        return tuple(dict.fromkeys(task for study in self.studies for task in study.task_names))

    def trials_by_key(self) -> dict[str, Trial]:
        """Return the trials of all studies by their keys, each once, in the order of the studies.

        Raises:
            InvalidInput: there are more than `MAX_TRIALS`, or a study is not valid.
        """
        count = sum(study.count() for study in self.studies)
        if count > MAX_TRIALS:
            raise InvalidInput(
                f"group {self.name} has {count:,} trials, more than the {MAX_TRIALS:,} of a group: "
                "list fewer studies, or make several groups"
            )
        unique: dict[str, Trial] = {}
        for study in self.studies:
            for key, trial in study.trials_by_key().items():
                unique.setdefault(key, trial)
        return unique

    def on_tasks(self, tasks: Collection[str]) -> "StudyGroup":
        """Return the group with the parts of its studies that are run on some of their tasks.

        Studies without any of these tasks are left out.

        Raises:
            InvalidInput: no study has one of them.
        """
        check_tasks(tasks, self.task_names, f"group {self.name}")
        parts = []
        for study in self.studies:
            if own := [task for task in study.task_names if task in tasks]:
                parts.append(study.on_tasks(own))
        return self.model_copy(update={"studies": tuple(parts)})


def load_study_or_group(name_or_file: str) -> Study | StudyGroup:
    """Return a shipped study or group by name, or what a YAML file holds.

    Raises:
        InvalidInput: as `load_study`; or it is a group that has fields of a study, is empty, or
            lists a study twice, one that does not exist or is not valid, or a group.
    """
    path = path_of(name_or_file)
    content = read_yaml(path, f"study {name_or_file}", FIELDS)
    if STUDIES_FIELD not in content:
        return load_study(name_or_file)
    return _group(content, path.parent, f"group {name_or_file}")


def load_group(name: str) -> StudyGroup:
    """Return a shipped group by name."""
    content = read_yaml(GROUPS / f"{name}.yaml", f"group {name}", FIELDS)
    return _group(content, GROUPS, f"group {name}")


def _group(content: Mapping[str, Any], folder: Path, what: str) -> StudyGroup:
    """Return the group that a file holds; raises as `load_study_or_group`."""
    for field in content:
        if field not in StudyGroup.model_fields and field in (*Study.model_fields, "include"):
            raise InvalidInput(
                f"{what}: '{field}' belongs to a study, and '{STUDIES_FIELD}' to a group of them: "
                "leave one of the two out"
            )
    try:
        listed = _listed(content[STUDIES_FIELD])
        content = {**content, STUDIES_FIELD: [_member(one, folder) for one in listed]}
        return validated(StudyGroup, content, what, see="")
    except InvalidInput as error:
        raise InvalidInput(str(error) if what in str(error) else f"{what}: {error}") from None


def _listed(given: Any) -> list[str]:
    """Return the members of a group as they are written.

    Raises:
        InvalidInput: they are no list of texts, are too many, or one is given twice.
    """
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise InvalidInput(
            f"{STUDIES_FIELD}={given!r:.80} is not usable: give a list of shipped studies and "
            "study files, e.g. [quickstart, mine.yaml]"
        )
    if len(given) > MAX_STUDIES:
        raise InvalidInput(
            f"{STUDIES_FIELD}: {len(given):,} are listed: give at most {MAX_STUDIES}"
        )
    check_once(f"{STUDIES_FIELD}: study", given)
    return given


def _member(name_or_file: str, folder: Path) -> Study:
    """Return a study of a group whose file is in a folder.

    Raises:
        InvalidInput: there is no such study, it is not valid, or it is a group.
    """
    if name_or_file in shipped_studies() or name_or_file in shipped_groups():
        return load_study(name_or_file)
    if not name_or_file.endswith(FILES):
        message = unknown("study", name_or_file, shipped_studies(), see="list studies")
        raise InvalidInput(f"{message}; a study of your own is a file that ends in .yaml")
    return load_study(str(folder / name_or_file))
