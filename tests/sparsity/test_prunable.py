import copy

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.sparsity.distribution import layer_zeros
from suite.sparsity.layers import PRUNABLE
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import ALL_MATRICES, LINEAR_AND_CONV, Coverage, find_prunable
from suite.sparsity.storage.execution import Execution
from tests.sparsity.networks import SHAPES, Pictures, Sequences
from tests.support.helpers import OPTIMIZERS, attach, fit, make

KINDS = ALL_MATRICES.kinds


def names(model: nn.Module, coverage: Coverage = ALL_MATRICES) -> list[str]:
    return [found.name for found in find_prunable(model, coverage)]


def refusal(model: nn.Module, coverage: Coverage = ALL_MATRICES) -> str:
    with pytest.raises(InvalidInput) as error:
        find_prunable(model, coverage)
    assert "\n" not in str(error.value)
    return str(error.value)


class Language(nn.Module):
    """An embedding tied to the output, a table of positions, and a matrix of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.tok = nn.Embedding(20, 6)
        self.places = nn.Parameter(torch.randn(5, 6))
        self.gain = nn.Parameter(torch.ones(6))
        self.blocks = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
        self.table = nn.Embedding(3, 6)
        self.head = nn.Linear(6, 20, bias=False)
        self.head.weight = self.tok.weight


@pytest.mark.parametrize("network", SHAPES)
def test_layers_are_found_in_network_order_under_their_names(network):
    found = find_prunable(network(), ALL_MATRICES)
    assert {weight.name: tuple(weight.parameter.shape) for weight in found} == SHAPES[network]
    assert [weight.name for weight in found] == list(SHAPES[network])
    model = network()
    assert all(model.get_parameter(w.path).shape == w.parameter.shape for w in found)


def test_the_standard_set_is_linear_and_conv_alone():
    assert names(Sequences(), LINEAR_AND_CONV) == ["attention.out_proj", "head"]
    assert names(Pictures(), LINEAR_AND_CONV) == ["down"]
    module_types = {type(w.module) for w in find_prunable(Pictures())}
    assert module_types <= set(PRUNABLE)


def test_attention_with_other_sizes_of_keys_has_three_projections():
    attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=4)
    assert {w.path: tuple(w.parameter.shape) for w in find_prunable(attention, ALL_MATRICES)} == {
        "q_proj_weight": (8, 8),
        "k_proj_weight": (8, 6),
        "v_proj_weight": (8, 4),
        "out_proj.weight": (8, 8),
    }


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_both_weights_of_a_cell_are_prunable(kind):
    assert names(nn.ModuleDict({"cell": kind(4, 6)})) == ["cell.weight_ih", "cell.weight_hh"]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_every_layer_and_direction_of_a_recurrent_layer_is_prunable(kind):
    found = names(nn.ModuleDict({"r": kind(4, 6, 2, bidirectional=True)}))
    ends = ("l0", "l0_reverse", "l1", "l1_reverse")
    assert found == [f"r.weight_{part}_{end}" for end in ends for part in ("ih", "hh")]


@pytest.mark.parametrize(
    ("globs", "adds"),
    [
        ("Embedding", ["tok", "table"]),
        (["tok"], ["tok"]),
        (("table.weight",), ["table"]),
        (("places",), ["places"]),
        (("t*", "p*"), ["places", "tok", "table"]),
    ],
)
def test_what_include_names_is_prunable_too(globs, adds):
    model = Language()
    linear = ["blocks.0", "blocks.1"]
    output = [] if "tok" in adds else ["head"]  # the embedding's own weight
    found = names(model, Coverage(KINDS, include=globs))
    assert sorted(found) == sorted(adds + linear + output)


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        ("blocks.*", ["head"]),
        (("blocks.1.weight", "head"), ["blocks.0"]),
        (("tok",), ["blocks.0", "blocks.1"]),  # the weight of `head` by its other name
        (("Embedding",), ["blocks.0", "blocks.1"]),
    ],
)
def test_what_exclude_names_is_left_alone(globs, left):
    assert names(Language(), Coverage(KINDS, exclude=globs)) == left


def test_a_class_is_matched_also_through_the_class_it_is_derived_from():
    class Special(nn.Linear):
        pass

    model = nn.Sequential(Special(4, 4), nn.Linear(4, 4), nn.Bilinear(4, 4, 4))
    assert names(model, Coverage(KINDS, exclude=("Special",))) == ["1", "2"]
    assert names(model, Coverage(KINDS, exclude=("Linear",))) == ["2"]


def test_the_recurrent_kinds_do_not_answer_to_each_others_names():
    model = nn.ModuleDict({"a": nn.LSTM(2, 2), "b": nn.RNN(2, 2)})
    left = names(model, Coverage(KINDS, exclude=("RNN",)))
    assert left == ["a.weight_ih_l0", "a.weight_hh_l0"]


def test_exclude_takes_precedence_over_include():
    both = Coverage(KINDS, include=("Embedding",), exclude=("table",))
    assert "table" not in names(Language(), both)


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_glob_that_matches_nothing_is_refused_with_what_there_is(option):
    says = refusal(Language(), Coverage(KINDS, **{option: ("blokcs.0",)}))
    assert f"{option}: 'blokcs.0' matches no weight" in says
    assert "there are blocks.0.weight" in says
    assert "gain" not in says  # a vector


def test_a_glob_for_a_vector_matches_nothing():
    assert "include: 'gain'" in refusal(Language(), Coverage(KINDS, include=("gain",)))


def test_a_long_model_is_not_listed_in_full():
    deep = nn.Sequential(*[nn.Linear(2, 2) for _ in range(40)])
    assert "and 28 more" in refusal(deep, Coverage(KINDS, exclude=("nowhere",)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kinds": ("linear", "dense")}, "prunable: 'dense' is no kind of layer: give linear"),
        ({"kinds": ()}, "give a list of linear"),
        ({"kinds": "linear"}, "prunable='linear' is not usable"),
        ({"kinds": KINDS, "include": 3}, "include=3 is not usable"),
        ({"kinds": KINDS, "exclude": [nn.Linear]}, "exclude="),
    ],
)
def test_a_coverage_that_cannot_be_read_is_refused(given, says):
    with pytest.raises(InvalidInput, match=says):
        Coverage(**given)


def test_frozen_shared_and_empty_weights_of_new_kinds_are_left_alone():
    model = nn.ModuleDict({"a": nn.GRU(3, 4), "b": nn.GRU(3, 4), "c": nn.Bilinear(2, 2, 3)})
    model["a"].weight_hh_l0.requires_grad_(False)
    model["b"].weight_ih_l0 = model["a"].weight_ih_l0
    model["c"].weight = nn.Parameter(torch.empty(3, 2, 0))
    assert names(model) == ["a.weight_ih_l0", "b.weight_hh_l0"]


def test_a_parametrized_weight_of_any_kind_is_refused_by_name_or_excluded():
    lstm = nn.LSTM(3, 4)
    nn.utils.parametrizations.spectral_norm(lstm, "weight_hh_l0")
    model = nn.ModuleDict({"rnn": lstm, "head": nn.Linear(4, 2)})
    assert "layer 'rnn.weight_hh_l0': its weight is recomputed" in refusal(model)
    assert names(model, Coverage(KINDS, exclude=("rnn",))) == ["head"]
    assert names(model, LINEAR_AND_CONV) == ["head"]


def test_the_original_of_a_parametrized_weight_cannot_be_included():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 4))
    glob = "0.parametrizations.weight.original1"
    says = refusal(model, Coverage(KINDS, include=(glob,)))
    assert "layer '0': its weight is recomputed" in says
    assert names(model, Coverage(KINDS, exclude=("0",))) == ["1"]


def test_a_lazy_transposed_convolution_is_refused_by_name():
    model = nn.Sequential(nn.LazyConvTranspose2d(8, 3), nn.Conv2d(8, 8, 3))
    assert "layer '0' has no weights yet" in refusal(model)


def test_a_model_with_nothing_of_the_declared_kinds_says_how_to_name_more():
    says = refusal(nn.Sequential(nn.Embedding(3, 4)), LINEAR_AND_CONV)
    assert "no prunable layer" in says
    assert "include" in says


# ------------------------------------------------------------------ exact counts and masks


def test_erk_and_uniform_counts_are_exact_on_recurrent_and_attention_weights():
    shapes = SHAPES[Sequences]
    sizes = {n: torch.Size(s).numel() for n, s in shapes.items()}
    total = sum(sizes.values())
    assert total == 2 * (384 + 240 + 60) + 300 + 100 + 100
    assert sum(layer_zeros(shapes, 0.7, "erk").values()) == int(0.7 * total) == 1307
    uniform = layer_zeros(shapes, 0.75, "uniform", uniform_dense="none")
    assert uniform == {name: size * 3 // 4 for name, size in sizes.items()}


def test_erk_divides_a_bilinear_weight_by_all_of_its_dimensions():
    # p = (10 + 12 + 12) / 1440 and (4 + 3 + 2 + 2) / 48: no layer is full, so ε is in proportion.
    shapes = {"up": (4, 3, 2, 2), "product": (10, 12, 12)}
    zeros = layer_zeros(shapes, 0.98, "erk")
    assert sum(zeros.values()) == int(0.98 * 1488) == 1458
    assert 48 - zeros["up"] == 7  # 30 active weights · 11 / (11 + 34), to the nearest
    assert 1440 - zeros["product"] == 23


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("network", SHAPES)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("method", ["rigl", "set", "magnitude", "snip"])
def test_pruned_weights_of_every_kind_stay_zero_over_training(network, optimizer, method):
    model = network()
    made = OPTIMIZERS[optimizer](model)
    sparsifier = make(method, Plan(steps=40, sparsity=0.8, seed=0, steps_per_epoch=40))
    attach(sparsifier, model, made, coverage=ALL_MATRICES)

    def exact(step: int) -> None:
        for layer in sparsifier.layers:
            assert not layer.values[~layer.mask].any(), f"{layer.name} at step {step}"

    fit(model, made, sparsifier, after=exact)
    assert sparsifier.sparsity_errors() == ""
    zeros = {n: int((model.get_parameter(w.path) == 0).sum()) for n, w in by_name(sparsifier)}
    if not sparsifier.is_global:
        assert zeros == sparsifier.target_zeros()
    assert sum(zeros.values()) == sparsifier.target_total()


def by_name(sparsifier):
    return [(layer.name, layer) for layer in sparsifier.layers]


def test_a_layers_random_mask_does_not_depend_on_what_else_is_covered():
    def mask(coverage: Coverage) -> torch.Tensor:
        model = Sequences()
        made = make("static", distribution="uniform", uniform_dense="none")
        attach(made, model, OPTIMIZERS["sgd"](model), coverage=coverage)
        return next(layer.mask for layer in made.layers if layer.name == "head")

    assert torch.equal(mask(LINEAR_AND_CONV), mask(ALL_MATRICES))


def test_data_parallel_has_the_masks_of_the_plain_run():
    def masks(wrap) -> dict[str, torch.Tensor]:
        model = Pictures()
        made = make("static")
        attach(made, wrap(model), OPTIMIZERS["sgd"](model), coverage=ALL_MATRICES)
        return {layer.name: layer.mask for layer in made.layers}

    plain, parallel = masks(lambda model: model), masks(nn.DataParallel)
    assert plain.keys() == parallel.keys()
    assert all(torch.equal(plain[name], parallel[name]) for name in plain)


def test_a_parameter_beside_a_linear_layers_weight_is_masked_under_csr():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    model[1].extra = nn.Parameter(torch.randn(10, 64))
    made = make("static", sparsity_of(0.9))
    coverage = Coverage(("linear",), include=("1.extra",))
    attach(made, model, OPTIMIZERS["sgd"](model), storage=Execution("csr"), coverage=coverage)
    weight, extra = model[1].weight, model[1].extra
    assert weight.ndim == 1
    assert extra.shape == (10, 64)
    assert sum(int((layer.values == 0).sum()) for layer in made.layers) == 1152


def sparsity_of(sparsity: float) -> Plan:
    return Plan(steps=10, sparsity=sparsity, seed=0, steps_per_epoch=10)


# ------------------------------------------------------------------ sharded models


@pytest.fixture
def one_process(tmp_path):
    where = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=where, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_fsdp2_is_refused_with_ddp_as_the_way_out():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    says = refusal(model)
    assert "DTensors, of FSDP2" in says
    assert "use DistributedDataParallel" in says


@pytest.mark.usefixtures("one_process")
@pytest.mark.filterwarnings("ignore:FSDP is switching")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("original", [False, True])
def test_fsdp1_is_refused_with_ddp_as_the_way_out(original):
    from torch.distributed.fsdp import FullyShardedDataParallel

    plain = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
    model = FullyShardedDataParallel(
        copy.deepcopy(plain), device_id=torch.device("cpu"), use_orig_params=original
    )
    for given in (model, model.module):
        says = refusal(given)
        assert "wrapped in FullyShardedDataParallel" in says
        assert "use DistributedDataParallel" in says
    assert names(plain) == ["0", "1"]
