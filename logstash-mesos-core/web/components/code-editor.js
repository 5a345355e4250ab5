// `<code-editor>`: a text area over its own text in colours, with numbers and what the engine says at the line.
import { fill, h } from "../lib/dom.js";
import { explain } from "../lib/completion.js";
import { prose } from "../lib/format.js";
import { lines } from "../lib/language.js";
import { completionList } from "./completion-list.js";

/** @typedef {{severity: "error" | "warning", line: number, column: number, message: string, remedy: string, code: string}} Complaint */

class CodeEditor extends HTMLElement {
  /** @type {Complaint[]} */ #complaints = [];
  #area = h("textarea", { spellcheck: "false", autocomplete: "off", autocapitalize: "off", wrap: "off" });
  #ink = h("pre", { "aria-hidden": "true" });
  /** @type {import("../lib/completion.js").Plugin[]} What may be named; nothing is offered before it is known. */ plugins = [];
  #offers = completionList(this.#area, () => this.plugins, { line: LINE, left: 10, top: 8 });
  #help = h("p", { class: "help" }, HELP);
  #gutter = h("div", { class: "gutter", "aria-hidden": "true" });

  connectedCallback() {
    if (this.firstChild) return;
    this.#area.id = this.getAttribute("area") ?? "code";
    this.#area.setAttribute("aria-label", this.getAttribute("label") ?? "Code");
    this.#area.setAttribute("aria-describedby", this.getAttribute("describedby") ?? "");
    this.#area.addEventListener("input", (/** @type {any} */ event) => {
      this.#draw();
      // What was pasted is not completed.
      if (event.inputType?.startsWith("insertText") || event.inputType?.startsWith("delete")) this.#offers.offer(false);
    });
    for (const moved of ["keyup", "pointerup", "focus"]) this.#area.addEventListener(moved, () => this.#explain());
    this.#area.addEventListener("scroll", () => this.#scroll());
    this.#area.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#offers.key(event) || this.#indent(event));
    this.append(this.#gutter, h("div", { class: "sheet" }, this.#ink, this.#area, this.#offers.element), this.#help);
    this.#draw();
  }

  get value() {
    return this.#area.value;
  }

  set value(text) {
    this.#area.value = text;
    this.#draw();
  }

  set readOnly(/** @type {boolean} */ so) {
    this.#area.readOnly = so;
  }

  /** What is wrong, shown at its line. @param {Complaint[]} complaints */
  complain(complaints) {
    this.#complaints = complaints;
    this.#area.setAttribute("aria-invalid", String(complaints.some(one => one.severity === "error")));
    this.#draw();
  }

  /** Puts the cursor there. @param {number} line @param {number} column */
  goTo(line, column) {
    const before = this.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    const at = Math.min(this.value.length, before + column - 1);
    this.#area.focus();
    this.#area.setSelectionRange(at, at);
    this.#area.scrollTop = Math.max(0, (line - 4) * LINE);
  }

  /** A new line begins below the beginning of the one before, deeper behind a brace. The Tab key stays that of the page. */
  #indent(/** @type {KeyboardEvent} */ event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing || this.#area.readOnly) return;
    const { value, selectionStart: from, selectionEnd: to } = this.#area;
    const line = value.slice(value.lastIndexOf("\n", from - 1) + 1, from);
    const depth = `${/^ */.exec(line)?.[0]}${/[{[]\s*$/.test(line) ? "  " : ""}`;
    event.preventDefault();
    const closes = depth.length > 1 && /[{[]\s*$/.test(line) && /^[}\]]/.test(value.slice(to));
    this.#area.setRangeText(`\n${depth}${closes ? `\n${depth.slice(2)}` : ""}`, from, to, "end");
    if (closes) this.#area.selectionStart = this.#area.selectionEnd = from + 1 + depth.length;
    this.#area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #draw() {
    const at = Map.groupBy(this.#complaints, one => one.line);
    const all = lines(this.value);
    fill(this.#gutter, all.map((_, n) => {
      const bad = at.get(n + 1);
      return h("div", { class: bad ? kind(bad) : null }, bad ? "▲ " : "", n + 1);
    }));
    fill(this.#ink, all.map((line, n) => {
      const bad = at.get(n + 1);
      return h("div", { class: bad ? `told ${kind(bad)}` : null }, line.map(token => token.kind ? h("span", { class: token.kind }, token.text) : token.text),
        line.length === 0 && "​", bad && h("span", { class: "lens" }, bad[0].message));
    }));
    this.#scroll();
  }

  /** Says what the cursor stands on. */
  #explain() {
    fill(this.#help, prose(explain(this.value, this.#area.selectionEnd, this.plugins) || HELP));
  }

  #scroll() {
    this.#ink.style.transform = `translate(${-this.#area.scrollLeft}px, ${-this.#area.scrollTop}px)`;
    this.#gutter.style.transform = `translateY(${-this.#area.scrollTop}px)`;
  }
}

const kind = (/** @type {Complaint[]} */ all) => all.some(one => one.severity === "error") ? "bad" : "care";
const LINE = 18;
const HELP = "Ctrl-Space offers what may stand here.";

customElements.define("code-editor", CodeEditor);
