"""What `resonance list` and `resonance info` say, from the declarations alone."""

from typing import Any

from suite import registry
from suite.config import load_study, shipped_studies, show
from suite.declare import unknown
from suite.errors import InvalidInput


def listing(kind: str) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of one kind: tasks, methods, datasets or studies.

    Raises:
        InvalidInput: there is no such kind.
    """
    if kind == "methods":
        rows = [[m.name, m.family, m.summary, m.source] for m in registry.methods()]
        return ["name", "family", "summary", "source"], rows
    if kind == "tasks":
        rows = [[t.name, t.title, t.source] for t in registry.tasks()]
        return ["name", "title", "source"], rows
    if kind == "datasets":
        return ["name", "title", "examples", "classes", "source"], [
            [d.name, d.title, f"{d.train}+{d.test}", str(d.classes), d.source]
            for d in registry.datasets()
        ]
    if kind == "studies":
        studies = [load_study(name) for name in shipped_studies()]
        rows = [[s.name, str(len(s.trials())), s.question] for s in studies]
        return ["name", "trials", "question"], rows
    kinds = ["tasks", "methods", "datasets", "studies"]
    raise InvalidInput(unknown("kind", kind, kinds, see="list --help"))


def information(name: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return what is known of a method, task, dataset or study, and its settings.

    Raises:
        InvalidInput: nothing has that name.
    """
    if name in registry.methods():
        found: Any = registry.methods()[name]
        words = ["name", "title", "summary", "family", "source", "cost", "revision"]
    elif name in registry.tasks():
        found = registry.tasks()[name]
        words = ["name", "title", "dataset", "model", "metric", "source", "revision"]
    elif name in registry.datasets():
        found = registry.datasets()[name]
        words = ["name", "title", "shape", "classes", "train", "test", "source", "licence"]
    elif name in shipped_studies():
        chosen = load_study(name)
        return {
            "name": chosen.name,
            "question": chosen.question,
            "tasks": ", ".join(chosen.tasks),
            "methods": ", ".join(entry.name for entry in chosen.methods),
            "sparsities": ", ".join(f"{s:g}" for s in chosen.sparsities),
            "seeds": ", ".join(map(str, chosen.seeds)),
            "trials": str(len(chosen.trials())),
        }, []
    else:
        every = [d.name for kind in (registry.methods(), registry.tasks(), registry.datasets())
                 for d in kind]  # fmt: skip
        raise InvalidInput(unknown("name", name, every + shipped_studies(), see="list methods"))
    content = {word: str(getattr(found, word)) for word in words}
    parameters = [
        {
            "name": p.name,
            "default": show(p.default),
            "allowed": p.allowed(),
            "meaning": p.meaning + (f" ({p.unit})" if p.unit else ""),
            "source": p.source,
        }
        for p in getattr(found, "hyperparameters", ())
    ]
    return content, parameters
