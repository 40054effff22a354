"""How what the pages show is run here: what stands for a placeholder, what is made shorter.

Every table is tried from the top; what fits no rule fails its test.
"""

import re
from typing import NamedTuple

STUDY = """
name: my-study
question: What does a page's own study give?
tasks: [digits/mlp]
methods: [set, rigl]
sparsities: [0.9]
seeds: 2
recipe: {epochs: 4}
controls_left_out: it is an example
"""
"""The study that the pages call my-study.yaml, small enough to run."""

BUNDLE = "leaderboard/submissions/a-group.jsonl.gz"


IN_SECTIONS = "docs/own-loop.md"
"""The page whose blocks are run by test_own_loop, all of a section after one another."""


class Rule(NamedTuple):
    """What is done with commands that begin so (a regular expression)."""

    begins: str
    does: str
    why: str


PLACEHOLDERS = [
    Rule(r"KEY…?|TRIAL", "{key}", "a finished trial of rigl"),
    Rule(r"(?<=check )FILE", BUNDLE, "what `resonance submit` of the page has written"),
    Rule(r"(?<=--task-file )FILE", "iris.yaml", "the page's first task file"),
    Rule(r"(?<=study )NAME", "quickstart", "any study"),
    Rule(
        r"--plugin (\w+)\.py compare \1 rigl",
        "compare rigl set",
        "two finished methods; the page's own is run by another of its commands",
    ),
    Rule(
        r"saliency saliency@1a2b3c",
        "rigl set",
        "two finished methods; versions have their own tests",
    ),
    Rule(r"~/\.ssh/id_ed25519", "id_ed25519", "a key made for this"),
    Rule(r"TABLE", "rigl-imagenet-flops", "a table that needs no data"),
    Rule(r"TASK", "digits/mlp", "any task"),
    Rule(r"METHOD", "rigl", "any method"),
    Rule(r"^resonance(?= info iris/mlp)", "resonance --plugin iris_task.py", "the page's own task"),
    Rule(
        r"^resonance(?= info noisy_rigl)",
        "resonance --plugin examples/noisy_rigl/noisy_rigl.py",
        "as if installed; tests/docs/test_examples.py has the entry point found",
    ),
]
"""Here `begins` is searched for, and `does` is what is put in its place."""

SHORTENED = [
    Rule(r"run fashion_mnist", "--recipe epochs=1 --recipe batch_size=500", "60,000 images"),
    Rule(r"run ", "--recipe epochs=2", "two epochs are enough for every method's first decision"),
    Rule(r"signals ", "--recipe epochs=5", "two windows of 64 steps need four epochs"),
    Rule(r"study \S+\.yaml", "--engine inline", "workers would import torch again"),
    Rule(r"study ", "--dry-run", "minutes to hours; the plan is made and checked"),
    Rule(
        r"tune ",
        "--budget 2 --seeds 1 --final-seeds 1 --recipe epochs=2 --engine inline",
        "30 trials and more of 20 epochs",
    ),
    Rule(r"ablate ablate_", "--dry-run", "half an hour and more"),
    Rule(r"ablate .*--grid", "--dry-run", "many cells; the line without --grid is run"),
    Rule(
        r"ablate ",
        "--seeds 1 --recipe epochs=5 --engine inline",
        "five seeds of 20 epochs; a window of 64 steps needs five",
    ),
    Rule(r"reproduce set-fashion-mnist-2000(?! --shipped)", "--dry-run", "fifteen long runs"),
    Rule(r"doctor", "--offline", "tests connect to nothing"),
]
"""Options that are appended."""

PRINTS = [
    Rule(r"list methods", "resonance_shuffled", "the project's own control"),
    Rule(r"list tasks", "digits/mlp", "a task"),
    Rule(r"list trials", "digits/mlp", "the finished trials"),
    Rule(r"list studies", "quickstart", "a shipped study"),
    Rule(r"show", "test accuracy", "a trial's metric"),
    Rule(r"list benchmarks", "detector", "a benchmark"),
    Rule(r"list tables", "rigl-imagenet-flops", "a table"),
    Rule(r"info rigl", "update_every", "a hyperparameter"),
    Rule(r"info resonance", "accuracy_depth", "a hyperparameter"),
    Rule(r"info digits/mlp", "batch_size", "a recipe field"),
    Rule(r"info official", "official_table", "a study of the group"),
    Rule(r"info iris/mlp", "batch_size", "a recipe field"),
    Rule(r"info noisy_rigl", "temperature", "the plug-in's own hyperparameter"),
    Rule(r"run ", "test accuracy", "the trial's result"),
    Rule(r"study \S+\.yaml", "done · 0 to run", "its trials are in the store"),
    Rule(r"study ", "0 done · ", "the plan"),
    Rule(r"status quickstart", "75 to run", "none has run here"),
    Rule(r"status official", "study official_table: 0 done", "a study of the group"),
    Rule(r"wandb push", "are published", "how many runs there are"),
    Rule(r"leaderboard build", "Leaderboard: site", "where the page is"),
    Rule(r"leaderboard check", "4 records", "what was looked at"),
    Rule(r"claims", "holds", "a number that is that of the records"),
    Rule(r"compare rigl set", "cannot decide at n = 2", "the verdict on two seeds"),
    Rule(r"signals ", "agrees with itself", "the first sentence of what it found"),
    Rule(r"inspect", "Page: site/trials/", "where the page is"),
    Rule(r"tune ", "All trials: optuna-dashboard", "the end of a finished search"),
    Rule(r"ablate ", "difference", "the table of effects"),
    Rule(r"reproduce .*--(dry-run|published-only)", "published", "the table; no file is written"),
    Rule(
        r"reproduce set-fashion-mnist-2000(?! --shipped)",
        "0 done · 15 to run",
        "the plan; no file is written",
    ),
    Rule(r"reproduce ", "Table: tables/", "where the table is"),
    Rule(r"evaluate", "latency, compressed rows, batch of 128", "what trials do not measure"),
    Rule(r"export", "{key}.", "the file"),
    Rule(r"submit", BUNDLE, "the file"),
    Rule(r"doctor", "0 broken", "what it found"),
]
"""What a command must print; `--plugin FILE` before the verb is left aside."""

ELSEWHERE = [
    Rule(
        r"resonance bench",
        "tests/docs/test_commands.py::test_benchmarks_named_on_pages_exist",
        "minutes; tests/bench runs each at a small size",
    ),
    Rule(
        r"resonance export .* --to onnx",
        "tests/export/test_files.py::test_onnx_gives_the_same_outputs_for_any_batch",
        "importing ONNX takes longer than all else here",
    ),
    Rule(
        r"torchrun .* resonance run",
        "tests/training/test_parallel.py::test_two_processes_train_as_one_does_and_go_on_from_a_checkpoint_to_the_same_bits",
        "two processes on a CPU",
    ),
    Rule(
        r"python -m tests\.fuzz",
        "tests/security/test_fuzz.py::test_a_few_inputs_of_each_kind_raise_nothing_but_refusals",
        "it runs for a minute or an hour",
    ),
    Rule(
        r"python -m tests\.gpu",
        "tests/gpu/test_gpu_script.py::test_every_part_runs_on_a_cpu_and_passes",
        "it needs a GPU and ten minutes, or a CPU and one",
    ),
    Rule(
        r"python -m tests\.execution\.soak",
        "tests/execution/test_runner_stopping.py::test_a_study_ends_as_documented_whatever_ends_it_and_when",
        "it runs for many minutes",
    ),
    Rule(
        r"python examples/own_loop\.py",
        "tests/docs/test_examples.py::test_a_loop_of_ones_own_trains_a_sparse_network",
        "a whole training",
    ),
]
"""Commands that another test runs."""

SHIPPED = ("rigl",)
"""Methods whose shipped results stand for all that are shipped: each trial gets a page."""

FILES = [
    Rule(r'^METHOD = Method\(\s*"(\w+)"', r"\1.py", "the page: `--plugin random_walk.py`"),
    Rule(r'^METHOD = replace\(RIGL, name="(\w+)"', r"\1.py", "the page: `--plugin taylor.py`"),
    Rule(r'^TASK = Task\(\s*"(\w+)/', r"\1_task.py", "the page: `--plugin iris_task.py`"),
    Rule(r"^class (Net)\(nn\.Module\)", "my_net.py", "its task file: `my_net.py:Net`"),
    Rule(r"^claims:", "my-claims.yaml", "the page: `resonance claims my-claims.yaml`"),
    Rule(r"^name: (\w+)/\w+\ndata:", r"\1.yaml", "the page: `--plugin iris.yaml`"),
]
"""The file that a block of code is, for the page's commands."""


def first(rules: list[Rule], text: str) -> Rule | None:
    """Return the first rule that fits the beginning of a text."""
    return next((rule for rule in rules if re.match(rule.begins, text)), None)


def filled(text: str, key: str) -> str:
    """Return a command with something real in place of its placeholders."""
    for rule in PLACEHOLDERS:
        text = re.sub(rule.begins, rule.does.format(key=key), text)
    return text


def alternatives(text: str) -> list[str]:
    """Return a command for each of the words that ``a|b|c`` in it stands for."""
    found = re.search(r"\S+\|\S+", text)
    if found is None:
        return [text]
    return [
        one
        for word in found[0].split("|")
        for one in alternatives(text[: found.start()] + word + text[found.end() :])
    ]


def file_of(block: str) -> str | None:
    """Return the name of the file that a block of code is; None where it is none."""
    for rule in FILES:
        found = re.search(rule.begins, block, re.MULTILINE)
        if found is not None:
            return found.expand(rule.does)
    return None
