"use strict";
/* Charts of a task's or a method's page: rows (#rows) in the specifications of task_chart_data.js. */

(() => {
  const { charts, themes } = window.resonanceBoardCharts;
  const rows = JSON.parse(document.getElementById("rows").textContent);
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

  function draw(one) {
    const wide = resonanceScheme.width(place);
    // Rows without a family are the grey lines, for comparison.
    const compared = rows[one.name].filter((row) => row.family !== null);
    const present = new Set(compared.map((row) => row.entry));
    const families = new Set(
      compared.filter((row) => row.sparsity !== null).map((row) => row.family));
    const { datasets, ...form } = charts[one.name].specification;
    const fitted = { ...narrowed(form, present, families), datasets: { rows: rows[one.name] } };
    const unit = fitted.spec || fitted;
    if (unit.width < 200 && families.size === 1) Object.assign(unit, { width: 320, height: 180 });
    if (fitted.columns && wide < 900) fitted.columns = 1;
    const across = fitted.facet?.column ? families.size : 1;
    if (across === 1 && wide < 640) unit.width = Math.max(160, wide - 130);
    const below = across * (unit.width + 34) + 110 + 220 > wide;  // no room at the side
    const legend = below ? { orient: "bottom", columns: Math.max(1, Math.floor(wide / 190)) } : {};
    return window.resonanceDraw(one, fitted, themes, legend);
  }

  for (const name of Object.keys(rows)) {
    const one = window.resonanceFigure(name, charts[name].title, charts[name].text);
    place.append(one.figure);
    draw(one);
    resonanceScheme.onchange(() => draw(one));
  }
})();
