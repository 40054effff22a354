"""Models of timm, the real library, by their names in task files."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import torch

from suite.core.errors import InvalidInput
from tasks.models.from_timm import create
from tests.conftest import require


@pytest.fixture
def timm():
    """Import timm."""
    present = importlib.util.find_spec("timm") is not None
    require("timm", present, "pip install 'resonance-bench[timm]'")
    import timm

    return timm


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "resnet18"])
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 48, 32)])
def test_a_model_takes_the_shape_and_the_classes_of_the_data(timm, name, shape):
    model = create(name, shape, 7).eval()
    assert model(torch.zeros(2, *shape)).shape == (2, 7)


def test_options_are_passed_on_and_weights_are_those_of_the_seed(timm):
    torch.manual_seed(3)
    ours = create("test_resnet", (3, 32, 32), 5, drop_rate=0.3)
    torch.manual_seed(3)
    theirs = timm.create_model("test_resnet", num_classes=5, in_chans=3, drop_rate=0.3)
    assert ours.drop_rate == 0.3
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


@pytest.mark.parametrize(
    ("name", "shape", "options", "words"),
    [
        ("resnet_18", (3, 8, 8), {}, "nearest are resnet18"),
        ("hf-hub:timm/resnet18", (3, 8, 8), {}, "has no model 'hf-hub:timm/resnet18'"),
        ("local-dir:/tmp", (3, 8, 8), {}, "has no model"),
        ("", (3, 8, 8), {}, "has no model ''"),
        ("test_resnet", (13,), {}, "takes images (channels, height, width)"),
        ("test_resnet", (3, 8, 8), {"nonsense": 1}, "unexpected keyword argument 'nonsense'"),
        ("test_resnet", (3, 8, 8), {"num_classes": 3}, "'num_classes' is not an option here"),
        ("test_resnet", (3, 8, 8), {"checkpoint_path": "x"}, "'checkpoint_path' is not an option"),
        ("test_resnet", (3, 8, 8), {"pretrained": "yes"}, "pretrained='yes': give true or false"),
        ("test_vit", (1, 28, 28), {}, "patches of 16×16 pixels, and images are 28×28"),
        ("test_vit", (1, 28, 28), {}, "e.g. data size: 32"),
    ],
)
def test_what_cannot_be_made_is_refused(timm, name, shape, options, words):
    with pytest.raises(InvalidInput) as refused:
        create(name, shape, 4, **options)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_published_weights_that_cannot_be_had_are_one_line(timm, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network\nsecond line")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(InvalidInput) as refused:
        create("test_resnet", (3, 64, 64), 4, pretrained=True)
    assert "OSError: no network; connect to the network once, or leave out pretrained" in str(
        refused.value
    )
    with torch.device("meta"):  # where only parameters are counted
        model = create("test_resnet", (3, 64, 64), 4, pretrained=True)
    assert sum(p.numel() for p in model.parameters()) > 0


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InvalidInput, match=r"pip install 'resonance-bench\[timm\]'"):
        create("resnet18", (3, 8, 8), 4)


TASK = """
name: marks/net
data: {format: numpy, path: marks.npz}
model: timm:test_resnet
recipe: {epochs: 1, batch_size: 8, learning_rate: 0.01, validation: 0}
"""


def test_a_task_file_trains_a_model_of_timm(timm, resonance, place):
    x = np.random.default_rng(0).integers(0, 255, (40, 1, 32, 32), dtype=np.uint8)
    np.savez(place / "marks.npz", x=x, y=np.arange(40) % 2)
    (place / "marks.yaml").write_text(TASK)
    result = resonance("run --task-file marks.yaml rigl -s 0.5 --json --set update_every=2")
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record["environment"]["timm"] == timm.__version__
    assert len(record["layers"]) > 5


@pytest.mark.parametrize(
    ("model", "method", "words"),
    [
        ("timm:test_resnets", "rigl", "has no model 'test_resnets': nearest are test_resnet"),
        ("timm:test_vit", "small_dense", "the model's widths cannot be scaled: timm:test_vit"),
    ],
)
def test_a_task_file_with_a_model_that_cannot_be_used_is_refused(
    timm, resonance, place, model, method, words
):
    x = np.zeros((40, 1, 32, 32), np.uint8)
    np.savez(place / "marks.npz", x=x, y=np.arange(40) % 2)
    (place / "marks.yaml").write_text(TASK.replace("timm:test_resnet", model))
    assert words in resonance(f"run --task-file marks.yaml {method} -s 0.5").complaint
    assert not (place / "results").exists()


def test_without_the_extra_the_command_names_it(resonance, place, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    np.savez(place / "marks.npz", x=np.zeros((40, 1, 32, 32)), y=np.arange(40) % 2)
    (place / "marks.yaml").write_text(TASK)
    message = resonance("run --task-file marks.yaml rigl -s 0.5").complaint
    assert "pip install 'resonance-bench[timm]'" in message
