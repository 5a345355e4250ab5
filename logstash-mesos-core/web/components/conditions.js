// Further conditions for the containers of a configuration, as one line: `label.app=web, framework=marathon`.
import { h } from "../lib/dom.js";

const KEYS = /^(label\..+|container_name|image|framework|agent_id|executor_id|task_id)$/;

/** @param {string} text @returns {Record<string, string>} */
export function conditions(text) {
  const pairs = text.split(",").map(pair => pair.trim()).filter(Boolean).map(pair => {
    const at = pair.indexOf("=");
    return at < 0 ? [pair, ""] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
  });
  return Object.fromEntries(pairs);
}

/** @param {Record<string, string>} match */
export const conditionsText = match => Object.entries(match).map(([key, value]) => `${key}=${value}`).join(", ");

/** @param {Record<string, string>} match @param {boolean} managed */
export function conditionsField(match, managed) {
  const was = conditionsText(match);
  const input = h("input", { id: "match", type: "text", value: was, readonly: managed, placeholder: "any; or label.app=web, framework=marathon", autocomplete: "off", spellcheck: "false" });
  const problem = () => {
    const wrong = Object.entries(conditions(input.value)).find(([key, value]) => !KEYS.test(key) || !value);
    return wrong ? `“${wrong[0]}” is no condition. Write label.NAME=VALUE, or container_name, image, framework, agent_id, executor_id or task_id in place of label.NAME; commas between them.` : "";
  };
  return { input, was, problem };
}
