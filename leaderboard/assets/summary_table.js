/* The summary table of the selection, as leaderboard/summary_table.py: `resonanceSummaryTable`. */
"use strict";

const resonanceSummaryTable = (() => {
  const { element, mark } = resonanceDom;

  /** [task, sparsity] of each column that a view shows. */
  function places(model, view) {
    return model.tasks.flatMap((task, number) =>
      (view.tasks && !view.tasks.includes(task.title) ? [] : task.sparsities)
        .filter((sparsity) => !view.sparsities || view.sparsities.includes(sparsity))
        .map((sparsity) => [number, sparsity]));
  }

  /** Mean fraction of others with a better mean; 2 for an entry without a value. */
  function fractionsBetter(model, view, shown, entries) {
    const fractions = new Map(entries.map((entry) => [entry, []]));
    for (const [task, sparsity] of shown) {
      const sign = model.signOf(task, view.metric);
      const means = new Map();
      for (const entry of entries) {
        const cell = model.find(task, entry, sparsity);
        const found = cell && model.meanOf(cell, view.metric);
        if (found !== null && found !== undefined) means.set(entry, sign * found);
      }
      const others = [...means].filter(([entry]) => !model.entries[entry].dense);
      for (const [entry, found] of others) {
        const better = others.filter(([, other]) => other > found).length;
        fractions.get(entry).push(better / others.length);
      }
    }
    return new Map([...fractions].map(([entry, all]) =>
      [entry, all.length ? all.reduce((sum, x) => sum + x, 0) / all.length : 2]));
  }

  /** Indices of the entries with a cell to show, dense ones first, then the best on average. */
  function order(model, view, shown) {
    const entries = model.entries.map((_, place) => place).filter((entry) =>
      model.competes(entry)
      && shown.some(([task, sparsity]) => model.find(task, entry, sparsity)));
    const better = fractionsBetter(model, view, shown, entries);
    const dense = (entry) => (model.entries[entry].dense ? 0 : 1);
    return entries.sort((a, b) => dense(a) - dense(b) || better.get(a) - better.get(b));
  }

  /** A column's title with its unit, as `heading` of leaderboard/score_text.py. */
  const headingOf = ({ title, unit }) => `${title}${unit === "percent" ? " in %" : ""}`;

  function cellOf(model, view, cell) {
    const { metric } = view;
    const column = cell ? model.columnOf(cell.task, metric) : model.columns.get(metric);
    const [mean, half] = resonanceFormat.interval(column.unit, cell && model.intervalOf(cell, metric));
    const best = mean !== "" && model.isBest(cell, metric);
    const rank = mean ? resonanceFormat.rank(model.rankOf(cell, metric)) : "";
    const [cost] = resonanceFormat.interval(
      "ratio", cell && metric !== "training_flops" && model.intervalOf(cell, "training_flops"));
    const word = `${column.better === "less" ? "lowest" : "highest"} · `;
    const marks = model.marks(cell);
    const against = mean && model.signOfCell(cell, metric, view.reference);
    if (against) marks.unshift(against);
    if (cell && !mean && cell.runs.length) {
      marks.unshift({ kind: "missing", sign: "–", reason: `${column.title} was not measured` });
    }
    return element(
      "td",
      { class: best ? "best" : null },
      mean && element("span", { class: "mean" }, mean),
      half && element("span", { class: "half" }, ` ± ${half}`),
      marks.map((one) => [" ", mark(one)]).flat(),
      mean && (rank || cost) && element(
        "small",
        {},
        rank && model.isTop(cell, metric) && element("b", { class: "top" }, word),
        rank && element("span", { class: "rank" }, `rank ${rank}`),
        rank && cost && " · ",
        cost,
      ),
    );
  }

  /** Draw heads and rows into the table. */
  function draw(table, model, view) {
    const shown = places(model, view);
    const tasks = new Map();
    for (const [task] of shown) tasks.set(task, (tasks.get(task) ?? 0) + 1);
    const first = element("th", { scope: "col", rowspan: 2 }, "Method");
    const heads = [...tasks].map(([task, span]) =>
      element("th", { scope: "colgroup", colspan: span, class: "first" },
        element("a", { href: model.tasks[task].page, class: "name" }, model.tasks[task].title),
        ...(view.metric === "score"
          ? [" ", element("small", {}, headingOf(model.columnOf(task, view.metric)))] : [])));
    const sparsities = shown.map(([task, sparsity], i) =>
      element("th", { scope: "col", class: i === 0 || shown[i - 1][0] !== task ? "first" : null },
        `sparsity ${sparsity}`));
    table.tHead.replaceChildren(
      element("tr", {}, first, heads), element("tr", {}, sparsities));
    const rows = order(model, view, shown).map((place) => {
      const entry = model.entries[place];
      const cells = shown.map(([task, sparsity], i) => {
        const made = cellOf(model, view, model.find(task, place, sparsity));
        if (i === 0 || shown[i - 1][0] !== task) made.classList.add("first");
        return made;
      });
      const kind = entry.dense ? "reference" : entry.method === "resonance" ? "own" : null;
      return element("tr", { class: kind },
        element("th", { scope: "row" },
          element("a", { href: entry.page, class: "name" }, entry.label)),
        cells);
    });
    table.tBodies[0].replaceChildren(...rows);
    resonanceDom.reach(table);
  }

  return { draw, places };
})();
