// Numbers, sizes, times and long names as people read them.
import { h } from "./dom.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 12,430 */
export const count = (/** @type {number} */ n) => whole.format(n);

/** 12.4K */
export const brief = (/** @type {number} */ n) => short.format(n);

/** 3 streams, 1 stream */
export const many = (/** @type {number} */ n, /** @type {string} */ noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/** Events per second, with a digit behind the point where that says something. */
export const rate = (/** @type {number} */ n) => n < 100 ? one.format(n) : n < 100_000 ? whole.format(n) : short.format(n);

/** 1.2 MB, as disks are counted. */
export function bytes(/** @type {number} */ n) {
  let unit = 0;
  for (; n >= 1000 && unit < 5; unit++) n /= 1000;
  return `${unit === 0 || n >= 100 ? whole.format(n) : one.format(n)} ${["B", "kB", "MB", "GB", "TB", "PB"][unit]}`;
}

/** 38 s, 4 min, 2 h 5 min, 3 d. */
export function duration(/** @type {number} */ ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d`;
}

/** 12:41:07, with the day if it is another one. */
export function clock(/** @type {Date | string | number} */ at) {
  const date = new Date(at);
  const time = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

/** A long name that is cut in its middle where there is no room, as its ends tell more; whole when it is copied or pointed at. */
export function cut(/** @type {string} */ text, /** @type {string} */ kind = "") {
  const keep = Math.min(12, Math.floor(text.length / 2));
  // The halves would be copied as two lines.
  const copy = (/** @type {ClipboardEvent} */ event) => {
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
  };
  return h("span", { class: `cut ${kind}`, title: text, oncopy: copy },
    h("span", null, text.slice(0, text.length - keep)), h("span", null, text.slice(text.length - keep)));
}

/** `text` with what stands in backquotes as code, linked where `href` knows a place for it. @param {string} text @param {(code: string) => string | null} [href] */
export function prose(text, href) {
  return text.split("`").map((part, n) => {
    if (n % 2 === 0) return part;
    const code = h("code", null, part), to = href?.(part);
    return to ? h("a", { href: to }, code) : code;
  });
}
