/* The view of the main page, and its form in the address: `resonanceView`.
 *
 * A view is {metric, reference, tasks, sparsities, entries, columns, sort, search, family, settings,
 * budget, claims}. Tasks (titles), sparsities and entries (labels) are lists, or null for all; the
 * reference is the label of an entry, or ""; sort is {by, descending}, or null for the order of the
 * boards. The address holds what differs from the defaults.
 */
"use strict";

const resonanceView = (() => {
  const DEFAULT_COLUMNS = ["training_flops", "inference_flops", "seconds_per_step"];
  const LISTS = { task: "tasks", sparsity: "sparsities", entry: "entries" };
  const WORDS = ["search", "family", "settings", "budget"];
  const NONE = "-", ALL = "all";

  const defaults = (model) => ({
    metric: model.data.score,
    reference: model.data.reference,
    tasks: null,
    sparsities: model.data.sparsities.length ? model.data.sparsities : null,
    entries: null,
    columns: [model.data.score, ...DEFAULT_COLUMNS].filter((name) => model.has(name)),
    sort: null,
    search: "",
    family: "",
    settings: "",
    budget: "",
    claims: false,
  });

  /** What may be chosen, by the names of LISTS. */
  const choices = (model) => ({
    tasks: model.tasks.map((task) => task.title),
    sparsities: [...new Set(model.tasks.flatMap((task) => task.sparsities))].sort((a, b) => a - b),
    entries: model.entries.map((entry) => entry.label),
  });

  function encode(view, model) {
    const given = new URLSearchParams(), plain = defaults(model);
    if (view.metric !== plain.metric) given.set("metric", view.metric);
    if (view.reference !== plain.reference) given.set("reference", view.reference || NONE);
    for (const [word, list] of Object.entries(LISTS)) {
      if (String(view[list]) === String(plain[list])) continue;
      if (view[list] === null) { given.set(word, ALL); continue; }
      for (const one of view[list].length ? view[list] : [NONE]) given.append(word, one);
    }
    if (view.columns.join() !== plain.columns.join()) {
      given.set("columns", view.columns.join() || NONE);
    }
    if (view.sort) given.set("sort", (view.sort.descending ? "-" : "") + view.sort.by);
    for (const word of WORDS) if (view[word]) given.set(word, view[word]);
    if (view.claims) given.set("claims", "1");
    return given.toString();
  }

  /** The view of an address; unknown names are ignored. */
  function decode(text, model) {
    const given = new URLSearchParams(text), view = defaults(model), may = choices(model);
    if (model.columns.has(given.get("metric"))) view.metric = given.get("metric");
    const reference = given.get("reference");
    if (reference === NONE) view.reference = "";
    else if (may.entries.includes(reference)) view.reference = reference;
    for (const [word, list] of Object.entries(LISTS)) {
      const asked = new Set(given.getAll(word));
      const found = may[list].filter((one) => asked.has(String(one)));
      if (asked.has(ALL)) view[list] = null;
      else if (found.length || asked.has(NONE)) view[list] = found;
    }
    if (given.has("columns")) {
      const asked = given.get("columns").split(",");
      view.columns = [...model.columns.keys()].filter((name) => asked.includes(name));
    }
    const [, minus, by] = /^(-?)(.+)$/.exec(given.get("sort") ?? "") ?? [];
    if (by && (resonanceTable.FIXED.has(by) || model.columns.has(by))) {
      view.sort = { by, descending: minus === "-" };
    }
    for (const word of WORDS) view[word] = given.get(word) ?? "";
    view.claims = given.get("claims") === "1";
    return view;
  }

  return { defaults, choices, encode, decode };
})();
