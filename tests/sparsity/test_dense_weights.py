"""Dense weights behind sparse ones: what the parameter holds between steps, and what is trained."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.sparsity.dense_weights import DenseWeights, Shown
from suite.sparsity.masks import keep_top
from suite.sparsity.plan import Plan
from suite.sparsity.storage.execution import Execution
from suite.sparsity.storage.masked import MaskedWeight

STEPS = 12


class Half(DenseWeights):
    """Uses the larger half of every layer's weights and trains all of them."""

    def begin(self) -> None:
        for weight in self.weights:
            weight.train_beyond(torch.ones_like(weight.mask))

    def shown(self, weight: MaskedWeight, dense: Tensor) -> Shown:
        keep = weight.size // 2
        mask = keep_top(dense.abs().flatten(), keep).view(weight.shape)
        return Shown(mask, dense * mask, keep)


def make(seed: int = 0) -> tuple[nn.Sequential, torch.optim.SGD, Half]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    method = Half(Plan(STEPS, 0.5, 0, 0), {"distribution": "uniform", "uniform_dense": "none"})
    method.attach(model, optimizer)
    return model, optimizer, method


def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(16, 6, generator=generator) for _ in range(STEPS)]


def step(model: nn.Module, optimizer: torch.optim.Optimizer, method: Half, number: int) -> None:
    optimizer.zero_grad()
    method.before_step(number)
    model(batches()[number - 1]).square().mean().backward()
    method.after_backward(number)
    optimizer.step()
    method.after_step(number)


def test_agrees_with_training_by_a_straight_through_estimator() -> None:
    """The same training written with autograd: w + (w·m − w).detach() in the forward pass."""
    model, optimizer, method = make()
    torch.manual_seed(0)
    reference = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    plain = torch.optim.SGD(reference.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    for number in range(1, STEPS + 1):
        step(model, optimizer, method, number)
        plain.zero_grad()
        x = batches()[number - 1]
        for module in reference:
            if isinstance(module, nn.Linear):
                w = module.weight
                cut = w.detach().abs().flatten().sort().values[w.numel() // 2]
                x = nn.functional.linear(x, w + (w * (w.abs() >= cut) - w).detach(), module.bias)
            else:
                x = module(x)
        x.square().mean().backward()
        plain.step()
        for name, dense in method.dense.items():
            torch.testing.assert_close(dense, reference.get_parameter(f"{name}.weight").detach())


def test_between_steps_the_parameter_holds_the_sparse_weights() -> None:
    model, optimizer, method = make()
    for number in range(1, STEPS + 1):
        step(model, optimizer, method, number)
        assert method.sparsity_errors() == ""
        for layer in method.layers:
            assert torch.equal(layer.values, method.dense[layer.name] * layer.mask)
            momentum = optimizer.state[layer.parameter]["momentum_buffer"]
            assert bool((momentum[~layer.mask] != 0).all()), "all weights are trained"
    assert (method.metrics()["exploration_rate"]) >= 0.5
    method.end_training()
    assert method.dense == {}
    assert method.sparsity_errors() == ""
    for layer in method.layers:
        momentum = optimizer.state[layer.parameter]["momentum_buffer"]
        assert not bool(momentum[~layer.mask].any())


@pytest.mark.parametrize("model_last", [False, True])
def test_resumes_bit_for_bit_in_new_objects(model_last: bool) -> None:
    model, optimizer, method = make()
    saved: Any = None
    for number in range(1, STEPS + 1):
        step(model, optimizer, method, number)
        if number == 5:
            parts = (model.state_dict(), optimizer.state_dict(), method.state_dict())
            saved = [_copied(part) for part in parts]
    other, second, again = make(seed=3)
    load_model = (lambda: other.load_state_dict(saved[0]), lambda: second.load_state_dict(saved[1]))
    if not model_last:
        for load in load_model:
            load()
    again.load_state_dict(saved[2])
    if model_last:
        for load in load_model:
            load()
    for number in range(6, STEPS + 1):
        step(other, second, again, number)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    assert again.metrics() == method.metrics()


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def test_weights_written_from_outside_are_refused() -> None:
    model, optimizer, method = make()
    step(model, optimizer, method, 1)
    layer = method.layers[0]
    with torch.no_grad():
        layer.parameter.mul_(2.0)
    with pytest.raises(InvalidInput, match=r"layer '0': weights were written"):
        step(model, optimizer, method, 2)


def test_csr_and_several_optimizers_are_refused() -> None:
    plan, options = Plan(STEPS, 0.5, 0, 0), {"distribution": "uniform", "uniform_dense": "none"}
    fresh = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    one = torch.optim.SGD(fresh[0].parameters(), 0.1)
    two = torch.optim.SGD(fresh[2].parameters(), 0.1)
    with pytest.raises(InvalidInput, match="one optimizer, not 2"):
        Half(plan, options).attach(fresh, [one, two])
    with pytest.raises(InvalidInput, match="execution=csr: the method trains weights"):
        Half(plan, options).attach(
            fresh, torch.optim.SGD(fresh.parameters(), 0.1), storage=Execution("csr")
        )
