// "Why are my logs not there?": the way of a log, for whatever a person knows the name of.
import { fill, h } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { count, cut } from "../lib/format.js";
import { go, link } from "../lib/router.js";
import { empty, loading } from "../components/notice.js";
import { find } from "../components/search-box.js";
import { stateMark } from "../components/state-mark.js";
import { waySteps } from "../components/way-steps.js";

export const title = () => "Way of a log";

/** @param {HTMLElement} main @param {import("../lib/router.js").Route} route @param {AbortSignal} signal */
export function show(main, route, signal) {
  const q = route.query.get("q") ?? "";
  const field = h("input", { type: "search", name: "q", class: "filter long", value: q, placeholder: "agent, host name, container, image, path", "aria-label": "What are the logs of?", autocomplete: "off", spellcheck: "false" });
  const page = h("div");
  fill(main, h("div", { class: "headline" }, h("h1", null, "Why are my logs not there?")),
    h("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); go(link(["why"], { q: field.value.trim() })); } },
      field, h("button", { type: "submit", class: "primary" }, "Follow")), page);

  async function load() {
    if (!q) return everything(await get("explain", { limit: 20 }, signal));
    const { hits, close } = await find(q, signal);
    const exact = hits.filter(hit => hit.names?.includes(q));
    const [meant, ...others] = exact.length ? exact : hits;
    if (meant?.names && !others.length) {
      const { subjects } = await get("explain", { q: meant.names[0], limit: 20 }, signal);
      return subjects.map((/** @type {any} */ subject) => way(subject, true));
    }
    if (hits.length) {
      return h("section", { class: "panel" }, h("h2", null, "Which of these?"),
        h("ul", { class: "hits" }, hits.map(hit => h("li", null, h("span", { class: "quiet" }, hit.group), h("a", { href: hit.href }, hit.content)))));
    }
    return empty(`Nothing is called “${q}”.`, "Names of machines, ids of agents, containers and images that are read, paths and configurations are looked for. A container that no configuration matches is not read, and not known here.",
      close.length > 0 ? h("p", null, "Close: ", close.map((name, n) => [n > 0 && ", ", h("a", { href: link(["why"], { q: name }) }, name)])) : h("a", { class: "button", href: "#/configurations" }, "Which images are named"));
  }

  loading(page, 8, load);
  const timer = setInterval(() => document.hidden || page.contains(document.activeElement) || loading(page, 8, load), 5000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** The framework, then every agent with a problem. @param {any} answer */
function everything(answer) {
  const [framework, ...agents] = answer.subjects;
  const wrong = agents.filter((/** @type {any} */ one) => one.state !== "ok");
  const { ok, agents: all } = answer.totals;
  return [way(framework, true), wrong.map((/** @type {any} */ subject) => way(subject, wrong.length < 4)),
    h("p", { class: "quiet" }, ok === all && all > 0 ? `All agents are as they should be. ` : `${count(ok)} of ${count(all)} agents are as they should be. `, h("a", { href: "#/agents" }, "All agents"))];
}

/** What there is to see besides. @param {any} subject */
function more(subject) {
  if (subject.kind === "agent") return h("p", { class: "more" }, h("a", { href: link(["agents", subject.id]) }, "More of this agent"));
  if (subject.kind === "container") return h("p", { class: "more" }, h("a", { href: link(["live"], { q: subject.id }) }, "Its events as they pass"), " · ", h("a", { href: link(["streams"], { q: subject.id }) }, "Its streams"));
  return null;
}

/** @type {Map<string, boolean>} */
const chosen = new Map();

/** @param {any} subject @param {boolean} open */
function way(subject, open) {
  const key = `${subject.kind} ${subject.id}`;
  // What a person has opened or closed stays so when the page is brought up to date.
  return h("details", { class: "panel way-of", open: chosen.get(key) ?? open, ontoggle: (/** @type {any} */ event) => event.target.open !== (chosen.get(key) ?? open) && chosen.set(key, event.target.open) },
    h("summary", null, stateMark(subject.state, undefined, true), h("h2", null, subject.name), h("span", { class: "summary" }, subject.summary), h("span", { class: "quiet nowrap" }, subject.kind === "framework" ? "framework" : cut(subject.id, "code"))),
    waySteps(subject.steps),
    more(subject));
}
