"""Every command of the documentation works: what is run for which is in `rules`."""

import itertools
import re
import shlex
import subprocess
import tomllib
from dataclasses import replace

import pytest

from tests.docs import command_line, rules
from tests.docs.collector import ROOT, Piece, collect, is_command, is_option, pieces

PIECES = collect()
COMMANDS = [p for p in PIECES if p.kind == "command" or (p.kind == "span" and is_command(p.text))]
OPTIONS = [p for p in PIECES if p.kind == "span" and is_option(p.text)]


def place_of(piece: Piece) -> str:
    return piece.place


@pytest.mark.parametrize("piece", COMMANDS, ids=place_of)
def test_a_command_on_a_page_works(piece, request):
    carry_out(piece, request)


def carry_out(piece: Piece, request) -> None:
    """Run a command by the rule of its program; without one, fail and say where it stands."""
    program = PROGRAMS.get(piece.words[0])
    if program is None:
        pytest.fail(f"{piece.place}: no rule for the command {piece.text!r}")
    try:
        program(piece, request)
    except ValueError as error:
        pytest.fail(f"{piece.place}: {piece.text}: {error}")


# ---------------------------------------------------------------- our own command


def run_resonance(piece: Piece, request) -> None:
    """Run the line, or where a text only names it look whether verb and options exist."""
    words = piece.words[1:]
    if "[OPTIONS]" in words:  # a line of usage
        command_line.named(words[: words.index("[OPTIONS]")])
        return
    key = request.getfixturevalue("key")
    for text in rules.alternatives(rules.filled(piece.text, key)):
        line = shlex.split(text, comments=True)[1:]
        if rules.first(rules.ELSEWHERE, text) is not None:
            run_elsewhere(replace(piece, text=text))
        elif piece.kind == "span" and not command_line.is_whole(line):
            command_line.named(line)
        else:
            run_line(piece, line, key, request)


def run_line(piece: Piece, line: list[str], key: str, request) -> None:
    path, _, _ = command_line.verb(line)
    behind = " ".join(line[line.index(path[0]) :])
    if "fashion_mnist/" in behind:
        request.getfixturevalue("fashion_mnist")
    shorter, printed = rules.first(rules.SHORTENED, behind), rules.first(rules.PRINTS, behind)
    if printed is None:
        pytest.fail(f"{piece.place}: what does {behind!r} print? No rule says it")
    more = shorter.does.split() if shorter else []
    result = request.getfixturevalue("resonance")("", *line, *more)
    assert result.code == 0, f"{piece.place}: {result.err}"
    assert printed.does.format(key=key) in result.out, piece.place


def name_verb(piece: Piece, _) -> None:
    """Look whether a verb exists that a text names without `resonance`."""
    command_line.named(piece.words)


# ---------------------------------------------------------------- other programs


def make(piece: Piece, _) -> None:
    done = subprocess.run(["make", "-n", *piece.words[1:]], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, f"{piece.place}: {done.stderr.decode()}"


def pip(piece: Piece, _) -> None:
    """Look whether it is a folder of ours, a declared extra, or packages of known versions."""
    install, what, *more = piece.words[1:]
    assert install == "install"
    if more:
        known = (ROOT / "constraints.txt").read_text()
        assert all(f"\n{package}==" in known for package in (what, *more)), piece.place
        return
    extra = re.fullmatch(r"resonance-bench\[(\w+)\]", what)
    folder = ROOT if extra else ROOT / what
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    if extra:
        assert extra[1] in project["optional-dependencies"], piece.place


def apt_get(piece: Piece, _) -> None:
    """Look whether the script for a clean machine installs the same."""
    assert set(piece.words[2:]) <= set((ROOT / ".ci" / "run").read_text().split()), piece.place


def source(piece: Piece, _) -> None:
    assert piece.words == ["source", ".venv/bin/activate"]
    assert "VENV := .venv\n" in (ROOT / "Makefile").read_text()


def python(piece: Piece, _) -> None:
    run_elsewhere(piece)


def torchrun(piece: Piece, request) -> None:
    """Look whether both torchrun and the command it starts take the words; then see elsewhere."""
    from torch.distributed.run import get_args_parser

    given = get_args_parser().parse_args(shlex.split(rules.filled(piece.text, key=""))[1:])
    assert given.no_python
    assert given.training_script == "resonance"
    assert command_line.is_whole(given.training_script_args), piece.place
    run_elsewhere(piece)


def wandb(piece: Piece, request) -> None:
    """Look whether the verb is one of ours, or one of W&B's own command."""
    if piece.words[1] in command_line.COMMAND.get_command(None, "wandb").commands:
        name_verb(piece, request)
    else:
        from wandb.cli.cli import cli

        assert piece.words[1] in cli.commands, piece.place


def ssh_keygen(piece: Piece, _) -> None:
    """Look whether it signs or verifies in our namespace."""
    from leaderboard.bundles.signature import NAMESPACE

    assert piece.words[1] == "-Y", piece.place
    assert piece.words[2] in ("sign", "verify"), piece.place
    assert piece.words[piece.words.index("-n") + 1] == NAMESPACE, piece.place


def run_elsewhere(piece: Piece) -> None:
    """Look whether the test exists that runs a command."""
    rule = rules.first(rules.ELSEWHERE, piece.text)
    if rule is None:
        pytest.fail(f"{piece.place}: no rule for the command {piece.text!r}")
    file, _, test = rule.does.partition("::")
    assert f"\ndef {test}(" in (ROOT / file).read_text(), f"{piece.place}: no test {rule.does}"


PROGRAMS = {
    "resonance": run_resonance,
    "compare": name_verb,
    "leaderboard": name_verb,
    "reproduce": name_verb,
    "study": name_verb,
    "show": name_verb,
    "status": name_verb,
    "list": name_verb,
    "store": name_verb,
    "ssh-keygen": ssh_keygen,
    "wandb": wandb,
    "make": make,
    "pip": pip,
    "apt-get": apt_get,
    "source": source,
    "python": python,
    "torchrun": torchrun,
}


def test_benchmarks_named_on_pages_exist():
    from suite.bench.catalogue import BENCHMARKS

    known = {one.name for one in BENCHMARKS}
    found = [p for p in COMMANDS if p.text.startswith("resonance bench")]
    assert found
    for piece in found:
        line = shlex.split(rules.filled(piece.text, key=""), comments=True)
        command_line.named(line[1:])
        names = itertools.takewhile(lambda word: not word.startswith("-"), line[2:])
        assert set(names) <= known, piece.place


# ---------------------------------------------------------------- options in running text


@pytest.mark.parametrize("piece", OPTIONS, ids=place_of)
def test_an_option_named_on_a_page_exists(piece):
    text = re.sub(r"[\[\],]|<.*>", " ", piece.text)
    for one in rules.alternatives(text):
        assert command_line.options_exist(one.split()), f"{piece.place}: {piece.text}"


# ---------------------------------------------------------------- nothing is passed over


@pytest.mark.parametrize(
    "shown",
    [
        "Do this:\n\n    git push --force\n",
        "Do this:\n\n```sh\ngit push --force\n```\n",
        "Now `git push --force` does it.",
        "Now `resonance runn digits/mlp rigl` does it.",
        "Now `resonance run digits/mlp rigl --sparsty 0.9` does it.",
        "Now `resonance leaderboard check FILE --rerun` does it.",
        "Now `resonance run … --sparsty 0.9` does it.",
        "    resonance store compact\n",
        "    resonance run digits/mlp rigl --seed three\n",
        "    python setup.py install\n",
        "    make everything\n",
        "    pip install 'resonance-bench[quantum]'\n",
    ],
)
def test_a_command_without_a_rule_or_that_fails_is_named_with_its_line(shown, request):
    *_, piece = pieces("page.md", "# Title\n\n" + shown)
    assert piece.kind == "command" or is_command(piece.text)
    with pytest.raises((AssertionError, pytest.fail.Exception), match=rf"page\.md:{piece.line}"):
        carry_out(piece, request)


def test_an_option_or_a_value_that_no_verb_has_is_noticed():
    assert command_line.options_exist(["--engine", "ray"])
    assert command_line.options_exist(["-s", "0.9", "--seed"])
    assert not command_line.options_exist(["--engin", "ray"])
    assert not command_line.options_exist(["--engine", "rai"])
    assert not command_line.options_exist(["--grid", "--budget"])  # of no verb both
