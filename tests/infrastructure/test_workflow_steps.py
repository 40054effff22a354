"""Every command of a workflow is run here, or its place is taken by what is named with it.

A step that is not in `CHECKED_BY` fails a test.
"""

import gzip
import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import require
from tests.infrastructure.github_api import Api, serve
from tests.infrastructure.scripts import load
from tests.infrastructure.workflows import ROOT, STEPS, Step
from tests.integration.conftest import copy_of_tree
from tests.support.git_repository import IDENTITY, commit_all, git

MAKE = "test_make_would_run_it"
CHECKED_BY = {
    "tests.yml python: Lint and test; what needs more than pip installs is skipped": MAKE,
    "tests.yml oldest: Test with the oldest version of every dependency": MAKE,
    "tests.yml whole: Let git read the checkout, which another user owns": (
        "test_git_reads_a_checkout_that_another_user_owns"
    ),
    "tests.yml whole: Install what is needed, lint and test": (
        "test_the_script_for_a_clean_machine_is_there"
    ),
    "pages.yml build: Build the documentation, with the leaderboard inside": MAKE,
    "release.yml build: Build the sdist, and the wheel from it": "test_a_release_from_its_tag",
    "release.yml build: Check that tag, files, changelog and citation agree": (
        "test_a_release_from_its_tag"
    ),
    "release.yml build: Install the wheel in an environment of its own": (
        "tests/integration/test_package.py installs it without the gigabytes it depends on"
    ),
    "release.yml build: Try it outside the checkout": (
        "tests/integration/test_package.py::"
        "test_a_release_s_smoke_test_passes_outside_of_the_checkout"
    ),
    "release.yml github: Make the release": "test_a_release_from_its_tag",
    "submission.yml check: Install the package": MAKE,
    "submission.yml check: Check the bundles that are new or changed": (
        "test_a_submitted_bundle_is_checked_and_commented_on"
    ),
    "submission-comment.yml comment: Write the comment": (
        "test_a_submitted_bundle_is_checked_and_commented_on"
    ),
}


def test_every_step_is_checked_and_every_check_exists():
    assert CHECKED_BY.keys() == STEPS.keys()
    for place, how in CHECKED_BY.items():
        if how.startswith("tests/"):
            file, _, test = how.partition(" ")[0].partition("::")
            assert (ROOT / file).is_file(), place
            assert not test or f"\ndef {test}(" in (ROOT / file).read_text(), place
        else:
            assert callable(globals()[how]), place


def step(name: str) -> Step:
    (found,) = (step for place, step in STEPS.items() if place.endswith(f": {name}"))
    return found


@pytest.mark.parametrize("place", [place for place, how in CHECKED_BY.items() if how == MAKE])
def test_make_would_run_it(place):
    words = STEPS[place].run.split()
    assert words[0] == "make"
    targets = [word for word in words[1:] if "=" not in word]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in targets:
        there = re.search(rf"^{target}:", makefile, re.MULTILINE) is not None
        require(f"make {target}", there, "the Makefile has no such target")
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_git_reads_a_checkout_that_another_user_owns(tmp_path):
    checkout = tmp_path / "a checkout"
    environment = {"HOME": str(tmp_path), "GITHUB_WORKSPACE": str(checkout)}
    done = step("Let git read the checkout, which another user owns").execute(tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert str(checkout) in (tmp_path / ".gitconfig").read_text()


def test_the_script_for_a_clean_machine_is_there():
    script = ROOT / step("Install what is needed, lint and test").run.strip()
    assert script.stat().st_mode & 0o100
    assert script.read_text().rstrip().endswith("make test")


GH = """#!/bin/bash
printf '%s\\n' "$@" >gh-words
test -n "$GH_TOKEN"
"""


@pytest.mark.wheel
def test_a_release_from_its_tag(tmp_path):
    """The workflow's own lines, from the tag to the call of `gh`, in a copy of the tree."""
    tree = copy_of_tree(tmp_path / "tree")
    changelog = (tree / "CHANGELOG.md").read_text()
    (version,) = re.findall(r"^## (\S+) \(unreleased\)$", changelog, re.MULTILINE) or ["9.9.9"]
    if version == "9.9.9":  # right after a release nothing is unreleased
        changelog = changelog.replace("\n## ", f"\n## {version} (unreleased)\n\n- New.\n\n## ", 1)
    (tree / "CHANGELOG.md").write_text(changelog.replace("(unreleased)", "(2030-01-02)"))
    citation = (tree / "CITATION.cff").read_text()
    citation = re.sub("^version: .*$", f"version: {version}", citation, flags=re.MULTILINE)
    (tree / "CITATION.cff").write_text(citation)
    commit_all(tree)
    git(tree, "tag", f"v{version}")

    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    uv = Path(sys.executable).with_name("uv")
    # The tools to build with are those of the tests, in place of new ones from the internet.
    (tools / "uv").write_text(
        f'#!/bin/bash\nexec "{uv}" "$@" --offline --no-build-isolation --python={sys.executable}\n'
    )
    (tools / "uv").chmod(0o755)
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "GITHUB_REF_NAME": f"v{version}",
        "GITHUB_REPOSITORY": "me/bench",
        "GH_TOKEN": "a-token",
    }
    for name in (
        "Build the sdist, and the wheel from it",
        "Check that tag, files, changelog and citation agree",
        "Make the release",
    ):
        done = step(name).execute(tree, environment)
        assert done.returncode == 0, name + done.stdout + done.stderr
    built = {
        f"dist/resonance_bench-{version}-py3-none-any.whl",
        f"dist/resonance_bench-{version}.tar.gz",
    }
    called = (tree / "gh-words").read_text().splitlines()
    assert called[:3] == ["release", "create", f"v{version}"]
    assert built <= set(called)
    assert called[-2:] == ["--notes-file", "notes.md"]
    assert (tree / "notes.md").read_text().strip()
    wheel = next((tree / "dist").glob("*.whl"))
    shutil.unpack_archive(wheel, tmp_path / "unpacked", "zip")
    assert (
        git(tree, "rev-parse", "HEAD")
        in (tmp_path / "unpacked" / "suite" / "built_from.json").read_text()
    )


def test_a_submitted_bundle_is_checked_and_commented_on(tmp_path):
    """A request with shipped records: the job that checks it, then the job that comments."""
    tree = copy_of_tree(tmp_path / "tree")
    commit_all(tree)
    with gzip.open(ROOT / "leaderboard" / "results" / "official_small.jsonl.gz") as shipped:
        header_and_records = list(itertools.islice(shipped, 4))
    with gzip.open(tree / "leaderboard" / "submissions" / "a-group.jsonl.gz", "wb") as submitted:
        submitted.writelines(header_and_records)
    (tree / "leaderboard" / "submissions" / "bad.jsonl.gz").write_text("```\n# no bundle")
    head = commit_all(tree)
    (tree / ".venv" / "bin").mkdir(parents=True)
    (tree / ".venv" / "bin" / "python").write_text(f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
    (tree / ".venv" / "bin" / "python").chmod(0o755)

    check = step("Check the bundles that are new or changed")
    done = check.execute(tree, {"PR_NUMBER": "7", "PYTHONPATH": str(tree), **IDENTITY})
    assert done.returncode == 1, done.stderr
    report = (tree / "report" / "report.txt").read_text()
    assert "submissions/bad.jsonl.gz: NOT passed" in report
    assert "submissions/a-group.jsonl.gz: " in report
    assert "checksum, key, settings" in report
    assert report.strip() in done.stdout

    runner = tmp_path / "runner"
    runner.mkdir()
    (tree / "report").rename(runner / "report")
    comment = step("Write the comment")
    with serve(Api(head=head)) as api:
        environment = {
            "GITHUB_TOKEN": "a-token",
            "GITHUB_REPOSITORY": "me/bench",
            "GITHUB_API_URL": api.url,
            "RUNNER_TEMP": str(runner),
            "HEAD_SHA": head,
            "CONCLUSION": "failure",
        }
        done = comment.execute(ROOT, environment)
        assert done.returncode == 0, done.stderr
        other = comment.execute(ROOT, environment | {"HEAD_SHA": "b" * 40})
        assert other.returncode == 1
        assert other.stderr.startswith("no comment is written: ")
    (written,) = api.comments
    assert load("comment_on_submission").fenced(report) in written["body"]
