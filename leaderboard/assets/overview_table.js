/* The finding and the table of the overview, as templates/overview.html: `resonanceOverviewTable`. */
"use strict";

const resonanceOverviewTable = (() => {
  const { element, mark } = resonanceDom;
  const { plot } = resonanceForest;

  const scale = (limit) => (limit ? [element("small", { class: "scale" }, `± ${limit}`)] : []);

  function headOf({ limit, heads, columns: { score, ranks, overTasks, costs, shares, counts } }) {
    const column = (text, kind = null, ...rest) =>
      element("th", { scope: "col", class: kind }, text, ...rest);
    return element("tr", {}, column("Method"), score && column(score, "score"),
      ranks && column("Mean rank", "with-ends"),
      overTasks && column("Difference over all tasks", "plot all-tasks", ...scale(limit)),
      costs && column("Training FLOPs"), shares && column("Share of dense", "with-ends"),
      counts && column("Wins / ties / losses", "counts"),
      heads.map((head) => element("th", { scope: "col", class: "plot task" },
        element("a", { href: head.page, title: head.title },
          head.parts.map((part) => element("span", {}, part.split(/(?<=_)/).flatMap((piece, i) =>
            (i ? [element("wbr"), piece] : [piece])))),
          ...(head.settings ? [element("span", { class: "task-settings" }, head.settings)] : [])),
        head.metric && " ", head.metric && element("small", {}, head.metric), ...scale(head.limit))));
  }

  /** A figure with what it may be, in a cell. */
  const figure = (value, ends) => element("td", {},
    value && element("span", { class: "mean" }, value), ends && " ", ends && element("small", {}, ends));

  /** A difference in figures and as a plot, in a cell. */
  const difference = (cell, kind, none = "") => element("td", { class: `plot ${kind}` },
    ...(!cell ? [none && element("span", { class: "soft" }, none)] : [
      cell.number && element("span", { class: `number ${cell.marks[0].kind}` }, cell.number),
      cell.ends && " ", cell.ends && element("small", {}, cell.ends), plot(cell)]));

  function cellsOf(line, reference, width, { score, ranks, overTasks, costs, shares, counts }) {
    const { row, label } = line;
    if (!row.ran && line.reason) {
      return [element("td", { colspan: width, class: "words soft" }, line.reason)];
    }
    const rank = line.rank || !line.reason ? figure(line.rank, line.rankEnds)
      : element("td", {}, element("span", { class: "soft", title: line.reason }, "not ranked"));
    const itself = label === reference ? "reference" : "";
    return [score && element("td", {}, line.score && element("span", { class: "mean" }, line.score),
      line.scoreHalf && element("span", { class: "half" }, ` ± ${line.scoreHalf}`)),
    ranks && rank, overTasks && difference(line.overTasks, "all-tasks", itself),
    costs && element("td", {}, line.cost), shares && figure(line.share, line.shareEnds),
    counts && element("td", {}, line.counts),
    ...line.cells.map((cell) => difference(cell, "task", overTasks ? "" : itself))];
  }

  /** Draw the finding into a list and the rows into a table; rows open to their cells. */
  function draw(table, list, noteOf, model, view) {
    const found = resonanceOverview.overview(model, view);
    const shown = resonanceOverviewText.overviewTable(model, found);
    list.replaceChildren(...shown.finding.map(({ heading, text }) =>
      element("div", {}, element("dt", {}, heading), element("dd", {}, text))));
    noteOf.textContent = shown.note;
    table.tHead.replaceChildren(headOf(shown));
    const width = table.tHead.rows[0].cells.length - 1;
    table.tBodies[0].replaceChildren(...shown.lines.map((line) => {
      const { entry } = line.row, { dense, method } = model.entries[entry];
      const kind = dense ? "reference" : line.label === view.reference ? "chosen"
        : method === "resonance" ? "own" : null;
      const made = element("tr", { class: kind },
        element("th", { scope: "row" }, element("div", { class: "titled" },
          element("a", { href: line.page, class: "name" }, line.label))),
        cellsOf(line, view.reference, width, shown.columns));
      makeOpen(made, line.label, width + 1, () => detailsOf(model, view, found, line.row));
      return made;
    }));
  }

  /** Make the rows open that the page was written with, which show the default view. */
  function adopt(table, model, view) {
    const width = table.tHead.rows[0].cells.length;
    let found = null;
    for (const made of [...table.tBodies[0].rows]) {
      const label = made.querySelector(".name").textContent;
      makeOpen(made, label, width, () => {
        found ??= resonanceOverview.overview(model, view);
        return detailsOf(model, view, found,
          found.rows.find(({ entry }) => model.entries[entry].label === label));
      });
    }
  }

  /** Put a button into a row that shows and hides what `make` returns below it. */
  function makeOpen(row, label, width, make) {
    const open = element("button", { type: "button", class: "open", "aria-expanded": "false",
      "aria-label": `Cells of ${label}` }, "▸");
    open.addEventListener("click", () => {
      const opened = open.getAttribute("aria-expanded") === "true";
      open.setAttribute("aria-expanded", String(!opened));
      if (opened) row.nextSibling.remove();
      else row.after(element("tr", { class: "runs" }, element("td", { colspan: width }, make())));
    });
    row.querySelector(".titled").prepend(open);
  }

  // ------------------------------------------------------------------ the cells of a row

  function detailsOf(model, view, found, { entry, claims }) {
    const { reference } = found, { label } = model.entries[entry];
    const competes = !model.entries[entry].dense;
    const heads = ["Task", "Sparsity", "Score", ...(competes ? ["Possible ranks", `Difference from ${
      reference || "the reference"}`, "Corrected p"] : []), "Training FLOPs", "Seeds"];
    const rows = [...found.shown].flatMap(([task, sparsities]) =>
      (competes ? sparsities : sparsities.slice(0, 1)).map((sparsity) =>
        cellRow(model, view, { task, sparsity, entry, competes,
          claim: claims.get(`${task} ${sparsity}`) })));
    const links = reference && competes && label !== reference
      ? [element("p", {}, element("a", { href: compareAddress(label, reference, model.data.terms) },
        `Compare ${label} with ${reference}`))] : [];
    return element("div", {},
      element("table", {},
        element("caption", { class: "hidden-text" }, `Cells of ${label}`),
        element("thead", {}, element("tr", {}, heads.map((text, i) =>
          element("th", { scope: "col", class: i ? null : "words" }, text)))),
        element("tbody", {}, rows)), ...links);
  }

  /** The address of the page that compares two rows, as leaderboard/pages/comparison_page.py. */
  const compareAddress = (one, other, terms) =>
    `compare.html#${new URLSearchParams([["a", one], ["b", other], ["terms", terms]])}`;

  function cellRow(model, view, { task, sparsity, entry, competes, claim }) {
    const cell = model.find(task, entry, sparsity), column = model.columnOf(task, view.metric);
    const [mean, half] = resonanceFormat.interval(
      column.unit, cell && model.intervalOf(cell, view.metric));
    const difference = claim?.comparison.difference;
    const gap = difference ? resonanceFormat.numberAndEnds(column, difference).join(" ").trim() : "";
    const [cost] = resonanceFormat.interval("ratio", cell && model.intervalOf(cell, "training_flops"));
    const p = claim && claim.p !== null ? resonanceFormat.pValue(claim.p) : "";
    const seeds = (cell?.runs ?? []).flatMap((trial) => [element("a",
      { href: `trials/${encodeURIComponent(model.trials.key[trial])}.html` },
      `${model.trials.seed[trial]}`), " "]);
    return element("tr", {},
      element("th", { scope: "row" }, model.tasks[task].title),
      element("td", {}, competes ? `${sparsity}` : "–"),
      element("td", {}, mean && element("span", { class: "mean" }, mean),
        half && element("span", { class: "half" }, ` ± ${half}`),
        model.marks(cell).map((one) => [" ", mark(one)]).flat()),
      ...(competes ? [element("td", {}, resonanceFormat.rank(cell && mean ? model.rankOf(cell, view.metric) : null)),
        element("td", {}, gap), element("td", {}, p)] : []),
      element("td", {}, cost),
      element("td", { class: "words trials" }, seeds));
  }

  return { adopt, draw };
})();
