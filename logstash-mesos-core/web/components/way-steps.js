// The way of a log: what is needed for lines to arrive, step by step, and how each stands.
import { h } from "../lib/dom.js";
import { bytes, count, duration, prose } from "../lib/format.js";
import { link } from "../lib/router.js";
import { stateMark } from "./state-mark.js";
import { since } from "./time-ago.js";

/** What a step is about, by its code. Codes that come to be are shown as they are. @type {Record<string, string>} */
const TITLES = {
  master: "Master", store: "State", agents: "List of agents", reconciliation: "Reconciliation", rollout: "Roll-out",
  draining: "Agent", excluded: "Placement", constraint: "Placement", limit: "Placement", maintenance: "Maintenance", agent: "Agent",
  too_small: "Resources", ports_taken: "Ports", queued: "Launch", closed: "Framework", occupied: "Launch", failures: "Launch", offers: "Offers",
  task: "Shipper", tasks: "Shipper", session: "Connection", configurations: "Configurations", reading: "Reading", docker: "Docker",
  container: "Container", matched: "Matched", input: "Input", read: "Read", filters: "Filters", output: "Output", pipeline: "Filters",
  shipper: "Shipper", shipping: "Shipping", delivered: "Delivered",
};

/** Figures that the words of the step do not say better. @type {Record<string, (n: number) => string>} */
const UNITS = { bytes, megabytes: n => bytes(n * 1e6), secs: n => duration(n * 1000), ms: duration, cpus: n => `${n} CPU` };

/** @param {any[]} steps @param {number} [level] Of the headings of steps. */
export function waySteps(steps, level = 3) {
  return h("ol", { class: "way" }, steps.map(step => {
    const chips = Object.entries(step.figures).filter(([name, value]) => value && FIGURES.has(name))
      .map(([name, value]) => h("span", { class: "figure" }, h("b", null, figure(name, /** @type {number} */ (value))), ` ${FIGURES.get(name)}`));
    return h("li", { class: `step ${step.state}` },
      h("div", { class: "sign" }, stateMark(step.state, undefined, true)),
      h(`h${level}`, null, TITLES[step.code] ?? step.code.replaceAll("_", " ")),
      h("div", { class: "said" },
        h("p", null, prose(step.text, CONFIGURED.has(step.code) ? name => link(["configurations", "docker", name]) : undefined), " ", h("span", { class: "quiet nowrap" }, since(step.since))),
        chips.length > 0 && h("p", { class: "figures" }, chips),
        step.next && h("p", { class: "next" }, h("span", { "aria-hidden": "true" }, "→ "), h("span", { class: "unseen" }, "What to do: "), prose(step.next))));
  }));
}

/** Steps whose backquotes hold the names of configurations. */
const CONFIGURED = new Set(["matched", "filters"]);

const FIGURES = new Map([
  ["pending_events", "waiting"], ["waiting_bytes", "waiting"], ["aside_events", "aside"], ["events_in", "in"], ["events_out", "out"], ["events_dropped", "dropped"], ["lag_bytes", "behind"], ["events", "events"],
  ["retry_in_secs", "until the next attempt"], ["wanted_mem_megabytes", "wanted"], ["offered_mem_megabytes", "free"], ["total_mem_megabytes", "on the agent"],
  ["wanted_cpus", "wanted"], ["offered_cpus", "free"], ["total_cpus", "on the agent"],
]);

function figure(/** @type {string} */ name, /** @type {number} */ value) {
  const unit = Object.keys(UNITS).find(unit => name === unit || name.endsWith(`_${unit}`));
  return unit ? UNITS[unit](value) : count(value);
}
