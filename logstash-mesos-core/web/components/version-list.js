// What a configuration was before, who wrote that, and what is different today.
import { fill, h } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { ask } from "./dialog.js";
import { lineDiff } from "./line-diff.js";
import { ago } from "./time-ago.js";

/**
 * Asked for when somebody opens it.
 * @param {{kind: string, name: string}} which
 * @param {() => string} now what is compared with
 * @param {((text: {input: string, match: Record<string, string>}) => void) | null} take takes an earlier text into the editor; null for who may not
 * @param {AbortSignal} signal
 */
export function versionList({ kind, name }, now, take, signal) {
  const list = h("div");
  return h("details", {
    class: "panel versions",
    ontoggle: async (/** @type {Event} */ event) => {
      if (!(/** @type {HTMLDetailsElement} */ (event.target)).open) return;
      try {
        const { current, past } = await get("versions", { kind, name }, signal);
        fill(list, table(current ? [{ ...current, current: true }, ...past] : past, compare));
      } catch (error) {
        if (!signal.aborted) fill(list, h("p", { class: "bad" }, /** @type {Error} */ (error).message));
      }
    },
  }, h("summary", null, "Versions"), list);

  async function compare(/** @type {string} */ version) {
    const then = await get("versions", { kind, name, version }, signal);
    await ask({
      title: `From version ${version} to the text in the editor`, action: take ? "Take this version into the editor" : "Close", wide: true,
      content: [lineDiff(then.input, now()), take && h("p", { class: "quiet" }, "Nothing is saved yet: look it over, and save it as the next version.")],
      act: async () => take?.(then),
    });
  }
}

/** @param {any[]} versions @param {(version: string) => void} compare */
function table(versions, compare) {
  return h("div", { class: "table" }, h("div", { class: "scroll" }, h("table", null,
    h("thead", null, h("tr", null, ["Version", "Written", "By", "Until"].map((name, n) => h("th", { scope: "col", class: n > 1 ? "more-room" : null }, name)), h("th", { scope: "col" }, h("span", { class: "unseen" }, "Compare")))),
    h("tbody", null, versions.map(({ version, written, ended, removed, current }) => h("tr", null,
      h("td", { class: "code" }, version),
      h("td", null, written ? ago(written.at) : "not known"),
      h("td", { class: "more-room" }, written ? who(written) : "not known"),
      h("td", { class: "more-room" }, current ? "in force" : [removed ? "removed " : "replaced ", ago(ended.at), ` by ${who(ended)}`]),
      h("td", null, h("button", { type: "button", onclick: () => compare(version), "aria-label": `Compare version ${version}` }, "Compare"))))))));
}

/** @param {{by: string, from: string}} change */
const who = ({ by, from }) => from ? `${by} from ${from}` : by;
