/* The comparison page: choice of two rows, in the address; text, forest plot and table. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { element } = resonanceDom;
  const { argument, compare, find } = resonanceComparison;
  const groups = window.resonanceBoards ?? {}, names = Object.keys(groups);
  const byId = (id) => document.getElementById(id);
  const chosen = { a: "", b: "", terms: names[0] };
  if (!names.some((name) => groups[name].entries.length > 1)) {
    byId("comparison").append(element("p", { class: "note" }, "There are no two rows to compare."));
    return;
  }

  /** Take the choice from the address; what it does not name, or does not exist, is a default. */
  function restore() {
    const given = new URLSearchParams(location.hash.slice(1));
    const asked = ["a", "b"].map((name) => given.get(name) ?? "");
    const hasBoth = (name) => asked.every((one) => !one || find(groups[name], one));
    chosen.terms = names.includes(given.get("terms")) ? given.get("terms")
      : names.find(hasBoth) ?? names[0];
    [chosen.a, chosen.b] = asked.map((name) => find(groups[chosen.terms], name)?.label ?? name);
    complete();
    draw();
  }

  function complete() {
    const { entries, reference } = groups[chosen.terms];
    const other = (label) => (entries.find((entry) => entry.label !== label && !entry.dense)
      ?? entries.find((entry) => entry.label !== label))?.label ?? "";
    if (!chosen.b) chosen.b = reference !== chosen.a ? reference : other(chosen.a);
    if (!chosen.a) chosen.a = other(chosen.b);
  }

  function change(some) {
    Object.assign(chosen, some);
    const given = new URLSearchParams({ a: chosen.a, b: chosen.b });
    if (names.length > 1) given.set("terms", chosen.terms);
    history.replaceState(null, "", `${location.href.split("#")[0]}#${given}`);
    draw();
  }

  function draw() {
    const data = groups[chosen.terms];
    const options = data.entries.map(({ label, family }) => [label, label, family]);
    for (const [id, name] of [["first", "a"], ["second", "b"]]) {
      const known = data.entries.some(({ label }) => label === chosen[name]);
      const more = known ? [] : [[chosen[name], `${chosen[name]} (not on these boards)`, ""]];
      resonanceControls.menu(byId(id), [...more, ...options], chosen[name]);
    }
    resonanceControls.menu(byId("terms"), names.map((name) => [name, groups[name].heading]), chosen.terms);
    byId("terms-choice").hidden = names.length < 2;
    byId("choose").hidden = false;
    const rows = [chosen.a, chosen.b].map((label) => data.entries.find((entry) => entry.label === label));
    byId("command").textContent = `resonance compare ${
      rows.map((row, i) => (row ? argument(row) : "AB"[i])).join(" ")}`;
    const problem = problemOf(rows);
    const found = problem ? null : compare(data, chosen.a, chosen.b);
    document.title = `${chosen.a} and ${chosen.b} · leaderboard`;
    byId("comparison").replaceChildren(...(problem ? [element("p", { class: "warning" }, problem)]
      : words(data, rows, found)));
    const some = found && found.lines.length;
    byId("forest").replaceChildren(...(some ? forests(found) : []));
    byId("figures").replaceChildren(...(some ? [table(found)] : []));
  }

  function problemOf(rows) {
    const terms = groups[chosen.terms].heading.toLowerCase();
    const absent = [chosen.a, chosen.b].find((_, i) => !rows[i]);
    if (absent !== undefined) return `${absent} has no trial ${terms}: choose another row.`;
    return chosen.a === chosen.b ? "A and B are the same: choose another row." : "";
  }

  // ------------------------------------------------------------------ in words

  const percent = ({ unit }) => unit === "percent";
  const decimals = (metric, size) =>
    (percent(metric) ? 2 : size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
  const factor = (metric) => (percent(metric) ? 100 : 1);
  const plain = (metric, x) => (x === null ? ""
    : (factor(metric) * x).toFixed(decimals(metric, Math.abs(x))).replace("-", "−"));

  /** [difference, its interval], as `difference_texts` of leaderboard/score_text.py. */
  function texts(metric, difference) {
    if (!difference) return ["", ""];
    const places = decimals(metric, Math.abs(difference.mean));
    const write = (x) => `${x < 0 ? "−" : "+"}${Math.abs(factor(metric) * x).toFixed(places)}`;
    const { mean, low, high } = difference;
    return [write(mean), low === null ? "" : `${write(low)} … ${write(high)}`];
  }

  const number = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  function words(data, [first, second], found) {
    const { lines } = found, said = [];
    const link = (row) => element("a", { href: row.page, class: "name" }, row.label);
    if (names.length > 1 || !chosen.terms.endsWith("steps")) {
      said.push(element("p", { class: "claim" }, data.claim));
    }
    if (!lines.length) {
      const text = "They have no task and sparsity in common: run both in one study.";
      return [...said, element("p", { class: "warning" }, text), ...left(found)];
    }
    const kinds = [["better", "better"], ["worse", "worse"], ["equivalent", "equivalent"],
      ["no difference shown", "not shown to differ"], ["cannot decide", "undecided (too few seeds)"]];
    const counts = kinds.map(([kind, word]) =>
      [lines.filter(({ decided }) => decided === kind).length, word]).filter(([count]) => count);
    said.push(element("p", { class: "finding" }, link(first), ` against `, link(second),
      `: of ${number(lines.length, "cell")}, ${counts.map(([count, word]) => `${word} in ${count}`).join(", ")}.`));
    if (found.overall?.difference) {
      const { metric } = lines[0], [middle, ends] = texts(metric, found.overall.difference);
      const unit = percent(metric) ? " points" : "", tasks = new Set(lines.map(({ task }) => task)).size;
      const over = tasks === 1 ? "Over the sparsities of this task" : `Over ${tasks} tasks, each with the same weight`;
      said.push(element("p", {}, `${over}: ${found.verdict}; difference ${
        middle}${unit}${ends && `, 95 % interval ${ends}`}, ${
        found.overall.p === null ? "no p-value" : resonanceFormat.pValue(found.overall.p)}.`));
    } else if (found.metrics.length > 1) {
      said.push(element("p", {}, "There is no comparison over all tasks: they rank by different metrics."));
    }
    const cost = costs(lines);
    if (cost) said.push(element("p", {}, cost));
    said.push(element("p", { class: "note" }, [
      "p-values: none, because no cell has five common seeds.",
      "p-value: of the only cell with five common seeds, so there is nothing to correct for.",
    ][found.tested] ?? `p-values: Holm-corrected over the ${found.tested} cells with five common seeds.`));
    return [...said, ...left(found)];
  }

  function left({ missing, lines }) {
    const unpaired = lines.reduce((sum, { comparison }) => sum + comparison.unpaired, 0);
    const notes = missing.map((text) => `Not compared: ${text}.`);
    if (unpaired) notes.push(`Not used, because the other lacks the seed: ${number(unpaired, "trial")}.`);
    return notes.map((text) => element("p", { class: "note" }, text));
  }

  function costs(lines) {
    const mean = (name, side) => {
      const found = lines.map((line) => line.costs[name][side]);
      return found.includes(null) ? null : found.reduce((sum, x) => sum + x, 0) / found.length;
    };
    const parts = [["training_flops", "training"], ["inference_flops", "inference"]].flatMap(([name, word]) => {
      const [mine, theirs] = [mean(name, 0), mean(name, 1)];
      if (mine === null || theirs === null) return [];
      const write = (x) => resonanceFormat.value("ratio", x);
      return [`${word} ${write(mine)} against ${write(theirs)}`];
    });
    return parts.length ? `FLOPs as a multiple of dense, A against B, mean over these cells: ${parts.join("; ")}.` : "";
  }

  // ------------------------------------------------------------------ forest plot

  const SVG = "http://www.w3.org/2000/svg";
  function shape(tag, attributes, text = "") {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  }
  const svg = (height, ...shapes) => {
    const made = shape("svg", { width: "100%", height, "aria-hidden": "true" });
    made.append(...shapes);
    return made;
  };

  /** A figure for each metric: differences of one unit on one axis. */
  const forests = ({ lines, metrics }) => metrics.flatMap((name) => {
    const own = lines.filter(({ metric, comparison }) => metric.name === name && comparison.difference);
    return own.length ? [forest(own)] : [];
  });

  function forest(lines) {
    const { metric, rope } = lines[0], scale = factor(metric);
    const ends = lines.flatMap(({ comparison: { difference: { mean, low, high } } }) =>
      [mean, low ?? mean, high ?? mean]).map((x) => scale * x);
    const most = Math.max(...ends.map(Math.abs), rope === null ? 0 : 1.5 * scale * rope) || 1;
    const low = Math.min(...ends, -0.12 * most), high = Math.max(...ends, 0.12 * most);
    const x = (value) => `${3 + (94 * (value - low)) / (high - low)}%`;
    const band = () => (rope === null ? [] : [shape("rect", { class: "rope", y: 0, height: "100%",
      x: x(Math.max(low, -scale * rope)),
      width: `${(94 * (Math.min(high, scale * rope) - Math.max(low, -scale * rope))) / (high - low)}%` })]);
    const zero = () => shape("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: "100%" });
    const rows = lines.flatMap(({ task, sparsity, comparison: { difference }, decided }) => {
      const { mean, low: least, high: top } = difference;
      const mark = shape("circle", { cx: x(scale * mean), cy: "50%", r: 4, class: decided.split(" ")[0] });
      const bar = least === null ? [] : [shape("line", { class: `interval ${decided.split(" ")[0]}`,
        x1: x(scale * least), x2: x(scale * top), y1: "50%", y2: "50%" })];
      return [element("div", { class: "label" }, `${task} `, element("small", {}, `at ${sparsity}`)),
        svg(24, ...band(), zero(), ...bar, mark)];
    });
    const step = niceStep((high - low) / 5), first = Math.ceil(low / step), ticks = [];
    for (let at = first; at * step <= high; at++) ticks.push(at * step);
    const places = Math.max(0, -Math.floor(Math.log10(step)));
    const axis = svg(22, ...ticks.map((tick) => shape("text", { x: x(tick), y: 15, "text-anchor": "middle" },
      `${tick > 0 ? "+" : ""}${tick.toFixed(places).replace("-", "−")}`)));
    const unit = percent(metric) ? `points of ${metric.title}` : metric.title;
    const better = metric.better === "less" ? "left" : "right";
    return element("figure", { class: "forest" },
      element("figcaption", {}, element("h2", {}, `A − B in ${unit}`),
        element("p", { class: "note" }, `Mean difference with its 95 % interval, not corrected; to the ${better
        } of 0, A is better. Filled: a difference or equivalence is shown after correction.${
          rope === null ? "" : " Shaded: what counts as equivalent."}`)),
      element("div", { class: "rows" }, rows, element("div", { class: "label" }), axis));
  }

  function niceStep(least) {
    const power = 10 ** Math.floor(Math.log10(least));
    return power * [1, 2, 5, 10].find((times) => times * power >= least);
  }

  // ------------------------------------------------------------------ table

  function table({ lines }) {
    const heads = ["Task", "sparsity", "n", "A", "B", "A − B", "95 % interval", "p (Holm)", "verdict",
      "training FLOPs, A", "B"];
    const rows = lines.map((line) => {
      const { task, page, sparsity, metric, means, comparison, p, verdict, costs: { training_flops: cost } } = line;
      const cells = [`${sparsity}`, `${comparison.n}`, ...means.map((x) => plain(metric, x)),
        ...texts(metric, comparison.difference), p === null ? "–" : `${Number(p.toPrecision(3))}`, verdict,
        ...cost.map((x) => (x === null ? "–" : resonanceFormat.value("ratio", x)))];
      return element("tr", {}, element("th", { scope: "row" }, element("a", { href: page, class: "name" }, task)),
        cells.map((text, i) => element("td", { class: heads[i + 1] === "verdict" ? "words" : false }, text)));
    });
    const title = `${chosen.a} minus ${chosen.b}, by cell`;
    return element("section", {}, element("h2", {}, "Figures"),
      element("div", { class: "wide", role: "region", "aria-label": title, tabindex: 0 },
        element("table", {}, element("caption", { class: "hidden-text" }, title),
          element("thead", {}, element("tr", {}, heads.map((head) =>
            element("th", { scope: "col", class: head === "verdict" ? "words" : false }, head)))),
          element("tbody", {}, rows))));
  }

  for (const [id, name] of [["first", "a"], ["second", "b"], ["terms", "terms"]]) {
    byId(id).addEventListener("change", (event) => change({ [name]: event.target.value }));
  }
  byId("swap").addEventListener("click", () => change({ a: chosen.b, b: chosen.a }));
  addEventListener("hashchange", restore);
  restore();
});
