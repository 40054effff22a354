"""Where a search may be stored, and what is refused."""

import pytest

from suite.core.errors import InvalidInput
from suite.core.redact import redact
from suite.tuning import storage as module
from suite.tuning.storage import check_location, open_storage, opened_storage

S3CRET = "sesame-open-1234"
CRAFTED = "p@ssW0rd9/x:y"


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://127.0.0.1:1/db?user=u&password={S3CRET}",
        f"postgresql://u:{S3CRET}@127.0.0.1:1/db?sslpassword={S3CRET}",
        f"postgresql://u:{CRAFTED}@127.0.0.1:1/db",
        "postgresql://u:p%40ssW0rd9%2Fx%3Ay@127.0.0.1:1/db",
        f"postgres:{CRAFTED}@127.0.0.1:1",
    ],
)
def test_a_password_in_an_address_is_said_nowhere(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = [redact(f"optuna-dashboard {address}")]
    texts.append(module.reason(OSError(f'cannot resolve "{address.partition("@")[2]}"'), address))
    if "://" in address:
        with pytest.raises(InvalidInput, match="cannot be opened") as error:
            open_storage(address)
        texts.append(str(error.value))
    for text in texts:
        assert not [part for part in (S3CRET, "ssW0rd9", "x:y", "x%3Ay") if part in text], text


def test_what_is_no_password_stays_as_it_is():
    for text in ("https://a.b/c?page=2#d", "postgresql://db.example.org:5432/x", "tokens=5", "a@b"):
        assert redact(text) == text


def test_what_is_no_journal_is_refused(tmp_path):
    (tmp_path / "t.journal").write_text("a: b\n")
    with pytest.raises(InvalidInput, match="journal .* cannot be used"):
        open_storage(str(tmp_path / "t.journal"))


@pytest.mark.parametrize(
    "location",
    ["x.journal", "/a/b c.journal", "sqlite:///x.db", "sqlite:////a/x.db", "postgres://h/d",
     "postgresql://u:p@h:1/d?sslmode=require", "postgresql+psycopg://h/d"],
)  # fmt: skip
def test_journals_sqlite_and_postgresql_are_places(location):
    check_location(location)


@pytest.mark.parametrize(
    "location",
    ["mysql://u:sesame-open-1234@h/d", "redis://h", "sqlite://", "sqlite:///:memory:", "sqlite:x",
     "sqlite:///file:x?mode=memory", "postgresql:x", "postgresql+asyncpg://h/d", "MySQL://h/d"],
)  # fmt: skip
def test_other_places_are_refused_in_one_line(location):
    with pytest.raises(InvalidInput, match="give a journal file, sqlite:///FILE") as error:
        check_location(location)
    assert "\n" not in str(error.value)
    assert "sesame" not in str(error.value)


def open_and_close(location: str) -> None:
    with opened_storage(location) as storage:
        assert storage.get_all_studies() == []


def test_an_sqlite_file_has_one_process_at_a_time_and_its_lock_is_removed(tmp_path):
    location = f"sqlite:///{tmp_path}/x.db"
    used = pytest.raises(InvalidInput, match="used by another process, and SQLite is for one")
    with opened_storage(location), used:
        open_and_close(location)
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]
    open_and_close(location)


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="No such file or directory.*check the folder"):
        open_and_close(f"sqlite:///{tmp_path}/none/x.db")
