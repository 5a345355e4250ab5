// The last lines of a stream that is read now, to try a configuration on: which stream, and what its executor found.
import { fill, h } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { clock, cut, many } from "../lib/format.js";
import { combobox } from "./combobox.js";
import { failure } from "./notice.js";

const LINES = 20;
/** Streams that are offered at a time. */
const STREAMS = 8;

/** @param {string} configuration Whose streams are offered first. @param {(lines: string[]) => void} take @param {AbortSignal} signal */
export function lastLines(configuration, take, signal) {
  /** @type {any} */
  let row = null;
  const about = h("div", { role: "status" });
  const input = h("input", { type: "search", placeholder: "Last lines of…", "aria-label": "Take the last lines of a stream: container, image, path or agent" });
  const list = h("ul", { id: "streams-found", "aria-label": "Streams" });
  combobox(input, list, { offers: true, find: async (q, asked) => {
    const own = !q && configuration ? await found(`configuration:${configuration}`, asked) : [];
    const others = own.length ? [] : await found(q, asked);
    return {
      options: [...own.map(option(`Read by ${configuration}`)), ...others.map(option(q ? "Streams" : "Where most has passed"))],
      none: q ? `No stream is like “${q}”. Words such as image:nginx path:access work here, too.` : "Nothing is read yet.",
    };
  } });

  const found = async (/** @type {string} */ q, /** @type {AbortSignal} */ asked) => (await get("streams", { q, sort: "-events", limit: STREAMS }, asked)).streams;

  /** @param {string} group @returns {(row: any) => import("./combobox.js").Option} */
  const option = group => one => ({ group, content: [h("b", null, one.name || one.hostname), cut(one.path || one.stream, "code")], take: () => { row = one; read(); } });

  async function read() {
    const mine = row;
    let lines;
    try {
      ({ lines } = await get("last-lines", { agent: row.agent_id, stream: row.id, limit: LINES }, signal));
    } catch (error) {
      if (!signal.aborted && mine === row) fill(about, failure(/** @type {Error} */ (error), read));
      return;
    }
    if (mine !== row) return;
    fill(about, h("div", { class: "taken" },
      h("p", null, lines.length ? `The last ${many(lines.length, "line")} of ` : "No line yet of ", h("b", null, row.name || row.hostname), row.name && ` on ${row.hostname || row.agent_id}`, `, read at ${clock(new Date())}`),
      cut(row.path || row.stream, "code quiet"), h("button", { type: "button", onclick: read }, "Read again")));
    take(lines);
  }

  return {
    choice: h("span", { class: "streams-choice" }, input, list), about,
    /** Whether the lines are those of a stream. */
    taken: () => row !== null,
    forget: () => { row = null; fill(about); },
  };
}
