import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.core.custom_trainer import Trainer
from suite.core.declarations import (
    Configurable,
    Declared,
    Difference,
    Hyperparameter,
    Method,
    Registry,
    Search,
    unknown,
)
from suite.core.errors import InvalidInput

WINDOW = Hyperparameter("window", int, 32, "gradients read", low=8, high=4096)
RATE = Hyperparameter("rate", float, 0.2, "share pruned", low=0.0, below=1.0)
EVERY = Hyperparameter("every", int, "auto", "interval", low=1, words=("auto",))
SWITCH = Hyperparameter("switch", bool, False, "on or off")
RULE = Hyperparameter("rule", str, "sign", "what goes", choices=("sign", "magnitude"))
LAYERS = Hyperparameter("layers", tuple, (), "globs over names")


def refusal(parameter: Hyperparameter, value: object) -> str:
    """Return the message a value is refused with; empty where it is accepted."""
    try:
        parameter.check(value)
    except InvalidInput as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("parameter", "value", "canonical"),
    [
        (WINDOW, 100.0, 100),
        (WINDOW, 8, 8),
        (WINDOW, 4096, 4096),
        (RATE, 0, 0.0),
        (RATE, 0.999, 0.999),
        (EVERY, "auto", "auto"),
        (EVERY, 7.0, 7),
        (SWITCH, True, True),
        (RULE, "magnitude", "magnitude"),
        (LAYERS, ["a", "b*"], ("a", "b*")),
        (LAYERS, "a, b*,", ("a", "b*")),
        (LAYERS, ["b*", "a", "b*"], ("a", "b*")),
        (LAYERS, [3, "1"], ("1", "3")),
        (LAYERS, 3, ("3",)),
        (LAYERS, "", ()),
        (RATE, -0.0, 0.0),
    ],
)
def test_a_usable_value_is_returned_in_the_declared_type(parameter, value, canonical):
    found = parameter.check(value)
    assert found == canonical
    assert type(found) is type(canonical)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (WINDOW, 7),
        (WINDOW, 4097),
        (WINDOW, 32.5),
        (WINDOW, True),
        (WINDOW, "32"),
        (WINDOW, None),
        (WINDOW, float("nan")),
        (WINDOW, float("inf")),
        (WINDOW, 10**400),
        (RATE, 1.0),
        (RATE, -1e-9),
        (RATE, False),
        (RATE, float("nan")),
        (RATE, "0.2"),
        (RATE, [0.2]),
        (EVERY, 0),
        (EVERY, "Auto"),
        (EVERY, "never"),
        (SWITCH, 1),
        (SWITCH, 0.0),
        (SWITCH, "true"),
        (RULE, "signs"),
        (RULE, 1),
        (RULE, True),
        (LAYERS, 3.5),
        (LAYERS, [True, 2]),
        (EVERY, 10**400),
        (LAYERS, {"a": 1}),
    ],
)
def test_an_unusable_value_is_refused_in_one_line_that_says_what_is_allowed(parameter, value):
    expected = f"{parameter.name}={value!r} is not usable: give {parameter.allowed()}"
    assert refusal(parameter, value) == expected
    assert "\n" not in expected


@given(st.integers(-10, 5000))
def test_inclusive_bounds_admit_exactly_the_integers_between_them(value):
    assert bool(refusal(WINDOW, value)) == (not 8 <= value <= 4096)


@given(st.floats())
def test_an_exclusive_upper_bound_admits_exactly_the_numbers_below_it(value):
    assert bool(refusal(RATE, value)) == (not 0 <= value < 1)


@given(st.lists(st.text("abc*.", min_size=1), max_size=4))
def test_a_list_a_tuple_and_a_comma_separated_text_are_the_same_value(names):
    assert LAYERS.check(names) == LAYERS.check(tuple(names)) == LAYERS.check(",".join(names))


def test_a_declaration_with_a_default_out_of_its_own_bounds_is_refused():
    with pytest.raises(InvalidInput, match="window=4 is not usable"):
        Hyperparameter("window", int, 4, "gradients read", low=8)


def test_a_default_is_held_in_canonical_type():
    assert type(Hyperparameter("rate", float, 1, "a rate").default) is float
    assert Hyperparameter("layers", tuple, "a,b", "names").default == ("a", "b")


def test_a_type_that_no_command_line_can_give_cannot_be_declared():
    with pytest.raises(TypeError, match="options"):
        Hyperparameter("options", dict, {}, "anything")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (WINDOW, "an integer from 8 to 4096"),
        (RATE, "a number in [0, 1)"),
        (EVERY, "an integer of at least 1, or 'auto'"),
        (SWITCH, "true or false"),
        (RULE, "one of sign, magnitude"),
        (LAYERS, "a list of strings"),
        (Hyperparameter("x", float, 0.0, "x", high=1.0), "a number of at most 1"),
        (Hyperparameter("x", float, 0.0, "x", below=1.0), "a number below 1"),
    ],
)
def test_what_is_allowed_is_said_in_words(parameter, words):
    assert parameter.allowed() == words


def test_choices_and_switches_are_searched_without_being_told():
    assert RULE.search_space() == Search(choices=("sign", "magnitude"))
    assert SWITCH.search_space() == Search(choices=(False, True))
    assert WINDOW.search_space() is None


class Thing(Configurable):
    name = "thing"
    hyperparameters = (WINDOW, EVERY, LAYERS)


def test_options_equal_to_their_defaults_are_no_change():
    given = {"layers": [], "every": "auto", "window": 32.0}
    assert Thing().changed(given) == {}
    assert Thing().changed(given | {"every": 5.0}) == {"every": 5}


def test_options_are_returned_in_the_order_of_declaration():
    assert list(Thing().check({"layers": "a", "window": 8})) == ["window", "layers"]


def test_resolving_gives_every_hyperparameter_a_value():
    assert Thing().resolve({"window": 64}) == {"window": 64, "every": "auto", "layers": ()}


def test_an_unknown_hyperparameter_gets_the_nearest_names_and_the_command_that_lists_them():
    with pytest.raises(InvalidInput) as refused:
        Thing().check({"windw": 3})
    assert str(refused.value) == (
        "unknown hyperparameter 'windw' of thing: did you mean window? "
        "(`resonance info thing` shows all)"
    )


def test_a_name_near_to_nothing_is_answered_with_what_exists():
    assert "valid: a, b (" in unknown("thing", "zzz", ["a", "b"], see="list things")
    many = unknown("thing", "zzz", [str(i) for i in range(20)], see="list things")
    assert "valid: 0, 1," in many
    assert "11, … (" in many
    assert "there is none" in unknown("thing", "zzz", [], see="list things")


# ---------------------------------------------------------------- registry


def test_an_unknown_name_in_a_registry_gets_the_nearest_ones():
    registry = Registry("method", [Declared("rigl", "x"), Declared("static", "x")])
    with pytest.raises(InvalidInput, match=r"unknown method 'rigle': did you mean rigl\?"):
        registry["rigle"]
    assert "rigl" in registry
    assert "rigle" not in registry


def test_one_name_declared_twice_is_refused_with_both_places():
    here, there = Declared("rigl", "x", origin="a.rigl"), Declared("rigl", "x", origin="/b.py")
    with pytest.raises(InvalidInput, match=r"'rigl' is declared twice, in a\.rigl and in /b\.py"):
        Registry("method", [here, there])
    with pytest.raises(InvalidInput, match=r"'rigl' is declared twice, in a\.rigl and in a\.rigl"):
        Registry("method", [here, here])


BAD_NAMES = [
    "two words", "../up", "/up", "up/", "a//b", "a/../b", "./a", ".a", "a/.b", "-a", "<b>", "",
    "a\nb", "a\x1b[31m", "a\u202eb", "ä", "a" * 201, 3, None,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", [Declared, Method, Trainer])
def test_what_is_declared_has_a_name_that_a_submission_may_have(kind, name):
    more = {
        Declared: {},
        Method: {"title": "A", "summary": "a", "implementation": "A", "family": "reference"},
        Trainer: {"summary": "a", "implementation": "a:b"},
    }
    with pytest.raises(InvalidInput, match=f"^{kind.__name__.lower()} name .*: give ") as refused:
        kind(name, "me", **more[kind])
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("given", [Difference("a", "b", "c", "d"), ("a", "b", "c", "d"), "abcd"])
def test_differences_that_are_no_tuple_of_differences_are_refused(given):
    with pytest.raises(InvalidInput, match=r"give a tuple of Difference\(…\)"):
        Method("a", "me", title="A", summary="a", implementation="A", family="b", differences=given)


@pytest.mark.parametrize("empty", [" ", None, 3])
def test_a_difference_without_a_reason_is_refused(empty):
    with pytest.raises(InvalidInput, match="why=.* is not usable: give text"):
        Difference("batch_size", "128", "100", empty)


def test_an_integer_that_a_float_cannot_hold_exactly_is_kept_as_it_is():
    assert Hyperparameter("many", int, 0, "").check(2**53 + 1) == 2**53 + 1
    assert Hyperparameter("many", int, 0, "").check(2.0**60) == 2**60
