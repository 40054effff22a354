"""Secrets are removed from messages, and words that only look like them stay."""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest

from suite.core.errors import InvalidInput, TrialFailed
from suite.core.redact import (
    redact,
    redact_address,
    redact_bytes,
    redact_data,
    redact_file,
    redact_json,
    redact_value,
)

LONG = "s3cr3t&\"väl'ue\\+/ 9"
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----"

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


# ---------------------------------------------------------------- values of variables


@pytest.mark.parametrize("secret", [LONG, "hunter2", "x9-y"])
def test_a_secret_is_removed_in_every_usual_encoding(monkeypatch, secret):
    monkeypatch.setenv("DB_PASSWORD", secret)
    content = secret.encode()
    encodings = [
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        repr(secret)[1:-1],
        repr(content)[2:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        quote(quote(secret, safe=""), safe=""),
        "".join(f"%{byte:02X}" for byte in content),
        "".join(f"%{byte:02x}" for byte in content),
        re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        html.escape(secret),
        html.escape(secret, quote=False),
        html.escape(secret).replace("&#x27;", "&#39;"),
        content.hex(),
        content.hex().upper(),
        base64.b64encode(content).decode(),
        base64.b64encode(content).decode().rstrip("="),
        base64.urlsafe_b64encode(content).decode(),
    ]
    for encoded in encodings:
        for text in (f"no {encoded} here", f"'{encoded}'", f"a:{encoded}@b", f"\n{encoded}\n"):
            assert encoded not in redact(text), text
            assert encoded not in redact_bytes(text.encode()).decode()
    assert redact("nothing of it") == "nothing of it"


@pytest.mark.parametrize("user", ["", "u", "me", "you", "some"])
def test_a_secret_within_a_longer_text_in_base64_is_removed(monkeypatch, user):
    monkeypatch.setenv("DB_PASSWORD", LONG)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(f"{user}:{LONG}:more".encode()).decode()
        shown = redact(f"Authorization: Basic {whole}")
        assert "[secret]" in shown
        left = shown.replace("Authorization: Basic ", "").split("[secret]")
        assert sum(map(len, left)) < len(whole) - len(LONG)


def test_every_line_of_a_secret_of_several_lines_is_removed(monkeypatch):
    monkeypatch.setenv("MY_SETTING", PEM)
    shown = redact(
        f"{PEM}; {json.dumps(PEM)}; {' '.join(PEM.split())}; line EFAASCBKcwggSjAgEAAoIB"
    )
    for line in PEM.splitlines()[1:3]:
        assert line not in shown


@pytest.mark.parametrize(
    "text",
    [
        "=hunter2",
        "\\nhunter2",
        "%3Ahunter2%40",
        "'hunter2'",
        "(hunter2)",
        "_hunter2_",
        "a\nhunter2",
    ],
)
def test_a_short_secret_is_removed_where_it_stands_by_itself(monkeypatch, text):
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    assert "hunter2" not in redact(text)
    assert redact("hunter22 shunter2") == "hunter22 shunter2"


KEY_LINES = "-----BEGIN KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCx+/9\n" * 9


@pytest.mark.parametrize("value", [KEY_LINES, KEY_LINES.replace("\n", "\\n")])
@pytest.mark.parametrize("text", [KEY_LINES, KEY_LINES.replace("\n", "\\n")])
def test_a_key_in_one_line_is_the_key_in_several(monkeypatch, value, text):
    monkeypatch.setenv("MY_KEY", value)
    assert "EvQIBADANBgkqhkiG9w0BAQEFAASC" not in redact(f"read {text}")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n", " "])
@pytest.mark.parametrize("width", [64, 76])
def test_base64_of_several_lines_is_removed(monkeypatch, end, width):
    secret = "".join(f"{n}:p@ss/" for n in range(20))
    monkeypatch.setenv("MY_SECRET", secret)
    code = base64.b64encode(secret.encode()).decode()
    lines = [code[start : start + width] for start in range(0, len(code), width)]
    shown = redact(f"told {end.join(lines)}{end}")
    assert not any(line in shown for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://a.org/x?sv=1&sig=aB%2Fc&se=2", "https://a.org/x?sv=1&sig=[secret]&se=2"),
        ("https://a.org/x?key=aBc", "https://a.org/x?key=[secret]"),
        ("https://a.org/x?auth=aBc#top", "https://a.org/x?auth=[secret]#top"),
        ("https://a.org/x#access_token=aBc&n=1", "https://a.org/x#access_token=[secret]&n=1"),
        ("https://a.org/x?monkey=a&keys=b&design=c", "https://a.org/x?monkey=a&keys=b&design=c"),
        ("host=h password='a b' port=1", "host=h password=[secret] port=1"),
        ('host=h password="a b" port=1', "host=h password=[secret] port=1"),
        ("AccountName=n;AccountKey=aB/c+d==", "AccountName=n;AccountKey=[secret]"),
        (
            "tool --password=aBc --db-password=d -v",
            "tool --password=[secret] --db-password=[secret] -v",
        ),
        ("tool --api-key=aBc --keys=3", "tool --api-key=[secret] --keys=3"),
        ("?" + "token" * 50_000 + "=", "?" + "token" * 50_000 + "="),
        ("-" * 100_000 + "=", "-" * 100_000 + "="),
    ],
    ids=lambda text: text[:30],
)
def test_passwords_that_no_variable_has_are_removed_by_their_names(text, shown):
    assert redact(text) == redact(redact(text)) == shown


PEM_BLOCK = "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADAN\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("apikey=abc123", "apikey=[secret]"),
        ("apiKey: 'a b'", "apiKey: '[secret]'"),
        ("auth_token: hunter2x", "auth_token: [secret]"),
        ("passwd: hunter2", "passwd: [secret]"),
        ("PRIVATE_KEY=ab;cd", "PRIVATE_KEY=[secret]"),
        ("SECRET_KEY = b'abc\\x00'", "SECRET_KEY = b'[secret]'"),
        ("db.password1=abc", "db.password1=[secret]"),
        ("pw: ab12", "pw: [secret]"),
        ('password: str = "abc"', 'password: str = "[secret]"'),
        ('{"api_key": "a\\"bc", "n": 3}', '{"api_key": "[secret]", "n": 3}'),
        (r"{\"api_key\": \"abc\", \"n\": 3}", r"{\"api_key\": \"[secret]\", \"n\": 3}"),
        ('{"credentials":{"clientSecret":"abc"}}', '{"credentials":{"clientSecret":"[secret]"}}'),
        ("X-Api-Key: k9k9", "X-Api-Key: [secret]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [secret]"),
        ("{'Authorization': 'Bearer abc'}", "{'Authorization': '[secret]'}"),
        ("Proxy-Authorization: Basic dXNlcjpw==", "Proxy-Authorization: Basic [secret]"),
        ("sent Bearer eyJhbGciOiJIUzI1NiIsInR5", "sent Bearer [secret]"),
        ("Cookie: sid=abc; other=def\nHost: h", "Cookie: [secret]\nHost: h"),
        ("token=ghp_0123456789abcdefgh", "token=[secret]"),
        ("WANDB_KEY=0a1b2c3d4e5f60718293Zx8Qw7", "WANDB_KEY=[secret]"),
        ("https://user:password@host/x", "https://[secret]@host/x"),
        (f"{PEM_BLOCK} read", PEM_BLOCK.replace("\nMIIEvQIBADAN\n", "[secret]") + " read"),
        (f"{PEM_BLOCK[:40]}", "-----BEGIN RSA PRIVATE KEY-----[secret]"),
    ],
)
def test_a_value_that_the_text_itself_calls_a_secret_is_removed(text, shown):
    assert redact(text) == redact(redact(text)) == redact_bytes(f" {text}".encode()).decode()[1:]
    assert redact(text) == shown
    assert redact_json(json.dumps({"message": text})) == json.dumps({"message": shown})


@pytest.mark.parametrize(
    "text",
    [
        "password: must have 8 letters",
        "password = ask_for(user)",
        "api_key = os.environ['API_KEY']",
        "authorization failed: bad request",
        "auth_token = None",
        "unexpected token: '<eos>'",
        "token: must not be empty",
        "pad_token='<pad>' max_tokens: 512",
        "token_embedding: Embedding(50257, 64)",
        "no trial has this key: 0123456789abcdef",
        "state_key=layer1.0.conv1.bn3.weight keys: layer1.0.conv1.bn3.weight",
        'File "suite/core/secrets.py", line 3; suite/core/secrets.py:12: note',
        "bypass=1.5 passes: 30 compass: 12.5 author: Me",
        "basic block: a bearer of news",
        "KeyError: 'password'",
        "password_file: /run/secrets/a",
    ],
)
def test_prose_code_and_names_stay(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    ["password" * 30_000, "api_key: " * 20_000, "a" * 200_000 + "_key=", "pass" + " " * 100_000],
    ids=lambda text: text[:10],
)
def test_long_texts_do_not_take_long(text):
    redact(text)  # an expression that backtracks would not end here


# ---------------------------------------------------------------- what stays


@pytest.mark.parametrize("word", ["resonance", "digits/mlp", "digits", "0.9", "1000", "accuracy"])
def test_no_variable_damages_a_record_a_table_or_a_page(monkeypatch, word):
    content = {
        "accuracy": 0.9,
        "steps": 1000,
        "trial": {"task": "digits/mlp", "method": "resonance", "sparsity": "0.9"},
        "error": {"message": "all is well"},
    }
    text = json.dumps(content, indent=2)
    for name in ("MY_SETTING", "DB_PASSWORD"):
        monkeypatch.setenv(name, word)
        assert redact_json(text) == text
        assert redact_bytes(text.encode()) == text.encode()
        assert redact_data(content) == content
        page = "<td>digits/mlp</td><td>0.9</td> 1000 steps, accuracy of resonance"
        assert redact_file(page) == page
        for cell in ("digits/mlp", "resonance", "0.9", "1000", "accuracy"):
            assert redact_value(cell) == cell
        monkeypatch.delenv(name)
    monkeypatch.setenv("MY_SETTING", word)
    assert redact(f"{word} of digits/mlp: 0.9") == f"{word} of digits/mlp: 0.9"


def test_a_password_that_is_a_word_is_removed_from_messages(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "tiger")
    assert redact("login with tiger refused") == "login with [secret] refused"
    text = json.dumps({"tiger": "tiger", "message": "login with\ntiger refused", "tigers": 1})
    assert json.loads(redact_json(text)) == {
        "tiger": "tiger",
        "message": "login with\n[secret] refused",
        "tigers": 1,
    }


def test_a_secret_of_digits_leaves_the_numbers_of_json(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "12345678901234567890")
    text = '{"steps": 12345678901234567890, "told": "12345678901234567890"}'
    assert redact_json(text) == '{"steps": 12345678901234567890, "told": "[secret]"}'


def test_messages_of_refusals_and_failures_have_no_secret(monkeypatch):
    monkeypatch.setenv("GH_PAT", "x9-yz")
    for error in (InvalidInput("no access with x9-yz"), TrialFailed("no access with x9-yz")):
        assert str(error) == f"{error}" == "no access with [secret]"


def test_what_is_redacted_stays_so(monkeypatch):
    monkeypatch.setenv("GH_PAT", "x9-yz")
    monkeypatch.setenv("DB_PASSWORD", "secret")
    once = redact("a x9-yz b secret https://me:pw@h/x?token=abc")
    assert once == redact(once) == "a [secret] b secret https://[secret]@h/x?token=[secret]"


def test_a_variable_that_is_set_later_counts(monkeypatch):
    assert redact("x9-yz") == "x9-yz"
    monkeypatch.setenv("GH_PAT", "x9-yz")
    assert redact("x9-yz") == "[secret]"
