// What the theme leaves out for those who use a keyboard or a screen reader.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const label = (selector, name, value) => {
    for (const one of document.querySelectorAll(selector)) one.setAttribute(name, value);
  };
  label(".sidebar-drawer", "aria-label", "All pages");
  label(".toc-drawer", "aria-label", "On this page");
  label(".caption[role=heading]", "aria-level", "2");
});
addEventListener("load", () => {
  // What scrolls inside itself must be reachable with the keyboard.
  for (const one of document.querySelectorAll("pre, .table-wrapper, .math")) {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
  }
});
