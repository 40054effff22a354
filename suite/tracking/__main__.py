"""The process that talks to wandb: reads trial keys, writes one line of JSON for each.

Its arguments are STORE and SETTINGS; `suite.tracking.tracker` starts it.
"""

import json
import os
import sys

from suite.core.redact import redacted_line
from suite.results.store import Store
from suite.tracking.wandb import Mode, WandbConfig, publish


def main(location: str, given: str) -> None:
    """Publish the trials whose keys are on standard input, one per line."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discard what wandb prints
    content = json.loads(given)
    settings = WandbConfig(**content | {"mode": Mode(content["mode"])})
    store = Store(location)
    for line in sys.stdin:
        key = line.strip()
        answer = {"key": key}
        try:
            answer["where"] = publish(store, key, settings)
        except (Exception, SystemExit) as error:
            answer["error"] = redacted_line(error)[:300]
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
