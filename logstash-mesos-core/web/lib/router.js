// What is shown is behind the # of the address: it can be sent, Back works, and no proxy has to know of it.

/** @typedef {{path: string[], query: URLSearchParams}} Route */

/** @returns {Route} */
export function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").map(decodeURIComponent), query: new URLSearchParams(query ?? "") };
}

/** @param {string[]} path @param {Record<string, any>} [query] */
export function link(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
}

/** Shows another place. @param {string} to */
export function go(to) {
  location.hash = to;
}

/** Names in the address what the view has come to show, without a step for Back. @param {string} to */
export function rename(to) {
  history.replaceState(null, "", to);
}

/** Whether something would be lost when the view is left. @type {{unsaved: null | (() => boolean)}} */
export const guard = { unsaved: null };
