"""Masked gradients in a loop of one's own, from the end of each backward pass on."""

from typing import Any

import torch
from torch import nn
from torch.autograd import Variable
from torch.nn.parallel import DistributedDataParallel
from torch.utils.hooks import RemovableHandle

from suite.sparsity.storage.execution import Execution
from suite.sparsity.storage.masked import mask_gradients


class GradientMasking:
    """Masks gradients when a backward pass ends, after keeping the dense ones that were requested.

    So what a loop clips, logs or adds noise to is the gradient of the weights there are. Where
    gradients are averaged over processes, masking waits for the average: it follows the
    reduction of DistributedDataParallel, and accumulation without synchronisation (``no_sync``)
    leaves gradients as they are. Where the loop averages gradients itself, those that the method
    reads dense stay dense until the optimizer steps.

    Args:
        execution: of the method; its masked weights are looked up at every pass.
        model: as it is called, with its wrappers.
    """

    def __init__(self, execution: Execution, model: nn.Module) -> None:
        self._execution = execution
        self._replicas = model if isinstance(model, DistributedDataParallel) else None
        self._reads_dense = self._updates = False
        self._running = -1
        self._hooked: list[nn.Parameter] = []
        self._hooks: list[RemovableHandle] = []

    def prepare(self, *, reads_dense: bool, updates: bool) -> None:
        """Note whether the method reads dense gradients in the coming step, and updates masks."""
        self._reads_dense, self._updates = reads_dense, updates
        self._follow_storage()

    def remove(self) -> None:
        """Leave gradients alone from now on."""
        while self._hooks:
            self._hooks.pop().remove()
        self._hooked = []

    def _follow_storage(self) -> None:
        """Watch the parameters that are masked now: a layer may have changed its storage."""
        parameters = [weight.parameter for weight in self._execution.masked_weights()]
        if len(parameters) == len(self._hooked) and all(map(_is, parameters, self._hooked)):
            return
        self.remove()
        self._hooked = parameters
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        self._hooks = [p.register_post_accumulate_grad_hook(self._on_gradient) for p in trained]

    def _on_gradient(self, parameter: torch.Tensor) -> None:
        """Have the gradients masked once the backward pass is over."""
        running = torch._C._current_graph_task_id()
        if running != self._running:
            self._running = running
            _at_end_of_backward(self._end_of_backward)

    def _end_of_backward(self) -> None:
        self._running = -1
        if _several_processes():
            # DistributedDataParallel may have asked for its reduction after this was asked for.
            _at_end_of_backward(self._mask)
        else:
            self._mask()

    @torch.no_grad()
    def _mask(self) -> None:
        if self._waits_for_average():
            return
        weights = self._execution.masked_weights()
        if self._reads_dense:
            for weight in weights:
                weight.add_backward_pass()
        mask_gradients(weights, before_update=self._updates)

    def _waits_for_average(self) -> bool:
        """Return whether gradients are still to be averaged over processes before they are read."""
        if not _several_processes():
            return False
        if self._replicas is not None:
            return not self._replicas.require_backward_grad_sync
        return self._reads_dense


def _is(one: Any, other: Any) -> bool:
    return one is other


def _several_processes() -> bool:
    distributed = torch.distributed
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def _at_end_of_backward(call: Any) -> None:
    Variable._execution_engine.queue_callback(call)
