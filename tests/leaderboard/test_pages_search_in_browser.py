"""The search of a site: from any page, by keyboard, for titles and for keys of trials."""

import re
from pathlib import Path
from typing import Any

import pytest

from leaderboard.pages.search_index import FoundPage, page_index, trial_index
from tests.leaderboard.browsing import visiting
from tests.leaderboard.whole_site import STUDY, build_whole
from tests.support.sample_records import done, make_trial

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return build_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def opened(chromium, site):
    with visiting(chromium) as visit:
        yield lambda address, **given: visit(f"{site.as_uri()}/{address}", **given)


def results(page: Any) -> list[str]:
    page.locator("#found li").first.wait_for()
    return [one.inner_text() for one in page.locator("#found li").all()]


ANYWHERE = ("index.html", "equal-flops-0.3.html", "tasks.html", "studies/mine.html")


@pytest.mark.parametrize("address", ANYWHERE)
def test_enter_goes_to_the_first_page_found_from_anywhere(opened, address):
    page = opened(address)
    page.locator("#find").fill(STUDY)
    assert any(STUDY in one for one in results(page))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"studies/{STUDY}\.html"))


def test_arrow_keys_choose_and_escape_closes(opened):
    page = opened("methods.html")
    field = page.locator("#find")
    field.fill("rigl")
    found = results(page)
    assert found[0].startswith("RigL")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert field.get_attribute("aria-activedescendant") == "found-1"
    assert page.locator("#found [aria-selected=true]").count() == 1
    assert field.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    assert field.get_attribute("aria-expanded") == "false"
    assert page.locator("#found").is_hidden()
    page.keyboard.press("ArrowUp")
    last = page.locator("#found li").last
    assert last.get_attribute("aria-selected") == "true"


def test_a_trial_is_found_by_the_beginning_of_its_key(opened, site):
    keys = sorted(path.stem for path in (site / "trials").iterdir())
    page = opened("tasks.html")
    page.locator("#find").fill(keys[7][:8])
    assert results(page)[0].startswith(keys[7])
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"trials/{keys[7]}\.html"))


def test_nothing_is_loaded_before_the_field_is_used(opened):
    page = opened("tasks.html")
    assert page.evaluate("window.resonancePages === undefined")
    page.locator("#find").focus()
    page.wait_for_function("window.resonancePages !== undefined")
    assert page.evaluate("window.resonanceTrialKeys === undefined")
    page.locator("#find").fill("nothing has this")
    page.locator(".find [role=status]:not(.hidden-text)").wait_for()
    assert page.locator(".find [role=status]").inner_text() == "Nothing found."


def test_names_in_the_index_stay_text():
    page = page_index([FoundPage("tasks", "</script><script>alert(1)</script>", "", "x.html")])
    assert "</script>" not in page
    record = done(make_trial("static"))
    record.trial["task"] = "<!--</script>"
    assert "</script>" not in trial_index([record])
    assert "<!--" not in trial_index([record])
