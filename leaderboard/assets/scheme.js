/* Whether charts are drawn for screen or print, light or dark: `resonanceScheme`.
 *
 * Style sheets do not reach the colours and widths of a chart, so it is redrawn for paper. Redrawing
 * starts synchronously (no timer, no frame), so it is done when the browser begins to print.
 */
"use strict";

const resonanceScheme = (() => {
  const PAPER = 760;  // pixels, a little more than the width of A4, so that it fits
  const dark = matchMedia("(prefers-color-scheme: dark)"), paper = matchMedia("print");
  const listeners = [];
  let printing = paper.matches;

  const theme = () => {
    if (printing) return "light";
    return document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  };
  const isPrinting = () => printing;

  /** Return the width in pixels available to a chart in an element. */
  const width = (element) => (printing ? PAPER : element.clientWidth);

  /** Call `redraw` whenever charts must be drawn differently. */
  const onchange = (redraw) => listeners.push(redraw);

  /** Call `redraw` in a frame in which an element has another width than before; not for paper. */
  function onresize(element, redraw) {
    let before = null, frame = 0;
    new ResizeObserver(() => {
      cancelAnimationFrame(frame);  // a window that is being dragged reports every step
      frame = requestAnimationFrame(() => {
        const first = before === null, now = element.clientWidth;
        if (printing || now === before) return;
        before = now;
        if (!first) redraw();
      });
    }).observe(element);
  }

  function print(now) {
    if (printing === now) return;  // browsers report it in two ways
    printing = now;
    listeners.forEach((redraw) => redraw());
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  paper.addEventListener("change", () => print(paper.matches));
  dark.addEventListener("change", () => listeners.forEach((redraw) => redraw()));

  return { theme, isPrinting, width, onchange, onresize };
})();
