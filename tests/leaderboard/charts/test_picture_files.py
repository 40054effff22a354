"""Pictures are drawn again only if their chart is another."""

from pathlib import Path

import pytest

from leaderboard.charts import picture_files
from leaderboard.charts.picture_files import PictureFiles
from leaderboard.output_folder import SiteFolder
from leaderboard.workers import Workers

CHART = {"data": {"values": [{"x": 1}]}, "mark": "point", "encoding": {"x": {"field": "x"}}}


def drawn(root: Path, chart: dict, code: str = "code") -> dict[str, bytes]:
    folder = SiteFolder(root)
    folder.begin(["charts/one.svg"])
    pictures = PictureFiles(folder, code, Workers())
    pictures.add({"one": chart})
    pictures.finish()
    folder.finish()
    return {path.suffix: path.read_bytes() for path in (root / "charts").iterdir()}


def test_each_chart_is_three_files(tmp_path):
    found = drawn(tmp_path, CHART)
    assert found[".svg"].startswith(b"<svg")
    assert found[".png"].startswith(b"\x89PNG")
    assert found[".pdf"].startswith(b"%PDF")


def test_the_same_chart_is_the_same_picture_whatever_was_drawn_before(tmp_path):
    shades = {"x": {"field": "x"}, "color": {"field": "x", "type": "quantitative"}}
    chart = CHART | {"encoding": shades}
    first, second = (drawn(tmp_path / name, chart) for name in ("first", "second"))
    assert b"gradient_0" in first[".svg"]
    assert first[".svg"] == second[".svg"]
    assert first[".png"] == second[".png"]


@pytest.mark.parametrize(
    ("chart", "code", "again"),
    [(CHART, "code", 0), (CHART, "other", 1), (CHART | {"mark": "bar"}, "code", 1)],
)
def test_only_another_chart_or_other_code_is_drawn_again(tmp_path, monkeypatch, chart, code, again):
    drawn(tmp_path, CHART)
    count = []
    real = picture_files.drawn
    monkeypatch.setattr(picture_files, "drawn", lambda one: count.append(one) or real(one))
    drawn(tmp_path, chart, code)
    assert len(count) == again
