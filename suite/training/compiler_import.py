"""Training that compiles nothing does without the import of torch's compiler.

torch marks some functions as ones that ``torch.compile`` is to leave alone: those of optimizers and
of dispatch modes. At their first call the mark imports the compiler, also in a process that
compiles nothing; that takes as long as the import of torch itself.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

COMPILER = "torch._dynamo"
MARKED = "__dynamo_disable"
"""Attribute of a function in which torch keeps the form of it that the compiler leaves alone."""
OF_OPTIMIZERS = ("zero_grad", "add_param_group", "state_dict", "load_state_dict")
OPTIMIZERS = (torch.optim.SGD, torch.optim.Adam)
"""Those of the recipes; AdamW inherits the step of Adam."""


def defer_compiler_import() -> None:
    """From now on, let torch import its compiler only after something else has imported it.

    Before that nothing can have been compiled, and the functions are called as they are. After it
    they do what torch does with them. Without effect if the compiler has been imported, or where a
    release of torch marks its functions in another way.
    """
    if COMPILER in sys.modules:
        return
    modes = (vars(mode).get("__torch_dispatch__") for mode in TorchDispatchMode.__subclasses__())
    for marked in (*(getattr(torch.optim.Optimizer, name) for name in OF_OPTIMIZERS), *modes):
        function = getattr(marked, "__wrapped__", None)
        if function is not None and not hasattr(function, MARKED):
            setattr(function, MARKED, _deferring(function, marked, drop=True))
    for optimizer in OPTIMIZERS:
        step = vars(optimizer)["step"]
        if not hasattr(step, MARKED) and not hasattr(step, "hooked"):
            call = _deferring(torch.no_grad()(inspect.unwrap(step)), step)
            setattr(call, MARKED, call)
            optimizer.step = call  # type: ignore[method-assign]


def _deferring(
    function: Callable[..., Any], marked: Callable[..., Any], drop: bool = False
) -> Callable[..., Any]:
    """Return what calls `function`, and `marked` instead once the compiler has been imported.

    `drop` lets torch mark the function anew then.
    """

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if COMPILER not in sys.modules:
            return function(*args, **options)
        if drop and getattr(function, MARKED, None) is call:
            delattr(function, MARKED)
        return marked(*args, **options)

    return call
