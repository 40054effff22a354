"""SNIP, GraSP and SynFlow against slow and obvious versions of their scores."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.sparsity.plan import Plan
from suite.sparsity.scoring import Examples
from tasks.loss import cross_entropy
from tasks.model_factory import make_model
from tasks.models.transformer import gpt, vit
from tests.support.helpers import OPTIMIZERS, PLAN, Charged, conv_net, digits, make

METHODS = ["snip", "grasp", "synflow"]


def pool(dtype: torch.dtype = torch.float64, keep=lambda y: y >= 0) -> Examples:
    data = digits()
    kept = keep(data.y)
    return Examples(data.x[kept].to(dtype), data.y[kept], F.cross_entropy, PLAN.seed)


def pruned(method: str, model: nn.Module, plan: Plan = PLAN, **options):
    sparsifier = make(method, plan, **options)
    sparsifier.attach(
        model, OPTIMIZERS["sgd"](model), examples=pool(next(model.parameters()).dtype)
    )
    return sparsifier


def lowest(scores: dict[str, torch.Tensor], sparsifier) -> dict[str, torch.Tensor]:
    """Return masks without the lowest scores of the network, by sorting them all."""
    names = list(scores)
    flat = torch.cat([scores[name].flatten() for name in names]).tolist()
    order = sorted(range(len(flat)), key=lambda i: (-flat[i], i))
    kept = torch.zeros(len(flat), dtype=torch.bool)
    kept[order[: len(flat) - sparsifier.target_total()]] = True
    parts = kept.split([scores[name].numel() for name in names])
    return {n: part.view(scores[n].shape) for n, part in zip(names, parts, strict=True)}


def smooth_net() -> nn.Sequential:
    """Return a network whose second derivatives are not zero."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10, bias=False)
    ).double()


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {n: m.weight for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}


def test_snip_keeps_the_largest_sensitivities_of_connections_to_a_switch():
    model = smooth_net()
    before = {name: weight.detach().clone() for name, weight in weights_of(model).items()}
    sparsifier = pruned("snip", model, batch_size=50)
    # The paper's own definition: the derivative by a factor c on each connection, at c = 1.
    x, y = pool().batch(50)
    switches = {n: torch.ones_like(w, requires_grad=True) for n, w in before.items()}
    again = smooth_net()
    loss = F.cross_entropy(
        torch.func.functional_call(
            again, {f"{n}.weight": before[n] * c for n, c in switches.items()}, x
        ),
        y,
    )
    found = torch.autograd.grad(loss, list(switches.values()))
    scores = {n: g.abs() for n, g in zip(switches, found, strict=True)}
    expected = lowest(scores, sparsifier)
    assert all(torch.equal(layer.mask, expected[layer.name]) for layer in sparsifier.layers)


def norm_net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 10)
    ).double()


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_snip_scores_with_the_statistics_of_its_mode(mode):
    sparsifier = pruned("snip", norm_net(), batch_size=50, mode=mode)
    x, y = pool().batch(50)
    net = norm_net()
    hidden = net[1](x.flatten(1))
    # Before training the running mean is 0 and the running variance 1; ε is 1e-5.
    mean, variance = {
        "eval": (0.0, torch.ones(12, dtype=torch.float64)),
        "train": (hidden.mean(0), ((hidden - hidden.mean(0)) ** 2).mean(0)),
    }[mode]
    F.cross_entropy(net[4](((hidden - mean) / (variance + 1e-5).sqrt()).tanh()), y).backward()
    scores = {name: (w * w.grad).abs().detach() for name, w in weights_of(net).items()}
    expected = lowest(scores, sparsifier)
    assert all(torch.equal(layer.mask, expected[layer.name]) for layer in sparsifier.layers)


def test_the_mode_of_snip_matters_where_there_are_norms_and_training_mode_empties_layers():
    empty = {}
    for mode in ("eval", "train"):
        sparsifier = pruned("snip", deep_net(), Plan(120, 0.95, 0, 30), mode=mode)
        empty[mode] = [layer.name for layer in sparsifier.layers if layer.active == 0]
    assert empty["eval"] == []
    assert len(empty["train"]) >= 3


def test_snip_scores_recurrent_layers_in_evaluation_mode():
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rows, self.head = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 10)

        def forward(self, x):
            return self.head(self.rows(x.flatten(1, 2))[0][:, -1])

    sparsifier = pruned("snip", Recurrent())
    assert sparsifier.sparsity_errors() == ""


@pytest.mark.parametrize("reinitialize", [True, False])
@pytest.mark.parametrize("halves", [True, False])
def test_grasp_removes_what_raises_the_gradient_norm_most(halves, reinitialize):
    model = smooth_net()
    sparsifier = pruned(
        "grasp",
        model,
        examples_per_class=3,
        temperature=2.0,
        halves=halves,
        reinitialize_linear=reinitialize,
    )
    again = smooth_net()
    x, y = pool().balanced(3, 10)
    assert y.bincount().tolist() == [3] * 10
    # The first half has the first five classes.
    batches = [(x[:15], y[:15]), (x[15:], y[15:])] if halves else [(x, y)]
    weights = list(weights_of(again).values())
    if reinitialize:
        for layer, weight in zip(sparsifier.layers, weights, strict=True):
            generator = sparsifier.generator(layer, "scored weights")
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.data.copy_(drawn * (2 / sum(weight.shape)) ** 0.5)

    def gradient(*values: torch.Tensor) -> torch.Tensor:
        names = [f"{n}.weight" for n in weights_of(again)]
        given = dict(zip(names, values, strict=True))
        total = torch.zeros(sum(w.numel() for w in weights), dtype=torch.float64)
        for inputs, targets in batches:
            outputs = torch.func.functional_call(again, given, inputs)
            loss = F.cross_entropy(outputs / 2.0, targets)
            found = torch.autograd.grad(loss, values)
            total += torch.cat([g.flatten() for g in found])
        return total

    # H·g by central differences along g, in place of automatic differentiation.
    flat = gradient(*weights)
    step = 1e-4 / float(flat.norm())
    parts = flat.split([w.numel() for w in weights])
    moved = [
        [
            (w + sign * step * p.view(w.shape)).detach().requires_grad_()
            for w, p in zip(weights, parts, strict=True)
        ]
        for sign in (1, -1)
    ]
    product = (gradient(*moved[0]) - gradient(*moved[1])) / (2 * step)
    theta = torch.cat([w.detach().flatten() for w in weights])
    removed = -theta * product  # the highest go
    keep = removed.argsort()[: len(theta) - sparsifier.target_total()]
    expected = torch.zeros(len(theta), dtype=torch.bool)
    expected[keep] = True
    found = torch.cat([layer.mask.flatten() for layer in sparsifier.layers])
    assert int((found != expected).sum()) <= 2  # differences leave ranks of near-ties open


def test_grasp_s_defaults_are_those_of_the_authors_code():
    def masks(**options) -> torch.Tensor:
        return torch.cat(
            [one.mask.flatten() for one in pruned("grasp", norm_net(), **options).layers]
        )

    default = masks()
    assert torch.equal(default, masks(halves=True, reinitialize_linear=True))
    assert not torch.equal(default, masks(halves=False))
    assert not torch.equal(default, masks(reinitialize_linear=False))


def test_grasp_trains_linear_layers_from_their_own_weights():
    model, before = smooth_net(), weights_of(smooth_net())
    sparsifier = pruned("grasp", model)
    for layer in sparsifier.layers:
        assert torch.equal(layer.values, before[layer.name] * layer.mask)


def test_one_round_of_synflow_multiplies_the_paths_through_a_connection():
    model = smooth_net()
    sparsifier = pruned("synflow", model, iterations=1)
    first, second = (w.abs() for w in weights_of(smooth_net()).values())
    biases = smooth_net()[1].bias.abs()
    # tanh is not linear: its slope at the flow of ones counts.
    flow = first.sum(1) + biases
    slope = 1 - flow.tanh() ** 2
    scores = {
        "1": first * (second.sum(0) * slope)[:, None],
        "3": second * flow.tanh()[None, :],
    }
    expected = lowest(scores, sparsifier)
    assert all(torch.equal(layer.mask, expected[layer.name]) for layer in sparsifier.layers)


def deep_net() -> nn.Sequential:
    """Return 40 convolutions of 8 channels around one of 1,024: its weights share their flow."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    widths = [8] * 20 + [1024] + [8] * 20
    for inputs, outputs in itertools.pairwise(widths):
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


def test_synflow_stays_finite_and_empties_no_layer_of_a_deep_network():
    model = deep_net()
    for module in model.modules():  # activations that float32 could not hold
        if isinstance(module, nn.Conv2d):
            module.weight.data.mul_(3)
    sparsifier = pruned("synflow", model, Plan(120, 0.99, 0, 30), iterations=100)
    assert sparsifier.sparsity_errors() == ""
    assert min(layer.active for layer in sparsifier.layers) > 0


def test_one_round_of_scoring_would_empty_layers_there():
    sparsifier = pruned("synflow", deep_net(), Plan(120, 0.99, 0, 30), iterations=1)
    assert min(layer.active for layer in sparsifier.layers) == 0


@pytest.mark.parametrize("method", METHODS)
def test_scoring_leaves_everything_as_it_was(method):
    model = conv_net()
    model.insert(8, nn.Dropout(0.5))
    model.train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    sparsifier = pruned(method, model)
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    masks = {f"{layer.name}.weight": layer.mask for layer in sparsifier.layers}
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] * masks.get(name, 1)), name


@pytest.mark.parametrize("method", METHODS)
def test_masks_do_not_depend_on_the_random_state(method):
    masks = []
    for seed in (1, 2):
        model = conv_net()
        model.insert(8, nn.Dropout(0.5))
        torch.manual_seed(seed)
        masks.append([layer.mask for layer in pruned(method, model).layers])
    assert all(map(torch.equal, *masks))


@pytest.mark.parametrize("method", METHODS)
def test_the_scoring_pass_is_charged(method):
    account = Charged()
    model = conv_net()
    sparsifier = make(method)
    sparsifier.attach(
        model,
        OPTIMIZERS["sgd"](model),
        examples=pool(torch.float32),
        flops=account,
    )
    charged = account.scoring
    assert account.method == 0
    dense = {"0": 1.0, "3": 1.0, "6": 1.0, "8": 1.0}
    if method == "synflow":
        assert [forwards for forwards, _ in charged] == [3.0] * 10
        assert charged[0][1] == dense
        means = [sum(densities.values()) for _, densities in charged]
        assert means == sorted(means, reverse=True)
    else:
        assert charged == [({"snip": 3.0 * 128, "grasp": 12.0 * 100}[method], dense)]


def test_a_missing_class_is_named():
    model = conv_net()
    with pytest.raises(InvalidInput, match="none of class 7 among") as refusal:
        make("grasp").attach(
            model, OPTIMIZERS["sgd"](model), examples=pool(torch.float32, lambda y: y != 7)
        )
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("method", METHODS)
def test_without_examples_the_refusal_says_what_to_give(method):
    model = conv_net()
    with pytest.raises(InvalidInput, match=r"examples=\(x, y\)"):
        make(method).attach(model, OPTIMIZERS["sgd"](model))


# ---------------------------------------------------------------------- tokens and attention


def small_gpt(dropout: float = 0.2) -> nn.Module:
    torch.manual_seed(0)
    return gpt((16,), 65, dim=48, depth=3, heads=3, dropout=dropout)


def text(seed: int = 0) -> Examples:
    """Return windows of 16 characters and the next ones."""
    generator = torch.Generator().manual_seed(seed)
    windows = torch.randint(65, (40, 17), generator=generator)
    return Examples(windows[:, :-1], windows[:, 1:], cross_entropy, PLAN.seed)


def pruned_gpt(method: str, examples: Examples, plan: Plan = PLAN, model=None, **options):
    model = small_gpt() if model is None else model
    sparsifier = make(method, plan, **options)
    sparsifier.attach(model, OPTIMIZERS["adamw"](model), examples=examples)
    return sparsifier


def test_synflow_of_a_gpt_scores_the_flow_of_the_first_examples_tokens():
    sparsifier = pruned_gpt("synflow", text(), iterations=1)
    positive = small_gpt().double().eval()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    positive(text().x[:1]).sum().backward()
    scores = {name: (w * w.grad).abs() for name, w in weights_of(positive).items()}
    expected = lowest(scores, sparsifier)
    assert all(torch.equal(layer.mask, expected[layer.name]) for layer in sparsifier.layers)


@pytest.mark.parametrize("sparsity", [0.9, 0.98])
def test_synflow_empties_no_layer_of_a_gpt_and_its_count_is_exact(sparsity):
    sparsifier = pruned_gpt("synflow", text(), Plan(120, sparsity, 0, 30), iterations=100)
    assert sparsifier.sparsity_errors() == ""
    assert min(layer.active for layer in sparsifier.layers) > 0


def test_synflow_leaves_no_query_and_no_key_weights_of_a_gpt_at_90_percent():
    sparsifier = pruned_gpt("synflow", text(), Plan(120, 0.9, 0, 30), iterations=100)
    for layer in sparsifier.layers:
        if layer.name.endswith("qkv"):
            query, key, value = layer.mask.chunk(3)
            assert not query.any()
            assert not key.any()
            assert value.any()


@pytest.mark.slow
def test_synflow_prunes_the_registered_gpt():
    task = registry.tasks()["tinyshakespeare/gpt_small"]
    dataset = registry.datasets()[task.dataset]
    torch.manual_seed(0)
    model = make_model(task, dataset, 1.0)
    tokens = torch.randint(dataset.classes, (4, *dataset.shape))
    examples = Examples(tokens, tokens, cross_entropy, 0)
    sparsifier = pruned_gpt("synflow", examples, model=model, iterations=5)
    assert sparsifier.sparsity_errors() == ""
    assert min(layer.active for layer in sparsifier.layers) > 0


def test_synflow_keeps_a_mask_that_the_model_holds_as_a_buffer():
    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.embed = nn.Embedding(65, 16)
            self.attention = nn.Linear(16, 16)
            self.head = nn.Linear(16, 65)
            self.register_buffer("mask", torch.full((16, 16), -torch.inf).triu(1))

        def forward(self, x):
            tokens = self.embed(x)
            scores = self.attention(tokens) @ tokens.transpose(1, 2) + self.mask
            return self.head(scores.softmax(-1) @ tokens)

    sparsifier = pruned_gpt("synflow", text(), model=Causal())
    assert sparsifier.sparsity_errors() == ""


def test_snip_of_a_gpt_keeps_the_largest_sensitivities():
    sparsifier = pruned_gpt("snip", text(), model=small_gpt(0.0).double(), batch_size=20)
    reference = small_gpt(0.0).double()
    x, y = text().batch(20)
    cross_entropy(reference(x), y).backward()
    scores = {name: (w * w.grad).abs() for name, w in weights_of(reference).items()}
    expected = lowest(scores, sparsifier)
    assert all(torch.equal(layer.mask, expected[layer.name]) for layer in sparsifier.layers)


def test_grasp_refuses_a_text_in_one_line():
    with pytest.raises(InvalidInput, match=r"outputs \[examples, classes\], not \(2, 16, 65\)"):
        pruned_gpt("grasp", text())


def test_grasp_differentiates_attention_twice():
    def masks(fused: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = vit((1, 8, 8), 10, patch=4, dim=24, depth=2, heads=2).double()
        with sdpa_kernel([SDPBackend.MATH, *([SDPBackend.FLASH_ATTENTION] if fused else [])]):
            return [layer.mask for layer in pruned("grasp", model).layers]

    assert all(map(torch.equal, masks(fused=True), masks(fused=False)))


def test_float_inputs_by_name_are_ones_and_masks_stay():
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer, self.head = nn.Linear(64, 8), nn.Linear(8, 10)

        def forward(self, image, mask):
            return self.head(self.layer(image) * mask)

    mask = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]).expand(40, 8)
    images = digits().x[:40].flatten(1)
    masks = []
    for image in (images, -images):
        given = Examples({"image": image, "mask": mask}, digits().y[:40], F.cross_entropy, 0)
        model = Masked()
        sparsifier = make("synflow", sparsity_of(0.8))
        sparsifier.attach(model, OPTIMIZERS["sgd"](model), examples=given)
        masks.append({layer.name: layer.mask for layer in sparsifier.layers})
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])
    assert not masks[0]["layer"][4:].any()  # nothing flows through units that are masked
    assert masks[0]["layer"][:4].any()


def sparsity_of(sparsity: float) -> Plan:
    return Plan(PLAN.steps, sparsity, PLAN.seed, PLAN.steps_per_epoch)
