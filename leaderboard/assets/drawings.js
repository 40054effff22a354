"use strict";
/* The charts of a page whose specifications (#specifications) hold their rows. */

(() => {
  const { charts, themes } = JSON.parse(document.getElementById("specifications").textContent);
  const place = document.getElementById("charts");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function draw(one, { title, description, ...form }) {
    const fitted = structuredClone(form);
    const wide = place.clientWidth;
    const unit = fitted.spec || fitted;
    if (fitted.columns && wide < 700) fitted.columns = 1;
    if (wide < 640 && typeof unit.width === "number") unit.width = Math.max(180, wide - 120);
    return window.resonanceDraw(one, fitted, themes, dark.matches);
  }

  for (const [name, chart] of Object.entries(charts)) {
    const one = window.resonanceFigure(name, chart.title, chart.description);
    place.append(one.figure);
    draw(one, chart);
    dark.addEventListener("change", () => draw(one, chart));
  }
})();
