"""The order of examples and of windows of a text."""

import torch

from tasks.batches import TextBatchSource, epoch_order
from tasks.recipe import Recipe

CPU = torch.device("cpu")


def test_the_order_is_a_permutation_by_seed_and_epoch():
    orders = [
        epoch_order(100, seed, epoch, CPU) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert all(sorted(order.tolist()) == list(range(100)) for order in orders)
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[3])


def test_windows_of_a_text_cover_it_once_per_epoch_and_end_in_the_next_character():
    text = torch.arange(101)
    x, y = text[:100].view(10, 10), text[1:].view(10, 10)
    source = TextBatchSource(x, y, Recipe(batch_size=5), seed=0)
    firsts = set()
    for epoch in range(5):
        batches = list(source.epoch(epoch).batches(0, 2))
        inputs = torch.cat([x for x, _ in batches])
        assert torch.equal(torch.cat([y for _, y in batches]), inputs + 1)
        moved = int(inputs[:, 0].min())
        assert 0 <= moved < 10
        seen = set(inputs.flatten().tolist())
        assert seen >= set(range(moved, 100))
        firsts.add(moved)
    assert len(firsts) > 1
