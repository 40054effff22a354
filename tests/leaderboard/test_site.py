"""The folder of a site: what is in it, what is kept, what is removed, and what it may not do."""

import base64
import json
import math
import re
import struct
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest

from leaderboard.bundles.bundle_file import Header, write_bundle
from leaderboard.output_folder import MANIFEST, SiteFolder
from leaderboard.pages.curve_data import curves_json
from leaderboard.site.build import build
from suite.core.errors import InvalidInput, TrialFailed
from suite.results.integrity import with_integrity
from suite.results.record import Record, failed
from suite.results.store import Store
from suite.results.stored_curves import schema
from suite.tuning.schema import save_tuning
from tests.leaderboard.sample_bundles import packed
from tests.support.sample_records import done, make_trial, with_counts
from tests.tuning.sample import tuning

HOSTILE = "<script>alert('x')</script>\"&../../x"


def curves(rows: list[tuple]) -> bytes:
    import io

    buffer = io.BytesIO()
    pl.DataFrame(rows, schema=schema(), orient="row").write_parquet(buffer)
    return buffer.getvalue()


def unpacked(text: str) -> tuple[list[list], list[int], list[float]]:
    """Return what a page holds of curves: series, all their steps, all their values."""
    data = json.loads(text)
    step, value = (base64.b64decode(data[name]) for name in ("step", "value"))
    return (
        data["series"],
        list(struct.unpack(f"<{len(step) // 4}I", step)),
        list(struct.unpack(f"<{len(value) // 4}f", value)),
    )


CURVES = curves(
    [(0, step, "train_loss", "", 0, 1.0 / step) for step in (10, 20)]
    + [(0, step, "age", "1", i, 0.25) for step in (10, 20) for i in range(4)]
)


def fill(store: Store, *records: Record, content: bytes | None = CURVES) -> Store:
    for record in records:
        files = {"record.json": record.to_json()}
        store.write(record.key, files | ({"curves.parquet": content} if content else {}))
    return store


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Return the site of a small store, with a failure, a stranger and a damaged record."""
    folder = tmp_path_factory.mktemp("site")
    stranger = done(make_trial(seed=7))
    stranger.trial["method"] = HOSTILE
    broken = failed(make_trial("rigl", seed=8), TrialFailed(HOSTILE))
    records = [done(make_trial(m, seed=s)) for m in ("dense", "static") for s in range(2)]
    store = fill(Store(folder / "store"), *records, stranger, broken)
    lost = make_trial(seed=99).key
    (store.trials / lost).mkdir()
    (store.trials / lost / "record.json").write_text("{ broken")
    built = build(store, folder / "out")
    assert [(one.key, "record" in one.reason) for one in built.excluded][-1] == (lost, True)
    return folder / "out"


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_every_record_task_and_method_has_a_page(site):
    names = files(site)
    assert sum(name.startswith("trials/") for name in names) == 6
    assert sum(name.startswith("tasks/") for name in names) == 1
    assert sum(name.startswith("methods/") for name in names) == 4
    assert {"index.html", "paper.html", "leaderboard.md", "leaderboard.csv", "trials.csv"} <= {
        *names
    }


def test_every_link_within_the_site_leads_to_a_file(site):
    pages = [path for path in site.rglob("*.html") if path.name != "index.html"]
    for page in pages:
        for address in re.findall(r'(?:href|src)="([^"#]+)"', page.read_text(encoding="utf-8")):
            assert ":" not in address, address
            assert (page.parent / unquote(address)).is_file(), (page.name, address)


def test_hostile_names_stay_text_on_every_page(site):
    for page in [path for path in site.rglob("*.html") if path.name != "index.html"]:
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text, page
    assert all(path.resolve().is_relative_to(site.resolve()) for path in site.rglob("*"))


def test_a_failed_trial_has_a_page_with_its_error(site):
    pages = [p.read_text() for p in (site / "trials").iterdir()]
    (page,) = [text for text in pages if "Failed." in text]
    assert "&lt;script&gt;alert" in page
    assert "resonance run digits/mlp rigl -s 0.9 --seed 8" in page


def test_a_trial_page_says_how_to_run_it_again_and_holds_its_curves(site):
    key = make_trial("static", seed=1).key
    page = (site / "trials" / f"{key}.html").read_text()
    assert "resonance run digits/mlp static -s 0.9 --seed 1" in page
    found = re.search(r'id="curves">(.*?)</script>', page)
    assert found is not None
    assert unpacked(found[1]) == (
        [[0, "train_loss", "", 2, 2], [0, "age", "1", 2, 8]], [10, 20] * 2,
        pytest.approx([0.1, 0.05, *[0.25] * 8]),
    )  # fmt: skip


def test_curves_that_are_damaged_are_said_to_be_and_spoil_no_others(tmp_path):
    good, bad = done(make_trial(seed=0)), done(make_trial(seed=1))
    store = fill(Store(tmp_path / "store"), good)
    fill(store, bad, content=b"PAR1 nonsense")
    build(store, tmp_path / "out")
    assert 'id="curves"' in (tmp_path / "out/trials" / f"{good.key}.html").read_text()
    assert "curves.parquet is damaged" in (
        (tmp_path / "out/trials" / f"{bad.key}.html").read_text()
    )


def test_a_damaged_evaluation_is_in_the_list_of_what_is_left_out(tmp_path):
    records = [done(make_trial(seed=seed)) for seed in range(3)]
    store = fill(Store(tmp_path / "store"), *records)
    store.backend.save_shared(f"evaluations/{records[2].key}-cpu.json", b"{")
    (left_out,) = build(store, tmp_path / "out").excluded
    assert left_out.key == f"evaluations/{records[2].key}-cpu.json"
    assert "run `resonance evaluate` again" in left_out.reason
    assert f"{records[2].key}-cpu.json" in (tmp_path / "out" / "index.html").read_text()


def test_numbers_that_json_cannot_say_are_missing_values():
    values = (math.nan, math.inf, 1e300, 0.123456)
    rows = [(0, 1, "train_loss", "", 0, value) for value in values]
    _, _, found = unpacked(curves_json({"a": curves(rows)})["a"])
    assert [math.isfinite(value) for value in found] == [False, False, False, True]
    assert found[3] == pytest.approx(0.123456)


def test_curves_of_many_trials_are_each_trials_own():
    """Rows come in any order, by step; trials have other series, and one has none."""
    contents, expected = {}, {}
    for place, series in enumerate((("b", "a"), (), ("a", "c", "b"))):
        rows = [
            (round_, step, name, layer, index, 100 * place + step + index / 4)
            for round_ in (0, 1)
            for step in (5, 9)
            for layer in ("1", "3")
            for name in series
            for index in range(3 if name == "c" else 1)
        ]
        contents[str(place)] = curves(rows)
        groups: dict[tuple, list] = {}
        for round_, step, name, layer, index, value in rows:
            groups.setdefault((round_, name, layer), []).append((step, index, value))
        expected[str(place)] = groups
    found = curves_json(contents)
    assert list(found) == list(contents)
    for key, text in found.items():
        heads, steps, values = unpacked(text)
        assert {tuple(head[:3]) for head in heads} == set(expected[key])
        for round_, name, layer, n_steps, n_values in heads:
            group = expected[key][round_, name, layer]
            own, steps = steps[:n_steps], steps[n_steps:]
            assert own == [step for step, index, _ in group if index == 0]
            own, values = values[:n_values], values[n_values:]
            assert own == [value for _, _, value in group]
        assert steps == values == []


def test_curves_of_a_trial_are_in_their_own_order_whatever_was_read_before():
    one = curves([(0, 1, name, layer, 0, 1.0) for name in ("b", "a") for layer in ("3", "1")])
    other = curves([(0, 1, name, layer, 0, 1.0) for name in ("a", "b") for layer in ("1", "3")])
    alone = curves_json({"one": one})["one"]
    assert [head[1:3] for head in unpacked(alone)[0]] == [
        ["b", "3"], ["b", "1"], ["a", "3"], ["a", "1"]
    ]  # fmt: skip
    assert curves_json({"other": other, "one": one})["one"] == alone
    assert curves_json({"one": one, "other": other})["one"] == alone


def test_pages_that_would_be_the_same_stay_and_those_of_gone_trials_go(tmp_path):
    out = tmp_path / "out"
    first, second = done(make_trial(seed=0)), done(make_trial(seed=1))
    build(fill(Store(tmp_path / "both"), first, second), out)
    page = out / "trials" / f"{first.key}.html"
    (out / "trials" / "mine.html").write_text("mine")
    before = page.stat().st_mtime_ns
    build(fill(Store(tmp_path / "one"), first), out)
    assert page.stat().st_mtime_ns == before
    assert not (out / "trials" / f"{second.key}.html").exists()
    assert (out / "trials" / "mine.html").read_text() == "mine"


def test_a_manifest_from_elsewhere_removes_nothing_outside_the_folder(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "link").symlink_to(outside)
    names = {"../outside.txt": "x", str(outside): "x", "link": "x", "gone": "x"}
    (out / MANIFEST).write_text(json.dumps(names))
    folder = SiteFolder(out)
    folder.begin(["a.html"])
    folder.write("a.html", "a")
    folder.finish()
    assert outside.read_text() == "mine"
    assert (out / "link").is_symlink()
    assert list(json.loads((out / MANIFEST).read_text())) == ["a.html"]


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path):
    out = tmp_path / "out"
    killed = SiteFolder(out)
    killed.begin(["trials/a.html", "trials/b.html"])
    (out / "trials" / "a.html").write_text("a")
    again = SiteFolder(out)
    again.begin(["trials/b.html"])
    again.write("trials/b.html", "b")
    again.finish()
    assert set(files(out)) == {MANIFEST, "trials/b.html"}


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    out = tmp_path / "out"
    store = fill(Store(tmp_path / "store"), done(make_trial(seed=0)))
    build(store, out)
    before = files(out)
    fill(store, done(make_trial(seed=0), 0.5))

    def full(path: Path, content: bytes | str, *, sync: bool = True) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("leaderboard.output_folder.atomic_write", full)
    with pytest.raises(InvalidInput, match="No space left on device"):
        build(store, out)
    monkeypatch.undo()
    assert files(out) == before


def test_a_tuning_of_the_store_has_a_page_that_the_main_page_and_its_method_lead_to(tmp_path):
    store = fill(Store(tmp_path / "store"), *(done(make_trial(m)) for m in ("dense", "rigl")))
    asked = tuning()
    asked.methods["rigl"].trials[1].reason = HOSTILE
    save_tuning(store, asked)
    out = tmp_path / "site"
    build(store, out)
    address = f"tunings/{asked.settings.name}.html"
    page = (out / address).read_text()
    found = asked.methods["rigl"]
    assert page.count('<th scope="row">') >= len(found.trials) + len(found.space)
    assert all(dimension.name in page for dimension in found.space)
    assert f"optuna-dashboard tuning/{asked.settings.name}.journal" in page
    assert "<script>alert" not in page
    assert {"rigl-history", "rigl-slice"} <= json.loads(
        re.search(r'id="specifications">(.*?)</script>', page)[1]
    )["charts"].keys()
    (method,) = (out / "methods").glob("rigl-*.html")
    assert f"../{address}" in method.read_text()
    assert address in (out / "index.html").read_text()


def test_who_sent_a_record_is_said_on_its_page_and_on_the_main_page(tmp_path):
    own, sent = (with_counts(done(make_trial(seed=seed))) for seed in (0, 1))
    header = Header.make(name="A <b>group", note=HOSTILE, link="https://example.org/x?a=1&b=2")
    write_bundle([own, sent], header, tmp_path / "a.jsonl.gz")
    store = fill(Store(tmp_path / "store"), own)
    build(store, tmp_path / "out", bundles=[tmp_path / "a.jsonl.gz"])
    page = (tmp_path / "out/trials" / f"{sent.key}.html").read_text()
    link = '<a href="https://example.org/x?a=1&amp;b=2" rel="nofollow noreferrer">'
    assert f"Sent by <bdi>A &lt;b&gt;group</bdi> ({link}" in page
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page
    assert "came in a bundle, which contains no curves" in page
    mine = (tmp_path / "out/trials" / f"{own.key}.html").read_text()
    assert "Sent by" not in mine
    assert "in a bundle" not in mine
    index = (tmp_path / "out/index.html").read_text()
    assert f"1 record by <bdi>A &lt;b&gt;group</bdi> ({link}" in index


def test_a_site_of_bundles_alone_says_why_it_has_no_curves(tmp_path):
    record = with_counts(done(make_trial()))
    write_bundle([record], Header.make(name="A group"), tmp_path / "a.jsonl.gz")
    build([], tmp_path / "out", bundles=[tmp_path / "a.jsonl.gz"])
    page = (tmp_path / "out/trials" / f"{record.key}.html").read_text()
    assert "came in a bundle, which contains no curves" in page


def test_what_check_rejects_is_listed_with_its_reason_and_not_counted(tmp_path):
    content = json.loads(done(make_trial(seed=0)).to_json())
    layer = content["layers"][0]
    unsound = {
        "it has no checksums": content | {"schema_version": 1},
        "not the hash of its configuration": with_integrity(content | {"key": "0" * 16}, {}),
        "not in [0, 1]": with_integrity(content | {"metrics": {"test_accuracy": 1.5}}, {}),
        "not 900": with_integrity(content | {"layers": [layer | {"zeros": 500}]}, {}),
    }
    path = packed(tmp_path / "a.jsonl.gz", *unsound.values())
    built = build(fill(Store(tmp_path / "store"), done(make_trial(seed=1))), tmp_path / "out",
                  bundles=[path])  # fmt: skip
    (board,) = built.boards
    assert [cell.seeds for _, (cell,) in board.rows] == [[1]]
    assert [one.key for one in built.excluded] == [f"a.jsonl.gz, line {n}" for n in range(2, 6)]
    for one, reason in zip(built.excluded, unsound, strict=True):
        assert reason in one.reason


EXTREME = {
    "inference_dense": {"flops": {"inference_dense": 0.0}},
    "a fraction of an operation": {"flops": {"inference_dense": 5e-324}},
    "a list of numbers": {"trial": {"hyperparameters": {"a": [1, 2]}}},
    "a list for a recipe": {"trial": {"recipe": {"a": [1, 2]}}},
    "a list for an execution": {"trial": {"execution": [1, 2]}},
    "a loss without bounds": {"metrics": {"test_nll": 1.7e308}},
    "an accuracy without bounds": {"metrics": {"test_accuracy": 1.7e308}},
    "an accuracy next to nothing": {"metrics": {"test_accuracy": 5e-324}},
    "a seed without bounds": {"trial": {"seed": 2**900}},
}


@pytest.mark.parametrize("kind", EXTREME)
def test_a_number_that_nothing_can_be_computed_with_stops_no_build_and_no_comparison(
    resonance, place, kind
):
    store = Store(place / "results")
    fill(store, *(done(make_trial(m, seed=s)) for m in ("dense", "static", "rigl") for s in (0, 1)))
    for seed in (8, 9):
        trial = make_trial("static", seed=seed)
        content = json.loads(done(trial).to_json())
        for part, values in EXTREME[kind].items():
            content[part] |= values
        store.write(trial.key, {"record.json": json.dumps(content).encode()})
    result = resonance("leaderboard build --out out")
    assert result.code == 0, result.err
    assert result.out.count("is not a record") == 2
    assert len(list((place / "out/trials").iterdir())) == 6
    result = resonance("compare static rigl")
    assert result.code == 0, result.err
    assert result.out.count("left out:") == 2
