/* The cells of the page, with what is computed from their trials, cached: `resonanceModel`.
 *
 * A cell is {task, entry, sparsity, runs, failed, outdated, off_budget, no_update}: places in the lists of tasks, entries
 * and trials that leaderboard/page_data.py describes; the sparsity of a dense network is null. Ranks
 * depend on who competes and on what is shown, which is what they are corrected over; they
 * are dropped when either changes.
 */
"use strict";

const resonanceModel = (() => {
  const { allPairs, mean, meanInterval, pairTests } = resonanceStatistics;

  function load(data) {
    const { tasks, entries, trials, min_seeds: minSeeds, sparsity_tolerance: tolerance } = data;
    const columns = new Map(data.columns.map((column) => [column.name, column]));
    const cells = [], byPlace = new Map();
    let pairs = new Map(), ranks = new Map();
    let competing = null, limits = null;

    function cellAt(task, entry, sparsity) {
      const place = `${task} ${entry} ${sparsity}`;
      if (!byPlace.has(place)) {
        const cell = { task, entry, sparsity, runs: [], failed: [], outdated: [], off_budget: [], no_update: [],
          means: new Map(), intervals: new Map() };
        byPlace.set(place, cell);
        cells.push(cell);
      }
      return byPlace.get(place);
    }
    trials.key.forEach((_, i) => {
      cellAt(trials.task[i], trials.entry[i], trials.sparsity[i]).runs.push(i);
    });
    for (const { task, entry, sparsity, failed, outdated, off_budget, no_update } of data.marks) {
      Object.assign(cellAt(task, entry, sparsity), { failed, outdated, off_budget, no_update });
    }
    for (const cell of cells) cell.runs.sort((i, j) => trials.seed[i] - trials.seed[j]);

    /** The cell of an entry at a sparsity of a task; a dense network's is that of every sparsity. */
    const find = (task, entry, sparsity) =>
      byPlace.get(`${task} ${entry} ${entries[entry].dense ? null : sparsity}`) ?? null;

    /** The column that is shown for a task: of what each task ranks by, the task's own. */
    const columnOf = (task, name) =>
      columns.get(name === "score" ? tasks[task].score : name);

    /** 1, or −1 where less is better. */
    const signOf = (task, name) => (columnOf(task, name).better === "less" ? -1 : 1);

    /** The divisor of a column's values; NaN if there is none. */
    function unitOf(cell, name) {
      if (!columns.get(name).to_dense) return 1;
      return tasks[cell.task].dense[name] ?? NaN;
    }

    /** The values of a cell's runs in a column as it is shown, null where there is none.
     * A column that no trial has a value in is not in the data. */
    function values(cell, name) {
      const column = trials.values[name];
      if (!column) return cell.runs.map(() => null);
      const unit = unitOf(cell, name);
      return cell.runs.map((i) =>
        (column[i] === null || Number.isNaN(unit) ? null : column[i] / unit));
    }

    const remember = (known, name, make) => {
      if (!known.has(name)) known.set(name, make());
      return known.get(name);
    };
    const present = (cell, name) => values(cell, name).filter((x) => x !== null);

    const meanOf = (cell, name) => remember(cell.means, name, () => {
      const found = present(cell, name);
      return found.length ? mean(found) : null;
    });

    const intervalOf = (cell, name) => remember(cell.intervals, name, () => {
      const found = present(cell, name);
      const resolution = columnOf(cell.task, name)?.counted ? tasks[cell.task].resolution : 0;
      return found.length ? meanInterval(found, { resolution }) : null;
    });

    /** Who competes: a set of places of entries, or null for all. */
    function compete(chosen) {
      competing = chosen;
      pairs = new Map();
      limit(limits);
    }

    /** What is shown, and compared as one family: [task, sparsity] of each column; null for all. */
    function limit(places) {
      limits = places;
      ranks = new Map();
    }
    const everywhere = tasks.flatMap(({ sparsities }, task) => sparsities.map((s) => [task, s]));
    const shown = () => limits ?? everywhere;
    const competes = (entry) => competing === null || competing.has(entry);

    /** Map entry → Map seed → value, more being better, of those that compete. */
    function scoresAt(task, sparsity, name) {
      const sign = { more: 1, less: -1 }[columnOf(task, name).better], among = new Map();
      if (!sign) return among;
      entries.forEach((entry, place) => {
        const cell = entry.dense || !competes(place) ? null : find(task, place, sparsity);
        const found = cell ? values(cell, name) : [];
        const bySeed = new Map();
        found.forEach((x, i) => {
          if (x !== null) bySeed.set(trials.seed[cell.runs[i]], sign * x);
        });
        if (bySeed.size) among.set(place, bySeed);
      });
      return among;
    }

    /** Map entry → [best, worst] at a sparsity; corrected over all that is shown. */
    function ranksAt(task, sparsity, name) {
      const found = remember(ranks, name, () => {
        const cells = shown().map(([t, s]) => scoresAt(t, s, name));
        const tests = shown().map(([t, s], i) =>
          remember(pairs, `${t} ${s} ${name}`, () => pairTests(cells[i])));
        return new Map(allPairs(cells, tests).ranks.map((ofCell, i) =>
          [shown()[i].join(" "), ofCell]));
      });
      return found.get(`${task} ${sparsity}`) ?? new Map();
    }

    /** [best, worst] rank; null where nothing is claimed. */
    function rankOf(cell, name) {
      if (cell.sparsity === null || present(cell, name).length < minSeeds) return null;
      return ranksAt(cell.task, cell.sparsity, name).get(cell.entry) ?? null;
    }

    /** Whether no other is shown to be better and at least half are shown to be worse. */
    function isBest(cell, name) {
      const rank = rankOf(cell, name);
      if (!rank || rank[0] !== 1) return false;
      const number = ranksAt(cell.task, cell.sparsity, name).size;
      return number > 1 && 2 * (number - rank[1]) >= number - 1;
    }

    /** The realised sparsity of a cell; null where sparsity is not a fraction of zeros. */
    const zerosOf = (cell) =>
      (cell && entries[cell.entry].zeros ? meanOf(cell, "realised_sparsity") : null);

    return {
      data, tasks, entries, trials, columns, minSeeds, cells, find, values, meanOf, intervalOf,
      columnOf, signOf, scoresAt, compete, competes, limit, rankOf, isBest,
      marks: (cell) => marks(cell, minSeeds, zerosOf(cell), tolerance),
      has: (name) => Boolean(trials.values[name]?.some((x) => x !== null)),
    };
  }

  /** Warnings about a cell: {kind, sign, reason}. As `marks` of leaderboard/summary_table.py. */
  function marks(cell, minSeeds, zeros, tolerance) {
    if (!cell) return [{ kind: "missing", sign: "–", reason: "not run: there is no trial" }];
    const found = [], n = cell.runs.length;
    if (n > 0 && n < minSeeds) {
      const reason = `n = ${n}: fewer than ${minSeeds} seeds support no claim`;
      found.push({ kind: "few", sign: `n=${n}`, reason });
    }
    if (zeros !== null && Math.abs(zeros - cell.sparsity) > tolerance) {
      const share = `${(100 * zeros).toFixed(1)} %`, nominal = +(100 * cell.sparsity).toPrecision(6);
      const reason = `${share} of the weights are zero, not the nominal ${nominal} %`;
      found.push({ kind: "off", sign: `s=${share}`, reason });
    }
    for (const [kind, sign, word, reasons] of [
      ["failed", "✕", "failed", cell.failed],
      ["outdated", "↺", "out of date", cell.outdated],
    ]) {
      if (!reasons.length) continue;
      const reason = `${reasons.length} ${word}: ${[...new Set(reasons)].join("; ")}`;
      found.push({ kind, sign: `${sign}${reasons.length}`, reason });
    }
    if (cell.off_budget.length) {
      const words = [...new Set(cell.off_budget)].join("; ");
      const reason = `${cell.off_budget.length} not counted: ${words}`;
      found.push({ kind: "off-budget", sign: "off budget", reason });
    }
    if (cell.no_update.length) {
      const words = [...new Set(cell.no_update)].join("; ");
      const reason = `${cell.no_update.length} not counted as trials of the method: ${words}`;
      found.push({ kind: "no-update", sign: "no update", reason });
    }
    return found;
  }

  return { load };
})();
