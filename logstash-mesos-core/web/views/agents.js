// Every agent, the most urgent first, and how it stands with its shipper.
import { fill, h, settled } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { count, cut, prose } from "../lib/format.js";
import { link, rename } from "../lib/router.js";
import { empty, loading } from "../components/notice.js";
import { dataTable, pager } from "../components/data-table.js";
import { stateMark } from "../components/state-mark.js";
import { ago } from "../components/time-ago.js";

export const title = () => "Agents";

const LIMIT = 50;
const STATES = [["", "All", "agents"], ["problem", "Problem", "problem"], ["unknown", "Unknown", "unknown"], ["ok", "OK", "ok"]];

/** @param {HTMLElement} main @param {import("../lib/router.js").Route} route @param {AbortSignal} signal */
export function show(main, route, signal) {
  const asked = { only: route.query.get("only") ?? "", part: route.query.get("part") ?? "", offset: Number(route.query.get("offset")) };
  const list = h("div");
  const chips = h("div", { class: "choice", role: "group", "aria-label": "State" });
  const filter = h("input", { type: "search", class: "filter", placeholder: "Host name or id", "aria-label": "Part of a host name or id", value: asked.part, spellcheck: "false",
    oninput: settled(200, () => ask({ part: filter.value.trim(), offset: 0 })) });
  fill(main, h("div", { class: "headline" }, h("h1", null, "Agents"), chips, filter), list);
  const table = dataTable({
    caption: "Agents",
    key: row => row.id,
    href: row => link(["agents", row.id]),
    columns: [
      { title: "State", kind: "state", cell: row => stateMark(row.state) },
      { title: "Host", kind: "key", cell: row => cut(row.name) },
      { title: "Shipper", kind: "grow", cell: row => h("span", { class: "line", title: row.summary }, prose(row.summary)) },
      { title: "Since", kind: "wide nowrap", cell: row => ago(worst(row)?.since) ?? "" },
      { title: "Agent", kind: "wide id", cell: row => cut(row.id, "code") },
    ],
  });

  async function load(/** @type {boolean} */ keep) {
    const answer = await get("explain", { ...asked, offset: asked.offset || "", limit: LIMIT }, signal);
    const agents = answer.subjects.filter((/** @type {any} */ one) => one.kind === "agent");
    fill(chips, STATES.map(([only, text, name]) => h("button", { type: "button", "aria-pressed": String(asked.only === only), onclick: () => ask({ only, offset: 0 }) },
      text, " ", h("span", { class: "quiet" }, count(answer.totals[name])))));
    if (!agents.length) return nothing(answer.totals.agents);
    if (keep && table.element.isConnected) table.update(agents);
    else table.show(agents);
    const total = asked.only ? answer.totals[asked.only] : answer.totals.agents;
    return [table.element, pager({ offset: asked.offset, shown: agents.length, total, limit: LIMIT, go: offset => ask({ offset }) })];
  }

  const nothing = (/** @type {number} */ all) => asked.part || asked.only
    ? empty("No agent is like this.", asked.part ? `No host name or id has “${asked.part}” in it${asked.only ? ` and is ${asked.only}` : ""}.` : `None of ${count(all)} is ${asked.only}.`,
      h("button", { type: "button", onclick: () => { filter.value = ""; ask({ only: "", part: "", offset: 0 }); } }, "Show all"))
    : empty("No agent is known yet.", "Agents appear when the master lists them, or makes an offer.", h("a", { class: "button", href: "#/why" }, "How the framework stands"));

  function ask(/** @type {Partial<typeof asked>} */ change) {
    Object.assign(asked, change);
    rename(link(["agents"], { ...asked, offset: asked.offset || "" }));
    loading(list, 8, () => load(false));
  }

  loading(list, 8, () => load(false));
  const timer = setInterval(() => document.hidden || loading(list, 8, () => load(true)), 5000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** The step that the summary is about. @param {any} row */
export const worst = row => row.steps.find((/** @type {any} */ step) => step.state === row.state && step.since) ?? row.steps.find((/** @type {any} */ step) => step.since);
