"""Finds the GradScaler that runs an optimizer's step.

A scaler divides the gradients by its scale before it calls ``optimizer.step()``, and leaves out
steps whose gradients are not finite. Someone who has read gradients during the backward pass must
divide them by the same scale, but torch passes the scaler neither to the optimizer nor to its
hooks. It is on the call stack, though: a hook of a step that a scaler runs has the scaler's own
method among its callers.
"""

import sys
from types import FrameType

import torch

_STEP = torch.amp.GradScaler._maybe_opt_step.__code__
_STEP_FUSED = torch.amp.GradScaler.step.__code__
"""A fused optimizer is called by ``step`` directly."""

_DEPTH = 40
"""How many callers are looked at: those between hook and scaler are below 10 (Accelerate's)."""


def active_grad_scaler() -> torch.amp.GradScaler | None:
    """Return the GradScaler whose ``step`` is running; None without one.

    Call it from an optimizer's step hook. Under a scaler gradients are unscaled by then, except
    those of a fused optimizer, which has the attributes ``grad_scale`` and ``found_inf`` instead.
    """
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame is None:
            return None
        code = frame.f_code
        if code is _STEP or code is _STEP_FUSED:  # `in` would compare their contents
            scaler: torch.amp.GradScaler = frame.f_locals["self"]
            return scaler
        frame = frame.f_back
    return None


def inverse_scale(scaler: torch.amp.GradScaler) -> torch.Tensor | None:
    """Return 1 / the loss scale, as the scaler computes it; None before its first use."""
    scale: torch.Tensor | None = scaler._scale
    return None if scale is None else scale.double().reciprocal().float()
