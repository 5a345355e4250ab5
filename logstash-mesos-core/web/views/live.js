// Events of a container, a configuration or a stream as they pass: a sample, for which nothing waits.
import { fill, h, settled } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { copy } from "../lib/clipboard.js";
import { count, cut, many } from "../lib/format.js";
import { go, link } from "../lib/router.js";
import { live } from "../lib/stream.js";
import { listen } from "../lib/tail.js";
import { empty, failure, loading, toast } from "../components/notice.js";
import { passingEvent } from "../components/passing-event.js";

export const title = () => "Live";

/** Events on the page; the oldest make room. */
const MOST = 500;
const AGAIN_MS = 3000;

/** @param {HTMLElement} main @param {import("../lib/router.js").Route} route @param {AbortSignal} signal */
export function show(main, route, signal) {
  const asked = Object.fromEntries(["q", "configuration", "agent", "stream"].map(name => [name, route.query.get(name) ?? ""]));
  const field = h("input", { type: "search", class: "filter long", value: asked.q || asked.configuration, placeholder: "container, image, path or configuration", "aria-label": "Whose events?", autocomplete: "off", spellcheck: "false" });
  const page = h("div");
  fill(main, h("div", { class: "headline" }, h("h1", null, "Events as they pass")),
    h("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); go(link(["live"], { q: field.value.trim() })); } },
      field, h("button", { type: "submit", class: "primary" }, "Look")), page);
  if (Object.values(asked).some(Boolean)) look(page, asked, signal);
  else loading(page, 6, () => suggestions(signal));
}

/** Where most passes. @param {AbortSignal} signal */
async function suggestions(signal) {
  const { streams } = await get("streams", { sort: "-events", limit: 8 }, signal);
  if (!streams.length) return empty("Nothing is read.", "Events pass when a configuration reads the logs of a container.", h("a", { class: "button", href: "#/configurations" }, "Configurations"));
  return h("section", { class: "panel", "aria-labelledby": "busy" }, h("h2", { id: "busy" }, "Where most has passed"),
    h("ul", { class: "hits busy" }, streams.map((/** @type {any} */ row) => h("li", null,
      h("a", { href: link(["live"], { agent: row.agent_id, stream: row.id }) }, h("b", null, row.name || row.hostname)), h("span", { class: "code" }, row.path ? cut(row.path) : row.stream), h("span", { class: "quiet nowrap" }, many(row.events, "event"))))));
}

/** @param {Element} page @param {Record<string, string>} asked @param {AbortSignal} signal */
function look(page, asked, signal) {
  /** @type {any[]} */
  let waiting = [];
  let paused = false, others = 0;
  /** @type {any} */
  let subject = null;
  const list = h("div", { class: "passings", tabindex: 0, role: "region", "aria-label": "Events, the newest last" });
  const note = h("div");
  const about = h("p", { class: "summary", role: "status" });
  const figures = h("span", { class: "quiet" });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => { paused = !paused; pause.setAttribute("aria-pressed", String(paused)); if (!paused) add([]); tell(); } }, "Pause");
  const search = h("input", { type: "search", class: "filter", placeholder: "Search in these", "aria-label": "Search in these events", spellcheck: "false", oninput: settled(150, () => { rows().forEach(sift); tell(); }) });
  const rows = () => /** @type {any[]} */ ([...list.querySelectorAll(".passing")]);
  const shown = () => rows().filter(row => !row.hidden);
  const sift = (/** @type {any} */ row) => row.hidden = !row.searched.includes(search.value.trim().toLowerCase());
  const tools = h("div", { class: "tools" }, pause,
    h("button", { type: "button", onclick: async () => {
      const texts = shown().map(row => JSON.stringify(row.passed));
      await copy(texts.join("\n"));
      toast(`Copied ${many(texts.length, "event")}, a line of JSON each.`);
    } }, "Copy"),
    h("button", { type: "button", onclick: () => { rows().forEach(row => row.remove()); others = 0; tell(); } }, "Clear"), figures, search);
  const head = h("div", { class: "passing-head", "aria-hidden": "true" }, ["Time", "From", "As it was read", "What the filters made"].map(text => h("span", null, text)));
  const nothing = h("div", { class: "none" }, empty("Nothing has passed yet.", "What the filters take from now on stands here. A container that writes nothing shows nothing; its way says whether it is read.", asked.q && h("a", { class: "button", href: link(["why"], { q: asked.q }) }, "The way of its log")));
  fill(list, nothing);
  fill(page, about, note, tools, h("div", { class: "passing-frame" }, head, list));

  function tell() {
    const all = rows().length, found = search.value.trim() ? shown().length : all;
    nothing.hidden = all > 0;
    fill(pause, paused ? waiting.length ? `Go on, ${count(waiting.length)} wait` : "Go on" : "Pause");
    fill(figures, found === all ? many(all, "event") : `${count(found)} of ${many(all, "event")}`, others > 0 && `, ${many(others, "other")} passed unseen`);
  }

  /** @param {any[]} events */
  function add(events) {
    waiting.push(...events);
    // Who has paused goes on with the newest.
    if (waiting.length > MOST) { others += waiting.length - MOST; waiting = waiting.slice(-MOST); }
    if (paused) return tell();
    const follows = list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
    list.append(...waiting.map(one => {
      const row = passingEvent(one, from(one));
      row.passed = one;
      sift(row);
      return row;
    }));
    waiting = [];
    rows().slice(0, -MOST).forEach(row => row.remove());
    if (follows) list.scrollTop = list.scrollHeight;
    tell();
  }

  /** Of one container it is the file that tells events apart. @param {any} passed */
  function from({ before, hostname }) {
    const file = before?.log?.file?.path?.split("/").pop() ?? before?.stream;
    return (subject?.kind === "container" && subject.places.length === 1 ? file : before?.container?.name) ?? file ?? hostname;
  }

  /** @param {string} name @param {any} data */
  function take(name, data) {
    fill(note);
    if (name === "subject") {
      subject = data;
      const names = [...new Set(data.places.map((/** @type {any} */ place) => place.hostname || place.agent_id))];
      fill(about, { container: "Container", configuration: "Configuration", stream: "Stream" }[/** @type {string} */ (data.kind)], " ", h("b", null, (data.places.length === 1 && data.places[0].container_name) || data.name), ` on ${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`,
        data.found > data.places.length && `, ${count(data.places.length)} of ${count(data.found)} places`, ". A sample: nothing waits for who looks.");
    } else if (name === "events") {
      others += data.left_out;
      add(data.events.map((/** @type {any} */ event) => ({ ...event, agent_id: data.agent_id, hostname: data.hostname })));
    } else if (name === "ended") {
      fill(note, failure(new Error(`${data.hostname || data.agent_id}: ${data.reason}`)));
    }
  }

  async function begin() {
    try {
      await listen("live", asked, signal, take);
    } catch (error) {
      if (signal.aborted) return;
      const refused = /** @type {any} */ (error);
      const known = refused.status ? refused : new Error("The scheduler does not answer. The page goes on when it does.");
      fill(note, failure(known, refused.status >= 400 && refused.status < 500 ? begin : undefined));
      // What is refused once is refused again, unless a person has done something about it.
      if (refused.status >= 400 && refused.status < 500) return;
    }
    if (!signal.aborted) setTimeout(() => signal.aborted || begin(), AGAIN_MS);
  }

  tell();
  if (live.viewer.may_write) begin();
  else fill(page, empty("Events are shown to those who may write.", `They hold what was logged. ${live.viewer.why_not ?? ""}`));
}
