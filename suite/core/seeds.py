"""Seeds derived by name, so that random streams are independent of each other.

A trial has one seed. Weights, data order, masks of a layer and so on each have a random stream,
seeded by ``derive_seed(seed, "weights")`` and the like. An additional draw from one stream does not
change the others, so two methods with the same seed start from the same weights and data order.
"""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that is a stable function of `parts`.

    Python's ``hash`` is salted per process and cannot be used for this.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
