/* The table of all cells: filtered, sorted, drawn, and as CSV: `resonanceTable`. */
"use strict";

const resonanceTable = (() => {
  const { element, mark } = resonanceDom;
  const FIRST_ROWS = 50;

  /** The columns that are always there, and what they sort by. */
  const FIXED = new Map([
    ["method", { title: "Method", of: (model, cell) => model.entries[cell.entry].label }],
    ["task", { title: "Task", of: (model, cell) => model.tasks[cell.task].title }],
    ["sparsity", { title: "Sparsity", of: (model, cell) => cell.sparsity ?? 0 }],
    ["n", { title: "Seeds", of: (model, cell) => cell.runs.length }],
  ]);
  const WORDS = new Set(["method", "task"]);

  const settingsOf = (entry) => (entry.tuned ? "tuned" : entry.settings ? "set" : "default");

  // ------------------------------------------------------------------ which rows

  /** The order of a board: tasks, then sparsities, then the score. Computed once for a page. */
  function boardOrder(model) {
    const score = (cell) => {
      const mean = model.meanOf(cell, model.data.score);
      return mean === null ? -Infinity : model.signOf(cell.task, model.data.score) * mean;
    };
    const sparsity = (cell) => cell.sparsity ?? -1;
    return [...model.cells].sort((a, b) =>
      a.task - b.task || sparsity(a) - sparsity(b) || score(b) - score(a) || a.entry - b.entry);
  }

  /** The text that the search matches, in lower case. Computed once for a page. */
  function textOf(model, cell) {
    const { label, method, family, settings } = model.entries[cell.entry];
    return [label, method, family, settings, model.tasks[cell.task].title].join(" ").toLowerCase();
  }

  /** The cells that a view shows, in its order. `all` is {cells, texts} in the order of boards. */
  function select(model, view, all) {
    const tasks = view.tasks && new Set(view.tasks);
    const sparsities = view.sparsities && new Set(view.sparsities);
    const words = view.search.toLowerCase().split(/\s+/).filter(Boolean);
    const found = all.cells.filter((cell, i) => {
      const task = model.tasks[cell.task], entry = model.entries[cell.entry];
      return model.competes(cell.entry)
        && (!tasks || tasks.has(task.title))
        && (!sparsities || cell.sparsity === null || sparsities.has(cell.sparsity))
        && (!view.family || entry.family === view.family)
        && (!view.settings || settingsOf(entry) === view.settings)
        && (!view.budget || (task.settings || "as declared") === view.budget)
        && (!view.claims || cell.runs.length >= model.minSeeds)
        && words.every((word) => all.texts[i].includes(word));
    });
    return view.sort ? sorted(model, found, view.sort) : found;
  }

  const byWords = new Intl.Collator("en", { numeric: true });

  /** Sorted by a column; cells without a value come last either way. */
  function sorted(model, cells, { by, descending }) {
    const of = FIXED.get(by)?.of ?? ((_, cell) => model.meanOf(cell, by));
    const compare = WORDS.has(by) ? byWords.compare : (a, b) => a - b;
    const keyed = cells.map((cell, place) => ({ cell, place, key: of(model, cell) }));
    const turn = descending ? -1 : 1;
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) {
        return (a.key === null) - (b.key === null) || a.place - b.place;
      }
      return turn * compare(a.key, b.key) || a.place - b.place;
    });
    return keyed.map(({ cell }) => cell);
  }

  // ------------------------------------------------------------------ as CSV

  /** The rows as they are shown, with unrounded figures: percent as fractions. */
  function csv(model, cells, view) {
    const parts = (name) => [name, `${name}_low`, `${name}_high`, `${name}_n`,
      `${name}_rank_best`, `${name}_rank_worst`];
    const head = ["method", "task", "sparsity", "seeds", ...view.columns.flatMap(parts), "marks"];
    const rows = cells.map((cell) => [
      model.entries[cell.entry].label,
      model.tasks[cell.task].title,
      cell.sparsity ?? 0,
      cell.runs.length,
      ...view.columns.flatMap((name) => {
        const found = model.intervalOf(cell, name), rank = model.rankOf(cell, name);
        return [found?.mean, found?.low, found?.high, found?.n ?? 0, rank?.[0], rank?.[1]];
      }),
      model.marks(cell).map(({ reason }) => reason).join("; "),
    ]);
    return resonanceFormat.csv([head, ...rows]);
  }

  // ------------------------------------------------------------------ drawn

  /** Return functions that draw a table: {show(view), showAll(view), rows()}. `onsort` receives a
   * column's name, `onmore` the number of rows that are not shown. */
  function make(model, table, { onsort, onmore }) {
    const cells = boardOrder(model);
    const all = { cells, texts: cells.map((cell) => textOf(model, cell)) };
    let drawn = new Map(), shape = null, rows = [], waiting = 0;

    function show(view) {
      const now = JSON.stringify([view.columns, view.entries, view.tasks, view.sparsities]);
      const changed = now !== shape;
      if (changed) drawn = new Map();  // other rows, or other ranks in them
      shape = now;
      rows = select(model, view, all);
      drawHead(view);
      drawBody(view, FIRST_ROWS);
      if (changed) prepare(view.columns);
    }

    /** Compute intervals and ranks of all rows when idle, so that sorting does not wait. */
    function prepare(columns) {
      let at = 0;
      const some = (deadline) => {
        for (; at < cells.length && deadline.timeRemaining() > 2; at++) {
          for (const name of columns) {
            model.intervalOf(cells[at], name);
            model.rankOf(cells[at], name);
          }
        }
        if (at < cells.length) waiting = requestIdleCallback(some);
        else table.dataset.prepared = "";
      };
      cancelIdleCallback(waiting);
      delete table.dataset.prepared;
      waiting = requestIdleCallback(some);
    }

    function drawHead(view) {
      const names = [...FIXED.keys(), ...view.columns];
      const heads = names.map((name) => {
        const { title, unit } = FIXED.get(name) ?? model.columns.get(name);
        const sort = view.sort?.by !== name ? null : view.sort.descending ? "descending" : "ascending";
        const sign = { ascending: " ▲", descending: " ▼" }[sort] ?? "";
        return element("th", { scope: "col", class: WORDS.has(name) ? "words" : null,
          "aria-sort": sort },
        element("button", { type: "button", class: "sort", "data-sort": name,
          onclick: () => onsort(name) },
        title, unit === "percent" ? " %" : "",
        element("span", { "aria-hidden": "true" }, sign)));
      });
      const focused = document.activeElement?.dataset?.sort;
      table.tHead.replaceChildren(element("tr", {}, heads));
      if (focused) table.tHead.querySelector(`[data-sort="${focused}"]`)?.focus();
    }

    function drawBody(view, limit) {
      const body = document.createDocumentFragment();
      for (const cell of rows.slice(0, limit)) {
        if (!drawn.has(cell)) drawn.set(cell, rowOf(view, cell));
        body.append(...drawn.get(cell));
      }
      table.tBodies[0].replaceChildren(body);
      resonanceDom.reach(table);
      onmore(Math.max(0, rows.length - limit));
    }

    /** The row of a cell, alone or with that of its runs. */
    function rowOf(view, cell) {
      const entry = model.entries[cell.entry], task = model.tasks[cell.task];
      const name = `${entry.label} on ${task.title} at ${sparsityText(cell)}`;
      const open = element("button", { type: "button", class: "open", "aria-expanded": "false",
        "aria-label": `Runs of ${name}`, disabled: !cell.runs.length }, "▸");
      open.addEventListener("click", () => {
        const parts = drawn.get(cell);
        const opened = parts.length === 1;
        open.setAttribute("aria-expanded", String(opened));
        if (opened) {
          parts.push(runsOf(view, cell, name));
          parts[0].after(parts[1]);
        } else {
          parts.pop().remove();
        }
      });
      return [element(
        "tr",
        { class: entry.dense ? "reference" : entry.method === "resonance" ? "own" : null },
        element("th", { scope: "row" }, element("div", { class: "titled" }, open,
          element("a", { href: entry.page, class: "name" }, entry.label))),
        element("td", { class: "words" },
          element("a", { href: task.page, class: "name" }, task.title)),
        element("td", {}, sparsityText(cell)),
        element("td", {}, `${cell.runs.length}`, model.marks(cell).flatMap((one) =>
          (one.kind === "few" ? [" ", mark({ ...one, sign: "!" })] : [" ", mark(one)]))),
        view.columns.map((column) => valueOf(cell, column)),
      )];
    }

    function valueOf(cell, name) {
      const found = model.intervalOf(cell, name);
      const [mean, half] = resonanceFormat.interval(model.columnOf(cell.task, name).unit, found);
      if (!mean) return element("td", { class: "soft" }, "–");
      const rank = resonanceFormat.rank(model.rankOf(cell, name));
      const fewer = found.n < cell.runs.length ? `n=${found.n}` : "";
      return element("td", { class: model.isBest(cell, name) ? "best" : null },
        element("span", { class: "mean" }, mean),
        half && element("span", { class: "half" }, ` ± ${half}`),
        (rank || fewer) && element("small", {}, rank && `rank ${rank}`, rank && fewer && " · ", fewer));
    }

    function runsOf(view, cell, name) {
      const head = ["Seed", ...view.columns.map((column) => model.columns.get(column).title), "Trial"];
      const columns = view.columns.map((column) => model.values(cell, column));
      const runs = cell.runs.map((trial, i) => {
        const key = model.trials.key[trial];
        return element("tr", {},
          element("th", { scope: "row" }, `${model.trials.seed[trial]}`),
          columns.map((values, c) => element("td", {},
            resonanceFormat.value(model.columnOf(cell.task, view.columns[c]).unit, values[i]) || "–")),
          element("td", {},
            element("a", { href: `trials/${encodeURIComponent(key)}.html` },
              element("code", {}, key))));
      });
      const inner = element("table", {},
        element("caption", {}, `Runs of ${name}`),
        element("thead", {}, element("tr", {},
          head.map((title) => element("th", { scope: "col" }, title)))),
        element("tbody", {}, runs));
      return element("tr", { class: "runs" },
        element("td", { colspan: FIXED.size + view.columns.length },
          element("div", {}, inner)));
    }

    resonanceDom.roam(table);
    return {
      show,
      rows: () => rows,
      /** Show all rows, not the first fifty, until another view is shown. */
      showAll: (view) => drawBody(view, Infinity),
    };
  }

  const sparsityText = (cell) => (cell.sparsity === null ? "dense" : `${cell.sparsity}`);

  return { FIXED, csv, make, settingsOf };
})();
