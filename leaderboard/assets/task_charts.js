"use strict";
/* Charts of a task's or a method's page: its figures (#figures: name, chart, where, rows), with their
   rows in the specifications of task_chart_data.js. */

(() => {
  const { charts, themes } = window.resonanceBoardCharts;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const place = document.getElementById("charts");

  /* Keep the legend entries that are in the chart, and the panels of families that are. */
  function narrowed(part, present, families) {
    if (part === null || typeof part !== "object") return part;
    if (Array.isArray(part)) return part.map((one) => narrowed(one, present, families));
    const found = Object.fromEntries(
      Object.entries(part).map(([name, value]) => [name, narrowed(value, present, families)]));
    if (part.as === "panel" && part.calculate) {
      const panels = JSON.parse(part.calculate).filter((family) => families.has(family));
      found.calculate = JSON.stringify(panels);
    }
    if (part.field === "entry" && Array.isArray(part.scale?.domain)) {
      const kept = part.scale.domain.map((_, i) => i).filter((i) => present.has(part.scale.domain[i]));
      found.scale = { ...found.scale };
      for (const side of ["domain", "range"]) {
        if (Array.isArray(part.scale[side])) found.scale[side] = kept.map((i) => part.scale[side][i]);
      }
    }
    return found;
  }

  function draw(one, { chart, rows }) {
    const wide = resonanceScheme.width(place);
    // Rows without a family are the grey lines, for comparison.
    const compared = rows.filter((row) => row.family !== null);
    const present = new Set(compared.map((row) => row.entry));
    const families = new Set(
      compared.filter((row) => row.sparsity !== null).map((row) => row.family));
    const { datasets, ...form } = charts[chart].specification;
    const fitted = { ...narrowed(form, present, families), datasets: { rows } };
    const unit = fitted.spec || fitted;
    if (unit.width < 200 && families.size === 1) Object.assign(unit, { width: 320, height: 180 });
    if (fitted.columns && wide < 900) fitted.columns = 1;
    const across = fitted.facet?.column ? families.size : 1;
    if (across === 1 && wide < 640) unit.width = Math.max(160, wide - 160);
    const below = across * (unit.width + 34) + 110 + 220 > wide;  // no room at the side
    const legend = below ? window.resonanceLegendBelow(wide) : {};
    return window.resonanceDraw(one, fitted, themes, legend);
  }

  for (const shown of figures) {
    const { title, text } = charts[shown.chart];
    const one = window.resonanceFigure(shown.name, title + shown.where, text);
    place.append(one.figure);
    draw(one, shown);
    resonanceScheme.onchange(() => draw(one, shown));
  }
})();
