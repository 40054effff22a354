/* Figures as text, and rows as CSV: `resonanceFormat`. */
"use strict";

const resonanceFormat = (() => {
  const BYTES = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];

  /** How a value of a unit is written: [factor, decimals, suffix]. */
  function scale(unit, value) {
    const size = Math.abs(value);
    if (unit === "percent") return [100, 2, ""];
    if (unit === "ratio") return [1, size < 0.0995 ? 3 : 2, "×"];
    if (unit === "seconds" && size < 1) return [1000, digits(1000 * size), " ms"];
    if (unit === "seconds") return [1, digits(size), " s"];
    if (unit === "bytes") {
      const [step, name] = BYTES.find(([least]) => size >= least) ?? BYTES.at(-1);
      return [1 / step, digits(size / step), ` ${name}`];
    }
    return [1, Number.isInteger(value) ? 0 : digits(size), ""];
  }

  /** Decimals for three significant digits. */
  const digits = (size) => (size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);

  /** [mean, half of the interval] in words; empty where there is none. */
  function interval(unit, found) {
    if (!found) return ["", ""];
    const [factor, places, after] = scale(unit, found.mean);
    let half = found.low === null ? "" : (factor * ((found.high - found.low) / 2)).toFixed(places);
    if (half && Number(half) === 0) half = `<${(10 ** -places).toFixed(places)}`;  // none is zero
    return [(factor * found.mean).toFixed(places) + after, half];
  }

  /** A number with some decimals, halves rounded up as in Python. */
  const fixed = (x, places) => (Math.floor(10 ** places * x + 0.5) / 10 ** places).toFixed(places);

  /** [difference with its sign, low and high end of its interval], as `difference_figures` of
   * leaderboard/score_text.py; the ends are empty without an interval. */
  function differenceFigures({ unit }, { mean, low, high }) {
    const percent = unit === "percent", places = low !== null && high - low >= 0.01 ? 1 : 2;
    const figure = (x, plus = "") => {
      const size = percent ? fixed(100 * Math.abs(x), places)
        : String(Number(Math.abs(x).toPrecision(3)));
      return Number(size) === 0 ? size : `${x < 0 ? "−" : plus}${size}`;
    };
    return low === null ? [figure(mean, "+"), "", ""] : [figure(mean, "+"), figure(low), figure(high)];
  }

  /** [difference, its interval in brackets]. */
  function numberAndEnds(column, difference) {
    const [number, low, high] = differenceFigures(column, difference);
    return [number, low && `[${low}, ${high}]`];
  }

  const value = (unit, given) => (given === null ? "" : interval(unit, { mean: given, low: null })[0]);

  const pValue = (p) => (p < 0.001 ? "p < 0.001" : `p = ${Number(p.toPrecision(2))}`);

  const rank = (found) =>
    !found ? "" : found[0] === found[1] ? `${found[0]}` : `${found[0]}–${found[1]}`;

  /** Rows of texts and numbers as CSV (RFC 4180). A text that a spreadsheet would run as a formula
   * is prefixed with an apostrophe. */
  function csv(rows) {
    const field = (given) => {
      if (given === null || given === undefined) return "";
      if (typeof given === "number") return String(given);
      const text = /^[\s]*[=+\-@|\t\r]/.test(given) ? `'${given}` : String(given);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
  }

  return { interval, value, pValue, rank, csv, fixed, differenceFigures, numberAndEnds };
})();
