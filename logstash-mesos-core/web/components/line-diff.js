// What saving changes, line by line.
import { h } from "../lib/dom.js";
import { difference, hunks } from "../lib/difference.js";
import { many } from "../lib/format.js";

/** @param {string} before @param {string} after */
export function lineDiff(before, after) {
  const all = difference(before, after);
  const added = all.filter(line => line.sign === "+").length, removed = all.filter(line => line.sign === "-").length;
  const words = { "+": "added", "-": "removed", " ": "" };
  return h("div", { class: "diff" },
    h("p", { class: "quiet" }, added || removed ? `${many(added, "line")} added, ${removed} removed` : "The text is the same."),
    added + removed > 0 && h("div", { class: "scroll code", tabindex: 0, role: "region", "aria-label": "Difference" }, h("table", null, h("tbody", null, hunks(all).map(line => line
      ? h("tr", { class: line.sign === "+" ? "added" : line.sign === "-" ? "removed" : null },
        h("td", { class: "number" }, line.old || ""), h("td", { class: "number" }, line.now || ""),
        h("td", { class: "sign" }, line.sign, words[line.sign] && h("span", { class: "unseen" }, words[line.sign])), h("td", null, line.text))
      : h("tr", { class: "gap" }, h("td", { colspan: 4 }, "⋯")))))));
}
