"""One W&B run of a trial, from its start to its end.

wandb is imported only when a run is made, and only in a separate process (`suite.tracking.tracker`)
or by `resonance wandb push`, because it may hang, exit or fill its pipes.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from suite.core.redact import redact_data
from suite.results.store import Store
from suite.tracking.view import ARTIFACT_FILES, View
from suite.tracking.wandb import Mode, WandbConfig

POLL_SECONDS, STABLE_POLLS, MAX_WAIT_SECONDS = 0.05, 3, 30.0
"""Wait for another process's file: poll until its size was equal this many times."""
START_SECONDS, FINISH_SECONDS = 30.0, 120.0


class WandbRun:
    """A run that is open: rows of its history are added, then it is finished.

    W&B measures a run's time from when its process began it. That is not the time of the trial, so
    rows and summary are given the trial's own seconds (``_runtime``).

    Raises (all methods): any exception that wandb raises.
    """

    def __init__(self, settings: WandbConfig, *, own_summary: bool = True, **about: Any) -> None:
        """Begin a run.

        Args:
            settings: where.
            own_summary: whether `complete` writes the summary; else wandb makes it of the history.
            about: arguments of `wandb.init` (id, name, tags, config, …).
        """
        self._settings, self._id = settings, about["id"]
        self._folder = Path(settings.folder).resolve()  # wandb remembers the folder it started in
        (self._folder / "wandb").mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("WANDB_SILENT", "true")  # the setting comes too late for the login
        # Where artifacts wait for `wandb sync`; the default is the home folder.
        os.environ.setdefault("WANDB_DATA_DIR", str(self._folder / "wandb" / "data"))
        import wandb

        self._wandb = wandb
        self.run = wandb.init(
            mode=settings.mode.value,  # type: ignore[arg-type]
            project=settings.project,
            entity=settings.entity,
            group=settings.group,
            dir=str(self._folder),
            reinit="create_new",
            settings=_quiet_settings(wandb, own_summary=own_summary),
            **redact_data(about),
        )
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")
        self._rows, self._seconds = 0, 0.0
        self._series = {"step"}
        self._last: dict[str, float] = {}

    @property
    def has_rows(self) -> bool:
        """Whether its history has any row."""
        return self._rows > 0

    def log(self, row: Mapping[str, Any], seconds: float, timestamp: float) -> None:
        """Add a row to the history.

        Args:
            row: values by series; a histogram is a list of values, a picture is a `wandb.Image`.
            seconds: since the trial began.
            timestamp: when, in seconds since 1970.
        """
        for name in row.keys() - self._series:
            self._series.add(name)
            self.run.define_metric(name, step_metric="step")
        values = {name: self._value(value) for name, value in row.items()}
        self._last |= {name: v for name, v in row.items() if isinstance(v, int | float)}
        clock = {"_timestamp": timestamp, "_runtime": seconds}
        publish = getattr(getattr(self.run, "_interface", None), "_publish_history", None)
        if publish is None:  # another version of wandb, which then gives the row its own seconds
            self.run.log({**values, **clock}, step=self._rows)
        else:
            # `run.log` replaces _runtime, and wandb has no setting for when a run began.
            publish(_history_record(self.run, {**values, **clock}, self._rows))
        self._rows, self._seconds = self._rows + 1, seconds

    def complete(self, store: Store, found: View) -> str:
        """Add what only the record has (summary, configuration, pictures, files); end the run.

        Returns:
            The run's address, or its folder if it is offline.
        """
        record = found.record
        seconds = record.timing.get("seconds")
        self.run.config.update(redact_data(found.config()), allow_val_change=True)
        self.run.tags = redact_data(tuple(found.tags))
        figures = self._pictures(found)
        if figures:
            last = float(seconds) if isinstance(seconds, int | float) else 0.0
            self.log(figures, last, time.time())
        for name, value in redact_data({**self._last, **found.summary()}).items():
            self.run.summary[name] = value
        if isinstance(seconds, int | float):
            self.run.summary["_runtime"] = seconds
            self.run.summary["_wandb"] = {"runtime": seconds}
        if self._settings.artifacts:
            self.run.log_artifact(self._artifact(store, found))
        return self.finish(int(record.status == "failed"))

    def end_early(self, status: str) -> str:
        """End the run of a trial that ended without a record, for a reason that is no failure."""
        self.run.tags = (*(self.run.tags or ()), status)
        for name, value in {**self._last, "status": status}.items():
            self.run.summary[name] = value
        self.run.summary["_runtime"] = self._seconds
        self.run.summary["_wandb"] = {"runtime": self._seconds}
        return self.finish()

    def log_tables(self, tables: Mapping[str, Any]) -> None:
        """Add tables (polars frames), and the numbers of their rows to the summary."""
        self.run.log(
            {
                name: self._wandb.Table(
                    columns=table.columns, data=redact_data(table.rows()), allow_mixed_types=True
                )
                for name, table in tables.items()
            }
        )
        for name, table in tables.items():
            self.run.summary[f"rows/{name}"] = len(table)

    def finish(self, exit_code: int = 0) -> str:
        """End the run, and return its address or its folder; older folders of it are removed."""
        where = Path(self.run.settings.sync_dir)
        online = self._settings.mode is Mode.ONLINE
        url = str(self.run.url) if online else ""  # offline, reading it logs a warning
        self.run.finish(exit_code=exit_code)
        if online:
            return url
        if self._folder not in where.resolve().parents or not _wait_until_written(where):
            raise OSError(f"wandb wrote nothing to {self._folder}")
        for older in (self._folder / "wandb").glob(f"offline-run-*-{self._id}"):
            if older.resolve() != where.resolve():
                shutil.rmtree(older, ignore_errors=True)
        return str(where)

    def abandon(self) -> None:
        """End the run as failed; errors are ignored, because there has been one."""
        with contextlib.suppress(Exception, SystemExit):
            self.run.finish(exit_code=1)

    def _value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        edges = [number / len(value) for number in range(len(value) + 1)]
        return self._wandb.Histogram(np_histogram=(value, edges))

    def _pictures(self, found: View) -> dict[str, Any]:
        from PIL import Image

        figures = {
            f"figures/{name}": self._wandb.Image(Image.open(io.BytesIO(content)))
            for name, content in found.pictures().items()
        }
        return figures | {f"masks/{n}": self._wandb.Image(mask) for n, mask in found.masks.items()}

    def _artifact(self, store: Store, found: View) -> Any:
        key = found.record.key
        artifact = self._wandb.Artifact(f"trial-{key}", type="model", metadata={"key": key})
        for name in ARTIFACT_FILES:
            try:
                content = store.load(key, name)
            except FileNotFoundError:
                continue
            with tempfile.NamedTemporaryFile() as file:  # wandb copies it
                file.write(content)
                file.flush()
                artifact.add_file(file.name, name=name)
        return artifact


def log_history(run: WandbRun, found: View, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows of a finished trial, whose curves do not say when: in proportion to the steps."""
    seconds = found.record.timing.get("seconds")
    total = float(seconds) if isinstance(seconds, int | float) else 0.0
    began = time.time() - total
    with contextlib.suppress(ValueError, TypeError):
        began = datetime.fromisoformat(str(found.record.timing.get("started"))).timestamp()
    share = shares_of_training(rows)
    for row, part in zip(rows, share, strict=True):
        run.log(row, part * total, began + part * total)


def shares_of_training(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the share of the training that is done at each row, by the steps; the last has 1."""
    done, reached, before = 0, [], (0, 0)
    for row in rows:
        number, step = row["round"], row["step"]
        done += max(0, step - before[1]) if number == before[0] else step
        before = (number, step)
        reached.append(done)
    return [count / done if done else 1.0 for count in reached]


def written_bytes(folder: Path) -> int:
    """Return the size of a run's file in its folder; 0 if there is none."""
    return sum(path.stat().st_size for path in folder.glob("*.wandb"))


def _wait_until_written(folder: Path) -> bool:
    """Wait until wandb's own process has written a run; return False after a timeout.

    `finish` asks that process to close the run's file and does not wait for it.
    """
    sizes = [-1]
    for _ in range(int(MAX_WAIT_SECONDS / POLL_SECONDS)):
        sizes.append(written_bytes(folder))
        if sizes[-1] > 0 and set(sizes[-STABLE_POLLS:]) == {sizes[-1]}:
            return True
        time.sleep(POLL_SECONDS)
    return sizes[-1] > 0


def _history_record(run: Any, values: dict[str, Any], number: int) -> Any:
    """Return row `number` of a run's history as the message that wandb's own process takes."""
    from wandb.proto.wandb_internal_pb2 import HistoryRecord
    from wandb.sdk.data_types.utils import history_dict_to_json

    record = HistoryRecord()
    record.step.num = number
    content = history_dict_to_json(run, values, step=number) | {"_step": number}
    for name, value in content.items():
        record.item.add(key=name, value_json=json.dumps(value))
    return record


def _quiet_settings(wandb: Any, *, own_summary: bool) -> Any:
    """Return settings with which wandb prints nothing and collects nothing about this machine."""
    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    # wandb would put the seconds of its own process into the summary.
    derived = {"x_server_side_derived_summary": own_summary}
    known = getattr(wandb.Settings, "model_fields", {})
    return wandb.Settings(
        silent=True,
        console="off",
        program="resonance",
        disable_git=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        init_timeout=START_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
        **{name: value for name, value in derived.items() if name in known},
    )
