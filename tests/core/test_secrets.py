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
        "550e8400-e29b-41d4-a716-446655440000",
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


def test_passwords_in_addresses_and_in_netrc_are_secrets(found, tmp_path):
    (tmp_path / "netrc").write_text("machine a.org login me password 5hort\n")
    assert found() == {"5hort"}
    (tmp_path / "netrc").unlink()
    address = "postgresql://me:p%40ssw0rd@h/db"
    assert found(RESONANCE_STORAGE=address) == {"p%40ssw0rd", "p@ssw0rd"}
