// What the engine has against a text: each line leads to its place.
import { fill, h } from "../lib/dom.js";
import { many, prose } from "../lib/format.js";
import { stateMark } from "./state-mark.js";

/** @param {(line: number, column: number) => void} open */
export function problemPane(open) {
  const list = h("ol");
  const count = h("p", { role: "status" });
  /** @type {string | null} */
  let said = null;
  const element = h("div", { class: "complaints", id: "complaints" }, count, list);

  /** @param {import("./code-editor.js").Complaint[]} all */
  function show(all) {
    const errors = all.filter(one => one.severity === "error").length;
    const words = [errors && many(errors, "error"), all.length - errors && many(all.length - errors, "warning")].filter(Boolean).join(", ");
    if (words !== said) fill(count, all.length ? words : stateMark("ok", "The engine takes it."));
    said = words;
    fill(list, all.map(one => h("li", null, h("button", { type: "button", class: "plain", onclick: () => open(one.line, one.column) },
      stateMark(one.severity === "error" ? "problem" : "care", one.severity, true), h("span", null, prose(one.message), one.remedy && h("span", { class: "next" }, " → ", prose(one.remedy))),
      h("span", { class: "quiet nowrap" }, `${one.line}:${one.column} ${one.code}`)))));
  }

  return { element, show, say: (/** @type {string} */ text) => { said = text; fill(count, text); } };
}
