"use strict";
/* The charts of a trial's page: its curves (#curves) in the specifications of trial_chart_data.js.
   A chart is drawn shortly before it scrolls into view. */

(() => {
  const MAX_LAYERS = 4;
  const { charts, themes } = window.resonanceTrialCharts;
  const curves = decoded(JSON.parse(document.getElementById("curves").textContent));
  const place = document.getElementById("charts");
  const select = document.getElementById("layers");
  const narrow = matchMedia("(max-width: 50rem)");
  const steps = curves.reduce((most, one) => one.step.reduce((a, b) => Math.max(a, b), most), 1);
  const layers = [...new Set(curves.map((one) => one.layer).filter((name) => name !== ""))];

  /* Decode what leaderboard/pages/curve_data.py encoded: numbers in Base64. */
  function decoded(encoded) {
    const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer;
    const step = Array.from(new Uint32Array(bytes(encoded.step)));
    const value = Array.from(new Float32Array(bytes(encoded.value)), (number) =>
      (Number.isFinite(number) ? Number(number.toPrecision(7)) : null));
    let [atStep, atValue] = [0, 0];
    return encoded.series.map(([round, series, layer, steps, values]) => ({
      round, series, layer, width: values / steps,
      step: step.slice(atStep, atStep += steps), value: value.slice(atValue, atValue += values),
    })).filter(({ width }) => Number.isInteger(width)); // otherwise the values do not fit the steps
  }

  const shows = (chart, series) =>
    chart.series.some((name) =>
      name.endsWith("*") ? series.startsWith(name.slice(0, -1)) : series === name);

  function rows(some) {
    const found = [];
    for (const { round, series, layer, width, step, value } of some) {
      value.forEach((number, i) => found.push({
        round, series, layer, step: step[Math.floor(i / width)], index: i % width, value: number,
      }));
    }
    return found;
  }

  function chosen() {
    if (select.value === "first") return new Set(layers.slice(0, MAX_LAYERS));
    return select.value === "all" ? new Set(layers) : new Set([layers[Number(select.value)]]);
  }

  function option(value, text) {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    select.append(made);
  }

  if (layers.length > MAX_LAYERS) option("first", `first ${MAX_LAYERS} of ${layers.length}`);
  option("all", "all");
  if (layers.length > 1) layers.forEach((name, i) => option(String(i), name));
  if (layers.length < 2) select.closest(".controls").hidden = true;

  function figure(chart, some) {
    const text = `${chart.description[0].toUpperCase()}${chart.description.slice(1)}.`;
    const pdf = place.dataset.pdfs && `${chart.name}.pdf`;
    const one = window.resonanceFigure(chart.name, chart.title, text, pdf);
    place.append(one.figure);
    return Object.assign(one, { chart, some });
  }

  const figures = charts
    .map((chart) => [chart, curves.filter((one) => shows(chart, one.series))])
    .filter(([, some]) => some.reduce((count, one) => count + one.value.length, 0) > 1)
    .map(([chart, some]) => figure(chart, some));

  function draw(one) {
    const wanted = chosen();
    const here = one.some.filter(({ layer }) => layer === "" || wanted.has(layer));
    const specification = structuredClone(one.chart.specification);
    specification.datasets = { curves: rows(here) };
    specification.params = [{ name: "steps", value: steps }];
    const slim = narrow.matches && !resonanceScheme.isPrinting();
    const width = slim ? Math.max(180, place.clientWidth - 130) : 0;
    if (width && specification.columns) specification.columns = 1;
    if (width) (specification.spec || specification).width = width;
    return window.resonanceDraw(one, specification, themes);
  }

  const watching = new IntersectionObserver((seen) => {
    for (const one of seen.filter((entry) => entry.isIntersecting)) {
      watching.unobserve(one.target);
      draw(figures.find((found) => found.drawing === one.target));
    }
  }, { rootMargin: "300px" });

  function watch() {
    for (const { drawing } of figures) {
      watching.unobserve(drawing);
      watching.observe(drawing);
    }
  }

  select.addEventListener("change", watch);
  resonanceScheme.onchange(() => (resonanceScheme.isPrinting() ? figures.forEach(draw) : watch()));
  resonanceScheme.onresize(place, watch);
  watch();
})();
