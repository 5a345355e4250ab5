// What becomes of lines, before anybody relies on it.
import { fill, h, settled } from "../lib/dom.js";
import { send } from "../lib/api.js";
import { many } from "../lib/format.js";
import { live } from "../lib/stream.js";
import { eventView, stepsView } from "./event-view.js";
import { lastLines } from "./last-lines.js";
import { empty, failure } from "./notice.js";

/** @param {{kind: string, name: string}} of Whose lines this browser remembers. @param {() => void} again @param {AbortSignal} signal */
export function tryPane({ kind, name }, again, signal) {
  const key = `logstash-mesos lines ${kind}/${name}`;
  // What was logged is not kept in the browser; what a person has typed is.
  const typed = settled(300, () => { if (!last.taken()) localStorage.setItem(key, lines.value); again(); });
  const lines = h("textarea", { id: "lines", class: "code", rows: 6, spellcheck: "false", wrap: "off", placeholder: "Paste lines of the log here", value: localStorage.getItem(key) ?? "",
    oninput: () => { if (!lines.value) last.forget(); typed(); } });
  const last = lastLines(name, found => { lines.value = found.join("\n"); again(); }, signal);
  const result = h("div", { class: "events", "aria-live": "polite" });
  const element = h("section", { class: "pane", "aria-labelledby": "is-try" }, h("h2", { id: "is-try" }, "Try it", live.viewer.may_write && last.choice),
    h("label", { for: "lines", class: "quiet" }, "The filters are run over these lines as you type. Nothing is stored or sent."), last.about, lines, result);

  /** @param {string} input @param {boolean} broken */
  async function run(input, broken) {
    const given = lines.value.split("\n").filter((/** @type {string} */ line) => line);
    if (!given.length) return fill(result, empty("What becomes of a line?", "Every event is shown here, with the fields that the filters made."));
    if (broken) return fill(result, empty("Not tried.", "Mend the errors first."));
    if (!input.trim()) return fill(result, empty("Not tried.", "There is no configuration yet."));
    let answer;
    try {
      answer = await send("POST", "try", { input, lines: given });
    } catch (error) {
      return fill(result, failure(/** @type {Error} */ (error)));
    }
    const open = new Set([...result.querySelectorAll(":scope > details")].flatMap((/** @type {any} */ one, n) => one.open ? [n] : []));
    const first = !result.querySelector("details");
    let n = 0;
    /** An event of a line, with the way of the line. @param {any} event @param {number} line @param {any} [stages] */
    const show = (event, line, stages) => eventView(event, line, first ? n++ === 0 : open.has(n++), stages);
    const shown = answer.lines.map((/** @type {any[]} */ steps, /** @type {number} */ at) => {
      const last = steps.length ? steps[steps.length - 1].events : [answer.events[at]];
      const stages = steps.length > 0 && stepsView(given[at], steps);
      return last.length ? last.map((/** @type {any} */ event, /** @type {number} */ nth) => show(event, at + 1, nth === 0 && stages))
        : h("div", { class: "event gone" }, h("p", { class: "line code quiet" }, `${at + 1}  ${given[at]}`), stages);
    });
    fill(result, h("p", { class: "quiet" }, `${many(given.length, "line")}, ${many(answer.events.length, "event")}`),
      answer.warnings.map((/** @type {string} */ text) => h("p", { class: "care" }, text)), shown,
      answer.events.length > n && [h("p", { class: "quiet" }, "Given out at the end"), answer.events.slice(n).map((/** @type {any} */ event, /** @type {number} */ nth) => show(event, given.length + nth + 1))]);
  }

  return { element, run, lines: (/** @type {string} */ text) => { last.forget(); lines.value = text; } };
}
