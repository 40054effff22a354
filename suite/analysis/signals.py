"""What gradient signals say: trains as usual and measures every reading of every connection."""

from collections.abc import Callable
from dataclasses import replace

from suite.analysis.pruning_at_once import accuracies
from suite.analysis.signal_recorder import SignalRecorder
from suite.analysis.signal_statistics import layer_signals
from suite.core.custom_trainer import Trainer
from suite.core.errors import Interrupted, InvalidInput
from suite.experiments.trial_config import Trial
from suite.sparsity.rounds import TrainingProgress
from suite.training.checkpoint import Checkpointer
from suite.training.context import TrialContext
from suite.training.environment import Stopwatch
from suite.training.loop import Training
from suite.training.outcome import Outcome
from suite.training.rounds import train_rounds
from suite.training.seeding import reproducible
from suite.training.setup import prepare
from suite.training.trial import Findings, conclude

SIGNALS = Trainer(
    "signals",
    "this project",
    summary="the suite's own training; measures how reliable every reading of a connection's "
    "gradients is, and what it is related to, in windows of 32 gradients",
    implementation=":train",
    preflight=":check",
    analysis=True,
)

TRAINERS = (
    SIGNALS,
    *(
        replace(
            SIGNALS,
            name=f"signals_{window}",
            summary=f"as signals, in windows of {window} gradients",
        )
        for window in (16, 64, 128)
    ),
)

DEFAULT_WINDOW, SMALLEST_WINDOW = 32, 16
MIN_WINDOWS = 2
"""Without a second window nothing can be compared."""
MAX_HELD = 4 * 2**30
"""Bytes of one window of the gradients of all connections."""


def window_of(trainer: str) -> int:
    """Return N, the gradients in a window of one of these trainers."""
    return int(trainer.partition("_")[2] or DEFAULT_WINDOW)


def check(trial: Trial) -> None:
    """Set a trial up without training it.

    Raises:
        InvalidInput: its signals cannot be measured.
    """
    _begin(TrialContext.of(trial))


def train(
    trial: Trial,
    progress: Callable[[int], None] = lambda steps: None,
    checkpointer: Checkpointer | None = None,
) -> Outcome:
    """Train as the suite does, bit for bit, and return the outcome with what signals say.

    No checkpoints are taken: the windows of a resumed training would have a gap.

    Raises:
        InvalidInput: something given cannot be used (found before training starts).
        TrialFailed: training diverged, or did not end at its exact sparsity.
        Interrupted: the checkpointer was asked to stop.
    """
    context = TrialContext.of(trial)
    context.require_device()
    with reproducible(context.device, trial.threads):
        stopwatch = Stopwatch(context.device)
        training, recorder = _begin(context, progress)
        train_rounds(training, TrainingProgress(), _stop_with(checkpointer))
        return conclude(training, stopwatch, analyse=lambda trained: _measure(trained, recorder))


def _begin(
    context: TrialContext, progress: Callable[[int], None] = lambda steps: None
) -> tuple[Training, SignalRecorder]:
    trial, window, steps = context.trial, window_of(context.trial.trainer), context.plan.steps
    if trial.execution != "masked":
        raise InvalidInput(
            f"execution={trial.execution}: signals are read from the gradients of all weights, "
            "which only execution=masked computes; leave it out"
        )
    if (rounds := context.make_sparsifier().rounds) > 1:
        raise InvalidInput(
            f"method {trial.method} trains {rounds} rounds, and signals are those of one training: "
            "give a method that trains once"
        )
    if steps < MIN_WINDOWS * window:
        raise InvalidInput(
            f"window={window}: {MIN_WINDOWS} windows need {MIN_WINDOWS * window} steps, and this "
            f"training has {steps}: train longer"
            + (", or give a smaller window" if window > SMALLEST_WINDOW else "")
        )
    training = prepare(context, progress)
    if training.budget is not None:
        raise InvalidInput(
            f"flops_budget={context.recipe.flops_budget:g}: how long {trial.method} trains under "
            "it follows from the data, and windows are laid out beforehand: leave it out"
        )
    held = 4 * window * sum(layer.size for layer in training.sparsifier.layers)
    if held > MAX_HELD:
        raise InvalidInput(
            f"a window of {window} gradients of all weights takes {held / 2**30:.1f} GiB, more "
            f"than the {MAX_HELD / 2**30:g} that are allowed: give a smaller window or network"
        )
    recorder = SignalRecorder(training.sparsifier.layers, window, steps, trial.seed)
    return replace(training, on_gradients=recorder), recorder


def _stop_with(checkpointer: Checkpointer | None) -> Callable[[TrainingProgress], None] | None:
    if checkpointer is None:
        return None

    def after_step(progress: TrainingProgress) -> None:
        if checkpointer.stopping():
            raise Interrupted(f"stopped after step {progress.step}; no checkpoint is kept")

    return after_step


def _measure(training: Training, recorder: SignalRecorder) -> Findings:
    """Return what signals say, and add it to the curves: by layer, over k in place of the step."""
    readings = recorder.readings()
    layers = {}
    for layer in training.sparsifier.layers:
        found = layer_signals(readings[layer.name], layer.values.flatten(), layer.mask.flatten())
        for name, measures in found.readings.items():
            for k, value in measures.reliability.items():
                training.curves.add(k, f"reliability {name}", value, layer.name)
        layers[layer.name] = {"signals": found.numbers()}
    notes = [
        f"an analysis: signals were read in {recorder.windows} disjoint windows of "
        f"{recorder.window} successive gradients"
        + (f", one of {recorder.every} of the training" if recorder.every > 1 else "")
    ]
    return Findings(accuracies(training, readings), layers, notes)
