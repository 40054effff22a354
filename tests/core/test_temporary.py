import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from suite.core import temporary
from suite.core.errors import InvalidInput

ROOT = Path(__file__).parents[2]
OWNER = "from suite.core import temporary; print(temporary.folder(), flush=True); input()"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return an empty folder that temporary files go to; this process has none yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temporary, "_own", None)
    yield tmp_path
    temporary.remove()


def owner(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that has a folder in `place`."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=ROOT, env=os.environ | {"TMPDIR": str(place)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_is_one_and_is_removed(place):
    own = temporary.folder()
    assert own.parent == place
    assert temporary.folder() == own
    (own / "file").write_text("x")
    temporary.remove()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_at_the_next_start_and_nothing_else(place):
    killed, of_killed = owner(place)
    (of_killed / "worker-1").write_text("x")
    living, of_living = owner(place)
    with killed, living:
        killed.kill()
        killed.wait()
        starting = place / "resonance-starting"  # its lock is not held yet
        starting.mkdir()
        (starting / temporary.LOCK).touch()
        for name, age in (("resonance-worker-old", 2), ("resonance-worker-new", 0)):
            (place / name).touch()
            when = (place / name).stat().st_mtime - age * temporary.ONE_DAY_SECONDS
            os.utime(place / name, (when, when))
        (place / "resonance-link").symlink_to(of_living)
        own = temporary.folder()
        assert {path.name for path in place.iterdir()} == {
            own.name, of_living.name, starting.name, "resonance-worker-new", "resonance-link",
        }  # fmt: skip
        assert living.communicate("\n")[0] == ""
    assert not of_living.exists()


def test_a_folder_that_cannot_be_made_is_one_line(place, monkeypatch):
    def full(*_: object, **__: object) -> str:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(InvalidInput, match=r"No space left on device\): free some space, or set"):
        temporary.folder()


def test_libraries_use_the_folder_unless_its_name_is_too_long_for_sockets(place, monkeypatch):
    with temporary.as_default():
        assert tempfile.gettempdir() == str(place)  # that of pytest is long
    monkeypatch.setattr(temporary, "LONGEST_FOLDER", 1000)
    with temporary.as_default():
        assert tempfile.gettempdir() == str(temporary.folder())
    assert tempfile.gettempdir() == str(place)
