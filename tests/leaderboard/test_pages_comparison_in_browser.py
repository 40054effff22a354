"""The comparison page says what `leaderboard.method_comparison` computes of the same boards."""

import itertools
import math
import re
from typing import Any

import pytest

from leaderboard.board_groups import board_groups
from leaderboard.boards import Board, build_boards
from leaderboard.method_comparison import compare_entries
from leaderboard.pages.comparison_page import (
    COMPARISON_SCRIPTS,
    comparison_address,
    comparison_data,
    group_name,
)
from leaderboard.pages.templating import asset
from leaderboard.site.build import build
from leaderboard.statistics.paired_comparisons import Comparison
from suite.core.errors import InvalidInput
from tests.leaderboard.at_equal_flops import at_equal_flops
from tests.leaderboard.browsing import PHONE, visiting
from tests.leaderboard.random_boards import random_boards
from tests.leaderboard.sample_boards import hostile, planted
from tests.leaderboard.whole_site import build_whole
from tests.support.sample_records import done, make_trial

pytestmark = pytest.mark.browser

FIVE = ("rigl", "set", "static", "dense", "resonance")


@pytest.fixture(scope="module")
def page(chromium) -> Any:
    """Return an empty page that has loaded what computes comparisons."""
    opened = chromium.new_page()
    for script in COMPARISON_SCRIPTS[:-1]:
        opened.add_script_tag(content=asset(script))
    return opened


def same(said: Any, computed: float | None) -> bool:
    if said is None or computed is None:
        return said is computed
    return math.isclose(said, computed, rel_tol=1e-9, abs_tol=1e-12)


def agree(said: dict[str, Any], computed: Comparison) -> bool:
    found, interval = said["difference"], computed.difference
    if (found is None) != (interval is None):
        return False
    return (
        said["n"] == computed.n
        and said["unpaired"] == computed.unpaired
        and same(said["p"], computed.p)
        and (found is None or all(
            same(found[end], getattr(interval, end)) for end in ("mean", "low", "high")))
    )  # fmt: skip


def check(page: Any, boards: list[Board], first: str, second: str) -> None:
    """Compare two rows in both ways; `first` and `second` are labels."""
    (group,) = board_groups(boards)
    entries = {entry.label: entry for board in boards for entry, _ in board.rows}
    names = [f"{e.method}:{e.settings}" if e.settings else e.method
             for e in (entries[first], entries[second])]  # fmt: skip
    said = page.evaluate(
        "([data, a, b]) => resonanceComparison.compare(data, a, b)",
        [comparison_data(group), first, second],
    )
    try:
        found = compare_entries(boards, *names)
    except InvalidInput:
        assert said["lines"] == []
        return
    assert len(said["lines"]) == len(found.lines) > 0
    for one, line in zip(said["lines"], found.lines, strict=True):
        assert (one["task"], one["sparsity"]) == (line.task, line.sparsity)
        assert agree(one["comparison"], line.comparison)
        assert same(one["p"], line.p)
        assert same(one["equivalenceP"], line.equivalence_p)
        assert one["verdict"] == line.verdict
        assert one["seeds"] == list(line.trials)
    if found.overall is None:
        assert said["overall"] is None
    else:
        assert agree(said["overall"], found.overall)
        assert said["verdict"] == found.verdict


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"missing": 0.3},
        {"seeds": 12, "sparsities": (0.9,)},
        {"metrics": ("test_rmse",)},
        {"metrics": ("test_accuracy", "test_r2")},
        {"tasks": ("a/b",), "sparsities": (0.9,)},
    ],
    ids=["complete", "missing", "bootstrap", "less-is-better", "two-metrics", "one-cell"],
)
def test_every_pair_is_compared_as_python_does(page, given):
    boards = random_boards(3, methods=FIVE, **given)
    labels = [entry.label for entry, _ in boards[0].rows]
    for first, second in itertools.permutations(labels, 2):
        check(page, boards, first, second)


def test_boards_with_failures_and_small_test_sets_are_compared_as_python_does(page):
    boards, _ = build_boards(planted())
    for first, second in (("RigL", "SET"), ("SNIP", "RigL"), ("GraNet", "RigL"), ("Dense", "SET")):
        check(page, boards, first, second)


def test_a_row_is_found_by_label_and_as_on_the_command_line(page):
    boards, _ = build_boards(hostile())
    (group,) = board_groups(boards)
    data = comparison_data(group)
    find = "([data, name]) => resonanceComparison.find(data, name)?.label ?? null"
    for entry in data["entries"]:
        assert page.evaluate(find, [data, entry["label"]]) == entry["label"]
    assert page.evaluate(find, [data, "rigl"]) == "RigL"
    assert page.evaluate(find, [data, "none"]) is None


# ------------------------------------------------------------------ the page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return build_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def opened(chromium, site):
    with visiting(chromium, console=False) as visit:
        yield lambda address, **given: visit(f"{site.as_uri()}/{address}", **given)


def test_the_address_names_what_is_compared_and_follows_the_choice(opened):
    page = opened("compare.html#a=rigl&b=set")
    assert page.locator("h1").inner_text() == "Compare two methods"
    assert page.locator("#first").input_value() == "RigL"
    assert "RigL against SET" in page.locator(".finding").inner_text()
    assert page.locator("#figures tbody tr").count() == page.locator(".forest circle").count() > 0
    page.locator("#swap").press("Enter")
    assert page.locator("#first").input_value() == "SET"
    assert page.evaluate("location.hash").startswith("#a=SET&b=RigL")
    page.locator("#terms").select_option("equal-flops-0.3")
    assert "0.3 × the FLOPs of dense training" in page.locator("#comparison .claim").inner_text()
    page.locator("#second").select_option("SET")
    assert "the same" in page.locator("#comparison .warning").inner_text()
    assert page.locator("#command").inner_text() == "resonance compare set set"


def test_numbers_have_minus_signs_everywhere_and_the_same_digits(opened):
    page = opened("compare.html#a=static&b=rigl")
    said = " ".join(page.inner_text(f"#{part}") for part in ("comparison", "forest", "figures"))
    assert re.findall(r"(?<![\w.])-\d", said) == []
    for mean, low, high in re.findall(r"([+−]\d+\.?\d*)\s+([+−][\d.]+) … ([+−][\d.]+)", said):
        assert len({len(text.partition(".")[2]) for text in (mean, low, high)}) == 1
    assert re.search(r"−7\.\d\d\s+−7\.\d\d … −6\.\d\d", said)


def test_one_task_and_one_cell_have_no_weights_and_no_correction(chromium, tmp_path):
    records = [
        done(make_trial(method, seed=seed, sparsity=sparsity), level + seed / 1000)
        for method, level in (("rigl", 0.9), ("set", 0.8))
        for sparsity, seeds in ((0.9, 5), (0.8, 3))
        for seed in range(seeds)
    ]
    build(records, tmp_path / "site")
    page = chromium.new_page()
    page.goto((tmp_path / "site" / "compare.html").as_uri() + "#a=rigl&b=set")
    said = page.inner_text("#comparison")
    assert "Over the sparsities of this task: " in said
    assert "p-value: of the only cell with five common seeds, so there is nothing to corr" in said
    page.close()


@pytest.mark.parametrize("address", ["compare.html", "paper.html", "index.html"])
def test_the_bar_marks_the_page_that_is_shown(opened, address):
    page = opened(address)
    marked = page.locator("nav.bar [aria-current]")
    assert marked.count() == 1
    assert marked.get_attribute("href") == address
    assert marked.get_attribute("aria-current") == "page"


def test_terms_without_both_rows_are_not_chosen_by_default(opened):
    page = opened(comparison_address("SNIP", "Resonance"))
    assert page.locator("#terms").input_value() in ("equal-steps", "equal-flops-0.3")
    page = opened("compare.html#a=%3Cb%3E&b=set")
    assert "<b> has no trial" in page.locator("#comparison .warning").inner_text()


def test_a_method_page_leads_to_its_comparisons(opened):
    page = opened("methods.html")
    page.get_by_role("link", name="RigL", exact=True).press("Enter")
    page.locator("summary#rivals").press("Enter")
    page.locator(".rivals a").first.press("Enter")
    page.locator(".finding").wait_for()
    assert page.locator("#first").input_value() == "RigL"


def test_without_a_script_the_page_names_the_command(chromium, site):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.as_uri()}/compare.html")
    assert "resonance compare A B" in page.locator("noscript, main").first.inner_text()
    context.close()


ADDRESSES = ("index.html", "tasks.html", "methods.html", "studies.html", "ablations.html",
             "tunings.html", "reproductions.html", "compare.html", "studies/mine.html",
             "reproductions/rigl-imagenet.html", "paper.html")  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_phone_shows_every_page_without_scrolling_sideways(opened, address):
    page = opened(address, viewport=PHONE, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator("nav.bar a").first.is_visible()


@pytest.mark.parametrize("address", [*ADDRESSES, "index.html#sparsity=all"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_fault_of_accessibility(opened, address, scheme):
    assert faults(opened(address, color_scheme=scheme)) == []


@pytest.mark.parametrize("address", ["index.html", "index.html#sparsity=all", "compare.html",
                                     "paper.html"])  # fmt: skip
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_no_fault_of_accessibility(opened, address, scheme):
    assert (
        faults(opened(address, color_scheme=scheme, viewport={"width": 390, "height": 844})) == []
    )


def faults(page: Any) -> list[tuple[str, list[str]]]:
    from axe_playwright_python.sync_playwright import Axe

    return [(fault["id"], [node["html"][:200] for node in fault["nodes"]][:3])
            for fault in Axe().run(page).response["violations"]]  # fmt: skip


def test_groups_have_names_of_their_own():
    boards, _ = build_boards([*planted(), *at_equal_flops()])
    names = [group_name(group) for group in board_groups(boards)]
    assert names == ["equal-steps", "equal-flops-0.3"]
