"use strict";
/* Charts of a task's or a method's page: its figures (#figures: name, chart, where, rows), with their
   rows in the specifications of task_chart_data.js. */

(() => {
  const { charts, themes } = window.resonanceBoardCharts;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const place = document.getElementById("charts");

  async function draw(one, { chart, rows }) {
    const wide = resonanceScheme.width(place), theme = resonanceScheme.theme();
    const spec = resonanceFitting.board(charts[chart], rows, wide, themes[theme]);
    await window.resonanceDraw(one, spec, themes, wide);
  }

  for (const shown of figures) {
    const { title, text } = charts[shown.chart];
    const one = window.resonanceFigure(shown.name, title + shown.where, text);
    place.append(one.figure);
    draw(one, shown);
    resonanceScheme.onchange(() => draw(one, shown));
    resonanceScheme.onresize(one.figure, () => draw(one, shown));
  }
})();
