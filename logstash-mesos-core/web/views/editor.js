// One configuration: written, checked while it is typed, tried on lines, compared, saved.
import { fill, h, settled } from "../lib/dom.js";
import { Refused, configurationPath, get, send } from "../lib/api.js";
import { many } from "../lib/format.js";
import { go, guard, link } from "../lib/router.js";
import { live } from "../lib/stream.js";
import { loading, toast } from "../components/notice.js";
import { ask } from "../components/dialog.js";
import { lineDiff } from "../components/line-diff.js";
import { problemPane } from "../components/problem-pane.js";
import { stateMark } from "../components/state-mark.js";
import { tryPane } from "../components/try-pane.js";
import { versionList } from "../components/version-list.js";
import { conditions, conditionsField, conditionsText } from "../components/conditions.js";
import "../components/code-editor.js";

/** @param {import("../lib/router.js").Route} route */
export const title = route => route.path[2] || "New configuration";

/** @typedef {{kind: string, name: string, input: string, match: Record<string, string>, version: string | null, source: string, status: any}} Stored */

/** @param {HTMLElement} main @param {import("../lib/router.js").Route} route @param {AbortSignal} signal */
export function show(main, route, signal) {
  const [, kind, name = ""] = route.path;
  const page = h("div");
  fill(main, h("p", { class: "crumbs" }, h("a", { href: "#/configurations" }, "Configurations"), " / "), page);
  loading(page, 12, async () => editor(name ? await stored(kind, name, signal) : { kind, name, input: "", match: {}, version: null, source: "rest", status: null }, signal));
}

/** @param {string} kind @param {string} name @param {AbortSignal} signal @returns {Promise<Stored>} */
async function stored(kind, name, signal) {
  const { configurations } = await get("status", { limit: 1 }, signal);
  const status = configurations.find((/** @type {any} */ one) => one.kind === kind && one.name === name);
  // Only what a file was meant to be has a place in the list and no text.
  if (!status?.version && !status) throw new Error(`There is no configuration \`${name}\` any more.`);
  const text = status.version ? await send("GET", configurationPath(kind, name), undefined, { signal }) : { input: "" };
  return { kind, name, input: text.input, match: text.match ?? {}, version: status.version || null, source: status.source, status };
}

/** @param {Stored} was @param {AbortSignal} signal */
function editor(was, signal) {
  const fresh = !was.name;
  const managed = was.source === "directory";
  // Who may not write may not have the engine at work either.
  const locked = managed || !live.viewer.may_write;
  const kind = h("select", { id: "kind", disabled: !fresh }, h("option", { value: "docker", selected: was.kind !== "host" }, "containers of the image"), h("option", { value: "host", selected: was.kind === "host" }, "every agent, once"));
  const name = h("input", { id: "name", type: "text", value: was.name, readonly: !fresh, placeholder: "nginx:1.27, library/*", autocomplete: "off", spellcheck: "false" });
  const match = conditionsField(was.match, locked);
  const code = h("code-editor", { area: "code", label: "Logstash configuration", describedby: "complaints" });
  const problems = problemPane((line, column) => code.goTo(line, column));
  const trial = tryPane(was, () => check(), signal);
  const save = h("button", { type: "submit", class: "primary" }, fresh ? "Look over and save" : "Compare and save");
  const discard = h("button", { type: "button", onclick: () => { code.value = was.input; match.input.value = match.was; check(); } }, "Discard");
  const said = h("p", { class: "bad", role: "alert" });

  const isChanged = () => code.value !== was.input || match.input.value !== match.was;
  const changed = () => {
    save.disabled = locked || (!fresh && !isChanged());
    discard.hidden = fresh || locked || !isChanged();
  };
  guard.unsaved = () => !locked && isChanged() && !(fresh && !code.value.trim());

  let asked = 0;
  const look = async () => {
    changed();
    if (!live.viewer.may_write) return problems.say("Not checked: this console may only look.");
    const mine = ++asked;
    const { diagnostics } = code.value.trim()
      ? await send("POST", "check", { name: name.value || "new", kind: kind.value, input: code.value }, { signal }) : { diagnostics: [] };
    if (mine !== asked) return;
    code.complain(diagnostics);
    if (code.value.trim()) problems.show(diagnostics);
    else problems.say("Nothing is written yet.");
    await trial.run(code.value, diagnostics.some((/** @type {any} */ one) => one.severity === "error"));
  };
  const check = () => look().catch(error => signal.aborted || fill(said, error.message));
  const soon = settled(250, check);
  code.addEventListener("input", () => { fill(said); changed(); soon(); });
  match.input.addEventListener("input", changed);

  const form = h("form", {
    class: "editor",
    onsubmit: async (/** @type {Event} */ event) => {
      event.preventDefault();
      fill(said);
      const problem = fresh && !name.value.trim() ? "Name it first: after the image whose containers it reads." : match.problem();
      if (problem) return fill(said, problem);
      await saved();
    },
  },
  h("div", { class: "naming" },
    h("label", { for: "kind" }, "Applies to"), kind, h("label", { for: "name" }, "Name"), name,
    fresh || was.kind === "docker" ? [h("label", { for: "match" }, "Only where"), match.input] : null),
  h("div", { class: "panes" },
    h("section", { class: "pane", "aria-labelledby": "is-code" }, h("h2", { id: "is-code" }, "Configuration", fresh && examples(example => {
      code.value = example.input;
      if (!name.value) name.value = example.name;
      trial.lines(example.lines);
      check();
    }, signal)), code, problems.element),
    trial.element),
  said,
  h("div", { class: "actions" }, locked ? h("p", { class: "quiet" }, managed ? "A file manages this configuration. Change it in the directory that --config-dir names." : live.viewer.why_not) : [save, discard],
    !fresh && !locked && h("button", { type: "button", class: "danger quietly", onclick: remove }, "Delete")));

  async function saved() {
    const now = { kind: kind.value, name: name.value.trim(), input: code.value, match: conditions(match.input.value) };
    /** @type {any} */
    let answer = null;
    const done = await ask({
      title: fresh ? `Save ${now.name}?` : `Save this as the next version of ${now.name}?`, action: "Save", wide: true,
      content: [lineDiff(was.input, now.input), match.input.value !== match.was && h("p", null, "Only where: ", h("del", null, match.was || "any container"), " → ", h("ins", null, match.input.value || "any container")),
        h("p", { class: "quiet" }, now.kind === "host" ? "Every agent takes it over at once, without a restart." : `Every agent with containers of the image takes it over at once, without a restart${was.status ? `: ${many(was.status.streams, "stream")} at the moment` : ""}.`)],
      act: async () => {
        const body = now.kind === "host" ? { input: now.input } : { input: now.input, match: now.match };
        // Nobody's work is overwritten unseen.
        /** @type {Record<string, string>} */
        const headers = was.version ? { "if-match": `"${was.version}"` } : { "if-none-match": "*" };
        try {
          answer = await send("PUT", configurationPath(now.kind, now.name), body, { headers });
        } catch (error) {
          if (!(error instanceof Refused) || error.status !== 412) throw error;
          throw new Error(was.version ? "Somebody has saved another version since this one was opened. Copy your text, open the configuration again and compare."
            : `There is a configuration ${now.name} already. Open it, or choose another name.`);
        }
      },
    });
    if (!done) return;
    guard.unsaved = null;
    toast(`Saved ${now.name} as version ${answer.version}.`);
    const to = link(["configurations", now.kind, now.name]);
    if (location.hash === to) window.dispatchEvent(new CustomEvent("reopen"));
    else go(to);
  }

  async function remove() {
    const { streams, agents } = was.status;
    const done = await ask({
      title: `Delete ${was.name}?`, action: `Delete ${was.name}`, danger: true,
      content: h("p", null, streams ? `${many(streams, "stream")} on ${many(agents, "agent")} ${streams === 1 ? "stops" : "stop"}, unless another configuration reads them too. ` : "Nothing is read by it at the moment. ",
        "Positions are kept: written again, it goes on where it was."),
      act: () => was.kind === "host" ? send("PUT", configurationPath("host", was.name), { input: "" }) : send("DELETE", configurationPath("docker", was.name)),
    });
    if (!done) return;
    guard.unsaved = null;
    toast(`Deleted ${was.name}.`);
    go("#/configurations");
  }

  get("plugins", {}, signal).then(answer => { code.plugins = answer.plugins; }).catch(error => signal.aborted || fill(said, error.message));
  code.value = was.input;
  code.readOnly = locked;
  check();
  document.addEventListener("keydown", event => {
    if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (!save.disabled && !document.querySelector("dialog")) form.requestSubmit();
  }, { signal });
  const head = h("div");
  fill(head, headline(was));
  // How it does is kept up to date; the text is the person's.
  const timer = setInterval(async () => {
    if (fresh || document.hidden) return;
    const { configurations } = await get("status", { limit: 1 }, signal).catch(() => ({ configurations: [] }));
    const now = configurations.find((/** @type {any} */ one) => one.kind === was.kind && one.name === was.name);
    if (!now || JSON.stringify(now) === JSON.stringify(was.status)) return;
    was.status = now;
    fill(head, headline(was));
  }, 3000);
  signal.addEventListener("abort", () => clearInterval(timer));
  return [head, form, !fresh && versionList(was, () => code.value, locked ? null : then => {
    code.value = then.input;
    if (was.kind === "docker") match.input.value = conditionsText(then.match);
    check();
  }, signal)];
}

/** Its name and how it does. @param {Stored} was */
function headline({ name, version, source, status, kind }) {
  return [h("div", { class: "headline" }, h("h1", null, name || "New configuration"), status && state(status, kind), version && h("span", { class: "quiet" }, "version ", h("span", { class: "code" }, version)),
    source === "directory" && h("span", { class: "quiet" }, "from a file"), status?.version && version !== status.version && h("span", { class: "care" }, `◆ version ${status.version} has been saved since`),
    status && h("a", { href: link(["streams"], { q: `configuration:${name}` }) }, `${many(status.streams, "stream")} on ${many(status.agents, "agent")}`), status && h("a", { href: link(["live"], { configuration: `${kind}/${name}` }) }, "Its events")),
  status?.error && h("p", { class: "bad block" }, status.error)];
}

/** @param {any} status @param {string} kind */
function state(status, kind) {
  if (status.error) return stateMark("problem", "refused");
  return status.streams || kind === "host" ? stateMark("ok", "in use") : stateMark("unknown", "matches none");
}

/** Where one may begin. @param {(example: any) => void} take @param {AbortSignal} signal */
function examples(take, signal) {
  const choice = h("select", { "aria-label": "Begin with an example", class: "examples" }, h("option", { value: "" }, "Begin with…"));
  fetch("examples.json", { signal }).then(answer => answer.json()).then(all => {
    choice.append(...all.map((/** @type {any} */ one, /** @type {number} */ n) => h("option", { value: n }, one.title)));
    choice.addEventListener("change", () => choice.value && take({ ...all[choice.value], input: all[choice.value].input.join("\n"), lines: all[choice.value].lines.join("\n") }));
  }).catch(() => choice.remove());
  return choice;
}
