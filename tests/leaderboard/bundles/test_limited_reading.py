"""Files of strangers are read in a process with limits; one file costs one file."""

import gzip
import json

import pytest

from leaderboard.bundles import limited_reading
from leaderboard.bundles.bundle_file import SHIPPED, Bundle, Rejected, read_bundles
from leaderboard.bundles.bundle_file import read_bundle as read_directly
from leaderboard.bundles.limited_reading import read_bundle
from suite.cli import check_process
from suite.core.errors import InvalidInput
from suite.core.limited_process import LimitExceeded
from suite.results.record import failed
from tests.leaderboard.sample_bundles import HEADER, content, packed, sample
from tests.support.sample_records import make_trial

EMPTY_LAYER = {"name": "", "shape": [], "zeros": 0, "flops": 0}


def plain(bundle):
    return [bundle.header, [(r.model_dump(), r.integrity) for r in bundle.records], bundle.rejected]


def test_a_bundle_read_in_another_process_is_the_same(tmp_path):
    path = packed(tmp_path / "a b.jsonl.gz", content(sample()), "?", content(sample(seed=1)))
    assert len(read_bundle(path).records) == 2
    assert plain(read_bundle(path)) == plain(read_directly(path))


def test_what_is_no_bundle_is_refused_as_it_is_directly(tmp_path):
    (path := tmp_path / "a.jsonl.gz").write_bytes(b"?")
    with pytest.raises(InvalidInput) as here:
        read_directly(path)
    with pytest.raises(InvalidInput, match="is not a submission") as there:
        read_bundle(path)
    assert str(there.value) == str(here.value)


def test_a_shipped_file_is_read_without_another_process(monkeypatch):
    monkeypatch.setattr(limited_reading, "ask", lambda *given: pytest.fail("a process was started"))
    assert read_bundle(next(SHIPPED[0].glob("official_small*"))).records


def test_a_file_beyond_the_memory_allowed_is_left_out_and_hides_no_other(tmp_path, monkeypatch):
    small = packed(tmp_path / "small.jsonl.gz", content(sample()))
    layers = {"layers": [EMPTY_LAYER] * 4000}
    records = [failed(make_trial(seed=seed), ValueError("x")) for seed in range(15)]
    large = packed(tmp_path / "large.jsonl.gz", *(content(one, **layers) for one in records))
    monkeypatch.setattr(limited_reading, "MEMORY", 30 * 2**20)
    (bundle,), ((where, reason),) = read_bundles([large, small], read_bundle)
    assert len(bundle.records) == 1
    assert where == "large.jsonl.gz"
    assert "takes more than the 30 MiB of memory allowed" in reason


def test_a_folder_leaves_out_what_exceeds_a_limit(tmp_path):
    for name in ("a", "b"):
        packed(tmp_path / f"{name}.jsonl.gz", content(sample()))

    def read(path):
        if path.name.startswith("a"):
            raise LimitExceeded("too much")
        return Bundle(HEADER, [sample()], [])

    bundles, rejected = read_bundles([tmp_path], read)
    assert len(bundles) == 1
    assert rejected == [Rejected("a.jsonl.gz", "too much")]


def test_check_names_the_limit_and_exits_with_one(resonance, tmp_path, monkeypatch):
    path = packed(tmp_path / "a.jsonl.gz", *[content(sample(seed=seed)) for seed in range(500)])
    monkeypatch.setattr(limited_reading, "MEMORY", 2**20)
    result = resonance(f"leaderboard check {path}")
    assert result.code == 1
    assert "more than the 1 MiB of memory allowed" in result.out + result.err


def test_110_records_of_22000_layers_take_neither_memory_nor_time(tmp_path, monkeypatch):
    (path := tmp_path / "a.jsonl.gz").write_bytes(b"")
    layers = json.dumps([EMPTY_LAYER] * 22_000, separators=(",", ":"))
    with gzip.open(path, "wt") as file:
        file.write(json.dumps(HEADER.model_dump()) + "\n")
        for seed in range(110):
            record = json.dumps(content(failed(make_trial(seed=seed), ValueError("x")), layers=[]))
            file.write(record.replace('"layers": []', f'"layers": {layers}') + "\n")
    monkeypatch.setattr(limited_reading, "MEMORY", 150 * 2**20)  # or LimitExceeded is raised
    checked = check_process.check_file(path)
    assert checked.records == 0
    assert all("line" in issue.where for issue in checked.report.issues[:-1])
    key = failed(make_trial(), ValueError("x")).key
    assert f"trial {key}: " in checked.report.issues[0].what
