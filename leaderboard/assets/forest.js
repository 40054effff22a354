/* Differences drawn as points with intervals around zero, as leaderboard/forest.py: `resonanceForest`. */
"use strict";

const resonanceForest = (() => {
  const REACH = 44, SHARE = 0.75, ROOM = 1.25, LARGEST = 1e300;
  const KINDS = { better: "better", worse: "worse", equivalent: "equivalent" };

  /** The largest difference on a scale that shows most of them: 1, 2 or 5 times 10ⁿ. */
  function scaleLimit(differences) {
    const sizes = Float64Array.from(differences, Math.abs).sort();
    if (!sizes.length || sizes.at(-1) === 0) return 1;
    const most = sizes[Math.ceil(SHARE * sizes.length) - 1] || sizes.at(-1);
    const shown = Math.min(Math.max(most, 1 / LARGEST), LARGEST);
    const step = 10 ** Math.floor(Math.log10(ROOM * shown));
    return [1, 2, 5, 10].map((factor) => factor * step).find((size) => size >= ROOM * shown);
  }

  const round = (x) => Math.round(100 * x) / 100;
  const placeOf = (x, limit) => round(50 + REACH * Math.min(Math.max(x / limit, -1), 1));

  /** Where a difference {mean, low, high} is drawn; it is the `number`-th of its cell, from 0. */
  const forestMark = ({ mean, low, high }, verdict, limit, number = 0, of = 1) => ({
    place: placeOf(mean, limit),
    low: placeOf(low ?? mean, limit),
    high: placeOf(high ?? mean, limit),
    height: round((100 * (number + 1)) / (of + 1)),
    beyond: Math.abs(mean) <= limit ? 0 : Math.sign(mean),
    kind: KINDS[verdict] ?? "unclear",
  });

  const NAMESPACE = "http://www.w3.org/2000/svg";

  function shape(tag, attributes) {
    const made = document.createElementNS(NAMESPACE, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  /** The plot of a cell, as the macro `forest` of templates/overview.html draws it. */
  function plot({ marks, words }) {
    const svg = shape("svg", { class: "forest", role: "img", "aria-label": words });
    const title = shape("title", {});
    title.textContent = words;
    svg.append(title, shape("line", { class: "zero", x1: "50%", x2: "50%", y1: 0, y2: "100%" }));
    for (const { place, low, high, height, beyond: side, kind } of marks) {
      const y = `${height}%`;
      svg.append(shape("line", { class: kind, x1: `${low}%`, x2: `${high}%`, y1: y, y2: y }));
      if (side) {
        const end = side < 0 ? place + 2 : place - 2;
        const text = shape("text", { class: kind, x: `${end}%`, y, dy: ".35em",
          "text-anchor": side < 0 ? "start" : "end" });
        text.textContent = side < 0 ? "◂" : "▸";
        svg.append(text);
      } else {
        svg.append(shape("circle", { class: kind, cx: `${place}%`, cy: y, r: marks.length > 1 ? 2.5 : 4 }));
      }
    }
    return svg;
  }

  return { forestMark, plot, scaleLimit };
})();
