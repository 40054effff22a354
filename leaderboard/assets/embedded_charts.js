"use strict";
/* The charts of a page whose specifications (#specifications) hold their rows. */

(() => {
  const { charts, themes, pdfs } = JSON.parse(document.getElementById("specifications").textContent);
  const place = document.getElementById("charts");

  function draw(one, { title, description, ...form }) {
    const fitted = structuredClone(form);
    const wide = resonanceScheme.width(place);
    const unit = fitted.spec || fitted;
    if (fitted.columns && wide < 700) fitted.columns = 1;
    if (wide < 640 && typeof unit.width === "number") unit.width = Math.max(180, wide - 120);
    return window.resonanceDraw(one, fitted, themes, wide);
  }

  for (const [name, chart] of Object.entries(charts)) {
    const one = window.resonanceFigure(name, chart.title, chart.description, pdfs[name]);
    place.append(one.figure);
    draw(one, chart);
    resonanceScheme.onchange(() => draw(one, chart));
    resonanceScheme.onresize(one.figure, () => draw(one, chart));
  }
})();
