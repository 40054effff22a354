"""Signatures of submissions: whose they are, and every way in which they are nobody's."""

import shutil
import subprocess

import pytest

from leaderboard.bundles import signature as module
from leaderboard.bundles.bundle_file import read_bundle
from leaderboard.bundles.signature import (
    ALLOWED_SIGNERS,
    NAMESPACE,
    UNSIGNED,
    read_signature,
    sign,
    signature_of,
    signature_path,
    verify,
)
from suite.core.errors import InvalidInput
from tests.conftest import require

CONTENT = b"a bundle\0\xff\n"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Return a folder with the keys `alice` and `bob`, and files of allowed signers."""
    require("ssh-keygen", shutil.which("ssh-keygen") is not None, "install openssh-client")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "bob"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name]
        subprocess.run(words, check=True)
    alice, bob = ((folder / f"{name}.pub").read_text() for name in ("alice", "bob"))
    (folder / "both").write_text(
        f'# known\nalice@example.org namespaces="{NAMESPACE}" {alice}bob@example.org {bob}'
    )
    (folder / "bob_alone").write_text(f"bob@example.org {bob}")
    (folder / "expired").write_text(f'alice@example.org valid-before="20200101" {alice}')
    (folder / "elsewhere").write_text(f'alice@example.org namespaces="git" {alice}')
    return folder


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_signature_says_who_signed(keys, name):
    found = verify(CONTENT, sign(CONTENT, keys / name), keys / "both")
    assert (found.status, found.signer) == ("signed", f"{name}@example.org")
    assert found.key.startswith("ED25519 SHA256:")
    assert str(found) == f"signed by {name}@example.org ({found.key})"


@pytest.mark.parametrize("signers", ["bob_alone", "expired", "elsewhere"])
def test_a_key_that_the_board_does_not_know_or_no_longer_knows_is_nobodys(keys, signers):
    found = verify(CONTENT, sign(CONTENT, keys / "alice"), keys / signers)
    assert (found.status, found.signer) == ("unknown", "")
    assert "ED25519 SHA256:" in str(found)


def test_a_changed_file_or_a_signature_for_another_purpose_is_invalid(keys, tmp_path):
    made = sign(CONTENT, keys / "alice")
    assert verify(CONTENT + b" ", made, keys / "both").status == "invalid"
    assert verify(CONTENT, made.replace(b"U1N", b"U1O"), keys / "both").status == "invalid"
    words = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", keys / "alice"]
    other = subprocess.run(words, input=CONTENT, capture_output=True, check=True).stdout
    assert verify(CONTENT, other, keys / "both").status == "invalid"


@pytest.mark.parametrize("signature", [b"", b"x", b"\0" * 1000, b"-----BEGIN SSH SIGNATURE-----\n"])
def test_what_is_no_signature_is_invalid_in_one_line(keys, signature):
    found = verify(CONTENT, signature, keys / "both")
    assert found.status == "invalid"
    assert len(str(found).splitlines()) == 1


def test_no_signature_is_unsigned(keys):
    assert verify(CONTENT, None, keys / "both") == UNSIGNED
    assert str(UNSIGNED) == "not signed"


def test_without_openssh_a_signature_is_not_checked_and_none_can_be_made(keys, monkeypatch):
    made = sign(CONTENT, keys / "alice")
    monkeypatch.setattr(module, "PROGRAM", "no-such-program-of-ssh")
    assert verify(CONTENT, made, keys / "both").status == "unchecked"
    with pytest.raises(InvalidInput, match="needs OpenSSH"):
        sign(CONTENT, keys / "alice")


@pytest.mark.parametrize(("key", "reason"), [("both", "does not sign"), ("no", "no such file")])
def test_what_is_no_key_is_refused(keys, key, reason):
    with pytest.raises(InvalidInput, match=reason) as refused:
        sign(CONTENT, keys / key)
    assert len(str(refused.value).splitlines()) == 1


def test_a_signature_lies_beside_its_file_and_is_small(tmp_path):
    file = tmp_path / "a.jsonl.gz"
    assert read_signature(file) is None
    signature_path(file).write_bytes(b"s")
    assert (tmp_path / "a.jsonl.gz.sig").read_bytes() == read_signature(file) == b"s"
    signature_path(file).write_bytes(bytes(module.MAX_SIGNATURE + 1))
    with pytest.raises(InvalidInput, match="larger than"):
        read_signature(file)


def test_a_bundle_is_read_and_verified_with_one_limit_of_size(tmp_path, monkeypatch):
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(bytes(9))
    signature_path(file).write_bytes(b"s")
    monkeypatch.setattr(module, "MAX_PACKED", 8)
    for use in (signature_of, read_bundle):
        with pytest.raises(InvalidInput, match=r"a\.jsonl\.gz cannot be read: .*larger than the 8"):
            use(file)


def test_a_file_of_signers_that_is_not_there_is_refused(keys, tmp_path):
    with pytest.raises(InvalidInput, match="--signers"):
        verify(CONTENT, sign(CONTENT, keys / "alice"), tmp_path / "none")


def test_the_projects_own_file_of_signers_can_be_used(keys):
    assert verify(CONTENT, sign(CONTENT, keys / "alice"), ALLOWED_SIGNERS).status == "unknown"
