/* The charts of the main page: `resonanceCharts`.
 *
 * `draw(element, name, data, selection)` fills an element with a chart of the selection, a summary in
 * words, its rows as a table, and buttons that save it. It returns a promise of Vega's view, null if
 * there is nothing to show. `data` is the content of the page (leaderboard/page_data.py) with the
 * charts and themes of `specifications` in leaderboard/charts/board_charts.py. Colours follow the
 * page's `data-theme`, if set, else the reader's preference; on paper they are light.
 */
"use strict";

const resonanceCharts = (() => {
  const names = Object.keys(resonanceChartRows);
  const drawn = new Map();  // element → its state

  /** Return the rows that a chart shows. */
  const rows = (name, data, selection) => resonanceChartRows[name](data, selection);

  function draw(element, name, data, selection) {
    const before = drawn.get(element);
    const state = { name, data, selection, asTable: before?.asTable ?? false,
      view: before?.view ?? null, turn: (before?.turn ?? 0) + 1 };
    drawn.set(element, state);
    // Most methods have no control, and then there is nothing to say about them.
    element.hidden = name === "controls" && data.entries.every((one) => !one.control_of.length);
    return show(element, state);
  }

  async function show(element, state) {
    const { name, data, selection } = state, about = data.charts[name];
    const found = rows(name, data, selection), frame = frameOf(element, name, about);
    frame.note.textContent = found.length ? about.text : `${about.text} ${nothing(name, data)}`;
    frame.out.textContent = leftOut(found, data, selection);
    frame.out.hidden = !frame.out.textContent;
    frame.picture.setAttribute("aria-label", `${about.title}. ${words(name, found, data)}`);
    frame.picture.hidden = state.asTable || !found.length;
    frame.tools.hidden = !found.length;
    frame.toggle.onclick = () => {
      state.asTable = !state.asTable;
      frame.picture.hidden = state.asTable;
      fillTable(frame, state, about, found);
    };
    fillTable(frame, state, about, found);
    if (!found.length) {
      state.view?.finalize();
      state.view = null;
      frame.canvas.replaceChildren();
      return null;
    }
    const wide = resonanceScheme.width(element) || 800, theme = resonanceScheme.theme();
    const spec = resonanceFitting.board(about, found, wide, data.themes[theme]);
    state.specify = (config) => ({ ...spec, config });
    const { view } = await window.vegaEmbed(
      frame.canvas, spec, { actions: false, renderer: "svg", ast: false, tooltip: { theme } });
    await resonanceFitting.fill(view, spec, frame.canvas, wide);
    if (drawn.get(element) !== state) {  // the selection changed while Vega was drawing
      view.finalize();
      return drawn.get(element).view;
    }
    state.view?.finalize();
    state.view = view;
    frame.picture.dataset.drawn = name;
    return view;
  }

  /** Return the parts of a chart's element, made on the first call. */
  function frameOf(element, name, about) {
    if (element.firstChild?.resonance !== name) {
      const { element: make } = resonanceDom;
      const id = `figure-${name}`;
      const heading = make("h3", { id }, about.title);
      heading.resonance = name;
      element.replaceChildren(
        heading,
        make("p", { class: "note" }),
        make("p", { class: "note left-out", hidden: true }),
        make("p", { class: "tools" },
          make("button", { type: "button", class: "quiet as-table", "aria-pressed": "false",
            "aria-describedby": id }, "as table"),
          resonanceSaving.buttons(name, about.title, () => {
            const { specify, data } = drawn.get(element);
            return specify(data.themes.picture);
          }, about.pdf && { href: about.pdf, text: "PDF of all" })),
        make("div", { class: "picture", role: "img" }, make("div", { "aria-hidden": "true" })),
        make("div", { class: "wide rows", role: "region", "aria-labelledby": id, tabindex: "0",
          hidden: true }),
      );
      const picture = element.querySelector(".picture");
      picture.style.overflowX = "auto";
      picture.tabIndex = 0;  // so that keys can scroll it
    }
    const [, note, out, tools, picture, table] = element.children;
    return { note, out, tools, toggle: tools.firstChild, picture, canvas: picture.firstChild, table };
  }

  // ------------------------------------------------------------------ in words

  const percent = (x) => `${(100 * x).toFixed(1)} %`;
  const rounded = (x) => x.toFixed(0);
  const several = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;
  const distinct = (found, field) =>
    new Set(found.map((row) => row[field]).filter((x) => x !== undefined && x !== null));

  /** The first and the last of rows that are sorted, best first. */
  function ends(found, label, value, write) {
    const describe = (row) => `${row[label]} with ${write(row[value])}${
      isNumber(row.low) ? `, interval ${write(row.low)} to ${write(row.high)}` : ""}`;
    const last = found.length > 1 ? ` and last is ${describe(found.at(-1))}` : "";
    return `First is ${describe(found[0])}${last}.`;
  }

  /** The best row of each task. */
  function bests(found, field, write) {
    return [...distinct(found, "task")].map((task) => {
      const ofTask = found.filter((row) => row.task === task && row.sparsity !== null);
      if (!ofTask.length) return "";
      const best = ofTask.reduce((one, other) => (other[field] > one[field] ? other : one));
      return ` On ${task} the highest is ${write(best[field])}, of ${best.entry} at sparsity ${
        best.sparsity}.`;
    }).join("");
  }

  const isNumber = (x) => typeof x === "number";
  const scope = (found) =>
    `${several(distinct(found, "entry").size, "method")} on ${
      several(distinct(found, "task").size, "task")}.`;

  const SUMMARIES = {
    accuracy: (found) => `${scope(found)}${bests(found, "accuracy", percent)}`,
    score: (found) => `${scope(found)} ${[...distinct(found, "task")].map((task) =>
      `${task}: ${found.find((row) => row.task === task).metric}.`).join(" ")}`,
    cost: (found) => `${scope(found)} ${[...distinct(found, "task")].map((task) => {
      const front = found.filter((row) => row.task === task && row.front);
      return `Pareto front on ${task}: ${[...distinct(front, "entry")].join(", ")}.`;
    }).join(" ")}`,
    controls: (found) => {
      const count = (verdict) => found.filter((row) => row.verdict === verdict).length;
      return `${several(found.length, "comparison")} of ${
        several(distinct(found, "method").size, "method")} with their controls: better in ${
        count("better")}, worse in ${count("worse")}.`;
    },
    rating: (found) => `${several(found.length, "method")} over ${
      several(Math.max(...distinct(found, "tasks")), "task")}. ${
      ends(found, "entry", "rating", rounded)}`,
    win_rate: (found) => {
      const first = found[0].row, beaten = found.filter((row) =>
        row.row === first && isNumber(row.probability) && row.low > 0.5);
      return `${several(distinct(found, "row").size, "method")}, the best first. ${first} is more ${
        ""}likely than not better than ${beaten.length} of the others.`;
    },
    ranks: (found) => {
      const [test] = found, methods = found.filter((row) => row.kind === "method");
      const p = test.p === null ? "" : ` Friedman's p is ${test.p.toPrecision(2)}.`;
      return `${several(methods.length, "method")} over ${several(test.tasks, "task")}.${p} The ${
        ""}critical difference is ${test.critical_difference.toFixed(2)}${
        test.decides ? "" : ", more than ranks can differ: the test cannot decide"}. ${
        ends(methods, "entry", "rank", (x) => x.toFixed(2))}`;
    },
    profile: (found) => `${several(distinct(found, "entry").size, "method")}; accuracies from ${
      percent(found[0].threshold)} to ${percent(found.at(-1).threshold)} of the dense network's.`,
    iqm: (found) =>
      `${several(found.length, "method")}. ${ends(found, "entry", "mean", percent)}`,
    robustness: (found) => `${scope(found)} ${[...distinct(found, "measure")].map((measure) =>
      `${measure}:${bests(found.filter((row) => row.measure === measure), "robust", percent)}`)
      .join(" ")}`,
    calibration: (found) => `${scope(found)} Measured: ${
      [...distinct(found, "measure")].join(", ")}.`,
  };

  const words = (name, found, data) =>
    (found.length ? SUMMARIES[name](found) : nothing(name, data));

  const NEEDS = {
    cost: "training FLOPs of the dense network on the same task",
    robustness: "accuracies on corrupted or adversarial images",
    calibration: "calibration of the trials",
    accuracy: "a finished trial of a task that is ranked by accuracy",
    controls: "a method and its control with a common seed on the same task",
    score: "a finished trial of a task that is ranked by another metric than accuracy",
  };

  function nothing(name, { tasks }) {
    if (name === "cost" && tasks.length && tasks.every(({ flops_budget }) => flops_budget)) {
      return "Nothing to show: on this page every training has the same FLOPs.";
    }
    return `Nothing to show: this chart needs ${
      NEEDS[name] ?? "two competitors with finished trials at all of these sparsities of a task"}.`;
  }

  /** Name the competitors that have no rows. */
  function leftOut(found, data, { entries }) {
    if (!found.length || found[0].control) return "";  // few methods have a control
    const shown = new Set(found.flatMap((row) => [row.entry, row.row]));
    const missing = data.entries.filter(({ label, dense }) =>
      (entries === null ? !dense : entries.includes(label)) && !shown.has(label));
    if (!missing.length) return "";
    return `Without ${missing.map(({ label }) => label).join(", ")}: trials that this chart needs have not been run, or do not count.`;
  }

  // ------------------------------------------------------------------ as a table

  function fillTable({ table, toggle }, { asTable }, about, found) {
    const { element: make } = resonanceDom;
    toggle.setAttribute("aria-pressed", String(asTable));
    table.hidden = !asTable || !found.length;
    table.replaceChildren();
    if (table.hidden) return;
    const fields = [...new Set(found.flatMap((row) => Object.keys(row)))];
    const write = (x) => (isNumber(x) ? String(Number(x.toPrecision(5))) : String(x ?? "–"));
    table.append(make(
      "table", {},
      make("caption", {}, about.title),
      make("thead", {}, make("tr", {}, fields.map((field) =>
        make("th", { scope: "col" }, field.replaceAll("_", " "))))),
      make("tbody", {}, found.map((row) => make("tr", {}, fields.map((field) =>
        make("td", isNumber(row[field]) ? { class: "number" } : {}, write(row[field])))))),
    ));
  }

  /** Redraw all charts in the current colours and width. */
  const redraw = () => Promise.all([...drawn].map(([element, state]) => {
    if (!element.isConnected) {
      state.view?.finalize();
      drawn.delete(element);
      return null;
    }
    return draw(element, state.name, state.data, state.selection);
  }));
  resonanceScheme.onchange(redraw);

  return { draw, names, redraw, rows };
})();
