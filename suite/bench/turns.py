"""Taking turns: the ratio of two ways to do the same work, in one process."""

import time
from collections.abc import Callable

import torch

Work = Callable[[], object]
CPU = torch.device("cpu")


def ratios(subject: Work, peer: Work, blocks: int, device: torch.device = CPU) -> list[float]:
    """Return time(subject) / time(peer) for each of `blocks` neighbouring pairs.

    Which of the two goes first alternates; one pair before the first is not counted. `device` is
    where they work.
    """
    found = []
    for number in range(blocks + 1):
        order = (subject, peer) if number % 2 else (peer, subject)
        times = [seconds(work, device) for work in order]
        first, second = times if number % 2 else reversed(times)
        if number > 0:
            found.append(first / second)
    return found


def seconds(work: Work, device: torch.device = CPU) -> float:
    """Return the seconds that one call takes; on a GPU, by its own events, to the end of the work.

    A GPU that waits for the next kernel to be launched is counted as working.
    """
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    with torch.cuda.device(device):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
    return start.elapsed_time(end) / 1000
