"""The workflow files, read as GitHub reads them, and their steps run as a runner runs them."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
SHELLS = {"": ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}
"""What GitHub runs a step with: where nothing is said, and where `bash` is."""


@dataclass(frozen=True)
class Step:
    """A step that runs commands.

    Attributes:
        place: its file, job and name.
        env: its variables; values may be expressions.
    """

    place: str
    run: str
    shell: str
    env: Mapping[str, str]

    def execute(
        self, cwd: Path, env: Mapping[str, str], **more: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Run it in a folder, with these variables and those of this process.

        Raises:
            AssertionError: a variable that the step sets is not given.
        """
        assert self.env.keys() <= env.keys(), self.place
        outside = {n: v for n, v in os.environ.items() if not n.startswith(("GITHUB_", "RUNNER_"))}
        return subprocess.run(
            [*SHELLS[self.shell], "-c", self.run],
            cwd=cwd,
            env=outside | dict(env),
            capture_output=True,
            text=True,
            check=False,
            **more,
        )


def read(path: Path) -> dict[str, Any]:
    """Return a workflow; its key `on`, which YAML reads as true, is 'on'."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["on"] = content.pop(True)
    return content


WORKFLOWS = {path.name: read(path) for path in sorted(FOLDER.glob("*.yml"))}


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every job with its place."""
    for file, workflow in WORKFLOWS.items():
        for name, job in workflow["jobs"].items():
            yield f"{file} {name}", job


def run_steps() -> dict[str, Step]:
    """Return every step that runs commands, by its place."""
    found = {}
    for place, job in jobs():
        shell = job.get("defaults", {}).get("run", {}).get("shell", "")
        for step in job.get("steps", []):
            if "run" in step:
                where = f"{place}: {step['name']}"
                assert where not in found, where
                found[where] = Step(
                    where, step["run"], step.get("shell", shell), step.get("env", {})
                )
    return found


STEPS = run_steps()
