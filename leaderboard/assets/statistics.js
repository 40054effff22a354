/* Statistics of the leaderboard, equal to Python's: `resonanceStatistics`.
 *
 * Mirrors intervals.py, paired_comparisons.py, multiple_comparisons.py and `against_reference`
 * and `over_tasks` (its sign-flip test) of families.py of leaderboard/statistics/ function by function, as aggregates.js mirrors aggregates.py
 * and proportions.py (see their docstrings), so that the browser can recompute everything for chosen
 * competitors. A plain script; needs numerics.js.
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
    if (high - low <= ROUNDING * Math.max(Math.abs(low), Math.abs(high))) {
      return { mean: value, low: null, high: null, n };
    }
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

  function meanInterval(values, { resolution = 0, seed = 0 } = {}) {
    const n = values.length;
    if (n === 0 || !values.every(Number.isFinite)) {
      throw new RangeError("meanInterval needs at least one value, all finite");
    }
    const middle = mean(values);
    if (n === 1) return { mean: middle, low: null, high: null, n };
    const size = Math.max(...values.map(Math.abs));
    if (Math.max(...values) - Math.min(...values) <= ROUNDING * size) {
      const half = resolution * unseenShare(n);
      return half > 0 ? { mean: middle, low: middle - half, high: middle + half, n }
        : { mean: middle, low: null, high: null, n };
    }
    if (n < MIN_BOOTSTRAP_VALUES) {
      const half = (studentQuantile(n - 1) * deviation(values)) / Math.sqrt(n);
      return { mean: middle, low: middle - half, high: middle + half, n };
    }
    const draws = new Float64Array(RESAMPLES);
    addResampledMeans(draws, values, 1, seed, 0);
    return bootstrapInterval(middle, draws, [n]);
  }

  const unseenShare = (n) => 1 - 0.025 ** (1 / n);

  const comparison = (difference, p, leastP, effect, unpaired, seeds = 0, equivalence = null) => ({
    difference, p, leastP, effect, unpaired, seeds, equivalenceP: equivalence,
    n: difference ? difference.n : 0,
  });

  const decides = (found) =>
    found.p !== null && found.seeds >= MIN_SEEDS && found.leastP <= ALPHA;

  /** What a comparison shows of the first at (corrected) p-values. */
  function decide(found, p, equivalence = null) {
    if (!decides(found) || !found.difference || p === null) return "cannot decide";
    if (p <= ALPHA) return found.difference.mean > 0 ? "better" : "worse";
    return equivalence !== null && equivalence <= ALPHA ? "equivalent" : "no difference shown";
  }

  /** The conclusion of a comparison, in words; p-values are corrected ones. */
  function verdict(found, first, second, { p = found.p, equivalence = null, within = "" } = {}) {
    const decided = decide(found, p, equivalence);
    if (decided === "equivalent") return `${first} and ${second} are equivalent within ± ${within}`;
    if (decided !== "better" && decided !== "worse") return `${decided} at n = ${found.n}`;
    const [better, worse] = decided === "better" ? [first, second] : [second, first];
    const small = equivalence !== null && equivalence <= ALPHA ? `, by less than ${within}` : "";
    return `${better} is better than ${worse}${small}`;
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

  const spreadOf = (differences, step) => Math.max(deviation(differences), step / Math.sqrt(6));

  function pairedP(differences, step = 0) {
    const n = differences.length;
    if (n < 2) return null;
    const middle = mean(differences), spread = spreadOf(differences, step);
    if (spread <= ROUNDING * Math.max(...differences.map(Math.abs))) return middle === 0 ? 1 : 0;
    return studentP((Math.abs(middle) / spread) * Math.sqrt(n), n - 1);
  }

  /** The p-value of two one-sided t-tests. */
  function equivalenceP(differences, rope, step = 0) {
    const n = differences.length;
    if (n < 2) return null;
    const room = rope - Math.abs(mean(differences)), spread = spreadOf(differences, step);
    if (spread <= ROUNDING * Math.max(...differences.map(Math.abs))) return room > 0 ? 0 : 1;
    const tail = studentP((Math.abs(room) / spread) * Math.sqrt(n), n - 1) / 2;
    return room > 0 ? tail : 1 - tail;
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

  function compare(first, second, { rope = null, resolution = 0 } = {}) {
    const [differences, p] = pairedTest(first, second);
    const unpaired = unpairedOf(first, second, differences.length);
    if (!differences.length) return comparison(null, null, 1, null, unpaired);
    const step = scoreResolution([...first.values(), ...second.values()]) || resolution;
    const interval = meanInterval(differences, { resolution: step });
    const effect = effectSize(differences), least = p === null ? 1 : 0, n = differences.length;
    const equivalence = rope === null ? null : equivalenceP(differences, rope, step);
    return comparison(interval, p, least, effect, unpaired, n, equivalence);
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

  /** The tests of all pairs of a cell (Map method → Map seed → score): {p, better, worse}. */
  function pairTests(cell) {
    const found = [];
    for (const [one, other] of pairsOf([...cell.keys()])) {
      const [differences, p] = pairedTest(cell.get(one), cell.get(other));
      if (p === null || differences.length < MIN_SEEDS) continue;
      const [better, worse] = sum(differences) > 0 ? [one, other] : [other, one];
      found.push({ p, better, worse });
    }
    return found;
  }

  /** {ranks, tested}: of each cell Map method → [best, worst], and how many pairs were tested. */
  function allPairs(cells, tests = cells.map(pairTests)) {
    const ranks = cells.map((cell) =>
      new Map([...cell.keys()].map((method) => [method, [1, cell.size]])));
    const corrected = holm(tests.flatMap((ofCell) => ofCell.map(({ p }) => p)));
    let at = 0;
    tests.forEach((ofCell, place) => ofCell.forEach(({ better, worse }) => {
      if (corrected[at++] > ALPHA) return;
      ranks[place].get(worse)[0]++;
      ranks[place].get(better)[1]--;
    }));
    return { ranks, tested: corrected.length };
  }

  const rankIntervals = (cells) => allPairs(cells).ranks;

  function correctedOver(comparisons, name) {
    const found = comparisons.map((one) => (decides(one) ? one[name] : null));
    const corrected = holm(found.filter((p) => p !== null));
    let at = 0;
    return found.map((p) => (p === null ? null : corrected[at++]));
  }

  /** {reference, claims, tested}; cells are {scores: Map method → Map seed → score, rope,
   * resolution}, whose other properties a claim takes over. */
  function againstReference(cells, reference) {
    const found = cells.flatMap((cell) => (cell.scores.has(reference)
      ? [...cell.scores].filter(([method]) => method !== reference).map(([method, scores]) =>
        ({ cell, method, one: compare(scores, cell.scores.get(reference), cell) })) : []));
    const comparisons = found.map(({ one }) => one);
    const ps = correctedOver(comparisons, "p");
    const equivalences = correctedOver(comparisons, "equivalenceP");
    const claims = found.map(({ cell: { scores, rope, resolution, ...place }, method, one }, i) => ({
      ...place, method, comparison: one, p: ps[i], equivalenceP: equivalences[i],
      verdict: decide(one, ps[i], equivalences[i]),
    }));
    return { reference, claims, tested: ps.filter((p) => p !== null).length };
  }

  /** {method, tasks, comparison, p, verdict} of each method against the reference over tasks; scores
   * are Map method → Map task → Map seed → score. */
  function overTasks(scores, reference) {
    const base = scores.get(reference);
    const found = [...scores].filter(([method]) => method !== reference)
      .map(([method, byTask]) => [method, commonTasks(byTask, base).filter((task) =>
        differencesOf(byTask.get(task), base.get(task)).length).length, compareOverTasks(byTask, base)]);
    const ps = correctedOver(found.map(([, , one]) => one), "p");
    return found.map(([method, tasks, one], i) =>
      ({ method, tasks, comparison: one, p: ps[i], verdict: decide(one, ps[i]) }));
  }

  return {
    NORMAL_QUANTILE, RESAMPLES, addResampledMeans, againstReference, allPairs, bootstrapInterval, compare,
    compareOverTasks, effectSize, equivalenceP, holm, mean, meanInterval, overTasks, pairTests, pairedP,
    rankIntervals, unseenShare, verdict,
  };
})();
