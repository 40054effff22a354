"""A store that holds records of hostile people, and the site that is made from it."""

import json

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
