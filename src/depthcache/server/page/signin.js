/** The form that takes a token; it says why the last one was refused. */

import { h } from "./dom.js";
import { session } from "./session.js";

/** A field for a token, whose text is not shown. */
export function tokenInput(label) {
  return h("input", { type: "password", required: true, autocomplete: "off", spellcheck: "false", "aria-label": label });
}

/** The form. */
export function signIn() {
  const token = tokenInput("Token");
  const problem = h("p", { class: "problem", role: "alert" }, session.problem);
  const form = h("form", { onsubmit: (event) => {
    event.preventDefault();
    const text = token.value;
    token.value = "";
    if (session.keep(text)) session.notify();
    else problem.textContent = session.problem;
  } },
  h("label", {}, h("span", {}, "Token"), token), problem, h("button", { class: "primary" }, "Sign in"));
  return h("section", { class: "signin" }, h("h1", {}, "Sign in"),
    h("p", {}, "Open the link that the server printed when it started, or enter its token. The read token shows books; the admin token can also add and remove them."),
    form,
    h("p", { class: "muted" }, "The token stays in this tab. ", "Programs use ", h("a", { href: "/docs" }, "the API"), ", with the same token."));
}
