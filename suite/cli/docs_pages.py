"""Documentation pages generated from the declarations: ``python -m suite.cli.docs_pages``.

The rule of a method is the docstring of the class that implements it, read from its source; a
preset, declared for the class of another method, says of which. Only the sizes of the tasks' models
require torch.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from suite.bench.report import COLUMNS, load, machine_text, row
from suite.cli.info import (
    describe_examples,
    describe_input,
    describe_output,
    describe_settings,
    model_size,
    parameter_facts,
)
from suite.core.declarations import Hyperparameter, Method
from suite.core.discovery import docstring
from suite.experiments import registry
from suite.experiments.presets import preset_of, preset_settings
from tasks.recipe import RECIPE
from tasks.task import Dataset

DOCS = Path(__file__).parents[2] / "docs"
README = "../README.md"
MEASUREMENTS = DOCS / "figures" / "performance.json"
"""What `resonance bench --long --out` wrote on the machine that the pages name."""
GROWTH = "growth"
"""The benchmark that has a section and a chart of its own."""

INTRODUCTION = """\
# Baselines

<!-- Generated from the declarations: `make docs`. -->

The published methods, by family. Every rule is stated as it is implemented; where paper and code
differ, the text says which one is followed. Counts are exact: of N prunable weights `floor(s · N)`
are zero at the end, in the network under `er`, `erk` and `global`, in every sparse layer under
`uniform`; ties are broken by index. Cost is training FLOPs per example, where f_D is a forward
pass of the dense network and f_S one at the masks' densities. The FLOPs in a record are added up
over the masks that each step used, and include scoring passes, earlier rounds, dense gradients and
the method's own matrix products ("of its own"; element-wise work and selection are not charged).

"""


DIFFERENCES = """\
## Differences from the authors' code

Where a method, by default, differs from the code that its authors published (from their paper, if
they published none), and why:

"""


def baselines() -> str:
    """Return docs/baselines.md: all methods outside the resonance family."""
    families: dict[str, list[Method]] = {}
    for method in registry.methods():
        if method.family != "resonance":
            families.setdefault(method.family, []).append(method)
    ordered = [method for family in sorted(families) for method in families[family]]
    summary = table(
        ["method", "family", "cost", "source"],
        [[f"`{m.name}`", m.family, m.cost, m.source] for m in ordered],
    )
    parts = [INTRODUCTION, summary, "\n", DIFFERENCES, differences_table(ordered), "\n"]
    for family in sorted(families):
        parts.append(f"## {family.capitalize()}\n\n")
        parts += [_method(method) for method in families[family]]
    return "".join(parts).rstrip() + "\n"


def _method(method: Method) -> str:
    lines = [f"### {method.title} (`{method.name}`)\n\n"]
    lines.append(f"{method.source}. Revision {method.revision}. Cost: {method.cost}.\n\n")
    lines.append(rule(method) + "\n\n")
    if method.hyperparameters:
        lines.append(settings_table("setting", method.hyperparameters) + "\n")
    return "".join(lines)


def differences_table(methods: Iterable[Method], *, named: bool = True) -> str:
    """Return a table of where methods differ from their authors' code; `named` in each row."""
    rows = [
        [f"`{method.name}`", _setting(one.setting, method), one.here, one.authors, one.why]
        for method in methods
        for one in method.differences
    ]
    columns = ["method", "setting", "default here", "in the authors' code", "why"]
    first = 0 if named else 1
    return table(columns[first:], [row[first:] for row in rows])


def _setting(setting: str, method: Method) -> str:
    """Return the name of a hyperparameter as code, other words as they are."""
    return f"`{setting}`" if any(p.name == setting for p in method.hyperparameters) else setting


def rule(method: Method) -> str:
    """Return the docstring of the class that implements a method, as paragraphs.

    Before that of a preset, whose class another method is declared for, stands what differs.
    """
    module, _, name = method.implementation.rpartition(":")
    path = DOCS.parent / (module or method.origin).replace(".", "/")
    text = docstring(path.with_suffix(".py"), name).split("\n\nAttributes:")[0]
    if (base := preset_of(method)) is None:
        return text
    own = ", ".join(f"`{setting}`" for setting in preset_settings(method, base))
    return (
        f"{method.summary[0].upper()}{method.summary[1:]}. A preset of `{base.name}`, which it "
        f"differs from by {own}. The rule of `{base.name}`:\n\n{text}"
    )


def settings_table(title: str, parameters: Iterable[Hyperparameter]) -> str:
    """Return a table of settings, as `resonance info` shows it; `title` is that of the names."""
    rows = []
    for facts in map(parameter_facts, parameters):
        name, default, *others = facts.values()
        rows.append([f"`{name}`", f"`{default}`" if default else "", *others])
    return table([title, "default", "allowed", "meaning", "source"], rows)


def table(columns: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table, with bars in cells escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[cell.replace("|", r"\|").replace("\n", " ") for cell in line] for line in lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in cells)


TASKS = """\
# Tasks

<!-- Generated from the declarations: `make docs`. -->

`resonance info TASK` shows a task with its full recipe; every recipe field can be
overridden (`--recipe name=value`). `@short` is a recipe for a quick try.

"""


def _outputs(dataset: Dataset) -> str:
    """Return the number of outputs; what they are, if not classes or characters."""
    return describe_output(dataset) if dataset.regression else str(dataset.classes)


def tasks() -> str:
    """Return docs/tasks.md: every dataset, task and recipe field."""
    datasets = [
        [f"`{d.name}`", d.title, describe_input(d), _outputs(d), describe_examples(d), d.source]
        for d in registry.datasets()
    ]
    declared = []
    for task in registry.tasks():
        size = model_size(task, registry.datasets()[task.dataset])
        numbers = [size[word].split(" ")[0].strip(",") for word in ("parameters", "FLOPs")]
        recipe = f"`{describe_settings(task.recipe)}`"
        declared.append([f"`{task.name}`", *numbers, recipe, task.source])
    columns = ["name", "parameters", "FLOPs per example", "recipe, without defaults", "source"]
    return (
        TASKS
        + "## Datasets\n\n"
        + table(["name", "what", "input", "outputs", "examples", "source"], datasets)
        + "\n## Tasks\n\n"
        + table(columns, declared)
        + "\n## Recipe fields\n\n"
        + settings_table("field", RECIPE)
    )


def commands() -> str:
    """Return docs/cli.md: every verb with its arguments and options."""
    import typer
    from typer.cli import get_docs_for_click

    from suite.cli.app import app

    command = typer.main.get_command(app)
    context = typer.models.Context(command, info_name="resonance")
    text = get_docs_for_click(obj=command, ctx=context, name="resonance", title="Commands")
    mark = "\n<!-- Generated from the command: `make docs`. -->\n"
    title, _, rest = text.partition("\n")
    return title + "\n" + mark + rest.rstrip() + "\n"


def evidence() -> str:
    """Return docs/evidence.md: as it is written, with the claims and the shipped figures."""
    from leaderboard.pages.evidence import controls_markdown, signals_markdown, with_block

    page = with_block(_with_claims("evidence.md"), "signals", signals_markdown())
    return with_block(page, "controls", controls_markdown())


def performance() -> str:
    """Return docs/performance.md: as it is written, with the measurements that are kept."""
    from leaderboard.pages.evidence import with_block

    report = load(MEASUREMENTS)
    rows = [row(one)[1:] for one in report.measured if one.benchmark != GROWTH]
    about = f"{report.date}, {machine_text(report)}:\n\n"
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    page = with_block(text, "measurements", about + table(list(COLUMNS[1:]), rows))
    growth = [row(one)[1:] for one in report.measured if one.benchmark == GROWTH]
    return with_block(page, "growth", table(list(COLUMNS[1:]), growth))


def hardware() -> str:
    """Return docs/hardware.md: as it is written, with what each shipped study costs."""
    from leaderboard.pages.evidence import with_block
    from suite.cli import study_costs

    text = (DOCS / "hardware.md").read_text(encoding="utf-8")
    costs = study_costs.costs_rows(study_costs.shipped_costs())
    return with_block(text, "costs", table(list(study_costs.COLUMNS), costs))


def readme() -> str:
    """Return the README: as it is written, with the claims of this project."""
    return _with_claims(README)


def results() -> str:
    """Return docs/results.md: as it is written, with the claims and the shipped tables.

    The command ``resonance leaderboard build --shipped --markdown docs/results.md`` writes the same
    tables.
    """
    from leaderboard.board_groups import board_groups
    from leaderboard.board_markdown import boards_markdown
    from leaderboard.pages.evidence import with_block
    from leaderboard.shipped_boards import shipped_boards

    boards, _ = shipped_boards()
    return with_block(
        _with_claims("results.md"), "leaderboard", boards_markdown(board_groups(boards))
    )


def _with_claims(page: str) -> str:
    from leaderboard.claims import claims_markdown, load_claims
    from leaderboard.pages.evidence import with_block

    text = (DOCS / page).read_text(encoding="utf-8")
    return with_block(text, "verdict", claims_markdown(load_claims()))


def figures() -> dict[str, bytes]:
    """Return the pictures of docs/evidence.md and docs/performance.md by name."""
    from leaderboard.charts.pictures import png
    from leaderboard.pages.evidence import signal_pictures
    from suite.bench.growth_chart import growth_chart

    measured = [one.measurement for one in load(MEASUREMENTS).measured if one.benchmark == GROWTH]
    return {**signal_pictures(), "growth.png": png(growth_chart(measured))}


PAGES: Mapping[str, Callable[[], str]] = {
    "baselines.md": baselines,
    "tasks.md": tasks,
    "cli.md": commands,
    "evidence.md": evidence,
    "results.md": results,
    "performance.md": performance,
    "hardware.md": hardware,
    README: readme,
}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (DOCS / page).write_text(write(), encoding="utf-8")
    for name, content in figures().items():
        (DOCS / "figures" / name).write_bytes(content)
