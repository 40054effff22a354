"""One trial, from its configuration to its outcome."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from torch import Tensor

from suite.core.discovery import load
from suite.core.errors import InvalidInput, TrialFailed
from suite.core.loaded_code import noting, unseen
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import LayerRecord
from suite.results.training_flops import off_budget
from suite.sparsity.rounds import TrainingProgress
from suite.training.budget_forecast import dense_training
from suite.training.checkpoint import Checkpointer
from suite.training.context import TrialContext
from suite.training.environment import Stopwatch
from suite.training.epoch_bounds import EpochBounds
from suite.training.final_metrics import measure_final
from suite.training.live_report import LiveReport
from suite.training.loop import Training
from suite.training.outcome import Outcome, make_outcome, with_unseen
from suite.training.rounds import train_rounds
from suite.training.seeding import reproducible
from suite.training.setup import prepare
from tasks import labels
from tasks.content_digest import MAX_READ, SAMPLE, SAMPLED
from tasks.data import RealSplit, Split
from tasks.loading import load_arrays

T = TypeVar("T")
Progress = Callable[[int], None]
"""Called with the number of steps done since the last call."""


def run_trial(
    trial: Trial,
    progress: Progress = lambda steps: None,
    checkpointer: Checkpointer | None = None,
    live: LiveReport | None = None,
    bounds: EpochBounds | None = None,
) -> Outcome:
    """Train, evaluate once on the final weights, and return the outcome; stores nothing.

    With a `checkpointer`, training resumes from the last checkpoint and takes new ones. A trial
    that names a trainer is passed to that trainer, without `bounds`. Progress is reported to
    `live`.

    Raises:
        InvalidInput: something given cannot be used (found before training starts).
        TrialFailed: training diverged, or did not end at its exact sparsity.
        Interrupted: the checkpointer was asked to stop, and has taken a checkpoint.
        TrialPruned: a validation score is below its bound.
    """
    origins = trial.own_origins
    with noting(origins, trial.code):
        outcome = _by_its_trainer(trial, progress, checkpointer, live, bounds)
    return with_unseen(outcome, unseen(origins, trial.code))


def _by_its_trainer(
    trial: Trial,
    progress: Progress,
    checkpointer: Checkpointer | None,
    live: LiveReport | None,
    bounds: EpochBounds | None,
) -> Outcome:
    context = TrialContext.of(trial)
    if trial.trainer:
        if live is not None:
            live.begin(trial, context.plan.steps)
            progress = _both(progress, live.count)
        return _trainer(trial)(trial, progress, checkpointer)
    context.require_device()
    with reproducible(context.device, trial.threads):
        return _run(context, progress, checkpointer, live, bounds)


def check_trial(trial: Trial) -> None:
    """Set a trial up without training it.

    Raises:
        InvalidInput: something given cannot be used: options, data, model, targets.
    """
    with noting(trial.own_origins, trial.code):
        if trial.trainer:
            _trainer(trial)
            load_arrays(trial.dataset_declaration)
            declared = registry.trainers()[trial.trainer]
            if declared.preflight:
                load(declared.preflight, declared.origin)(trial)
        else:
            prepare(TrialContext.of(trial))


def count_steps(trial: Trial) -> int | None:
    """Return the optimizer steps of a trial; None where its method cannot be constructed."""
    try:
        context = TrialContext.of(trial)
        return context.plan.steps if trial.trainer else context.make_sparsifier().total_steps
    except (Exception, SystemExit):
        return None


def _trainer(trial: Trial) -> Callable[..., Outcome]:
    if trial.dataset_declaration.regression:
        raise InvalidInput(
            f"trainer {trial.trainer} trains on class labels, and the targets of "
            f"{trial.task_declaration.dataset} are real numbers: leave the trainer out, or "
            "give a task with classes"
        )
    declared = registry.trainers()[trial.trainer]
    return load(declared.implementation, declared.origin)


def _both(first: Callable[[T], None], second: Callable[[T], None]) -> Callable[[T], None]:
    def call(value: T) -> None:
        first(value)
        second(value)

    return call


def _run(
    context: TrialContext,
    progress: Progress,
    checkpointer: Checkpointer | None,
    live: LiveReport | None,
    bounds: EpochBounds | None,
) -> Outcome:
    stopwatch = Stopwatch(context.device)
    if live is not None:
        live.begin(context.trial, context.make_sparsifier().total_steps)
    training = prepare(context, progress)
    start = TrainingProgress()
    on_step: Callable[[TrainingProgress], None] | None = None
    if checkpointer is not None:
        start = checkpointer.resume(training)
        on_step = functools.partial(checkpointer.after_step, training)
    if live is not None:
        live.resumed(training, start, checkpointer.elapsed if checkpointer else 0.0)
        report = functools.partial(live.after_step, training)
        on_step = _both(report, on_step) if on_step else report
    if bounds is not None:
        watch = bounds.watch(training)
        on_step = _both(watch, on_step) if on_step else watch
    train_rounds(training, start, on_step)
    return conclude(training, stopwatch, checkpointer)


@dataclass(frozen=True)
class Findings:
    """What an analysis of a training adds to its record.

    Attributes:
        metrics: of the network, by name.
        layers: fields of each layer's record, by layer name.
        notes: what a reader must know.
    """

    metrics: Mapping[str, float]
    layers: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str] = ()


def conclude(
    training: Training,
    stopwatch: Stopwatch,
    checkpointer: Checkpointer | None = None,
    analyse: Callable[[Training], Findings] | None = None,
) -> Outcome:
    """Return the outcome of a training after its last step.

    `analyse` is called with the network that is evaluated, and leaves it as it is.

    Raises:
        TrialFailed: it did not end at its exact sparsity, or its loss is not finite.
    """
    context = training.context
    if training.processes:
        training.processes.assert_synchronized(training.model)
    sparsifier = training.sparsifier
    sparsifier.end_training()
    if errors := sparsifier.sparsity_errors():
        raise TrialFailed(f"{context.method.name} did not end at its sparsity: {errors}")
    storage = sparsifier.execution.describe()
    sparsifier.execution.densify()  # evaluated and stored as an ordinary model
    measures = measure_final(training)
    found = analyse(training) if analyse is not None else Findings({}, {})
    measures.metrics |= found.metrics
    forward, data = training.ledger.flops, training.data
    notes = [*sparsifier.notes(), *([storage] if storage else []), *found.notes]
    if context.method.zeros and not context.method.dense and (off := sparsifier.target_note()):
        notes.append(off)
    dataset = context.dataset
    notes += [*labels.notes(dataset.labels), *data.notes]
    if dataset.options.get(SAMPLED):
        notes.append(
            f"more than {MAX_READ:,} images: their names and sizes and the content of {SAMPLE:,} "
            "identify the data"
        )
    flops = {
        "inference_dense": training.dense_flops,
        "inference": forward.sparse(sparsifier.layers),
        "training": training.ledger.total,
        "scoring": training.ledger.scoring,
        "method": training.ledger.method,
    }
    steps = 0
    if budget := context.recipe.flops_budget:
        steps = sparsifier.total_steps
        dense = dense_training(context.recipe, dataset, training.dense_flops)
        flops["dense_training"] = dense
        if off := off_budget(training.ledger.total, dense, budget):
            notes.append(off)
    if not context.plan.validates:
        notes.insert(0, "trained on all training data (validation=0): accuracy feedback was off")
    return make_outcome(
        context.trial,
        measures=measures,
        layers=[
            LayerRecord(
                name=layer.name,
                shape=tuple(layer.shape),
                zeros=layer.size - layer.active,
                flops=forward.layers[layer.name],
                **measures.layers[layer.name],
                **found.layers.get(layer.name, {}),
            )
            for layer in sparsifier.layers
        ],
        flops=flops,
        steps=steps,
        timing=stopwatch.timing(
            training.epoch_seconds,
            started=checkpointer.started if checkpointer else None,
            earlier=checkpointer.elapsed if checkpointer else 0.0,
        ),
        data={
            "checksum": data.checksum,
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
            **_target_scale(data.train),
            **labels.for_record(dataset.labels),
            **({"fingerprint": dataset.fingerprint} if dataset.fingerprint else {}),
        },
        metric=context.task.metric,
        tensors=_tensors(training),
        curves=training.curves,
        notes=notes,
        no_update=sparsifier.unchanged_reason(moved=training.curves.moved()),
    )


def _target_scale(train: Split) -> dict[str, Any]:
    """Return what real targets were standardised with, for the record: the model's unit."""
    return {"targets": asdict(train.scale)} if isinstance(train, RealSplit) else {}


def _tensors(training: Training) -> dict[str, Tensor]:
    tensors = {
        f"model/{name}": value.detach().cpu().contiguous().clone()
        for name, value in training.model.state_dict().items()
    }
    for layer in training.sparsifier.layers:
        tensors[f"mask/{layer.name}"] = layer.mask.cpu().contiguous()
    return tensors
