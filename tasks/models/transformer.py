"""A small vision transformer and a small GPT, with all matrices in linear layers.

torchvision's transformer stores the attention's input projection as a parameter outside of any
linear layer, so it would not be prunable.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Pre-norm attention and a GELU MLP, each with a shortcut: [b, t, dim] → [b, t, dim].

    Source: Radford et al. 2019 (GPT-2), §2.3; Dosovitskiy et al. 2021, arXiv:2010.11929, §3.1.
    """

    def __init__(
        self, dim: int, heads: int, hidden: int, *, causal: bool, dropout: float, bias: bool
    ) -> None:
        super().__init__()
        self.heads, self.causal, self.dropout = heads, causal, dropout
        self.norm1 = nn.LayerNorm(dim, bias=bias)
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.project = nn.Linear(dim, dim, bias=bias)
        self.norm2 = nn.LayerNorm(dim, bias=bias)
        self.expand = nn.Linear(dim, hidden, bias=bias)
        self.contract = nn.Linear(hidden, dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        rate = self.dropout if self.training else 0.0
        batch, length, dim = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=self.causal)
        attended = self.project(attended.transpose(1, 2).reshape(batch, length, dim))
        x = x + F.dropout(attended, rate)
        hidden = self.contract(F.gelu(self.expand(self.norm2(x))))
        return x + F.dropout(hidden, rate)


class ViT(nn.Module):
    """Image [b, channels, h, w] → logits [b, classes]."""

    def __init__(
        self, shape: Sequence[int], classes: int, patch: int, dim: int, blocks: Sequence[Block]
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(shape[0], dim, patch, patch)
        positions = (shape[1] // patch) * (shape[2] // patch)
        self.first = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.position = nn.Parameter(0.02 * torch.randn(1, positions + 1, dim))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, read at the class token."""
        patches = self.embed(x).flatten(2).transpose(1, 2)
        first = self.first.expand(len(x), -1, -1)
        tokens = torch.cat([first, patches], dim=1) + self.position
        return self.head(self.norm(self.blocks(tokens)[:, 0]))


class GPT(nn.Module):
    """Characters [b, t] → logits of each next character, [b, t, classes]."""

    def __init__(
        self, length: int, classes: int, dim: int, dropout: float, blocks: Sequence[Block]
    ):
        super().__init__()
        self.dropout = dropout
        self.embed = nn.Embedding(classes, dim)
        self.position = nn.Embedding(length, dim)
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(dim, bias=False)
        self.head = nn.Linear(dim, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits; each position attends to itself and earlier ones."""
        positions = torch.arange(x.shape[1], device=x.device)
        tokens = self.embed(x) + self.position(positions)
        tokens = F.dropout(tokens, self.dropout, self.training)
        return self.head(self.norm(self.blocks(tokens)))


def vit(
    shape: Sequence[int],
    classes: int,
    *,
    patch: int = 4,
    dim: int = 192,
    depth: int = 9,
    heads: int = 12,
    ratio: float = 2.0,
    dropout: float = 0.0,
    width: float = 1.0,
) -> ViT:
    """Return a small vision transformer: 2.7 M parameters for 32×32 images and 10 classes.

    Input [batch, channels, h, w] with sides that `patch` divides, output logits [batch, classes].
    `width` scales `dim` in whole numbers per head, and the hidden units of the MLPs make up for
    what that rounds off.
    Source: Lee et al. 2021, arXiv:2112.13492, §4.1 (ViT: depth 9, dim 192, 12 heads, ratio 2).
    """
    if shape[1] % patch or shape[2] % patch:
        raise ValueError(f"patch={patch} does not divide images of {shape[1]}×{shape[2]}")
    dim, hidden = _scaled(dim, heads, ratio, width)
    blocks = [
        Block(dim, heads, hidden, causal=False, dropout=dropout, bias=True) for _ in range(depth)
    ]
    model = ViT(shape, classes, patch, dim, blocks)
    _initialise(model, depth=0)
    return model


def gpt(
    shape: Sequence[int],
    classes: int,
    *,
    dim: int = 384,
    depth: int = 6,
    heads: int = 6,
    dropout: float = 0.0,
    width: float = 1.0,
) -> GPT:
    """Return a GPT over characters, without biases: 10.8 M parameters for 65 characters.

    Input [batch, t] of character indices, t up to shape[0]; output logits [batch, t, classes]. The
    last layer does not share its weights with the embedding (in nanoGPT it does), because then it
    could not be pruned alone. `width` scales `dim` in whole numbers per head, and the hidden units
    of the MLPs, 4 · `dim` at width 1, make up for what that rounds off.
    Source: Radford et al. 2019 (GPT-2); Karpathy, nanoGPT, config/train_shakespeare_char.py.
    """
    dim, hidden = _scaled(dim, heads, 4.0, width)
    blocks = [
        Block(dim, heads, hidden, causal=True, dropout=dropout, bias=False) for _ in range(depth)
    ]
    model = GPT(shape[0], classes, dim, dropout, blocks)
    _initialise(model, depth)
    return model


def _scaled(dim: int, heads: int, ratio: float, width: float) -> tuple[int, int]:
    """Return `dim` times `width`, in whole numbers per head, and the hidden units of an MLP.

    A block's matrices hold 4·d² + 2·d·h weights, at h = ratio·d in all (4 + 2·ratio)·d². The hidden
    units are so many that they hold as many as they would at the width that was not rounded; in
    steps of the heads alone, a small network's size would come in steps of a factor of two.
    """
    if dim % heads:
        raise ValueError(f"dim={dim} is not a multiple of heads={heads}")
    exact = dim * width
    whole = heads * max(1, round(exact / heads))
    return whole, max(1, round((2 + ratio) * exact**2 / whole - 2 * whole))


def _initialise(model: nn.Module, depth: int) -> None:
    """Draw weights from N(0, 0.02²); residual projections are scaled by 1/√(2·depth)."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            ends = name.endswith(("project", "contract")) and depth > 0
            nn.init.normal_(module.weight, std=0.02 / math.sqrt(2 * depth) if ends else 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
