"""The loss that methods differentiate where a user gives none."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from suite.core.errors import InvalidInput
from suite.own_loop.loss import cross_entropy, model_loss


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def labels(*shape: int, classes: int = 5) -> torch.Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(1))


def mean_negative_log_likelihood(outputs, targets) -> torch.Tensor:
    """Return it by its definition, from logits with the classes last."""
    chosen = outputs.log_softmax(-1).gather(-1, targets[..., None])
    return -chosen.mean()


def test_one_label_per_example_gives_what_torch_gives():
    outputs, targets = logits(8, 5), labels(8)
    assert torch.equal(cross_entropy(outputs, targets), F.cross_entropy(outputs, targets))


def test_a_text_has_its_classes_last():
    outputs, targets = logits(3, 7, 5), labels(3, 7)
    expected = mean_negative_log_likelihood(outputs, targets)
    assert float(cross_entropy(outputs, targets)) == pytest.approx(float(expected), abs=1e-12)


def test_an_image_has_its_classes_second():
    outputs, targets = logits(2, 5, 4, 6), labels(2, 4, 6)
    expected = mean_negative_log_likelihood(outputs.movedim(1, -1), targets)
    assert float(cross_entropy(outputs, targets)) == pytest.approx(float(expected), abs=1e-12)


def test_an_image_with_as_many_classes_as_pixels_on_a_side_has_its_classes_second():
    outputs, targets = logits(2, 5, 5, 5), labels(2, 5, 5)
    assert torch.equal(cross_entropy(outputs, targets), F.cross_entropy(outputs, targets))


def test_a_text_as_long_as_there_are_classes_is_refused_because_it_fits_in_two_ways():
    with pytest.raises(InvalidInput, match=r"second or the last dimension.*give loss="):
        cross_entropy(logits(3, 5, 5), labels(3, 5))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda outputs: SimpleNamespace(logits=outputs),
        lambda outputs: {"logits": outputs, "hidden": outputs + 1},
        lambda outputs: (outputs, (outputs + 1, outputs + 2)),
        lambda outputs: [outputs],
    ],
    ids=["object", "dict", "tuple", "list"],
)
def test_logits_are_found_among_the_outputs(wrap):
    outputs, targets = logits(8, 5), labels(8)
    assert torch.equal(cross_entropy(wrap(outputs), targets), F.cross_entropy(outputs, targets))


def test_ignored_labels_and_other_integers_are_taken_as_torch_does():
    outputs, targets = logits(8, 5), labels(8)
    targets[2] = -100
    expected = F.cross_entropy(outputs, targets)
    assert torch.equal(cross_entropy(outputs, targets.to(torch.int32)), expected)


def test_probabilities_are_targets_too():
    outputs, targets = logits(8, 5), logits(8, 5).softmax(1).roll(1, 0)
    assert torch.equal(cross_entropy(outputs, targets), F.cross_entropy(outputs, targets))


@pytest.mark.parametrize(
    ("outputs", "targets", "why"),
    [
        (logits(8, 5), labels(7), r"outputs \(8, 5\) and targets \(7,\): they do not fit"),
        (logits(8, 5), labels(8, 1), "they do not fit"),
        (logits(8), labels(8), "they do not fit"),
        (logits(8, 1), labels(8, classes=1), "one output is no choice"),
        (logits(8, 5), labels(8) + 1, "labels must be from 0 to 4, not 1 to 5"),
        (logits(8, 5), labels(8) - 1, "labels must be from 0 to 4, not -1 to 3"),
        (logits(8, 1), logits(8, 1), "not probabilities"),  # a regression
        (logits(8), logits(8), "not probabilities"),
        (logits(8, 5), (logits(8, 5) > 0).double(), "not probabilities"),  # several labels each
        (logits(8, 5), {"a": labels(8)}, "targets must be one tensor"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(outputs, targets, why):
    with pytest.raises(InvalidInput, match=why) as refusal:
        cross_entropy(outputs, targets)
    assert "give loss=" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_outputs_without_logits_are_refused():
    with pytest.raises(InvalidInput, match="SimpleNamespace, hold no logits"):
        cross_entropy(SimpleNamespace(last_hidden_state=logits(8, 5)), labels(8))


@pytest.mark.parametrize(
    "outputs",
    [
        SimpleNamespace(loss=torch.tensor(2.5), logits=logits(8, 5)),
        {"loss": torch.tensor(2.5), "logits": logits(8, 5)},
        (torch.tensor(2.5), logits(8, 5)),
    ],
    ids=["object", "dict", "tuple"],
)
def test_a_models_own_loss_comes_first(outputs):
    assert float(model_loss(outputs, labels(8))) == 2.5


def test_without_a_loss_of_its_own_it_is_the_cross_entropy_of_the_logits():
    outputs, targets = logits(8, 5), labels(8)
    expected = F.cross_entropy(outputs, targets)
    for returned in (SimpleNamespace(loss=None, logits=outputs), (outputs, None), outputs):
        assert torch.equal(model_loss(returned, targets), expected)


def test_neither_a_loss_nor_labels_is_refused():
    with pytest.raises(InvalidInput, match="the examples have no 'labels'"):
        model_loss(SimpleNamespace(loss=None, logits=logits(8, 5)), None)
