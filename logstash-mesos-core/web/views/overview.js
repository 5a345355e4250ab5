// What is wrong now, and how much goes through.
import { fill, h } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { bytes, count, many, rate } from "../lib/format.js";
import { link } from "../lib/router.js";
import { onOverview } from "../lib/stream.js";
import { empty, failure, skeleton } from "../components/notice.js";
import { problemList } from "../components/problem-list.js";
import { stateMark } from "../components/state-mark.js";
import "../components/area-chart.js";

export const title = () => "Overview";

const SPANS = [["quarter", "15 min"], ["hour", "Hour"], ["day", "Day"]];

/** @param {HTMLElement} main @param {any} _ @param {AbortSignal} signal */
export function show(main, _, signal) {
  const figures = h("div", { class: "tiles" }, Array.from({ length: 5 }, () => h("div", { class: "tile" }, skeleton(2))));
  const wrong = h("section", { class: "panel", "aria-labelledby": "wrong" }, h("h2", { id: "wrong" }, "What is wrong now"), skeleton(2));
  const events = h("area-chart", { label: "Events per second" });
  const behind = h("area-chart", { label: "Bytes behind" });
  const note = h("div");
  let span = "quarter";
  const buttons = SPANS.map(([name, text]) => h("button", {
    type: "button", "aria-pressed": String(name === span), onclick: () => {
      span = name;
      buttons.forEach((button, n) => button.setAttribute("aria-pressed", String(SPANS[n][0] === span)));
      chart();
    },
  }, text));
  fill(main,
    h("div", { class: "headline" }, h("h1", null, "Overview")), figures, wrong,
    h("div", { class: "headline flow" }, h("h2", null, "Flow"), h("div", { class: "choice", role: "group", "aria-label": "Span of time" }, buttons)), note,
    h("div", { class: "pair" },
      h("section", { class: "panel", "aria-label": "Events" }, h("h3", null, "Events per second"), events),
      h("section", { class: "panel", "aria-label": "Behind" }, h("h3", null, "Bytes not delivered yet"), behind)));

  onOverview(signal, overview => {
    fill(figures, tiles(overview));
    fill(wrong, h("h2", { id: "wrong" }, "What is wrong now", overview.problems_total > 0 && h("span", { class: "tally bad" }, count(overview.problems_total))),
      overview.problems.length ? problemList(overview.problems, overview.problems_total) : fine(overview));
  });

  async function chart() {
    try {
      const { points } = await get("history", { span }, signal);
      const column = (/** @type {number} */ n) => points.map((/** @type {any[]} */ point) => point[n]);
      events.show(column(0), [{ name: "out", kind: "first", values: column(2) }, { name: "in", kind: "second", values: column(1) }], (/** @type {number} */ n) => `${rate(n)}/s`);
      behind.show(column(0), [{ name: "behind", kind: "third", values: column(3) }], bytes, 1000);
      fill(note);
    } catch (error) {
      if (!signal.aborted) fill(note, failure(/** @type {Error} */ (error), chart));
    }
  }
  chart();
  const timer = setInterval(chart, 10_000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** @param {any} overview */
function tiles({ agents, events, streams, configurations }) {
  const tile = (/** @type {string} */ name, /** @type {any} */ figure, /** @type {any} */ words, /** @type {string} */ href, kind = "") =>
    h("a", { class: `tile ${kind}`, href }, h("span", { class: "name" }, name), h("b", null, figure), h("small", null, words));
  const without = agents.agents - agents.running;
  return [
    tile("Agents with a shipper", [count(agents.running), h("i", null, ` of ${count(agents.agents)}`)],
      agents.problem ? h("span", { class: "bad" }, `▲ ${count(agents.problem)} with a problem`) : without ? `${count(without)} without, as wanted or not yet` : "every agent", link(["agents"], agents.problem ? { only: "problem" } : {})),
    tile("Events per second", events.out_per_second === null ? "–" : rate(events.out_per_second), events.in_per_second === null ? "measured over 10 s" : `${rate(events.in_per_second)}/s come in`, link(["streams"], { sort: "-events" })),
    tile("Behind", bytes(streams.lag_bytes), `over ${many(streams.count, "stream")}`, link(["streams"], { sort: "-lag_bytes" })),
    tile("Lost", count(streams.lost), streams.lost ? h("span", { class: "bad" }, `▲ see why`) : "since shippers started", link(["streams"], { sort: "-lost" })),
    tile("Refused by outputs", count(events.failed), events.failed ? h("span", { class: "care" }, "◆ dead letters") : "no dead letters", link(["dead-letters"])),
    tile("Configurations", count(configurations.count), configurations.refused ? h("span", { class: "bad" }, `▲ ${count(configurations.refused)} refused`) : configurations.count ? "all in use" : "none yet", link(["configurations"])),
  ];
}

/** Nothing is wrong; or nothing is there that could be. @param {any} overview */
function fine({ agents, streams, configurations }) {
  if (!configurations.count) return empty("No configuration yet.", "A configuration says which logs are read, what is made of them and where they go.", h("a", { class: "button primary", href: "#/configurations/docker/" }, "Write the first"));
  if (!agents.agents) return empty("No agent is known yet.", "They appear when the master lists them or makes offers.", h("a", { class: "button", href: "#/why" }, "How the framework stands"));
  if (agents.running && !streams.count) return empty("Nothing is read.", "No container runs under an image that a configuration names, or the paths do not exist yet.", h("a", { class: "button", href: "#/configurations" }, "Configurations"));
  return h("p", { class: "fine" }, stateMark("ok", "Nothing."), ` ${many(agents.running, "agent")} ${agents.running === 1 ? "ships" : "ship"} ${many(streams.count, "stream")}.`);
}
