"""What contributors are given: hooks, forms, templates."""

import re

import yaml

from tests.infrastructure.workflows import ROOT


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_hooks_are_the_linters_of_make_lint():
    recipe = re.search(r"^lint: .*\n((?:\t.*\n)+)", text("Makefile"), re.MULTILINE)[1]
    commands = [line.strip().lstrip("@") for line in recipe.splitlines()]
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert [h["entry"] for h in hooks] == [c.replace("$(BIN)", ".venv/bin") for c in commands]
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


def test_reports_of_vulnerabilities_and_of_conduct_are_private_and_need_no_address():
    for name in ("SECURITY.md", "CODE_OF_CONDUCT.md"):
        assert '"Report a vulnerability"' in text(name)
        assert "@" not in text(name)
    config = yaml.safe_load(text(".github/ISSUE_TEMPLATE/config.yml"))
    assert config == {"blank_issues_enabled": False}


def test_pages_that_forms_and_templates_name_exist():
    folder = ROOT / ".github"
    files = [*folder.glob("ISSUE_TEMPLATE/*.yml"), folder / "pull_request_template.md"]
    named = {
        name
        for file in files
        for name in re.findall(r"\b(?:docs/)?[\w-]+\.md\b", file.read_text(encoding="utf-8"))
    }
    assert {"docs/submitting.md", "SECURITY.md"} <= named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_labels_of_the_forms_are_those_that_the_maintainers_are_told_to_make():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
    labels = {label for form in forms for label in yaml.safe_load(form.read_text())["labels"]}
    assert labels == {"method", "result", "fault"}
    for label in labels:
        assert f"`{label}`" in text("docs/releasing.md")
