// `<area-chart>`: one or two series over time. Pointing and the arrow keys read one moment; a table has all of them.
import { fill, h } from "../lib/dom.js";
import { clock } from "../lib/format.js";

/** @typedef {{name: string, kind: string, values: (number | null)[]}} Series */

class AreaChart extends HTMLElement {
  /** @type {number[]} */ #times = [];
  /** @type {Series[]} */ #series = [];
  /** @type {(n: number) => string} */ #format = String;
  /** What the axis has room for at the least. */
  #least = 1;
  /** @type {number | null} */ #at = null;
  #plot = h("div", { class: "plot" });
  #read = h("output", { class: "read" });
  #key = h("p", { class: "key" });
  #range = h("input", { type: "range", min: 0, step: 1, class: "reader" });
  #rows = h("tbody");
  #table = h("details", null, h("summary", null, "As a table"));
  #resized = new ResizeObserver(() => this.#draw());

  connectedCallback() {
    this.#range.setAttribute("aria-label", `${this.getAttribute("label")}: read one moment`);
    this.#range.addEventListener("input", () => this.#point(Number(this.#range.value)));
    this.#range.addEventListener("blur", () => this.#point(null));
    this.#plot.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      const box = this.#plot.getBoundingClientRect();
      this.#point(Math.round((event.clientX - box.left) / box.width * (this.#times.length - 1)));
    });
    this.#plot.addEventListener("pointerleave", () => this.#point(null));
    this.#table.addEventListener("toggle", () => this.#list());
    this.append(h("div", { class: "above" }, this.#key, this.#read), h("div", { class: "stage" }, this.#plot, this.#range), this.#table);
    this.#resized.observe(this.#plot);
  }

  disconnectedCallback() {
    this.#resized.disconnect();
  }

  /** @param {number[]} times @param {Series[]} series @param {(n: number) => string} format @param {number} [least] */
  show(times, series, format, least = 1) {
    this.#least = least;
    this.#times = times;
    this.#series = series;
    this.#format = format;
    this.#range.max = String(Math.max(0, times.length - 1));
    if (document.activeElement !== this.#range) this.#range.value = this.#range.max;
    fill(this.#key, series.map(one => h("span", { class: one.kind }, h("i", { "aria-hidden": "true" }), `${one.name} `, h("b", null, this.#last(one)))));
    this.#draw();
    this.#list();
  }

  /** @param {Series} one */
  #last(one) {
    const value = one.values.at(-1);
    return value === null || value === undefined ? "–" : this.#format(value);
  }

  /** @param {number | null} n */
  #point(n) {
    this.#at = n === null ? null : Math.max(0, Math.min(this.#times.length - 1, n));
    const text = this.#at === null || !this.#times.length ? "" : this.#words(this.#at);
    this.#read.textContent = text;
    this.#range.setAttribute("aria-valuetext", text || "nothing yet");
    this.#draw();
  }

  #words(/** @type {number} */ n) {
    const said = this.#series.map(one => `${one.name} ${one.values[n] === null ? "not known" : this.#format(/** @type {number} */ (one.values[n]))}`);
    return `${clock(this.#times[n])}  ${said.join(", ")}`;
  }

  #draw() {
    const width = this.#plot.clientWidth, height = this.#plot.clientHeight, count = this.#times.length;
    if (!width) return;
    const top = ceiling(Math.max(this.#least, ...this.#series.flatMap(one => one.values.map(value => value ?? 0))));
    const x = (/** @type {number} */ n) => count < 2 ? width : n / (count - 1) * width;
    const y = (/** @type {number} */ value) => height - 1 - value / top * (height - 14);
    const grid = [0, top / 2, top].map(value => h("g", { class: "grid" },
      h("line", { x1: 0, x2: width, y1: y(value), y2: y(value) }), value > 0 && h("text", { x: 0, y: y(value) - 3 }, this.#format(value))));
    const areas = this.#series.map((one, nth) => runs(one.values).map(run => {
      const points = run.map(n => `${x(n).toFixed(1)} ${y(/** @type {number} */ (one.values[n])).toFixed(1)}`).join("L");
      const line = run.length === 1 ? `M${points}h1` : `M${points}`;
      return h("g", { class: one.kind }, nth === 0 && h("path", { class: "area", d: `${line}V${height}H${x(run[0]).toFixed(1)}Z` }), h("path", { class: "line", d: line }));
    }));
    const at = this.#at !== null && count > 0 && h("line", { class: "cursor", x1: x(this.#at), x2: x(this.#at), y1: 0, y2: height });
    fill(this.#plot, h("svg", { width, height, "aria-hidden": "true" }, grid, areas, at));
  }

  /** The table behind, made when it is looked at. */
  #list() {
    if (!this.#table.open) return;
    if (!this.#rows.isConnected) {
      this.#table.append(h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": this.getAttribute("label") }, h("table", null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Time"), this.#series.map(one => h("th", { scope: "col", class: "number" }, one.name)))), this.#rows)));
    }
    fill(this.#rows, this.#times.map((time, n) => h("tr", null, h("td", null, clock(time)),
      this.#series.map(one => h("td", { class: "number" }, one.values[n] === null ? "–" : this.#format(/** @type {number} */ (one.values[n])))))).reverse());
  }
}

/** Runs of neighbours that are known. @param {(number | null)[]} values */
function runs(values) {
  /** @type {number[][]} */
  const found = [];
  values.forEach((value, n) => {
    if (value === null) return;
    if (n > 0 && values[n - 1] !== null && found.length) found[found.length - 1].push(n);
    else found.push([n]);
  });
  return found;
}

/** The next of 1, 2, 4, 5, 10, 20 … */
function ceiling(/** @type {number} */ value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return /** @type {number} */ ([1, 2, 4, 5, 10].find(step => step * power >= value)) * power;
}

customElements.define("area-chart", AreaChart);
