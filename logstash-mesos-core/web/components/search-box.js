// The search at the top: `/` goes there.
import { h } from "../lib/dom.js";
import { get } from "../lib/api.js";
import { go, link } from "../lib/router.js";
import { cut } from "../lib/format.js";
import { combobox } from "./combobox.js";
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
  const list = h("ul", { id: "hits", "aria-label": "Found" });
  const input = h("input", { type: "search", placeholder: "Find a container, image, path, agent, configuration", "aria-label": "Find a container, image, path, agent or configuration" });
  const open = (/** @type {string} */ to) => {
    input.blur();
    go(to);
  };
  combobox(input, list, {
    find: async (q, signal) => {
      const { hits, close } = await find(q, signal);
      const options = hits.map(({ group, content, href }) => ({ group, content, take: () => open(href) }));
      return { options, none: [`Nothing is called “${q}”. `, close.length > 0 && `Close: ${close.join(", ")}`] };
    },
    enter: q => open(link(["why"], { q })),
    escape: () => input.blur(),
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
