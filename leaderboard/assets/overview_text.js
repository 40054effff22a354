/* The overview in words, as leaderboard/overview_finding.py and overview_text.py: `resonanceOverviewText`. */
"use strict";

const resonanceOverviewText = (() => {
  const { forestMark, scaleLimit } = resonanceForest;
  const OWN_METHOD = "resonance", MAX_NAMES = 6;
  const TOLD_ALIKE = ["no difference shown", "equivalent"];
  const { fixed } = resonanceFormat;
  const tenths = (x) => fixed(x, 1);
  const share = (x) => String(Number((100 * x).toPrecision(12)));

  /** {finding, note, limit, columns, heads, lines} of an overview, as text. */
  function overviewTable(model, found) {
    const words = phrases(model, found);
    const gaps = found.rows.flatMap(({ against }) => against?.comparison.difference ?? []);
    const limit = scaleLimit(gaps.map(({ mean }) => mean));
    const limits = new Map(found.boards.map((task) => [task, limitOf(found, task)]));
    const lines = found.rows.map((row) => words.line(row, limit, limits));
    return {
      finding: words.finding(),
      note: words.note(),
      limit: found.metric ? limitText(found.metric, limit) : "",
      columns: {
        score: lines.some((line) => line.score) ? sentence(headingOf(columnOf(model, found, found.boards[0]))) : "",
        ranks: lines.some((line) => line.rank), overTasks: found.boards.length > 1,
        costs: lines.some((line) => line.cost), shares: lines.some((line) => line.share),
        counts: lines.some((line) => line.counts),
      },
      heads: found.boards.map((task) => {
        const { title, name, page } = model.tasks[task];
        return { title, parts: nameParts(name), page, settings: title.slice(name.length).trim(),
          limit: limits.get(task) === null ? "" : limitText(columnOf(model, found, task), limits.get(task)),
          metric: found.metric ? "" : headingOf(columnOf(model, found, task)) };
      }),
      lines,
    };
  }

  /** A task's name in two lines, dataset and model. */
  function nameParts(name) {
    const slash = name.indexOf("/");
    return slash < 0 ? [name] : [name.slice(0, slash + 1), name.slice(slash + 1)];
  }

  /** A column's title with its unit, as `heading` of leaderboard/score_text.py. */
  const headingOf = ({ title, unit }) => `${title}${unit === "percent" ? " in %" : ""}`;

  const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}`;

  /** The column that is compared on a task. */
  const columnOf = (model, found, task) => found.metric ?? model.columnOf(task, model.data.score);

  /** The limit of a task's scale; null without any difference. */
  function limitOf(found, task) {
    const means = found.rows.flatMap(({ claims }) => [...claims.values()]
      .filter((claim) => claim.task === task && claim.comparison.difference)
      .map((claim) => claim.comparison.difference.mean));
    return means.length ? scaleLimit(means) : null;
  }

  function phrases(model, found) {
    const { entries, minSeeds } = model, { rows, reference, metric } = found;
    const label = ({ entry }) => entries[entry].label;
    const budget = found.boards.length ? model.tasks[found.boards[0]].flops_budget : 0;
    const ranked = rows.filter(({ rank }) => rank !== null);
    const part = (heading, text) => ({ heading, text });

    // ---------------------------------------------------------------- the finding

    function finding() {
      if (!ranked.length) return [noRanking(), ...withoutDense(), ...notRanked()];
      const first = ranked[0];
      const own = rows.find(({ entry }) => {
        const { method, settings, label: name } = entries[entry];
        return method === OWN_METHOD && !settings && !name.includes("(older code");
      });
      return [leader(first), ...against(first), ...cost(first),
        ...(own && own !== first && own.rank ? [part(label(own), standing(own))] : []),
        ...withoutDense(), ...notRanked()];
    }

    function sparsitiesText() {
      const named = found.sparsities.map(share);
      if (!named.length) return "";
      if (named.length === 1) return ` at ${named[0]} % sparsity`;
      return ` at ${named.slice(0, -1).join(", ")} and ${named.at(-1)} % sparsity`;
    }

    function noRanking() {
      const ran = rows.filter(({ entry, ran: any }) => any && !entries[entry].dense).map(label);
      const where = sparsitiesText();
      return part("No ranking", !ran.length ? `No method has a finished trial${where}.`
        : ran.length === 1 ? `Only ${ran[0]} has finished trials${where}: there is no method to compare it with.`
          : `No two methods have ${minSeeds} seeds each on a common task${where}${
            found.comparisons ? "." : ": what is shown below supports no claim."}`);
    }

    function leader(first) {
      const seeds = found.fewest === found.most ? `${found.fewest}` : `${found.fewest} to ${found.most}`;
      const equal = ranked.slice(1).filter(({ rank }) => Math.abs(rank.mean - first.rank.mean) < 1e-9);
      const tied = equal.length ? ` (tied with ${names(equal.map(label))})` : "";
      const number = found.compared.length, shown = found.boards.length;
      const tasks = shown === 1 ? "on the one task shown" : number === shown ? `over the ${shown} tasks shown`
        : `${number === 1 ? "on" : "over"} ${number} of the ${shown} tasks shown`;
      return part("Who leads", `${label(first)}${tied}: ${rankWords(first)} among ${ranked.length} methods${
        rankEnds(first)} ${tasks}${sparsitiesText()}, ${seeds} seeds each. ${told()}`);
    }

    /** A rank in words; that on a single task is no mean, and 1 rather than 1.0. */
    const rankWords = (row) => (found.compared.length === 1 ? `rank ${rankOf(row).replace(/\.0$/, "")}`
      : `mean rank ${rankOf(row)}`);

    /** Which of the other ranked methods are told apart from the first. */
    function told() {
      const those = (...verdicts) => ranked.filter(({ entry }) =>
        verdicts.includes(found.againstLeader.get(entry))).map(label);
      const better = those("better"), undecided = those("cannot decide");
      const alike = those(...TOLD_ALIKE), others = ranked.length - 1;
      const one = found.compared.length === 1, where = one ? "on this task" : "over these tasks";
      if (undecided.length === others) {
        return `With so few seeds the sign-flip test${
          one ? "" : " over tasks"} cannot show any difference from it; the t-tests in single cells may.`;
      }
      const parts = [];
      if (better.length) parts.push(`Shown to be better than it ${where}: ${names(better)}.`);
      if (alike.length) parts.push(`Not told apart from it ${where}: ${names(alike)}.`);
      if (undecided.length) parts.push(`Too few seeds to tell from it: ${names(undecided)}.`);
      if (!parts.length) {
        parts.push(others === 1 ? `The other method is shown to be worse ${where}.`
          : `The other ${others} are shown to be worse ${where}.`);
      }
      return parts.join(" ");
    }

    function against(first) {
      if (!reference || label(first) === reference) return [];
      return [part(`Against ${reference}`, first.against === null && metric
        ? `${label(first)} and ${reference} have no seed in common on a task.`
        : gap(first, label(first)))];
    }

    function cost(first) {
      if (budget) return [part("Cost", `Every method may use ${budget} × the FLOPs of dense training.`)];
      if (first.cost === null) return [];
      const averaged = found.boards.length > 1 || found.sparsities.length > 1 ? ", averaged over the cells that ran," : "";
      let text = `${sparsitiesText().replace(" at", "At")}${averaged} ${label(first)} takes ${costText(first.cost)} the FLOPs of dense training`;
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
      const words = rankWords(row);
      const text = `${words[0].toUpperCase()}${words.slice(1)} of ${ranked.length}${rankEnds(row)}.`;
      const spent = row.cost && !budget ? ` It takes ${costText(row.cost)} the FLOPs of dense training.` : "";
      return `${text}${row.against || !metric ? ` ${gap(row, "It")}` : ""}${spent}`;
    }

    /** How a row, named so, stands against the reference, over tasks and in single cells. */
    function gap(row, name) {
      const single = singleCells(row), difference = row.against?.comparison.difference;
      if (!difference || !metric) {
        return `The tasks rank by different metrics, so that there is no difference over all of them: ${
          name === "It" ? "it" : name} ${single}.`;
      }
      const [number, low, high] = resonanceFormat.differenceFigures(metric, difference);
      const certain = low ? [`95 % interval ${low} to ${high}`] : [];
      if (row.against.p !== null) certain.push(resonanceFormat.pValue(row.against.p));
      const inside = certain.length ? ` (${certain.join(", ")})` : "";
      const unit = metric.unit === "percent" ? " points" : "";
      const way = metric.better === "less" ? ", + being better" : "";
      const { tasks } = row.against;
      const where = tasks === 1 ? " on the one task" : `, averaged over the ${tasks} tasks`;
      return `${name} differs from ${reference} by ${number}${unit}${inside}${way}${where} that both have; it ${
        single}.`;
    }

    /** In which cells a row is shown to differ from the reference, after its name. */
    function singleCells({ wins, ties, losses }) {
      const cells = wins + ties + losses;
      if (!cells) return `has no cell with ${minSeeds} common seeds`;
      if (cells > 1) return `is shown to be better in ${wins} and worse in ${losses} of ${cells} cells`;
      const shown = wins ? "better" : losses ? "worse" : "";
      return `is ${shown ? `shown to be ${shown}` : "not shown to differ"} in its one cell`;
    }

    /** On which tasks there is no dense network, and what is missing for it. */
    function withoutDense() {
      const lacking = found.boards.filter((task) =>
        Object.keys(model.tasks[task].dense).every((name) => name === "training_flops"));
      if (!lacking.length) return [];
      const needing = budget ? "Shares of dense" : "Shares of dense, and costs as multiples of dense training,";
      const where = lacking.length === found.boards.length ? ""
        : ` on ${names(lacking.map((task) => model.tasks[task].title))}`;
      return [part("No dense run", `${needing} need a dense run of the same recipe, and there is none${
        where}: run the method dense too.`)];
    }

    /** Who has no rank, and why: without any result, or without one on every task. */
    function notRanked() {
      const byReason = new Map();
      const where = found.compared.length === 1 ? "the compared task" : "some of the compared tasks";
      for (const row of rows) {
        if (entries[row.entry].dense || row.rank !== null || (row.ran && !found.compared.length)) continue;
        const words = found.compared.flatMap((task) => row.lacking.get(task) ?? []);
        const reason = row.ran ? `${[...new Set(words)].sort().join(", ")} on ${where}` : reasons(row);
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
      const gaps = rows.flatMap(({ claims }) => [...claims.values()]
        .flatMap(({ comparison }) => comparison.difference ?? []));
      if (!reference || !gaps.length) return "";
      const differences = `Differences are from ${reference} on the same seeds, + being better${
        gaps.some(({ low }) => low !== null) ? ", with 95 % intervals" : ""}`;
      const scale = "± is where the scale of a column's points ends. ";
      const few = `Fewer than ${minSeeds} common seeds: no claim.`;
      const several = found.sparsities.length > 1
        ? "In a task's column are points only, one for each sparsity, the lowest at the top. " : "";
      if (!found.comparisons) return `${differences}. ${scale}${several}${few}`;
      const tests = found.comparisons === 1
        ? `Paired t-test at 5 % of the only comparison with ${reference} in a cell`
        : `Paired t-tests at 5 % in single cells, Holm-corrected over the ${
          found.comparisons.toLocaleString("en")} comparisons with ${reference} that this table shows`;
      const tested = rows.filter(({ against: one }) => one && one.p !== null).length;
      const overAll = !tested ? "" : `; over all tasks, a sign-flip test${
        tested > 1 ? `, Holm-corrected over the ${tested} methods` : ""}`;
      return `${differences}, which are not corrected; in colour, and the point filled: shown to differ. ${
        scale}${several}${tests}${overAll}. ${few}`;
    }

    // ---------------------------------------------------------------- rows

    function line(row, limit, limits) {
      const { entry, rank, share: part, wins, ties, losses } = row;
      const compared = wins + ties + losses;
      const ends = (interval, factor) => (!interval || interval.low === null ? ""
        : `${tenths(factor * interval.low)}–${tenths(factor * interval.high)}`);
      return {
        row, label: label(row), page: entries[entry].page, ...scoreOf(entry), rank: rank ? rankOf(row) : "",
        rankEnds: ends(rank, 1), reason: reasonOf(row),
        share: part ? `${tenths(100 * part.mean)} %` : "", shareEnds: ends(part, 100),
        counts: compared ? `${wins} / ${ties} / ${losses}` : "",
        cost: row.cost === null ? "" : costText(row.cost).replace(" ", ""),
        overTasks: overTasksCell(row, limit),
        cells: found.boards.map((task) => taskCell(row, task, limits.get(task))),
      };
    }

    /** Mean and half the interval on the one task at the one sparsity shown. */
    function scoreOf(entry) {
      if (found.boards.length !== 1 || found.sparsities.length !== 1) return { score: "", scoreHalf: "" };
      const [task] = found.boards, cell = model.find(task, entry, found.sparsities[0]);
      const column = columnOf(model, found, task);
      const [score, scoreHalf] = resonanceFormat.interval(
        column.unit, cell && model.intervalOf(cell, column.name));
      return { score, scoreHalf };
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
      const [number, ends] = resonanceFormat.numberAndEnds(metric, difference);
      return { marks: [mark], number, ends,
        words: `${differenceText(metric, difference)}${certain}: ${one.verdict}, ${tasksText(one.tasks)}` };
    }

    /** A row's differences on one task, one for each sparsity shown. */
    function taskCell({ claims }, task, limit) {
      const column = columnOf(model, found, task), sparsities = found.shown.get(task);
      const marks = [], words = [];
      let number = "", ends = "";
      sparsities.forEach((sparsity, place) => {
        const claim = claims.get(`${task} ${sparsity}`), difference = claim?.comparison.difference;
        if (!difference) return;
        marks.push(forestMark(difference, claim.verdict, limit, place, sparsities.length));
        const p = claim.verdict === "equivalent" ? claim.equivalenceP : claim.p;
        words.push(`${share(sparsity)} %: ${differenceText(column, difference)}${
          p === null ? "" : `, ${resonanceFormat.pValue(p)}`}: ${claim.verdict}`);
        if (found.sparsities.length === 1) [number, ends] = resonanceFormat.numberAndEnds(column, difference);
      });
      return marks.length ? { marks, number, ends, words: words.join("; ") } : null;
    }

    const rankOf = ({ rank }) => tenths(rank.mean);
    const rankEnds = ({ rank }) => (rank.low === null ? ""
      : ` (95 % interval ${tenths(rank.low)} to ${tenths(rank.high)})`);

    return { finding, note, line };
  }

  // ------------------------------------------------------------------ figures

  const limitText = ({ unit }, limit) =>
    String(Number((unit === "percent" ? 100 * limit : limit).toPrecision(3)));

  function differenceText(column, difference) {
    const [number, ends] = resonanceFormat.numberAndEnds(column, difference);
    return `${number}${column.unit === "percent" ? " points" : ""}${ends && ` ${ends}`}`;
  }

  function costText(cost) {
    const digits = cost < 0.0995 ? 3 : 2;
    return `${fixed(cost, digits)} ×`;
  }
  const tasksText = (number) => (number === 1 ? "1 task" : `${number} tasks`);

  /** Names, which may hold commas, in a list; with more than MAX_NAMES, the rest is counted. */
  const names = (labels) => (labels.length <= MAX_NAMES ? labels.join("; ")
    : `${labels.slice(0, MAX_NAMES - 1).join("; ")} and ${labels.length - MAX_NAMES + 1} more`);

  return { overviewTable };
})();
