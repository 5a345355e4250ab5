// Everything that is read: the server filters, sorts and pages.
import { fill, h, settled } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { bytes, count, cut, many } from "../lib/format.js";
import { link, rename } from "../lib/router.js";
import { empty, loading } from "../components/notice.js";
import { dataTable, pager } from "../components/data-table.js";
import { stateMark } from "../components/state-mark.js";

export const title = () => "Streams";

const LIMIT = 50;
/** Words that the filter knows. */
const WORDS = ["state:problem", "lag:>1MB", "lost:>0", "image:nginx", "agent:", "configuration:", "path:", "method:"];

/** @param {() => string} sorted @param {(by: string) => void} onsort */
export function streamTable(sorted, onsort) {
  return dataTable({
    caption: "Streams", sorted, onsort,
    key: row => `${row.agent_id} ${row.container_id} ${row.path ?? row.stream} ${row.id}`,
    href: row => row.container_id ? link(["why"], { q: row.container_id }) : link(["agents", row.agent_id]),
    columns: [
      { title: "State", kind: "state", cell: row => h("span", { title: row.reason }, stateMark(row.state, row.state === "problem" ? row.method ? "loses" : "not read" : undefined)) },
      { title: "Container", kind: "key", sort: "name", cell: row => row.container_id ? h("span", { title: row.container_id }, row.name || row.container_id.slice(0, 12)) : "host file" },
      { title: "Image", kind: "wide", sort: "image", cell: row => row.image ? cut(row.image) : "" },
      { title: "Path or stream", kind: "grow", sort: "path", cell: row => row.path ? cut(row.path, "code") : h("span", { class: "code" }, row.stream) },
      { title: "Agent", kind: "wide", sort: "agent", cell: row => cut(row.hostname) },
      { title: "Read by", kind: "wide", sort: "method", cell: row => h("span", { title: row.reason }, row.method || "–") },
      { title: "Events", kind: "number wide", sort: "events", cell: row => count(row.events) },
      { title: "Behind", kind: "number", sort: "lag_bytes", cell: row => row.lag_bytes ? bytes(row.lag_bytes) : "0" },
      { title: "Lost", kind: "number wide", sort: "lost", cell: row => row.lost_total ? h("span", { class: "bad", title: losses(row) }, `▲ ${count(row.lost_total)}`) : "0" },
    ],
  });
}

/** @param {any} row */
const losses = row => Object.entries(row.lost).map(([why, n]) => `${n}: ${why}`).join(", ");

/** @param {HTMLElement} main @param {import("../lib/router.js").Route} route @param {AbortSignal} signal */
export function show(main, route, signal) {
  const asked = { q: route.query.get("q") ?? "", sort: route.query.get("sort") ?? "", offset: Number(route.query.get("offset")) };
  const list = h("div");
  const head = h("span", { class: "quiet" });
  const filter = h("input", { type: "search", class: "filter long", value: asked.q, placeholder: "name, image:nginx, lag:>1MB, state:problem …", "aria-label": "Filter, words such as image:nginx lag:>1MB", spellcheck: "false",
    oninput: settled(200, () => ask({ q: filter.value.trim(), offset: 0 })) });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Words of the filter" }, WORDS.map(word => h("button", { type: "button", class: "chip", onclick: () => {
    const words = filter.value.split(/\s+/).filter(Boolean);
    filter.value = words.includes(word) ? words.filter((/** @type {string} */ one) => one !== word).join(" ") : [...words, word].join(" ");
    filter.focus();
    if (!word.endsWith(":")) ask({ q: filter.value.trim(), offset: 0 });
  } }, word)));
  fill(main, h("div", { class: "headline" }, h("h1", null, "Streams"), head, filter), chips, list);
  const table = streamTable(() => asked.sort, sort => ask({ sort, offset: 0 }));

  async function load(/** @type {boolean} */ keep) {
    const answer = await get("streams", { ...asked, offset: asked.offset || "", limit: LIMIT }, signal);
    fill(head, `${many(answer.total, "stream")} on ${many(answer.agents, "agent")}`);
    if (!answer.total) return nothing();
    if (keep && table.element.isConnected) table.update(answer.streams);
    else table.show(answer.streams);
    return [table.element, pager({ offset: asked.offset, shown: answer.streams.length, total: answer.total, limit: LIMIT, go: offset => ask({ offset }) })];
  }

  const nothing = () => asked.q
    ? empty("No stream is like this.", `The filter is \`${asked.q}\`. Every word of it has to be true of a stream.`, h("button", { type: "button", onclick: () => { filter.value = ""; ask({ q: "", offset: 0 }); } }, "Show all"))
    : empty("Nothing is read.", "No container runs under an image that a configuration names, or the paths do not exist yet.", h("a", { class: "button", href: "#/configurations" }, "Configurations"));

  function ask(/** @type {Partial<typeof asked>} */ change) {
    Object.assign(asked, change);
    rename(link(["streams"], { ...asked, offset: asked.offset || "" }));
    loading(list, 8, () => load(false));
  }

  loading(list, 8, () => load(false));
  const timer = setInterval(() => document.hidden || loading(list, 8, () => load(true)), 4000);
  signal.addEventListener("abort", () => clearInterval(timer));
}
