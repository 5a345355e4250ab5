// What there is to say about which logs are read, and whether it is in use.
import { fill, h } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { count, cut, many } from "../lib/format.js";
import { link } from "../lib/router.js";
import { empty, failure, loading } from "../components/notice.js";
import { dataTable } from "../components/data-table.js";
import { stateMark } from "../components/state-mark.js";

export const title = () => "Configurations";

/** Where several write to one place. @param {{destination: string, configurations: string[]}[]} shared */
function meetings(shared) {
  return shared.length > 0 && h("section", { class: "panel", "aria-labelledby": "meetings" }, h("h2", { id: "meetings" }, "Several write to one place"),
    h("ul", null, shared.map(({ destination, configurations }) => h("li", null, h("code", null, destination), " ", configurations.join(", ")))),
    h("p", { class: "quiet" }, "If that is not meant, give one of them a place of its own."));
}

/** Who may read what. @param {{file: string | null, error: string | null, rules: {text: string}[]}} policy */
function rules({ file, error, rules }) {
  return file && h("section", { class: "panel", "aria-labelledby": "policy" }, h("h2", { id: "policy" }, "Policy"),
    error && failure(new Error(`The file cannot be used as it is now, and what it said before stays in force: ${error}`)),
    rules.length ? h("ul", null, rules.map(({ text }) => h("li", null, h("code", null, text)))) : h("p", null, "It has no rules: every configuration may read every container."),
    h("p", { class: "quiet" }, "From the scheduler's file ", h("code", null, file), "."));
}

/** @param {HTMLElement} main @param {any} _ @param {AbortSignal} signal */
export function show(main, _, signal) {
  const list = h("div");
  const add = h("a", { class: "button primary", href: link(["configurations", "docker", ""]) }, "New configuration");
  const table = dataTable({
    caption: "Configurations",
    key: row => `${row.kind} ${row.name}`,
    href: row => link(["configurations", row.kind, row.name]),
    columns: [
      { title: "State", kind: "state", cell: row => row.error ? stateMark("problem", "refused") : row.streams || row.kind === "host" ? stateMark("ok", "in use") : stateMark("unknown", "matches none") },
      { title: "Name", kind: "key", cell: row => cut(row.name) },
      { title: "Applies to", kind: "wide", cell: row => row.kind === "host" ? "every agent" : row.match && Object.keys(row.match).length ? `containers where ${Object.entries(row.match).map(([key, value]) => `${key} is ${value}`).join(", ")}` : "containers of the image" },
      { title: "What is wrong", kind: "grow", cell: row => row.error ? h("span", { class: "line bad", title: row.error }, row.error) : "" },
      { title: "Streams", kind: "number", cell: row => count(row.streams) },
      { title: "Agents", kind: "number wide", cell: row => row.refused_by ? h("span", { class: "bad" }, `▲ ${count(row.applied_by)} of ${count(row.applied_by + row.refused_by)}`) : count(row.applied_by) },
      { title: "From", kind: "wide", cell: row => row.source === "directory" ? "file" : "page or REST" },
      { title: "Version", kind: "wide", cell: row => h("span", { class: "code quiet" }, row.version) },
    ],
  });

  fill(main, h("div", { class: "headline" }, h("h1", null, "Configurations"), h("span", { class: "spring" }), add), list);

  async function load(/** @type {boolean} */ keep) {
    const [{ configurations, shared_destinations }, policy] = await Promise.all([get("status", { limit: 1 }, signal), get("policy", {}, signal)]);
    if (!configurations.length) {
      return empty("No configuration yet.", "One is named after the image whose containers it reads, such as `nginx:1.27` or `library/*`; or applies once to every agent.",
        h("a", { class: "button primary", href: link(["configurations", "docker", ""]) }, "Write the first"));
    }
    if (keep && table.element.isConnected) table.update(configurations);
    else table.show(configurations);
    return [table.element, h("p", { class: "quiet" }, many(configurations.length, "configuration"), ". Those from files are changed in their directory, and taken over within a second."),
      meetings(shared_destinations), rules(policy)];
  }

  loading(list, 4, () => load(false));
  const timer = setInterval(() => document.hidden || loading(list, 4, () => load(true)), 5000);
  signal.addEventListener("abort", () => clearInterval(timer));
}
