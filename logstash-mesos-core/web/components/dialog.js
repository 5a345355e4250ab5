// A question that has to be answered first.
import { fill, h } from "../lib/dom.js";

/**
 * Asks, does what was asked for, and closes when that has worked; otherwise it says why not.
 * @param {{title: string, content: any, action: string, danger?: boolean, wide?: boolean, act: () => Promise<any>}} question
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, content, action, danger, wide, act }) {
  const { promise, resolve } = Promise.withResolvers();
  const problem = h("div", { role: "alert" });
  const doIt = h("button", { type: "submit", class: danger ? "danger" : "primary" }, action);
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  let done = false;
  const form = h("form", {
    method: "dialog",
    onsubmit: async (/** @type {Event} */ event) => {
      event.preventDefault();
      doIt.disabled = true;
      try {
        await act();
        done = true;
        dialog.close();
      } catch (error) {
        fill(problem, h("p", { class: "bad" }, /** @type {Error} */ (error).message));
        doIt.disabled = false;
      }
    },
  }, h("h2", { id: "question" }, title), h("div", { class: "content" }, content), problem, h("div", { class: "actions" }, doIt, cancel));
  const dialog = h("dialog", { "aria-labelledby": "question", class: wide ? "wide" : null, onclose: () => { dialog.remove(); resolve(done); } }, form);
  // Back leaves the question unanswered.
  window.addEventListener("hashchange", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
  (danger ? cancel : doIt).focus();
  return promise;
}
