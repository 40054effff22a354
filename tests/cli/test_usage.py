"""A wrong command line is one line: the value, what is allowed, how the verb is called."""

import pytest

from tests.support.sample_records import done, make_trial


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("compare a b c", "'c' is too much: the command is `resonance compare A B`"),
        ("compare a", "B is missing: the command is `resonance compare A B`"),
        ("study", "NAME|FILE is missing: the command is `resonance study NAME|FILE`"),
        ("status a b", "'b' is too much: the command is `resonance status [STUDY]`"),
        ("run digits/mlp static -s 90%", "--sparsity 90%: give a number; 90% is 0.9"),
        ("run digits/mlp static -s high", "--sparsity high: give a number"),
        ("run digits/mlp static --seed 1.5", "--seed 1.5: give an integer"),
    ],
)
def test_a_wrong_command_line_is_said_with_what_is_right(resonance, line, message):
    result = resonance(line)
    assert (result.code, result.err) == (2, f"error: {message} (see `--help`)\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("90", "sparsity=90 is not usable: give a number in [0, 1); 90 % is 0.9"),
        ("1.5", "sparsity=1.5 is not usable: give a number in [0, 1); 1.5 % is 0.015"),
        ("1", "sparsity=1 is not usable: give a number in [0, 1)"),
        ("-90", "sparsity=-90 is not usable: give a number in [0, 1)"),
    ],
)
def test_a_percentage_is_told_which_fraction_it_is(resonance, store, given, message):
    record = done(make_trial())
    store.write(record.key, {"record.json": record.to_json()})
    assert resonance(f"run digits/mlp static -s {given}").complaint == f"error: {message}"
    assert resonance(f"list trials -s {given}").complaint == f"error: --{message}"
