// The search at the top: `/` goes there, arrows choose, Enter opens, Esc closes.
import { fill, h, settled } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { go, link } from "../lib/router.js";
import { cut } from "../lib/format.js";
import { stateMark } from "./state-mark.js";

/** @typedef {{href: string, group: string, content: any, names?: string[]}} Hit `names`: what it is exactly called, its id first. */

/** What the scheduler knows by this name. @param {string} q @param {AbortSignal} [signal] @returns {Promise<{hits: Hit[], close: string[]}>} */
export async function find(q, signal) {
  const found = await get("find", { q }, signal);
  const hits = [
    ...found.agents.map((/** @type {any} */ agent) => ({
      group: "Agents", names: [agent.id, agent.name], href: link(["agents", agent.id]), content: [stateMark(agent.state, undefined, true), h("b", null, agent.name), cut(agent.id, "quiet code")],
    })),
    ...found.containers.map((/** @type {any} */ container) => ({
      group: "Containers", names: [container.container_id, container.name], href: link(["why"], { q: container.container_id }),
      content: [h("b", null, container.name), h("span", { class: "quiet" }, container.image), cut(container.container_id, "quiet code")],
    })),
    ...found.paths.map((/** @type {any} */ file) => ({
      group: "Files", href: link(["streams"], { q: `path:${file.path}` }), content: [cut(file.path, "code"), h("span", { class: "quiet" }, file.hostname)],
    })),
    ...found.configurations.map((/** @type {any} */ one) => ({
      group: "Configurations", href: link(["configurations", one.kind, one.name]),
      content: [h("b", null, one.name), h("span", { class: "quiet" }, one.kind === "host" ? "every agent" : "image")],
    })),
  ];
  return { hits, close: found.close };
}

/** @param {Element} place */
export function searchBox(place) {
  const list = h("ul", { id: "hits", role: "listbox", "aria-label": "Found", hidden: true });
  const input = h("input", {
    type: "search", placeholder: "Find a container, image, path, agent, configuration", autocomplete: "off", spellcheck: "false",
    role: "combobox", "aria-label": "Find a container, image, path, agent or configuration", "aria-expanded": "false", "aria-controls": "hits", "aria-autocomplete": "list",
  });
  /** @type {Hit[]} */
  let hits = [];
  let chosen = -1;
  let asked = new AbortController();

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (/** @type {number} */ n) => {
    chosen = n;
    list.querySelectorAll("[role=option]").forEach((/** @type {Element} */ option, /** @type {number} */ at) => option.setAttribute("aria-selected", String(at === n)));
    if (n < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", `hit-${n}`);
    list.querySelector(`#hit-${n}`)?.scrollIntoView({ block: "nearest" });
  };
  const open = (/** @type {string} */ to) => {
    close();
    input.value = "";
    input.blur();
    go(to);
  };
  const look = settled(120, async () => {
    const q = input.value.trim();
    asked.abort();
    if (!q) return close();
    asked = new AbortController();
    let close_names = [];
    try {
      ({ hits, close: close_names } = await find(q, asked.signal));
    } catch (error) {
      if (/** @type {Error} */ (error).name === "AbortError") return;
      hits = [];
      fill(list, h("li", { role: "presentation", class: "none" }, /** @type {Error} */ (error).message));
      list.hidden = false;
      return;
    }
    let group = "";
    fill(list, hits.map((hit, n) => {
      const head = hit.group !== group && h("li", { role: "presentation", class: "group" }, group = hit.group);
      return [head, h("li", { role: "option", id: `hit-${n}`, "aria-selected": "false", onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); open(hit.href); } }, hit.content)];
    }), !hits.length && h("li", { role: "presentation", class: "none" }, `Nothing is called “${q}”. `, close_names.length > 0 && `Close: ${close_names.join(", ")}`));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    choose(hits.length ? 0 : -1);
  });

  input.addEventListener("input", look);
  input.addEventListener("focus", () => input.value && look());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && hits.length) choose((chosen + step + hits.length) % hits.length);
    else if (event.key === "Enter" && input.value.trim()) open(hits[chosen]?.href ?? link(["why"], { q: input.value.trim() }));
    else if (event.key === "Escape") { input.value = ""; close(); input.blur(); }
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", event => {
    const target = /** @type {Element} */ (event.target);
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || target.matches("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
  place.append(input, h("kbd", { "aria-hidden": "true" }, "/"), list);
}
