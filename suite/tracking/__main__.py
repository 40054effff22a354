"""The process that talks to wandb, started by `suite.tracking.tracker`.

Its arguments are STORE and SETTINGS. It reads a line of JSON for each trial that starts
(``{"started": key}``), is in the store (``{"finished": key}``) or was ended early by a tuning
(``{"pruned": key}``), and answers the last two with one.
"""

import json
import os
import select
import signal
import sys
from typing import Any

from suite.core.redact import redacted_line
from suite.results.store import Store
from suite.tracking.live import LiveRuns
from suite.tracking.wandb import WandbConfig

POLL_SECONDS = 0.5
"""How often the files of running trials are read."""
LAST_SECONDS = 180
"""For what is still to be published; above `tracker.MAX_WAIT_SECONDS`."""
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""Signals that are for the command: it ends this process."""


def main(location: str, given: str) -> None:
    """Follow trials until standard input ends, and publish those that have ended."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discard what wandb prints
    runs = LiveRuns(Store(location), WandbConfig.from_json(json.loads(given)))
    waiting, ended = b"", False
    while not ended:
        if select.select([0], [], [], POLL_SECONDS)[0]:
            new = os.read(0, 2**16)
            ended = not new
            *lines, waiting = (waiting + new).split(b"\n")
            for line in lines:
                _take(runs, json.loads(line), answers)
        runs.poll()
    signal.alarm(LAST_SECONDS)  # the parent, which would end this process, may have been killed
    runs.close()


def _take(runs: LiveRuns, message: dict[str, str], answers: Any) -> None:
    if "started" in message:
        runs.start(message["started"])
        return
    ((what, key),) = message.items()
    answer = {"key": key}
    try:
        where = runs.finish(key) if what == "finished" else runs.prune(key)
        if where is None:
            return
        answer["where"] = where
    except (Exception, SystemExit) as error:
        answer["error"] = redacted_line(error)[:300]
    answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
