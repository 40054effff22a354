"""What a signal does to a program, in each of its phases: small real processes, without torch."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from suite.core import stopping

ROOT = Path(__file__).parents[2]
SECONDS = 300.0
"""For what comes soon or not at all, on a machine that is busy."""
START = f"""
import signal, sys, time
from suite.core import stopping
stopping.LIMIT_SECONDS = stopping.ALARM_SECONDS = stopping.LAST_SECONDS = {SECONDS}
stopping.install()
def ready():
    print("ready", flush=True)
def wait():
    ready()
    time.sleep(600)
def held():
    ready()
    while not signal.getitimer(signal.ITIMER_REAL)[0]:
        time.sleep(0.001)
    sum(range(10**12))  # native code that keeps the interpreter's lock
"""
RAISED = """
stopping.begin()
try:
    wait()
except KeyboardInterrupt:
    sys.exit(stopping.exit_code())
"""
NOTICED = """
stopping.begin()
with stopping.cooperating() as asked:
    ready()
    while not asked():
        time.sleep(0.001)
sys.exit(stopping.exit_code())
"""
DEAF = """
stopping.begin()
with stopping.cooperating(patient=False) as asked:
    ready()
    while not asked():
        time.sleep(0.001)
    if TELL:
        while not signal.getitimer(signal.ITIMER_REAL)[0]:  # set when the signal has been read
            time.sleep(0.001)
        print("asked", flush=True)
    time.sleep(600)
"""
PATIENT = DEAF.replace("False", "True")
QUICK = "stopping.LIMIT_SECONDS = 0.2\n"
SECOND = """
calls = []
class Clock:  # the limit is set, then kept; it is over once the second signal has been read
    def monotonic():
        calls.append(1)
        return 0.0 if len(calls) < 3 else 2 * stopping.LIMIT_SECONDS
stopping.time = Clock
stopping.at_end(lambda: print("over" if len(calls) > 2 else "not over", flush=True))
"""
LEFT = "stopping.begin()\nstopping.at_end(lambda: print('cleaned', flush=True))\n"

CASES = {
    "loading": ("wait()", ["INT"], 130, stopping.NOT_BEGUN),
    "raised": (RAISED, ["INT"], 130, ""),
    "terminated": (RAISED, ["TERM"], 143, ""),
    "terminal closed": (RAISED, ["HUP"], 129, ""),
    "ahead of a time limit": (RAISED, ["USR1"], 138, ""),
    "noticed": (NOTICED, ["TERM"], 143, ""),
    "quit": (DEAF, ["QUIT"], 131, stopping.HARD),
    "twice": (DEAF, ["INT", "INT"], 130, stopping.HARD),
    "terminated, then interrupted": (DEAF, ["TERM", "INT"], 143, stopping.HARD),
    "not answered": (QUICK + DEAF, ["INT"], 130, stopping.HARD),
    "closed twice, not answered": (SECOND + DEAF, ["HUP", "HUP"], 129, stopping.HARD),
    "torchrun": (SECOND + PATIENT, ["INT", "TERM"], 130, stopping.HARD),
    "native code": (
        "stopping.ALARM_SECONDS = stopping.LAST_SECONDS = 0.5\nstopping.begin()\n"
        "with stopping.cooperating(): held()",
        ["INT"], -signal.SIGALRM, None,
    ),
    "leaving": ("stopping.begin()\nstopping.leave()\nwait()", ["TERM"], 143, "stopped"),
    "ended at once": (LEFT + "wait()", ["QUIT"], 131, stopping.HARD),
}  # fmt: skip


def heed(*ignored: signal.Signals) -> None:
    """Undo what the tests may run under: nohup, a job in the background, a supervisor."""
    for number in (*stopping.STOPPING, *stopping.AT_ONCE, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def start(code: str, *ignored: signal.Signals) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", START + code], preexec_fn=lambda: heed(*ignored),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("case", CASES)
def test_a_signal_ends_a_program_as_documented_in_every_phase(case):
    code, signals, expected, line = CASES[case]
    process = start(code.replace("TELL", str(len(signals) > 1)))
    *earlier, last = (getattr(signal, f"SIG{name}") for name in signals)
    for number in earlier:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"  # two that are pending are but one
    process.send_signal(last)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == expected, err
    if line is not None:
        assert err.strip() == line
    assert out == {"ended at once": "cleaned\n"}.get(case, "over\n" * (SECOND in code))


INTERRUPTED_WHILE_IMPORTING = """
import os, runpy, signal, sys, threading

def interrupt(event, arguments):
    if event == "import" and arguments[0] == "suite.core.own_version":
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait()

sys.addaudithook(interrupt)
sys.argv[1:] = ["list", "methods"]
START
"""


@pytest.mark.parametrize(
    "begin",
    ["runpy.run_module('suite', run_name='__main__')", "from suite.__main__ import main; main()"],
)
def test_ctrl_c_during_the_first_imports_is_one_line(begin):
    code = INTERRUPTED_WHILE_IMPORTING.replace("START", begin)
    done = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=heed, cwd=ROOT, timeout=SECONDS, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"{stopping.NOT_BEGUN}\n"


def test_little_is_imported_before_signals_are_handled():
    code = "import sys, suite.__main__; print(*sorted(m for m in sys.modules if 'suite' in m))"
    out = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert out.split() == [
        "suite", "suite.__main__", "suite.core", "suite.core.own_packages", "suite.core.stopping",
    ]  # fmt: skip


def test_the_cases_hold_where_the_tests_themselves_were_started_to_ignore_signals():
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        process = start(DEAF.replace("TELL", "False"))
    finally:
        signal.signal(signal.SIGQUIT, before)
    process.send_signal(signal.SIGQUIT)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 131


def test_what_was_started_to_survive_its_terminal_does():
    process = start(RAISED, signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 143


def test_a_signal_of_a_forked_child_is_its_own():
    code = (
        "import os\nstopping.begin()\nread, write = os.pipe()\nchild = os.fork()\n"
        "if not child:\n    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n"
        "    ready(); os.write(write, b'x'); time.sleep(600)\n"
        "os.read(read, 1)\nos.kill(child, signal.SIGTERM)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) + stopping.asked())"
    )
    process = start(code)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 7


def test_in_a_library_the_first_signal_is_noticed_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with stopping.cooperating() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
        with stopping.cooperating() as inner:
            assert inner()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert not asked()
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_handled():
    seen = []

    def work() -> None:
        with stopping.cooperating() as asked:
            seen.append((asked(), signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def test_a_process_started_while_signals_are_blocked_survives_them():
    code = "print('ready', flush=True); input(); print('alive', flush=True); input()"
    with stopping.blocked():
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=ROOT,
        )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in (*stopping.STOPPING, *stopping.AT_ONCE):
            process.send_signal(number)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "alive\n"
        process.kill()
        process.wait(SECONDS)
    assert process.returncode == -signal.SIGKILL
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
