"""A trial's model: its initial weights, and whether it fits the data."""

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput, first_line
from suite.core.seeds import derive_seed
from suite.evaluation.scores import predict
from suite.sparsity.flops import ForwardFlops, measure_forward
from suite.training.context import TrialContext
from suite.training.network import coverage_of
from tasks import model_factory
from tasks.data import Split
from tasks.task import Dataset, Task

DRAWN_AGAIN = "weights, drawn again"
"""Purpose of the initial weights that a method asks for beside the first ones."""


def make_model(context: TrialContext, width: float = 1.0, purpose: str = "weights") -> nn.Module:
    """Return the trial's model on the CPU: its initial weights depend on the seed alone.

    Args:
        context: of the trial; only its task, dataset and seed are used.
        width: factor on the widths of the hidden layers.
        purpose: names the random stream, so that weights can be drawn a second time.

    Raises:
        InvalidInput: another width than 1, and the model's factory takes none.
    """
    torch.manual_seed(derive_seed(context.trial.seed, purpose))
    return model_factory.make_model(context.task, context.dataset, width)


def check_model(model: nn.Module, example: Split, context: TrialContext) -> ForwardFlops:
    """Send one example through the model; return its FLOPs.

    Raises:
        InvalidInput: it does not take the dataset's inputs, or does not give one output per class
            or real target.
    """
    try:
        outputs = predict(model, example)
        flops = measure_forward(model, example.x, coverage_of(context.task))
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        raise InvalidInput(
            f"task {context.task.name}: the model does not take {context.dataset.name}'s inputs of "
            f"shape {context.dataset.shape}: {first_line(error)}"
        ) from error
    check_outputs(context.task, context.dataset, model, outputs)
    return flops


def check_outputs(task: Task, dataset: Dataset, model: nn.Module, outputs: Tensor) -> None:
    """Check the model's outputs for one example: one per class or real target.

    Of a text, a logit per character at every position.

    Raises:
        InvalidInput: the shape is another one; the message names the layer that gives it.
    """
    places = dataset.shape if dataset.kind == "text" else ()
    expected = (1, *places, dataset.classes)
    if tuple(outputs.shape) == expected:
        return
    leaves = [name for name, m in model.named_modules() if next(m.children(), None) is None]
    last = f" (its last layer is '{leaves[-1]}')" if leaves and leaves[-1] else ""
    what = "real targets" if dataset.regression else "classes"
    raise InvalidInput(
        f"task {task.name}: the model gives outputs of shape {tuple(outputs.shape[1:])}{last}, "
        f"dataset {dataset.name} has {dataset.classes} {what}: give {expected[1:]}"
    )
