/* The main page: controls change the view, which is drawn and kept in the address. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const byId = (id) => document.getElementById(id);
  const model = resonanceModel.load(JSON.parse(byId("page-data").textContent));
  const choices = resonanceView.choices(model);
  const { element } = resonanceDom;
  let view = resonanceView.defaults(model), drawnFor = {}, written = "";

  const table = resonanceTable.make(model, byId("cells"), {
    onsort: (by) => change({ sort: turned(by) }),
    onmore: (rest) => {
      byId("more").hidden = rest === 0;
      byId("more").textContent = `Show ${rest} more rows`;
    },
  });

  /** The next way to sort by a column: best first, then reversed, then unsorted. */
  function turned(by) {
    const first = model.columns.get(by)?.better === "more";
    if (view.sort?.by !== by) return { by, descending: first };
    return view.sort.descending === first ? { by, descending: !first } : null;
  }

  // ------------------------------------------------------------------ from the view to the page

  function change(some) {
    view = { ...view, ...some };
    written = resonanceView.encode(view, model);
    history.replaceState(null, "", `${location.href.split("#")[0]}${written && "#"}${written}`);
    draw();
  }

  function restore() {
    const text = location.hash.slice(1);
    if (text === written || (text && !text.includes("="))) return;  // an anchor, not a view
    written = text;
    view = resonanceView.decode(text, model);
    fillControls();
    draw();
  }

  /** Call `make` if any of these parts of the view has changed. */
  function where(name, parts, make) {
    const now = JSON.stringify(parts.map((part) => view[part]));
    if (drawnFor[name] === now) return;
    drawnFor[name] = now;
    make();
  }

  function draw() {
    where("competitors", ["entries"], () => {
      const places = view.entries && new Set(view.entries);
      model.compete(places && new Set(model.entries.flatMap((entry, place) =>
        (places.has(entry.label) ? [place] : []))));
      byId("competitors").textContent = view.entries === null
        ? `all ${choices.entries.length}` : `${view.entries.length} of ${choices.entries.length}`;
    });
    where("limits", ["tasks", "sparsities"], () => {
      model.limit(places());
      byId("tasks-chosen").textContent = view.tasks === null
        ? `all ${choices.tasks.length}` : `${view.tasks.length} of ${choices.tasks.length}`;
    });
    where("overview", ["metric", "reference", "tasks", "sparsities", "entries"], () => {
      // The page was written with the default view: what it shows need not be computed again.
      if (byId("overview").dataset.drawn === undefined) {
        byId("overview").dataset.drawn = "";
        if (written === "") return resonanceOverviewTable.adopt(byId("overview"), model, view);
      }
      byId("metric-shown").textContent = unitInWords(model.columns.get(view.metric));
      return resonanceOverviewTable.draw(
        byId("overview"), byId("finding"), byId("overview-note"), model, view);
    });
    where("charts", ["tasks", "sparsities", "entries"], redrawCharts);
    table.show(view);
    const count = table.rows().length, whole = model.cells.length;
    byId("count").textContent = count === whole ? `${count} rows` : `${count} of ${whole} rows`;
    byId("nothing").hidden = count > 0;
  }

  /** What the first table shows, as `shown_metric` of leaderboard/score_text.py says it. */
  function unitInWords({ name: column, title, unit, better }) {
    if (column === "score") return "What each task ranks by, as named beside it";
    const name = title[0].toUpperCase() + title.slice(1);
    const words = { percent: " in %", ratio: " as a multiple of the dense network's" }[unit] ?? "";
    const way = { more: "higher is better", less: "lower is better" }[better];
    return `${name}${words}${way ? `; ${way}` : ""}`;
  }

  /** [task, sparsity] of what is shown. */
  const places = () => model.tasks.flatMap(({ title, sparsities }, task) =>
    (view.tasks && !view.tasks.includes(title) ? [] : sparsities)
      .filter((sparsity) => !view.sparsities || view.sparsities.includes(sparsity))
      .map((sparsity) => [task, sparsity]));

  // ------------------------------------------------------------------ charts

  const pending = new Set();
  /** Dense networks are references: they do not compete in charts, as they have no rank. */
  const references = new Set(model.entries.flatMap(({ dense, label }) => (dense ? [label] : [])));

  /** Charts that are about sparsities: they show all of them. */
  const OVER_SPARSITIES = new Set(["accuracy", "score", "controls"]);
  let vega = null;

  /** Load Vega when the first chart comes into view: it is larger than all the rest. */
  function withVega() {
    vega ??= new Promise((resolve, reject) => {
      document.head.append(element("script", { src: "assets/vega.js", onload: resolve, onerror: reject }));
    });
    return vega;
  }

  async function drawChart(figure) {
    pending.delete(figure);
    try {
      await withVega();
    } catch {
      figure.replaceChildren(element("p", { class: "note" },
        "The charts need the file assets/vega.js of the site's folder."));
      return;
    }
    const { tasks } = view;
    const sparsities = OVER_SPARSITIES.has(figure.dataset.chart) ? null : view.sparsities;
    const entries = view.entries && view.entries.filter((label) => !references.has(label));
    resonanceCharts.draw(
      figure, figure.dataset.chart, model.data, { tasks, sparsities, entries });
  }

  const near = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      target.dataset.near = isIntersecting ? "1" : "";
      if (isIntersecting && pending.has(target)) drawChart(target);
    }
  }, { rootMargin: "300px" });

  /** Redraw the charts in view now, the others when they scroll into view. */
  function redrawCharts() {
    for (const figure of document.querySelectorAll("[data-chart]")) {
      pending.add(figure);
      if (figure.dataset.near) drawChart(figure);
    }
  }

  // ------------------------------------------------------------------ controls

  /** The value of the button that stands for the sparsities shown; null if none does. */
  const sparsityShown = () => (view.sparsities === null ? ""
    : view.sparsities.length === 1 ? `${view.sparsities[0]}` : null);

  const plain = (values) => values.map((value) => [value, `${value}`]);
  const update = (name) => (chosen) => change({ [name]: chosen });

  function fillControls() {
    const available = [...model.columns.values()].filter(({ name }) => model.has(name));
    const families = [...new Set(model.entries.map((entry) => entry.family))].sort();
    const budgets = [...new Set(model.tasks.map((task) => task.settings || "as declared"))];
    const kinds = { default: "default", tuned: "tuned", set: "set by hand" };
    const present = new Set(model.entries.map(resonanceTable.settingsOf));
    const byLabel = new Map(model.entries.map((entry) => [entry.label, entry]));
    const groupOf = new Map(available.map(({ name, group }) => [name, group]));
    const { choice, menu, oneOf } = resonanceControls;

    menu(byId("metric"), available.map(({ name, title, group }) => [name, title, group]),
      view.metric);
    menu(byId("reference"), [["", "none"], ...model.entries.filter(({ dense }) => !dense)
      .map(({ label, family }) => [label, label, family])], view.reference);
    choice(byId("tasks"), plain(choices.tasks), view.tasks, update("tasks"));
    oneOf(byId("sparsities"), "sparsity", [...choices.sparsities.map((s) =>
      [`${s}`, `${+(100 * s).toPrecision(12)} %`]), ["", "all"]], sparsityShown(),
    (chosen) => change({ sparsities: chosen ? [Number(chosen)] : null }));
    choice(byId("entries"), plain(choices.entries), view.entries, update("entries"),
      (label) => byLabel.get(label).family);
    choice(byId("columns"), available.map(({ name, title }) => [name, title]), view.columns,
      (chosen) => change({ columns: chosen ?? available.map(({ name }) => name) }),
      (name) => groupOf.get(name));
    const filter = (id, options, any) => {
      menu(byId(id), [["", any], ...options], view[id]);
      byId(id).closest("label").hidden = options.length < 2 && !view[id];
    };
    filter("family", plain(families), "all families");
    filter("settings", Object.entries(kinds).filter(([kind]) => present.has(kind)), "all settings");
    filter("budget", plain(budgets), "all budgets");
    byId("search").value = view.search;
    byId("claims").checked = view.claims;
    for (const [id, some] of [["tasks", choices.tasks], ["sparsities", choices.sparsities]]) {
      byId(id).closest(".field").hidden = some.length < 2;
    }
  }

  for (const id of ["metric", "reference", "family", "settings", "budget"]) {
    byId(id).addEventListener("change", (event) => change({ [id]: event.target.value }));
  }
  byId("search").addEventListener("input", (event) => change({ search: event.target.value }));
  byId("claims").addEventListener("change", (event) => change({ claims: event.target.checked }));
  byId("more").addEventListener("click", () => table.showAll(view));
  byId("download").addEventListener("click", () => resonanceSaving.save(
    "resonance-cells.csv", resonanceTable.csv(model, table.rows(), view), "text/csv"));
  for (const [id, entries] of [["all-entries", null], ["no-entries", []]]) {
    byId(id).addEventListener("click", () => { change({ entries }); fillControls(); });
  }
  for (const button of document.querySelectorAll("[data-reset]")) {
    button.addEventListener("click", () => {
      change(resonanceView.defaults(model));
      fillControls();
    });
  }
  for (const link of document.querySelectorAll('a[href^="#"]')) {  // the address holds the view, so no anchors
    link.addEventListener("click", (event) => {
      const target = document.querySelector(link.getAttribute("href"));
      event.preventDefault();
      target.closest("details")?.setAttribute("open", "");
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    });
  }

  const others = model.tasks.some(({ score }) => score !== "test_accuracy");
  const chartNames = resonanceCharts.names.filter((name) => name !== "score" || others);
  byId("charts").replaceChildren(...chartNames.map((name) => {
    const figure = element("figure", { "data-chart": name });
    near.observe(figure);
    return figure;
  }));
  // Charts that are printed must be drawn at once: Vega is loaded before anybody asks for them.
  requestIdleCallback(() => withVega().catch(() => {}));
  addEventListener("hashchange", restore);
  addEventListener("beforeprint", () => [...pending].forEach(drawChart));
  resonanceScheme.onresize(byId("charts"), redrawCharts);
  resonanceDom.roam(byId("overview"));
  resonanceDom.showReasons();
  resonanceControls.managePanels();
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  fillControls();
  written = null;  // so that the first address is always read
  restore();
  if (Object.keys(drawnFor).length === 0) draw();
});
