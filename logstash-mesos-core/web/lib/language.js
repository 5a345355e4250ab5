// Colours for Logstash configurations while they are typed. What is right and wrong in them the engine says.

/** One token each, in order of preference; what none takes is plain. @type {[string, RegExp][]} */
const TOKENS = [
  ["comment", /#.*/y],
  ["string", /"(?:\\[^]|[^"\\])*(?:"|$)|'(?:\\[^]|[^'\\])*(?:'|$)/y],
  ["section", /(?:input|filter|output)(?=\s*\{)/y],
  ["keyword", /(?:if|else|and|or|xor|nand|not|in)\b/y],
  ["field", /\[[^\][,\s"'={}]+\](?:\[[^\][\s]+\])*/y],
  ["setting", /[A-Za-z_][\w-]*(?=\s*=>)/y],
  ["plugin", /[A-Za-z_][\w-]*(?=\s*\{)/y],
  ["constant", /(?:true|false)\b|-?\d+(?:\.\d+)?\b/y],
  ["operator", /=>|==|!=|=~|!~|<=|>=|[<>{}[\],]/y],
  ["", /[\w-]+|\s+|[^]/y],
];
/** What a string takes from elsewhere. */
const REFERENCE = /%\{[^}]*\}|\$\{[^}]*\}/g;

/** @param {string} text @returns {{kind: string, text: string}[]} */
export function tokens(text) {
  /** @type {{kind: string, text: string}[]} */
  const found = [];
  for (let at = 0; at < text.length;) {
    for (const [kind, pattern] of TOKENS) {
      pattern.lastIndex = at;
      const taken = pattern.exec(text)?.[0];
      if (!taken) continue;
      if (kind === "string") found.push(...references(taken));
      else found.push({ kind, text: taken });
      at += taken.length;
      break;
    }
  }
  return found;
}

/** @param {string} text */
function references(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(REFERENCE)) {
    found.push({ kind: "string", text: text.slice(at, match.index) }, { kind: "reference", text: match[0] });
    at = match.index + match[0].length;
  }
  return [...found, { kind: "string", text: text.slice(at) }];
}

/** Tokens line by line. @param {string} text @returns {{kind: string, text: string}[][]} */
export function lines(text) {
  /** @type {{kind: string, text: string}[][]} */
  const all = [[]];
  for (const token of tokens(text)) {
    token.text.split("\n").forEach((part, n) => {
      if (n > 0) all.push([]);
      if (part) all[all.length - 1].push({ kind: token.kind, text: part });
    });
  }
  return all;
}
