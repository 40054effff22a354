"""Steps that change no connectivity do not wait for the GPU.

`torch.cuda.set_sync_debug_mode` raises where the host waits for the device. It is on during plain
steps, of the suite's training loop and of a loop of one's own. Left out are updates, the first
steps of a training, which set up what later ones use, and what is meant to wait: the last step of
an epoch, and checks of the loss or of the weights every 50 to 100 steps, which come later than
these trainings last.
"""

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from suite import sparsify
from suite.sparsity.sparsifier import Sparsifier
from suite.training.context import TrialContext
from suite.training.loop import train
from suite.training.setup import prepare
from tests.gpu.agreement import PLAN, conv_net, scoring_pool, settings
from tests.gpu.report import Check, Lines, attempt, reason
from tests.support.every_method import METHODS, case, has_masks, planned
from tests.support.helpers import batch_of, digits

ROOT = Path(__file__).parents[2]
FIRST = 4
"""The first step that may not wait."""
BATCH = 64

SetMode = Callable[[str], None]
"""`torch.cuda.set_sync_debug_mode`: "default", or "error" to raise where the host waits."""


class Waits(Exception):
    """A plain step waited for the device; the message says where."""


def check(device: torch.device) -> Lines:
    """Yield a check of every method in both loops; a line in place of them without a GPU."""
    if device.type != "cuda":
        yield "needs a GPU"
        return
    for loop, steps in (("training loop", in_training_loop), ("own loop", in_own_loop)):
        for method in METHODS:
            if loop == "own loop" and not has_masks(method):
                continue  # nothing is left to sparsify
            what = f"no wait in {loop}, {method}"
            yield attempt(
                what,
                lambda steps=steps, method=method, what=what: _checked(
                    what, lambda: steps(method, device, torch.cuda.set_sync_debug_mode)
                ),
            )


def _checked(what: str, steps: Callable[[], int]) -> Check:
    try:
        count = steps()
        return Check(what, count > 0, f"{count} plain steps")
    except Waits as where:
        return Check(what, False, str(where))


def plain_steps(sparsifier: Sparsifier, steps: int, epoch: int) -> list[int]:
    """Return the steps of a training that may not wait: neither updates nor ends of epochs."""
    chosen = range(FIRST, steps + 1)
    return [step for step in chosen if step % epoch and not sparsifier.is_update(step)]


def in_training_loop(method: str, device: torch.device, set_mode: SetMode) -> int:
    """Train a trial of one epoch; return how many of its steps may not wait.

    Raises:
        Waits: one did.
    """
    training = prepare(TrialContext.of(case(method, device=device.type)))
    epoch = training.context.plan.steps_per_epoch
    plain = set(plain_steps(training.sparsifier, min(epoch, training.steps), epoch))
    done = 0

    def guard(step: int) -> None:
        nonlocal done
        set_mode("error" if step + 1 in plain else "default")
        done = step
        if step == epoch:
            raise _Enough

    try:
        train(training, 0, guard)
    except _Enough:
        pass
    except RuntimeError as error:
        raise Waits(_where(error, done + 1)) from error
    finally:
        set_mode("default")
    return len(plain)


class _Enough(BaseException):
    """Ends a training after its first epoch: nothing on the way may handle it."""


def in_own_loop(method: str, device: torch.device, set_mode: SetMode) -> int:
    """Train in a loop of one's own; return how many of its steps may not wait.

    Raises:
        Waits: one did.
    """
    torch.manual_seed(0)
    model = conv_net(8).to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    x, y = scoring_pool()
    options = settings(method, len(x))
    handle = sparsify(
        model,
        optimizer,
        method,
        sparsity=planned(method, PLAN, options).plan.sparsity,
        steps=PLAN.steps,
        steps_per_epoch=PLAN.steps_per_epoch,
        examples=(x.to(device), y.to(device)),
        **options,
    )
    plain = set(plain_steps(handle.sparsifier, PLAN.steps, PLAN.steps_per_epoch))
    batches = [
        tuple(part.to(device) for part in batch_of(digits(), step, BATCH))
        for step in range(1, PLAN.steps + 1)
    ]
    for step, (x, y) in enumerate(batches, 1):
        set_mode("error" if step in plain else "default")
        try:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        except RuntimeError as error:
            raise Waits(_where(error, step)) from error
        finally:
            set_mode("default")
    return len(plain)


def _where(error: RuntimeError, step: int) -> str:
    """Return the last line of this project that an error passed through, and what it says."""
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _is_ours(frame.filename)]
    frame = ours[-1]
    path = Path(frame.filename).relative_to(ROOT)
    return f"step {step}: {path}:{frame.lineno}, {frame.line}: {reason(error)}"


def _is_ours(file: str) -> bool:
    path = Path(file)
    folders = ("suite", "baselines", "tasks", "tests")
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in folders
