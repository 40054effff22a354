"""How an exported file holds the weight of one layer."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StoredLayer:
    """How a file holds the weight of one layer.

    Attributes:
        name: of the layer.
        storage: dense, condensed (values and indices) or semi_structured (2:4).
        detail: the sizes, or why it is dense.
    """

    name: str
    storage: Literal["dense", "condensed", "semi_structured"]
    detail: str
