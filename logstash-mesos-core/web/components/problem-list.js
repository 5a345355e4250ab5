// What is wrong, most urgent first; each line leads to its place.
import { h } from "../lib/dom.js";
import { link } from "../lib/router.js";
import { many, prose } from "../lib/format.js";
import { stateMark } from "./state-mark.js";
import { since } from "./time-ago.js";

/** Where a problem is looked into. @param {any} subject */
export function place(subject) {
  switch (subject.kind) {
    case "agent": return link(["agents", subject.id]);
    case "configuration": return link(["configurations", subject.configuration_kind, subject.name]);
    case "stream": return link(["streams"], { q: subject.id });
    default: return link(["why"]);
  }
}

/** @param {any[]} problems @param {number} total */
export function problemList(problems, total) {
  return h("ul", { class: "problems" }, problems.map(problem => {
    const [first, ...others] = problem.subjects;
    const rest = problem.count - 1;
    return h("li", null,
      stateMark(problem.state ?? "problem", undefined, true),
      h("div", null,
        h("p", null, first && h("b", null, h("a", { href: place(first) }, first.name)), first && " ", prose(problem.text), " ", h("span", { class: "quiet nowrap" }, since(problem.since))),
        problem.next && h("p", { class: "next" }, h("span", { "aria-hidden": "true" }, "→ "), prose(problem.next)),
        rest > 0 && h("p", { class: "quiet" }, `The same ${problem.kind === "agent" ? "on" : "with"} `,
          others.map((/** @type {any} */ one, /** @type {number} */ n) => [n > 0 && ", ", h("a", { href: place(one) }, one.name)]),
          rest > others.length && `${others.length ? " and " : ""}${many(rest - others.length, others.length ? "more" : "other").replace("mores", "more")}`)),
      first && h("a", { class: "why", href: place(first), tabindex: -1, "aria-hidden": "true" }, "Why →"));
  }), total > problems.length && h("li", { class: "quiet" }, `And ${many(total - problems.length, "other problem")}. `, h("a", { href: link(["agents"], { only: "problem" }) }, "All agents with a problem")));
}
