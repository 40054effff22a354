"""A trial, from its configuration to its record."""

import datetime
import functools
import hashlib
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from suite.core.discovery import load
from suite.core.errors import InvalidInput, TrialFailed
from suite.evaluation.measure import TRAINING_PASSES, Measures, measure
from suite.evaluation.scores import Scores, evaluate, predict, rounded_accuracy
from suite.experiments.trial_config import Trial
from suite.results.record import LayerRecord, Record, to_json
from suite.sparsity.flops import FlopsLedger, ForwardFlops, measure_forward
from suite.sparsity.layers import PRUNABLE
from suite.sparsity.plan import Plan
from suite.sparsity.scoring import Examples
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.execution import Execution
from suite.training.checkpoint import Checkpointer
from suite.training.curves import Curves
from suite.training.environment import PeakMemory, environment
from suite.training.loop import Training, first_non_finite, training_loss
from suite.training.optimization import learning_rate, make_optimizer
from suite.training.parallel import processes_for
from suite.training.rounds import train_rounds
from suite.training.seeding import reproducible, seed_global
from tasks import build
from tasks.data import Data, Split, training_examples
from tasks.objective import METRICS
from tasks.pipeline import load_data

KEEP_WEIGHTS_BELOW = 50 * 2**20
ROUNDING_BITS = (8, 4)
SCORING_POOL = 2048
"""Examples of a streamed dataset that a method may score connections with."""


@dataclass
class Outcome:
    """What a finished trial leaves: its record, its curves, its weights and masks."""

    trial: Trial
    record: Record
    curves: Curves
    tensors: dict[str, Tensor]

    def files(self) -> dict[str, bytes]:
        """Return the files of the trial's folder by name."""
        files = {
            "trial.json": to_json(self.trial.resolved()),
            "record.json": self.record.to_json(),
            "curves.parquet": self.curves.to_parquet(),
        }
        size = sum(tensor.nbytes for tensor in self.tensors.values())
        if size <= KEEP_WEIGHTS_BELOW and self.trial.evaluate == "test":
            files["model.safetensors"] = save(self.tensors, {"trial": self.trial.key})
        return files


def make_plan(trial: Trial) -> Plan:
    """Return what the method may know of the trial's training; loads no data.

    Raises:
        InvalidInput: there is no whole batch in the training data.
    """
    recipe = trial.task_declaration.resolve(trial.recipe)
    examples = training_examples(trial.dataset_declaration, _number(recipe["validation"]))
    steps_per_epoch = int(examples // _number(recipe["batch_size"]))
    if steps_per_epoch == 0:
        raise InvalidInput(
            f"batch_size={recipe['batch_size']} leaves no whole batch of {examples} training "
            f"examples: give at most {examples}"
        )
    return Plan(
        steps=steps_per_epoch * int(_number(recipe["epochs"])),
        sparsity=trial.sparsity,
        seed=trial.seed,
        steps_per_epoch=steps_per_epoch,
        validates=examples < trial.dataset_declaration.train,
    )


def make_sparsifier(trial: Trial) -> Sparsifier:
    """Return the trial's method, not yet attached; this checks its options against the training.

    Raises:
        InvalidInput: options that do not fit the training (a window longer than it, say).
    """
    method = trial.method_declaration
    implementation = load(method.implementation, method.origin)
    if not (isinstance(implementation, type) and issubclass(implementation, Sparsifier)):
        raise InvalidInput(
            f"method {method.name}: {method.implementation} in {method.origin} is not a Sparsifier"
        )
    return implementation(make_plan(trial), method.resolve(trial.hyperparameters))


def total_steps(trial: Trial) -> int | None:
    """Return the optimizer steps of all rounds; None where the method cannot be constructed."""
    try:
        sparsifier = make_sparsifier(trial)
    except (Exception, SystemExit):
        return None
    rounds, start = sparsifier.rounds, sparsifier.rewind_step
    return rounds * sparsifier.plan.steps - (rounds - 1) * start


def prepare(trial: Trial, progress: Callable[[int], None] = lambda steps: None) -> Training:
    """Return everything a trial trains with, ready to start: data, model, attached method.

    Raises:
        InvalidInput: something given cannot be used. Training that has started raises it no more.
    """
    device = _device(trial)
    recipe = trial.task_declaration.resolve(trial.recipe)
    processes = processes_for(trial.processes, int(_number(recipe["batch_size"])))
    sparsifier = make_sparsifier(trial)
    sparsifier.execution = Execution(trial.execution, _only_masked(trial, recipe))
    plan = sparsifier.plan
    if trial.evaluate == "validation" and not plan.validates:
        raise InvalidInput(
            "evaluate=validation: validation=0 leaves no validation split; give a share above 0"
        )
    data = load_data(trial.dataset_declaration, _number(recipe["validation"]), device)
    width = sparsifier.width(lambda scale: _parameters(trial, scale))
    model = build.to_device(make_model(trial, width), device, recipe)
    forward = _try_model(model, data, trial)
    whole = make_model(trial).to(device) if width != 1 else None
    training = Training(
        model=model,
        optimizer=make_optimizer(model, recipe),
        sparsifier=sparsifier,
        data=data,
        recipe=recipe,
        rate=learning_rate(recipe, plan.steps),
        steps_per_epoch=plan.steps_per_epoch,
        seed=trial.seed,
        ledger=FlopsLedger(forward, int(_number(recipe["batch_size"]))),
        curves=Curves(),
        progress=progress,
        precision=trial.precision,
        processes=processes,
        redraw=lambda: make_model(trial, purpose="weights, drawn again").to(device).state_dict(),
        reference=None if whole is None else _try_model(whole, data, trial),
    )
    sparsifier.report = training.curves.add
    sparsifier.charge = lambda forwards, at: training.ledger.charge_scoring(forwards, at)
    pool = data.train.pool(SCORING_POOL, trial.seed) if data.train.streamed else data.train
    examples = Examples(pool.x, pool.y, training_loss(recipe), trial.seed)
    sparsifier.attach(model, training.optimizer, examples)
    if recipe["compile"]:
        model.compile()
    if processes:
        training.network = processes.wrap(model)
    return training


def run_trial(
    trial: Trial,
    progress: Callable[[int], None] = lambda steps: None,
    checkpointer: Checkpointer | None = None,
) -> Outcome:
    """Train, evaluate once on the final weights, and return the outcome; keeps no result.

    `progress` is called with the number of steps done since its last call. With a `checkpointer`,
    training goes on from the last checkpoint and takes new ones.

    Raises:
        InvalidInput: something given cannot be used (found before training starts).
        TrialFailed: training broke down, or did not end at its exact sparsity.
        Interrupted: the checkpointer was told to stop, and has taken a checkpoint.
    """
    with reproducible(_device(trial), trial.threads):
        return _run(trial, progress, checkpointer)


def _run(
    trial: Trial, progress: Callable[[int], None], checkpointer: Checkpointer | None
) -> Outcome:
    device = _device(trial)
    began, memory = time.perf_counter(), PeakMemory(device)
    started = datetime.datetime.now(datetime.UTC)
    training = prepare(trial, progress)
    sparsifier, model, data = training.sparsifier, training.model, training.data
    if checkpointer is None:
        train_rounds(training, lambda: make_optimizer(model, training.recipe))
    else:
        position = checkpointer.resume(training)
        started, began = checkpointer.started, began - checkpointer.elapsed
        train_rounds(
            training,
            lambda: make_optimizer(model, training.recipe),
            position,
            functools.partial(checkpointer.after_step, training),
        )
    if training.processes:
        training.processes.assert_synchronized(model)
    if missed := sparsifier.sparsity_errors():
        raise TrialFailed(f"{trial.method} did not end at its sparsity: {missed}")
    stored = sparsifier.execution.describe()
    sparsifier.execution.densify()  # measured and kept as what it is to others: a plain model
    metrics = _metrics(training, trial)
    measured = _measure(training, trial)
    tensors = _tensors(model, sparsifier)
    forward = training.ledger.flops
    record = Record(
        key=trial.key,
        status="done",
        trial=trial.model_dump(),
        configuration=trial.resolved(),
        metrics=metrics | measured.metrics,
        absent=measured.absent,
        layers=[
            LayerRecord(
                name=layer.name,
                shape=tuple(layer.shape),
                zeros=layer.size - layer.active,
                flops=forward.layers[layer.name],
                **measured.layers[layer.name],
            )
            for layer in sparsifier.layers
        ],
        flops={
            "inference_dense": (training.reference or forward).dense,
            "inference": forward.sparse(sparsifier.layers),
            "training": training.ledger.total,
        },
        timing={
            "started": started.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - began,
            "seconds_per_step": statistics.median(training.epoch_seconds),
            "peak_memory_bytes": memory.read(),
        },
        environment=environment(device),
        data={
            "checksum": data.checksum,
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
        },
        digests=digests(tensors),
        notes=[*_notes(sparsifier.plan), *sparsifier.notes(), *([stored] if stored else [])],
    )
    return Outcome(trial, record, training.curves, tensors)


def make_model(trial: Trial, width: float = 1.0, purpose: str = "weights") -> nn.Module:
    """Return the trial's model on the CPU: its initial weights depend on the seed alone.

    Raises:
        InvalidInput: another width than 1, and the model's factory takes none.
    """
    seed_global(trial.seed, purpose)
    return build.make_model(trial.task_declaration, trial.dataset_declaration, width)


def _parameters(trial: Trial, width: float) -> tuple[int, int]:
    """Return how many parameters the model has at a width, and how many prunable ones."""
    with torch.device("meta"):
        model = make_model(trial, width)
    prunable = {id(m.weight): m.weight.numel() for m in model.modules() if isinstance(m, PRUNABLE)}
    return sum(p.numel() for p in model.parameters()), sum(prunable.values())


def _try_model(model: nn.Module, data: Data, trial: Trial) -> ForwardFlops:
    """Send one example through the model; return its FLOPs.

    Raises:
        InvalidInput: it does not take the dataset's inputs, or not give one output per class.
    """
    dataset = trial.dataset_declaration
    example = data.train.pool(1, trial.seed)
    try:
        outputs = predict(model, example)
        flops = measure_forward(model, example.x)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"task {trial.task}: the model does not take {dataset.name}'s inputs of shape "
            f"{dataset.shape}: {what}"
        ) from error
    build.check_outputs(trial.task_declaration, dataset, model, outputs)
    return flops


def _metrics(training: Training, trial: Trial) -> dict[str, float]:
    metrics = _test_metrics(training, trial) if trial.evaluate == "test" else {}
    if len(training.data.validation):
        scores = _scores(training, training.data.validation, "validation")
        metrics["validation_accuracy"] = scores.accuracy
    metrics["train_loss"] = training.curves.last("train_loss")
    sizes = {layer.name: layer.size for layer in training.sparsifier.layers}
    if (churn := training.curves.churn(sizes)) is not None:
        metrics["mask_churn"] = churn
    return metrics


def _test_metrics(training: Training, trial: Trial) -> dict[str, float]:
    model, data, task = training.model, training.data, trial.task_declaration
    test = _scores(training, data.test, "test")
    metrics = {"test_accuracy": test.accuracy, "test_nll": test.nll, "test_ece": test.ece}
    bits = sorted({*ROUNDING_BITS, *training.sparsifier.rounding_bits}, reverse=True)
    rounded = rounded_accuracy(model, data.test, bits)
    metrics |= {f"test_accuracy_{number}bit": value for number, value in rounded.items()}
    metrics[f"test_{task.metric}"] = METRICS[task.metric](test.accuracy, test.nll)
    if task.compare:
        masks = {layer.name: layer.mask for layer in training.sparsifier.layers}
        metrics |= load(task.compare, task.origin)(trial.dataset_declaration, masks)
    return metrics


def _scores(training: Training, split: Split, name: str) -> Scores:
    scores = evaluate(training.model, split)
    if not math.isfinite(scores.nll):
        layer = first_non_finite(training.model, split.pool(1, training.seed).x)
        raise TrialFailed(
            f"the trained network's {name} loss is {scores.nll}, first in layer '{layer}': "
            "training diverged at its end"
        )
    return scores


def _measure(training: Training, trial: Trial) -> Measures:
    """Return what else is measured of the final weights, and put its details on the curves."""
    if trial.evaluate != "test":
        return Measures(layers={layer.name: {} for layer in training.sparsifier.layers})
    measured = measure(
        training.model,
        {layer.name: layer.mask for layer in training.sparsifier.layers},
        trial.dataset_declaration,
        training.data.test,
        # Of one round: a method of many rounds is measured as the others of its table are.
        TRAINING_PASSES * training.steps * _number(training.recipe["batch_size"]),
    )
    for kind, accuracy in measured.corruption.items():
        training.curves.add(training.steps, f"corruption_{kind}", accuracy)
    return measured


def _tensors(model: nn.Module, sparsifier: Sparsifier) -> dict[str, Tensor]:
    tensors = {
        f"model/{name}": value.detach().cpu().contiguous().clone()
        for name, value in model.state_dict().items()
    }
    for layer in sparsifier.layers:
        tensors[f"mask/{layer.name}"] = layer.mask.cpu().contiguous()
    return tensors


def digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the SHA-256 of the weights and of the masks among a trial's tensors."""
    found = {}
    for kind in ("model", "mask"):
        digest = hashlib.sha256()
        for name in sorted(name for name in tensors if name.startswith(f"{kind}/")):
            digest.update(name.encode())
            digest.update(tensors[name].flatten().view(torch.uint8).numpy().tobytes())
        found[kind] = digest.hexdigest()
    return found


def _notes(plan: Plan) -> list[str]:
    if plan.validates:
        return []
    return ["trained on all training data (validation=0): accuracy feedback was off"]


def _only_masked(trial: Trial, recipe: Mapping[str, Any]) -> str:
    """Return why a trial can only run masked, as far as its settings say; empty otherwise."""
    if recipe["compile"]:
        return "torch.compile cannot compile the sparse operators"
    if trial.processes > 1:
        return f"{trial.processes} processes cannot average the gradients of its values"
    if trial.precision != "float32":
        return f"it has no operators for precision {trial.precision}"
    return ""


def _device(trial: Trial) -> torch.device:
    if trial.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("device=cuda: torch sees no GPU here; give --device cpu")
    return torch.device(trial.device)


def _number(value: Any) -> float:
    assert isinstance(value, int | float)
    return value
