/* What charts are drawn for, a screen or paper, light or dark: `resonanceScheme`.
 *
 * Colours and widths of a chart are in its picture, where no style sheet reaches them: for paper it
 * has to be drawn again. That takes no more than what is to be done at once (no timer, no frame),
 * so it is there when a browser has told of the printing and begins with it.
 */
"use strict";

const resonanceScheme = (() => {
  const PAPER = 760;  // pixels: little more than a page of A4 is wide, which makes it fit
  const dark = matchMedia("(prefers-color-scheme: dark)"), paper = matchMedia("print");
  const told = [];
  let printing = paper.matches;

  const theme = () => {
    if (printing) return "light";
    return document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  };
  const isPrinting = () => printing;

  /** Return how wide a chart in an element may be, in pixels. */
  const width = (element) => (printing ? PAPER : element.clientWidth);

  /** Call `redraw` where charts are to be drawn otherwise from now on. */
  const onchange = (redraw) => told.push(redraw);

  function print(now) {
    if (printing === now) return;  // a browser tells of it in two ways
    printing = now;
    told.forEach((redraw) => redraw());
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  paper.addEventListener("change", () => print(paper.matches));
  dark.addEventListener("change", () => told.forEach((redraw) => redraw()));

  return { theme, isPrinting, width, onchange };
})();
