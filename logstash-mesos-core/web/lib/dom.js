// Elements are made here and nowhere else: whatever comes from outside becomes text, never markup.

const SVG = new Set(["svg", "path", "line", "circle", "rect", "g", "polyline", "text", "title"]);

/**
 * Makes an element. `on…` are listeners, `null` and `false` leave an attribute out, `true` sets it empty.
 * @param {string} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...any} children  Nodes, text, numbers; lists of them; `null` is nothing.
 * @returns {any}
 */
export function h(tag, attributes, ...children) {
  const element = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" && "value" in element) /** @type {any} */ (element).value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

/** @param {any[]} children @returns {(Node | string)[]} */
function flat(children) {
  return children.flat(9).filter(child => child !== null && child !== undefined && child !== false)
    .map(child => child instanceof Node ? child : String(child));
}

/** Puts these children in place of those that an element has. */
export function fill(/** @type {Element} */ element, /** @type {any[]} */ ...children) {
  element.replaceChildren(...flat(children));
}

/** Calls `act` once nothing has asked for it for `ms`. @param {number} ms @param {(...given: any[]) => void} act */
export function settled(ms, act) {
  let timer = 0;
  return (/** @type {any[]} */ ...given) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => act(...given), ms);
  };
}
