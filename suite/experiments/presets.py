"""Presets: methods that are another one with other settings."""

from suite.core.declarations import Method
from suite.experiments import registry
from suite.experiments.trial_config import show


def preset_of(method: Method) -> Method | None:
    """Return the method that another is a preset of: the one declared beside their class."""
    module, _, name = method.implementation.rpartition(":")
    if not module or module == method.origin:
        return None
    beside = [m for m in registry.methods() if (m.origin, m.implementation) == (module, name)]
    return beside[0] if beside else None


def preset_settings(method: Method, base: Method) -> list[str]:
    """Return the settings of a preset that its base has otherwise or not at all: NAME=VALUE."""
    defaults = {p.name: p.default for p in base.hyperparameters}
    return [
        f"{p.name}={show(p.default)}"
        for p in method.hyperparameters
        if p.name not in defaults or p.default != defaults[p.name]
    ]


def equation_of(method: Method) -> str:
    """Return a method's rule in LaTeX, a preset's own or that of its base; empty without any."""
    base = preset_of(method)
    return method.equation or (base.equation if base else "")
