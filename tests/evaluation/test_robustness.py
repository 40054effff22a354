"""Corruption and attack accuracy, against plain implementations and on what they must not touch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite.core.seeds import derive_seed
from suite.evaluation import corruptions
from suite.evaluation.robustness import (
    EPSILON,
    GREY_EPSILON,
    Pixels,
    batch_size,
    corruption_accuracy,
    fgsm_accuracy,
    pgd_accuracy,
    pixel_space,
)
from suite.experiments import registry
from tasks.data import Split, StandardizedSplit
from tests.support.helpers import batch_of, conv_net, digits

DIGITS = registry.datasets()["digits"]


@pytest.fixture(scope="module")
def data() -> Split:
    whole = digits()
    return Split(whole.x[:300], whole.y[:300])


@pytest.fixture(scope="module")
def pixels(data) -> Pixels:
    found = pixel_space(DIGITS, data)
    assert isinstance(found, Pixels)
    return found


def trained(model: nn.Module, steps: int = 60) -> nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in range(steps):
        x, y = batch_of(digits(), step, 64)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def linear() -> nn.Module:
    torch.manual_seed(0)
    return trained(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))


def clean_accuracy(model: nn.Module, data: Split) -> float:
    with torch.no_grad():
        return float((model.eval()(data.x).argmax(-1) == data.y).double().mean())


def test_pixels_are_the_images_before_normalisation(data, pixels):
    from sklearn.datasets import load_digits

    levels = {bytes(image.astype(np.uint8)) for image in load_digits().images}
    back = (pixels.of(data.x) * 16).round().byte().squeeze(1).numpy()
    assert all(bytes(image) in levels for image in back)
    assert torch.allclose(pixels.normalise(pixels.of(data.x)), data.x, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "scale", "reason"),
    [
        ((64,), 1, "not images of 1 or 3 channels"),
        ((2, 8, 4), 1, "not images of 1 or 3 channels"),
        ((1, 4, 16), 1, "4×16 are smaller than 8×8"),
        ((1, 8, 8), 9, "pixels in 0 … 1"),
    ],
)
def test_what_is_no_image_is_told_apart(data, shape, scale, reason):
    split = Split(scale * data.x.reshape(len(data), *shape), data.y)
    found = pixel_space(replace(DIGITS, shape=shape), split)
    assert isinstance(found, str)
    assert reason in found


def test_a_text_is_no_image():
    split = Split(torch.zeros(4, 16, dtype=torch.long), torch.zeros(4, 16, dtype=torch.long))
    assert isinstance(pixel_space(replace(DIGITS, kind="text", shape=(16,)), split), str)


def test_corruption_accuracy_is_that_of_a_plain_loop(data, pixels):
    model = trained(conv_net())
    found = corruption_accuracy(model, data, pixels)
    assert set(found) == set(corruptions.KINDS)
    model.eval()
    mean, std = DIGITS.mean[0], DIGITS.std[0]
    images = (data.x * std + mean).clamp(0, 1)
    for kind, severity, changed in corruptions.corruptions(images):
        right = 0
        for image, label in zip(changed, data.y, strict=True):
            with torch.no_grad():
                right += int(model((image[None] - mean) / std).argmax() == label)
        assert found[kind][severity - 1] == pytest.approx(right / len(data), abs=1 / len(data))


def test_large_images_are_changed_a_few_at_a_time(data, pixels):
    assert pixels.batch == batch_size(DIGITS) == 1000
    assert batch_size(replace(DIGITS, shape=(3, 224, 224))) == 111


def test_several_batches_are_put_together(data, pixels):
    model = linear()
    pixels = replace(pixels, batch=100)
    parts = [Split(data.x[i : i + 100], data.y[i : i + 100]) for i in (0, 100, 200)]
    whole = corruption_accuracy(model, data, pixels)
    means = [corruption_accuracy(model, part, pixels)["jpeg"] for part in parts]
    assert whole["jpeg"] == pytest.approx(np.mean(means, axis=0).tolist())
    assert fgsm_accuracy(model, data, pixels) == pytest.approx(
        np.mean([fgsm_accuracy(model, part, pixels) for part in parts])
    )


def softmax_gradient(weight, bias, images, labels, mean, std):
    """∇ₓ of the cross-entropy of softmax(W·(x − mean)/std + b), by hand."""
    logits = ((images - mean) / std) @ weight.T + bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1
    return shares @ weight / std


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_attacks_are_those_of_the_papers_on_a_linear_network(data, pixels, attack):
    model = linear()
    weight, bias = (p.detach().double().numpy() for p in model[1].parameters())
    mean, std = DIGITS.mean[0], DIGITS.std[0]
    clean = pixels.of(data.x).flatten(1).double().numpy()
    labels = data.y.numpy()
    low, high = np.clip(clean - EPSILON, 0, 1), np.clip(clean + EPSILON, 0, 1)
    if attack == "fgsm":
        moved, steps, size = clean, 1, EPSILON
    else:
        generator = torch.Generator().manual_seed(derive_seed("attack", 0))
        share = torch.rand(data.x.shape, generator=generator).flatten(1).double().numpy()
        # Madry et al. 2018: uniform in the ball, then clipped to pixels.
        moved = np.clip(clean + EPSILON * (2 * share - 1), 0, 1)
        steps, size = 10, EPSILON / 4
    for _ in range(steps):
        gradient = softmax_gradient(weight, bias, moved, labels, mean, std)
        moved = np.clip(moved + size * np.sign(gradient), low, high)
    guess = (((moved - mean) / std) @ weight.T + bias).argmax(1)
    found = (fgsm_accuracy if attack == "fgsm" else pgd_accuracy)(model, data, pixels)
    assert found == pytest.approx((guess == labels).mean(), abs=1.01 / len(data))
    assert found < clean_accuracy(model, data)


def test_attacked_images_stay_in_the_ball_and_in_the_range_of_pixels(data, pixels):
    model, seen = linear(), []
    model.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0].detach().clone()))
    pgd_accuracy(model, data, pixels)
    images = pixels.of(data.x)
    assert len(seen) == 11
    for inputs in seen:
        moved = inputs * pixels.std + pixels.mean
        assert float((moved - images).abs().max()) <= EPSILON + 1e-5
        assert -1e-5 <= float(moved.min()) <= float(moved.max()) <= 1 + 1e-5
    assert not torch.equal(seen[0], seen[-1])


def test_an_attack_starts_on_the_border_of_the_pixels_where_the_ball_extends_beyond(data, pixels):
    """Of a black pixel half of the ball is below 0, so half of the starts are 0."""
    model, seen = linear(), []
    model.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0].detach().clone()))
    pgd_accuracy(model, data, pixels)
    clean = pixels.of(data.x)
    start = (seen[0] * pixels.std + pixels.mean)[clean == 0]
    assert float((start < 1e-6).float().mean()) == pytest.approx(0.5, abs=0.02)
    rest = start[start > 1e-6]
    assert float(rest.mean()) == pytest.approx(EPSILON / 2, rel=0.05)


def test_a_larger_radius_is_a_stronger_attack_and_another_metric(data, pixels):
    model = trained(conv_net())
    for attack in (fgsm_accuracy, pgd_accuracy):
        assert attack(model, data, pixels, GREY_EPSILON) < attack(model, data, pixels)
    assert (EPSILON, GREY_EPSILON) == (8 / 255, 0.3)


def test_images_standardised_one_by_one_are_attacked_through_their_standardisation(data, pixels):
    images = pixels.of(data.x)
    split = StandardizedSplit.of(images, data.y)
    own = pixel_space(DIGITS, split)
    assert isinstance(own, Pixels)
    own = replace(own, mean=split.mean, std=split.std, batch=128)
    back = list(own.batches(split))
    assert [len(x) for x, _ in back] == [128, 128, 44]
    assert torch.allclose(torch.cat([x for x, _ in back]), images, atol=1e-5)
    assert torch.equal(torch.cat([y for _, y in back]), data.y)
    assert torch.allclose(own.normalise(images), split.x, atol=1e-5)

    class Standardizing(nn.Module):
        """The network of `split` as one of pixels: PyTorch differentiates the standardisation."""

        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            centred = x - x.mean((1, 2, 3), keepdim=True)
            return self.net(centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt())

    model = linear()
    whole = Pixels(torch.zeros(1, 1, 1), torch.ones(1, 1, 1), 128)
    for attack in (fgsm_accuracy, pgd_accuracy):
        expected = attack(Standardizing(model), Split(images, data.y), whole)
        assert attack(model, split, own) == pytest.approx(expected, abs=1.01 / len(data))
        assert expected < clean_accuracy(model, split)
    assert corruption_accuracy(model, split, own).keys() == set(corruptions.KINDS)


def test_the_network_is_left_as_it_was(data, pixels):
    model = trained(conv_net())
    model.train()
    model[1].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    inputs, random = data.x.clone(), torch.get_rng_state()
    assert gradients
    for measure in (corruption_accuracy, fgsm_accuracy, pgd_accuracy):
        measure(model, data, pixels)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, gradients[name])
        assert parameter.requires_grad
    assert torch.equal(data.x, inputs)
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model] == [True, False, *[True] * 7]


def test_measured_twice_is_measured_the_same(data, pixels):
    model = trained(conv_net())
    for measure in (corruption_accuracy, fgsm_accuracy, pgd_accuracy):
        assert measure(model, data, pixels) == measure(model, data, pixels)


def test_a_confident_network_does_not_hide_its_gradient(data, pixels):
    """Logits a hundred times larger guess the same, and in float32 their loss is flat."""
    model = linear()
    before = fgsm_accuracy(model, data, pixels)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(100)
    assert fgsm_accuracy(model, data, pixels) <= before + 0.02


def test_a_network_that_works_in_place_is_attacked_too(data, pixels):
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = linear()

        def forward(self, x):
            return self.net(x.mul_(1.0))

    model = InPlace()
    for measure in (corruption_accuracy, fgsm_accuracy, pgd_accuracy):
        assert measure(model, data, pixels) == measure(model.net, data, pixels)
