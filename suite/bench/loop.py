"""The training loop: against one written by hand, and its share of an epoch."""

import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from suite.bench.measurement import Bar, Measurement
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.results.running_file import RunningFile
from suite.sparsity.rounds import TrainingProgress
from suite.training import loop as training_loop
from suite.training.checkpoint import Checkpointer
from suite.training.context import TrialContext
from suite.training.live_report import LiveReport
from suite.training.loop import Training, train
from suite.training.model import make_model
from suite.training.rounds import train_rounds
from suite.training.seeding import reproducible
from suite.training.setup import prepare
from tasks.data import Data, Split
from tasks.loading import load_data

TASK = "fashion_mnist/lenet_300_100"
STEPS = 420
"""Steps of an epoch, at batch size 128: as many as all of Fashion-MNIST has."""
TURN = 10
"""Steps that one side takes before it is the other's turn."""
HELD = 6000
"""Validation examples, of which an epoch ends with the scores."""
EPOCHS = 9
NOTE = "1 thread, batch size 128"


def against_bare(steps: int = STEPS, epochs: int = EPOCHS) -> Iterator[Measurement]:
    """Yield the time of an epoch in the suite's loop over that of a loop written by hand.

    Both take turns of a few steps on the same data, so that a machine that slows down slows both.
    """
    trial = _trial()
    with reproducible(torch.device("cpu"), threads=1):
        data = _data(trial, steps)
        race = Race(_prepared(trial, data, steps), bare_steps(trial, data))
        found = [race.epoch() for _ in range(epochs + 1)][1:]
    what = "training loop / loop written by hand, dense LeNet-300-100"
    yield Measurement.of(what, found, "×", Bar(1.05), NOTE)


def share(steps: int = STEPS, epochs: int = EPOCHS) -> Iterator[Measurement]:
    """Yield the part of an epoch that is not spent in forward, backward and step, as in a trial.

    It holds batches, seeds, counting FLOPs, checks, curves, scores, checkpoints and live reports.
    """
    trial = _trial()
    with reproducible(torch.device("cpu"), threads=1), tempfile.TemporaryDirectory() as folder:
        training = _prepared(trial, _data(trial, steps, HELD), steps)
        report = LiveReport(RunningFile(Path(folder), trial.key))
        report.begin(trial, training.steps)
        watch = functools.partial(_watch, training, Checkpointer(trial, NoCheckpoint()), report)
        inside, found = Clock(), []
        with inside.around(training):
            for _ in range(epochs + 1):
                inside.seconds, began = 0.0, time.perf_counter()
                train_rounds(training, TrainingProgress(), watch)
                found.append(100 * (1 - inside.seconds / (time.perf_counter() - began)))
    what = "share of an epoch outside forward, backward and step, LeNet-300-100"
    yield Measurement.of(what, found[1:], "%", Bar(8.0), NOTE)


class Race:
    """The suite's loop and another, which take turns of `TURN` steps."""

    def __init__(self, training: Training, peer: Iterator[None]) -> None:
        self._training, self._peer = training, peer
        self._ours = self._theirs = self._began = 0.0

    def epoch(self) -> float:
        """Train an epoch; return the time of the suite's loop over that of the peer."""
        self._ours = self._theirs = 0.0
        self._began = time.perf_counter()
        train(self._training, 0, self._after_step)
        return self._ours / self._theirs

    def _after_step(self, step: int) -> None:
        if step % TURN:
            return
        now = time.perf_counter()
        self._ours += now - self._began
        for _ in range(TURN):
            next(self._peer)
        self._began = time.perf_counter()
        self._theirs += self._began - now


def bare_steps(trial: Trial, data: Data) -> Iterator[None]:
    """Train as a loop written by hand does, without end; yield after every step.

    It does what a careful user's loop does: examples in a new order in every epoch, a schedule of
    the learning rate, a check of the loss, and its mean over the epoch.
    """
    context = TrialContext.of(trial)
    recipe, train = context.recipe, data.train
    model: nn.Module = make_model(context)
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10**9)
    loss_of = nn.CrossEntropyLoss()
    while True:
        model.train()
        total = 0.0
        for chosen in torch.randperm(len(train)).split(recipe.batch_size):
            x, y = train.x[chosen], train.y[chosen]
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item()
            if total != total:
                raise RuntimeError("the loss is not finite")
            yield


class Clock:
    """Adds up the seconds spent in forward (with the loss), backward and step."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work`, timed."""

        def call(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                self.seconds += time.perf_counter() - began

        return call

    @contextlib.contextmanager
    def around(self, training: Training) -> Iterator[None]:
        """Time what a training calls while this is open."""
        loss = training_loop.training_loss
        with (
            mock.patch.object(training.model, "forward", self.timed(training.model.forward)),
            mock.patch.object(training.optimizer, "step", self.timed(training.optimizer.step)),
            mock.patch.object(torch.Tensor, "backward", self.timed(torch.Tensor.backward)),
            mock.patch.object(
                training_loop, "training_loss", lambda *given: self.timed(loss(*given))
            ),
        ):
            yield


class NoCheckpoint:
    """A place for checkpoints that has none, and takes none."""

    def read(self) -> bytes | None:
        """Return None."""
        return None

    def write(self, content: bytes) -> None:
        """Do nothing."""


def _watch(
    training: Training, checkpointer: Checkpointer, report: LiveReport, progress: TrainingProgress
) -> None:
    """Do after a step what a trial does."""
    report.after_step(training, progress)
    checkpointer.after_step(training, progress)


def _trial() -> Trial:
    return Trial.make(task=TASK, method="dense", recipe={"epochs": 1, "validation": 0.0})


def _data(trial: Trial, steps: int, held: int = 0) -> Data:
    """Return batches and validation examples of Fashion-MNIST, or noise where it is missing."""
    count = steps * TrialContext.of(trial).recipe.batch_size
    try:
        whole = load_data(trial.dataset_declaration, 0.0, torch.device("cpu")).train
    except InvalidInput:
        whole = Split(torch.randn(count + held, 1, 28, 28), torch.randint(10, (count + held,)))
    train = Split(whole.x[:count].clone(), whole.y[:count].clone())
    validation = Split(whole.x[count : count + held], whole.y[count : count + held])
    return Data(train, validation, validation, "")


def _prepared(trial: Trial, data: Data, steps: int) -> Training:
    """Return a training of one epoch of so many steps on `data`."""
    context = TrialContext.of(trial)
    plan = replace(context.plan, steps=steps, steps_per_epoch=steps)
    with mock.patch("suite.training.setup.load_data", return_value=data):
        return prepare(replace(context, plan=plan))
