/* Buttons that save a chart as it is shown, in light colours on white: `resonanceSaving`. */
"use strict";

const resonanceSaving = (() => {
  const SHARP = 2;  // pixels of a PNG for each of the page

  const MADE = {
    svg: async (view) => ["image/svg+xml", await view.toSVG()],
    png: async (view) => {
      const canvas = await view.toCanvas(SHARP);
      return ["image/png", await new Promise((done) => { canvas.toBlob(done, "image/png"); })];
    },
    pdf: async (view, title) => ["application/pdf", await resonancePdf.of(view, title)],
  };

  /** Let the reader save something as a file. */
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
      const [type, content] = await MADE[kind](view, title);
      save(`${name}.${kind}`, content, type);
    } finally {
      view.finalize();
    }
  }

  /** Return the buttons of a chart; `specify` returns its specification in Vega-Lite, with its
   * configuration, when one is pressed. */
  function buttons(name, title, specify) {
    const group = document.createElement("span");
    group.className = "saving";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Save the chart ${title}`);
    group.append("save as");
    for (const kind of Object.keys(MADE)) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "quiet", textContent: kind.toUpperCase() });
      button.dataset.save = kind;
      button.setAttribute("aria-label", `${kind.toUpperCase()}: save the chart ${title}`);
      button.addEventListener("click", () => saveChart(name, kind, title, specify()));
      group.append(" ", button);
    }
    return group;
  }

  return { buttons, save };
})();
