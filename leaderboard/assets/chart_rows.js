/* The rows of the charts, from the content of the page and a selection: `resonanceChartRows`.
 *
 * Mirrors leaderboard/chart_rows.py function by function; see its docstrings. A selection is {entries,
 * tasks, sparsities}: lists of labels, titles and numbers; null stands for all. Among competitors,
 * all excludes the dense network. Needs pooled_scores.js.
 */
"use strict";

const resonanceChartRows = (() => {
  const {
    againstReference, averageRanks, interquartileMean, meanInterval, paretoFront, performanceProfile, ratings,
    winRates,
  } = resonanceStatistics;
  const { byCodePoint, mean } = resonanceNumerics;
  const { pooledScores } = resonancePooledScores;

  const THRESHOLDS = 60;
  const ROPE = 0.005;  // DEFAULT_ROPE of leaderboard/score_text.py, as a fraction
  const UNBOUNDED = ["test_r2"];
  const ROBUST = [
    ["test_accuracy_corrupted", "corrupted images"],
    ["test_accuracy_fgsm_8_255", "FGSM, ε = 8/255"],
  ];
  const CALIBRATION = [["test_ece", "ECE"], ["test_nll", "NLL (nats)"]];

  const competes = ({ entries }, entry) =>
    (entries === null ? !entry.dense : entries.includes(entry.label));

  /** Whether values of a metric are fractions of 1 of which more is better. */
  const isFraction = ({ unit, better }) => unit === "percent" && better === "more";

  const boardsOf = (data, { tasks }) =>
    resonancePooledScores.boards(data).filter(({ title }) => tasks === null || tasks.includes(title));

  const byAccuracy = (data, selection, ranked = true) =>
    boardsOf(data, selection).filter(({ metric }) => (metric.name === "test_accuracy") === ranked);

  const accuracy = (data, selection) =>
    againstSparsity(data, byAccuracy(data, selection), selection, "accuracy");

  function score(data, selection) {
    const boards = byAccuracy(data, selection, false);
    const named = new Map(boards.map(({ title, metric }) => [title, inWords(metric)]));
    return againstSparsity(data, boards, selection, "value").map((row) =>
      ({ metric: named.get(row.task), ...row }));
  }

  /** A metric with its unit and its direction, as `caption` of leaderboard/score_text.py. */
  const inWords = ({ title, unit, better }) =>
    `${title}${unit === "percent" ? " in %" : ""}; ${
      better === "less" ? "lower" : "higher"} is better`;

  function againstSparsity(data, boards, selection, name) {
    return boards.flatMap((board) => {
      const here = cellsOf(board, selection).map(([entry, sparsity, cell]) => ({
        ...placeOf(board, entry), sparsity, n: cell.runs.length,
        ...spread(name, intervalOf(valuesOf(data, cell, board.metric.name), board, name),
          endsOf(board.metric, name)),
      }));
      return here.some(({ sparsity }) => sparsity !== null) ? here : [];
    });
  }

  /** The mean of values as a chart shows them, of `score` in per cent, with its interval. */
  function intervalOf(values, { metric, resolution }, name) {
    const factor = metric.unit === "percent" && name === "value" ? 100 : 1;
    return meanInterval(values.map((x) => factor * x), { resolution: factor * resolution });
  }

  function cost(data, selection) {
    const boards = byAccuracy(data, selection).filter(({ flops_budget }) => !flops_budget);
    return boards.flatMap((board) => {
      const dense = board.dense.training_flops ?? null, here = [];
      for (const [entry, sparsity, cell] of cellsOf(board, selection)) {
        const flops = meanOf(data, cell, "training_flops");
        if (dense === null || flops === null) continue;
        here.push({
          ...placeOf(board, entry), sparsity, cost: flops / dense,
          accuracy: meanOf(data, cell, board.metric.name), n: cell.runs.length,
        });
      }
      const front = new Set(paretoFront(here.map((row) => row.cost), here.map((row) => row.accuracy)));
      return here.map((row, place) => ({ ...row, front: front.has(place) }));
    });
  }

  function rating(data, selection) {
    const runs = runsOf(data, selection);
    if (runs.size < 2) return [];
    const families = familiesOf(data), found = ratings(runs);
    return bestFirst(over(found, ({ mean }) => mean)).map((label) => {
      const row = { entry: label, family: families.get(label) }, rated = found.get(label);
      return { ...row, ...spread("rating", rated), tasks: rated.n };
    });
  }

  function winRate(data, selection) {
    const runs = runsOf(data, selection);
    if (runs.size < 2) return [];
    const found = winRates(runs);
    const order = bestFirst(over(found, (rates) =>
      (rates.size ? mean([...rates.values()].map((rate) => rate.mean)) : 0)));
    const nothing = { mean: null, low: null, high: null };
    return order.flatMap((row) => order.map((column) => (
      { row, column, ...spread("probability", found.get(row).get(column) ?? nothing) })));
  }

  function ranks(data, selection) {
    const runs = commonOf(runsOf(data, selection));
    if (runs.size < 2) return [];
    const families = familiesOf(data);
    const found = averageRanks(over(runs, (tasks) => over(tasks, mean)));
    const rankOf = (label) => found.average.get(label);
    const order = [...found.average.keys()].sort((one, other) => rankOf(one) - rankOf(other));
    const rows = [{
      kind: "test", p: found.p, critical_difference: found.criticalDifference,
      decides: found.decides, tasks: found.tasks, level: 0,
    }];
    found.groups.forEach((group, place) => {
      const inside = group.map(rankOf);
      rows.push({
        kind: "group", from: Math.min(...inside), to: Math.max(...inside), level: place + 1 });
    });
    const half = Math.ceil(order.length / 2);
    order.forEach((label, place) => {
      const left = place < half;
      rows.push({
        kind: "method", entry: label, family: families.get(label), rank: rankOf(label),
        side: left ? "left" : "right",
        level: found.groups.length + 1 + (left ? place : order.length - 1 - place),
      });
    });
    return rows;
  }

  function profile(data, selection) {
    const runs = commonOf(sharesOfDense(data, selection));
    const scores = [...runs.values()].flatMap((tasks) => [...tasks.values()].flat());
    if (!scores.length) return [];
    const families = familiesOf(data);
    const least = scores.reduce((one, other) => Math.min(one, other));
    const most = scores.reduce((one, other) => Math.max(one, other));
    const low = Math.floor(least * 50) / 50, high = Math.ceil(most * 100) / 100;
    const thresholds = Array.from(
      { length: THRESHOLDS + 1 }, (_, i) => low + ((high - low) * i) / THRESHOLDS);
    return [...runs].flatMap(([label, tasks]) =>
      performanceProfile(tasks, thresholds).map((interval, i) => ({
        entry: label, family: families.get(label), threshold: thresholds[i],
        ...spread("share", interval),
      })));
  }

  function iqm(data, selection) {
    const families = familiesOf(data);
    const found = over(commonOf(sharesOfDense(data, selection)), (tasks) => interquartileMean(tasks));
    return bestFirst(over(found, ({ mean }) => mean)).map((label) => ({
      entry: label, family: families.get(label), ...spread("mean", found.get(label)),
      n: found.get(label).n,
    }));
  }

  function controls(data, selection) {
    const cells = [], pairs = [];
    for (const board of boardsOf(data, selection)) {
      if (!isFraction(board.metric)) continue;
      const entries = board.rows.map(([entry]) => entry).sort((one, other) =>
        byCodePoint(one.label, other.label));
      for (const control of entries) {
        for (const method of entries.filter(({ label }) => control.control_of.includes(label))) {
          if (!competes(selection, control) || !competes(selection, method)) continue;
          for (const cell of controlCells(board, selection, method, control)) {
            cells.push(cell);
            pairs.push([method, control]);
          }
        }
      }
    }
    const { claims } = againstReference(cells, "control");
    const rows = claims.flatMap(({ task, sparsity, comparison: { difference }, verdict }, i) => {
      if (!difference) return [];
      const [{ label: method, family }, { label: control }] = pairs[i], points = { n: difference.n };
      for (const end of ["mean", "low", "high"]) {
        points[end] = difference[end] === null ? null : 100 * difference[end];
      }
      return [{ method, family, control, task, sparsity,
        ...spread("difference", points, [-100, 100]), n: difference.n, verdict }];
    });
    return rows.sort((one, other) =>
      byCodePoint(one.method, other.method) || byCodePoint(one.control, other.control));
  }

  function controlCells(board, { sparsities }, method, control) {
    const byEntry = new Map(board.rows);
    return board.sparsities.flatMap((sparsity, place) => {
      if (sparsities !== null && !sparsities.includes(sparsity)) return [];
      const scores = new Map();
      for (const [name, entry] of [["control", control], ["method", method]]) {
        const cell = byEntry.get(entry)[place];
        if (cell) scores.set(name, cell.scores);
      }
      return scores.size < 2 ? [] : [{
        task: board.title, sparsity, scores, rope: ROPE, resolution: board.resolution }];
    });
  }

  function robustness(data, selection) {
    return ROBUST.flatMap(([name, measure]) => measured(data, selection, name).map(
      ({ board, entry, sparsity, cell, values }) => ({
        ...placeOf(board, entry), sparsity, measure,
        accuracy: meanOf(data, cell, board.metric.name),
        robust: mean(values), n: values.length,
      })));
  }

  function calibration(data, selection) {
    return CALIBRATION.flatMap(([name, measure]) => measured(data, selection, name).map(
      ({ board, entry, sparsity, cell, values }) => ({
        ...placeOf(board, entry), sparsity, measure, n: values.length,
        accuracy: meanOf(data, cell, board.metric.name),
        ...spread("value", meanInterval(values), 
          endsOf(data.columns.find((column) => column.name === name), name)),
      })));
  }

  /** The cells in which a column was measured. */
  function measured(data, selection, name) {
    return byAccuracy(data, selection).flatMap((board) =>
      cellsOf(board, selection).flatMap(([entry, sparsity, cell]) => {
        const values = valuesOf(data, cell, name);
        return values.length ? [{ board, entry, sparsity, cell, values }] : [];
      }));
  }

  function cellsOf(board, selection) {
    const { sparsities } = selection, found = [];
    for (const [entry, cells] of board.rows) {
      if (entry.dense) {
        if (cells[0]) found.push([entry, null, cells[0]]);
      } else if (competes(selection, entry)) {
        cells.forEach((cell, place) => {
          const sparsity = board.sparsities[place];
          const wanted = sparsities === null || sparsities.includes(sparsity);
          if (wanted && cell) found.push([entry, sparsity, cell]);
        });
      }
    }
    return found.sort(([one], [other]) => byCodePoint(one.label, other.label));
  }

  const placeOf = (board, entry) =>
    ({ task: board.title, entry: entry.label, family: entry.family });

  /** A mean and its interval, which ends where possible values do. */
  function spread(name, { mean, low, high }, [least, most] = [-Infinity, Infinity]) {
    const within = (x) => (x === null ? null : Math.min(Math.max(x, least), most));
    return { [name]: mean, low: within(low), high: within(high) };
  }

  /** The least and the greatest value that a metric can have, as a chart shows it. */
  function endsOf({ unit, name: metric }, name) {
    if (unit === "percent") return [0, name === "value" ? 100 : 1];
    return UNBOUNDED.includes(metric) ? [-Infinity, 1] : [0, Infinity];
  }

  const valuesOf = (data, cell, name) => {
    const column = data.trials.values[name] ?? [];
    return cell.runs.map((i) => column[i] ?? null).filter((value) => value !== null);
  };

  function meanOf(data, cell, name) {
    const values = valuesOf(data, cell, name);
    return values.length ? mean(values) : null;
  }

  const familiesOf = (data) => new Map(data.entries.map(({ label, family }) => [label, family]));

  /** Map key → make(value, key). */
  const over = (known, make) => new Map([...known].map(([key, value]) => [key, make(value, key)]));

  const inOrder = (known) =>
    new Map([...known].sort(([one], [other]) => byCodePoint(one, other)));

  function runsOf(data, selection) {
    const labels = data.entries.filter((entry) => competes(selection, entry));
    const scores = pooledScores(
      boardsOf(data, selection), new Set(labels.map(({ label }) => label)), selection.sparsities);
    return inOrder(over(scores, (tasks) => inOrder(over(tasks, (bySeed) => [...bySeed.values()]))));
  }

  function sharesOfDense(data, selection) {
    const dense = new Map(boardsOf(data, selection).filter(({ metric }) => isFraction(metric)).map((board) =>
      [board.title, board.dense[board.metric.name]]));
    const shares = over(runsOf(data, selection), (tasks) =>
      new Map([...tasks].filter(([task]) => dense.get(task)).map(([task, scores]) =>
        [task, scores.map((score) => score / dense.get(task))])));
    return new Map([...shares].filter(([, tasks]) => tasks.size));
  }

  function commonOf(runs) {
    const having = new Map();
    for (const tasks of runs.values()) {
      for (const task of tasks.keys()) having.set(task, (having.get(task) ?? 0) + 1);
    }
    const common = [...having].flatMap(([task, n]) => (2 * n >= runs.size ? [task] : []));
    common.sort(byCodePoint);
    const complete = [...runs].filter(([, tasks]) =>
      common.length && common.every((task) => tasks.has(task)));
    return new Map(complete.map(([label, tasks]) =>
      [label, new Map(common.map((task) => [task, tasks.get(task)]))]));
  }

  function bestFirst(values) {
    const rounded = over(values, (value) => Math.floor(value * 1e6 + 0.5));
    return [...values.keys()].sort((one, other) =>
      rounded.get(other) - rounded.get(one) || byCodePoint(one, other));
  }

  return {
    accuracy, score, cost, controls, rating, win_rate: winRate, ranks, profile, iqm, robustness, calibration,
  };
})();
