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
  if (value === undefined) return [];
  return [[name, typeof value === "string" ? value : JSON.stringify(value)]];
}

/** What one filter did to one event: names of fields by what became of them. @param {any} before @param {any} after */
function change(before, after) {
  const old = new Map(fields(before)), now = new Map(fields(after));
  return [
    ...[...now.keys()].filter(name => !old.has(name)).map(name => ["+", "good", "new", name]),
    ...[...now.keys()].filter(name => old.has(name) && old.get(name) !== now.get(name)).map(name => ["~", "care", "changed", name]),
    ...[...old.keys()].filter(name => !now.has(name)).map(name => ["−", "bad", "gone", name]),
  ];
}

/** The way of a line through the filters. @param {string} line @param {{after: string, events: any[]}[]} steps */
export function stepsView(line, steps) {
  /** @type {any[]} */
  let before = [{ message: line, "@version": "1" }];
  return h("ol", { class: "stages" }, steps.map(step => {
    const was = before[0];
    const several = step.events.length - before.length;
    before = step.events;
    if (!was) return null;
    const now = step.events[0];
    // A line has the time of the trial, until a filter gives it another.
    if (now && !was["@timestamp"] && Math.abs(Date.parse(now["@timestamp"]) - Date.now()) < 60_000) was["@timestamp"] = now["@timestamp"];
    else if (now && !was["@timestamp"]) was["@timestamp"] = "";
    const changes = now ? change(was, now) : [];
    const words = !now ? "gives nothing on: dropped, or kept for later" : several > 0 ? `${step.events.length} events` : changes.length ? "" : "as before";
    return h("li", null, h("span", { class: "quiet" }, "after "), h("b", null, step.after), words && h("span", { class: "quiet" }, ` ${words}`),
      changes.map(([sign, kind, word, name]) => h("span", { class: "field" }, h("span", { class: kind, "aria-hidden": "true" }, sign), h("span", { class: "unseen" }, `${word} `), name)));
  }));
}

/** @param {any} event @param {number} n @param {boolean} open @param {any} [stages] */
export function eventView(event, n, open, stages) {
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
    stages, h("table", null, h("tbody", null, made.map(one => row(one, true)), rest.map(one => row(one, false)))),
    h("details", { class: "json" }, h("summary", null, "As JSON"), h("pre", { tabindex: 0 }, JSON.stringify(event, null, 2))));
}
