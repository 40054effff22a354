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

/* A figure that a chart is drawn into later: { figure, drawing }. */
window.resonanceFigure = (name, title, text) => {
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
  caption.append(heading, says);
  figure.append(caption, drawing);
  return { figure, drawing, name, label: `${title}: ${text}` };
};

/* Draw a specification into a figure; the picture is one thing to a screen reader. */
window.resonanceDraw = async ({ drawing, name, label }, specification, themes, dark) => {
  await window.vegaEmbed(drawing, { ...specification, config: themes[dark ? "dark" : "light"] }, {
    actions: { export: true, source: false, compiled: false, editor: false },
    renderer: "svg", downloadFileName: name, tooltip: { theme: dark ? "dark" : "light" },
  });
  for (const part of drawing.querySelectorAll("svg [role]")) {
    for (const said of ["role", "aria-roledescription", "aria-label"]) part.removeAttribute(said);
  }
  const picture = drawing.querySelector("svg.marks");
  picture?.setAttribute("role", "img");
  picture?.setAttribute("aria-label", label);
  drawing.querySelector("summary")?.setAttribute("aria-label", `Save ${label.split(":")[0]}`);
  drawing.dataset.drawn = "true";
};
