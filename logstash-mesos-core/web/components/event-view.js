// What became of a line: the fields of an event, those that the filters made first.
import { h } from "../lib/dom.js";

/** Every event has these, whatever the filters are. */
const GIVEN = new Set(["@timestamp", "@version", "message", "event"]);

/** Fields below one another as Logstash names them: `[url][path]`. @param {any} value @param {string} [name] @returns {[string, string][]} */
export function fields(value, name = "") {
  if (value && typeof value === "object" && !Array.isArray(value)) {
    const inner = Object.entries(value);
    if (inner.length || name === "") return inner.flatMap(([key, one]) => fields(one, name === "" ? key : `${name.startsWith("[") ? name : `[${name}]`}[${key}]`));
  }
  return [[name, typeof value === "string" ? value : JSON.stringify(value)]];
}

/** @param {any} event @param {number} n @param {boolean} open */
export function eventView(event, n, open) {
  const all = fields(event);
  const failed = Array.isArray(event.tags) ? event.tags.filter((/** @type {any} */ tag) => /^_.*(failure|error|exception)/.test(String(tag))) : [];
  const made = all.filter(([name]) => !GIVEN.has(name) && !name.startsWith("[event]"));
  const rest = all.filter(([name]) => GIVEN.has(name) || name.startsWith("[event]"));
  const message = typeof event.message === "string" ? event.message : made[0]?.[1] ?? "";
  const row = (/** @type {[string, string]} */ [name, value], /** @type {boolean} */ is) =>
    h("tr", { class: is ? "added" : null }, h("th", { scope: "row" }, is && h("span", { class: "good", "aria-hidden": "true" }, "+ "), is && h("span", { class: "unseen" }, "new "), name), h("td", null, value));
  return h("details", { class: "event", open },
    h("summary", null, h("span", { class: "quiet number" }, n), h("span", { class: "line" }, message),
      failed.length > 0 ? h("span", { class: "mark bad" }, h("span", { "aria-hidden": "true" }, "▲"), failed.join(", ")) : h("span", { class: "mark good" }, `+${made.length}`, h("span", { class: "unseen" }, " new fields"))),
    h("table", null, h("tbody", null, made.map(one => row(one, true)), rest.map(one => row(one, false)))),
    h("details", { class: "json" }, h("summary", null, "As JSON"), h("pre", { tabindex: 0 }, JSON.stringify(event, null, 2))));
}
