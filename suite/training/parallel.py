"""Several processes that train one model together: each takes a fraction of every batch.

Gradients are averaged over the processes before the method sees them, and what a method draws at
random is a function of seed and layer, so all processes compute the same masks independently.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from suite.core.errors import InvalidInput, TrialFailed
from suite.core.seeds import derive_seed
from tasks.batches import Batch


class Processes:
    """The processes that train together, as one of them sees them.

    Attributes:
        rank: of this process, from 0; the first writes the trial's folder.
        size: number of processes.
        device: of this process.
    """

    def __init__(
        self, device: torch.device, stop_requested: Callable[[], bool] = lambda: False
    ) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.device = device
        self._stop_requested = stop_requested
        self._stopping = False

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the network to train: its backward pass averages gradients over all processes."""
        ids = [torch.cuda.current_device()] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)

    def shard(self, batch: Batch) -> Batch:
        """Return this process's part of a batch."""
        x, y = (part.chunk(self.size)[self.rank] for part in batch)
        return x, y

    def seed(self, seed: int) -> int:
        """Return the seed for dropout in this process; the first process uses the trial's seed."""
        return seed if self.rank == 0 else derive_seed(seed, "process", self.rank)

    def mean(self, loss: Tensor) -> Tensor:
        """Return the loss of the whole batch; also exchange requests to stop."""
        both = torch.stack([loss.detach(), loss.new_tensor(self._stop_requested())]).float()
        dist.all_reduce(both)
        self._stopping = self._stopping or bool(both[1] > 0)
        return both[0] / self.size

    def stopping(self) -> bool:
        """Return whether a process was asked to stop; all return the same after each step."""
        return self._stopping

    def broadcast(self, content: bytes | None) -> bytes | None:
        """Return the first process's content in all of them; as bytes, never pickled."""
        size = torch.tensor([-1 if content is None else len(content)], device=self.device)
        dist.broadcast(size, 0)
        if int(size) < 0:
            return None
        data = torch.empty(int(size), dtype=torch.uint8, device=self.device)
        if content is not None:
            data.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(data, 0)
        return data.cpu().numpy().tobytes()

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Send the first process's buffers (running averages of norms) to all."""
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)

    def assert_synchronized(self, model: nn.Module) -> None:
        """Compare the models of all processes, bit by bit.

        Raises:
            TrialFailed: they differ: a method made different decisions in two processes.
        """
        digest = hashlib.sha256()
        for value in model.state_dict().values():
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        mine = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8).to(self.device)
        digests = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(digests, mine)
        if any(not torch.equal(mine, other) for other in digests):
            raise TrialFailed(
                f"the models of the {self.size} processes differ at the end: the method's "
                "decisions are not a function of gradients, seed and step"
            )


_current: Processes | None = None


@contextlib.contextmanager
def process_group(
    device: torch.device, stop_requested: Callable[[], bool], backend: str = ""
) -> Iterator[Processes]:
    """Join the processes that torchrun started, for the duration of the block.

    `backend` is that of ``torch.distributed``; if left out nccl on GPUs, gloo on CPUs. NCCL takes
    one process on each GPU; gloo takes several, through the memory of the CPU.
    """
    global _current
    dist.init_process_group(backend or ("nccl" if device.type == "cuda" else "gloo"))
    try:
        _current = Processes(device, stop_requested)
        yield _current
    finally:
        _current = None
        dist.destroy_process_group()


def processes_for(count: int, batch_size: int) -> Processes | None:
    """Return the processes that a trial of `count` of them trains with; None for a single one.

    Raises:
        InvalidInput: another number was started, or a batch cannot be divided evenly.
    """
    started = 1 if _current is None else _current.size
    if count != started:
        raise InvalidInput(
            f"processes={count}: {started} started; use `torchrun --no-python --nproc-per-node "
            f"{count} resonance run …`"
        )
    if batch_size % count:
        raise InvalidInput(
            f"batch_size={batch_size} cannot be divided evenly among {count} processes: give a "
            f"multiple of {count}"
        )
    return _current if count > 1 else None
