/** The page: header, state line, the views by address, and the one loop that draws. */

import { session } from "./session.js"; // first: it takes the token out of the address bar
import { askForAdmin, askForBooks, confirmRemoval, notify, removeBooks, signIn } from "./dialogs.js";
import { books } from "./books.js";
import { addressOf, clock, count, h, mark, plural, setAttribute, setText, tone } from "./dom.js";
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

class Page {
  constructor() {
    this.main = document.getElementById("main");
    this.view = null;
    this.table = null;
    this.status = "all";
    this.build();
    addEventListener("hashchange", () => this.go());
    addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.view?.resize?.()).observe(this.main);
    session.onChange(() => this.enter());
    stream.onChange(() => this.renderStateLine(true));
    theme.onChange(() => this.renderTheme());
    this.enter();
    requestAnimationFrame((nowMs) => this.frame(nowMs));
  }

  build() {
    const link = (href, text) => h("a", { href, class: "tab" }, text);
    this.tabs = [link("#/", "Books"), link("#/snippets", "Snippets"), link("#/about", "About")];
    this.look = h("button", { class: "quiet", onclick: () => this.nextTheme() });
    this.lock = h("button", { class: "quiet", onclick: () => (session.hasAdmin ? session.lock() : askForAdmin()) });
    this.out = h("button", { class: "quiet", onclick: () => (session.forget(), session.notify()) }, icon("exit"), h("span", { class: "long" }, "Sign out"));
    this.lockWords = h("span", { class: "long" });
    this.lock.append(icon("edit"), this.lockWords);
    this.lookWords = h("span", { class: "long" });
    this.nav = h("nav", { "aria-label": "Views" }, this.tabs);
    document.getElementById("top").append(
      h("div", { class: "top" }, h("a", { class: "brand", href: "#/" }, logo(), h("span", {}, "depthcache")), this.nav,
        h("span", { class: "spring" }), this.look, this.lock, this.out),
    );
    this.dot = h("span", { class: "dot", "aria-hidden": "true" });
    this.connection = h("span", {});
    this.now = h("button", { class: "quiet small", hidden: true, onclick: () => stream.retry() }, "Try now");
    this.census = h("span", { class: "census" });
    this.live = h("span", { class: "hidden", role: "status" });
    this.line = h("div", { class: "stateline" }, this.dot, this.connection, this.now, this.census, this.live);
    document.getElementById("top").append(this.line);
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
      books.rows.clear();
      this.main.replaceChildren(signIn());
      this.main.querySelector("input").focus();
      return;
    }
    this.lock.hidden = session.role === "manage";
    setText(this.lockWords, session.hasAdmin ? "Stop managing" : "Manage …");
    this.table?.manage();
    if (this.view !== this.table) this.view?.manage?.();
    if (session.role === null) stream.open();
    this.go();
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
    for (const tab of this.tabs) {
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
      if (name === "books") this.show(new found.BookView(exchange, symbol));
      else if (name === "snippets") this.show(new found.SnippetsView());
      else if (name === "about") this.show(new found.AboutView());
      else this.show((this.table ??= this.makeTable(found)));
    } catch (error) {
      if (this.at === at) this.at = null;
      notify(`This view cannot be shown: ${error.message}`, { isBad: true });
    }
  }

  makeTable({ TableView }) {
    const table = new TableView({
      onOpen: (row) => (location.hash = addressOf(row)),
      onRemove: (row) => session.mayManage && removeBooks([row]),
      onAdd: askForBooks,
      onRemoveAll: (rows) => (rows.length === 1 ? removeBooks(rows) : confirmRemoval(rows)),
    });
    table.choose(this.status);
    return table;
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
    requestAnimationFrame((next) => this.frame(next));
  }

  // --- state line -------------------------------------------------------------------------------------------------

  renderStateLine(isNews) {
    const words = connectionWords();
    setText(this.connection, words.text);
    setAttribute(this.line, "data-phase", words.tone);
    this.now.hidden = stream.phase !== "waiting";
    setAttribute(document.body, "data-live", String(stream.isOpen)); // else what is shown is history
    if (isNews && stream.phase !== "connecting") setText(this.live, words.said ?? words.text);
    if (books.version === this.renderedVersion) return;
    this.renderedVersion = books.version;
    this.renderCensus();
  }

  renderCensus() {
    const groups = new Map();
    let synced = 0;
    let lost = 0;
    for (const row of books.rows.values()) {
      lost += row.isLost ? 1 : 0;
      if (row.isLost) continue;
      if (row.status === "synced") {
        synced += 1;
        continue;
      }
      const key = `${row.status}\n${row.reason}`;
      const group = groups.get(key) ?? { row, count: 0, sinceUs: row.sinceUs };
      group.count += 1;
      group.sinceUs = Math.min(group.sinceUs ?? Infinity, row.sinceUs ?? Infinity);
      groups.set(key, group);
    }
    const found = [...groups.values()].sort((a, b) => b.count - a.count);
    const text = [synced, lost, ...found.map((each) => [each.row.status, each.row.reason, each.count, each.sinceUs])].join("|");
    if (text === this.censusText) return;
    this.censusText = text;
    const parts = books.rows.size > lost ? [h("span", { "data-tone": "good" }, `${mark("synced")} ${count(synced)} synced`)] : [];
    if (lost > 0) parts.push(h("button", { class: "link", "data-tone": "bad", onclick: () => this.filterBy("disconnected") }, `${mark("disconnected")} ${count(lost)} not known`));
    for (const group of found.slice(0, 3)) {
      const { status, reason } = group.row;
      const since = Number.isFinite(group.sinceUs) ? `, since ${clock(group.sinceUs)}` : "";
      parts.push(h("button", { class: "link", "data-tone": tone(status), title: `${reason}${since}`, onclick: () => this.filterBy(status) },
        `${mark(status)} ${count(group.count)} ${status}${reason ? `: ${reason}` : ""}${since}`));
    }
    if (found.length > 3) parts.push(h("button", { class: "link", onclick: () => this.filterBy("trouble") }, `${plural(found.length - 3, "more reason")}`));
    this.census.replaceChildren(...parts);
  }

  filterBy(status) {
    this.status = status;
    location.hash = "#/";
    this.table?.choose(status);
  }

  // --- theme and keys ---------------------------------------------------------------------------------------------

  nextTheme() {
    const order = ["auto", "light", "dark"];
    theme.choice = order[(order.indexOf(theme.choice) + 1) % order.length];
  }

  renderTheme() {
    const words = { auto: "Auto", light: "Light", dark: "Dark" };
    setText(this.lookWords, words[theme.choice]);
    this.look.replaceChildren(icon(theme.choice), this.lookWords);
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
      if (books.recording === "ended") return { tone: "over", text: "The recording has ended. Start `depthcache simulate` again to repeat it." };
      if (books.recording) return { tone: "good", text: `Plays a recording. Connected to ${host} since ${since}`, said: "Plays a recording" };
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

const ICONS = {
  exit: "M6 3H3v10h3M7 8h7M11 5l3 3-3 3",
  edit: "M3 13l.7-3L11 2.7 13.3 5 6 12.3z",
  auto: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11M8 4v8M6 4.5v7M4.5 6v4",
  light: "M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
  dark: "M13 9.5A5.5 5.5 0 1 1 6.5 3a4.5 4.5 0 0 0 6.5 6.5z",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  for (const [key, value] of [["viewBox", "0 0 16 16"], ["class", "glyph"], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
  svg.append(path);
  return svg;
}

function logo() {
  return h("img", { src: "/page/icon.svg", alt: "", width: "22", height: "22" });
}

new Page();
