"""Messages are one line, whatever the value that they quote."""

from suite.core.errors import InvalidInput


def test_line_ends_of_a_quoted_value_become_spaces():
    assert str(InvalidInput("name='a\nb\u2028c' is not usable")) == "name='a b c' is not usable"
