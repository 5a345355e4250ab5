// A field with a list below it: what is typed is looked for, arrows choose, Enter takes, Esc closes.
import { fill, h, settled } from "../lib/dom.js";

/** @typedef {{group?: string, content: any, take: () => void}} Option */

/**
 * @param {any} input @param {any} list It has an id.
 * @param {{
 *   find: (q: string, signal: AbortSignal) => Promise<{options: Option[], none: any}>,
 *   offers?: boolean, enter?: (q: string) => void, escape?: () => void,
 * }} ways `offers`: something is found before anything is typed. `enter`: what Enter does where nothing is chosen.
 */
export function combobox(input, list, { find, offers = false, enter, escape }) {
  /** @type {Option[]} */
  let options = [];
  let chosen = -1;
  let asked = new AbortController();
  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false" })) input.setAttribute(name, value);
  list.setAttribute("role", "listbox");
  list.classList.add("hits-below");
  list.hidden = true;

  const close = () => {
    asked.abort();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    chosen = -1;
    options = [];
  };
  const choose = (/** @type {number} */ n) => {
    chosen = n;
    list.querySelectorAll("[role=option]").forEach((/** @type {Element} */ option, /** @type {number} */ at) => option.setAttribute("aria-selected", String(at === n)));
    if (n < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", `${list.id}-${n}`);
    document.getElementById(`${list.id}-${n}`)?.scrollIntoView({ block: "nearest" });
  };
  const take = (/** @type {() => void} */ act) => {
    close();
    input.value = "";
    act();
  };
  const none = (/** @type {any} */ content) => h("li", { role: "presentation", class: "none" }, content);
  const show = (/** @type {any[]} */ ...items) => {
    fill(list, items);
    list.hidden = false;
  };
  const look = async () => {
    const q = input.value.trim();
    asked.abort();
    if (!q && !offers) return close();
    const mine = asked = new AbortController();
    let found;
    try {
      found = await find(q, mine.signal);
    } catch (error) {
      options = [];
      if (!mine.signal.aborted) show(none(/** @type {Error} */ (error).message));
      return;
    }
    if (mine.signal.aborted) return;
    options = found.options;
    let group = "";
    show(options.map((option, n) => [option.group && option.group !== group && h("li", { role: "presentation", class: "group" }, group = option.group),
      h("li", { role: "option", id: `${list.id}-${n}`, "aria-selected": "false", onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); take(option.take); } }, option.content)]),
    !options.length && none(found.none));
    input.setAttribute("aria-expanded", "true");
    choose(options.length ? 0 : -1);
  };

  input.addEventListener("input", settled(120, look));
  input.addEventListener("focus", () => (offers || input.value) && look());
  input.addEventListener("click", () => list.hidden && (offers || input.value) && look());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) choose((chosen + step + options.length) % options.length);
    else if (step && offers) look();
    else if (event.key === "Enter" && options[chosen]) take(options[chosen].take);
    else if (event.key === "Enter" && enter && input.value.trim()) { const q = input.value.trim(); take(() => enter(q)); }
    else if (event.key === "Enter") return event.preventDefault();
    else if (event.key === "Escape") { input.value = ""; close(); escape?.(); }
    else return;
    event.preventDefault();
  });
}
