// One event that has passed: as it was read, and beside it what the filters made of it.
import { fill, h } from "../lib/dom.js";
import { bytes } from "../lib/format.js";
import { fields } from "./event-view.js";

/** What became of it, where that is no event. @type {Record<string, [string, string, string]>} */
const FATES = {
  dropped: ["–", "quiet", "dropped by a filter"],
  kept: ["◌", "quiet", "kept by a filter, which makes something of several"],
  dead_letter: ["▲", "bad", "dead letter"],
};

/** The line, if the input made it of one. @param {any} before */
export const rawLine = before => typeof before?.event?.original === "string" ? before.event.original : typeof before?.message === "string" ? before.message : before ? JSON.stringify(before) : "";

/** Fields of `after` that the filters made or changed. @param {any} before @param {any} after @returns {[string, string][]} */
function made(before, after) {
  const old = new Map(fields(before ?? {}));
  return fields(after).filter(([name, value]) => old.get(name) !== value);
}

/**
 * @param {any} passed As the API gives it. @param {string} from Where it is from, as short as can be.
 * @returns {any} a row that holds what can be searched in `searched`
 */
export function passingEvent(passed, from) {
  const { before, after, fate } = passed;
  const line = rawLine(before);
  const failed = after.flatMap((/** @type {any} */ event) => Array.isArray(event?.tags) ? event.tags.filter((/** @type {any} */ tag) => /^_.*(failure|error|exception)/.test(String(tag))) : []);
  const [sign, kind, words] = FATES[fate] ?? [];
  const first = after[0] ? made(before, after[0]).filter(([name]) => name !== "tags" || !failed.length) : [];
  const result = !before && !words ? h("span", { class: "quiet" }, `too large to be shown, more than ${bytes(passed.bytes)}`)
    : words ? h("span", { class: kind }, `${sign} ${words}`)
    : first.length ? first.map(([name, value]) => h("span", { class: "pair-of" }, h("span", { class: "quiet" }, name), " ", value)) : failed.length ? null : h("span", { class: "quiet" }, "as before");
  const inside = h("div", { class: "inside" });
  const row = h("details", { class: "event passing", ontoggle: () => row.open && !inside.childElementCount && fill(inside, whole(passed, line)) },
    h("summary", null, h("time", { class: "quiet code", datetime: passed.at }, time(passed.at)), h("span", { class: "from line" }, from), h("span", { class: "raw line code" }, line || h("span", { class: "quiet" }, "not shown")),
      h("span", { class: "made line code" }, failed.length > 0 && h("span", { class: "bad" }, `▲ ${failed.join(", ")} `), result, after.length > 1 && h("span", { class: "quiet" }, ` and ${after.length - 1} more`))),
    inside);
  const texts = after.flatMap((/** @type {any} */ event) => fields(event).map(([name, value]) => `${name} ${value}`));
  row.searched = [from, line, words, passed.reason, passed.configuration, ...texts].join("\n").toLowerCase();
  return row;
}

/** 12:41:07.250 */
function time(/** @type {string} */ at) {
  const date = new Date(at);
  return `${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** @param {any} passed @param {string} line */
function whole({ before, after, fate, reason, configuration, bytes: size }, line) {
  const table = (/** @type {[string, string][]} */ rows, /** @type {Set<string>} */ news) => h("table", null, h("tbody", null, rows.map(([name, value]) =>
    h("tr", { class: news.has(name) ? "added" : null }, h("th", { scope: "row" }, news.has(name) && h("span", { class: "good", "aria-hidden": "true" }, "+ "), news.has(name) && h("span", { class: "unseen" }, "new "), name), h("td", null, value)))));
  const events = after.map((/** @type {any} */ event) => {
    const news = made(before, event), names = new Set(news.map(([name]) => name));
    return table([...news, ...fields(event).filter(([name]) => !names.has(name))], names);
  });
  const gone = fate === "passed" ? null : h("p", { class: fate === "dead_letter" ? "bad" : "quiet" }, FATES[fate]?.[2], reason && `: ${reason}`);
  return [
    h("div", null, h("h2", null, "As it was read"), h("pre", { class: "whole" }, line || `Larger than ${bytes(size)}: not shown.`), h("details", { class: "json" }, h("summary", null, "Its fields before the filters"), table(fields(before ?? {}), new Set()))),
    h("div", null, h("h2", null, "What the filters made", h("span", { class: "quiet" }, ` ${configuration}`)), gone, events, !gone && !events.length && h("p", { class: "quiet" }, "Not shown."))];
}
