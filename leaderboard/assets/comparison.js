/* Two rows of boards on the same terms compared, as leaderboard/method_comparison.py: `resonanceComparison`.
 *
 * `data` is what leaderboard/pages/comparison_page.py writes for a group of boards. Differences are
 * those of values, first minus second, as `of_values` of Python has them; the tests are of scores, of
 * which more is better.
 */
"use strict";

const resonanceComparison = (() => {
  const { againstReference, compareOverTasks, mean, verdict } = resonanceStatistics;
  const { boards, bySeed } = resonancePooledScores;

  /** What the rows are called in an address: by label, and as on the command line. */
  function find(data, name) {
    const named = data.entries.find(({ label }) => label === name);
    if (named) return named;
    const [words, older = ""] = name.split("@", 2);
    const [, method, settings] = /^([^:]*):?(.*)$/s.exec(words);
    const own = data.entries.filter((entry) => entry.method === method && entry.older === older);
    if (settings === "tuned") return own.find(({ tuned }) => tuned) ?? null;
    return own.find((entry) => !entry.tuned && entry.settings === settings) ?? null;
  }

  /** The row as `resonance compare` takes it. */
  function argument({ method, settings, tuned, older }) {
    const words = tuned ? `${method}:tuned` : settings ? `${method}:${settings}` : method;
    const name = older ? `${words}@${older}` : words;
    return /^[\w.:=,/@+-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  }

  /** {lines, tested, overall, verdict, missing} of two rows, named by label. */
  function compare(data, first, second) {
    const found = boards(data).flatMap((board, task) => commonCells(data, board, task, first, second));
    const cells = found.map(({ board, sparsity, mine, theirs }) => ({
      task: board.title, sparsity, rope: ropeOf(data, board.metric),
      scores: new Map([[first, mine.scores], [second, theirs.scores]]),
      resolution: resolutionOf(data, board, mine) || resolutionOf(data, board, theirs),
    }));
    const family = againstReference(cells, second);
    const lines = family.claims.map((claim, i) => lineOf(data, claim, found[i], first, second));
    const metrics = new Set(found.map(({ board }) => board.metric.name));
    const overall = lines.length > 1 && metrics.size === 1 ? overTasks(found) : null;
    return {
      lines, tested: family.tested, metrics: [...metrics], missing: missing(data, first, second),
      overall: overall && signed(overall, found[0].board.metric),
      verdict: overall ? verdict(overall, first, second) : "",
    };
  }

  /** The cells of a board in which both have a finished trial. */
  function commonCells(data, board, task, first, second) {
    const rowOf = (label) => board.rows.find(([entry]) => entry.label === label)?.[1] ?? [];
    const mine = rowOf(first), theirs = rowOf(second);
    return board.sparsities.flatMap((sparsity, place) => (mine[place] && theirs[place]
      ? [{ board, page: data.tasks[task].page, sparsity, mine: mine[place], theirs: theirs[place] }]
      : []));
  }

  const ropeOf = (data, { unit }) => (unit === "percent" ? data.rope : null);

  /** The step between possible scores: one test example, as `Cell.resolution`. */
  function resolutionOf(data, { metric }, { runs }) {
    const tested = Math.max(0, ...runs.map((i) => data.trials.tested[i]));
    return tested && metric.counted ? 1 / tested : 0;
  }

  function lineOf(data, claim, { board, page, sparsity, mine, theirs }, first, second) {
    const { metric } = board;
    const within = metric.unit === "percent" ? `${+(100 * data.rope).toPrecision(6)} points` : "";
    const seeds = [...mine.scores.keys()].filter((seed) => theirs.scores.has(seed))
      .sort((one, other) => one - other);
    const sign = metric.better === "less" ? -1 : 1;
    const meanOf = ({ scores }) =>
      (seeds.length ? sign * mean(seeds.map((seed) => scores.get(seed))) : null);
    return {
      task: board.title, page, sparsity, metric, seeds, means: [meanOf(mine), meanOf(theirs)],
      comparison: signed(claim.comparison, metric), p: claim.p, equivalenceP: claim.equivalenceP,
      decided: claim.verdict, rope: ropeOf(data, metric),
      verdict: verdict(claim.comparison, first, second,
        { p: claim.p, equivalence: claim.equivalenceP, within }),
      costs: Object.fromEntries(["training_flops", "inference_flops"].map((name) =>
        [name, [mine, theirs].map((cell) => costOf(data, board, cell, name))])),
    };
  }

  /** A cell's mean cost as a multiple of the dense network's; null where it is not known. */
  function costOf(data, board, { runs }, name) {
    const column = data.trials.values[name], dense = board.dense[name];
    const found = (column ? runs.map((i) => column[i]) : []).filter((x) => x !== null);
    return found.length && dense ? mean(found) / dense : null;
  }

  /** A comparison of scores as one of values, which go the other way where less is better. */
  function signed(found, { better }) {
    if (better !== "less" || found.difference === null) return found;
    const { mean: middle, low, high, n } = found.difference;
    const turned = (x) => (x === null ? null : -x);
    return { ...found, effect: turned(found.effect),
      difference: { mean: -middle, low: turned(high), high: turned(low), n } };
  }

  /** Over all tasks, of the seeds' means over the sparsities that both have. */
  function overTasks(found) {
    const sides = [new Map(), new Map()];
    for (const title of new Set(found.map(({ board }) => board.title))) {
      const own = found.filter(({ board }) => board.title === title);
      sides[0].set(title, bySeed(own.map(({ mine }) => mine)));
      sides[1].set(title, bySeed(own.map(({ theirs }) => theirs)));
    }
    return compareOverTasks(...sides);
  }

  /** Cells of either without a result because connectivity was never updated, in words. */
  function missing(data, first, second) {
    const labels = [first, second];
    return data.marks.flatMap(({ task, entry, sparsity, no_update: reasons }) => {
      const { label } = data.entries[entry];
      const has = data.trials.key.some((_, i) => data.trials.task[i] === task
        && data.trials.entry[i] === entry && data.trials.sparsity[i] === sparsity);
      if (!labels.includes(label) || !reasons.length || has) return [];
      return [`${data.tasks[task].title} at ${sparsity}: ${label} has no result there (${reasons[0]})`];
    });
  }

  return { argument, compare, find };
})();
