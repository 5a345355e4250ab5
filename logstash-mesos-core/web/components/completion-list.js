// What may be written next, below the cursor of a text area.
import { fill, h } from "../lib/dom.js";
import { prose } from "../lib/format.js";
import { complete } from "../lib/completion.js";

/**
 * @param {HTMLTextAreaElement} area @param {() => import("../lib/completion.js").Plugin[]} plugins
 * Of a monospaced font with lines of `line` pixels, behind `left` and `top` pixels.
 * @param {{line: number, left: number, top: number}} metrics
 */
export function completionList(area, plugins, metrics) {
  const list = h("ul", { id: "offers", role: "listbox", "aria-label": "What may stand here" });
  const doc = h("p", { class: "quiet" });
  const element = h("div", { class: "offers", hidden: true }, list, doc);
  /** @type {{from: number, offers: import("../lib/completion.js").Offer[]}} */
  let found = { from: 0, offers: [] };
  let chosen = 0;

  function close() {
    element.hidden = true;
    area.removeAttribute("aria-activedescendant");
  }

  function choose(/** @type {number} */ n) {
    chosen = (n + found.offers.length) % found.offers.length;
    // So many as can be seen at once, the chosen one among them.
    const first = Math.max(0, Math.min(chosen - SHOWN + 2, found.offers.length - SHOWN));
    fill(list, found.offers.slice(first, first + SHOWN).map((one, at) => h("li", {
      role: "option", id: `offer-${first + at}`, "aria-selected": String(first + at === chosen), "aria-posinset": first + at + 1, "aria-setsize": found.offers.length,
      onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); choose(first + at); take(); },
    }, one.label)));
    area.setAttribute("aria-activedescendant", `offer-${chosen}`);
    fill(doc, prose(found.offers[chosen].doc));
  }

  function take() {
    const { insert } = found.offers[chosen];
    const indent = /^ */.exec(area.value.slice(area.value.lastIndexOf("\n", found.from - 1) + 1))?.[0] ?? "";
    const text = insert.replaceAll("\n", `\n${indent}`);
    area.setRangeText(text, found.from, area.selectionEnd, "end");
    // Into what has to be filled in.
    const hole = /\{ (?= ?\})|\[ (?= ?\])|\n *(?=\n)| => (?=$| \})/.exec(text);
    if (hole) area.selectionStart = area.selectionEnd = found.from + hole.index + hole[0].length;
    close();
    area.dispatchEvent(new Event("input", { bubbles: true }));
    close();
  }

  /** Offers what fits; without a letter only when asked. @param {boolean} asked */
  function offer(asked) {
    const at = area.selectionEnd;
    if (area.readOnly || area.selectionStart !== at) return close();
    found = complete(area.value, at, plugins());
    const typed = at > found.from;
    if (!found.offers.length || (!typed && !asked)) return close();
    const before = area.value.slice(0, found.from);
    const row = before.split("\n").length, column = before.length - before.lastIndexOf("\n") - 1;
    const width = charWidth(area);
    element.hidden = false;
    element.style.top = `${metrics.top + row * metrics.line - area.scrollTop}px`;
    element.style.left = `${Math.max(0, Math.min(metrics.left + column * width - area.scrollLeft, area.clientWidth - 320))}px`;
    choose(0);
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it was for the list */
  function key(event) {
    if (event.key === " " && event.ctrlKey) offer(true);
    else if (element.hidden) return false;
    else if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter" || event.key === "Tab") take();
    else if (event.key === "Escape") close();
    else {
      if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") close();
      return false;
    }
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  area.addEventListener("blur", close);
  area.addEventListener("scroll", close);
  area.setAttribute("aria-autocomplete", "list");
  area.setAttribute("aria-controls", "offers");
  return { element, offer, key, close };
}

const SHOWN = 7;

/** @param {HTMLElement} area */
function charWidth(area) {
  const pen = document.createElement("canvas").getContext("2d");
  if (!pen) return 7.5;
  pen.font = getComputedStyle(area).font;
  return pen.measureText("mmmmmmmmmm").width / 10;
}
