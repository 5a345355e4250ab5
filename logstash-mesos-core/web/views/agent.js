// One agent: the way of its logs, and what its shipper does.
import { fill, h } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { bytes, count, cut, duration, many } from "../lib/format.js";
import { link } from "../lib/router.js";
import { empty, loading } from "../components/notice.js";
import { stateMark } from "../components/state-mark.js";
import { ago } from "../components/time-ago.js";
import { waySteps } from "../components/way-steps.js";
import { streamTable } from "./streams.js";

/** @param {import("../lib/router.js").Route} route */
export const title = route => `Agent ${route.path[1]}`;

/** @param {HTMLElement} main @param {import("../lib/router.js").Route} route @param {AbortSignal} signal */
export function show(main, route, signal) {
  const id = route.path[1];
  const page = h("div");
  const table = streamTable(() => "", () => {});
  fill(main, h("p", { class: "crumbs" }, h("a", { href: "#/agents" }, "Agents"), " / "), page);

  async function load() {
    // A part of an id, or a name, never gives an error, as a whole one of an agent that is gone does.
    const found = await get("explain", { part: id, limit: 10 }, signal);
    const subject = found.subjects.find((/** @type {any} */ one) => one.kind === "agent" && (one.id === id || one.name === id));
    if (!subject) return [h("h1", null, id), empty("This agent is not there any more.", "The master does not list it, and it has made no offer since the scheduler started.", h("a", { class: "button", href: "#/agents" }, "All agents"))];
    document.title = `${subject.name} · logstash-mesos`;
    const [status, streams] = await Promise.all([get("status", { agent: subject.id }, signal), get("streams", { q: `agent:${subject.id}`, limit: 50, sort: "-lag_bytes" }, signal)]);
    const executor = status.agents[0]?.executor;
    if (table.element.isConnected) table.update(streams.streams);
    else table.show(streams.streams);
    return [
      h("div", { class: "headline" }, h("h1", null, subject.name), stateMark(subject.state), cut(subject.id, "code quiet")),
      h("p", { class: "summary" }, subject.summary),
      h("div", { class: "columns" },
        h("section", { class: "panel", "aria-labelledby": "way" }, h("h2", { id: "way" }, "The way of its logs"), waySteps(subject.steps)),
        executor && h("section", { class: "panel", "aria-labelledby": "shipper" }, h("h2", { id: "shipper" }, "Shipper"), facts(executor))),
      executor?.pipelines?.length > 0 && h("section", { "aria-labelledby": "pipelines" }, h("h2", { id: "pipelines" }, "Configurations at work"), pipelines(executor)),
      h("section", { "aria-labelledby": "streams" }, h("h2", { id: "streams" }, "Streams ", h("span", { class: "quiet" }, count(streams.total))),
        streams.total ? [table.element, streams.total > 50 && h("p", null, h("a", { href: link(["streams"], { q: `agent:${subject.id}` }) }, `All ${count(streams.total)}`))]
          : empty("Nothing is read on this agent.", executor ? "No container here runs under an image that a configuration names, or the paths do not exist yet." : "There is no shipper."))];
  }

  loading(page, 9, load);
  const timer = setInterval(() => document.hidden || page.contains(document.activeElement) || loading(page, 9, load), 5000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** @param {any} executor */
function facts(executor) {
  /** @type {[string, any][]} */
  const rows = [
    ["State", executor.connected ? `${executor.state}, connected` : `${executor.state}, not connected`],
    ["Heard of", ago(executor.last_seen) ?? "not yet"],
    ["Version", executor.version ?? "not said yet"],
    ["Memory", executor.memory_bytes ? bytes(executor.memory_bytes) : "not said yet"],
    ["Events", executor.events_in === undefined ? "not said yet" : `${count(executor.events_in)} in, ${count(executor.events_out)} out, ${count(executor.events_failed)} refused`],
    ["Docker", executor.docker?.state ?? "not said yet"],
    ["Sandboxes", executor.sandboxes_error],
    ["Data", executor.data_dir && cut(executor.data_dir, "code")],
    ["Task", executor.task_id && cut(executor.task_id, "code")],
    ["Executor", cut(executor.executor_id, "code")],
    ["Process", executor.pid],
  ];
  return h("dl", { class: "facts" }, rows.filter(([, text]) => text).map(([term, text]) => h("div", null, h("dt", null, term), h("dd", null, text))));
}

/** What each configuration has done here. @param {any} executor */
function pipelines(executor) {
  const outputs = (/** @type {string} */ name) => executor.outputs.filter((/** @type {any} */ output) => (output.configuration || name) === name);
  return h("div", { class: "table" }, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What each configuration has done" }, h("table", null, h("caption", { class: "unseen" }, "Configurations at work"),
    h("thead", null, h("tr", null, ["Configuration", "In", "Out", "Failures", "Slowest plugin", "Outputs"].map((text, n) =>
      h("th", { scope: "col", class: n > 0 && n < 4 ? "number" : n === 4 ? "wide" : null }, text)))),
    h("tbody", null, executor.pipelines.map((/** @type {any} */ one) => h("tr", null,
      h("th", { scope: "row" }, one.configuration), h("td", { class: "number" }, count(one.events_in)), h("td", { class: "number" }, count(one.events_out)),
      h("td", { class: "number" }, one.failures ? h("span", { class: "bad", title: one.failure }, `▲ ${count(one.failures)}`) : 0),
      h("td", { class: "wide" }, slowest(one.plugins)),
      h("td", null, outputs(one.configuration).map((/** @type {any} */ output) => h("span", { class: "nowrap", title: output.error },
        stateMark({ ok: "ok", retrying: "care", failed: "problem" }[/** @type {string} */ (output.state)] ?? "unknown", `${output.type} ${output.state}`), output.pending ? ` ${many(output.pending, "event")} waiting` : "",
        output.aside ? h("span", { class: "bad", title: output.aside_reason }, ` ▲ ${many(output.aside, "event")} aside`) : "", " ")))))))));
}

/** @param {any[]} plugins */
function slowest(plugins) {
  const most = plugins.reduce((worst, plugin) => plugin.busy_ms > (worst?.busy_ms ?? 0) ? plugin : worst, null);
  return most ? `${most.name}, ${duration(most.busy_ms)} in all` : "–";
}
