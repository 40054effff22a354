"""What may end a study × when: ``python -m tests.execution.soak --matrix`` runs all of it.

A plug-in pauses its worker at the moment asked for, and says so in a file; then the event is sent.
So each case is the same on a slow machine as on a fast one.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from suite.core.stopping import HARD, RESUMABLE
from suite.execution.checkpoints import Checkpoints
from suite.results.store import Store
from tests.execution.soak import differences
from tests.support import forked

PLUGIN = '''
import multiprocessing.util
import os
import time
from pathlib import Path

import torch
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier
from tasks.data import Arrays
from tasks.task import Dataset, Task

DATASET = Dataset(
    "stripes", "this test", title="stripes", load=f"{__file__}:load", shape=(1, 2, 4), classes=2,
    train=32, test=8, mean=(0.5,), std=(0.5,),
)
TASK = Task(
    "stripes/mlp", "this test", title="tiny", dataset="stripes", model="tasks.models.mlp:mlp",
    model_options={"hidden": (6,)}, recipe={"epochs": 3, "batch_size": 8, "validation": 0.0},
)
METHOD = Method(
    "pauses", "this test", title="pauses", summary="pauses", implementation="Pauses", family="test",
)


def pause(moment):
    """Wait at the moment that is asked for, once, until the file ``go`` is there."""
    asked, _, folder = os.environ.get("RESONANCE_TEST_PAUSE", "").partition(":")
    if moment != asked:
        return
    try:
        with open(f"{folder}/new", "x") as file:
            file.write(str(os.getpid()))
        os.rename(f"{folder}/new", f"{folder}/paused")
        open(f"{folder}/new", "x").close()
    except FileExistsError:
        return
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.01)


def load(dataset):
    pause("loading")
    y = torch.arange(32) % 2
    x = y.float().view(-1, 1, 1, 1).expand(32, 1, 2, 4).contiguous()
    return Arrays(x, y, x[:8], y[:8])


def fsync(descriptor, really=os.fsync):
    path = os.readlink(f"/proc/self/fd/{descriptor}") if os.path.isdir("/proc/self/fd") else ""
    if "/checkpoints/" in path:
        pause("checkpoint")
    if "/trials/" in path:
        pause("record")
    really(descriptor)


class Pauses(Sparsifier):
    def start(self):
        self.draw_masks()
        os.fsync = fsync

    def is_update(self, step):
        if step == 1:
            pause("step")
            multiprocessing.util.Finalize(None, pause, args=("ending",), exitpriority=1)
        return False

    def update(self, step):
        raise AssertionError("no step is an update")
'''
STUDY = """
name: pauses
question: Does it stop?
tasks: [stripes/mlp]
methods: [pauses]
sparsities: [0.5]
seeds: 1
"""
MOMENTS = ("loading", "step", "checkpoint", "record", "ending")
DISK_BYTES = 2**20
SECONDS = 300.0
"""For what comes soon or not at all, on a machine that is busy."""


@dataclass(frozen=True)
class Event:
    """What ends a study.

    Attributes:
        name: in the table.
        send: sends it to the command; the second argument is the worker's process id.
        code: exit code of the command, negative for a signal.
        said: the first line on standard error; None where it depends on the moment.
        seconds: in which it ends, on a machine that is not busy.
        goes_on: whether the paused worker continues afterwards.
        waits: whether the command waits for its worker for as long as that needs, so that the case
            is the same however slow the machine is.
    """

    name: str
    send: "Callable[[Running], None]"
    code: int
    said: str | None = None
    seconds: float = 10.0
    goes_on: bool = True
    waits: bool = True


@dataclass(frozen=True)
class Running:
    """A command whose worker has paused."""

    command: forked.ForkedCommand
    worker: int
    folder: Path

    def signal(self, *numbers: int) -> None:
        """Send signals to the command, each when the one before has arrived."""
        for number in numbers:
            self.command.deliver(number)

    def to_worker(self, number: int) -> None:
        """Send a signal to the worker."""
        os.kill(self.worker, number)

    def fill_disk(self) -> None:
        """Leave no byte free on the disk of the store."""
        with contextlib.suppress(OSError), (self.folder / "disk" / "ballast").open("wb") as file:
            while True:
                file.write(b"x" * 512)
                file.flush()


def _stop_then_interrupt(running: Running) -> None:
    running.to_worker(signal.SIGSTOP)
    running.signal(signal.SIGINT)


def _stop_then_kill(running: Running) -> None:
    running.to_worker(signal.SIGSTOP)
    running.signal(signal.SIGKILL)


def _fill_then_interrupt(running: Running) -> None:
    running.fill_disk()
    running.signal(signal.SIGINT)


FULL_DISK = ("full disk", "full disk, INT")
EVENTS = (
    Event("INT", lambda it: it.signal(signal.SIGINT), 130, RESUMABLE),
    Event("INT twice", lambda it: it.signal(signal.SIGINT, signal.SIGINT), 130, HARD, 3.0, False),
    Event("TERM", lambda it: it.signal(signal.SIGTERM), 143, RESUMABLE),
    Event("HUP", lambda it: it.signal(signal.SIGHUP), 129, RESUMABLE),
    Event("QUIT", lambda it: it.signal(signal.SIGQUIT), 131, HARD, 3.0, False),
    Event("USR1", lambda it: it.signal(signal.SIGUSR1), 138, RESUMABLE),
    Event("STOP, INT", _stop_then_interrupt, 130, waits=False),
    Event("KILL worker", lambda it: it.to_worker(signal.SIGKILL), 0, "", SECONDS),
    Event("KILL parent", lambda it: it.signal(signal.SIGKILL), -9, "", goes_on=False),
    Event("STOP, KILL parent", _stop_then_kill, -9, "", goes_on=False),
    Event("full disk", lambda it: it.fill_disk(), 2, seconds=SECONDS),
    Event("full disk, INT", _fill_then_interrupt, 130),
)


@dataclass(frozen=True)
class Ended:
    """How a case ended.

    Attributes:
        event, moment: the case.
        code: exit code.
        seconds: from the event to the end of the last process.
        said: on standard error.
        wrong: what is not as documented; empty if all is.
    """

    event: str
    moment: str
    code: int
    seconds: float
    said: str
    wrong: tuple[str, ...]


def start(
    folder: Path, moment: str = "", *, call: str = "suite.__main__:main"
) -> forked.ForkedCommand:
    """Start the study in a folder; its worker pauses at the moment. `call` is the command."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    (folder / "pauses.py").write_text(PLUGIN)
    (folder / "pauses.yaml").write_text(STUDY)
    words = "--plugin pauses.py study pauses.yaml --workers 1 --store disk/results"
    return forked.start(
        [*words.split(), "--checkpoint-every", "5steps"],
        cwd=folder,
        new_session=True,
        text=True,
        env={"TMPDIR": str(temporary), "RESONANCE_TEST_PAUSE": f"{moment}:{folder}"},
        call=call,
    )


def run_whole(folder: Path) -> Store:
    """Run the study to its end without a pause; return its store."""
    folder.mkdir(exist_ok=True)
    _, err = (command := start(folder)).communicate(timeout=SECONDS)
    assert command.returncode == 0, err
    return Store(folder / "disk" / "results")


def run_case(event: Event, moment: str, whole: Store, folder: Path, *, timed: bool) -> Ended:
    """Run one case in an empty folder, and the study again until it is complete.

    With `timed` the command has the limits that users have, and must end in the event's seconds.
    Otherwise it may take as long as it needs, and the case is the same on a machine that is busy.
    """
    folder.mkdir()
    with _disk(folder / "disk") if event.name in FULL_DISK else contextlib.nullcontext():
        patient = f"tests.support.patient:{'main' if event.waits else 'lasting'}"
        command = start(folder, moment, **({} if timed else {"call": patient}))
        paused = folder / "paused"
        _until(lambda: paused.exists() or command.poll() is not None)
        assert paused.exists(), command.communicate()
        running = Running(command, int(paused.read_text()), folder)
        began = time.monotonic()
        event.send(running)
        if event.goes_on:
            (folder / "go").touch()
        _, err = command.communicate(timeout=SECONDS)
        _until(lambda: _is_gone(command.pid))
        seconds = time.monotonic() - began
        (folder / "disk" / "ballast").unlink(missing_ok=True)
        wrong = list(_wrong(event, moment, command.returncode, err))
        wrong += [f"{seconds:.1f} s"] if timed and seconds > event.seconds else []
        wrong += [] if event.code == -signal.SIGKILL else _temporary(folder)
        store = run_whole(folder)
        wrong += differences(whole, store) + Checkpoints(store).keys() + _temporary(folder)
        wrong += [str(path) for path in store.root.rglob(".*")]
    return Ended(event.name, moment, command.returncode, seconds, err.strip(), tuple(wrong))


def expected_code(event: Event, moment: str) -> int:
    """Return the exit code of a case: what comes when all is stored no longer matters."""
    if moment == "ending" and event.name in ("full disk", "KILL worker"):
        return 0
    return event.code


def _wrong(event: Event, moment: str, code: int, err: str) -> Iterator[str]:
    if code != expected_code(event, moment):
        yield f"exit code {code}"
    lines = err.splitlines()
    if "Traceback" in err or len(lines) > 2 or event.said not in (None, "\n".join(lines[:1])):
        yield f"it said {err!r}"


def _temporary(folder: Path) -> list[str]:
    return [f"left {path.name}" for path in (folder / "tmp").iterdir()]


@contextlib.contextmanager
def _disk(place: Path) -> Iterator[None]:
    """Mount a small disk, which root can."""
    place.mkdir()
    size = f"size={DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def can_mount() -> bool:
    """Return whether a small disk can be mounted here."""
    with tempfile.TemporaryDirectory() as name:
        try:
            with _disk(Path(name) / "disk"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def _is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def run_matrix(folder: Path) -> bool:
    """Run every case, and print the table; return whether all ended as documented."""
    whole = run_whole(folder / "whole")
    disk = can_mount()
    print(f"{'event':<20}" + "".join(f"{moment:<14}" for moment in MOMENTS))
    all_well = True
    for event in EVENTS:
        cells, notes = [], []
        for moment in MOMENTS:
            if event.name in FULL_DISK and not disk:
                cells.append("needs root")
                all_well = False
                continue
            place = folder / "case"
            ended = run_case(event, moment, whole, place, timed=True)
            shutil.rmtree(place)
            cells.append(f"{ended.code} {ended.seconds:.1f} s" + " !" * bool(ended.wrong))
            notes += [f"  ! {moment}: {what}" for what in ended.wrong]
        print(f"{event.name:<20}" + "".join(f"{cell:<14}" for cell in cells), flush=True)
        print("\n".join(notes) + "\n" * bool(notes), end="", flush=True)
        all_well = all_well and not notes
    return all_well
