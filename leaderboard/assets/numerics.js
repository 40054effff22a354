/* Numerics of the statistics: random draws, distributions, sums, quantiles, order:
 * `resonanceNumerics`.
 *
 * The draws are those of leaderboard/statistics/bootstrap_draws.py, bit for bit; the distributions
 * are SciPy's. A plain script without dependencies.
 */
"use strict";

const resonanceNumerics = (() => {
  const EPSILON = 2 ** -53;
  const TINY = 1e-300;

  // ------------------------------------------------------------------ bootstrap_draws.py

  const GOLDEN = 0x9e3779b9;

  function mix(x) {
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  }

  function bits(seed, size, stream = 0) {
    const start = mix((mix((seed + GOLDEN) >>> 0) + stream + GOLDEN) >>> 0);
    const step = mix(start ^ GOLDEN) | 1;
    const found = new Uint32Array(size);
    for (let i = 0; i < size; i++) found[i] = mix((start + Math.imul(step, i)) | 0);
    return found;
  }

  /** Cache a function's latest results, because methods share their draws. */
  function remembered(make, limit = 64) {
    const known = new Map();
    return (...given) => {
      const key = given.join();
      if (!known.has(key)) {
        if (known.size >= limit) known.delete(known.keys().next().value);
        known.set(key, make(...given));
      }
      return known.get(key);
    };
  }

  /** Indices in 0 … n − 1, row after row of n; `draws` rows. */
  const indices = remembered((seed, draws, n, stream = 0) =>
    bits(seed, draws * n, stream).map((u) => Math.floor((u * n) / 2 ** 32)));

  /** How often each of n items is in each row of `indices`. */
  const counts = remembered((seed, draws, n, stream = 0) => {
    const drawn = indices(seed, draws, n, stream);
    const found = new Float64Array(draws * n);
    drawn.forEach((place, i) => { found[i - (i % n) + place] += 1; });
    return found;
  });

  const signs = remembered((seed, draws, n, stream = 0) =>
    Int8Array.from(bits(seed, draws * n, stream), (u) => 1 - 2 * (u >>> 31)));

  // ------------------------------------------------- distributions (SciPy in Python)

  // Lanczos' approximation, g = 7, nine terms: 15 digits.
  const LANCZOS = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
    -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
    1.5056327351493116e-7,
  ];

  function logGamma(x) {
    let series = LANCZOS[0];
    for (let i = 1; i < LANCZOS.length; i++) series += LANCZOS[i] / (x - 1 + i);
    const t = x + 6.5;
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series);
  }

  /** A continued fraction b0 + a1 / (b1 + a2 / (b2 + …)), by Lentz; `term(i)` is [ai, bi]. */
  function continuedFraction(b0, term) {
    let value = b0 || TINY, c = value, d = 0;
    for (let i = 1; i < 10000; i++) {
      const [a, b] = term(i);
      d = 1 / (b + a * d || TINY);
      c = b + a / c || TINY;
      value *= c * d;
      if (Math.abs(c * d - 1) <= 2 * EPSILON) break;
    }
    return value;
  }

  /** The regularised incomplete beta function I_x(a, b); `y` is 1 − x, given for its digits. */
  function betaShare(x, y, a, b) {
    if (x <= 0) return 0;
    if (y <= 0) return 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - betaShare(y, x, b, a);
    const front = logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(y);
    const fraction = continuedFraction(1, (i) => {
      const m = i >> 1;
      const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
      const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
      return [i % 2 ? odd : even, 1];
    });
    return Math.exp(front) / (a * fraction);
  }

  /** The upper regularised incomplete gamma function Q(a, x). */
  function gammaTail(a, x) {
    if (x <= 0) return 1;
    const front = Math.exp(a * Math.log(x) - x - logGamma(a));
    if (x < a + 1) {
      let term = 1 / a, total = term;
      for (let i = 1; term > total * EPSILON; i++) total += (term *= x / (a + i));
      return 1 - front * total;
    }
    return front / continuedFraction(x + 1 - a, (i) => [-i * (i - a), x + 2 * i + 1 - a]);
  }

  /** Two-sided p-value of Student's t. */
  function studentP(t, freedom) {
    if (!Number.isFinite(t)) return 0;
    const whole = freedom + t * t;
    return betaShare(freedom / whole, (t * t) / whole, freedom / 2, 0.5);
  }

  const chiSquareP = (x, freedom) => gammaTail(freedom / 2, x / 2);

  function normal(z) {
    const tail = gammaTail(0.5, (z * z) / 2) / 2;
    return z > 0 ? 1 - tail : tail;
  }

  /** The root of an increasing function. */
  function root(f, low, high) {
    for (;;) {
      const middle = (low + high) / 2;
      if (middle <= low || middle >= high) return middle;
      if (f(middle) < 0) low = middle;
      else high = middle;
    }
  }

  /** The 97.5 % quantile of Student's t. */
  const studentQuantile = remembered((freedom) => root((t) => 0.05 - studentP(t, freedom), 0, 16));

  /** The 95 % quantile of the range of k standard normal values: that of Nemenyi's test.
   *
   * P(range ≤ q) = k ∫ φ(z) [Φ(z) − Φ(z − q)]^(k − 1) dz. The trapezoidal rule reaches
   * double precision: the integrand is smooth and vanishes at both ends. */
  const studentizedRange = remembered((k) => {
    const step = 0.125, grid = [];
    for (let z = -9; z <= 9; z += step) {
      grid.push([z, (step * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI), normal(z)]);
    }
    const within = (q) => {
      let total = 0;
      for (const [z, density, below] of grid) total += density * (below - normal(z - q)) ** (k - 1);
      return k * total;
    };
    return root((q) => within(q) - 0.95, 0, 16);
  });

  // ------------------------------------------------------------------ sums and quantiles

  /** The sum, rounded once, as math.fsum (Shewchuk 1997). */
  function sum(values) {
    const parts = [];
    for (let x of values) {
      let kept = 0;
      for (let y of parts) {
        if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
        const high = x + y;
        const low = y - (high - x);
        if (low) parts[kept++] = low;
        x = high;
      }
      parts.length = kept;
      parts.push(x);
    }
    let total = parts.pop() ?? 0;
    while (parts.length) {
      const before = total, part = parts.pop();
      total = before + part;
      const low = part - (total - before);
      if (!low) continue;
      const next = parts.pop();  // half way between two numbers: what is left decides
      if (next && Math.sign(next) === Math.sign(low) && total + 2 * low - total === 2 * low) {
        total += 2 * low;
      }
      break;
    }
    return Number.isNaN(total) ? plainSum(values) : total;
  }

  const plainSum = (values) => values.reduce((total, x) => total + x, 0);

  const mean = (values) => sum(values) / values.length;

  function deviation(values) {
    const middle = mean(values);
    return Math.sqrt(sum(values.map((x) => (x - middle) * (x - middle))) / (values.length - 1));
  }

  /** Quickselect (Hoare): put at `place` the value of that rank, and smaller ones before it. */
  function select(values, place) {
    let low = 0, high = values.length - 1;
    while (low < high) {
      const pivot = values[(low + high) >> 1];
      let i = low, j = high;
      while (i <= j) {
        while (values[i] < pivot) i++;
        while (values[j] > pivot) j--;
        if (i > j) break;
        const kept = values[i];
        values[i++] = values[j];
        values[j--] = kept;
      }
      if (place <= j) high = j;
      else if (place >= i) low = i;
      else break;
    }
    return values[place];
  }

  /** A quantile by linear interpolation; changes the order of the values. */
  function quantile(values, share) {
    const place = share * (values.length - 1), below = Math.floor(place), part = place - below;
    const low = select(values, below);
    const high = part ? select(values, below + 1) : low;
    return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
  }

  // ------------------------------------------------------------------ order

  /** Places of the values, the smallest first. */
  const ascendingOrder = (values) =>
    Array.from(values, (_, i) => i).sort((i, j) => values[i] - values[j]);

  /** Order of Python's sorted(): by code point. */
  function byCodePoint(one, other) {
    const x = Array.from(one, (c) => c.codePointAt(0));
    const y = Array.from(other, (c) => c.codePointAt(0));
    for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] - y[i];
    return x.length - y.length;
  }

  const commonTasks = (first, second) =>
    [...first.keys()].filter((task) => second.has(task)).sort(byCodePoint);

  function pairsOf(items) {
    return items.flatMap((one, i) => items.slice(i + 1).map((other) => [one, other]));
  }

  return {
    ascendingOrder, bits, byCodePoint, chiSquareP, commonTasks, counts, deviation, indices, mean,
    pairsOf, plainSum, quantile, remembered, root, signs, studentP, studentQuantile, studentizedRange,
    sum,
  };
})();
