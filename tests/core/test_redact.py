"""Secrets are removed from messages, and words that only look like them stay."""

import pytest

from suite.core.redact import redact_address

NO_DRIVER = "Can't load plugin: DB access module of mysql"


@pytest.mark.parametrize(
    "address",
    [
        "mysql://u@h/db",
        "mysql://user@h/db",
        "mysql://u:@h/db",
        "postgresql://module@h/db",
        "sqlite:///my.db",
        "postgresql://postgres@127.0.0.1:5432/optuna",
    ],
)
def test_an_address_without_a_password_has_no_secret(address):
    assert redact_address(NO_DRIVER, address) == NO_DRIVER


@pytest.mark.parametrize("password", ["u", "ul", "ule", "db", "p", "sql"])
def test_a_short_password_is_not_removed_from_the_middle_of_words(password):
    address = f"mysql://someone:{password}@h/mine"
    shown = redact_address(f"{NO_DRIVER}: no host '{password}@h', user someone", address)
    assert shown.startswith(NO_DRIVER)
    assert shown.endswith("user someone")
    assert f"'{password}" not in shown


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://me:s3cretw0rd@h/db", "failed: s3cretw0rd"),
        ("postgresql://me:s3cretw0rd@h/db", "xs3cretw0rdx"),  # no word: removed everywhere
        ("postgresql://me:open@h/db", "password 'open' refused"),
        ("postgresql://me:pass@word1@h/db", "host 'word1@h' is unknown"),
        ("postgresql://me:pass#word1@h/db", "port 'pass' is no number"),
        ("postgresql://me:p%40ssw0rd@h/db", "login p@ssw0rd refused"),
        ("postgresql://h/db?password=open", "password open refused"),
        ("postgresql://ghp0123456789@h/db", "login ghp0123456789 refused"),
        ("postgres:me:s3cretw0rd@h/db", "no such file: s3cretw0rd"),
        ("postgresql://me:pass/word1@h/db", "database 'word1@h' is unknown"),
    ],
)
def test_a_password_and_its_parts_are_removed(address, told):
    shown = redact_address(told, address)
    assert "[secret]" in shown
    for part in ("s3cretw0rd", "open", "word1", "pass'", "p@ssw0rd", "ghp0123456789"):
        assert part not in shown


def test_the_name_of_the_user_stays():
    told = 'password authentication failed for user "postgres"'
    assert redact_address(told, "postgresql://postgres:hidden99@h/db") == told
