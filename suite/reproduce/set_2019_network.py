"""The network of SET's published logs, with its training rule: NumPy, float64.

Activations are [units, examples]. All random numbers come from one legacy stream
(`numpy.random.RandomState`), in the order of the published experiment; this makes its logs
reproducible.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import blas

Floats = NDArray[np.float64]
Random = np.random.RandomState

SCALE = 10.0
"""Initial and regrown weights are standard normal draws divided by it."""
BLOCK_SIZE = 2048
"""Number of connections whose gradients are computed together, so that they stay in cache."""


@dataclass(frozen=True)
class Descent:
    """SGD with momentum: v ← μ·v − η·g, then w ← w + v − λ·w (the decay is not scaled by η)."""

    rate: float
    momentum: float
    decay: float


class DenseLayer:
    """Weights [inputs, outputs]; gradients are summed over the batch, as published."""

    def __init__(self, inputs: int, outputs: int, random: Random) -> None:
        self.shape = (inputs, outputs)
        self.weights: Floats = np.asfortranarray(random.randn(inputs, outputs) / SCALE)
        self._velocity: Floats = np.zeros_like(self.weights)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Which weights are connected, [inputs, outputs]: all."""
        return np.ones(self.weights.shape, dtype=np.bool_)

    def forward(self, a: Floats) -> Floats:
        """Return wᵀ·a, [outputs, examples]."""
        return self.weights.T @ a

    def backward(self, delta: Floats) -> Floats:
        """Return w·δ, [inputs, examples]."""
        return self.weights @ delta

    def descend(self, a: Floats, delta: Floats, how: Descent) -> None:
        """Take a gradient step, given the inputs and the errors δ.

        One BLAS call computes μ·v − η·a·δᵀ in place.
        """
        self._velocity = blas.dgemm(
            -how.rate, a.T, delta.T, how.momentum, self._velocity, trans_a=True, overwrite_c=True
        )
        self.weights *= 1 - how.decay
        self.weights += self._velocity

    def evolve(self, fraction: float, random: Random) -> None:
        """Do nothing: every weight stays connected."""


class SparseLayer:
    """Weights at random positions; gradients are averaged over the batch, as published.

    Positions are sorted by ``row · outputs + column``.
    """

    def __init__(self, inputs: int, outputs: int, epsilon: int, random: Random) -> None:
        """Draw ε·(inputs + outputs) connections with replacement: a later one replaces an earlier.

        Value, row and column are drawn one by one, as the published stream requires.
        """
        drawn: dict[int, float] = {}
        for _ in range(epsilon * (inputs + outputs)):
            value = random.randn() / SCALE
            row = random.randint(0, inputs)
            drawn[row * outputs + random.randint(0, outputs)] = value
        self.shape = (inputs, outputs)
        places = np.fromiter(drawn, np.int64, len(drawn))
        values = np.fromiter(drawn.values(), np.float64, len(drawn))
        self._place(places, values, np.zeros_like(values))

    def _place(self, places: NDArray[np.int64], values: Floats, velocity: Floats) -> None:
        """Store connections; `_matrix` reads the same values that `descend` moves."""
        order = np.argsort(places, kind="stable")
        self.places, self.values, self._velocity = places[order], values[order], velocity[order]
        self._rows, self._columns = np.divmod(self.places, self.shape[1])
        starts = np.searchsorted(self._rows, np.arange(self.shape[0] + 1))
        parts = (self.values, self._columns.astype(np.int32), starts.astype(np.int32))
        self._matrix = sparse.csr_array(parts, shape=self.shape)

    @property
    def weights(self) -> Floats:
        """The weights [inputs, outputs], zero where nothing is connected."""
        return self._matrix.toarray()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Which weights are connected, [inputs, outputs]."""
        mask = np.zeros(self.shape, dtype=np.bool_)
        mask.flat[self.places] = True
        return mask

    def forward(self, a: Floats) -> Floats:
        """Return wᵀ·a, [outputs, examples]."""
        return self._matrix.T @ a

    def backward(self, delta: Floats) -> Floats:
        """Return w·δ, [inputs, examples]."""
        return self._matrix @ delta

    def descend(self, a: Floats, delta: Floats, how: Descent) -> None:
        """Take a gradient step at the connected positions, given the inputs and the errors δ."""
        self._velocity *= how.momentum
        self._velocity -= how.rate / a.shape[1] * self._gradient(a, delta)
        self.values += self._velocity - how.decay * self.values

    def _gradient(self, a: Floats, delta: Floats) -> Floats:
        """Return Σ a·δ over the batch at each position; takes half the time of the full a·δᵀ."""
        gradient = np.empty_like(self.values)
        for start in range(0, len(gradient), BLOCK_SIZE):
            part = slice(start, start + BLOCK_SIZE)
            inputs, errors = a.take(self._rows[part], 0), delta.take(self._columns[part], 0)
            np.vecdot(inputs, errors, out=gradient[part])
        return gradient

    def evolve(self, fraction: float, random: Random) -> None:
        """Drop the fraction ζ of positive and of negative weights nearest 0; regrow at random.

        A grown weight has a new random value and no velocity, and may be at a position that was
        just dropped. Source: Mocanu et al. 2018, algorithm 1; the bounds as in the published logs.
        """
        ordered = np.sort(self.values)
        count = len(ordered)
        middle = int(np.abs(ordered).argmin())  # the weight nearest 0
        low = ordered[int((1 - fraction) * middle)]
        high = ordered[min(count - 1, int(middle + 1 + fraction * (count - middle - 1)))]
        kept = (self.values < low) | (self.values > high)
        places, values, velocity = self.places[kept], self.values[kept], self._velocity[kept]
        values = np.append(values, random.randn(count - len(values)) / SCALE)
        while missing := count - len(places):
            rows = random.randint(0, self.shape[0], size=missing, dtype=np.int32)
            columns = random.randint(0, self.shape[1], size=missing, dtype=np.int32)
            new = np.unique(rows.astype(np.int64) * self.shape[1] + columns)
            places = np.append(places, new[~np.isin(new, places)])
        self._place(places, values, np.append(velocity, np.zeros(count - len(velocity))))


Layer = DenseLayer | SparseLayer
"""The weights between two layers of units, and their velocity."""


class Network:
    """Fully connected layers with ReLU units and a sigmoid output, trained on squared errors.

    Attributes:
        layers: the weights, from input to output.
        biases: one array per layer.
    """

    def __init__(self, layers: Sequence[Layer], how: Descent, dropout: float) -> None:
        self.layers = list(layers)
        self.biases = [np.zeros(layer.shape[1]) for layer in layers]
        self._velocities = [np.zeros_like(bias) for bias in self.biases]
        self._how = how
        self._dropout = dropout

    def outputs(self, x: Floats) -> Floats:
        """Return the outputs [classes, examples]; z is scaled by 1 − dropout after layer 1."""
        a = x
        for number, (layer, bias) in enumerate(zip(self.layers, self.biases, strict=True)):
            z = layer.forward(a) + bias[:, None]
            if number > 0:
                z *= 1 - self._dropout
            a = _sigmoid(z) if layer is self.layers[-1] else np.maximum(z, 0, out=z)
        return a

    def step(self, x: Floats, y: Floats, random: Random) -> None:
        """Train on a batch: inputs [features, examples], one-hot targets [classes, examples].

        As published: units are dropped after the ReLU without rescaling the others, back-propagated
        errors ignore the dropout, and the output's error is computed as if its sigmoid were applied
        twice.
        """
        inputs, open_units = [x], []
        for layer, bias in zip(self.layers, self.biases, strict=True):
            z = layer.forward(inputs[-1]) + bias[:, None]
            if layer is self.layers[-1]:
                break
            open_units.append(z > 0)
            draws = random.rand(*z.T.shape).T  # [examples, units], the order of the stream
            kept = open_units[-1] & (draws >= self._dropout)
            inputs.append(np.multiply(z, kept, order="C"))
        output = _sigmoid(z)
        slope = _sigmoid(output)
        deltas = [(output - y) * slope * (1 - slope)]
        for layer, is_open in zip(self.layers[:0:-1], reversed(open_units), strict=True):
            deltas.append(layer.backward(deltas[-1]) * is_open)
        for layer, bias, velocity, a, delta in zip(
            self.layers, self.biases, self._velocities, inputs, reversed(deltas), strict=True
        ):
            layer.descend(a, delta, self._how)
            velocity *= self._how.momentum
            velocity -= self._how.rate * delta.mean(1)
            bias += velocity - self._how.decay * bias


def _sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-z))
