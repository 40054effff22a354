import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from tasks.datasets import cifar, folder
from tasks.datasets.files import fetch, members, verify
from tests.tasks.samples import cifar_10, cifar_rows, image_folder, picture, tar


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("RESONANCE_DATA", str(tmp_path))
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def md5(path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def small(path, name: str = "cifar10", **options):
    """Return a CIFAR declaration that takes the archive at `path` for the published one."""
    declared = registry.datasets()[name]
    return replace(declared, options={**declared.options, "digest": ("md5", md5(path)), **options})


def test_cifar_10_is_read_from_its_binary_archive(place):
    path = cifar_10(place / "cifar-10-binary.tar.gz")
    arrays = cifar.load(small(path))
    assert arrays.train_x.shape == (100, 3, 32, 32)
    assert arrays.train_x.dtype == torch.uint8
    assert arrays.test_y.tolist() == [n % 10 for n in range(20)]
    raw = cifar_rows(20, 1, 10)
    assert arrays.test_x[1, 0, 0, :4].tolist() == list(raw[3073 + 1 : 3073 + 5])


def test_cifar_100_takes_the_fine_label(place):
    members = {f"cifar-100-binary/{n}.bin": cifar_rows(200, 2, 100) for n in ("train", "test")}
    path = tar(place / "cifar-100-binary.tar.gz", members)
    arrays = cifar.load(small(path, "cifar100"))
    assert arrays.train_y.tolist() == [n % 100 for n in range(200)]


def test_another_archive_under_the_same_name_is_refused(place):
    path = cifar_10(place / "cifar-10-binary.tar.gz")
    with pytest.raises(InvalidInput, match=r"cifar-10-binary.tar.gz is not the published file"):
        cifar.load(registry.datasets()["cifar10"])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InvalidInput, match="cannot be read"):
        cifar.load(small(path))


def test_an_archive_that_lacks_a_member_is_refused(place):
    path = tar(place / "cifar-10-binary.tar.gz", {"test_batch.bin": cifar_rows(2, 1, 10)})
    with pytest.raises(InvalidInput, match=r"lacks data_batch_1.bin"):
        cifar.load(small(path))
    path = tar(place / "cifar-10-binary.tar.gz", {"test_batch.bin": b"12345"})
    with pytest.raises(InvalidInput, match=r"'test_batch.bin' has 5 bytes"):
        cifar.load(small(path))


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
    with pytest.raises(InvalidInput, match="dataset some is not here") as refusal:
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
        ({"name": "../../outside.png"}, "leads out"),
        ({"name": "/etc/outside.png"}, "leads out"),
        ({"name": "C:/outside.png"}, "leads out"),
        ({"name": "..\\outside.png"}, "leads out"),
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
    with pytest.raises(InvalidInput, match="leads out"):
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


def jpeg_archive(place):
    image_folder(place / "made", size=(32, 32), kind="JPEG")
    found = {
        p.relative_to(place / "made").as_posix(): p.read_bytes()
        for p in sorted((place / "made").rglob("*.jpeg"))
    }
    return tar(place / "cifar10-jpeg.tar.xz", found)


def test_an_image_archive_is_decoded_once_and_then_read_from_the_cache(place, monkeypatch):
    path = jpeg_archive(place)
    declared = registry.datasets()["cifar10-jpeg"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    options = {**declared.options, "sha256": digest}
    dataset = replace(declared, classes=2, train=12, test=6, options=options)
    first = folder.load(dataset)
    assert first.train_x.shape == (12, 3, 32, 32)
    assert first.train_y.tolist() == [0] * 6 + [1] * 6
    assert first.train_x[:6].float().mean() < 60 < 180 < first.train_x[6:].float().mean()
    with monkeypatch.context() as patch:
        patch.setattr(folder, "contents", lambda path: pytest.fail("decoded again"))
        again = folder.load(dataset)
    assert torch.equal(first.train_x, again.train_x)
    (cached,) = (place / "cache" / "decoded").iterdir()
    cached.write_bytes(cached.read_bytes()[:200])  # cut short by a crash
    assert torch.equal(folder.load(dataset).test_x, first.test_x)
    with pytest.raises(InvalidInput, match="not the published file"):
        folder.load(replace(dataset, options=declared.options))


def test_a_cache_that_cannot_be_written_is_done_without(place, monkeypatch):
    path = jpeg_archive(place)
    (place / "file").write_text("")
    monkeypatch.setenv("RESONANCE_CACHE", str(place / "file"))
    declared = registry.datasets()["cifar10-jpeg"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    dataset = replace(declared, classes=2, options={**declared.options, "sha256": digest})
    assert len(folder.load(dataset).train_x) == 12


def test_a_checksum_that_fits_is_accepted(place):
    path = place / "x"
    path.write_bytes(b"abc")
    verify(path, ("sha256", hashlib.sha256(b"abc").hexdigest()))
    with pytest.raises(InvalidInput, match="cannot be read"):
        verify(place / "missing", ("md5", ""))
