"""The rule of a method on its page: MathML where there is a converter, else its LaTeX."""

import sys
from importlib.util import find_spec

import pytest

from leaderboard.board_groups import board_groups
from leaderboard.boards import build_boards
from leaderboard.pages.formulas import formula
from leaderboard.pages.task_and_method_pages import board_views, method_page
from suite.experiments import registry
from tests.conftest import require
from tests.support.sample_records import done, make_trial


def require_converter() -> None:
    found = find_spec("latex2mathml") is not None
    require("sphinx", found, "pip install 'resonance-bench[docs]'")


def page(method: str) -> str:
    (group,) = board_groups(build_boards([done(make_trial(method))])[0])
    return method_page(method, board_views(group, []))


def test_without_the_converter_the_latex_is_shown(monkeypatch):
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    assert formula("a < b") == "<code>a &lt; b</code>"
    assert "<code>m = \\operatorname{Top}_" in page("magnitude_one_shot")


def test_a_page_shows_the_rule_as_mathml():
    require_converter()
    for method in ("rigl", "gse"):  # a method, and a preset of it
        assert '<math display="block" xmlns="http://www.w3.org/1998/Math/MathML">' in page(method)
    assert "<math" not in page("dense")


@pytest.mark.parametrize(
    "latex",
    [
        r"\text{<script>x</script>}", r"\text{<img/src=x/onerror=x>}", "<script>x</script>",
        r"\href{javascript:alert(1)}{x}", r"\style{background:url(x)}{x}", r"\text{<mi>x</mi>}",
        r"\text{</mtext></math><b>}", r"\frac{", r"\left(", r"\unknown", r"\text{&lt;b&gt;}",
    ],
)  # fmt: skip
def test_no_text_of_a_formula_is_markup(latex):
    shown = formula(latex)
    for word in ("<script", "<img", "<b>", "href=", "style=", "onerror=x>"):
        assert word not in shown
    assert shown.startswith(("<code>", "<math "))


def test_every_rule_of_the_suite_can_be_shown():
    require_converter()
    for method in registry.methods():
        if method.equation:
            assert formula(method.equation).startswith("<math"), method.name
