"""Recognizes the step by which ``torch.distributed.checkpoint`` initializes an optimizer's state.

To save or load the state of an optimizer that has none yet, `get_optimizer_state_dict` and
`set_optimizer_state_dict` call its ``step`` once, with gradients and learning rates of 0. That is
no step of the training. Nothing tells an optimizer's hooks so, but the function is among their
callers.
"""

import sys
from types import FrameType

_MODULE = "torch.distributed.checkpoint.state_dict"
_DEPTH = 12
"""How many callers are looked at."""


def initializes_state() -> bool:
    """Return whether the step that is running only initializes an optimizer's state.

    Call it from an optimizer's step hook.
    """
    initialize = getattr(sys.modules.get(_MODULE), "_init_optim_state", None)
    if initialize is None:
        return False
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame is None:
            return False
        if frame.f_code is initialize.__code__:
            return True
        frame = frame.f_back
    return False
