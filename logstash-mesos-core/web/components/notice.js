// What stands where there is nothing to show: yet, at all, or because of an error.
import { fill, h } from "../lib/dom.js";
import { prose } from "../lib/format.js";

/** @param {string} what @param {string} [why] @param {any} [next] What to do, a link or a button. */
export function empty(what, why, next) {
  return h("div", { class: "notice" }, h("p", null, h("b", null, what)), why && h("p", null, prose(why)), next);
}

/** An error at its place, with the remedy that it names. @param {Error} error @param {() => void} [again] */
export function failure(error, again) {
  return h("div", { class: "notice failure", role: "alert" }, h("p", null, h("span", { class: "bad", "aria-hidden": "true" }, "▲ "), prose(error.message)),
    again && h("button", { type: "button", onclick: again }, "Try again"));
}

/** Bars of the size of what comes, after a moment. @param {number} lines */
export function skeleton(lines) {
  return h("div", { class: "skeleton", "aria-hidden": "true" }, Array.from({ length: lines }, () => h("i")));
}

/**
 * Shows bars until `load` gives the content, or says why it does not. What is there already stays until then.
 * @param {Element} place @param {number} lines @param {() => Promise<any>} load
 */
export async function loading(place, lines, load) {
  if (!place.childElementCount) fill(place, skeleton(lines));
  place.setAttribute("aria-busy", "true");
  try {
    const content = await load();
    if (content) fill(place, content);
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") return;
    fill(place, failure(/** @type {Error} */ (error), () => loading(place, lines, load)));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** Says for a moment what came of what a person has just done. @param {string} text */
export function toast(text) {
  const note = h("p", null, text);
  document.getElementById("toasts")?.append(note);
  setTimeout(() => note.remove(), 6000);
}
