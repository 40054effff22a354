/* What the chosen boards show of each method over their tasks, as leaderboard/overview.py:
 * `resonanceOverview`.
 *
 * An overview is {sparsities, boards, compared, rows, reference, comparisons, metric, fewest, most,
 * againstLeader}: boards and entries are places in the lists of the page's data, `compared` too. A row
 * is {entry, rank, share, wins, ties, losses, cost, ran, against, claims, lacking}; claims are a Map of
 * "task sparsity", lacking is a Map of task.
 */
"use strict";

const resonanceOverview = (() => {
  const { againstReference, interquartileMean, meanRanksOverTasks, overTasks } = resonanceStatistics;
  const { mean } = resonanceNumerics;

  /** The overview of a view: its tasks, sparsities, entries, reference (a label) and metric. */
  function overview(model, view) {
    const { tasks, entries } = model, name = view.metric;
    const chosen = (s) => view.sparsities === null || view.sparsities.includes(s);
    const boards = tasks.map((_, place) => place).filter((place) =>
      (view.tasks === null || view.tasks.includes(tasks[place].title))
      && tasks[place].sparsities.some(chosen));
    const shown = new Map(boards.map((task) => [task, tasks[task].sparsities.filter(chosen)]));
    const present = entriesOf(model, boards);
    const { scores, lacking } = scoresOf(model, name, shown, present);
    const competing = new Map([...scores].filter(([entry]) => !entries[entry].dense));
    const enough = new Map([...competing].map(([entry, byTask]) =>
      [entry, new Map([...byTask].filter(([, bySeed]) => bySeed.size >= model.minSeeds))]));
    const { members, compared } = completeBlock(model, enough);
    const inside = new Map(members.map((entry) =>
      [entry, new Map(compared.map((task) => [tasks[task].title, scores.get(entry).get(task)]))]));
    const ranks = inside.size ? meanRanksOverTasks(runsOf(inside)) : new Map();
    const reference = entries.findIndex(({ label }) => label === view.reference);
    const family = againstReference(cellsOf(model, name, shown), reference);
    const metrics = new Map(boards.map((task) =>
      [model.columnOf(task, name).name, model.columnOf(task, name)]));
    const metric = metrics.size === 1 ? [...metrics.values()][0] : null;
    const against = new Map();
    if (metric && competing.has(reference)) {
      const titled = new Map([...competing].map(([entry, byTask]) =>
        [entry, new Map([...byTask].map(([task, bySeed]) => [tasks[task].title, bySeed]))]));
      for (const claim of overTasks(titled, reference)) {
        if (claim.tasks) against.set(claim.method, claim);
      }
    }
    const rows = present.map((entry) => rowOf(
      { model, name, shown, compared, scores, ranks, family, against, lacking }, entry));
    const order = new Map(rows.map((row) => [row, orderOf(model, row, reference)]));
    rows.sort((one, other) => order.get(one)[0] - order.get(other)[0]
      || order.get(one)[1] - order.get(other)[1]);
    const first = rows.find(({ rank }) => rank !== null);
    const claims = first ? overTasks(inside, first.entry) : [];
    const tested = claims.filter(({ p }) => p !== null).length;
    const seeds = [...inside.values()].flatMap((byTask) => [...byTask.values()].map(({ size }) => size));
    return {
      sparsities: [...new Set([...shown.values()].flat())].sort((a, b) => a - b),
      boards, shown, compared, rows, metric,
      reference: family.claims.length ? view.reference : "",
      comparisons: family.tested,
      fewest: seeds.length ? Math.min(...seeds) : 0,
      most: seeds.length ? Math.max(...seeds) : 0,
      againstLeader: new Map(claims.map(({ method, comparison, verdict }) =>
        [method, comparison.leastP * tested > 0.05 ? "cannot decide" : verdict])),
    };
  }

  /** Places of the entries with a cell on one of the boards, of those that compete. */
  function entriesOf(model, boards) {
    const chosen = new Set(boards), found = new Set();
    for (const cell of model.cells) if (chosen.has(cell.task)) found.add(cell.entry);
    return model.entries.map((_, place) => place).filter((place) =>
      found.has(place) && model.competes(place));
  }

  /** Map entry → Map task → Map seed → score, more being better, and why some have none. */
  function scoresOf(model, name, shown, present) {
    const scores = new Map(), lacking = new Map();
    for (const [task, sparsities] of shown) {
      const sign = model.signOf(task, name);
      for (const entry of present) {
        const cells = sparsities.map((sparsity) => model.find(task, entry, sparsity));
        const means = seedMeans(model, cells, name, sign);
        if (means.size) {
          if (!scores.has(entry)) scores.set(entry, new Map());
          scores.get(entry).set(task, means);
        }
        if (means.size < model.minSeeds) {
          if (!lacking.has(entry)) lacking.set(entry, new Map());
          lacking.get(entry).set(task, why(cells, means.size));
        }
      }
    }
    return { scores, lacking };
  }

  /** Map seed → mean over the cells, for the seeds that all of them have. */
  function seedMeans(model, cells, name, sign) {
    const bySeed = cells.map((cell) => {
      const found = new Map();
      if (cell) {
        model.values(cell, name).forEach((x, i) => {
          if (x !== null) found.set(model.trials.seed[cell.runs[i]], sign * x);
        });
      }
      return found;
    });
    const seeds = [...bySeed[0].keys()].filter((seed) => bySeed.every((by) => by.has(seed)));
    return new Map(seeds.sort((a, b) => a - b).map((seed) =>
      [seed, mean(bySeed.map((by) => by.get(seed)))]));
  }

  /** Why there are too few seeds at all of these cells. */
  function why(cells, seeds) {
    for (const cell of cells) {
      if (!cell) return "not run";
      if (cell.runs.length) continue;
      const words = [["failed", cell.failed], ["out of date", cell.outdated],
        ["off budget", cell.off_budget], ["no update", cell.no_update]];
      return words.find(([, found]) => found.length)?.[0] ?? "not run";
    }
    return `${seeds} ${seeds === 1 ? "seed" : "seeds"}`;
  }

  /** Entries and tasks such that every one of the entries has a score on all the tasks. */
  function completeBlock(model, scores) {
    const title = (task) => model.tasks[task].title;
    const tasksOf = new Map([...scores].filter(([, byTask]) => byTask.size)
      .map(([entry, byTask]) => [entry, new Set(byTask.keys())]));
    const candidates = new Map();
    for (const one of tasksOf.values()) {
      for (const other of tasksOf.values()) {
        const common = [...one].filter((task) => other.has(task)).sort((a, b) =>
          resonanceNumerics.byCodePoint(title(a), title(b)));
        candidates.set(common.join(), common);
      }
    }
    const ordered = [...candidates.values()].sort((one, other) => {
      for (let i = 0; i < Math.min(one.length, other.length); i++) {
        const order = resonanceNumerics.byCodePoint(title(one[i]), title(other[i]));
        if (order) return order;
      }
      return one.length - other.length;
    });
    let best = { size: 0, members: [], compared: [] };
    for (const compared of ordered) {
      const members = [...tasksOf].filter(([, own]) => compared.every((task) => own.has(task)))
        .map(([entry]) => entry);
      const size = members.length * compared.length;
      if (compared.length && members.length > 1 && (size > best.size
        || (size === best.size && compared.length > best.compared.length))) {
        best = { size, members, compared };
      }
    }
    return best;
  }

  const runsOf = (scores) => new Map([...scores].map(([entry, byTask]) =>
    [entry, new Map([...byTask].map(([task, bySeed]) => [task, [...bySeed.values()]]))]));

  /** The cells of the family of comparisons in single cells; see resonanceStatistics. */
  const cellsOf = (model, name, shown) => [...shown].flatMap(([task, sparsities]) =>
    sparsities.map((sparsity) => {
      const { unit, counted } = model.columnOf(task, name);
      return { task, sparsity, scores: model.scoresAt(task, sparsity, name),
        rope: unit === "percent" ? model.data.rope : null,
        resolution: counted ? model.tasks[task].resolution : 0 };
    }));

  function rowOf({ model, name, shown, compared, scores, ranks, family, against, lacking }, entry) {
    const claims = new Map(family.claims.filter(({ method }) => method === entry)
      .map((claim) => [`${claim.task} ${claim.sparsity}`, claim]));
    const verdicts = [...claims.values()].filter(({ p }) => p !== null).map(({ verdict }) => verdict);
    const count = (which) => verdicts.filter((verdict) => verdict === which).length;
    const wins = count("better"), losses = count("worse");
    const whole = ranks.has(entry) || model.entries[entry].dense;
    return {
      entry, wins, losses, ties: verdicts.length - wins - losses, claims,
      rank: ranks.get(entry) ?? null,
      share: whole ? shareOf(model, name, compared, scores.get(entry) ?? new Map()) : null,
      cost: costOf(model, shown, entry),
      ran: [...shown].some(([task, sparsities]) =>
        sparsities.some((sparsity) => model.find(task, entry, sparsity)?.runs.length)),
      against: against.get(entry) ?? null,
      lacking: lacking.get(entry) ?? new Map(),
    };
  }

  /** The interquartile mean of runs ÷ dense on the compared tasks. */
  function shareOf(model, name, compared, scores) {
    const runs = new Map();
    for (const task of compared) {
      const { name: column, unit, better } = model.columnOf(task, name);
      const dense = model.tasks[task].dense[column];
      if (unit !== "percent" || better !== "more" || !dense || !scores.has(task)) return null;
      runs.set(model.tasks[task].title, [...scores.get(task).values()].map((x) => x / dense));
    }
    return runs.size ? interquartileMean(runs) : null;
  }

  /** The mean of training FLOPs ÷ dense over the cells that have a run. */
  function costOf(model, shown, entry) {
    const found = [...shown].flatMap(([task, sparsities]) =>
      [...new Set(sparsities.map((sparsity) => model.find(task, entry, sparsity)))]
        .filter((cell) => cell?.runs.length)
        .map((cell) => model.meanOf(cell, "training_flops"))
        .filter((x) => x !== null));
    return found.length ? found.reduce((sum, x) => sum + x, 0) / found.length : null;
  }

  /** What rows are sorted by: those without a rank by their difference from the reference. */
  function orderOf(model, { entry, rank, against, ran }, reference) {
    if (model.entries[entry].dense) return [0, 0];
    if (rank !== null) return [1, Number(rank.mean.toFixed(9))];
    const gap = against?.comparison.difference;
    if (gap) return [2, -gap.mean];
    if (entry === reference) return [2, 0];
    return [ran ? 3 : 4, 0];
  }

  return { overview };
})();
