"""Masked gradients in a loop of one's own, from the backward pass on."""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd import Variable
from torch.nn.parallel import DistributedDataParallel
from torch.utils.hooks import RemovableHandle

from suite.sparsity.storage.execution import Execution
from suite.sparsity.storage.masked import MaskedWeight


class GradientMasking:
    """Masks gradients as backward computes them, after keeping the dense ones that were requested.

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
        self._reads_dense = self._updates = self._waits = False
        self._running = -1
        self._reached: set[int] = set()
        self._hooked: Sequence[MaskedWeight] = ()
        self._hooks: list[RemovableHandle] = []

    def prepare(self, *, reads_dense: bool, updates: bool) -> None:
        """Note whether the method reads dense gradients in the coming step, and updates masks."""
        self._reads_dense, self._updates = reads_dense, updates
        self._waits = _several_processes()
        self._reached.clear()
        self._follow_storage()

    def note_unused(self) -> None:
        """Tell the weights that no backward pass of this step has reached; before they are read."""
        if not self._waits:
            for weight in self._hooked:
                if id(weight) not in self._reached:
                    weight.note_unused()

    def remove(self) -> None:
        """Leave gradients alone from now on."""
        while self._hooks:
            self._hooks.pop().remove()
        self._hooked = ()

    def _follow_storage(self) -> None:
        """Watch the parameters that are masked now: a layer may have changed its storage."""
        weights = self._execution.masked_weights()
        if len(weights) == len(self._hooked) and all(map(operator.is_, weights, self._hooked)):
            return
        self.remove()
        self._hooked = weights
        for weight in weights:
            hook, parameter = functools.partial(self._on_gradient, weight), weight.parameter
            trained = parameter.requires_grad
            parameter.requires_grad_(True)  # a frozen one takes no hook, and may be thawed later
            self._hooks.append(parameter.register_post_accumulate_grad_hook(hook))
            parameter.requires_grad_(trained)

    def _on_gradient(self, weight: MaskedWeight, parameter: torch.Tensor) -> None:
        """Mask a gradient that a backward pass has just added to."""
        if not self._waits:
            self._reached.add(id(weight))
            if not torch.is_grad_enabled():
                self._mask(weight)
                return
            with torch.no_grad():  # backward(create_graph=True)
                self._mask(weight)
            return
        running = torch._C._current_graph_task_id()
        if running != self._running:
            self._running = running
            # DistributedDataParallel may ask for its reduction after this, but before the end.
            _at_end_of_backward(lambda: _at_end_of_backward(self._after_reduction))

    @torch.no_grad()
    def _after_reduction(self) -> None:
        self._running = -1
        if not self._waits_for_average():
            for weight in self._execution.masked_weights():
                self._mask(weight)

    def _mask(self, weight: MaskedWeight) -> None:
        if self._reads_dense:
            weight.add_backward_pass()
        weight.mask_new_gradient(before_update=self._updates)

    def _waits_for_average(self) -> bool:
        """Return whether gradients are still to be averaged over processes before they are read."""
        if self._replicas is not None:
            return not self._replicas.require_backward_grad_sync
        return self._reads_dense


def _several_processes() -> bool:
    distributed = torch.distributed
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def _at_end_of_backward(call: Any) -> None:
    Variable._execution_engine.queue_callback(call)
