// `<time-ago at="2026-11-28T21:48:57Z">`: how long ago, kept up to date.
import { clock, duration } from "../lib/format.js";
import { h } from "../lib/dom.js";

const shown = new Set();
setInterval(() => shown.forEach(element => element.tell()), 1000);

class TimeAgo extends HTMLElement {
  connectedCallback() {
    const at = this.getAttribute("at") ?? "";
    this.time = h("time", { datetime: at, title: new Date(at).toString() });
    this.replaceChildren(this.time);
    shown.add(this);
    this.tell();
  }

  disconnectedCallback() {
    shown.delete(this);
  }

  tell() {
    const at = new Date(this.getAttribute("at") ?? "");
    const age = duration(Date.now() - at.getTime());
    const text = this.hasAttribute("since") ? `since ${clock(at)}, ${age}` : `${age} ago`;
    if (this.time.textContent !== text) this.time.textContent = text;
  }
}

customElements.define("time-ago", TimeAgo);

/** @param {string | null | undefined} at */
export const ago = at => at ? h("time-ago", { at }) : null;

/** @param {string | null | undefined} at */
export const since = at => at ? h("time-ago", { at, since: true }) : null;
