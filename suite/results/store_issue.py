"""What can be wrong with a file of a store, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

from suite.results.record import Damage

Kind = Damage | Literal["unreadable", "missing", "unverifiable", "leftover", "orphaned"]
REMEDY: dict[Kind, str] = {
    "truncated": "delete {where} and {remake}",
    "altered": "delete {where} and {remake}, or copy it again from the original store",
    "foreign": "move it out of the store",
    "newer": "update resonance-bench",
    "outdated": "run `resonance store migrate`",
    "unreadable": "check the permissions and the disk, and remove it if it is a link, a pipe or a "
    "folder in place of a file; then verify again",
    "missing": "delete {where} and {remake}",
    "unverifiable": "nothing: it is from before files of its kind had checksums and is read as it "
    "is",
    "leftover": "nothing while its process runs, else delete it or run `resonance store compact`",
    "orphaned": "nothing: it is not used; delete it, or merge the store that has its trial",
}


@dataclass(frozen=True)
class StoreIssue:
    """Something that is not as the store wrote it.

    `broken` files are not served as results; other issues are only reported. `remake` says how
    what is lost is made again.
    """

    kind: Kind
    where: str
    what: str
    remake: str = "run its study again"

    @property
    def broken(self) -> bool:
        """Whether it must be deleted or replaced."""
        return self.kind not in ("unverifiable", "leftover", "orphaned")

    @property
    def remedy(self) -> str:
        """What to do."""
        return REMEDY[self.kind].format(where=self.where, remake=self.remake)
