"""Archives: found, fetched, verified, and read without reaching outside."""

import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import pytest

from suite.core.errors import InvalidInput
from suite.experiments import registry
from tasks.datasets import cifar
from tasks.datasets.files import fetch, members, verify
from tests.tasks.samples import cifar_10, cifar_rows, picture, small_cifar, tar


def test_another_archive_under_the_same_name_is_refused(place):
    path = cifar_10(place / "cifar-10-binary.tar.gz")
    with pytest.raises(InvalidInput, match=r"cifar-10-binary.tar.gz is not the published file"):
        cifar.load(registry.datasets()["cifar10"])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InvalidInput, match="cannot be read"):
        cifar.load(small_cifar(path))


def test_an_archive_that_lacks_a_member_is_refused(place):
    path = tar(place / "cifar-10-binary.tar.gz", {"test_batch.bin": cifar_rows(2, 1, 10)})
    with pytest.raises(InvalidInput, match=r"lacks data_batch_1.bin"):
        cifar.load(small_cifar(path))
    path = tar(place / "cifar-10-binary.tar.gz", {"test_batch.bin": b"12345"})
    with pytest.raises(InvalidInput, match=r"'test_batch.bin' has 5 bytes"):
        cifar.load(small_cifar(path))


def test_a_missing_archive_is_downloaded_verified_and_kept(place):
    source = place / "server" / "file.bin"
    source.parent.mkdir()
    source.write_bytes(b"published")
    digest = ("sha256", hashlib.sha256(b"published").hexdigest())
    kept = fetch("wanted.bin", source.as_uri(), digest, "some")
    assert kept == place / "cache" / "wanted.bin"
    source.unlink()
    assert fetch("wanted.bin", source.as_uri(), digest, "some").read_bytes() == b"published"


def test_a_download_with_another_checksum_is_not_kept(place):
    source = place / "file.bin"
    source.write_bytes(b"forged")
    with pytest.raises(InvalidInput, match="dataset some was not found") as refusal:
        fetch("wanted.bin", source.as_uri(), ("sha256", "0" * 64), "some")
    assert "not the published file" in str(refusal.value)
    assert list((place / "cache").iterdir()) == []


def test_without_data_and_network_all_ways_are_named(place):
    nowhere = (place / "nothing").as_uri()
    dataset = registry.datasets()["cifar10"]
    dataset = replace(dataset, options={**dataset.options, "url": nowhere})
    with pytest.raises(InvalidInput) as refusal:
        cifar.load(dataset)
    for word in ("RESONANCE_DATA", "cifar-10-binary.tar.gz", nowhere):
        assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


def hostile(path, **fields):
    """Write an archive with one member of these fields after a good one."""
    with tarfile.open(path, "w") as archive:
        good = tarfile.TarInfo("train/cat/0.png")
        good.size = len(picture(1))
        archive.addfile(good, io.BytesIO(picture(1)))
        info = tarfile.TarInfo("train/cat/1.png")
        for name, value in fields.items():
            setattr(info, name, value)
        archive.addfile(info, io.BytesIO(b""))
    return path


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "../../outside.png"}, "is a path outside the archive"),
        ({"name": "/etc/outside.png"}, "is a path outside the archive"),
        ({"name": "C:/outside.png"}, "is a path outside the archive"),
        ({"name": "..\\outside.png"}, "is a path outside the archive"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "link"),
        ({"type": tarfile.LNKTYPE, "linkname": "train/cat/0.png"}, "link"),
        ({"type": tarfile.FIFOTYPE}, "device"),
        ({"type": tarfile.CHRTYPE}, "device"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused_and_writes_nothing(place, fields, words):
    path = hostile(place / "bad.tar", **fields)
    before = set(place.rglob("*"))
    with pytest.raises(InvalidInput, match=words):
        list(members(path))
    assert set(place.rglob("*")) == before


def test_zip_archives_are_held_to_the_same_rules(place):
    path = place / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../outside.png", b"x")
    with pytest.raises(InvalidInput, match="is a path outside the archive"):
        list(members(path))
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InvalidInput, match="link"):
        list(members(path))
    path.write_bytes(b"no zip")
    with pytest.raises(InvalidInput, match="cannot be read"):
        list(members(path))


def test_a_member_that_unpacks_to_too_much_is_refused(place, monkeypatch):
    monkeypatch.setattr("tasks.datasets.files.MAX_MEMBER_BYTES", 1000)
    path = tar(place / "big.tar.xz", {"train/cat/0.png": bytes(1001)})
    with pytest.raises(InvalidInput, match=r"1,001 bytes"):
        list(members(path))


def test_a_checksum_that_fits_is_accepted(place):
    path = place / "x"
    path.write_bytes(b"abc")
    verify(path, ("sha256", hashlib.sha256(b"abc").hexdigest()))
    with pytest.raises(InvalidInput, match="cannot be read"):
        verify(place / "missing", ("md5", ""))
