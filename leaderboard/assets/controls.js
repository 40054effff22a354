/* Controls of the main page: chips, pickers, menus: `resonanceControls`. */
"use strict";

const resonanceControls = (() => {
  const { element } = resonanceDom;

  /** A labelled check box. */
  function box(text, checked, onchange) {
    const input = element("input", { type: "checkbox", onchange });
    input.checked = checked;
    return element("label", { class: "box", title: text }, input,
      element("span", { class: "name" }, text));
  }

  /** Boxes for a choice among `all`; `chosen` is a list, or null for all; `onchoose` receives
   * the new choice in the same form. `groupOf` returns the title that a box is under. */
  function choice(place, all, chosen, onchoose, groupOf = () => "") {
    const known = new Set(chosen ?? all.map(([value]) => value));
    const groups = new Map();
    for (const [value, text] of all) {
      const group = groupOf(value);
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(box(text, known.has(value), (event) => {
        if (event.target.checked) known.add(value);
        else known.delete(value);
        const now = all.map(([one]) => one).filter((one) => known.has(one));
        onchoose(now.length === all.length ? null : now);
      }));
    }
    place.replaceChildren(...[...groups].map(([group, boxes]) => (group
      ? element("fieldset", {}, element("legend", {}, group), boxes)
      : element("div", { class: "chips" }, boxes))));
  }

  /** Buttons of which one is chosen, from [value, text]; `chosen` is a value, or null for none. */
  function oneOf(place, name, options, chosen, onchoose) {
    place.replaceChildren(element("div", { class: "chips" }, options.map(([value, text]) => {
      const input = element("input", { type: "radio", name, value, onchange: () => onchoose(value) });
      input.checked = value === chosen;
      return element("label", { class: "box" }, input, element("span", { class: "name" }, text));
    })));
  }

  /** Fill a menu with [value, text, group], and choose one. */
  function menu(select, options, chosen) {
    const groups = new Map();
    for (const [value, text, group = ""] of options) {
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(element("option", { value }, text));
    }
    select.replaceChildren(...[...groups].flatMap(([group, made]) =>
      (group ? [element("optgroup", { label: group }, made)] : made)));
    select.value = chosen;
  }

  /** Keep open panels within the window; close them on Escape, and on a click elsewhere. */
  function managePanels() {
    const open = () => document.querySelectorAll("details.panel[open]");
    for (const panel of document.querySelectorAll("details.panel")) {
      panel.addEventListener("toggle", () => {
        const sheet = panel.querySelector(".sheet");
        sheet.style.removeProperty("--shift");
        const beyond = sheet.getBoundingClientRect().right + 12 - document.documentElement.clientWidth;
        if (panel.open && beyond > 0) sheet.style.setProperty("--shift", `${-beyond}px`);
      });
    }
    document.addEventListener("click", (event) => {
      for (const panel of open()) if (!panel.contains(event.target)) panel.open = false;
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      for (const panel of open()) {
        panel.open = false;
        panel.querySelector("summary").focus();
      }
    });
  }

  return { choice, menu, managePanels, oneOf };
})();
