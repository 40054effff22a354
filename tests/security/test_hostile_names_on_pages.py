"""A store that holds records of hostile people, and the site that is made from it."""

import json
import re

from suite.core.shown_text import is_shown
from suite.results.integrity import with_integrity
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

SCRIPT = "<script>alert(1)</script>"
NAMES = [SCRIPT, 'x"onmouseover="alert(1)', "../../../escaped", "/etc/escaped", "%s{{7*7}}"]


def hostile(store: Store) -> None:
    """Put records under names that want to be more than names beside a sound one."""
    for number, name in enumerate(["digits/mlp", *NAMES]):
        record = done(make_trial(seed=number))
        content = json.loads(record.to_json())
        content["key"] = f"{number:016x}"
        content["trial"] |= {"method": name} if number else {}
        content["trial"] |= {"task": name} if name.startswith("../") else {}
        content["notes"] = [SCRIPT]
        store.write(content["key"], {"record.json": json.dumps(content).encode()})


def test_hostile_names_neither_run_nor_leave_the_folder_of_the_site(resonance, place, store):
    hostile(store)
    damaged = store.folder("f" * 16)
    damaged.mkdir()
    content = with_integrity(
        json.loads(done(make_trial()).to_json()) | {"notes": ["x" * 10**7]}, {}
    )
    (damaged / "record.json").write_text(json.dumps(content))
    before = {path.name for path in place.iterdir()}
    result = resonance("leaderboard build")
    assert result.code == 0, result.err
    assert {path.name for path in place.iterdir()} == before | {"site"}
    assert not list(place.parent.glob("escaped*"))
    pages = list((place / "site").rglob("*.html"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert SCRIPT not in text, page
        assert '"onmouseover="' not in text, page
        assert len(text) < 8 * 2**20
    assert "f" * 16 in (place / "site" / "index.html").read_text(encoding="utf-8")
    assert "f" * 16 in result.out


HIDDEN = "a\x1b]0;x\x07\x9b31m\u202eb\u200b\n=c"


def test_no_page_table_or_script_data_has_hidden_characters(resonance, place, store):
    for seed in (0, 1):
        record = done(make_trial(seed=seed))
        content = json.loads(record.to_json())
        content |= {"notes": [HIDDEN], "absent": {HIDDEN: HIDDEN}, "digests": {HIDDEN: HIDDEN}}
        content["timing"] |= {"started": HIDDEN, HIDDEN: HIDDEN}
        content["layers"][0]["name"] = HIDDEN
        if seed:
            content |= {"status": "failed", "error": {"type": "E", "message": HIDDEN}}
        content = with_integrity(content, {})
        store.write(record.key, {"record.json": json.dumps(content).encode()})
    (place / "results" / "studies").mkdir(exist_ok=True)
    (place / "results" / "studies" / f"{HIDDEN}.json").write_text("{")
    lines = ["leaderboard build", "list trials", "status", f"show {record.key}", "store verify"]
    for line in lines:
        result = resonance(line)
        for text in (result.out + result.err).splitlines():
            assert is_shown(text.replace("\t", "")), (line, text)
            assert not text.startswith("=c"), line
    written = [
        path for path in (place / "site").rglob("*") if path.suffix in (".html", ".csv", ".md")
    ]
    assert {"index.html", "trials.csv", f"{record.key}.html"} <= {path.name for path in written}
    for path in written:
        text = path.read_text()
        assert is_shown(text.replace("\n", "").replace("\t", "")), path
        assert not {"\\u001b", "\\u202e", "\\u200b", "\\u009b"} & set(
            re.findall(r"\\u....", text)
        ), path
