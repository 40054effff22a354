/* The overview in words, as leaderboard/overview_text.py: `resonanceOverviewText`. */
"use strict";

const resonanceOverviewText = (() => {
  const { forestMark, scaleLimit } = resonanceForest;
  const OWN_METHOD = "resonance", MAX_NAMES = 6;
  const TOLD_ALIKE = ["no difference shown", "equivalent"];
  const tenths = (x) => (Math.floor(10 * x + 0.5) / 10).toFixed(1);
  const share = (x) => String(Number((100 * x).toPrecision(12)));

  /** {finding, note, limit, heads, lines} of an overview, as text. */
  function overviewTable(model, found) {
    const words = phrases(model, found);
    const gaps = found.rows.flatMap(({ against }) => against?.comparison.difference ?? []);
    const limit = scaleLimit(gaps.map(({ mean }) => mean));
    const limits = new Map(found.boards.map((task) => [task, limitOf(found, task)]));
    return {
      finding: words.finding(),
      note: words.note(),
      limit: found.metric ? limitText(found.metric, limit) : "",
      heads: found.boards.map((task) => {
        const { title, name, page } = model.tasks[task];
        return { title, parts: nameParts(name), page, settings: title.slice(name.length).trim(),
          limit: limitText(columnOf(model, found, task), limits.get(task)),
          metric: found.metric ? "" : headingOf(columnOf(model, found, task)) };
      }),
      lines: found.rows.map((row) => words.line(row, limit, limits)),
    };
  }

  /** A task's name in two lines, dataset and model. */
  function nameParts(name) {
    const slash = name.indexOf("/");
    return slash < 0 ? [name] : [name.slice(0, slash + 1), name.slice(slash + 1)];
  }

  /** A column's title with its unit, as `heading` of leaderboard/score_text.py. */
  const headingOf = ({ title, unit }) => `${title}${unit === "percent" ? " in %" : ""}`;

  /** The column that is compared on a task. */
  const columnOf = (model, found, task) => found.metric ?? model.columnOf(task, model.data.score);

  function limitOf(found, task) {
    const means = found.rows.flatMap(({ claims }) => [...claims.values()]
      .filter((claim) => claim.task === task && claim.comparison.difference)
      .map((claim) => claim.comparison.difference.mean));
    return scaleLimit(means);
  }

  function phrases(model, found) {
    const { entries, minSeeds } = model, { rows, reference, metric } = found;
    const label = ({ entry }) => entries[entry].label;
    const budget = found.boards.length ? model.tasks[found.boards[0]].flops_budget : 0;
    const ranked = rows.filter(({ rank }) => rank !== null);
    const part = (heading, text) => ({ heading, text });

    // ---------------------------------------------------------------- the finding

    function finding() {
      if (!ranked.length) {
        return [part("No ranking", `No two methods have ${minSeeds} seeds each on a common task${
          sparsitiesText()}${found.comparisons ? "." : ": what is shown below supports no claim."}`), ...notRanked()];
      }
      const first = ranked[0];
      const own = rows.find(({ entry }) => {
        const { method, settings, label: name } = entries[entry];
        return method === OWN_METHOD && !settings && !name.includes("(older code");
      });
      return [leader(first), ...against(first), ...cost(first),
        ...(own && own !== first && own.rank ? [part(label(own), standing(own))] : []), ...notRanked()];
    }

    function sparsitiesText() {
      const named = found.sparsities.map(share);
      if (!named.length) return "";
      if (named.length === 1) return ` at ${named[0]} % sparsity`;
      return ` and the sparsities ${named.slice(0, -1).join(", ")} and ${named.at(-1)} %`;
    }

    function leader(first) {
      const seeds = found.fewest === found.most ? `${found.fewest}` : `${found.fewest} to ${found.most}`;
      const equal = ranked.slice(1).filter(({ rank }) => Math.abs(rank.mean - first.rank.mean) < 1e-9);
      const tied = equal.length ? ` (tied with ${names(equal.map(label))})` : "";
      return part("Who leads", `${label(first)}${tied}: mean rank ${rankOf(first)} among ${ranked.length} methods${
        rankEnds(first)} over ${tasksText(found.compared.length)}${sparsitiesText()}, ${seeds} seeds each. ${told()}`);
    }

    /** Which of the other ranked methods are told apart from the first. */
    function told() {
      const those = (...verdicts) => ranked.filter(({ entry }) =>
        verdicts.includes(found.againstLeader.get(entry))).map(label);
      const better = those("better"), undecided = those("cannot decide");
      const alike = those(...TOLD_ALIKE), others = ranked.length - 1;
      if (undecided.length === others) {
        return `So few seeds cannot tell the ${others > 1 ? "others" : "other"} from it over these tasks; single cells may.`;
      }
      const parts = [];
      if (better.length) parts.push(`Shown to be better than it over these tasks: ${names(better)}.`);
      if (alike.length) parts.push(`Not told apart from it over these tasks: ${names(alike)}.`);
      if (undecided.length) parts.push(`Too few seeds to tell from it: ${names(undecided)}.`);
      if (!parts.length) {
        parts.push(`The other${others === 1 ? " is" : ` ${others} are`} shown to be worse over these tasks.`);
      }
      return parts.join(" ");
    }

    function against(first) {
      if (!reference || label(first) === reference) return [];
      return [part(`Against ${reference}`, first.against === null && metric
        ? `${label(first)} and ${reference} have no seed in common on a task.`
        : `${label(first)} differs by ${gap(first)}`)];
    }

    function cost(first) {
      if (budget) return [part("Cost", `Every method may use ${budget} × the FLOPs of dense training.`)];
      if (first.cost === null) return [];
      let text = `${label(first)} takes ${costText(first.cost)} the FLOPs of dense training`;
      const base = rows.find((row) => label(row) === reference);
      if (base && base !== first && base.cost !== null) text += `, ${label(base)} ${costText(base.cost)}`;
      const alike = ranked.filter((row) => row.cost !== null
        && (row === first || TOLD_ALIKE.includes(found.againstLeader.get(row.entry))));
      const cheapest = alike.reduce((best, row) => (row.cost < best.cost ? row : best), alike[0] ?? first);
      if (cheapest !== first) {
        text += `; the cheapest not told apart from it is ${label(cheapest)}, ${costText(cheapest.cost)}`;
      }
      return [part("Cost", `${text}.`)];
    }

    function standing(row) {
      const text = `Mean rank ${rankOf(row)} of ${ranked.length}${rankEnds(row)}`;
      const spent = row.cost && !budget ? ` It takes ${costText(row.cost)} the FLOPs of dense training.` : "";
      return row.against || !metric ? `${text}. It differs by ${gap(row)}${spent}` : `${text}.${spent}`;
    }

    /** How a row stands against the reference, over tasks and in single cells. */
    function gap(row) {
      const cells = row.wins + row.ties + row.losses;
      const single = `it is shown to be better in ${row.wins} and worse in ${row.losses} of ${cells} ${
        cells === 1 ? "cell" : "cells"}.`;
      const difference = row.against?.comparison.difference;
      if (!difference || !metric) return `what is named below for each task; ${single}`;
      const certain = difference.low === null ? []
        : [`95 % interval ${signedText(metric, difference.low)} to ${signedText(metric, difference.high)}`];
      if (row.against.p !== null) certain.push(resonanceFormat.pValue(row.against.p));
      const inside = certain.length ? ` (${certain.join(", ")})` : "";
      const unit = metric.unit === "percent" ? " points" : "";
      const way = metric.better === "less" ? ", + being better," : "";
      const tasks = row.against.tasks === 1 ? "the one task"
        : `the mean of the ${tasksText(row.against.tasks)}`;
      return `${signedText(metric, difference.mean)}${unit}${inside}${way} from ${reference} on ${
        tasks} that both have; ${single}`;
    }

    /** Who has no rank, and why: without any result, or without one on every task. */
    function notRanked() {
      const byReason = new Map();
      for (const row of rows) {
        if (entries[row.entry].dense || row.rank !== null || (row.ran && !found.compared.length)) continue;
        const words = found.compared.flatMap((task) => row.lacking.get(task) ?? []);
        const reason = row.ran
          ? `${[...new Set(words)].sort().join(", ")} on some of the compared tasks` : reasons(row);
        if (!byReason.has(reason)) byReason.set(reason, []);
        byReason.get(reason).push(label(row));
      }
      const parts = [...byReason].map(([reason, labels]) => `${names(labels)} (${reason})`);
      return parts.length ? [part("Not ranked", `${parts.join(". ")}.`)] : [];
    }

    const reasons = ({ lacking }) => {
      const words = [...new Set(lacking.values())].filter((word) => word !== "not run").sort();
      return words.join(", ") || "not run";
    };

    function note() {
      if (!reference || !found.comparisons) return "";
      const family = found.comparisons === 1 ? "one comparison"
        : `${found.comparisons.toLocaleString("en")} comparisons`;
      return `Points are differences from ${reference} on the same seeds, to the right if better, with 95 % ${
        ""}intervals; filled: shown to differ; ± is where a column's scale ends. Paired t-tests at 5 %, Holm-corrected over the ${
        family} with ${reference} that this table shows; over all tasks, a sign-flip test, Holm-corrected ${
        ""}over the methods. Fewer than ${minSeeds} common seeds: no claim.`;
    }

    // ---------------------------------------------------------------- rows

    function line(row, limit, limits) {
      const { entry, rank, share: part, wins, ties, losses } = row;
      const compared = wins + ties + losses;
      const ends = (interval, factor) => (!interval || interval.low === null ? ""
        : `${tenths(factor * interval.low)}–${tenths(factor * interval.high)}`);
      return {
        row, label: label(row), page: entries[entry].page, rank: rank ? rankOf(row) : "",
        rankEnds: ends(rank, 1), reason: reasonOf(row),
        share: part ? `${tenths(100 * part.mean)} %` : "", shareEnds: ends(part, 100),
        counts: compared ? `${wins} / ${ties} / ${losses}` : "",
        cost: row.cost === null ? "" : costText(row.cost).replace(" ", ""),
        overTasks: overTasksCell(row, limit),
        cells: found.boards.map((task) => taskCell(row, task, limits.get(task))),
      };
    }

    /** Why a row has no rank. */
    function reasonOf(row) {
      if (entries[row.entry].dense || row.rank !== null) return "";
      if (!row.ran) return reasons(row);
      return [...row.lacking].map(([task, word]) => `${model.tasks[task].title}: ${word}`).join("; ");
    }

    function overTasksCell({ against: one }, limit) {
      const difference = one?.comparison.difference;
      if (!difference || !metric) return null;
      const mark = forestMark(difference, one.verdict, limit);
      const certain = one.p === null ? "" : `, ${resonanceFormat.pValue(one.p)}`;
      const number = signedText(metric, difference.mean);
      return { marks: [mark], number, beyond: "",
        words: `${differenceText(metric, difference)}${certain}: ${one.verdict}, ${tasksText(one.tasks)}` };
    }

    /** A row's differences on one task, one for each sparsity shown. */
    function taskCell({ claims }, task, limit) {
      const column = columnOf(model, found, task), sparsities = found.shown.get(task);
      const marks = [], words = [], beyond = [];
      sparsities.forEach((sparsity, number) => {
        const claim = claims.get(`${task} ${sparsity}`), difference = claim?.comparison.difference;
        if (!difference) return;
        const mark = forestMark(difference, claim.verdict, limit, number, sparsities.length);
        marks.push(mark);
        if (mark.beyond) beyond.push(signedText(column, difference.mean));
        const p = claim.verdict === "equivalent" ? claim.equivalenceP : claim.p;
        words.push(`${share(sparsity)} %: ${differenceText(column, difference)}${
          p === null ? "" : `, ${resonanceFormat.pValue(p)}`}: ${claim.verdict}`);
      });
      if (!marks.length) return null;
      return { marks, number: "", beyond: marks.length === 1 && beyond.length ? beyond[0] : "",
        words: words.join("; ") };
    }

    const rankOf = ({ rank }) => tenths(rank.mean);
    const rankEnds = ({ rank }) => (rank.low === null ? ""
      : ` (95 % interval ${tenths(rank.low)} to ${tenths(rank.high)})`);

    return { finding, note, line };
  }

  // ------------------------------------------------------------------ figures

  /** The size of a difference, of per cents in points. */
  function gapText({ unit }, size) {
    if (unit !== "percent") return String(Number(size.toPrecision(3)));
    const points = 100 * size;
    if (points && points < 0.1) return String(Number(points.toPrecision(2)));
    return points < 100 ? tenths(points) : `${Math.floor(points + 0.5)}`;
  }

  const limitText = ({ unit }, limit) =>
    String(Number((unit === "percent" ? 100 * limit : limit).toPrecision(3)));

  const signedText = (column, difference) =>
    `${difference < 0 ? "−" : "+"}${gapText(column, Math.abs(difference))}`;

  function differenceText(column, { mean, low, high }) {
    const text = `${signedText(column, mean)}${column.unit === "percent" ? " points" : ""}`;
    return low === null ? text : `${text} (${signedText(column, low)} to ${signedText(column, high)})`;
  }

  function costText(cost) {
    const digits = cost < 0.0995 ? 3 : 2;
    return `${(Math.floor(cost * 10 ** digits + 0.5) / 10 ** digits).toFixed(digits)} ×`;
  }
  const tasksText = (number) => (number === 1 ? "1 task" : `${number} tasks`);

  /** Names, which may hold commas, in a list; with more than MAX_NAMES, the rest is counted. */
  const names = (labels) => (labels.length <= MAX_NAMES ? labels.join("; ")
    : `${labels.slice(0, MAX_NAMES - 1).join("; ")} and ${labels.length - MAX_NAMES + 1} more`);

  return { overviewTable, signedText };
})();
