/* Buttons that save a chart as shown, in light colours on white: `resonanceSaving`.
 *
 * SVG and PNG are drawn here. A PDF is made when the site is built, and linked. */
"use strict";

const resonanceSaving = (() => {
  const PNG_SCALE = 2;  // pixels of a PNG per pixel of the page

  const ENCODERS = {
    svg: async (view) => ["image/svg+xml", await view.toSVG()],
    png: async (view) => {
      const canvas = await view.toCanvas(PNG_SCALE);
      return ["image/png", await new Promise((done) => { canvas.toBlob(done, "image/png"); })];
    },
  };

  /** Offer content to the reader as a file. */
  function save(name, content, type) {
    const address = URL.createObjectURL(new Blob([content], { type }));
    const link = document.createElement("a");
    Object.assign(link, { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);  // a busy browser may fetch it late
  }

  async function saveChart(name, kind, title, specification) {
    const { view } = await window.vegaEmbed(document.createElement("div"),
      { ...specification, title }, { actions: false, renderer: "none", ast: false });
    try {
      const [type, content] = await ENCODERS[kind](view);
      save(`${name}.${kind}`, content, type);
    } finally {
      view.finalize();
    }
  }

  /** Return the buttons of a chart. `specify` returns its specification in Vega-Lite, with its
   * configuration, when one is pressed; `pdf` is {href, text} of a PDF that exists already. */
  function buttons(name, title, specify, pdf) {
    const group = document.createElement("span");
    group.className = "saving";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Save the chart ${title}`);
    group.append("save as");
    for (const kind of Object.keys(ENCODERS)) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "quiet", textContent: kind.toUpperCase() });
      button.dataset.save = kind;
      button.setAttribute("aria-label", `${kind.toUpperCase()}: save the chart ${title}`);
      button.addEventListener("click", () => saveChart(name, kind, title, specify()));
      group.append(" ", button);
    }
    if (pdf) {
      const link = document.createElement("a");
      Object.assign(link, { href: pdf.href, download: "", textContent: pdf.text ?? "PDF" });
      link.dataset.save = "pdf";
      link.setAttribute("aria-label", `${link.textContent}: the chart ${title}`);
      group.append(" ", link);
    }
    return group;
  }

  return { buttons, save };
})();
