"""Which entries of boards are controls of which others.

A control leaves out one ingredient of a method and is otherwise the same, so it has the method's
settings. Methods declare it (`Method.control_of`); a method with the setting `shuffle` is its own
control, in which a connection is judged by another one's signal.
"""

import re
from collections.abc import Iterable

from leaderboard.ablation_effects import OWN, SHUFFLE
from leaderboard.boards import Entry
from suite.experiments import registry

SHUFFLED = re.compile(rf"(?:^|, ){SHUFFLE}=(?!{OWN}\b)\w+")
"""The setting of a shuffled control, within settings."""


def controlled(control: Entry, entries: Iterable[Entry]) -> list[Entry]:
    """Return those of the entries that an entry is a control of, in their order."""
    known = registry.methods()
    declared = known[control.method].control_of if control.method in known else ""
    own = SHUFFLED.sub("", control.settings).removeprefix(", ")
    return [
        one
        for one in entries
        if (one.tuned, one.older) == (control.tuned, control.older)
        and (one.method, one.settings) in ((declared, control.settings), (control.method, own))
        and one != control
    ]
