// One stream of what matters, and how old it is.
import { get } from "./api.js";
import { clock, duration } from "./format.js";

/** @typedef {{at: string, version: string, url: string, framework: any, agents: any, events: any, streams: any,
 *   configurations: any, problems: any[], problems_total: number}} Overview */

class Live extends EventTarget {
  /** @type {Overview | null} The last that came. */
  overview = null;
  /** When it came, by the clock of this machine. */
  heard = 0;
  /**
   * Who looks, and whether one may change something.
   * @type {{name: string | null, role: string | null, must_sign_in: boolean, signed_in: boolean, may_write: boolean, why_not: string | null}}
   */
  viewer = { name: null, role: null, must_sign_in: false, signed_in: false, may_write: true, why_not: null };
  #opened = Date.now();
  #attempts = 0;
  /** @type {EventSource | null} */
  #source = null;

  /** Begins to listen, unless somebody has to sign in first. */
  async open() {
    this.#source?.close();
    this.#source = null;
    const attempt = ++this.#attempts;
    // Without an answer there is nothing to listen to either, which the stream says in its own way.
    const viewer = await get("session").catch(() => null);
    if (attempt !== this.#attempts) return;
    if (viewer) this.#see(viewer);
    if (viewer?.must_sign_in) return void window.dispatchEvent(new Event("stranger"));
    const source = new EventSource("api/events");
    this.#source = source;
    source.addEventListener("overview", event => {
      this.overview = JSON.parse(event.data);
      this.heard = Date.now();
      this.dispatchEvent(new Event("overview"));
      this.dispatchEvent(new Event("age"));
    });
    source.addEventListener("viewer", event => {
      this.#see(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      // A broken connection is opened again by the browser; after a refusal it gives up.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.#source === source && this.open(), RETRY_MS);
      this.dispatchEvent(new Event("age"));
    });
  }

  #see(/** @type {typeof this.viewer} */ viewer) {
    this.viewer = viewer;
    this.dispatchEvent(new Event("viewer"));
  }

  /** How long nothing came. */
  get age() {
    return Date.now() - (this.heard || this.#opened);
  }

  /** @returns {"live" | "wait" | "care" | "bad"} */
  get state() {
    if (this.age < STALE_MS) return this.heard ? "live" : "wait";
    if (this.age < 90_000) return "wait";
    return this.age < 300_000 ? "care" : "bad";
  }

  /** The state in words. */
  get words() {
    if (this.state === "live") return "live";
    if (!this.heard) return this.age < STALE_MS ? "connecting" : `no answer for ${duration(this.age)}`;
    return `no contact, as of ${clock(this.heard)}, ${duration(this.age)} ago`;
  }
}

const RETRY_MS = 3000;
/** The scheduler sends every second. */
const STALE_MS = 7000;

export const live = new Live();

/** Listens until `signal` says to stop, and tells at once what is known. @param {AbortSignal} signal @param {(overview: Overview) => void} tell */
export function onOverview(signal, tell) {
  live.addEventListener("overview", () => live.overview && tell(live.overview), { signal });
  if (live.overview) tell(live.overview);
}
