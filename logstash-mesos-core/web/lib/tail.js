// Events as they pass: the API's stream, for as long as somebody looks.
import { Refused, search } from "./api.js";

/**
 * Tells what comes until the stream ends, or `signal` says to stop. An EventSource would not say why it was refused.
 * @param {string} path @param {Record<string, any>} query @param {AbortSignal} signal @param {(name: string, data: any) => void} tell
 */
export async function listen(path, query, signal, tell) {
  const answer = await fetch(`api/${path}${search(query)}`, { signal, headers: { accept: "text/event-stream" } });
  if (!answer.ok || !answer.body) {
    const text = await answer.text();
    let said = null;
    try { said = JSON.parse(text).error; } catch { /* a proxy's page, mostly */ }
    if (answer.status === 401) window.dispatchEvent(new Event("stranger"));
    throw new Refused(answer.status, null, said ?? `${answer.status} ${answer.statusText}`);
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let begun = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (begun + value).split("\n\n");
    begun = blocks.pop() ?? "";
    for (const block of blocks) {
      const given = (/** @type {string} */ field) => block.split("\n").filter(line => line.startsWith(`${field}:`)).map(line => line.slice(field.length + 1).trimStart()).join("");
      if (given("data")) tell(given("event"), JSON.parse(given("data")));
    }
  }
}
