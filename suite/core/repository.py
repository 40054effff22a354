"""Where this project is published: the one setting from which every address follows.

It is `[tool.resonance-bench] repository` in pyproject.toml: ``owner/name`` on GitHub, or empty as
long as there is none. In GitHub Actions an empty setting means the repository that the workflow
runs in. Where nothing is set, pages have no such links.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.core.errors import InvalidInput

SETTING = "[tool.resonance-bench] repository"
VARIABLE = "GITHUB_REPOSITORY"
BRANCH = "main"
_PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub."""

    owner: str
    name: str

    @property
    def url(self) -> str:
        """Its own page."""
        return f"https://github.com/{self.owner}/{self.name}"

    @property
    def site(self) -> str:
        """The documentation, with the leaderboard inside, as pages.yml publishes it."""
        host = f"{self.owner.lower()}.github.io"
        return f"https://{host}/" if self.name.lower() == host else f"https://{host}/{self.name}/"

    def file(self, path: str) -> str:
        """Return the page of a file, given by its path in the repository."""
        return f"{self.url}/blob/{BRANCH}/{path}"

    def colab(self, path: str) -> str:
        """Return where Colab opens a notebook, given by its path in the repository."""
        return f"https://colab.research.google.com/github/{self.owner}/{self.name}/blob/{BRANCH}/{path}"


def repository(
    pyproject: Path = _PYPROJECT, environment: Mapping[str, str] = os.environ
) -> Repository | None:
    """Return the repository that is set; None where none is, and in an installed package.

    Raises:
        InvalidInput: the setting is not ``owner/name``.
    """
    if not pyproject.is_file():
        return None
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    found = str(project.get("tool", {}).get("resonance-bench", {}).get("repository", ""))
    if not found and environment.get("GITHUB_ACTIONS") == "true":
        found = environment.get(VARIABLE, "")
    if not found:
        return None
    if not re.fullmatch(r"[A-Za-z0-9-]+/(?!\.{1,2}$)[A-Za-z0-9._-]+", found):
        raise InvalidInput(f"{SETTING} = {found!r}: it is owner/name on GitHub, or empty")
    owner, _, name = found.partition("/")
    return Repository(owner, name)
