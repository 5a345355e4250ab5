// What no output takes: what it is, why, how many, and what shall become of it.
import { fill, h } from "../lib/dom.js";
import { get, search, send } from "../lib/api.js";
import { bytes, clock, count, cut, many } from "../lib/format.js";
import { link } from "../lib/router.js";
import { ask } from "../components/dialog.js";
import { dataTable } from "../components/data-table.js";
import { empty, loading, toast } from "../components/notice.js";

export const title = () => "Dead letters";

/** Letters that are looked at; more of them are counted, and meant by the buttons for all. */
const LIMIT = 500;
/** Ids in one request: an address has its limits. */
const TOGETHER = 200;

/** @param {HTMLElement} main @param {import("../lib/router.js").Route} route @param {AbortSignal} signal */
export function show(main, route, signal) {
  const agent = route.query.get("agent"), configuration = route.query.get("configuration") ?? "";
  if (agent) one(main, agent, configuration, signal);
  else all(main, signal);
}

/** @param {HTMLElement} main @param {AbortSignal} signal */
function all(main, signal) {
  const list = h("div"), head = h("span", { class: "quiet" });
  fill(main, h("div", { class: "headline" }, h("h1", null, "Dead letters"), head), list);
  const table = dataTable({
    caption: "Dead letters by configuration and agent",
    key: row => `${row.agent_id} ${row.configuration}`,
    href: row => link(["dead-letters"], { agent: row.agent_id, configuration: row.configuration }),
    columns: [
      { title: "Configuration", kind: "key", cell: row => cut(row.configuration) },
      { title: "Agent", kind: "grow", cell: row => cut(row.hostname ?? row.agent_id) },
      { title: "Waiting", kind: "number", cell: row => row.waiting ? h("b", { class: "care" }, `◆ ${count(row.waiting)}`) : "0" },
      { title: "Size", kind: "number wide", cell: row => bytes(row.bytes) },
      { title: "On their way", kind: "number wide", cell: row => count(row.on_their_way) },
      { title: "Dropped", kind: "number wide", cell: row => row.dropped ? h("span", { class: "bad", title: "for want of room or for their age" }, `▲ ${count(row.dropped)}`) : "0" },
    ],
  });

  async function load(/** @type {boolean} */ keep) {
    const { total, configurations } = await get("dead-letters", {}, signal);
    fill(head, total ? `${count(total)} wait for somebody` : "");
    if (!configurations.length) return empty("No dead letters.", "An event that an output refuses for good, such as one that its index has no room for, is kept on its agent with the reason until somebody sends it again or discards it. None is known.", h("a", { class: "button", href: "#/" }, "Overview"));
    const rows = configurations.sort((/** @type {any} */ a, /** @type {any} */ b) => b.waiting - a.waiting);
    if (keep && table.element.isConnected) table.update(rows);
    else table.show(rows);
    return [table.element, h("p", { class: "quiet" }, "They lie on the disks of the agents. What is dropped there, for want of room or for its age, is lost.")];
  }

  loading(list, 4, () => load(false));
  const timer = setInterval(() => document.hidden || loading(list, 4, () => load(true)), 5000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** @param {HTMLElement} main @param {string} agent @param {string} configuration @param {AbortSignal} signal */
function one(main, agent, configuration, signal) {
  const page = h("div");
  const name = configuration || "all configurations";
  const heading = h("h1", null, name, h("span", { class: "quiet" }, " on "), cut(agent));
  const every = configuration ? { agent, configuration } : { agent, all: true };
  const buttons = h("span", { class: "actions" });
  fill(main, h("p", { class: "crumbs" }, h("a", { href: "#/dead-letters" }, "Dead letters"), " / "), h("div", { class: "headline" }, heading, h("span", { class: "spring" }), buttons), page);
  const load = () => loading(page, 8, async () => {
    const [{ letters, next, damaged_lines }, counts] = await Promise.all([get("dead-letters", { agent, configuration, limit: LIMIT }, signal), get("dead-letters", {}, signal)]);
    const known = counts.configurations.filter((/** @type {any} */ row) => row.agent_id === agent && (!configuration || row.configuration === configuration));
    if (known[0]?.hostname) fill(heading, name, h("span", { class: "quiet" }, " on "), known[0].hostname);
    const number = next ? `all of ${name}` : many(letters.length, "dead letter");
    fill(buttons, letters.length > 0 && [button("Replay all", number, [every], false), button("Discard all", number, [every], true)]);
    if (!letters.length) return empty("Nothing waits here.", known.some((/** @type {any} */ row) => row.on_their_way) ? "What was sent again is on its way to its outputs. It comes back if they refuse it again." : "No event of it is a dead letter any more.", h("a", { class: "button", href: "#/dead-letters" }, "All dead letters"));
    return [
      h("p", { class: "summary" }, next ? `The oldest ${count(letters.length)}, by what refused them. There are more.` : `${many(letters.length, "dead letter")}, by what refused ${letters.length === 1 ? "it" : "them"}.`,
        damaged_lines > 0 && ` ${many(damaged_lines, "line")} on the disk ${damaged_lines === 1 ? "is" : "are"} damaged and no letter.`),
      h("div", { class: "letters" }, groups(letters).map(group))];
  });

  /** @param {string} action @param {string} number How many, in words. @param {any[]} queries Which. @param {boolean} danger */
  function button(action, number, queries, danger) {
    const pressed = async () => {
      let done = 0;
      const asked = await ask({
        title: danger ? `Discard ${number}?` : `Send ${number} again?`,
        content: h("p", null, danger ? "They are gone for good then, and are counted nowhere as delivered." : "They go back to where they were refused. Mend first what refused them, or they come back here."),
        action: danger ? "Discard" : "Send again", danger,
        act: async () => {
          for (const query of queries) {
            const answer = await (danger ? send("DELETE", `dead-letters${search(query)}`) : send("POST", `dead-letters/replay${search(query)}`));
            done += answer.discarded ?? answer.replayed;
          }
        },
      });
      if (asked) toast(danger ? `Discarded ${many(done, "dead letter")}.` : `${many(done, "dead letter")} on the way back.`);
      if (asked) load();
    };
    return h("button", { type: "button", class: danger ? "danger quietly" : null, onclick: pressed }, action);
  }

  /** @param {{letters: any[]}} group */
  function group({ letters }) {
    const [first] = letters;
    const ids = letters.map(letter => letter.id);
    const queries = Array.from({ length: Math.ceil(ids.length / TOGETHER) }, (_, n) => ({ agent, ids: ids.slice(n * TOGETHER, (n + 1) * TOGETHER).join(",") }));
    const number = many(letters.length, "dead letter");
    const last = letters[letters.length - 1];
    return h("section", { class: "panel" },
      h("header", null, h("h2", null, first.plugin === "if" ? "A condition" : first.plugin), first.plugin_id && h("span", { class: "quiet code" }, first.plugin_id), h("span", { class: "care" }, `◆ ${number}`),
        h("span", { class: "quiet" }, letters.length > 1 ? `${clock(first["@timestamp"])} to ${clock(last["@timestamp"])}` : clock(first["@timestamp"]))),
      h("p", { class: "reason code" }, first.reason),
      h("details", { class: "sample", open: true }, h("summary", null, `The ${letters.length > 1 ? "last" : "event"}${first.source ? `, from ${last.source}` : ""}`), h("pre", { class: "whole", tabindex: 0 }, pretty(last.record))),
      h("div", { class: "actions" }, button("Replay", number, queries, false), button("Discard", number, queries, true)));
  }

  load();
}

/** Letters with the same plugin and the same reason but for its numbers, the most first. @param {any[]} letters */
function groups(letters) {
  /** @type {Map<string, {letters: any[]}>} */
  const all = new Map();
  for (const letter of letters) {
    const key = `${letter.plugin_id} ${letter.plugin} ${letter.reason.replace(/\d+/g, "0")}`;
    const known = all.get(key);
    if (known) known.letters.push(letter);
    else all.set(key, { letters: [letter] });
  }
  return [...all.values()].sort((a, b) => b.letters.length - a.letters.length);
}

/** @param {string} record */
function pretty(record) {
  try { return JSON.stringify(JSON.parse(record), null, 2); } catch { return record; }
}
