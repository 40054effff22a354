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
    found = []
    for one in entries:
        same_terms = (one.tuned, one.older) == (control.tuned, control.older)
        if not same_terms or one == control:
            continue
        if (one.method == declared and one.settings == control.settings) or (one.method == control.method and one.settings == own):
            found.append(one)
    return found
