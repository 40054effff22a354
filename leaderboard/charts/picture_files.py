"""Pictures of charts as files of a site, drawn by processes while pages are written."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from leaderboard.charts.pictures import VERSION, drawn, picture_specification, warm_up
from leaderboard.output_folder import SiteFolder, inputs_digest
from leaderboard.workers import Workers
from suite.core.files import atomic_write


class PictureFiles:
    """Draws charts as SVG, PNG and PDF into ``charts/``; `finish` waits for them.

    Files that were made from the same chart, by the same code, are kept.
    """

    def __init__(self, folder: SiteFolder, code: str, workers: Workers) -> None:
        self._folder, self._code, self._workers = folder, code, workers
        self._running: list[tuple[Future[None], Sequence[str], str]] = []

    def add(self, charts: Mapping[str, Any]) -> None:
        """Draw charts, by name, unless their files are current."""
        for name, chart in charts.items():
            made_from = inputs_digest(VERSION, self._code, json.dumps(chart, sort_keys=True))
            files = [f"charts/{name}.{ending}" for ending in ("svg", "png", "pdf")]
            stale = [file for file in files if not self._folder.current(file, made_from)]
            if stale:
                work = (self._folder.root, stale, picture_specification(chart))
                self._running.append((self._workers.submit(draw, *work), stale, made_from))

    def finish(self) -> None:
        """Wait for the pictures, and note them in the folder.

        Raises:
            OSError: one cannot be written.
        """
        for running, files, made_from in self._running:
            running.result()
            for file in files:
                self._folder.wrote(file, made_from)
        self._running = []


def draw(root: Path, files: Sequence[str], specification: Mapping[str, Any]) -> None:
    """Draw a chart as these files.

    Raises:
        OSError: one cannot be written.
    """
    contents = drawn(specification)
    for file in files:
        atomic_write(root / file, contents[file.rpartition(".")[2]], sync=False)


def start_drawing(workers: Workers) -> None:
    """Make a process ready to draw, which takes as long as to draw some charts.

    One, as this process has work for the other core: with two, a rebuild takes longer.
    """
    if workers.several:
        workers.submit(warm_up)
