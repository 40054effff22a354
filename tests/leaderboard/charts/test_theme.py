"""The palette: apart for all eyes, and from both backgrounds."""

import itertools

import pytest
from coloraide import Color

from leaderboard.boards import Entry
from leaderboard.charts.theme import FAMILIES, OTHERS, styles
from suite.experiments import registry

EYES = [None, "protan", "deutan", "tritan"]
BACKGROUNDS = ["#ffffff", "#14161a"]
"""Of pages and pictures, and of a page in dark colours."""


def seen(colour: str, eyes: str | None) -> Color:
    """Return a colour as it is seen, with a deficiency as Machado et al. (2009) simulate it."""
    return Color(colour) if eyes is None else Color(colour).filter(eyes, method="machado")


def difference(one: str, other: str, eyes: str | None) -> float:
    return seen(one, eyes).delta_e(seen(other, eyes), method="2000")


def looks():
    return styles([Entry(method.name, "") for method in registry.methods()])


@pytest.mark.parametrize("eyes", EYES)
def test_families_are_told_apart_by_their_colours(eyes):
    for (one, ours), (other, theirs) in itertools.combinations(FAMILIES.items(), 2):
        least = min(difference(a, b, eyes) for a in ours for b in theirs)
        assert least > (15 if eyes is None else 6), (one, other, eyes, least)


@pytest.mark.parametrize("eyes", EYES)
def test_members_of_a_family_differ_in_lightness_or_in_dash_and_shape(eyes):
    for one, other in itertools.combinations(looks().values(), 2):
        if one.family == other.family:
            apart = difference(one.colour, other.colour, eyes) > 5
            assert apart or (one.dash != other.dash and one.shape != other.shape), (one, other)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_colours_stand_out_on_both_backgrounds(background):
    for colour in itertools.chain(*FAMILIES.values(), *OTHERS):
        assert Color(colour).contrast(Color(background)) >= 3, colour


def test_methods_are_told_apart_by_colour_dash_and_shape():
    seen = [(s.colour, s.dash, s.shape) for s in looks().values()]
    assert len(set(seen)) == len(seen)
    assert {s.family for s in looks().values()} <= set(FAMILIES)


def test_a_family_that_is_not_ours_has_a_colour_too():
    (look,) = styles([Entry("made_by_someone", "")]).values()
    assert look.colour not in itertools.chain(*FAMILIES.values())
