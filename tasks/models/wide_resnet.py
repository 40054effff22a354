"""Wide residual networks for 32×32 images."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tasks.models.initialization import initialized


class WideBlock(nn.Module):
    """Norm, ReLU and 3×3 convolution, twice, with a shortcut: [batch, in, h, w] → [.., out, h/s].

    If channels or resolution change, the shortcut is a 1×1 convolution of the first ReLU's
    output; `dropout` is applied before the second convolution (Zagoruyko & Komodakis 2016,
    arXiv:1605.07146, §2 and §2.4, and their code).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = (
            None
            if inputs == outputs and stride == 1
            else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        active = F.relu(self.bn1(x))
        out = self.conv2(self.dropout(F.relu(self.bn2(self.conv1(active)))))
        return out + (x if self.shortcut is None else self.shortcut(active))


def wide_resnet(
    shape: Sequence[int],
    classes: int,
    *,
    depth: int = 22,
    widen: float = 2,
    dropout: float = 0.0,
    width: float = 1.0,
) -> nn.Sequential:
    """Return WRN-`depth`-`widen`: 6n + 4 layers of 16, 32, 64 channels, each times `widen`.

    Input [batch, channels, 32, 32], output logits [batch, classes]; WRN-16-8 has 11.0 M,
    WRN-28-10 36.5 M parameters on RGB images and 10 classes. `width` scales all channels,
    including those of the first layer. Weights are drawn from Glorot's uniform distribution and
    biases are 0, TensorFlow's default, as in the code of Evci et al. 2020.
    Source: Zagoruyko & Komodakis 2016, arXiv:1605.07146, table 1.
    """
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth={depth} is not 6n + 4")
    inputs = max(1, round(16 * width))
    layers: list[nn.Module] = [nn.Conv2d(shape[0], inputs, 3, padding=1, bias=False)]
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        outputs = max(1, round(channels * widen * width))
        for number in range((depth - 4) // 6):
            layers.append(WideBlock(inputs, outputs, stride if number == 0 else 1, dropout))
            inputs = outputs
    layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(inputs, classes))
    return initialized(model, nn.init.xavier_uniform_)
