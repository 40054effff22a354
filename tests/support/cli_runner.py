"""The `resonance` command as a user sees it: exit code, standard output, standard error."""

import sys
from dataclasses import dataclass

import pytest

from suite.cli import app as cli


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error of a refused command."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in self.out + self.err
        assert self.code == 2
        return lines[0]


class Command:
    """Runs the command in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, line: str, *more: object) -> Result:
        """Run ``resonance <line> <more…>``; words of `line` are separated by spaces."""
        words = [*line.split(), *map(str, more)]
        self._monkeypatch.setattr(sys, "argv", ["resonance", *words])
        self._capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        assert isinstance(code, int)
        return Result(code, *self._capsys.readouterr())
