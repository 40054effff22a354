/* Statistics over tasks, equal to Python's: the rest of `resonanceStatistics`.
 *
 * Mirrors aggregates.py and proportions.py of leaderboard/statistics/ function by function; needs
 * numerics.js and statistics.js. Scores are Map method → Map task → array of runs, higher being better.
 */
"use strict";

Object.assign(resonanceStatistics, (() => {
  const {
    ascendingOrder, byCodePoint, chiSquareP, commonTasks, counts, indices, mean, pairsOf, plainSum,
    root, studentizedRange, sum,
  } = resonanceNumerics;
  const {
    NORMAL_QUANTILE, RESAMPLES, addResampledMeans, bootstrapInterval,
  } = resonanceStatistics;
  const MIN_TASKS = 4;
  const ELO = 400 / Math.log(10);

  const inOrder = (runs) => [...runs.keys()].sort(byCodePoint).map((task) => runs.get(task));

  // Short functions for the loops, because a browser compiles these best.

  /** Count which of n items are in row `d` of `drawn`. */
  function tally(found, drawn, d, n, offset) {
    for (let i = d * n; i < (d + 1) * n; i++) found[offset + drawn[i]]++;
  }

  /** Sum those drawn but the `cut` smallest and the `cut` largest. */
  function middleSum(found, order, sorted, cut) {
    const last = sorted.length - cut;
    let total = 0, from = 0;
    for (let place = 0; place < sorted.length && from < last; place++) {
      const to = from + found[order[place]];
      const kept = (to < last ? to : last) - (from > cut ? from : cut);
      if (kept > 0) total += kept * sorted[place];
      from = to;
    }
    return total;
  }

  function interquartileMean(runs, { seed = 0, draws = RESAMPLES } = {}) {
    const tasks = inOrder(runs), scores = tasks.flatMap((task) => [...task]), n = scores.length;
    const cut = Math.floor(0.25 * n);
    const order = Uint32Array.from(ascendingOrder(scores));
    const sorted = Float64Array.from(order, (i) => scores[i]);
    const spread = new Float64Array(draws), found = new Uint32Array(n);
    const drawn = tasks.map((task, stream) => indices(seed, draws, task.length, stream));
    for (let d = 0; d < draws; d++) {
      found.fill(0);
      for (let t = 0, offset = 0; t < tasks.length; t++) {
        tally(found, drawn[t], d, tasks[t].length, offset);
        offset += tasks[t].length;
      }
      spread[d] = middleSum(found, order, sorted, cut) / (n - 2 * cut);
    }
    const strata = tasks.map((task) => task.length);
    return bootstrapInterval(mean(sorted.slice(cut, n - cut)), spread, strata);
  }

  function performanceProfile(runs, thresholds) {
    const tasks = inOrder(runs), sizes = tasks.map((scores) => scores.length);
    return Array.from(thresholds, (threshold) => {
      const share = mean(tasks.map((scores) =>
        scores.filter((x) => x > threshold).length / scores.length));
      return proportion(share, shareInterval(share, sizes), sizes);
    });
  }

  /** A share with its interval; with none if a stratum has a single run. */
  function proportion(share, interval, sizes) {
    const [low, high] = Math.min(...sizes) > 1 ? interval : [null, null];
    return { mean: share, low, high, n: plainSum(sizes) };
  }

  // ------------------------------------------------------------------ proportions.py

  function shareInterval(share, sizes) {
    const n = sizes.length ** 2 / sum(sizes.map((size) => 1 / size)), square = NORMAL_QUANTILE ** 2;
    const middle = (share + square / (2 * n)) / (1 + square / n);
    const half = (NORMAL_QUANTILE * Math.sqrt((share * (1 - share)) / n + square / (4 * n * n)))
      / (1 + square / n);
    return [share === 0 ? 0 : middle - half, share === 1 ? 1 : middle + half];
  }

  /** `sizes` are [runs of the first, runs of the second] of each stratum. */
  function winInterval(share, sizes) {
    const square = NORMAL_QUANTILE ** 2 / sizes.length ** 2;
    const beyond = (theta) => {
      const spread = (1 - theta) / (2 - theta) + theta / (1 + theta);
      const variance = plainSum(sizes.map(([n, m]) =>
        (1 + ((n + m) / 2 - 1) * spread) / (n * m)));
      return (theta - share) ** 2 - square * theta * (1 - theta) * variance;
    };
    return [root((theta) => -beyond(theta), 0, share), root(beyond, share, 1)];
  }

  /** [n · m]: 1 where a run of the first is above one of the second, ½ where equal. */
  function won(first, second) {
    return Float64Array.from({ length: first.length * second.length }, (_, at) => {
      const x = first[Math.floor(at / second.length)], y = second[at % second.length];
      return x > y ? 1 : x === y ? 0.5 : 0;
    });
  }

  function probabilityOfImprovement(first, second) {
    const tasks = commonTasks(first, second);
    if (!tasks.length) throw new RangeError("the two have no task in common");
    const sizes = tasks.map((task) => [first.get(task).length, second.get(task).length]);
    const share = mean(tasks.map((task, i) =>
      plainSum(won(first.get(task), second.get(task))) / (sizes[i][0] * sizes[i][1])));
    const found = proportion(share, winInterval(share, sizes), sizes.flat());
    return { ...found, n: plainSum(sizes.map(([n]) => n)) };
  }

  /** Map row → Map column → Interval. */
  function winRates(scores) {
    const found = new Map([...scores.keys()].map((method) => [method, new Map()]));
    for (const [one, other] of pairsOf([...scores.keys()])) {
      const tasks = commonTasks(scores.get(one), scores.get(other));
      if (!tasks.length) continue;
      const rate = probabilityOfImprovement(scores.get(one), scores.get(other));
      const n = plainSum(tasks.map((task) => scores.get(other).get(task).length));
      const [low, high] = [rate.high, rate.low].map((x) => (x === null ? null : 1 - x));
      found.get(one).set(other, rate);
      found.get(other).set(one, { mean: 1 - rate.mean, low, high, n });
    }
    return found;
  }

  /** Ranks of values, the largest first; equal ones share the mean of their ranks. */
  const ranksOf = (values) => values.map((x) =>
    plainSum(values.map((y) => (y > x ? 1 : y === x ? 0.5 : 0))) + 0.5);

  const RANK_DRAWS = 2000, ALIKE = 1e-9;

  /** Map method → interval of its mean rank; scores as for `ratings`, of the same tasks. */
  function meanRanksOverTasks(scores, { seed = 0 } = {}) {
    const methods = [...scores.keys()], k = methods.length;
    const tasks = [...new Set(methods.flatMap((method) => [...scores.get(method).keys()]))].sort(byCodePoint);
    if (!tasks.length || methods.some((method) => scores.get(method).size !== tasks.length)) {
      throw new RangeError("mean ranks need methods that all have the same tasks");
    }
    const observed = new Float64Array(k), sizes = [];
    const drawn = methods.map(() => new Float64Array(RANK_DRAWS));
    tasks.forEach((task, stream) => {
      const values = methods.map((method) => scores.get(method).get(task));
      sizes.push(Math.min(...values.map((one) => one.length)));
      addRanks(values.map(mean), tasks.length, (i, rank) => { observed[i] += rank; });
      const spread = values.map((one) => {
        const found = new Float64Array(RANK_DRAWS);
        addResampledMeans(found, one, 1, seed, stream);
        return found;
      });
      const means = new Float64Array(k);
      for (let d = 0; d < RANK_DRAWS; d++) {
        for (let i = 0; i < k; i++) means[i] = spread[i][d];
        addRanks(means, tasks.length, (i, rank) => { drawn[i][d] += rank; });
      }
    });
    return new Map(methods.map((method, i) =>
      [method, bootstrapInterval(observed[i], drawn[i], sizes, [1, k])]));
  }

  /** Call `add` with the rank of each mean, divided by the number of tasks. */
  function addRanks(means, tasks, add) {
    const steps = Array.from(means, (x) => Math.round(x / ALIKE));
    for (let i = 0; i < steps.length; i++) {
      let above = 0, equal = 0;
      for (let j = 0; j < steps.length; j++) {
        if (steps[j] > steps[i]) above++;
        else if (steps[j] === steps[i]) equal++;
      }
      add(i, (above + equal / 2 + 0.5) / tasks);
    }
  }

  /** `means` is Map method → Map task → mean score. */
  function averageRanks(means) {
    const methods = [...means.keys()], k = methods.length;
    const tasks = k ? [...means.get(methods[0]).keys()].filter((task) =>
      methods.every((method) => means.get(method).has(task))) : [];
    const n = tasks.length;
    if (k < 2 || !n) {
      throw new RangeError("ranks need two methods and a task that all of them have");
    }
    const ranks = tasks.map((task) => ranksOf(methods.map((m) => means.get(m).get(task))));
    const sums = methods.map((_, i) => plainSum(ranks.map((row) => row[i])));
    let p = null;
    if (k >= 3 && n >= 2) {
      // Friedman's statistic, corrected for ties, as SciPy's.
      const squares = plainSum(sums.map((x) => x * x));
      const statistic = (12 / (k * n * (k + 1))) * squares - 3 * n * (k + 1);
      const tied = plainSum(ranks.map((row) => plainSum(row.map((x) => {
        const equal = row.filter((y) => y === x).length;
        return equal * equal - 1;  // over the tied ones: t³ − t
      }))));
      const untied = 1 - tied / (k * (k * k - 1) * n);
      p = untied === 0 ? 1 : chiSquareP(statistic / untied, k - 1);
    }
    const difference = (studentizedRange(k) / Math.SQRT2) * Math.sqrt((k * (k + 1)) / (6 * n));
    const average = sums.map((x) => x / n);
    const order = ascendingOrder(average);
    const groups = [], decides = k - 1 > difference;
    let end = 0;
    for (let start = 0; start < (decides ? k : 0); start++) {
      const bar = average[order[start]] + difference;
      const last = order.filter((i) => average[i] <= bar).length;
      if (last > Math.max(end, start + 1)) {
        groups.push(order.slice(start, last).map((i) => methods[i]));
        end = last;
      }
    }
    const byMethod = new Map(methods.map((method, i) => [method, average[i]]));
    return { average: byMethod, p, criticalDifference: difference, groups, tasks: n, decides };
  }

  /** Map method → Interval, in Elo points. */
  function ratings(scores, { seed = 0, draws = 1000, prior = 0.5 } = {}) {
    const methods = [...scores.keys()].sort(byCodePoint), k = methods.length;
    const tasks = [...new Set(methods.flatMap((method) => [...scores.get(method).keys()]))];
    tasks.sort(byCodePoint);
    if (!tasks.length) throw new RangeError("ratings need a task");
    const wins = tasks.map((task) => {
      const table = new Float64Array(k * k);
      const runs = methods.map((method) => scores.get(method).get(task));
      for (let i = 0; i < k; i++) {
        for (let j = 0; j < k; j++) {
          if (i === j || !runs[i] || !runs[j]) continue;
          table[i * k + j] = plainSum(won(runs[i], runs[j])) / (runs[i].length * runs[j].length);
        }
      }
      return table;
    });
    const fit = bradleyTerry(k, prior), total = new Float64Array(k * k);
    const rate = (times) => {
      total.fill(0);
      wins.forEach((table, task) => {
        const often = times(task);
        if (often) for (let at = 0; at < k * k; at++) total[at] += often * table[at];
      });
      return fit(total);
    };
    const n = tasks.length, values = Array.from(rate(() => 1));
    if (n < MIN_TASKS) {
      return new Map(methods.map((method, i) =>
        [method, { mean: values[i], low: null, high: null, n }]));
    }
    const chosen = counts(seed, draws, n, 0), spread = methods.map(() => new Float64Array(draws));
    for (let d = 0; d < draws; d++) {
      rate((task) => chosen[d * n + task]).forEach((x, i) => { spread[i][d] = x; });
    }
    return new Map(methods.map((method, i) =>
      [method, bootstrapInterval(values[i], spread[i], [n])]));
  }

  /** Return the function from wins [k · k] to ratings in Elo points, mean 0: Newton's method. */
  function bradleyTerry(k, prior) {
    const logs = new Float64Array(k), strength = new Float64Array(k), step = new Float64Array(k);
    const hessian = new Float64Array(k * k);
    return (wins) => {
      logs.fill(0);
      for (let turn = 0; turn < 100; turn++) {
        for (let i = 0; i < k; i++) strength[i] = Math.exp(logs[i]);
        hessian.fill(1 / k);
        step.fill(0);
        for (let i = 0; i < k; i++) {
          for (let j = 0; j < i; j++) {
            const over = wins[i * k + j] + prior / 2, under = wins[j * k + i] + prior / 2;
            const expected = strength[i] / (strength[i] + strength[j]);
            const curve = (over + under) * expected * (strength[j] / (strength[i] + strength[j]));
            const gain = over - (over + under) * expected;
            step[i] += gain;
            step[j] -= gain;
            hessian[i * k + i] += curve;
            hessian[j * k + j] += curve;
            hessian[i * k + j] -= curve;  // of the two halves only the lower is read
          }
        }
        solve(hessian, step, k);
        const reach = Math.max(...step) - Math.min(...step);
        const share = reach > 0 ? Math.log1p(reach) / reach : 0;
        for (let i = 0; i < k; i++) logs[i] += share * step[i];
        if (reach < 1e-8) break;
      }
      return logs.map((x) => ELO * x);
    };
  }

  /** Solve A x = b in place, A [k · k] symmetric and positive: Cholesky's factors. */
  function solve(a, b, k) {
    for (let j = 0; j < k; j++) {
      for (let i = j; i < k; i++) {
        let rest = a[i * k + j];
        for (let m = 0; m < j; m++) rest -= a[i * k + m] * a[j * k + m];
        a[i * k + j] = i === j ? Math.sqrt(rest) : rest / a[j * k + j];
      }
    }
    for (let i = 0; i < k; i++) {
      for (let m = 0; m < i; m++) b[i] -= a[i * k + m] * b[m];
      b[i] /= a[i * k + i];
    }
    for (let i = k - 1; i >= 0; i--) {
      for (let m = i + 1; m < k; m++) b[i] -= a[m * k + i] * b[m];
      b[i] /= a[i * k + i];
    }
  }

  function paretoFront(cost, score) {
    const order = Array.from(cost, (_, i) => i);
    order.sort((i, j) => cost[i] - cost[j] || score[j] - score[i]);
    const front = [];
    for (const i of order) {
      const last = front.at(-1), best = last === undefined ? -Infinity : score[last];
      if (score[i] > best || (last !== undefined && cost[i] === cost[last] && score[i] === best)) {
        front.push(i);
      }
    }
    return front;
  }

  return {
    averageRanks, interquartileMean, meanRanksOverTasks, paretoFront, performanceProfile,
    probabilityOfImprovement, ratings, shareInterval, winInterval, winRates,
  };
})());
