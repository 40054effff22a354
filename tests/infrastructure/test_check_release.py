"""A release is refused where its tag, files, changelog and citation do not say the same."""

import pytest

from tests.infrastructure.scripts import load
from tests.infrastructure.workflows import ROOT

script = load("check_release")
WHEEL, SDIST = "resonance_bench-1.2.0-py3-none-any.whl", "resonance_bench-1.2.0.tar.gz"
CHANGELOG = """# Changelog

## 1.3.0 (unreleased)

- Not yet.

## 1.2.0 (2030-01-02)

- New: a thing.

### More

- Fixed.

## 1.1.0 (2029-01-02)
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "dist").mkdir()
    for name in (WHEEL, SDIST, ".gitignore"):
        (tmp_path / "dist" / name).touch()
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.0\n")
    return tmp_path


def notes(place, tag="v1.2.0"):
    return script.notes(tag, place / "dist", place)


def test_the_notes_are_the_changelog_s_section(place):
    assert notes(place) == "- New: a thing.\n\n### More\n\n- Fixed.\n"


@pytest.mark.parametrize("tag", ["1.2.0", "v1.2", "v1.2.0.dev0", "v1.2.0; id", "v1.2.0-1", "main"])
def test_what_is_no_tag_of_a_release_is_refused(place, tag):
    with pytest.raises(ValueError, match="is no tag of a release"):
        notes(place, tag)


def test_another_version_than_the_tag_is_refused(place):
    with pytest.raises(ValueError, match=r"was built as 1\.2\.0, the tag is v1\.2\.1"):
        notes(place, "v1.2.1")
    (place / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.1.0\n")
    with pytest.raises(ValueError, match=r"CITATION\.cff cites 1\.1\.0, the tag is v1\.2\.0"):
        notes(place)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda dist: (dist / SDIST).unlink(), "one wheel and one sdist are needed"),
        (lambda dist: (dist / "other-1.2.0.tar.gz").touch(), "other-1.2.0.tar.gz is neither"),
        (lambda dist: (dist / WHEEL).rename(dist / "resonance_bench-1.2.0-cp311-cp311-linux.whl"),
         "is neither"),
        (lambda dist: (dist / WHEEL.replace("1.2.0", "1.1.0")).touch(), "one wheel and one sdist"),
    ],
)  # fmt: skip
def test_other_files_than_one_wheel_and_one_sdist_are_refused(place, change, says):
    change(place / "dist")
    with pytest.raises(ValueError, match=says):
        notes(place)


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("1.3.0", r"write the date of 1\.3\.0 for \(unreleased\)"),
        ("1.1.0", "the section of 1.1.0 is empty"),
        ("1.4.0", "has no section of 1.4.0"),
        ("1.2", "has no section of 1.2"),
    ],
)
def test_a_version_that_the_changelog_does_not_release_is_refused(version, says):
    with pytest.raises(ValueError, match=says):
        script.section(CHANGELOG, version)


def test_this_project_s_changelog_has_sections_that_are_found():
    text = script.section((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "0.1.0")
    assert text.startswith("The first version.")
