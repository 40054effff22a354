"""Compares a record's layers, zeros and FLOPs with what its configuration implies."""

import functools
import math
from collections.abc import Iterator

from suite.core.code_files import is_own_origin
from suite.core.errors import InvalidInput
from suite.evaluation.dead_units import SAMPLE_SIZE
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.counts import ClassTotals
from suite.results.record import Record
from suite.results.record_check import (
    INFERENCE,
    NETWORK,
    TRAINING,
    UPDATES,
    ZEROS,
    Check,
    Recomputed,
)
from suite.results.training_flops import lacks_own_arithmetic
from suite.sparsity.construct import DECIDING
from suite.sparsity.cost_bounds import FlopsBounds, TrainingSetup, Zeros
from suite.sparsity.flops import ForwardFlops
from suite.sparsity.sparsifier import NO_MOVE, Sparsifier
from suite.training.context import TrialContext
from suite.training.cost_setup import cost_setup
from suite.training.network import Network, count_parameters, network_of
from suite.training.planned_steps import steps_of_epochs
from suite.training.verify_budget import StepsTaken, off_reference, steps_taken

TOLERANCE = 1e-6
"""Relative difference of FLOPs that a different order of summation may make."""
MOST_SCORING = 1000
"""Where a method does not declare what it charges for scoring, more than this many times the cost
of dense training is taken for a mistake."""
HEADER = 1000
"""Bytes of a safetensors file beside its tensors, at most, and of each tensor's entry in its header
beside the tensor's name."""
BEFORE_TRAINING = ("start", "attach", "observe")
"""Hooks that change no mask during training."""


def recompute(record: Record) -> Recomputed:
    """Recompute what needs neither training nor data: layers, exact zeros, FLOPs.

    Of a method that is not known here, what follows from the task alone.

    Raises:
        InvalidInput: the trial's task is unknown, or its settings are no longer valid.
    """
    try:
        trial = Trial.make(**record.trial)
    except InvalidInput as error:
        own = record.trial["method"] not in registry.methods() and not record.trial.get("trainer")
        if not own or record.trial["task"] not in registry.tasks():
            raise
        return _of_own_method(record, str(error))
    context = TrialContext.of(trial)
    if record.status == "failed":
        steps = context.make_sparsifier().total_steps
        every = (ZEROS, NETWORK, UPDATES, INFERENCE, TRAINING)
        return Recomputed(steps, tuple(Check(name, skipped="the trial failed") for name in every))
    taken = steps_taken(record, context)
    sparsifier, steps = taken.method, taken.method.total_steps
    width = sparsifier.width(functools.partial(count_parameters, context.task, context.dataset))
    network, whole = network_of(trial.task, width), network_of(trial.task)
    shapes = {layer.name: layer.shape for layer in record.layers}
    if shapes != network.shapes or len(shapes) != len(record.layers):
        differing = [name for name, _ in shapes.items() ^ network.shapes.items()] or list(shapes)
        problem = f"the layers are not those of {trial.task}: see layer {min(differing)}"
        names = (NETWORK, UPDATES, INFERENCE, TRAINING)
        others = (Check(name, skipped="other layers") for name in names)
        return Recomputed(steps, (Check(ZEROS, (problem,)), *others))
    return Recomputed(
        steps,
        (
            _zeros(record, sparsifier, trial),
            Check(NETWORK, tuple(_of_network(record, network, still=_is_still(sparsifier)))),
            _updates(record, sparsifier, context),
            Check(INFERENCE, tuple(_off_forward(record, network.forward, whole.forward))),
            _training(record, taken, context, network, whole),
        ),
    )


def _is_still(sparsifier: Sparsifier) -> bool:
    """Return whether a method chooses its masks before training, and leaves them."""
    hooks = [name for name in DECIDING if name not in BEFORE_TRAINING]
    return not any(
        getattr(type(sparsifier), name) is not getattr(Sparsifier, name) for name in hooks
    )


def _of_own_method(record: Record, unknown: str) -> Recomputed:
    """Compare a record with its task's network; `unknown` says why its method is not looked at.

    A method may train the network at another width, so layers of other sizes are not compared.

    Raises:
        InvalidInput: its recipe is not valid.
    """
    task = registry.tasks()[record.trial["task"]]
    dataset, recipe = registry.datasets()[task.dataset], task.resolve_recipe(record.trial["recipe"])
    names = (ZEROS, NETWORK, UPDATES, INFERENCE, TRAINING)
    if record.status == "failed":
        skipped = tuple(Check(name, skipped="the trial failed") for name in names)
        return Recomputed(0, skipped, unknown)
    network = network_of(task.name)
    shapes = {layer.name: layer.shape for layer in record.layers}
    if list(shapes) != list(network.shapes) or len(shapes) != len(record.layers):
        problem = f"the layers are not those of {task.name}: {', '.join(network.shapes):.100}"
        others = (Check(name, skipped="other layers") for name in names[1:])
        return Recomputed(0, (Check(ZEROS, (problem,)), *others), unknown)
    why = "its method is not known here"
    if shapes != network.shapes:
        few = tuple(_off_any_width(record, network.forward))
        width = "its method is not known here, nor the width of its network"
        skipped = tuple(Check(name, skipped=width) for name in (ZEROS, NETWORK, UPDATES, TRAINING))
        return Recomputed(0, (*skipped, Check(INFERENCE, few, how="at least")), unknown)
    steps = record.steps if recipe.flops_budget else steps_of_epochs(recipe, dataset)
    cost = cost_setup(network, dataset, recipe, _final(record)).any_steps(steps)
    problems = []
    recorded, most = record.flops["training"], MOST_SCORING * cost.most
    if not cost.least * (1 - TOLERANCE) <= recorded <= most * (1 + TOLERANCE):
        problems.append(
            f"training: {recorded:g} FLOPs, {steps:,} steps take {cost.least:g} to {most:g}"
        )
    return Recomputed(
        0,
        (
            Check(ZEROS, skipped=why),
            Check(NETWORK, tuple(_of_network(record, network))),
            Check(UPDATES, skipped=why),
            Check(INFERENCE, tuple(_off_forward(record, network.forward, network.forward))),
            Check(TRAINING, tuple(problems), how="between any masks"),
        ),
        unknown,
    )


def _off_any_width(record: Record, whole: ForwardFlops) -> Iterator[str]:
    dense, inference = record.flops["inference_dense"], record.flops["inference"]
    if not math.isclose(dense, whole.dense, rel_tol=TOLERANCE):
        yield f"inference_dense: {dense:g} FLOPs, not {whole.dense:g}"
    for layer in record.layers:
        if layer.flops < layer.size:
            yield f"layer {layer.name}: {layer.flops:g} FLOPs of {layer.size:,} weights"
    least = sum(layer.flops * (1 - layer.zeros / layer.size) for layer in record.layers)
    if inference < least * (1 - TOLERANCE):
        yield f"inference: {inference:g} FLOPs, its layers take {least:g}"


def _of_network(record: Record, network: Network, *, still: bool = False) -> Iterator[str]:
    """Yield what outputs, masks and the size on disk cannot be; `still` if no mask can change."""
    metrics = record.metrics
    if still and metrics.get("mask_churn"):
        yield f"mask_churn is {metrics['mask_churn']:.6g}: its method changes no mask in training"
    if "dense_bytes" in metrics and record.declared is None:
        least = sum(network.tensors.values())
        names = sum(len(name) + HEADER for name in network.tensors)
        if not least <= metrics["dense_bytes"] <= least + names + HEADER:
            yield (
                f"dense_bytes is {metrics['dense_bytes']:,.0f}: the network's tensors take "
                f"{least:,} and a header"
            )
    if not network.chain:
        return
    layers = {layer.name: layer for layer in record.layers}
    last = layers.get(network.chain[-1])
    if last is not None and last.silent_units is not None:
        yield f"layer {last.name}: {last.silent_units} silent units, and no ReLU follows it"
    for layer in (layers[name] for name in network.chain if name in layers):
        if layer.zeros == layer.size:
            yield from _constant(record, f"layer {layer.name} has no active weight", 0)
        elif layer.units and layer.silent_units == layer.units:
            yield from _constant(record, f"all units of layer {layer.name} are silent", SAMPLE_SIZE)


def _constant(record: Record, why: str, sample: int) -> Iterator[str]:
    """Yield what contradicts constant outputs, known for `sample` test examples; 0: for all."""
    for split, counts in record.counts.items():
        if not counts.confusion or (sample and split != "test"):
            continue
        predicted = max(ClassTotals.of(counts).predicted)
        same = min(sample, counts.total) if sample else counts.total
        if predicted < same:
            yield (
                f"{why}, so the outputs for {same:,} {split} examples are the same, and no class "
                f"is predicted more than {predicted:,} times"
            )
    r2, size = record.metrics.get("test_r2", 0.0), record.data.get("test")
    if r2 > TOLERANCE and (not sample or (isinstance(size, int) and size <= sample)):
        yield f"{why}, so the outputs are the same, and test_r2 is {r2:.6g}: at most 0"


def _zeros(record: Record, sparsifier: Sparsifier, trial: Trial) -> Check:
    """Compare zeros with their target, which they may miss by one: per layer, or in total."""
    if registry.replaces_training(trial.trainer):  # it draws connections as in its publication
        return Check(ZEROS, skipped="a trainer of its own: the number of zeros may be random")
    shapes = {layer.name: layer.shape for layer in record.layers}
    zeros = {layer.name: layer.zeros for layer in record.layers}
    errors = sparsifier.off_target(zeros, shapes, tolerance=1)
    wrong = errors if sparsifier.is_global else [f"layer {error}" for error in errors]
    wrong += sparsifier.metric_errors(record.metrics, zeros, shapes)
    return Check(ZEROS, tuple(wrong), how="in all" if sparsifier.is_global else "by layer")


def _updates(record: Record, sparsifier: Sparsifier, context: TrialContext) -> Check:
    """Compare whether a record says that connectivity was never updated with its schedule."""
    if context.trial.trainer:
        return Check(UPDATES, skipped="a trainer of its own decides when it updates")
    if record.configuration.get("method_revision") != context.method.revision:
        return Check(UPDATES, skipped="another revision of the method")
    reason, said = sparsifier.idle_reason(), record.never_updated
    problem = ""
    if reason and not said:
        problem = f"{reason}, and it does not say so (no_update): it is no result of its method"
    elif record.no_update and not reason and not _moved_nothing(record, sparsifier):
        problem = f"it says {record.no_update!r:.100}, and by its settings connectivity is updated"
    return Check(UPDATES, (problem,) if problem else ())


def _moved_nothing(record: Record, sparsifier: Sparsifier) -> bool:
    """Return whether a record says that its updates moved nothing, and no value contradicts it."""
    says = record.no_update.startswith(NO_MOVE) and sparsifier.is_dynamic
    return says and not record.metrics.get("mask_churn")


def _off_forward(record: Record, network: ForwardFlops, whole: ForwardFlops) -> list[str]:
    layers, flops = record.layers, record.flops
    pairs = {f"layer {layer.name}": (layer.flops, network.layers[layer.name]) for layer in layers}
    sparse = network.at({layer.name: 1 - layer.zeros / layer.size for layer in layers})
    pairs["inference"] = (flops["inference"], sparse)
    pairs["inference_dense"] = (flops["inference_dense"], whole.dense)
    return [
        f"{name}: {recorded:g} FLOPs, not {expected:g}"
        for name, (recorded, expected) in pairs.items()
        if not math.isclose(recorded, expected, rel_tol=TOLERANCE)
    ]


def _training(
    record: Record, taken: StepsTaken, context: TrialContext, network: Network, whole: Network
) -> Check:
    """Compare training FLOPs with what the method's schedule allows in the steps it took."""
    sparsifier = taken.method
    trial, dataset = context.trial, context.dataset
    if record.configuration.get("method_revision") != context.method.revision:
        return Check(TRAINING, skipped="another revision of the method")
    if trial.trainer and is_own_origin(registry.trainers()[trial.trainer].origin):
        return Check(TRAINING, skipped="a trainer of the user's own")
    wrong = [taken.problem] if taken.problem else []
    wrong += off_reference(record, context, whole.forward.dense)
    if wrong:
        return Check(TRAINING, tuple(wrong))
    setup = cost_setup(network, dataset, context.recipe, _final(record))
    cost = taken.cost(setup)
    if lacks_own_arithmetic(record.flops, context.method):
        own = taken.own_cost(setup)
        cost = FlopsBounds(cost.least - own.least, cost.most - own.most)
    recorded = record.flops["training"]
    most = cost.most if sparsifier.declares_cost else MOST_SCORING * cost.most
    if cost.least * (1 - TOLERANCE) <= recorded <= most * (1 + TOLERANCE):
        if not sparsifier.declares_cost:
            how = "above the least (the method declares no zeros_in_training)"
        else:
            how = "exact" if cost.is_exact else "within bounds"
        return Check(TRAINING, tuple(_off_parts(record, taken, setup)), how=how)
    few = recorded < cost.least
    if cost.is_exact:
        words = f"not {cost.least:g}"
    elif few:
        words = f"fewer than its masks can have taken: {cost.least:g}"
    else:
        words = f"more than its masks can have taken: {most:g}"
    return Check(TRAINING, (f"training: {recorded:g} FLOPs, {words}",))


def _off_parts(record: Record, taken: StepsTaken, setup: TrainingSetup) -> Iterator[str]:
    """Yield what the parts of training FLOPs cannot be, of a method that declares its cost."""
    if not taken.method.declares_cost:
        return
    declared = {"scoring": taken.method.scoring_cost(setup), "method": taken.own_cost(setup)}
    for name, (least, most) in declared.items():
        found = record.flops.get(name)
        if found is None or least * (1 - TOLERANCE) <= found <= most * (1 + TOLERANCE):
            continue
        words = f"not {least:g}" if least == most else f"not {least:g} to {most:g}"
        yield f"{name}: {found:g} FLOPs of training, {words}"


def _final(record: Record) -> Zeros:
    return Zeros.exactly({layer.name: layer.zeros for layer in record.layers})
