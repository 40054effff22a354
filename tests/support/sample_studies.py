"""Studies that vary one method on the digits, and the ablations that are shipped."""

from typing import Any

from suite.experiments.study import Study

READY = ("ablate_window_cooldown", "ablate_bits_argument", "ablate_parts")


def study(vary: dict[str, Any], **entry: Any) -> Study:
    """Return a study of what `vary` says, with two seeds."""
    method = {"name": "resonance", "vary": vary} | entry
    return Study.make(
        name="small",
        question="?",
        tasks=["digits/mlp"],
        methods=[method],
        sparsities=[0.9],
        seeds=2,
    )
