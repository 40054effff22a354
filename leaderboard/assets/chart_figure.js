"use strict";
/* A chart of a page below the main one: an empty figure, and Vega drawing into it. */

/* Return an empty figure, { figure, drawing, tools }; once drawn, the chart can be saved. `pdf` is the
   address of the same chart as a PDF, if there is one. */
window.resonanceFigure = (name, title, text, pdf) => {
  const made = { name, label: `${title}: ${text}` };
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const heading = document.createElement("h3");
  heading.textContent = title;
  const note = document.createElement("p");
  note.className = "note";
  note.textContent = text;
  const drawing = document.createElement("div");
  drawing.className = "drawing";
  drawing.id = `chart-${name}`;
  drawing.tabIndex = 0;  // so that the keyboard can scroll it
  drawing.setAttribute("role", "group");
  drawing.setAttribute("aria-label", title);
  const tools = document.createElement("p");
  tools.className = "tools";
  tools.append(resonanceSaving.buttons(name, title, () => made.picture, pdf && { href: pdf }));
  tools.hidden = true;
  caption.append(heading, note, tools);
  figure.append(caption, drawing);
  return Object.assign(made, { figure, drawing, tools });
};

/* Draw a specification into a figure of `wide` pixels; to a screen reader the picture is one
   element. Where the figure is narrow, legends at the side of the chart go below it. */
window.resonanceDraw = async (
  one, specification, themes, wide = resonanceScheme.width(one.drawing),
) => {
  const { drawing, label, tools } = one, theme = resonanceScheme.theme();
  const columns = Math.max(1, Math.floor((wide - 110) / 190));
  const legend = wide < 640 ? { orient: "bottom", columns } : {};
  const styled = (config) =>
    ({ ...specification, config: { ...config, legend: { ...config.legend, ...legend } } });
  const { view } = await window.vegaEmbed(drawing, styled(themes[theme]), {
    actions: false, renderer: "svg", tooltip: { theme },
  });
  await resonanceFitting.fill(view, specification, drawing, wide);
  one.picture = styled(themes.picture);
  for (const part of drawing.querySelectorAll("svg [role]")) {
    for (const attribute of ["role", "aria-roledescription", "aria-label"]) {
      part.removeAttribute(attribute);
    }
  }
  const picture = drawing.querySelector("svg.marks");
  picture?.setAttribute("role", "img");
  picture?.setAttribute("aria-label", label);
  tools.hidden = false;
  drawing.dataset.drawn = "true";
};
