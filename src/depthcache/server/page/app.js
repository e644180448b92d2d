/** The page: header, state line, the views by address, and the one loop that draws. */

import { session } from "./session.js"; // first: it takes the token out of the address bar
import { clock, h, setAttribute, setText } from "./dom.js";
import { frames } from "./frames.js";
import { ask, whyNotLoaded } from "./notices.js";
import { server } from "./server.js";
import { stream } from "./stream.js";
import { theme } from "./theme.js";

const LINE_MS = 250;
const SHORTCUTS = "/ filter · ↑ ↓ move · Enter open · Esc back · t theme";

/** Views are loaded when they are first shown. */
const VIEWS = {
  "": () => import("./table.js"),
  books: () => import("./bookview.js"),
  snippets: () => import("./snippets.js"),
  about: () => import("./about.js"),
};

if (server.isNode) {
  VIEWS.cluster = () => import("./cluster.js");
  import("./others.js").catch(() => {});
}

class Page {
  constructor() {
    this.main = document.getElementById("main");
    this.view = this.table = null;
    this.build();
    addEventListener("hashchange", () => this.go());
    addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => (this.view?.resize?.(), frames.wake())).observe(this.main);
    session.onChange(() => this.enter());
    stream.onChange(() => this.onStream());
    theme.onChange(() => (this.renderTheme(), frames.wake()));
    this.enter();
    frames.start((nowMs) => this.frame(nowMs));
  }

  /** The header is in index.html. */
  build() {
    const found = (selector) => document.querySelector(`#top ${selector}`);
    const button = (name, does) => {
      const made = found(`[data-does=${name}]`);
      made.addEventListener("click", does);
      return made;
    };
    this.nav = found("nav");
    this.look = button("theme", () => this.nextTheme());
    this.lock = button("manage", () => (session.hasAdmin ? session.lock() : ask("askForAdmin")));
    this.out = button("leave", () => (session.forget(), session.notify()));
    this.now = button("retry", () => stream.retry());
    this.line = found(".stateline");
    this.connection = found(".connection");
    this.live = found("[role=status]");
    this.renderTheme();
  }

  // --- session ----------------------------------------------------------------------------------------------------

  /** The token or its role has changed. */
  enter() {
    const isIn = session.hasToken;
    for (const each of [this.nav, this.lock, this.out, this.line]) each.hidden = !isIn;
    if (!isIn) {
      stream.stop();
      this.show(null);
      this.at = null; // a view that is on its way must not cover the form
      this.table?.forget();
      this.askForToken();
      return;
    }
    this.lock.hidden = session.role === "manage";
    setText(this.lock.lastChild, session.hasAdmin ? "Stop managing" : "Manage …");
    this.table?.manage();
    if (this.view !== this.table) this.view?.manage?.();
    if (session.role === null) stream.open();
    this.go();
  }

  async askForToken() {
    try {
      const { signIn } = await import("./signin.js");
      if (session.hasToken) return;
      this.main.replaceChildren(signIn());
      this.main.querySelector("input").focus();
    } catch (error) {
      this.refuse(error);
    }
  }

  // --- views ------------------------------------------------------------------------------------------------------

  go() {
    if (!session.hasToken) return;
    const [, name = "", ...rest] = location.hash.split("/");
    const [exchange, symbol] = rest.map(decoded);
    if (this.at === location.hash) return;
    this.at = location.hash;
    const isKnown = name in VIEWS && (name !== "books" || symbol);
    this.load(isKnown ? name : "", exchange, symbol);
    const current = name === "books" || !isKnown ? "" : name;
    for (const tab of this.nav.children) {
      const isCurrent = tab.getAttribute("href") === `#/${current}`;
      if (isCurrent) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
  }

  async load(name, exchange, symbol) {
    const { at } = this;
    try {
      const found = await VIEWS[name]();
      if (this.at !== at) return;
      const View = found.BookView ?? found.SnippetsView ?? found.AboutView;
      if (View) this.show(new View(exchange, symbol));
      else if (name) found.showCluster(this, exchange);
      else this.show((this.table ??= found.makeTable(this)));
    } catch (error) {
      if (this.at === at) this.refuse(error);
    }
  }

  /** A file of the page is missing. While the server is away that is no wonder; else browsers may keep the failure. */
  refuse(error) {
    this.show(null);
    this.at = null;
    this.isRefused = true;
    const again = h("button", { class: "primary", onclick: () => location.reload() }, "Reload");
    this.main.replaceChildren(h("section", { class: "signin" }, h("p", { class: "problem", role: "alert" }, whyNotLoaded(error)), stream.isOpen && again));
  }

  onStream() {
    this.renderStateLine(true);
    if (!stream.isOpen || !this.isRefused) return;
    this.isRefused = false;
    this.go();
  }

  show(view) {
    if (view === this.view) return;
    this.view?.hide?.();
    const hadView = this.view !== null;
    this.view = view;
    if (!view) return;
    document.title = view.title === "Books" ? "depthcache" : `${view.title} · depthcache`;
    this.main.replaceChildren(view.element);
    view.show?.();
    if (hadView) view.focus ? view.focus() : this.main.focus();
    this.renderStateLine(false);
  }

  frame(nowMs) {
    this.view?.draw?.(nowMs);
    if (nowMs - (this.lineMs ?? -LINE_MS) >= LINE_MS) {
      this.lineMs = nowMs;
      this.renderStateLine(false);
    }
  }

  // --- state line -------------------------------------------------------------------------------------------------

  renderStateLine(isNews) {
    const words = connectionWords();
    setText(this.connection, words.text);
    setAttribute(this.line, "data-phase", words.tone);
    this.now.hidden = stream.phase !== "waiting";
    setAttribute(document.body, "data-live", String(stream.isOpen)); // else what is shown is history
    if (isNews && stream.phase !== "connecting") setText(this.live, words.said ?? words.text);
    this.census?.render();
  }

  // --- theme and keys ---------------------------------------------------------------------------------------------

  nextTheme() {
    const order = ["auto", "light", "dark"];
    theme.choice = order[(order.indexOf(theme.choice) + 1) % order.length];
  }

  renderTheme() {
    const words = { auto: "Auto", light: "Light", dark: "Dark" };
    setText(this.look.lastChild, words[theme.choice]);
    this.look.querySelector("use").setAttribute("href", `#${theme.choice}`);
    this.look.setAttribute("aria-label", `Theme: ${theme.choice}. Change it`);
    this.look.title = SHORTCUTS;
  }

  key(event) {
    const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || document.querySelector("dialog[open]");
    if (isTyping || event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
    if (this.view?.shortcut?.(event)) event.preventDefault();
    else if (event.key === "t") this.nextTheme();
    else if (event.key === "Escape" && this.view !== this.table && session.hasToken) location.hash = "#/";
  }
}

/** A part of the address as text; an address that was typed or cut may have an invalid escape. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The connection in words, and its tone; `said`: without what changes every second, for screen readers. */
function connectionWords() {
  const since = clock(stream.sinceMs * 1000);
  const { host } = location;
  switch (stream.phase) {
    case "open":
      if (server.recording === "ended") return { tone: "over", text: "The recording has ended. Start `depthcache simulate` again to repeat it." };
      if (server.recording) return { tone: "good", text: `Plays a recording. Connected to ${host} since ${since}`, said: "Plays a recording" };
      return { tone: "good", text: `Connected to ${host} since ${since}`, said: `Connected to ${host}` };
    case "silent":
      return { tone: "wait", text: `No message from ${host} for a while, checking the connection` };
    case "connecting":
      return { tone: "wait", text: stream.reason ? `Reconnecting: ${stream.reason} at ${since}` : `Connecting to ${host}` };
    case "waiting": {
      const seconds = Math.max(1, Math.ceil((stream.retryAtMs - performance.now()) / 1000));
      const reason = stream.reason.charAt(0).toUpperCase() + stream.reason.slice(1);
      return { tone: "bad", text: `${reason} at ${since}, trying again in ${seconds} s`, said: `${reason}, trying again` };
    }
    default:
      return { tone: "over", text: "Signed out" };
  }
}

new Page();
