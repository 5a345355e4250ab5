// The frame around the views: where one is, how old what is shown is, and what stands on the side.
import { fill, h } from "./lib/dom.js";
import { guard, here } from "./lib/router.js";
import { live, onOverview } from "./lib/stream.js";
import { brief } from "./lib/format.js";
import { searchBox } from "./components/search-box.js";
import { empty } from "./components/notice.js";
import { account, signIn } from "./components/sign-in.js";
import * as overview from "./views/overview.js";
import * as why from "./views/why.js";
import * as agents from "./views/agents.js";
import * as agent from "./views/agent.js";
import * as streams from "./views/streams.js";
import * as configurations from "./views/configurations.js";
import * as editor from "./views/editor.js";
import * as passing from "./views/live.js";
import * as letters from "./views/dead-letters.js";

/**
 * A view fills the main part of the page, and ends what it has begun when `signal` says so.
 * @typedef {{title: (route: import("./lib/router.js").Route) => string,
 *   show: (main: HTMLElement, route: import("./lib/router.js").Route, signal: AbortSignal) => void}} View
 */

/** @param {string[]} path @returns {View | null} */
function view([place, ...rest]) {
  switch (place) {
    case "": return overview;
    case "why": return why;
    case "agents": return rest.length ? agent : agents;
    case "streams": return streams;
    case "configurations": return rest.length ? editor : configurations;
    case "live": return passing;
    case "dead-letters": return letters;
    default: return null;
  }
}

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
let ended = new AbortController();
let shown = "";

function show(/** @type {boolean} */ first) {
  if (location.hash === shown && !first) return;
  if (guard.unsaved?.() && !confirm("The text is not saved. Leave it?")) {
    history.pushState(null, "", shown);
    return;
  }
  guard.unsaved = null;
  shown = location.hash;
  ended.abort();
  ended = new AbortController();
  const route = here();
  const found = view(route.path);
  for (const place of document.querySelectorAll("[data-place]")) {
    if (place.getAttribute("data-place") === route.path[0]) {
      place.setAttribute("aria-current", "page");
      // On a phone they are a bar that is longer than the screen.
      place.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else place.removeAttribute("aria-current");
  }
  fill(main);
  document.title = `${found?.title(route) ?? "Not here"} · logstash-mesos`;
  if (found) found.show(main, route, ended.signal);
  else fill(main, h("h1", null, "Not here"), empty("The address leads nowhere.", location.hash, h("a", { href: "#/" }, "Overview")));
  window.scrollTo(0, 0);
  if (!first) main.focus({ preventScroll: true });
}

const status = /** @type {HTMLElement} */ (document.getElementById("live"));
const said = /** @type {HTMLElement} */ (document.getElementById("said"));

function age() {
  const { state, words } = live;
  document.body.toggleAttribute("data-lost", state !== "live" && live.age > 10_000);
  const text = state === "live" ? "live" : words;
  if (status.textContent === `●${text}`) return;
  // The seconds are for the eye alone.
  if (status.dataset.state !== state) said.textContent = text;
  status.dataset.state = state;
  fill(status, h("span", { "aria-hidden": "true" }, "●"), h("span", null, text));
}

function tally(/** @type {string} */ name, /** @type {number} */ n, /** @type {string} */ words = "") {
  const place = document.querySelector(`[data-tally=${name}]`);
  if (place) fill(place, brief(n), words && h("span", { class: "unseen" }, ` ${words}`));
  place?.toggleAttribute("hidden", name === "problems" && n === 0);
}

onOverview(new AbortController().signal, overview => {
  tally("problems", overview.problems_total, "problems");
  tally("agents", overview.agents.agents);
  tally("streams", overview.streams.count);
  tally("configurations", overview.configurations.count);
  const { name, master, connected } = overview.framework;
  const rows = [["Framework", name], ["Master", `${master ?? "none"}${connected ? "" : ", not connected"}`], ["Scheduler", overview.url.replace(/^https?:\/\//, "")], ["Version", overview.version]];
  fill(/** @type {Element} */ (document.getElementById("identity")), rows.map(([term, text]) => h("div", null, h("dt", null, term), h("dd", { title: text }, text))));
});

const visitor = /** @type {Element} */ (document.getElementById("account"));
live.addEventListener("viewer", () => account(visitor));
window.addEventListener("stranger", () => signIn(() => {
  live.open();
  // What is being written stays as it is.
  if (!guard.unsaved?.()) show(true);
}));
live.addEventListener("age", age);
setInterval(age, 1000);
searchBox(/** @type {Element} */ (document.getElementById("search")));
document.getElementById("skip")?.addEventListener("click", () => main.focus());
window.addEventListener("hashchange", () => show(false));
window.addEventListener("reopen", () => show(true));
window.addEventListener("beforeunload", event => guard.unsaved?.() && event.preventDefault());
age();
await live.open();
if (!live.viewer.must_sign_in) show(true);
