"""Variables of ordinary machines damage no record and no table."""

import gzip
import json
import os
from importlib import resources

import pytest

from suite.core import console
from suite.core.redact import redact_bytes, redact_file, redact_json
from suite.results.record import to_json

UUID = "8f14e45f-ceea-467f-a0e6-0242ac120002"
ACTIONS = {
    "ACTIONS_RUNTIME_URL": "https://pipelines.actions.githubusercontent.com/x9Y8z7/",
    "ACTIONS_CACHE_URL": "https://artifactcache.actions.githubusercontent.com/x9Y8z7/",
    "CI": "true",
    "DOTNET_SKIP_FIRST_TIME_EXPERIENCE": "1",
    "GITHUB_ACTION": "__run_2",
    "GITHUB_ACTIONS": "true",
    "GITHUB_ACTOR": "resonance",
    "GITHUB_ACTOR_ID": "12345678",
    "GITHUB_API_URL": "https://api.github.com",
    "GITHUB_BASE_REF": "main",
    "GITHUB_ENV": "/home/runner/work/_temp/_runner_file_commands/set_env_7f",
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_HEAD_REF": "digits/mlp",
    "GITHUB_JOB": "accuracy",
    "GITHUB_REF": "refs/pull/12/merge",
    "GITHUB_REPOSITORY": "resonance/resonance-bench",
    "GITHUB_REPOSITORY_ID": "987654321",
    "GITHUB_RUN_ID": "7654321098",
    "GITHUB_RUN_NUMBER": "42",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_TRIGGERING_ACTOR": "resonance",
    "GITHUB_WORKFLOW": "static",
    "GITHUB_WORKFLOW_REF": "resonance/resonance-bench/.github/workflows/ci.yml@refs/heads/main",
    "GITHUB_WORKSPACE": "/home/runner/work/resonance-bench/resonance-bench",
    "ImageOS": "ubuntu22",
    "ImageVersion": "20241112.1.0",
    "RUNNER_ARCH": "X64",
    "RUNNER_NAME": "GitHub Actions 12",
    "RUNNER_OS": "Linux",
    "RUNNER_TRACKING_ID": f"github_{UUID}",
    "RUNNER_TOOL_CACHE": "/opt/hostedtoolcache",
    "GITHUB_TOKEN": "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
    "JAVA_HOME_17_X64": "/usr/lib/jvm/temurin-17-jdk-amd64",
    "LANG": "C.UTF-8",
}
SLURM = {
    "SLURM_JOB_ID": "1000",
    "SLURM_JOB_NAME": "digits",
    "SLURM_JOB_NODELIST": "node[042-043]",
    "SLURM_JOB_PARTITION": "cpu",
    "SLURM_CPUS_PER_TASK": "2",
    "SLURM_JWT": "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3fQ.x9Y8z7w6",
    "HOSTNAME": "node042",
    "CUDA_VISIBLE_DEVICES": "GPU-8f14e45f-ceea-467f-a0e6-0242ac120002",
    "MODULEPATH": "/opt/modules/all:/usr/share/modulefiles",
    "LOADEDMODULES": "gcc/12.2.0:cuda/12.4:python/3.11.7",
    "_LMFILES_": "/opt/modules/gcc/12.2.0.lua:/opt/modules/cuda/12.4.lua",
    "EBVERSIONPYTHON": "3.11.7",
    "OMP_NUM_THREADS": "1",
    "SCRATCH": "/scratch/users/me",
    "TMPDIR": "/tmp/slurm.1000",
    "KRB5CCNAME": "FILE:/tmp/krb5cc_1000_aB3xYz",
    "BASH_FUNC_module%%": '() {  eval $($LMOD_CMD bash "$@")\n}',
}
LAPTOP = {
    "COMMAND_MODE": "unix2003",
    "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/1000/bus,guid={UUID.replace('-', '')}",
    "EDITOR": "vim",
    "HOME": "/home/me",
    "HOMEBREW_PREFIX": "/opt/homebrew",
    "LESS": "-FRX",
    "LS_COLORS": "rs=0:di=01;34:*.tar=01;31",
    "PATH": "/opt/homebrew/bin:/usr/bin:/bin",
    "SSH_AUTH_SOCK": "/private/tmp/com.apple.launchd.x9Y8z7w6V5/Listeners",
    "TERM_PROGRAM_VERSION": "3.5.10",
    "TERM_SESSION_ID": f"w0t0p0:{UUID.upper()}",
    "USER": "static",
    "VSCODE_GIT_IPC_HANDLE": "/run/user/1000/vscode-git-x9Y8z7w6V5.sock",
    "XPC_FLAGS": "0x0",
    "__CFBundleIdentifier": "com.googlecode.iterm2",
    "WANDB_API_KEY": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
    "DB_PASSWORD": "tiger",
}


def records() -> list[dict[str, object]]:
    """Return a few real records, as they were shipped."""
    packed = resources.files("leaderboard") / "results" / "official_small.jsonl.gz"
    lines = gzip.decompress(packed.read_bytes()).splitlines()
    return [json.loads(line) for line in lines[1:4]]


@pytest.mark.parametrize("variables", [ACTIONS, SLURM, LAPTOP], ids=["actions", "slurm", "laptop"])
def test_nothing_of_a_real_record_is_taken_for_a_secret(variables, monkeypatch, capsys):
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for record in records():
        environment, data = record["environment"], record["data"]
        assert len(environment["commit"]) == 40
        for name, value in {
            "GITHUB_SHA": environment["commit"],
            "SHORT_SHA": environment["commit"][:12],
            "DATASET_SHA256": data["checksum"],
            "TRIAL": record["key"],
            "EXPECTED": record["seal"]["digest"],
            "WEIGHTS": next(iter(record["digests"].values())),
        }.items():
            monkeypatch.setenv(name, str(value))
        for content in (to_json(record), json.dumps(record).encode()):
            assert redact_bytes(content) == content
            assert redact_json(content.decode()) == content.decode()
            assert redact_file(content.decode()) == content.decode()
        rows = [[name, str(value)] for name, value in record["trial"].items()]
        rows += [[name, str(value)] for name, value in environment.items()]
        console.print_table("digits/mlp", ["name", "value"], rows)
        table = capsys.readouterr().out
        assert "".join(f"{name}\t{value}\n" for name, value in rows) in table
