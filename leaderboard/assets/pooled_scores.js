/* Scores pooled over sparsities, as leaderboard/pooled_scores.py: `resonancePooledScores`.
 *
 * Boards are rebuilt from the content of the page (see leaderboard/page_data.py): a board is {title,
 * metric, resolution, flops_budget, dense, sparsities, rows}, a row [entry, cells], a cell {runs,
 * scores}: indices into the list of trials, and scores by seed, of which more is better: values of
 * the metric, a column, that are negated if less is. Without a finished trial a cell is null.
 */
"use strict";

const resonancePooledScores = (() => {
  const { mean } = resonanceStatistics;
  const made = new WeakMap();

  /** The boards of a page, made once. */
  function boards(data) {
    if (!made.has(data)) made.set(data, makeBoards(data));
    return made.get(data);
  }

  function makeBoards({ tasks, columns, entries, trials }) {
    const metrics = tasks.map(({ score }) => columns.find(({ name }) => name === score));
    const cells = tasks.map(() => entries.map(() => new Map()));
    trials.key.forEach((_, i) => {
      const bySparsity = cells[trials.task[i]][trials.entry[i]], sparsity = trials.sparsity[i];
      if (!bySparsity.has(sparsity)) bySparsity.set(sparsity, { runs: [], scores: new Map() });
      const cell = bySparsity.get(sparsity);
      cell.runs.push(i);
      const { name, better } = metrics[trials.task[i]];
      cell.scores.set(trials.seed[i], (better === "less" ? -1 : 1) * trials.values[name][i]);
    });
    return tasks.map(({ title, resolution, flops_budget, dense, sparsities }, task) => ({
      title, metric: metrics[task], resolution, flops_budget, dense, sparsities,
      rows: entries.map((entry, place) => [entry, sparsities.map((sparsity) =>
        cells[task][place].get(entry.dense ? null : sparsity) ?? null)]),
    }));
  }

  /** Map label → Map task → Map seed → score, of entries named by label; null stands for all. */
  function pooledScores(boards, labels = null, sparsities = null) {
    const scores = new Map();
    for (const board of boards) {
      const places = board.sparsities.flatMap((sparsity, place) =>
        (sparsities === null || sparsities.includes(sparsity) ? [place] : []));
      for (const [entry, cells] of places.length ? board.rows : []) {
        if (labels !== null && !labels.has(entry.label)) continue;
        const found = bySeed(places.map((place) => cells[place]));
        if (!found.size) continue;
        if (!scores.has(entry.label)) scores.set(entry.label, new Map());
        scores.get(entry.label).set(board.title, found);
      }
    }
    return scores;
  }

  /** Map seed → mean over the cells, for the seeds that all of them have; as `seed_means`. */
  function bySeed(cells) {
    if (cells.includes(null)) return new Map();
    const [first, ...rest] = cells;
    const seeds = [...first.scores.keys()].filter((seed) =>
      rest.every((cell) => cell.scores.has(seed))).sort((one, other) => one - other);
    return new Map(seeds.map((seed) => [seed, mean(cells.map((cell) => cell.scores.get(seed)))]));
  }

  return { boards, bySeed, pooledScores };
})();
