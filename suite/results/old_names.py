"""Names that methods and recipe fields had before they were renamed, as older records hold them."""

from collections.abc import Mapping
from typing import Any

METHODS = {"resonance_null": "resonance_shuffled"}
RECIPE = {"final_rate": "min_lr_ratio", "decay_what": "weight_decay_scope"}
OLD_RECIPE = {new: old for old, new in RECIPE.items()}
ADVICE = "was written under old names: run `resonance store migrate [FILE]`"


def has_old_names(settings: Mapping[str, Any]) -> bool:
    """Return whether a trial's settings, or its full configuration, hold an old name."""
    method, recipe = settings.get("method"), settings.get("recipe")
    old = isinstance(recipe, dict) and not RECIPE.keys().isdisjoint(recipe)
    return old or (isinstance(method, str) and method in METHODS)


def rename(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's settings, or its full configuration, under the current names."""
    renamed = dict(settings)
    if isinstance(method := settings.get("method"), str):
        renamed["method"] = METHODS.get(method, method)
    if isinstance(recipe := settings.get("recipe"), dict):
        renamed["recipe"] = {RECIPE.get(name, name): value for name, value in recipe.items()}
    return renamed
