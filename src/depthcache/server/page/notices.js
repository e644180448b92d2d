/** Notices in a corner of the page, and what is loaded only when it is used. */

import { h } from "./dom.js";
import { Refused } from "./session.js";

const NOTICE_MS = 8_000;

/** Show a notice for some seconds, or until it is closed (`stays`); `action`: the text of a button and what it does. */
export function notify(text, { action, isBad = false, stays = false } = {}) {
  const host = document.getElementById("notices");
  const close = () => {
    const hadFocus = notice.contains(document.activeElement);
    notice.remove();
    if (hadFocus) document.getElementById("main").focus(); // else the next Tab begins at the top of the page
  };
  const button = action && h("button", { onclick: () => (close(), action[1]()) }, action[0]);
  const notice = h("div", { class: isBad ? "notice bad" : "notice" }, h("span", {}, text), button,
    h("button", { class: "icon", "aria-label": "Close", onclick: close }, "✕"));
  host.append(notice);
  while (host.children.length > 4) host.firstChild.remove();
  const timer = () => setTimeout(() => (notice.matches(":hover, :focus-within") ? timer() : close()), NOTICE_MS);
  if (!stays) timer();
}

/** Why something failed, in words. */
export function why(error) {
  return error instanceof Refused ? error.message : "The server does not respond.";
}

/** Why a file of the page cannot be used, in words. */
export const whyNotLoaded = (error) => `A part of this page cannot be loaded: ${error.message}`;

/** Call a function of dialogs.js, which is loaded when it is first used. */
export async function ask(name, ...given) {
  try {
    const dialogs = await import("./dialogs.js");
    return dialogs[name](...given);
  } catch (error) {
    notify(whyNotLoaded(error), { isBad: true });
  }
}

/** Do something when the browser has time for it. */
export const whenIdle = globalThis.requestIdleCallback?.bind(globalThis) ?? ((act) => setTimeout(act, 200));
