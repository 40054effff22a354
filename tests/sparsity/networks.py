"""Small networks of every kind of layer, for 8×8 digits."""

import torch
from torch import Tensor, nn


class Sequences(nn.Module):
    """Reads a digit as 8 rows of 8: a recurrent layer, and attention over its states."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.LSTM(8, 12, 1, bidirectional=True, proj_size=5, batch_first=True)
        self.attention = nn.MultiheadAttention(10, 2, batch_first=True)
        self.head = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.rnn(x.flatten(1).unflatten(1, (8, 8)))
        mixed, _ = self.attention(states, states, states, need_weights=False)
        return self.head(mixed.mean(1))


class Pictures(nn.Module):
    """A convolution, a transposed one in groups, and a bilinear product of two halves."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
        self.product = nn.Bilinear(12, 12, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = self.up(self.down(x).relu()).relu()
        left, right = features.mean(-1).flatten(1).tensor_split(2, 1)
        return self.product(left[:, ::2], right[:, ::2])


SHAPES = {
    Sequences: {
        "rnn.weight_ih_l0": (48, 8),
        "rnn.weight_hh_l0": (48, 5),
        "rnn.weight_hr_l0": (5, 12),
        "rnn.weight_ih_l0_reverse": (48, 8),
        "rnn.weight_hh_l0_reverse": (48, 5),
        "rnn.weight_hr_l0_reverse": (5, 12),
        "attention.in_proj_weight": (30, 10),
        "attention.out_proj": (10, 10),
        "head": (10, 10),
    },
    Pictures: {"down": (4, 1, 3, 3), "up": (4, 3, 2, 2), "product": (10, 12, 12)},
}
"""Layer names in network order, with the shapes of their weights."""
