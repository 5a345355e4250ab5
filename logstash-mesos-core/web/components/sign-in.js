// Who is at the console: a name and a password that the scheduler asks for, and who has signed in.
import { fill, h } from "../lib/dom.js";
import { Refused, send } from "../lib/api.js";
import { live } from "../lib/stream.js";

/** @type {HTMLDialogElement | null} */
let open = null;

/** Covers the page until somebody has signed in; what was written there stays. @param {() => void} done */
export function signIn(done) {
  if (open) return;
  const name = h("input", { type: "text", id: "who", name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true });
  const password = h("input", { type: "password", id: "password", name: "password", autocomplete: "current-password", required: true });
  const problem = h("p", { class: "bad", role: "alert" });
  const go = h("button", { type: "submit", class: "primary" }, "Sign in");
  const form = h("form", {
    onsubmit: async (/** @type {Event} */ event) => {
      event.preventDefault();
      go.disabled = true;
      fill(problem);
      try {
        await send("POST", "session", undefined, { headers: { authorization: basic(name.value, password.value) } });
        open = null;
        dialog.remove();
        done();
      } catch (error) {
        const wrong = error instanceof Refused && error.status === 401;
        fill(problem, wrong ? "Name or password is not right." : /** @type {Error} */ (error).message);
        go.disabled = false;
        password.select();
        password.focus();
      }
    },
  }, h("div", { class: "brand" }, h("img", { src: "icon.svg", alt: "", width: 36, height: 36 }), h("h1", { id: "sign-in" }, "Sign in", h("small", null, "logstash on Mesos"))),
  h("label", { for: "who" }, "Name"), name,
  h("label", { for: "password" }, "Password"), password,
  problem, go,
  h("p", { class: "quiet" }, "Who may come in stands in the file of the scheduler's ", h("code", null, "--auth-file"), "."));
  // Esc leads nowhere: there is nothing behind it to see. Where a browser closes it all the same, it opens again.
  const dialog = h("dialog", { class: "sign-in", "aria-labelledby": "sign-in", closedby: "none", onclose: () => open === dialog && dialog.showModal() }, form);
  open = dialog;
  document.body.append(dialog);
  dialog.showModal();
  name.focus();
}

/** Who has signed in, with the way out. @param {Element} place */
export function account(place) {
  const { name, role, signed_in } = live.viewer;
  fill(place, name && h("span", { class: "line" }, h("b", null, name), h("span", { class: "quiet" }, ` ${role}`)),
    signed_in && h("button", { type: "button", onclick: signOut }, "Sign out"));
}

async function signOut() {
  await send("DELETE", "session");
  // Nothing of what was shown stays.
  location.reload();
}

/** As HTTP has it. @param {string} name @param {string} password */
function basic(name, password) {
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${name}:${password}`)))}`;
}
