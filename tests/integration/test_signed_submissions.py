"""A submission is signed, checked, run again by somebody else, and the site says who did what."""

import shutil
import subprocess
from pathlib import Path

import pytest

from leaderboard.bundles.bundle_file import read_bundle
from tests.conftest import require


@pytest.fixture
def group(resonance, place):
    """Return two keys of SSH, a file of allowed signers that has one of them, and a result."""
    require("ssh-keygen", shutil.which("ssh-keygen") is not None, "install openssh-client")
    for name in ("alice", "bob"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", name]
        subprocess.run(words, check=True)
    Path("signers").write_text(f"alice@example.org {Path('alice.pub').read_text()}")
    assert resonance("run digits/mlp static -s 0.9 --recipe epochs=1").code == 0
    return resonance


def row(result, what):
    """Return a row of the table of what was compared."""
    return next(line for line in result.out.splitlines() if line.startswith(what))


def test_who_sent_and_who_ran_again_is_checked_and_shown(group, place):
    resonance = group
    sent = resonance("submit --name A --sign alice --out a.jsonl.gz")
    assert "a.jsonl.gz.sig: its signature" in sent.out
    checked = resonance("leaderboard check a.jsonl.gz --signers signers")
    assert checked.code == 0
    assert "signed by alice@example.org (ED25519 SHA256:" in checked.out.splitlines()[0]
    unknown = resonance("leaderboard check a.jsonl.gz")
    assert unknown.code == 0
    assert "warning: a.jsonl.gz: signed with a key that this board does not know" in unknown.out
    again = resonance(
        "leaderboard check a.jsonl.gz --rerun any --out b.jsonl.gz --name B --sign bob "
        "--signers signers"
    )
    assert "run again here: equal" in again.out
    assert [record.key for record in read_bundle(Path("b.jsonl.gz")).records] == [
        record.key for record in read_bundle(Path("a.jsonl.gz")).records
    ]
    Path("empty").mkdir()
    built = resonance(
        "leaderboard build --store empty --with a.jsonl.gz --with b.jsonl.gz --signers signers"
    )
    assert built.code == 0, built.err
    (page,) = Path("site/trials").glob("*.html")
    text = page.read_text()
    assert "Sent by <bdi>A</bdi>, signed by alice@example.org (ED25519 SHA256:" in text
    assert "under the name of <bdi>B</bdi> (signed with a key that this board does not know" in text
    assert "equal, metrics and weights bit by bit" in text
    assert "signed by alice@example.org" in Path("site/index.html").read_text()
    with Path("signers").open("a") as file:
        file.write(f"bob@example.org {Path('bob.pub').read_text()}")
    resonance(
        "leaderboard build --store empty --with a.jsonl.gz --with b.jsonl.gz --signers signers"
    )
    assert "Run again by <bdi>B</bdi> (signed by bob@example.org (ED25519" in page.read_text()


def test_a_file_that_was_changed_after_it_was_signed_is_not_shown(group):
    resonance = group
    resonance("submit --name A --sign alice --out a.jsonl.gz")
    resonance("submit --name Mallory --out c.jsonl.gz")
    Path("c.jsonl.gz").replace("a.jsonl.gz")
    checked = resonance("leaderboard check a.jsonl.gz --signers signers")
    assert checked.code == 1
    assert "error: a.jsonl.gz: the signature is not valid" in checked.out
    built = resonance("leaderboard build --with a.jsonl.gz --signers signers")
    assert built.code == 0
    assert "the signature is not valid" in built.out
    assert "Mallory" not in Path("site/index.html").read_text()


def test_without_a_signature_it_says_so_and_an_older_one_is_removed(group):
    resonance = group
    resonance("submit --name A --sign alice --out a.jsonl.gz")
    assert resonance("submit --name A --out a.jsonl.gz").code == 0
    assert not Path("a.jsonl.gz.sig").exists()
    checked = resonance("leaderboard check a.jsonl.gz")
    assert checked.out.splitlines()[0] == "a.jsonl.gz: 1 records of A, not signed"
    assert "1: not signed" in row(checked, "signature of the file")


@pytest.mark.parametrize(("words", "reason"), [
    ("submit --name A --sign signers --out d.jsonl.gz", "does not sign with it"),
    ("submit --name A --sign nothing --out d.jsonl.gz", "there is no such file"),
    ("leaderboard check a.jsonl.gz --name B", "give --out as well"),
    ("leaderboard check a.jsonl.gz --out d.jsonl.gz --name B", "give --rerun"),
    ("leaderboard check a.jsonl.gz --rerun any --out d.jsonl.gz", "--name"),
    ("leaderboard check a.jsonl.gz --signers nothing", "--signers nothing cannot be read"),
])  # fmt: skip
def test_what_cannot_be_signed_or_checked_is_refused_in_one_line(group, words, reason):
    resonance = group
    resonance("submit --name A --sign alice --out a.jsonl.gz")
    result = resonance(words)
    assert result.code == 2
    assert reason in result.complaint
    assert len(result.complaint.splitlines()) == 1
    assert not Path("d.jsonl.gz").exists()
