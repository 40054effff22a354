"""What a record says of its machine."""

import pytest
import torch

from suite.training import environment as module
from suite.training.environment import environment, processor

EPYC = {"model name": "AMD EPYC", "cpu family": "26", "model": "2"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (EPYC, "AMD EPYC (family 26, model 2)"),
        ({"model name": "Neoverse-N1"}, "Neoverse-N1"),
        ({**EPYC, "model": ""}, "AMD EPYC"),
    ],
)
def test_processors_of_one_name_are_told_apart_by_family_and_model(monkeypatch, fields, name):
    monkeypatch.setattr(module, "_proc", lambda file, field: fields.get(field, ""))
    assert processor() == name


def test_a_field_is_found_by_its_whole_name(tmp_path, monkeypatch):
    lines = "cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD: EPYC\n"
    (tmp_path / "cpuinfo").write_text(lines)
    path = module.Path
    monkeypatch.setattr(module, "Path", lambda *parts: path(tmp_path, *parts[1:]))
    assert processor() == "AMD: EPYC (family 26, model 2)"


def test_the_record_says_what_may_change_bits():
    found = environment(torch.device("cpu"), ["scipy"])
    assert found["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert found["processor"] == processor()
    assert found["gpu"] is None
    assert "scipy" in found
