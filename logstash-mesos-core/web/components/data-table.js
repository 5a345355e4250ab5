// A table of rows that lead somewhere. It is kept up to date in place: what is under the pointer stays there.
import { fill, h } from "../lib/dom.js";

/**
 * @typedef {{title: string, cell: (row: any) => any, kind?: string, sort?: string}} Column
 * `kind`: "number", "wide" (left out on a phone), "key" (holds the link). `sort`: what the server sorts by.
 */

/**
 * @param {{caption: string, columns: Column[], key: (row: any) => string, href: (row: any) => string | null,
 *   sorted?: () => string, onsort?: (by: string) => void}} options
 */
export function dataTable({ caption, columns, key, href, sorted, onsort }) {
  const body = h("tbody", { onkeydown: move, onclick: open });
  const head = h("tr");
  const changed = h("p", { class: "changed", hidden: true });
  const element = h("div", { class: "table" }, changed,
    h("div", { class: "scroll" }, h("table", null, h("caption", { class: "unseen" }, caption), h("thead", null, head), body)));
  /** @type {Map<string, {tr: HTMLTableRowElement, was: string}>} */
  let rows = new Map();

  function heads() {
    fill(head, columns.map(column => {
      const by = sorted?.().replace("-", "");
      const down = sorted?.().startsWith("-");
      const own = column.sort && by === column.sort;
      const label = column.sort
        ? h("button", { type: "button", onclick: () => onsort?.(own && down ? `${column.sort}` : `-${column.sort}`) },
          column.title, h("span", { "aria-hidden": "true" }, own ? down ? " ↓" : " ↑" : ""))
        : column.title;
      return h("th", { scope: "col", class: column.kind, "aria-sort": own ? down ? "descending" : "ascending" : null }, label);
    }));
  }

  /** @param {any} row */
  function cells(row) {
    const to = href(row);
    return columns.map(column => {
      const content = column.cell(row);
      const linked = column.kind?.includes("key") && to;
      return h(linked ? "th" : "td", { class: column.kind, scope: linked ? "row" : null }, linked ? h("a", { href: to }, content) : content);
    });
  }

  /** Shows these rows in this order. @param {any[]} list */
  function show(list) {
    changed.hidden = true;
    heads();
    rows = new Map(list.map(row => [key(row), { tr: h("tr", null, cells(row)), was: JSON.stringify(row) }]));
    fill(body, [...rows.values()].map(entry => entry.tr));
  }

  /** Shows what has changed in the rows that are there; another order or set of rows waits until it is asked for. @param {any[]} list */
  function update(list) {
    if (!rows.size) return show(list);
    for (const row of list) {
      const entry = rows.get(key(row));
      const is = JSON.stringify(row);
      if (!entry || entry.was === is) continue;
      entry.was = is;
      const focused = entry.tr.contains(document.activeElement);
      fill(entry.tr, cells(row));
      if (focused) entry.tr.querySelector("a")?.focus();
    }
    const now = list.map(key);
    const same = now.length === rows.size && [...rows.keys()].every((id, n) => id === now[n]);
    changed.hidden = same;
    if (!same) fill(changed, "Rows have changed. ", h("button", { type: "button", class: "plain", onclick: () => show(list) }, "Show the present order"));
  }

  /** @param {KeyboardEvent} event */
  function move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const tr = /** @type {Element} */ (event.target).closest("tr");
    if (!step || !tr) return;
    const next = step > 0 ? tr.nextElementSibling : tr.previousElementSibling;
    next?.querySelector("a")?.focus();
    event.preventDefault();
  }

  /** @param {MouseEvent} event */
  function open(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("a, button") || String(getSelection())) return;
    target.closest("tr")?.querySelector("a")?.click();
  }

  return { element, show, update };
}

/**
 * Where one is in a list that the server pages.
 * @param {{offset: number, shown: number, total: number, limit: number, go: (offset: number) => void}} where
 */
export function pager({ offset, shown, total, limit, go }) {
  if (total <= limit && !offset) return null;
  const button = (/** @type {string} */ text, /** @type {boolean} */ off, /** @type {number} */ to) =>
    h("button", { type: "button", disabled: off, onclick: () => go(to) }, text);
  return h("p", { class: "pager" }, h("span", { class: "quiet" }, `${offset + 1} to ${offset + shown} of ${total.toLocaleString("en")}`),
    button("Previous", offset === 0, Math.max(0, offset - limit)), button("Next", offset + shown >= total, offset + limit));
}
