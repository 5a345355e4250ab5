// How something stands: a sign and a word, never colour alone.
import { h } from "../lib/dom.js";

/** @type {Record<string, [string, string, string]>} */
const KNOWN = {
  ok: ["good", "✔", "ok"],
  problem: ["bad", "▲", "problem"],
  unknown: ["quiet", "○", "unknown"],
  care: ["care", "◆", "attention"],
};

/** @param {string} state @param {string} [word] Another word for it. @param {boolean} [silent] The word is for those who cannot see the sign. */
export function stateMark(state, word, silent = false) {
  const [kind, sign, name] = KNOWN[state] ?? KNOWN.unknown;
  return h("span", { class: `mark ${kind}` }, h("span", { "aria-hidden": "true" }, sign),
    h("span", { class: silent ? "unseen" : "" }, word ?? name));
}
