"""Every address follows from one setting, and none is invented without it."""

import pytest

from suite.core.errors import InvalidInput
from suite.core.repository import Repository, repository

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "fork/bench"}


@pytest.fixture
def pyproject(tmp_path):
    def write(value):
        (tmp_path / "pyproject.toml").write_text(
            f'[tool.resonance-bench]\nrepository = "{value}"\n'
        )
        return tmp_path / "pyproject.toml"

    return write


def test_the_addresses_of_a_repository():
    found = Repository("Some-One", "bench")
    assert found.url == "https://github.com/Some-One/bench"
    assert found.site == "https://some-one.github.io/bench/"
    assert found.file("docs/a.md") == "https://github.com/Some-One/bench/blob/main/docs/a.md"
    assert found.colab("examples/a.ipynb") == (
        "https://colab.research.google.com/github/Some-One/bench/blob/main/examples/a.ipynb"
    )
    assert Repository("one", "one.github.io").site == "https://one.github.io/"


def test_the_setting_counts_and_github_actions_fill_it_in(pyproject):
    assert repository(pyproject("me/bench"), ACTIONS) == Repository("me", "bench")
    assert repository(pyproject("me/bench"), {}) == Repository("me", "bench")
    assert repository(pyproject(""), ACTIONS) == Repository("fork", "bench")


@pytest.mark.parametrize(
    "environment", [{}, {"GITHUB_REPOSITORY": "a/b"}, {"GITHUB_ACTIONS": "true"}]
)
def test_without_a_setting_there_is_none(pyproject, environment):
    assert repository(pyproject(""), environment) is None


def test_an_installed_package_and_another_project_s_file_have_none(tmp_path):
    assert repository(tmp_path / "pyproject.toml", ACTIONS | {"GITHUB_ACTIONS": ""}) is None
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert repository(tmp_path / "pyproject.toml", {}) is None


@pytest.mark.parametrize("value", ["bench", "a/b/c", "https://github.com/a/b", "a b/c", "a/<b>"])
def test_what_is_no_repository_is_refused(pyproject, value):
    with pytest.raises(InvalidInput, match="owner/name on GitHub, or empty"):
        repository(pyproject(value), {})
