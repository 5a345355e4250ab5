// What is copied at the press of a button.
import { h } from "./dom.js";

/** @param {string} text */
export async function copy(text) {
  // Only pages of https and of this machine have the clipboard of the browser.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "unseen", value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
