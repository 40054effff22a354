"""What wandb and its publisher set in this process ends with each test."""

import pytest


@pytest.fixture(autouse=True)
def own_environment(tmp_path, monkeypatch) -> None:
    names = ("API_KEY", "BASE_URL", "PROJECT", "ENTITY", "MODE")
    for name in (*(f"WANDB_{name}" for name in names), "RESONANCE_WANDB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
