// What scrolls inside itself can be reached with the keyboard.
"use strict";
addEventListener("load", () => {
  for (const one of document.querySelectorAll("pre, .table-wrapper, .math")) {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
  }
});
