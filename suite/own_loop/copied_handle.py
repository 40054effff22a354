"""What becomes of a handle that is copied or pickled."""

from typing import Any

from suite.core.errors import InvalidInput


class CopiedHandle:
    """What a copied or unpickled handle is: it is not attached, and says so."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __repr__(self) -> str:
        return f"copy of a handle of {self.method}: not attached to any model"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise InvalidInput(
            f"{name}: this is a copy of a handle of {self.method}, which is not attached to any "
            "model: call sparsify on the copied model, with state=handle.state_dict() of the "
            "original"
        )
