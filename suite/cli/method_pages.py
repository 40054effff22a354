"""A page of the documentation for each method: declaration, rule, settings, and shipped results.

The pages are written when the documentation is built; nothing of them is kept in the repository.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from leaderboard.board_claims import BoardClaims
from leaderboard.board_groups import BoardGroup, board_groups
from leaderboard.board_markdown import escape, row_texts
from leaderboard.boards import Board
from leaderboard.page_data import page_name
from leaderboard.shipped_boards import shipped_boards
from leaderboard.statistics.paired_comparisons import MIN_SEEDS
from suite.cli.docs_pages import differences_table, rule, settings_table, table
from suite.core.declarations import Method
from suite.experiments import registry
from suite.experiments.presets import equation_of, preset_of

NO_BREAK = "\N{NO-BREAK SPACE}"
INDEX = """\
# Methods

Every method of the suite has a page: its rule, its settings with their defaults and bounds, where
it differs from its authors' code, and its results on the tasks whose records are shipped. The pages
are generated from the declarations that the code itself uses. [](../baselines.md) has the rules of
all published methods on one page, [](../method.md) describes the method of this project, and
[](../own-method.md) shows how to add one.

"""
NOTATION = """\
## Notation

| symbol | meaning |
|---|---|
| w, m | the weights of a layer (of the network, if that is ranked), and their mask: 1 if active |
| N, n | how many weights there are, and how many of them are active |
| s | the target sparsity; ⌊sN⌋ weights are zero, so (1 − s)N in a formula means N − ⌊sN⌋ |
| t, T_end | the step, and the step at which updates end |
| L, ∇L | the loss of a batch, and its gradient with respect to every weight, active or not |
| Top_k(x), Bottom_k(x) | the places of the k largest or smallest entries of x; ties go by index |
| Random_k | k places drawn uniformly among the inactive ones |
| f_D, f_S | the FLOPs of a forward pass of the dense network, and of one at the masks' densities |
"""


def method_pages() -> dict[str, str]:
    """Return the text of each page, by its file name: the index, and a page a method."""
    methods = list(registry.methods())
    groups = board_groups(shipped_boards()[0])
    pages = {f"{method.name}.md": method_page(method, groups) for method in methods}
    return {"index.md": _index(methods), **pages}


def write_method_pages(folder: Path) -> None:
    """Write the pages into a folder; a page whose text is the same is left as it is.

    Pages of methods that no longer exist are removed.
    """
    folder.mkdir(exist_ok=True)
    pages = method_pages()
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _index(methods: Sequence[Method]) -> str:
    families: dict[str, list[Method]] = {}
    for method in methods:
        families.setdefault(method.family, []).append(method)
    parts = [INDEX]
    for family in sorted(families):
        rows = [
            [f"[{one.title}]({one.name}.md)", f"`{one.name}`", one.summary, _linked(one.source)]
            for one in families[family]
        ]
        parts.append(f"## {family.capitalize()}\n\n")
        parts.append(table(["method", "name", "what it does", "source"], rows) + "\n")
    names = "\n".join(sorted(method.name for method in methods))
    return "".join([*parts, NOTATION, f"\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"])


def method_page(method: Method, groups: Sequence[BoardGroup]) -> str:
    """Return the page of a method; `groups` are boards, of which it shows its own rows."""
    parts = [f"# {method.title}\n", f"`{method.name}`: {method.summary}.\n", _facts(method)]
    parts.append(f"## Rule\n\n{_equation(method)}{rule(method)}\n")
    if method.hyperparameters:
        settings = settings_table("setting", method.hyperparameters)
        about = f"`resonance info {method.name}` shows the same table. "
        about += "Every setting can be given with `--set NAME=VALUE`.\n\n"
        parts.append(f"## Settings\n\n{about}{settings}")
    if method.differences:
        parts.append(
            "## Differences from the authors' code\n\n" + differences_table([method], named=False)
        )
    parts.append("## Results\n\n" + "\n\n".join(_results(method, groups)) + "\n")
    parts.append(f"## Use it\n\n{_use(method)}")
    return "\n".join(parts)


def _facts(method: Method) -> str:
    facts = {"Source": _linked(method.source), "Family": method.family}
    if (base := preset_of(method)) is not None:
        facts["Preset of"] = f"[{base.title}]({base.name}.md)"
    if method.control_of:
        one = registry.methods()[method.control_of]
        facts["Control of"] = f"[{one.title}]({one.name}.md)"
    elif method.control:
        facts["Control"] = "belongs in every study"
    facts |= {"Cost per example": method.cost, "Revision": str(method.revision)}
    return "".join(f"- **{name}:** {text}\n" for name, text in facts.items())


def _linked(source: str) -> str:
    """Return a source with its arXiv numbers as links."""
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)


def _equation(method: Method) -> str:
    """Return the equation as a block of its own."""
    if not (equation := equation_of(method)):
        return ""
    symbols = "[notation](index.md#notation)"
    if method.family == "resonance":
        symbols += "; ν, T, φ, A and what follows from them: [](../method.md)"
    return f"$$\n{equation}\n$$\n\n({symbols})\n\n"


def _results(method: Method, groups: Sequence[BoardGroup]) -> Iterator[str]:
    """Yield what the boards say of a method: a table for each group that has it."""
    shown = False
    for group in groups:
        sparsities = sorted({sparsity for board in group.boards for sparsity in board.sparsities})
        rows = [
            row for board in group.boards for row in _rows(method, board, sparsities, group.claims)
        ]
        if not rows:
            continue
        if not shown:
            yield (
                "Of the records that are part of the repository: mean ± half the 95 % interval "
                "over seeds. ▲ better and ▼ worse than RigL on the same seeds (at least "
                f"{MIN_SEEDS}), ≈ equivalent to it; Holm-corrected over all comparisons with RigL "
                "on the same terms."
            )
        shown = True
        terms = group.terms
        head = ["task", "settings", *(f"s = {sparsity:g}" for sparsity in sparsities)]
        yield f"**{terms.heading}.** {terms.claim}\n\n{table(head, rows).rstrip()}"
    if shown:
        page = page_name("methods", method.name)
        yield f"{{leaderboard}}`Every trial of it on the leaderboard <{page}>`, with charts."
    else:
        yield "No records of it are shipped."


def _rows(
    method: Method, board: Board, sparsities: Sequence[float], claims: BoardClaims
) -> Iterator[list[str]]:
    for entry, cells in board.rows:
        if entry.method == method.name:
            texts = [
                text.replace(" ± ", f"{NO_BREAK}±{NO_BREAK}")
                for text in row_texts(board, entry, cells, claims)
            ]
            by_sparsity = dict(zip(board.sparsities, texts, strict=True))
            title, settings = escape(board.title), entry.settings or "default"
            settings = f"tuned: {settings}" if entry.tuned else settings
            yield [title, escape(settings), *(by_sparsity.get(s, "") for s in sparsities)]


def _use(method: Method) -> str:
    target = "" if method.dense else " -s 0.9"
    lines = [f"    resonance run digits/mlp {method.name}{target}", ""]
    if not method.dense and method.zeros:
        lines.append(
            f'`sparsify(model, optimizer, "{method.name}", …)` puts it into a '
            "[training loop of your own](../own-loop.md)."
        )
    file = (method.implementation.rpartition(":")[0] or method.origin).replace(".", "/") + ".py"
    return "\n".join([*lines, f"The code is [{file}](../../{file})."]) + "\n"
