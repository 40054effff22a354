/* The finding and the table of the overview, as templates/overview.html: `resonanceOverviewTable`. */
"use strict";

const resonanceOverviewTable = (() => {
  const { element, mark } = resonanceDom;
  const { plot } = resonanceForest;

  const scale = (limit) => (limit ? [element("small", { class: "scale" }, `± ${limit}`)] : []);

  function headOf({ limit, heads }) {
    const column = (text, kind = null, ...rest) =>
      element("th", { scope: "col", class: kind }, text, ...rest);
    return element("tr", {}, column("Method"), column("Mean rank", "with-ends"),
      column("Share of dense", "with-ends share"), column("Wins / ties / losses"), column("Training FLOPs"),
      column("All tasks", "plot all-tasks", ...scale(limit)),
      heads.map((head) => element("th", { scope: "col", class: "plot task" },
        element("a", { href: head.page, title: head.title },
          head.parts.map((part) => element("span", {}, part)),
          ...(head.settings ? [element("span", { class: "task-settings" }, head.settings)] : [])),
        head.metric && " ", head.metric && element("small", {}, head.metric), ...scale(head.limit))));
  }

  /** A figure with what it may be, in a cell. */
  const figure = (value, ends, kind = null) => element("td", { class: kind },
    value && element("span", { class: "mean" }, value), ends && " ", ends && element("small", {}, ends));

  function cellsOf(line, reference, width) {
    const { row, label } = line;
    if (row.cost === null && line.reason) {
      return [element("td", { colspan: width, class: "words soft" }, line.reason)];
    }
    const rank = line.rank || !line.reason ? figure(line.rank, line.rankEnds)
      : element("td", {}, element("span", { class: "soft", title: line.reason }, "not ranked"));
    const all = line.overTasks
      ? [element("span", { class: "number" }, line.overTasks.number), plot(line.overTasks)]
      : label === reference ? [element("span", { class: "soft" }, "reference")] : [];
    return [rank, figure(line.share, line.shareEnds, "share"), element("td", {}, line.counts),
      element("td", {}, line.cost), element("td", { class: "plot all-tasks" }, ...all),
      ...line.cells.map((cell) =>
        element("td", { class: "plot task" }, ...(cell ? [plot(cell)] : [])))];
  }

  /** Draw the finding into a list and the rows into a table; rows open to their cells. */
  function draw(table, list, noteOf, model, view) {
    const found = resonanceOverview.overview(model, view);
    const shown = resonanceOverviewText.overviewTable(model, found);
    list.replaceChildren(...shown.finding.map(({ heading, text }) =>
      element("div", {}, element("dt", {}, heading), element("dd", {}, text))));
    noteOf.textContent = shown.note;
    table.tHead.replaceChildren(headOf(shown));
    const width = 5 + shown.heads.length;
    table.tBodies[0].replaceChildren(...shown.lines.map((line) => {
      const { entry } = line.row, { dense, method } = model.entries[entry];
      const kind = dense ? "reference" : line.label === view.reference ? "chosen"
        : method === "resonance" ? "own" : null;
      const open = element("button", { type: "button", class: "open", "aria-expanded": "false",
        "aria-label": `Cells of ${line.label}` }, "▸");
      const made = element("tr", { class: kind },
        element("th", { scope: "row" }, element("div", { class: "titled" }, open,
          element("a", { href: line.page, class: "name" }, line.label))),
        cellsOf(line, view.reference, width));
      open.addEventListener("click", () => {
        const opened = open.getAttribute("aria-expanded") === "true";
        open.setAttribute("aria-expanded", String(!opened));
        if (opened) made.nextSibling.remove();
        else made.after(detailsOf(model, view, found, line, width + 1));
      });
      return made;
    }));
  }

  // ------------------------------------------------------------------ the cells of a row

  function detailsOf(model, view, found, line, width) {
    const { entry, claims } = line.row, reference = found.reference;
    const competes = !model.entries[entry].dense;
    const heads = ["Task", "Sparsity", "Score", ...(competes ? ["Possible ranks", `Difference from ${
      reference || "the reference"}`, "Corrected p"] : []), "Training FLOPs", "Seeds"];
    const rows = [...found.shown].flatMap(([task, sparsities]) =>
      (competes ? sparsities : sparsities.slice(0, 1)).map((sparsity) =>
        cellRow(model, view, { task, sparsity, entry, competes,
          claim: claims.get(`${task} ${sparsity}`) })));
    const links = reference && competes && line.label !== reference
      ? [element("p", {}, element("a", { href: compareAddress(line.label, reference) },
        `Compare ${line.label} with ${reference}`))] : [];
    return element("tr", { class: "runs" }, element("td", { colspan: width }, element("div", {},
      element("table", {},
        element("caption", { class: "hidden-text" }, `Cells of ${line.label}`),
        element("thead", {}, element("tr", {}, heads.map((text, i) =>
          element("th", { scope: "col", class: i ? null : "words" }, text)))),
        element("tbody", {}, rows)), ...links)));
  }

  const compareAddress = (one, other) =>
    `compare.html#${new URLSearchParams([["a", one], ["b", other]])}`;

  function cellRow(model, view, { task, sparsity, entry, competes, claim }) {
    const cell = model.find(task, entry, sparsity), column = model.columnOf(task, view.metric);
    const [mean, half] = resonanceFormat.interval(
      column.unit, cell && model.intervalOf(cell, view.metric));
    const { low, high, mean: middle } = claim?.comparison.difference ?? {};
    const signed = (x) => resonanceOverviewText.signedText(column, x);
    const gap = middle === undefined ? "" : low === null ? signed(middle)
      : `${signed(middle)} (${signed(low)} to ${signed(high)})`;
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

  return { draw };
})();
