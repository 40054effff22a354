/* Statistics of the leaderboard, equal to Python's: `resonanceStatistics`.
 *
 * Mirrors intervals.py, paired_comparisons.py and multiple_comparisons.py of leaderboard/statistics/
 * function by function, as aggregates.js mirrors aggregates.py (see their docstrings), so that the
 * browser can recompute everything for chosen competitors. A plain script; needs numerics.js.
 * Mappings of Python are Maps here, None is null, an Interval is {mean, low, high, n}. Invalid input
 * throws a RangeError.
 */
"use strict";

const resonanceStatistics = (() => {
  const MIN_BOOTSTRAP_VALUES = 10;
  const RESAMPLES = 10000;
  const ALPHA = 0.05;
  const MIN_SEEDS = 5;
  const MAX_EXACT_PAIRS = 14;
  const NORMAL_QUANTILE = 1.959963984540054;
  const ROUNDING = 1e-9;
  const {
    ascendingOrder, commonTasks, deviation, indices, mean, pairsOf, plainSum, quantile, remembered,
    signs, studentP, studentQuantile, sum,
  } = resonanceNumerics;

  /** Reorders `draws`. */
  function bootstrapInterval(value, draws, strata, [least, most] = [-Infinity, Infinity]) {
    const n = plainSum(strata), wide = widening(strata);
    if (wide === null) return { mean: value, low: null, high: null, n };
    const [low, high] = [0.025, 0.975].map((q) => value + wide * (quantile(draws, q) - value));
    return { mean: value, low: Math.max(low, least), high: Math.min(high, most), n };
  }

  function widening(strata) {
    if (Math.min(...strata) < 2) return null;
    const n = plainSum(strata), freedom = n - strata.length;
    return (Math.sqrt(n / freedom) * studentQuantile(freedom)) / NORMAL_QUANTILE;
  }

  /** Add to each draw the mean of the values it resamples, times a weight; see Python. */
  function addResampledMeans(draws, values, weight, seed, stream) {
    const n = values.length, middle = mean(values), drawn = indices(seed, draws.length, n, stream);
    const deviations = Float64Array.from(values, (x) => x - middle);
    for (let d = 0, at = 0; d < draws.length; d++) {
      let total = 0;
      for (let i = 0; i < n; i++) total += deviations[drawn[at++]];
      draws[d] += weight * (middle + total / n);
    }
  }

  function meanInterval(values, { seed = 0 } = {}) {
    const n = values.length;
    if (n === 0 || !values.every(Number.isFinite)) {
      throw new RangeError("meanInterval needs at least one value, all finite");
    }
    const middle = mean(values);
    if (n === 1) return { mean: middle, low: null, high: null, n };
    if (n < MIN_BOOTSTRAP_VALUES) {
      const half = (studentQuantile(n - 1) * deviation(values)) / Math.sqrt(n);
      return { mean: middle, low: middle - half, high: middle + half, n };
    }
    const draws = new Float64Array(RESAMPLES);
    addResampledMeans(draws, values, 1, seed, 0);
    return bootstrapInterval(middle, draws, [n]);
  }

  const comparison = (difference, p, leastP, effect, unpaired, seeds = 0) =>
    ({ difference, p, leastP, effect, unpaired, seeds, n: difference ? difference.n : 0 });

  /** The conclusion of a comparison, in words; `p` is a corrected p-value. */
  function verdict(found, first, second, p = found.p) {
    if (!found.difference || p === null || found.seeds < MIN_SEEDS || found.leastP > ALPHA) {
      return `cannot decide at n = ${found.n}`;
    }
    if (p > ALPHA) return `no difference shown at n = ${found.n}`;
    const [better, worse] = found.difference.mean > 0 ? [first, second] : [second, first];
    return `${better} is better than ${worse}`;
  }

  function differencesOf(first, second) {
    const seeds = [...first.keys()].filter((seed) => second.has(seed)).sort((a, b) => a - b);
    const pairs = seeds.map((seed) => [first.get(seed), second.get(seed)]);
    const rounding = ROUNDING * Math.max(0, ...pairs.flat().map(Math.abs));
    return pairs.map(([x, y]) => (Math.abs(x - y) > rounding ? x - y : 0));
  }

  function effectSize(differences) {
    if (differences.length < 2) return null;
    const middle = mean(differences), spread = deviation(differences);
    if (spread <= ROUNDING * Math.max(...differences.map(Math.abs))) {
      return middle === 0 ? 0 : Math.sign(middle) * Infinity;
    }
    return middle / spread;
  }

  function pairedP(differences, step = 0) {
    const n = differences.length;
    if (n < 2) return null;
    const middle = mean(differences);
    const spread = Math.max(deviation(differences), step / Math.sqrt(6));
    if (spread <= ROUNDING * Math.max(...differences.map(Math.abs))) return middle === 0 ? 1 : 0;
    return studentP((Math.abs(middle) / spread) * Math.sqrt(n), n - 1);
  }

  function scoreResolution(scores) {
    const ordered = Float64Array.from(scores).sort();
    const rounding = ROUNDING * ordered.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    let least = Infinity;
    for (let i = 1; i < ordered.length; i++) {
      const step = ordered[i] - ordered[i - 1];
      if (step > rounding && step < least) least = step;
    }
    return least < Infinity ? least : 0;
  }

  const unpairedOf = (first, second, pairs) => first.size + second.size - 2 * pairs;

  /** The differences on common seeds, and the p-value of their t-test. */
  function pairedTest(first, second) {
    const differences = differencesOf(first, second);
    const step = scoreResolution([...first.values(), ...second.values()]);
    return [differences, pairedP(differences, step)];
  }

  function compare(first, second) {
    const [differences, p] = pairedTest(first, second);
    const unpaired = unpairedOf(first, second, differences.length);
    if (!differences.length) return comparison(null, null, 1, null, unpaired);
    const effect = effectSize(differences), least = p === null ? 1 : 0, n = differences.length;
    return comparison(meanInterval(differences), p, least, effect, unpaired, n);
  }

  /** Count the patterns of signs under which the sum is as far from 0. */
  function countAsFar(flips, terms, bar, patterns) {
    let extreme = 0;
    for (let pattern = 0, at = 0; pattern < patterns; pattern++) {
      let total = 0;
      for (let i = 0; i < terms.length; i++) total += flips[at++] * terms[i];
      if (Math.abs(total) >= bar) extreme++;
    }
    return extreme;
  }

  function compareOverTasks(first, second, { seed = 0 } = {}) {
    const tasks = commonTasks(first, second);
    const found = tasks.map((task) => differencesOf(first.get(task), second.get(task)));
    const unpaired = plainSum(tasks.map((task, i) =>
      unpairedOf(first.get(task), second.get(task), found[i].length)));
    const blocks = found.filter((block) => block.length);
    if (!blocks.length) return comparison(null, null, 1, null, unpaired);
    const terms = Float64Array.from(blocks.flatMap((block) =>
      block.map((x) => (1 / block.length / blocks.length) * x)));
    const n = terms.length, observed = sum(terms), exact = n <= MAX_EXACT_PAIRS;
    const bar = Math.abs(observed) - ROUNDING * sum(terms.map(Math.abs));
    const patterns = exact ? 2 ** n : RESAMPLES;
    const flips = exact ? allSigns(n) : signs(seed, RESAMPLES, n, 0);
    const extreme = countAsFar(flips, terms, bar, patterns);
    const p = exact ? extreme / patterns : (extreme + 1) / (patterns + 1);
    const draws = new Float64Array(RESAMPLES), sizes = blocks.map((block) => block.length);
    blocks.forEach((block, i) => addResampledMeans(draws, block, 1 / blocks.length, seed, i + 1));
    const interval = bootstrapInterval(observed, draws, sizes);
    const leastP = exact ? 2 / patterns : 1 / (patterns + 1);
    const effect = effectSize(blocks.flat());
    return comparison(interval, p, leastP, effect, unpaired, Math.max(...sizes));
  }

  /** [2ⁿ · n]: every pattern of n signs. */
  const allSigns = remembered((n) =>
    Int8Array.from({ length: 2 ** n * n }, (_, at) =>
      1 - 2 * ((Math.floor(at / n) >> at % n) & 1)));

  function holm(pValues) {
    const order = ascendingOrder(pValues);
    const corrected = pValues.map(() => 0);
    let highest = 0;
    order.forEach((index, place) => {
      highest = Math.max(highest, Math.min(1, (pValues.length - place) * pValues[index]));
      corrected[index] = highest;
    });
    return corrected;
  }

  /** Of each cell (Map method → Map seed → score) Map method → [best, worst]. */
  function rankIntervals(cells) {
    const compared = [];
    const found = cells.map((cell) => {
      const methods = [...cell.keys()], ranks = new Map(methods.map((m) => [m, [1, cell.size]]));
      for (const [one, other] of pairsOf(methods)) {
        const [differences, p] = pairedTest(cell.get(one), cell.get(other));
        if (p === null || differences.length < MIN_SEEDS) continue;
        const [better, worse] = sum(differences) > 0 ? [one, other] : [other, one];
        compared.push({ p, better: ranks.get(better), worse: ranks.get(worse) });
      }
      return ranks;
    });
    const corrected = holm(compared.map(({ p }) => p));
    compared.forEach(({ better, worse }, i) => {
      if (corrected[i] > ALPHA) return;
      worse[0]++;
      better[1]--;
    });
    return found;
  }

  return {
    RESAMPLES, bootstrapInterval, compare, compareOverTasks, effectSize, holm, mean, meanInterval,
    pairedP, rankIntervals, verdict,
  };
})();
