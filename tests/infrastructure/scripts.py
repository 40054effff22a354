"""The scripts of `.github/scripts`, imported from their files."""

import importlib.util
from types import ModuleType

from tests.infrastructure.workflows import ROOT


def load(name: str) -> ModuleType:
    """Return a script as a module; it is not run."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".github" / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
