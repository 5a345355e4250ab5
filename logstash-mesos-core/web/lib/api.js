// Requests to the scheduler that serves this page. Paths are relative, so that a proxy may put the page anywhere.

/** What the scheduler said in place of an answer. */
export class Refused extends Error {
  /** @param {number} status @param {any} body @param {string} text */
  constructor(status, body, text) {
    super(text);
    this.status = status;
    this.body = body;
  }
}

/**
 * @param {string} method @param {string} path @param {any} [body]
 * @param {{signal?: AbortSignal, headers?: Record<string, string>}} [options]
 * @returns {Promise<any>}
 */
export async function send(method, path, body, options = {}) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...options.headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: options.signal,
    });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new Refused(0, null, "The scheduler does not answer. The page goes on when it does.");
  }
  const text = await answer.text();
  let json = null;
  try { json = JSON.parse(text); } catch { /* a proxy's page, mostly */ }
  if (answer.ok) return json;
  if (answer.status === 401) window.dispatchEvent(new Event("stranger"));
  throw new Refused(answer.status, json, json?.error ?? `${answer.status} ${answer.statusText}: ${text.slice(0, 200)}`);
}

/** What stands behind the path: `?` and what is given of `query`. @param {Record<string, any>} query */
export function search(query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

/** @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal] */
export const get = (path, query = {}, signal) => send("GET", path + search(query), undefined, { signal });

/** Where a configuration is. */
export function configurationPath(/** @type {string} */ kind, /** @type {string} */ name) {
  return kind === "host" ? `host-config?name=${encodeURIComponent(name)}` : `configs/${encodeURIComponent(name)}`;
}
