"""The process that talks to wandb: trials' keys in, one line of JSON out for each.

``python -m suite.tracking STORE SETTINGS``, started by `suite.tracking.tracker`.
"""

import json
import os
import sys

from suite.core.redact import redact
from suite.results.store import Store
from suite.tracking.wandb import Mode, WandbConfig, publish


def main(location: str, given: str) -> None:
    """Publish the trials named on standard input, one a line, until it ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what wandb prints is for nobody
    content = json.loads(given)
    settings = WandbConfig(**content | {"mode": Mode(content["mode"])})
    store = Store(location)
    for line in sys.stdin:
        key = line.strip()
        answer = {"key": key}
        try:
            answer["where"] = publish(store, key, settings)
        except (Exception, SystemExit) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            answer["error"] = redact(text)[:300]
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
