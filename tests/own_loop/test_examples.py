"""What may be given as examples: pairs, dict batches, DataLoaders; anything else in one line."""

import importlib.util
import itertools
import random
from collections import UserDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from suite.core.errors import InvalidInput
from suite.own_loop.examples import to_examples
from tests.conftest import require
from tests.support.helpers import OPTIMIZERS, PLAN, conv_net, digits, make


def loader(size: int = 100, **given) -> DataLoader:
    return DataLoader(TensorDataset(digits().x, digits().y), batch_size=size, **given)


def batches(count: int, size: int = 30):
    pairs = zip(digits().x.split(size), digits().y.split(size), strict=True)
    return list(itertools.islice(pairs, count))


def masks_by(method: str, given, loss=None, model: nn.Module | None = None, **options):
    """Return the masks that a method chooses on these examples."""
    model = conv_net() if model is None else model
    pool = to_examples(given, loss, PLAN.seed, model)
    sparsifier = make(method, **options)
    sparsifier.attach(model, OPTIMIZERS["sgd"](model), examples=pool)
    assert sparsifier.sparsity_errors() == ""
    return {layer.name: layer.mask for layer in sparsifier.layers}


def same(masks, others) -> bool:
    return masks.keys() == others.keys() and all(torch.equal(masks[n], others[n]) for n in masks)


class Labelled(nn.Module):
    """Takes images and labels by name and returns a dict, as Hugging Face's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = conv_net()

    def forward(self, image, labels=None):
        outputs = {"logits": self.net(image)}
        if labels is not None:
            # Not the cross-entropy, so that the one is not taken for the other.
            outputs["loss"] = F.multi_margin_loss(outputs["logits"], labels)
        return outputs


class Named(nn.Module):
    """Takes images by name and returns logits; it knows no labels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = conv_net()

    def forward(self, image):
        return self.net(image)


# ---------------------------------------------------------------------- pairs


def test_nothing_given_is_nothing():
    assert to_examples(None, None, 0, conv_net()) is None


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("method", ["snip", "grasp", "synflow"])
def test_a_pair_of_tensors_or_of_arrays_gives_the_same_masks(method, kind):
    x, y = digits().x, digits().y
    arrays = x.numpy().astype(np.float64), y.numpy().astype(np.int32)
    assert same(masks_by(method, kind((x, y))), masks_by(method, kind(arrays)))


def test_arrays_become_tensors_that_models_take():
    given = ({"image": np.ones((3, 2))[::-1], "tokens": np.ones(3, np.uint16)}, np.ones(3, bool))
    pool = to_examples(given, None, 0, conv_net().double())
    assert pool.x["image"].dtype is torch.float64
    assert pool.x["tokens"].dtype is torch.int64
    assert pool.y.dtype is torch.bool
    assert to_examples(given, None, 0, conv_net()).x["image"].dtype is torch.float32


def test_inputs_by_name_and_by_position_are_served():
    x, y = digits().x, digits().y
    expected = masks_by("snip", (x, y))
    assert same(masks_by("snip", ((x,), y)), expected)
    found = masks_by("snip", ({"image": x}, y), model=Named())
    assert same({name.removeprefix("net."): mask for name, mask in found.items()}, expected)


def test_targets_of_several_tensors_are_for_a_loss_of_ones_own():
    x, y = digits().x, digits().y
    two = (x, {"digit": y, "odd": y % 2})
    expected = masks_by("snip", (x, y))
    assert same(masks_by("snip", two, lambda out, t: F.cross_entropy(out, t["digit"])), expected)
    with pytest.raises(InvalidInput, match="targets must be one tensor; give loss="):
        masks_by("snip", two)


class Recurrent(nn.Module):
    """An LSTM over the rows of an image that returns its state too, as nn.LSTM does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(8, 16)
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        outputs, state = self.lstm(self.first(x))
        return self.head(outputs[:, -1]), state


@pytest.mark.parametrize("method", ["snip", "grasp", "synflow"])
def test_a_recurrent_model_that_returns_a_tuple_is_scored_on_its_first_element(method):
    class Logits(Recurrent):
        def forward(self, x):
            return super().forward(x)[0]

    given = (digits().x.squeeze(1), digits().y)
    assert same(masks_by(method, given, model=Recurrent()), masks_by(method, given, model=Logits()))


def test_grasp_refuses_a_loss_of_outputs_it_cannot_divide_by_its_temperature():
    given = (digits().x.squeeze(1), digits().y)
    with pytest.raises(InvalidInput, match="all of the model's outputs \\(tuple\\): leave loss"):
        masks_by("grasp", given, lambda out, y: F.cross_entropy(out[0], y), model=Recurrent())


# ---------------------------------------------------------------------- dict batches


def test_a_dict_batch_is_scored_by_the_loss_that_the_model_returns():
    x, y = digits().x, digits().y
    given = UserDict(image=x, labels=y)
    expected = masks_by("snip", (x, y), F.multi_margin_loss)
    found = masks_by("snip", given, model=Labelled())
    assert same({name.removeprefix("net."): mask for name, mask in found.items()}, expected)


def test_a_loss_of_ones_own_is_given_the_outputs_as_the_model_returns_them():
    x, y = digits().x, digits().y
    expected = masks_by("snip", (x, y))
    found = masks_by(
        "snip",
        {"image": x, "labels": y},
        lambda out, labels: F.cross_entropy(out["logits"], labels),
        Labelled(),
    )
    assert same({name.removeprefix("net."): mask for name, mask in found.items()}, expected)


def test_labels_are_kept_from_a_model_that_does_not_take_them():
    x, y = digits().x, digits().y
    found = masks_by("snip", {"image": x, "labels": y}, model=Named())
    expected = masks_by("snip", (x, y))
    assert same({name.removeprefix("net."): mask for name, mask in found.items()}, expected)


def test_grasp_balances_the_labels_of_a_dict_batch():
    x, y = digits().x, digits().y
    # Other weights would be drawn for layers of other names.
    same_weights = {"reinitialize_linear": False}
    found = masks_by("grasp", {"image": x, "labels": y}, model=Labelled(), **same_weights)
    expected = masks_by("grasp", (x, y), **same_weights)
    assert same({name.removeprefix("net."): mask for name, mask in found.items()}, expected)


def test_a_dict_without_labels_is_refused_with_its_keys():
    given = {"image": digits().x, "label": digits().y}
    with pytest.raises(InvalidInput, match="keys image, label has no 'labels'"):
        to_examples(given, None, 0, Named())


# ---------------------------------------------------------------------- many batches


@pytest.mark.parametrize("method", ["snip", "grasp", "synflow"])
def test_a_loader_gives_the_masks_of_its_examples(method):
    x, y = digits().x, digits().y
    assert len(x) % 100  # the last batch is smaller
    # Other weights would be drawn for layers of other names.
    options = {"reinitialize_linear": False} if method == "grasp" else {}
    expected = masks_by(method, (x, y), **options)
    assert same(masks_by(method, loader(), **options), expected)
    assert same(
        masks_by(method, [{"image": x, "labels": y}], model=Named(), **options),
        {f"net.{name}": mask for name, mask in expected.items()},
    )


def test_a_list_of_two_pairs_is_two_batches():
    (x, y), (more_x, more_y) = batches(2)
    pool = to_examples([(x, y), (more_x, more_y)], None, 0, conv_net())
    assert torch.equal(pool.x, torch.cat([x, more_x]))
    assert torch.equal(pool.y, torch.cat([y, more_y]))


def test_dict_batches_are_joined_by_name():
    x, y = digits().x, digits().y
    given = [{"image": x[:5], "labels": y[:5]}, {"labels": y[5:9], "image": x[5:9]}]
    pool = to_examples(given, None, 0, Labelled())
    assert torch.equal(pool.x["image"], x[:9])
    assert torch.equal(pool.x["labels"], y[:9])


class Endless(IterableDataset):
    """Gives batches for ever, and counts them."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self):
        while True:
            self.read += 1
            yield digits().x[:100], digits().y[:100]


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: DataLoader(d, batch_size=None)])
def test_no_more_batches_are_read_than_needed(wrap):
    dataset = Endless()
    pool = to_examples(wrap(dataset), None, 0, conv_net(), limit=250)
    assert len(pool) == 250
    assert dataset.read == 3


def test_at_most_2048_examples_are_kept_of_a_loader():
    many = TensorDataset(torch.zeros(3000, 4), torch.zeros(3000, dtype=torch.int64))
    pool = to_examples(DataLoader(many, batch_size=1000), None, 0, nn.Linear(4, 2))
    assert len(pool) == 2048


class Noisy(TensorDataset):
    """Draws from every global generator for each example, as augmentation does."""

    def __getitem__(self, index):
        noise = torch.randn(()) + random.random() + np.random.rand()
        x, y = super().__getitem__(index)
        return x + noise, y


def order_after(given: DataLoader) -> list[int]:
    """Return the labels in the order in which the loader gives them."""
    return torch.cat([y for _, y in given]).tolist()


@pytest.mark.parametrize("own", [False, True], ids=["global generator", "own generator"])
def test_reading_a_loader_leaves_the_random_state_as_it_was(own):
    model = conv_net()

    def run(read: bool) -> tuple:
        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)
        generator = torch.Generator().manual_seed(4) if own else None
        noisy = Noisy(digits().x, digits().y)
        given = DataLoader(noisy, batch_size=50, shuffle=True, generator=generator)
        if read:
            to_examples(given, None, 0, model, limit=200)
        return order_after(given), torch.rand(2).tolist(), random.random(), np.random.rand()

    assert run(read=True) == run(read=False)


def test_workers_that_stay_are_those_of_training():
    model = conv_net()
    given = loader(50, shuffle=True, num_workers=1, persistent_workers=True)
    torch.manual_seed(3)
    to_examples(given, None, 0, model, limit=100)
    after = order_after(given), torch.rand(2).tolist()
    torch.manual_seed(3)
    again = loader(50, shuffle=True, num_workers=1, persistent_workers=True)
    assert (order_after(again), torch.rand(2).tolist()) == after


def test_a_failed_reading_leaves_the_random_state_too():
    model = conv_net()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with pytest.raises(InvalidInput, match="cannot be joined"):
        to_examples(DataLoader(ragged(), batch_size=None, shuffle=True), None, 0, model)
    assert torch.equal(torch.rand(2), expected)


# ---------------------------------------------------------------------- refusals

ACCEPTED = (
    "give a pair \\(inputs, targets\\) of tensors, a dict batch with 'labels', or a DataLoader"
)


def ragged():
    return [(torch.ones(4, n, dtype=torch.int64), torch.ones(4)) for n in (12, 15)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (iter(loader()), "a _SingleProcessDataLoaderIter can be read only once"),
        ((batch for batch in loader()), "a generator can be read only once"),
        (TensorDataset(digits().x, digits().y), "TensorDataset is a dataset of single examples"),
        (ragged(), "\\(4, 12\\) and \\(4, 15\\) cannot be joined: pad sequences"),
        ([], f"there is no batch to read: {ACCEPTED}"),
        (digits().x, f"a tensor \\(.*\\) cannot be used: {ACCEPTED}"),
        ("digits", f"examples='digits' cannot be used: {ACCEPTED}"),
        (7, f"examples=7 cannot be used: {ACCEPTED}"),
        (nn.Linear(2, 2), f"cannot be used: {ACCEPTED}"),
        ((digits().x, [1, 2, 3]), f"targets\\[0\\]: int is not a tensor: {ACCEPTED}"),
        ((digits().x, None), f"targets: NoneType is not a tensor: {ACCEPTED}"),
        ((digits().x, np.array(["a", "b"])), "targets: an array of <U1 is not a tensor"),
        ((digits().x, torch.tensor(3)), "targets: one number is not a batch"),
        ((digits().x, digits().y, digits().y), f"batches of the kind Tensor: {ACCEPTED}"),
        ([(digits().x, digits().y, digits().y)], f"batches of the kind tuple of 3: {ACCEPTED}"),
        ([{"image": digits().x, "labels": ["a"]}], "inputs\\['labels'\\]: list is not a tensor"),
        ((digits().x[:12], digits().y[:6]), "must be the number of examples, the same for all"),
        ((digits().x[:0], digits().y[:0]), "must be the number of examples, the same for all"),
    ],
)
def test_anything_else_is_refused_in_one_line(given, message):
    with pytest.raises(InvalidInput, match=message) as refusal:
        to_examples(given, None, 0, conv_net())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("mse", "loss='mse' cannot be called: give a function"),
        (torch.ones(3), "loss=a tensor \\(3,\\) cannot be called"),
        (nn.CrossEntropyLoss, "CrossEntropyLoss is a class: give an instance, CrossEntropyLoss()"),
    ],
)
def test_a_loss_that_cannot_be_called_is_refused(loss, message):
    for given in (None, loader()):
        with pytest.raises(InvalidInput, match=message):
            to_examples(given, loss, 0, conv_net())


# ---------------------------------------------------------------------- other libraries


@pytest.fixture
def tokens():
    """Return a dict batch of 40 padded sentences of 12 tokens, with two labels."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(4, 12, (40, 1), generator=generator)
    mask = (torch.arange(12) < lengths).long()
    ids = torch.randint(1, 50, (40, 12), generator=generator) * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": (ids.sum(1) > 200).long()}


def bert() -> nn.Module:
    """Return a tiny BERT with two classes, from a configuration."""
    present = importlib.util.find_spec("transformers") is not None
    require("transformers", present, "pip install 'resonance-bench[transformers]'")
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=16,
    )
    return transformers.BertForSequenceClassification(config)


def test_snip_scores_a_bert_by_its_own_loss(tokens):
    model = bert()
    pool = to_examples(tokens, None, PLAN.seed, model)
    inputs, labels = pool.batch(40)
    sparsifier = make("snip")
    reference = bert().eval()
    sparsifier.attach(model, OPTIMIZERS["sgd"](model), examples=pool)
    F.cross_entropy(reference(**inputs).logits, labels).backward()
    weights = [reference.get_parameter(layer.path) for layer in sparsifier.layers]
    scores = torch.cat([(weight * weight.grad).detach().abs().flatten() for weight in weights])
    kept = torch.cat([layer.mask.flatten() for layer in sparsifier.layers])
    assert int(kept.sum()) == len(kept) - sparsifier.target_total()
    assert float(scores[kept].min()) >= float(scores[~kept].max())


@pytest.mark.parametrize("method", ["snip", "grasp", "synflow"])
def test_a_loader_of_dict_batches_gives_the_masks_of_one_batch(method, tokens):
    rows = [{name: tensor[i] for name, tensor in tokens.items()} for i in range(40)]
    given = DataLoader(rows, batch_size=16)
    assert same(masks_by(method, given, model=bert()), masks_by(method, tokens, model=bert()))


def test_a_models_padding_mask_counts_in_synflow(tokens):
    without = {name: tensor for name, tensor in tokens.items() if name != "attention_mask"}
    assert int(tokens["attention_mask"][0].sum()) < 12
    found, other = (masks_by("synflow", given, model=bert()) for given in (tokens, without))
    assert not same(found, other)


def test_a_loader_that_accelerate_prepared_is_read_without_a_trace():
    present = importlib.util.find_spec("accelerate") is not None
    require("accelerate", present, "pip install 'resonance-bench[accelerate]'")
    import accelerate

    model, accelerator = conv_net(), accelerate.Accelerator(cpu=True)
    given = accelerator.prepare(loader(100, shuffle=True))
    torch.manual_seed(3)
    assert len(to_examples(given, None, 0, model, limit=200)) == 200
    assert not accelerator.gradient_state.in_dataloader
    after = order_after(given)
    torch.manual_seed(3)
    assert order_after(accelerator.prepare(loader(100, shuffle=True))) == after
