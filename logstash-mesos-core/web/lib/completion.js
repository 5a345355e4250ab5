// What may stand at a place of a configuration, and what stands there, by the tables of the engine.
import { tokens } from "./language.js";

/** @typedef {{name: string, takes: string, codec: boolean, choices: string[], required: boolean, deprecated: string | null, doc: string}} Setting */
/** @typedef {{kind: string, name: string, doc: string, settings: Setting[]}} Plugin */
/** @typedef {{label: string, doc: string, insert: string}} Offer */
/** @typedef {{kind: string, name: string}} Frame What a brace belongs to. */

/** The braces that are open at the end of `text`, and the setting whose value is being written. @param {string} text */
function around(text) {
  /** @type {Frame[]} */
  const open = [];
  /** @type {Frame} */
  let pending = { kind: "value", name: "" };
  let setting = "", inside = "";
  for (const token of tokens(text)) {
    inside = token.kind;
    if (token.kind === "section" || token.kind === "plugin") pending = { kind: token.kind, name: token.text };
    else if (token.text === "if" || token.text === "else") pending = { kind: "if", name: "" };
    else if (token.kind === "setting") setting = token.text;
    else if (token.text === "{") {
      open.push(pending);
      pending = { kind: "value", name: "" };
      setting = "";
    } else if (token.text === "}") {
      open.pop();
      setting = "";
    } else if (setting && (token.kind === "string" || token.kind === "constant" || token.text === "]")) setting = "";
  }
  // A string that is not closed is one still.
  const quoted = inside === "comment" || (inside === "string" && !/^(["'])(?:\\[^]|(?!\1)[^\\])*\1$/.test(tokens(text).filter(token => token.kind === "string").at(-1)?.text ?? ""));
  return { open, setting, quoted };
}

/** The plugin that the innermost brace belongs to, and the section around it. @param {Frame[]} open @param {Plugin[]} plugins */
function within(open, plugins) {
  const section = open.find(frame => frame.kind === "section")?.name ?? "";
  const inner = open.at(-1);
  const plugin = inner?.kind === "plugin"
    ? plugins.find(one => one.name === inner.name && one.kind === (open.filter(frame => frame.kind === "plugin").length > 1 ? "codec" : section)) ?? null : null;
  return { section, inner, plugin };
}

/**
 * What may be written at `at`, and from where on it takes the place of what is there.
 * @param {string} text @param {number} at @param {Plugin[]} plugins
 * @returns {{from: number, offers: Offer[]}}
 */
export function complete(text, at, plugins) {
  const word = /[A-Za-z_][\w-]*$/.exec(text.slice(0, at))?.[0] ?? "";
  const from = at - word.length;
  const { open, setting, quoted } = around(text.slice(0, from));
  if (quoted) return { from, offers: [] };
  const { section, inner, plugin } = within(open, plugins);
  /** @type {Offer[]} */
  let offers = [];
  if (!inner) offers = ["input", "filter", "output"].map(name => ({ label: name, doc: SECTIONS[name], insert: `${name} {\n  \n}` }));
  else if (inner.kind === "section" || inner.kind === "if") {
    offers = plugins.filter(one => one.kind === section).map(one => ({ label: one.name, doc: one.doc, insert: `${one.name} { ${one.settings.filter(need => need.required).map(need => `${need.name} =>  `).slice(0, 1).join("")}}` }));
    if (section !== "input") offers.push({ label: "if", doc: "Only events for which this holds.", insert: "if [field] == \"value\" {\n  \n}" });
  } else if (plugin && setting) offers = values(plugin, setting, plugins);
  else if (plugin) {
    const given = new Set(tokens(text.slice(0, from)).filter(token => token.kind === "setting").map(token => token.text));
    offers = plugin.settings.filter(one => !one.deprecated).map(one => ({ label: one.name, doc: describeSetting(one), insert: `${one.name} => ${one.takes === "hash" ? "{ }" : one.takes === "array" ? "[ ]" : ""}` }))
      .sort((a, b) => Number(given.has(a.label)) - Number(given.has(b.label)) || a.label.localeCompare(b.label));
  }
  const low = word.toLowerCase();
  const begins = offers.filter(offer => offer.label.startsWith(low)), holds = offers.filter(offer => !offer.label.startsWith(low) && offer.label.includes(low));
  return { from, offers: [...begins, ...holds].filter(offer => offer.label !== word) };
}

/** @param {Plugin} plugin @param {string} setting @param {Plugin[]} plugins @returns {Offer[]} */
function values(plugin, setting, plugins) {
  const known = plugin.settings.find(one => one.name === setting);
  if (!known) return [];
  if (known.codec) return plugins.filter(one => one.kind === "codec").map(one => ({ label: one.name, doc: one.doc, insert: one.name }));
  return known.choices.map(choice => ({ label: choice, doc: known.doc, insert: /^(true|false)$/.test(choice) ? choice : `"${choice}"` }));
}

/** What stands at `at`, explained; nothing of what is not known. @param {string} text @param {number} at @param {Plugin[]} plugins */
export function explain(text, at, plugins) {
  const before = /[A-Za-z_][\w-]*$/.exec(text.slice(0, at))?.[0] ?? "";
  const word = before + (/^[\w-]*/.exec(text.slice(at))?.[0] ?? "");
  const { open, setting, quoted } = around(text.slice(0, at - before.length));
  const { section, inner, plugin } = within(open, plugins);
  if (!quoted && word && (inner?.kind === "section" || inner?.kind === "if")) {
    const named = plugins.find(one => one.kind === section && one.name === word);
    if (named) return `${section} \`${word}\`: ${named.doc}`;
  }
  const known = plugin?.settings.find(one => one.name === (setting || word));
  return plugin && known ? `\`${plugin.name}\`, \`${known.name}\`: ${describeSetting(known)}` : plugin ? `${plugin.kind} \`${plugin.name}\`: ${plugin.doc}` : "";
}

/** @param {Setting} one */
function describeSetting(one) {
  return `${one.doc} (${one.takes}${one.required ? ", required" : ""})${one.deprecated ? `; deprecated: ${one.deprecated}` : ""}`;
}

/** @type {Record<string, string>} */
const SECTIONS = { input: "What is read.", filter: "What is made of it.", output: "Where it goes; without it, where the scheduler says." };
