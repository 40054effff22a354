"""Keys that must not reach a record or a log, and YAML that wants to be more than data."""

import base64
import gzip
import html
import json
import sys
import traceback
from urllib.parse import quote

import pytest

import suite
from suite.core import console
from suite.core.errors import InvalidInput
from suite.experiments.study import load_study
from suite.results.store import Store

SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
LEAKY = """
import os
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method("leaky", "t", title="l", summary="l", implementation="Leaky", family="t")


class Leaky(Sparsifier):
    def start(self):
        self.draw_masks()

    def after_step(self, step):
        if step == 3:
            raise RuntimeError(f"no access with key {os.environ['WANDB_API_KEY']}")
"""


def test_a_key_in_the_message_of_a_failure_reaches_neither_store_nor_screen(
    resonance, place, monkeypatch
):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    (place / "leaky.py").write_text(LEAKY)
    for more in ("", "--json"):
        line = f"--plugin leaky.py run digits/mlp leaky --recipe epochs=1 --overwrite always {more}"
        result = resonance(line)
        assert result.code == 1
        assert "no access with key [secret]" in result.err
        assert SECRET not in result.out + result.err
    written = [p.read_bytes() for p in (place / "results").rglob("*") if p.is_file()]
    assert any(b"no access with key [secret]" in content for content in written)
    assert not any(SECRET.encode() in content for content in written)
    assert SECRET not in resonance("status").out + resonance("status --json").out


def test_a_record_says_nothing_of_the_machines_user_folders_or_variables(
    resonance, place, monkeypatch
):
    monkeypatch.setenv("MY_OWN_VARIABLE", "a-value-that-nobody-else-has")
    result = resonance("run digits/mlp static --recipe epochs=1 --json")
    key = json.loads(result.out)["key"]
    text = (place / "results" / "trials" / key / "record.json").read_text()
    assert "a-value-that-nobody-else-has" not in text
    assert str(place) not in text


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.system ['touch owned']",
        "name: !!python/name:os.system",
        "!!python/object/new:os.system ['touch owned']",
        "name: !include /etc/passwd",
    ],
)
def test_yaml_is_data_only(place, text):
    (place / "study.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="is not used here: remove the type"):
        load_study("study.yaml")
    assert not (place / "owned").exists()


def bomb(levels: int) -> str:
    """Return a study whose task is 10 ** levels values, in a few lines."""
    lines = ["name: n", "question: q", "methods: [static]", "sparsities: [0.9]", "seeds: 1"]
    lines += ["recipe:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"tasks: [*a{levels - 1}]"])


@pytest.mark.parametrize("text", [bomb(12), "name: n\nrecipe: &a {epochs: [*a]}\ntasks: *a"])
def test_yaml_that_repeats_itself_without_end_is_refused_at_once(place, text):
    (place / "study.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="stands? for") as refused:
        load_study("study.yaml")
    assert len(str(refused.value)) < 200


def test_a_few_aliases_are_fine(place):
    (place / "study.yaml").write_text(
        "name: n\nquestion: q\ntasks: [digits/mlp]\nseeds: 1\n"
        "methods: [{name: static, set: &s {distribution: erk}}, {name: magnitude, set: *s}]\n"
        "sparsities: [0.9]\n"
    )
    assert len(load_study("study.yaml").trials()) == 2


@pytest.mark.parametrize("name", ["../../escape", "/etc/cron.d/x", "a/b", "", ".."])
def test_a_study_named_by_a_path_is_refused(place, name):
    (place / "study.yaml").write_text(
        f"name: {json.dumps(name)}\nquestion: q\ntasks: [digits/mlp]\nmethods: [static]\n"
        "sparsities: [0.9]\nseeds: 1\n"
    )
    with pytest.raises(InvalidInput, match="name"):
        load_study("study.yaml")


# ---------------------------------------------------------------- every place text goes to

HIDDEN = {
    "MYSQL_PWD": "x9-yz",
    "SSHPASS": "hunter2",
    "AWS_CREDENTIALS": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE",
    "GH_PAT": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "PASSPHRASE": 'open "sesame" & 42 öäü',
    "AUTH_COOKIE": "sid=8f7e6d5c; path=%2F",
    "WANDB_KEY": "k3y!",
    "MY_SETTING": "Zx8Qw7Er6Ty5Ui4O",  # its name says nothing
    "MY_LINES": "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIB\n",
}
TELLING = """
import base64, html, json, os, urllib.parse
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method("telling", "t", title="l", summary="l", implementation="Telling", family="t")


class Telling(Sparsifier):
    def start(self):
        self.draw_masks()

    def after_step(self, step):
        told = []
        for name in {names!r}:
            value = os.environ[name]
            content = value.encode()
            told += [value, repr(value), json.dumps(value), content.hex(), repr(content)]
            told += [urllib.parse.quote(value, safe=""), html.escape(value)]
            told += [base64.b64encode(content).decode(), f"https://me:{{name}}pw@host/{{value}}"]
            told += [base64.urlsafe_b64encode(b"me:" + content + b":x").decode()]
        raise RuntimeError(" | ".join(told).replace(chr(10), " ") + chr(10) + chr(10).join(told))
"""


def spellings(secret: str) -> list[bytes]:
    """Return a secret, and each line of one of several lines, in the usual encodings."""
    lines = [line for line in secret.splitlines() if len(line) >= 16] or [secret]
    found = []
    for text in (secret.strip(), *lines):
        content = text.encode()
        told = [text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(text, safe="")]
        told += [html.escape(text), content.hex(), repr(content)[2:-1]]
        told += [base64.b64encode(content).decode().rstrip("=")]
        found += [one.encode() for one in told]
        if len(content) >= 8:  # within a longer text, without what depends on its neighbours
            found.append(base64.urlsafe_b64encode(b"me:" + content + b":x")[5:-6])
    return found


@pytest.fixture
def hidden(monkeypatch) -> None:
    for name, value in HIDDEN.items():
        monkeypatch.setenv(name, value)


def check_nothing_told(where: str, content: bytes) -> None:
    for name, secret in HIDDEN.items():
        for spelling in spellings(secret):
            assert spelling not in content, f"{name} in {where} as {spelling!r}"


def test_no_secret_reaches_any_file_or_output(resonance, place, hidden):
    (place / "telling.py").write_text(TELLING.format(names=list(HIDDEN)))
    run = "--plugin telling.py run digits/mlp telling --recipe epochs=1 --overwrite always"
    failed = resonance(run)
    assert failed.code == 1
    assert "RuntimeError: [secret]" in failed.err
    (key,) = Store("results").keys()
    sender = HIDDEN["GH_PAT"]
    lines = [
        f"{run} --json",
        "status",
        "status --json",
        f"show {key}",
        f"inspect {key} --out inspected",
        f"submit --name {sender} --out bundle.jsonl.gz",
        "leaderboard check bundle.jsonl.gz",
        "leaderboard build --with bundle.jsonl.gz --out site",
        "doctor",
        f"run digits/{sender} static",
        f"run digits/mlp rigl --set update_every={HIDDEN['SSHPASS']}",
        f"study {HIDDEN['MYSQL_PWD']}",
        f"tune rigl --task digits/mlp --storage mysql://me:{HIDDEN['WANDB_KEY']}@h/db",
    ]
    for line in lines:
        told = resonance(line)
        check_nothing_told(line, (told.out + told.err).encode())
    written = [path for path in place.rglob("*") if path.is_file() and path.name != "telling.py"]
    assert {"error.txt", "record.json", "bundle.jsonl.gz", "index.html"} <= {
        p.name for p in written
    }
    for path in written:
        content = path.read_bytes()
        check_nothing_told(str(path), gzip.decompress(content) if path.suffix == ".gz" else content)


def test_a_notebook_is_told_no_secret(place, hidden):
    secret = HIDDEN["GH_PAT"]
    for act in (
        lambda: suite.Trial.make(task="digits/mlp", method=secret),
        lambda: suite.run("digits/mlp", "rigl", hyperparameters={"update_every": secret}),
        lambda: suite.load_results(store=f"s3://me:{secret}@host/x"),
    ):
        with pytest.raises((InvalidInput, ValueError)) as refused:
            act()
        told = "".join(traceback.format_exception_only(refused.type, refused.value))
        check_nothing_told("an exception", told.encode())


def test_tables_and_tracebacks_on_a_terminal_have_no_secret(hidden, monkeypatch, capsys):
    secret = HIDDEN["GH_PAT"]
    console.print_table(secret, ["name", secret], [["a", f"x {secret}"], ["resonance", "0.9"]])
    with console.live() as show:
        show({"told": secret, "steps": 1000})
        show([f"at {secret}"])
    console.complain(secret)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    console.hide_secrets_in_tracebacks()
    try:
        raise OSError(f"no access with {secret}")
    except OSError:
        sys.excepthook(*sys.exc_info())
    told = capsys.readouterr()
    check_nothing_told("the terminal", (told.out + told.err).encode())
    assert "resonance\t0.9" in told.out
    assert '"steps": 1000' in told.out
    assert "OSError: no access with [secret]" in told.err
