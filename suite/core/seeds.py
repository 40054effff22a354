"""Seeds derived by name, so that what is random in one place never depends on another place.

A trial has one seed. Weights, data order, masks of a layer and so on each draw from a stream of
their own, ``derive_seed(seed, "weights")`` and the like. Adding a draw to one stream leaves all
others as they were, which is what keeps two methods with the same seed paired.
"""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that is a stable function of `parts`.

    Python's ``hash`` is salted per process and cannot be used for this.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
