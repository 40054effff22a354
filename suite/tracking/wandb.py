"""How trials are published to Weights & Biases: where, under which names. Imports no wandb."""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from suite.core.errors import InvalidInput
from suite.results.store import Store

PROJECT = "resonance-bench"
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class Mode(StrEnum):
    """Where runs go: to the server, to a folder for `wandb sync`, or nowhere."""

    ONLINE = "online"
    OFFLINE = "offline"
    OFF = "off"


WANDB_MODES = {
    "online": Mode.ONLINE,
    "run": Mode.ONLINE,
    "shared": Mode.ONLINE,
    "offline": Mode.OFFLINE,
    "dryrun": Mode.OFFLINE,
    "disabled": Mode.OFF,
}
"""What WANDB_MODE may be, and what it allows."""


class JobType(StrEnum):
    """What a run is part of: W&B groups runs by it, within the group of that name."""

    TRIAL = "trial"
    STUDY = "study"
    ABLATION = "ablation"
    TUNING = "tuning"


@dataclass(frozen=True)
class WandbConfig:
    """How runs are published.

    Attributes:
        mode: see `Mode`.
        project: W&B's project.
        entity: W&B's user or team; None is W&B's default.
        group: the name of the study, ablation or tuning, by which runs are grouped.
        job_type: which of these it is.
        artifacts: whether to upload weights and masks.
        folder: where wandb writes its files.
    """

    mode: Mode = Mode.OFF
    project: str = PROJECT
    entity: str | None = None
    group: str | None = None
    job_type: JobType = JobType.TRIAL
    artifacts: bool = False
    folder: str = "."

    def __post_init__(self) -> None:
        for field, name in (("project", self.project), ("entity", self.entity)):
            if name is not None and not NAME.fullmatch(name):
                raise InvalidInput(
                    f"W&B {field} {name!r:.60} is not usable: give letters, digits, '.', '_', '-'"
                )

    @classmethod
    def for_store(cls, store: Store, **given: Any) -> "WandbConfig":
        """Return settings with files in the store's folder, or in ``.`` if the store is a URL."""
        return cls(**{"folder": str(store.root.absolute()) if store.local else "."} | given)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "WandbConfig":
        """Return the settings whose fields are these, as JSON has them."""
        kinds = {"mode": Mode(content["mode"]), "job_type": JobType(content["job_type"])}
        return cls(**content | kinds)


def allowed_mode(asked: Mode) -> tuple[Mode, str]:
    """Return where runs may go by the variable WANDB_MODE, and a line if that is not as asked.

    The environment can only forbid: disabled sends and writes nothing, offline sends nothing.

    Raises:
        InvalidInput: the variable has a value that W&B does not know.
    """
    given = os.environ.get("WANDB_MODE", "").strip().lower()
    if asked is Mode.OFF or not given:
        return asked, ""
    if given not in WANDB_MODES:
        raise InvalidInput(
            f"WANDB_MODE={given!r:.60}: it is {', '.join(WANDB_MODES)}; correct it, or unset it"
        )
    order = [Mode.OFF, Mode.OFFLINE, Mode.ONLINE]
    mode = min(asked, WANDB_MODES[given], key=order.index)
    if mode is asked:
        return asked, ""
    what = "nothing is sent or written" if mode is Mode.OFF else "runs are written, and not sent"
    return mode, f"W&B: WANDB_MODE={given}, so {what} (--wandb {asked} was asked for)"
