/* Fits a chart of boards to its rows and to the width of the page: `resonanceFitting`.
 *
 * `board` prepares a specification, with only the entries and families that its rows have; `fill`
 * corrects the width of the panels once Vega has drawn, since the widths of names and axes are
 * known only then.
 */
"use strict";

const resonanceFitting = (() => {
  const LINE = 11, BREAK = /(.{1,18})( +|$)/g;  // as in leaderboard/charts/end_labels.py
  const AXIS = 45, LETTER = 6.2;  // pixels of an axis's labels, and of a letter, on average
  const MOST_COLUMNS = 6;  // of a legend
  const LEAST_STEP = 20;  // width of a matrix's column
  const TIGHT = 105, LEAST = 90, MOST = 1000;  // widths of a panel: in a row per task, of others

  const distinct = (rows, field) =>
    new Set(rows.map((row) => row[field]).filter((x) => x !== undefined && x !== null));
  const nameLines = (name) => name.replace(BREAK, "$1\n").replace(/\n$/, "").split("\n");
  const unitOf = (spec) => spec.spec ?? spec;

  /** Return a chart, {specification, narrow}, for its rows and a width in pixels. `narrow` is the
   * form for pages on which the panels of all families have no room beside one another. */
  function board({ specification, narrow }, rows, wide, config) {
    const sparse = rows.filter((row) => row.sparsity !== null && row.sparsity !== undefined);
    const families = distinct(sparse.length ? sparse : rows, "family");
    const names = distinct(rows.filter((row) => row.family !== null), "entry");
    const named = JSON.stringify(specification).includes('"broken"');
    const room = (some) => (named ? LETTER * Math.min(26, longestOf(some.flatMap(nameLines))) + 25 : 0);
    const beside = room([...names]);
    const ofFamily = [...families].map((family) => [...distinct(
      rows.filter((row) => row.family === family), "entry")]);
    const needed = named ? ofFamily.reduce((total, some) => total + TIGHT + AXIS + room(some), 60)
      : 130 + panelCount(specification, rows) * (TIGHT + 14);
    const tight = Boolean(narrow) && needed > wide;
    const spec = structuredClone(tight ? narrow : specification), unit = unitOf(spec);
    spec.datasets = { rows };
    delete spec.title;  // the page has a heading and a description of its own
    delete spec.description;
    const present = new Set(rows.flatMap((row) => [row.entry, row.row, row.column]));
    const legend = distinct(rows, "verdict").size ? distinct(rows, "verdict") : present;
    const columns = tight && legend !== present ? 1 : Math.max(1, Math.floor(wide / (LETTER * longestOf(legend) + 40)));
    prune(spec, present, families, columns);
    spec.config = structuredClone(config);
    if (named) unit.height = heightOf(spec, unit.height, rows, families);
    across(spec, rows, wide, tight || !narrow || !named ? beside : (needed - 60) / families.size - TIGHT - AXIS);
    return spec;
  }

  const longestOf = (names) =>
    Math.max(1, ...[...names].map((name) => (name ?? "").length));

  /** The height of panels that holds the names of each; see `panel_height` of end_labels.py. */
  function heightOf(spec, least, rows, families) {
    const family = new Map(rows.flatMap((row) =>
      (row.family === null || row.sparsity === null ? [] : [[row.entry, row.family]])));
    const lines = new Map();
    for (const [name, of] of family) {
      const panel = panelsOf(spec, families) > 1 ? of : "";
      lines.set(panel, (lines.get(panel) ?? 0) + nameLines(name).length);
    }
    return Math.max(Math.min(least, 180), ...[...lines.values()].map((n) => LINE * (n + 1)));
  }

  /** How many panels a task or the chart is divided into by family. */
  const panelsOf = (spec, families) =>
    (JSON.stringify(spec.facet ?? "").includes('"panel"') ? families.size : 1);

  /** Set how many panels are beside one another, and a first width of each. */
  function across(spec, rows, wide, beside) {
    const unit = unitOf(spec);
    if (unit.width?.step) {  // a matrix: as wide as there is room for, within limits
      const names = distinct(rows, "column").size, room = wide - 180;
      unit.width.step = Math.max(LEAST_STEP, Math.min(44, Math.floor(room / names)));
      return;
    }
    if (typeof unit.width !== "number") return;
    if (spec.columns) {
      const panel = Math.max(LEAST, unit.width * 0.8) + AXIS + beside;
      const panels = panelCount(spec, rows);
      const most = Math.max(1, Math.min(panels, Math.floor((wide + 12) / panel)));
      spec.columns = Math.ceil(panels / Math.ceil(panels / most));  // lines of the same length
    }
    unit.width = bounded(spec, wide / columnsOf(spec) - AXIS - beside);
  }

  /** What panels are made of, where that is not a field of the rows. */
  const PANELS = {
    panel: ({ family }) => family,
    measured: ({ measure, task }) => `${measure} ${task}`,
    pair: ({ method, control }) => `${method} ${control}`,
    scored: ({ task }) => task,
  };

  function panelCount(spec, rows) {
    const field = spec.facet?.column?.field ?? spec.facet?.field;
    return field ? new Set(rows.map(PANELS[field] ?? ((row) => row[field]))).size : 1;
  }

  function columnsOf(spec) {
    const panels = panelCount(spec, spec.datasets?.rows ?? []);
    return spec.columns && panels ? Math.min(spec.columns, panels) : spec.columns ?? panels;
  }

  const bounded = (spec, width) =>
    Math.max(spec.columns ? LEAST : TIGHT, Math.min(MOST, Math.floor(width)));

  /** Make the columns of a drawn matrix narrower if it is wider than the page and they can be. */
  async function shrink(view, spec, drawing, wide) {
    const found = drawing.querySelector("svg")?.getBoundingClientRect().width;
    const names = distinct(spec.datasets?.rows ?? [], "column").size, { step } = unitOf(spec).width;
    const fitting = step - Math.ceil((found - wide) / names);
    if (fitting < step && fitting >= LEAST_STEP) {
      await view.signal("x_step", fitting).resize().runAsync();
    }
  }

  /** Make a drawn chart as wide as the page, `wide` pixels; a matrix no wider, if it fits. */
  async function fill(view, spec, drawing, wide) {
    const unit = unitOf(spec);
    if (unit.width?.step) await shrink(view, spec, drawing, wide);
    if (typeof unit.width !== "number") return;
    const columns = columnsOf(spec);
    for (let turn = 0; turn < 3; turn++) {  // other labels may be shown at another width
      const found = drawing.querySelector("svg")?.getBoundingClientRect().width;
      if (!found || (found <= wide && wide - found < 3 * columns)) return;
      const width = bounded(spec, unit.width - Math.ceil(found - wide) / columns);
      if (width === unit.width) return;
      unit.width = width;
      view.signal(spec.facet ? "child_width" : "width", width).resize();
      await view.runAsync();
    }
  }

  /** Keep the styles of entries that are present, and the panels of their families. */
  function prune(part, present, families, columns) {
    if (part === null || typeof part !== "object") return;
    if (part.as === "panel" && part.calculate) {
      const panels = JSON.parse(part.calculate), kept = panels.filter((one) => families.has(one));
      if (kept.length) part.calculate = JSON.stringify(kept);
    }
    const { scale } = part;
    if (part.field === "entry" && scale?.domain && scale.range) {
      const kept = scale.domain.flatMap((label, place) => (present.has(label) ? [place] : []));
      scale.range = kept.map((place) => scale.range[place]);
      scale.domain = kept.map((place) => scale.domain[place]);
    }
    if (part.legend?.columns) part.legend.columns = Math.min(columns, MOST_COLUMNS);
    Object.values(part).forEach((child) => prune(child, present, families, columns));
  }

  return { board, fill };
})();
