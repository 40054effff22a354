"""Pages of documentation that are derived from declarations: ``python -m suite.cli.docs_pages`` writes them.

A rule is the docstring of the class that implements it, read from the source. Only the sizes of
tasks' models need torch.
"""

import ast
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from suite.cli.listing import tasks_page
from suite.core.declarations import Hyperparameter, Method
from suite.experiments import registry
from suite.experiments.trial_config import show

DOCS = Path(__file__).parent.parent / "docs"

INTRODUCTION = """\
# Baselines

<!-- Generated from the declarations: `make docs`. -->

What is compared, by family. Every rule is stated as it is implemented; where papers and code
differ it says which one is followed. Counts are exact: a layer (for global methods, the network)
ends with `floor(s · N)` zeros to the weight, ties broken by index. Cost is training FLOPs in
forward passes of the dense network (f_D) or at the masks' densities (f_S); the ledger of a trial
integrates its actual masks, and charges scoring passes, earlier rounds and dense gradients.

"""


def baselines() -> str:
    """Return the page on all methods but those of the resonance family."""
    families: dict[str, list[Method]] = {}
    for method in registry.methods():
        if method.family != "resonance":
            families.setdefault(method.family, []).append(method)
    summary = table(
        ["method", "family", "cost", "source"],
        [[f"`{m.name}`", m.family, m.cost, m.source] for some in families.values() for m in some],
    )
    parts = [INTRODUCTION, summary, "\n"]
    for family in sorted(families):
        parts.append(f"## {family.capitalize()}\n\n")
        parts += [_method(method) for method in families[family]]
    return "".join(parts).rstrip() + "\n"


def _method(method: Method) -> str:
    lines = [f"### {method.title} (`{method.name}`)\n\n"]
    lines.append(f"{method.source}. Revision {method.revision}. Cost: {method.cost}.\n\n")
    lines.append(rule(method) + "\n\n")
    if method.hyperparameters:
        rows = [_setting(setting) for setting in method.hyperparameters]
        lines.append(table(["setting", "default", "allowed", "meaning", "source"], rows) + "\n")
    return "".join(lines)


def _setting(setting: Hyperparameter) -> list[str]:
    unit = f" ({setting.unit})" if setting.unit else ""
    default = show(setting.default)
    shown = f"`{default}`" if default else ""
    return [
        f"`{setting.name}`", shown, setting.allowed(), setting.meaning + unit, setting.source,
    ]  # fmt: skip


def rule(method: Method) -> str:
    """Return the docstring of the class that implements a method, as paragraphs."""
    module, _, name = method.implementation.rpartition(":")
    module = module or method.origin
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    text = ast.get_docstring(found) or ""
    return text.split("\n\nAttributes:")[0]


def table(columns: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[cell.replace("|", r"\|").replace("\n", " ") for cell in line] for line in lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in cells)


def commands() -> str:
    """Return the page on the command: every verb with its arguments and options."""
    import typer
    from typer.cli import get_docs_for_click

    from suite.cli.app import app

    command = typer.main.get_command(app)
    context = typer.models.Context(command, info_name="resonance")
    text = get_docs_for_click(obj=command, ctx=context, name="resonance", title="Commands")
    mark = "\n<!-- Generated from the command: `make docs`. -->\n"
    title, _, rest = text.partition("\n")
    return title + "\n" + mark + rest.rstrip() + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "baselines.md": baselines,
    "tasks.md": tasks_page,
    "cli.md": commands,
}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (DOCS / page).write_text(write(), encoding="utf-8")
