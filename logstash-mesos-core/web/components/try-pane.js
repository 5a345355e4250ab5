// What becomes of lines, before anybody relies on it.
import { fill, h, settled } from "../lib/dom.js";
import { send } from "../lib/api.js";
import { many } from "../lib/format.js";
import { eventView } from "./event-view.js";
import { empty, failure } from "./notice.js";

/** @param {string} name Under which this browser remembers the lines. @param {() => void} again */
export function tryPane(name, again) {
  const key = `logstash-mesos lines ${name}`;
  const lines = h("textarea", { id: "lines", class: "code", rows: 4, spellcheck: "false", wrap: "off", placeholder: "Paste lines of the log here", value: localStorage.getItem(key) ?? "",
    oninput: settled(300, () => { localStorage.setItem(key, lines.value); again(); }) });
  const result = h("div", { class: "events", "aria-live": "polite" });
  const element = h("section", { class: "pane", "aria-labelledby": "is-try" }, h("h2", { id: "is-try" }, "Try it"),
    h("label", { for: "lines", class: "quiet" }, "The filters are run over these lines as you type. Nothing is stored or sent."), lines, result);

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
    const gone = given.length - answer.events.length;
    fill(result, h("p", { class: "quiet" }, `${many(given.length, "line")}, ${many(answer.events.length, "event")}${gone > 0 ? `: ${gone} dropped, or joined with others` : ""}`),
      answer.events.map((/** @type {any} */ event, /** @type {number} */ n) => eventView(event, n + 1, first ? n === 0 : open.has(n))));
  }

  return { element, run, lines: (/** @type {string} */ text) => { lines.value = text; } };
}
