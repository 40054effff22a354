"""The workflow files are valid, and give no more rights than their jobs need."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.workflows import FOLDER, ROOT, STEPS, WORKFLOWS, jobs

GITHUB = ROOT / ".github"
RIGHTS = {
    "pages.yml deploy": {"pages": "write", "id-token": "write"},
    "release.yml publish": {"id-token": "write"},
    "release.yml github": {"contents": "write"},
    "submission-comment.yml comment": {
        "actions": "read", "contents": "read", "pull-requests": "write",
    },
}  # fmt: skip
"""The jobs that have other rights than to read the code."""


def program(name: str) -> str:
    """Return the path of a program of the environment that runs the tests."""
    return str(Path(sys.executable).with_name(name))


def test_zizmor_finds_no_insecure_step():
    words = [program("zizmor"), "--offline", "--no-progress", "--format=plain", str(GITHUB)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_would_find_one(tmp_path):
    (tmp_path / "bad.yml").write_text(
        "name: bad\non: issue_comment\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n"
        "    steps:\n      - run: echo ${{ github.event.comment.body }}\n"
    )
    words = [program("zizmor"), "--offline", "--no-progress", str(tmp_path / "bad.yml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "template-injection" in done.stdout


SCHEMAS = {
    "github-workflows": sorted(FOLDER.glob("*.yml")),
    "github-issue-forms": [
        path
        for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
        if path.name != "config.yml"
    ],
    "github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "dependabot": [GITHUB / "dependabot.yml"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schema(schema):
    words = [program("check-jsonschema"), "--builtin-schema", f"vendor.{schema}"]
    words += ["--default-filetype", "yaml", *map(str, SCHEMAS[schema])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_of_the_folder_is_checked():
    known = {path for paths in SCHEMAS.values() for path in paths}
    others = {GITHUB / "pull_request_template.md", *(GITHUB / "scripts").glob("*.py")}
    listed = subprocess.run(
        ["git", "ls-files", ".github"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {ROOT / name for name in listed.stdout.split()} - known - others == set()


def test_actions_are_pinned_to_commits_with_their_version_behind():
    pins: dict[str, set[str]] = {}
    for path in FOLDER.glob("*.yml"):
        for action, behind in re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8")):
            if action.startswith("./"):
                assert (ROOT / action).is_file()
                continue
            name, _, commit = action.partition("@")
            assert re.fullmatch(r"[0-9a-f]{40}", commit), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", behind), action
            pins.setdefault(name, set()).add(commit + behind)
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_rights_are_those_that_are_written_down_here():
    for name, workflow in WORKFLOWS.items():
        expected = {} if name == "submission-comment.yml" else {"contents": "read"}
        assert workflow["permissions"] == expected, name
    found = {place: job["permissions"] for place, job in jobs() if "permissions" in job}
    assert found == RIGHTS


def test_no_secret_is_named_and_the_code_of_a_pull_request_gets_no_token():
    for path in FOLDER.glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert "secrets." not in text, path.name
        assert "pull_request_target" not in text, path.name
    for place, job in jobs():
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, place
    check = WORKFLOWS["submission.yml"]
    assert check["on"] == {"pull_request": {"paths": ["leaderboard/submissions/**"]}}
    assert "github.token" not in (FOLDER / "submission.yml").read_text(encoding="utf-8")


def test_nothing_is_interpolated_into_commands():
    """What GitHub puts in for an expression is read by the shell as code; variables are not."""
    for step in STEPS.values():
        assert "${{" not in step.run, step.place


@pytest.mark.parametrize("place", STEPS)
def test_commands_are_shell(place):
    done = subprocess.run(["bash", "-n", "-c", STEPS[place].run], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_job_ends_and_runs_on_one_system():
    for place, job in jobs():
        if "uses" in job:
            continue
        assert job["timeout-minutes"] <= 150, place
        assert job["runs-on"] == "ubuntu-24.04", place


def test_every_version_of_python_that_is_promised_is_tested():
    versions = WORKFLOWS["tests.yml"]["jobs"]["python"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={versions[0]}"' in pyproject
    for version in versions:
        assert f'"Programming Language :: Python :: {version}"' in pyproject


def test_a_comment_is_written_about_the_workflow_that_checks():
    comment = WORKFLOWS["submission-comment.yml"]
    assert comment["on"]["workflow_run"]["workflows"] == [WORKFLOWS["submission.yml"]["name"]]
    upload = WORKFLOWS["submission.yml"]["jobs"]["check"]["steps"][-1]["with"]
    download = comment["jobs"]["comment"]["steps"][1]["with"]
    assert download["name"] == upload["name"]


def test_names_of_artifacts_that_are_downloaded_are_uploaded_before():
    release = WORKFLOWS["release.yml"]["jobs"]
    uploaded = {
        step["with"]["name"]
        for step in release["build"]["steps"]
        if step.get("uses", "").startswith("actions/upload-artifact@")
    }
    for job in ("publish", "github"):
        for step in release[job]["steps"]:
            if step.get("uses", "").startswith("actions/download-artifact@"):
                assert step["with"]["name"] in uploaded
