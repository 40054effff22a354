"""How often a checkpoint is taken. Imports no torch, because the command line parses it."""

import re
from dataclasses import dataclass

from suite.core.errors import InvalidInput

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class CheckpointInterval:
    """By time, by steps, or only when asked to stop (both None)."""

    seconds: float | None = 60.0
    steps: int | None = None

    @classmethod
    def parse(cls, text: str) -> "CheckpointInterval":
        """Read ``30s``, ``5m``, ``1h``, ``500steps`` or ``off``.

        Raises:
            InvalidInput: it is none of these.
        """
        if text == "off":
            return cls(None, None)
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|m|h)", text)
        if match and float(match[1]) > 0:
            return cls(float(match[1]) * UNITS[match[2]])
        match = re.fullmatch(r"(\d+) ?steps?", text)
        if match and int(match[1]) > 0:
            return cls(None, int(match[1]))
        raise InvalidInput(
            f"checkpoint interval {text!r}: write a time (30s, 5m, 1h), a number of steps "
            "(500steps), or off"
        )
