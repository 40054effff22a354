"use strict";
/* Buttons that copy the text of another element: <button data-copy="its id">. */

for (const button of document.querySelectorAll("button[data-copy]")) {
  const words = button.textContent;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 1500);
  });
}

/* A figure that a chart is drawn into later: { figure, drawing }; drawn, the chart can be saved. */
window.resonanceFigure = (name, title, text) => {
  const made = { name, label: `${title}: ${text}` };
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const heading = document.createElement("h3");
  heading.textContent = title;
  const says = document.createElement("p");
  says.className = "note";
  says.textContent = text;
  const drawing = document.createElement("div");
  drawing.className = "drawing";
  drawing.id = `chart-${name}`;
  drawing.tabIndex = 0;  // so that keys can scroll it
  drawing.setAttribute("role", "group");
  drawing.setAttribute("aria-label", title);
  const tools = document.createElement("p");
  tools.className = "tools";
  tools.append(resonanceSaving.buttons(name, title, () => made.picture));
  tools.hidden = true;
  caption.append(heading, says, tools);
  figure.append(caption, drawing);
  return Object.assign(made, { figure, drawing, tools });
};

/* Draw a specification into a figure; the picture is one thing to a screen reader. `legend` says
   where the legend stands, where that is not as usual. */
window.resonanceDraw = async (one, specification, themes, legend = {}) => {
  const { drawing, label, tools } = one, theme = resonanceScheme.theme();
  const styled = (config) =>
    ({ ...specification, config: { ...config, legend: { ...config.legend, ...legend } } });
  one.picture = styled(themes.picture);
  await window.vegaEmbed(drawing, styled(themes[theme]), {
    actions: false, renderer: "svg", tooltip: { theme },
  });
  for (const part of drawing.querySelectorAll("svg [role]")) {
    for (const said of ["role", "aria-roledescription", "aria-label"]) part.removeAttribute(said);
  }
  const picture = drawing.querySelector("svg.marks");
  picture?.setAttribute("role", "img");
  picture?.setAttribute("aria-label", label);
  tools.hidden = false;
  drawing.dataset.drawn = "true";
};
