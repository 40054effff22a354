/* Elements of the page. Text enters as text, never as markup: `resonanceDom`. */
"use strict";

const resonanceDom = (() => {
  /** Make an element. Attributes that are false, null or undefined are left out, true is empty;
   * names that begin with `on` are listeners. Children are nodes or texts. */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) {
        made.setAttribute(name, value);
      }
    }
    made.append(...children.flat().filter((child) => child !== null && child !== "" && child !== false));
    return made;
  }

  /** A sign with its reason. The Tab key reaches one mark of a table; arrow keys move to the others,
   * see `roam`. */
  function mark({ kind, sign, reason }) {
    return element(
      "button",
      { type: "button", class: `mark ${kind}`, tabindex: -1, "data-reason": reason },
      sign,
      element("span", { class: "hidden-text" }, ` (${reason})`),
    );
  }

  /** Let arrow keys move between the marks of a table, of which the Tab key reaches one. */
  function roam(table) {
    const marks = () => [...table.querySelectorAll("button.mark")];
    table.addEventListener("keydown", (event) => {
      const turn = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!turn || !event.target.matches("button.mark")) return;
      const all = marks(), next = all[all.indexOf(event.target) + turn];
      event.preventDefault();
      if (next) next.focus();
    });
    table.addEventListener("focusin", (event) => {
      if (!event.target.matches("button.mark")) return;
      for (const other of marks()) other.tabIndex = other === event.target ? 0 : -1;
    });
  }

  /** Make the first mark of a drawn table the one that the Tab key reaches. */
  function reach(table) {
    const all = [...table.querySelectorAll("button.mark")];
    if (all.length && !all.some((one) => one.tabIndex === 0)) all[0].tabIndex = 0;
  }

  /** Show the reason of the mark under the pointer or in focus, in one note for the page. */
  function showReasons() {
    const note = element("div", { class: "reason", "aria-hidden": "true", hidden: true });
    document.body.append(note);
    const show = (event) => {
      const found = event.target.closest?.("[data-reason]");
      note.hidden = !found;
      if (!found) return;
      note.textContent = found.dataset.reason;
      const at = found.getBoundingClientRect();
      const width = note.offsetWidth, room = document.documentElement.clientWidth;
      note.style.left = `${Math.max(8, Math.min(at.left, room - width - 8)) + scrollX}px`;
      note.style.top = `${at.bottom + 6 + scrollY}px`;
    };
    const hide = () => { note.hidden = true; };
    document.addEventListener("pointerover", show);
    document.addEventListener("focusin", show);
    document.addEventListener("focusout", hide);
    document.addEventListener("scroll", hide, true);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  }

  return { element, mark, roam, reach, showReasons };
})();
