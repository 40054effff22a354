"""What several test folders use: small real data, small models, parts that CI must have."""

import os

import pytest
import torch

torch.set_num_threads(1)


def require(part: str, present: bool, how: str) -> None:
    """Skip where a part of the machine is missing, unless this run says it must be there."""
    if present:
        return
    if part in os.environ.get("RESONANCE_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required in this run and missing: {how}")
    pytest.skip(f"{part} is missing: {how}")


@pytest.fixture
def fashion_mnist() -> None:
    """Need the published Fashion-MNIST files."""
    from suite import registry
    from tasks.datasets.idx import find

    found = find(registry.datasets()["fashion_mnist"]) is not None
    require("fashion_mnist", found, "install Debian's dataset-fashion-mnist or set RESONANCE_DATA")
