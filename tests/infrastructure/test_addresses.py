"""Addresses are those of the one setting; as long as it is empty there are none."""

import re
import tomllib

import pytest
import yaml

from suite.core.repository import Repository, repository
from tests.infrastructure.workflows import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def bibtex(page: str) -> dict[str, str]:
    """Return the fields of the page's entry."""
    (entry,) = re.findall(r"```bibtex\n(.*?)```", page, re.DOTALL)
    return dict(re.findall(r"^  (\w+) *= \{+(.*?)\}+,$", entry, re.MULTILINE))


def addresses(project, citation, citing, examples) -> dict[str, str | None]:
    """Return each address that is written down, by where; None where none is."""
    colab = re.search(r"https://colab\.research\.google\.com/\S+?(?=\))", examples)
    urls = project.get("urls", {})
    return {
        "[project.urls] Repository in pyproject.toml": urls.get("Repository"),
        "[project.urls] Documentation in pyproject.toml": urls.get("Documentation"),
        "repository-code in CITATION.cff": citation.get("repository-code"),
        "url in docs/citing.md": bibtex(citing).get("url"),
        "the link to Colab in examples/README.md": colab and colab[0],
    }


def expected(found: Repository | None) -> dict[str, str | None]:
    """Return what must be written there."""
    url, site, colab = (
        (found.url, found.site, found.colab("examples/colab.ipynb")) if found else (None,) * 3
    )
    return dict(zip(addresses({}, {}, CITING, ""), (url, site, url, url, colab), strict=True))


CITING = text("docs/citing.md")


def test_addresses_are_those_of_the_setting():
    found = addresses(PROJECT, CITATION, CITING, text("examples/README.md"))
    assert found == expected(repository(environment={}))


def test_addresses_that_agree_are_found():
    me = Repository("me", "bench")
    project = {"urls": {"Repository": me.url, "Documentation": me.site}}
    citing = CITING.replace("  year ", f"  url     = {{{me.url}}},\n  year ")
    examples = f"[open it]({me.colab('examples/colab.ipynb')})"
    assert addresses(project, {"repository-code": me.url}, citing, examples) == expected(me)


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "CITATION.cff"]
)
def test_no_page_has_an_address_of_its_own(name):
    found = repository(environment={})
    for address in re.findall(r"https://(?:www\.)?github\.com/\S+", text(name)):
        assert found is not None, address
        assert address.startswith(found.url), address


def test_the_entry_for_bibtex_is_the_citation():
    entry = bibtex(CITING)
    assert entry["title"] == CITATION["title"]
    assert entry["version"] == CITATION["version"]
    assert entry["year"] == str(CITATION["date-released"].year)
    assert entry["author"] == CITATION["authors"][0]["name"]
