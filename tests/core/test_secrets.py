"""Which variables hold secrets: by name, and by what their values look like."""

import os

import pytest

from suite.core.secrets import _netrc, is_secret_name, secrets

KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def found(monkeypatch, tmp_path):
    """Return the secrets of an environment that has nothing but what is given."""

    def look(**variables: str) -> set[str]:
        for name in list(os.environ):
            monkeypatch.delenv(name)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        _netrc.cache_clear()
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return {one.value for one in secrets()}

    return look


@pytest.mark.parametrize(
    "name",
    [
        *("MYSQL_PWD", "SSHPASS", "AWS_CREDENTIALS", "GH_PAT", "PASSPHRASE", "AUTH_COOKIE"),
        *("WANDB_KEY", "WANDB_API_KEY", "HF_TOKEN", "PGPASSWORD", "DB_PASSWD", "APP_SECRET"),
        *("SENTRY_DSN", "DB_PW", "SMTP_PASS", "HTTP_AUTH", "FLASK_SESSION_ID", "SLURM_JWT"),
        *("MYTOKEN", "AWS_ACCESS_KEY_ID", "SSH_PRIVATE_KEY", "my_password", "OPENAI_APIKEY"),
        *("AUTHORIZATION", "PASSWORD2", "DB_PASSCODE", "clientSecret", "sshPrivateKey"),
    ],
)
def test_a_name_that_says_secret_makes_one_from_four_characters(found, name):
    assert is_secret_name(name)
    assert found(**{name: "ab1!"}) == {"ab1!"}
    assert found(**{name: "abc"}) == set()
    assert found(**{name: " x9-yz\n"}) == {"x9-yz"}


@pytest.mark.parametrize(
    "name",
    [
        *("MONKEY", "KEYBOARD", "PATH", "PATTERN", "COMPASS", "AUTHOR", "GIT_AUTHOR_NAME"),
        *("PWD", "OLDPWD", "TOKENIZERS_PARALLELISM", "MAX_TOKENS", "XDG_SESSION_TYPE"),
        *("SSH_AUTH_SOCK", "DESKTOP_SESSION", "TOKEN_FILE", "KEY_PATH", "PASSENGER", "KEYED"),
    ],
)
def test_a_name_that_only_looks_like_one_makes_none(found, name):
    assert not is_secret_name(name)
    assert found(**{name: "ab1!"}) == set()


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "P@ssw0rd!2024xyz",
        "hunter2hunter2",
        "550e8400-e29b-41d4-a716-446655440000x",
        "Bearer x9Y8z7w6V5u4t3",
        "correcthorsebatterystaple",
        "https://me:s3cr3tpw@host/x",
        "ab12-cd34-ef56-gh78",
        "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END KEY-----",
    ],
)
def test_a_value_that_looks_like_a_secret_is_one_in_any_unusual_variable(found, value):
    assert value in found(MY_SETTING=value)
    assert value not in found(RESONANCE_SETTING=value)
    assert value not in found(HOSTNAME=value)


@pytest.mark.parametrize(
    "value",
    [
        *("resonance", "digits/mlp", "0.9", "1234567890123456", "-1.5e-10", "0x1234", "short1!"),
        *("/usr/bin:/home/me/.local/bin", "./a/b", "~/x9Y8z7/w6V5u4", "C:\\Users\\me\\x"),
        *("http://proxy.local:3128/", "https://a.org/x9Y8z7w6V5u4?q=1", "10.0.0.1:8080"),
        *("rs=0:di=01;34:ln=01;36:mh=00:*.tar=01", "2.6.0+cu124", "3.11.7rc1", "xterm-256color"),
        *("2026-11-29T14:00:00Z", "2026-11-29", "trainer-042.cluster.local", "en_GB.UTF-8"),
        *("correct horse battery staple", "max_split_size_mb:128,expandable_segments:True"),
        *("JetBrains-JediTerm", "-Xmx4g -Dfile.encoding=UTF-8", "unix:path=/run/user/1000/bus"),
    ],
)
def test_paths_numbers_plain_addresses_and_words_are_none(found, value):
    assert found(MY_SETTING=value) == set()


@pytest.mark.parametrize("value", ["true", "False", "none", "auto", "default", "secret"])
def test_a_setting_is_none_whatever_its_name(found, value):
    assert found(USE_TOKEN=value) == set()


IDENTITIES = {
    "commit": "4e372ae0b1c2d3e4f5061728394a5b6c7d8e9f00",
    "SHA-256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "MD5": "D41D8CD98F00B204E9800998ECF8427E",
    "image": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "key": "babee5bd3dce0eda",
    "UUID": "550e8400-e29b-41d4-a716-446655440000",
}


@pytest.mark.parametrize("value", IDENTITIES.values(), ids=IDENTITIES.keys())
def test_an_identity_is_a_secret_only_if_its_variable_says_so(found, value):
    assert found(GITHUB_SHA=value) == set()
    assert found(DEPLOY_TOKEN=value) == {value}


def test_another_hexadecimal_value_stays_in_names_and_digests(found, monkeypatch):
    found(MY_SETTING="4e372ae0b1c2")  # an abbreviated commit
    (secret,) = secrets()
    assert secret.word
    found(MY_TOKEN="4e372ae0b1c2")
    assert not secrets()[0].word


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("Bearer x9Y8z7w6V5u4t3", {"x9Y8z7w6V5u4t3"}),
        ("Authorization: Basic bWU6czNjcjN0cHc=", {"bWU6czNjcjN0cHc="}),
        (
            '{"type": "service_account", "private_key_id": "0a1b2c3d4e5f60718293Zx8Qw7",'
            ' "private_key": "-----BEGIN KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQ\\n", "n": ["x"]}',
            {"0a1b2c3d4e5f60718293Zx8Qw7", "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ"},
        ),
        ("{" * 70_000, set()),
        ("[" * 50_000, set()),
    ],
)
def test_what_a_value_has_within_is_a_secret_by_itself(found, value, parts):
    for name in ("MY_SETTING", "MY_CREDENTIALS"):
        assert parts <= found(**{name: value})


def test_passwords_in_addresses_and_in_netrc_are_secrets(found, tmp_path):
    (tmp_path / "netrc").write_text("machine a.org login me password 5hort\n")
    assert found() == {"5hort"}
    (tmp_path / "netrc").unlink()
    address = "postgresql://me:p%40ssw0rd@h/db"
    assert found(RESONANCE_STORAGE=address) == {"p%40ssw0rd", "p@ssw0rd"}
