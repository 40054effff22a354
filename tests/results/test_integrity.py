import json
import os
from pathlib import Path

import pytest

from suite.core.errors import InvalidInput
from suite.results.integrity import CHECKSUMMED_SINCE
from suite.results.record import Record, Unreadable, checksum_files
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

TRIAL = make_trial()
KEY = TRIAL.key


@pytest.fixture
def stored(store) -> Path:
    """Return the folder of a stored trial with one companion."""
    store.write(KEY, {"record.json": done(TRIAL).to_json(), "curves.parquet": b"PAR1 PAR1"})
    return store.folder(KEY)


def change(folder: Path, **fields: object) -> None:
    """Change fields of a record as an editor would: the checksums stay."""
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_stored_record_has_the_checksums_of_its_files(store, stored):
    record = store.read(KEY)
    assert record is not None
    assert record.integrity is not None
    assert list(record.integrity.files) == ["curves.parquet"]
    assert record.integrity.files["curves.parquet"].size == 9
    assert "seal" not in record.model_dump()
    assert record.to_json() == done(TRIAL).to_json()


def test_the_checksum_does_not_depend_on_how_the_file_is_formatted(store, stored):
    path = stored / "record.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items())), indent=None))
    assert store.read(KEY) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"metrics": {"test_accuracy": 0.99, "test_nll": 0.3}},
        {"status": "done", "notes": []},
        {"timing": {"seconds": 1.0}},
        {"schema_version": 1},
        {"seal": {"digest": "0" * 64, "files": {}}},
    ],
)
def test_an_altered_record_is_not_served(store, stored, fields):
    change(stored, **fields)
    with pytest.raises(
        Unreadable, match=r"record\.json was altered .*run the trial again"
    ) as found:
        store.read(KEY)
    assert found.value.kind == "altered"
    with pytest.raises(InvalidInput, match="was altered"):
        list(store.records())


def test_a_record_without_checksums_of_schema_1_is_read_as_it_is(store, stored):
    content = json.loads((stored / "record.json").read_text()) | {"schema_version": 1}
    del content["seal"]
    (stored / "record.json").write_text(json.dumps(content))
    record = store.read(KEY)
    assert record is not None
    assert record.schema_version == 1
    assert record.integrity is None


def test_a_record_that_has_lost_its_checksums_is_not_served(store, stored):
    content = json.loads((stored / "record.json").read_text())
    del content["seal"]
    (stored / "record.json").write_text(json.dumps(content))
    with pytest.raises(
        Unreadable, match=r"was altered .*it has no checksum.*run the trial"
    ) as found:
        store.read(KEY)
    assert found.value.kind == "altered"


def test_an_old_record_that_is_stored_again_is_of_the_schema_that_has_checksums():
    content = json.loads(done(TRIAL).to_json()) | {"schema_version": 1}
    files, digest = checksum_files({"record.json": json.dumps(content).encode()})
    record = Record.from_json(files["record.json"], "here")
    assert record.schema_version == CHECKSUMMED_SINCE == 2
    assert record.integrity is not None
    assert record.integrity.digest == digest


def test_a_record_in_the_folder_of_another_trial_is_not_served(store, stored):
    other = make_trial(seed=1).key
    stored.rename(store.folder(other))
    with pytest.raises(Unreadable, match=f"is the record of another trial, {KEY}: delete") as found:
        store.read(other)
    assert found.value.kind == "foreign"


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize("key", ["../../elsewhere", "/etc", "", "ABCDEF0123456789", f"{KEY}/.."])
def test_a_key_cannot_lead_out_of_the_store(store, key):
    for use in (store.read, store.folder, store.where, store.names):
        with pytest.raises(InvalidInput, match="16 hexadecimal digits"):
            use(key)
    with pytest.raises(InvalidInput, match="16 hexadecimal digits"):
        store.write(key, {"record.json": done(TRIAL).to_json()})


@pytest.mark.parametrize(
    "name", ["../a", "/etc/passwd", "a/b", ".hidden", "", "a\nb", "..", "a\\b"]
)
def test_a_file_name_cannot_lead_out_of_the_trials_folder(store, stored, name):
    with pytest.raises(InvalidInput, match="file name"):
        store.load(KEY, name)
    with pytest.raises(InvalidInput, match="file name"):
        store.write(KEY, {"record.json": done(TRIAL).to_json(), name: b""})


@pytest.mark.parametrize("key", ["../../../etc", "0" * 15, "x" * 16, "", f"{KEY}\n"])
def test_a_record_whose_key_names_no_folder_is_refused(key):
    content = json.loads(done(TRIAL).to_json()) | {"key": key}
    with pytest.raises(InvalidInput, match="is not a record"):
        Record.from_json(json.dumps(content).encode(), "here")


def test_a_checksum_of_a_file_elsewhere_is_refused():
    content = json.loads(done(TRIAL).to_json())
    file = {"size": 1, "sha256": "0" * 64}
    content["seal"] = {"digest": "0" * 64, "files": {"../../.ssh/id": file}}
    with pytest.raises(InvalidInput, match="is not a record"):
        Record.from_json(json.dumps(content).encode(), "here")


@pytest.mark.parametrize("name", ["record.json", "curves.parquet"])
def test_a_link_in_a_store_is_not_followed(store, stored, tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_bytes((stored / name).read_bytes())
    (stored / name).unlink()
    (stored / name).symlink_to(secret)
    with pytest.raises(InvalidInput, match="cannot be read"):
        store.load(KEY, name)


def test_a_trial_that_is_a_link_to_another_folder_is_no_trial(store, stored, tmp_path):
    stored.rename(tmp_path / "outside")
    stored.symlink_to(tmp_path / "outside")
    assert store.keys() == []
    with pytest.raises(InvalidInput, match="is a link"):
        store.read(KEY)


def test_a_pipe_in_place_of_a_record_does_not_hang_the_reader(store, stored):
    (stored / "record.json").unlink()
    os.mkfifo(stored / "record.json")
    with pytest.raises(InvalidInput, match="not a plain file"):
        store.read(KEY)


def test_a_record_of_a_monstrous_size_is_not_read_into_memory(store, stored):
    with (stored / "record.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InvalidInput, match="larger than"):
        store.read(KEY)


# ---------------------------------------------------------------- secrets

WANDB_KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


def test_a_key_of_this_machine_reaches_no_file_of_a_trial(store, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
    monkeypatch.setenv("DB_PASSWORD", 'a "quoted" pa55word')
    record = done(TRIAL).model_copy(update={"notes": [f"it said {WANDB_KEY}"]})
    store.write(
        KEY,
        {
            "record.json": record.to_json(),
            "error.txt": f"login {WANDB_KEY} refused".encode(),
            "trial.json": json.dumps({"url": 'a "quoted" pa55word'}).encode(),
        },
    )
    written = b"".join(path.read_bytes() for path in store.folder(KEY).iterdir())
    assert WANDB_KEY.encode() not in written
    assert b"pa55word" not in written
    assert b"login [secret] refused" in written
    assert store.read(KEY).notes == ["it said [secret]"]


def test_a_key_in_netrc_is_taken_out_too(store, monkeypatch, tmp_path):
    path = tmp_path / "netrc"
    path.write_text(f"machine api.wandb.ai login user password {WANDB_KEY}\n")
    monkeypatch.setenv("NETRC", str(path))
    store.write(KEY, {"record.json": done(TRIAL).to_json(), "error.txt": WANDB_KEY.encode()})
    assert store.load(KEY, "error.txt") == b"[secret]"


@pytest.mark.parametrize("value", ["static", "false", "resonance", "digits/mlp"])
def test_a_common_word_is_no_secret_even_where_a_variable_says_so(store, monkeypatch, value):
    monkeypatch.setenv("SOME_TOKEN", value)
    store.write(KEY, {"record.json": done(TRIAL).to_json()})
    record = store.read(KEY)
    assert record is not None
    assert record.to_json() == done(TRIAL).to_json()


def test_tensors_are_stored_bit_by_bit_whatever_they_hold(store, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
    content = b"\x00" + WANDB_KEY.encode()
    store.write(KEY, {"record.json": done(TRIAL).to_json(), "model.safetensors": content})
    assert store.load(KEY, "model.safetensors") == content


def test_a_store_keeps_reading_where_another_process_has_it(store, stored):
    again = Store(store.location)
    assert again.local
    assert again.load(KEY, "curves.parquet") == b"PAR1 PAR1"
    with pytest.raises(FileNotFoundError):
        again.load(KEY, "error.txt")
