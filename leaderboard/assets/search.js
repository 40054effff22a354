/* The search field of every page: titles of the site's pages, and keys of trials by their beginning.
 *
 * The indices are scripts of the site, as a page that is opened from a folder may load nothing else;
 * they are asked for when the field is first used. See leaderboard/pages/search_index.py.
 */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const MOST = 12, KEY = /^[0-9a-f]{3,16}$/;
  const place = document.querySelector("[data-search]");
  if (!place) return;
  const root = place.dataset.search, field = place.querySelector("input");
  const list = place.querySelector("[role=listbox]"), status = place.querySelector("[role=status]");
  const asked = new Map();
  let active = -1;
  place.hidden = false;

  /** Load a script of the site once; resolves to whether it could be loaded. */
  function load(name) {
    if (!asked.has(name)) {
      asked.set(name, new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = `${root}assets/${name}.js`;
        script.onload = () => resolve(true);
        script.onerror = () => resolve(false);
        document.head.append(script);
      }));
    }
    return asked.get(name);
  }

  /** Pages that have every word, those whose title begins with the text first. */
  function pagesOf(text) {
    const words = text.toLowerCase().split(/\s+/);
    const score = ([kind, title, more]) => {
      const name = title.toLowerCase(), all = `${name} ${more.toLowerCase()} ${kind}`;
      if (!words.every((word) => all.includes(word))) return 0;
      return name === words.join(" ") ? 4 : name.startsWith(words[0]) ? 3 : words.every((word) => name.includes(word)) ? 2 : 1;
    };
    return (window.resonancePages ?? []).map((page) => [score(page), page]).filter(([found]) => found)
      .sort(([one], [other]) => other - one)
      .map(([, [kind, title, , address]]) => ({ kind, title, address }));
  }

  /** Trials whose key begins with the text, at most `MOST`. */
  function trialsOf(text) {
    const found = [];
    for (const [title, keys] of window.resonanceTrialKeys ?? []) {
      for (let at = 0; found.length < MOST; at += 17) {  // sixteen digits and a space
        at = keys.indexOf(text, at);
        if (at < 0) break;
        if (at % 17) { at = Math.floor(at / 17) * 17; continue; }  // within a key
        const key = keys.slice(at, at + 16);
        found.push({ kind: "trial", title: `${key}, ${title}`, address: `trials/${key}.html` });
      }
    }
    return found;
  }

  async function search() {
    const text = field.value.trim(), keyed = KEY.test(text.toLowerCase());
    const loaded = await load("search_index");
    if (keyed) await load("search_trials");
    if (text !== field.value.trim()) return;  // something else has been typed since
    const found = text ? [...(keyed ? trialsOf(text.toLowerCase()) : []), ...pagesOf(text)] : [];
    show(found.slice(0, MOST), found.length, text, loaded);
  }

  function show(found, number, text, loaded) {
    active = -1;
    field.removeAttribute("aria-activedescendant");
    list.replaceChildren(...found.map(({ kind, title, address }, i) => {
      const option = document.createElement("li"), link = document.createElement("a");
      const what = document.createElement("small");
      option.id = `found-${i}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      link.href = root + address;
      link.tabIndex = -1;
      link.setAttribute("role", "presentation");
      link.textContent = title;
      what.textContent = ` ${kind}`;
      link.append(what);
      option.append(link);
      return option;
    }));
    list.hidden = !found.length;
    field.setAttribute("aria-expanded", `${found.length > 0}`);
    status.textContent = !loaded ? "The index of this site is not beside this page."
      : !text ? "" : !number ? "Nothing found." : number > MOST ? `The first ${MOST} of ${number} pages.`
        : `${number} found.`;
    status.classList.toggle("hidden-text", Boolean(!text || (loaded && number)));
  }

  function choose(next) {
    const options = [...list.children];
    if (!options.length) return;
    options[active]?.setAttribute("aria-selected", "false");
    active = (next + options.length) % options.length;
    options[active].setAttribute("aria-selected", "true");
    options[active].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", options[active].id);
  }

  function close() {
    list.hidden = true;
    status.classList.add("hidden-text");
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
    active = -1;
  }

  field.addEventListener("focus", () => load("search_index"));
  field.addEventListener("input", search);
  field.addEventListener("keydown", async (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) await search();
      choose(event.key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const at = active;
      if (list.hidden || at < 0) await search();
      list.children[Math.max(at, 0)]?.querySelector("a").click();
    } else if (event.key === "Escape") {
      if (list.hidden) field.value = "";
      else event.preventDefault();  // a browser empties the field, which stays for another look
      close();
    }
  });
  place.addEventListener("focusout", (event) => {
    if (!place.contains(event.relatedTarget)) close();
  });
});
