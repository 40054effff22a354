"""A smaller dense network with the parameter count of the sparse one."""

from collections.abc import Callable

from suite.core.declarations import Difference, Method
from suite.core.errors import InvalidInput
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.distribution import Shapes, count_zeros
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "small_dense",
    "Zhu & Gupta 2017, arXiv:1710.01878, §4; Evci et al. 2020, arXiv:1911.11134",
    revision=2,
    title="Small dense",
    summary="a narrower dense network with as many parameters as the sparse one",
    implementation="SmallDense",
    family="reference",
    control=True,
    zeros=False,
    equation=r"\omega = \max\{\omega : P(\omega) \leq P(1) - \lfloor sN \rfloor\}",
    cost="3 f of the narrower network per step",
    differences=(
        Difference(
            "widths",
            "searched, so that the parameters are used",
            "a factor given by hand (--width of google-research/rigl)",
            "every task and sparsity needs another one",
        ),
    ),
)


class SmallDense(Sparsifier):
    """Scale all widths by one factor, the largest that does not exceed the sparse parameter count.

    The sparse count is all parameters minus floor(s · prunable weights), including biases and
    norms. Nothing is pruned, so the record shows no zeros. Transformers are as wide as a whole
    number of units per head allows, and the hidden units of their MLPs make up for what that rounds
    off: widths alone would leave 45 % of the parameters of ``cifar10/vit_small`` unused at 98 %.
    """

    def width(self, parameters: Callable[[float], tuple[int, int]]) -> float:
        """Return the largest width, to 1/4096, that does not exceed the sparse network's count."""
        whole, prunable = parameters(1.0)
        budget = whole - count_zeros(self.plan.sparsity, prunable)
        low, high = 0, 4096
        while high - low > 1:
            middle = (low + high) // 2
            if parameters(middle / 4096)[0] <= budget:
                low = middle
            else:
                high = middle
        if low == 0:
            least = parameters(1 / 4096)[0]
            raise InvalidInput(
                f"small_dense: sparsity {self.plan.sparsity:g} leaves {budget} parameters, the "
                f"narrowest network has {least}: lower the sparsity"
            )
        return low / 4096

    def target_zeros(self, shapes: Shapes | None = None) -> dict[str, int]:
        """Return no zeros."""
        return dict.fromkeys(self.shapes if shapes is None else shapes, 0)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that every layer is dense."""
        return unchanging(setup)
