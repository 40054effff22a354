"""What pyproject.toml cannot say: versions are git's tags, and what is built names its commit.

A commit that is tagged `v1.2.3`, with no uncommitted changes, is version 1.2.3. Everything else (a
later commit, a clone without tags, a copy without git) is the version in development.
"""

import json
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from setuptools_scm.version import ScmVersion

ROOT = Path(__file__).parent
IN_DEVELOPMENT = "0.2.0.dev0"
"""Without a number of commits, so that it stays right in a checkout that is installed once."""
BUILT_FROM = Path("suite", "built_from.json")
"""Read by `suite.core.own_version`; an archive of the sources has it too."""


def version_of(found: ScmVersion) -> str:
    """Return the version of a tag if it is exactly what is built, else that in development."""
    return str(found.tag) if found.exact else IN_DEVELOPMENT


def write_commit(folder: Path) -> None:
    """Write which commit is built, and whether files differ from it; nothing outside of git."""
    if not (ROOT / ".git").exists():
        return
    try:
        content = {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):  # git is missing, or does not trust the folder
        return
    file = folder / BUILT_FROM
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content) + "\n")


def git(*words: str) -> str:
    """Return what git prints of this checkout."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class BuildPy(build_py):
    """Builds a wheel, which names its commit; an editable installation asks git."""

    def run(self) -> None:
        """Build, and write the commit beside the code."""
        super().run()
        if not self.editable_mode:
            write_commit(Path(self.build_lib))


class Sdist(sdist):
    """Builds an archive of the sources, which names its commit."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Collect what goes into the archive, and write the commit."""
        super().make_release_tree(base_dir, files)
        write_commit(Path(base_dir))


setup(
    use_scm_version={
        "version_scheme": version_of,
        "local_scheme": "no-local-version",
        "fallback_version": IN_DEVELOPMENT,
    },
    cmdclass={"build_py": BuildPy, "sdist": Sdist},
)
