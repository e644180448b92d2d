/** The books of a cluster: wanted replicas, the nodes that hold each, and why one is not synced. */

import { replicaMark, replicaTone, settingsWords, shortId } from "./clusterstate.js";
import { count, h, plural, setAttribute, setText } from "./dom.js";
import { VirtualList } from "./list.js";
import { session } from "./session.js";

const ARRANGE_MS = 500;
const COLUMNS = [
  { id: "which", title: "Book" }, { id: "held", title: "Synced", isNumber: true }, { id: "holders", title: "Nodes" },
  { id: "options", title: "Settings" }, { id: "cause", title: "Why not" }, { id: "does", title: "" },
];

/** The panel of books; `act(name, …)`: as `ClusterView.act`. */
export class BooksPanel {
  constructor(state, act) {
    Object.assign(this, { state, act, only: "", node: "", words: [], isDue: true, arrangedMs: -ARRANGE_MS });
    this.search = h("input", {
      type: "search", class: "search", placeholder: "Filter books", "aria-label": "Filter books of the cluster by symbol or exchange",
      autocomplete: "off", spellcheck: "false", oninput: () => this.filter(), onkeydown: (event) => this.fromSearch(event),
    });
    this.choice = h("select", { "aria-label": "Show which books", onchange: () => this.choose(this.choice.value) },
      [["", "All"], ["wrong", "Not as wanted"], ["lacking", "Lacking replicas"]].map(([value, title]) => h("option", { value }, title)));
    this.nodes = h("select", { "aria-label": "Show books of this node", onchange: () => this.filter() });
    this.found = h("span", { class: "muted found" });
    this.change = h("button", { onclick: () => this.act("askForChange", this.list.rows.slice()) }, "Change shown …");
    this.remove = h("button", { class: "quiet danger", onclick: () => this.act("removeBooks", this.list.rows.slice()) }, "Remove shown");
    this.list = new VirtualList("Books of the cluster", {
      columns: COLUMNS, make: (line) => this.make(line), fill: (line, book) => this.fill(line, book),
      onOpen: (book) => (location.hash = addressOf(book)), onKey: (event, book) => this.key(event, book),
    });
    this.empty = h("p", { class: "muted nothing" });
    this.element = h("div", { class: "entries books" },
      h("div", { class: "bar" }, h("label", { class: "searching" }, this.search, h("kbd", { "aria-hidden": "true" }, "/")), this.choice, this.nodes,
        this.found, h("span", { class: "spring" }), this.change, this.remove),
      this.list.scroller, this.empty);
  }

  manage() {
    this.change.hidden = this.remove.hidden = !session.mayManage;
  }

  choose(only) {
    this.choice.value = this.only = only;
    this.filter();
  }

  filter() {
    this.words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.node = this.nodes.value;
    this.arrange(performance.now());
    this.list.scroller.scrollTop = 0;
  }

  /** The state has changed. */
  note() {
    this.isDue = true;
  }

  draw(nowMs) {
    if (this.isDue && nowMs - this.arrangedMs >= ARRANGE_MS) this.arrange(nowMs);
    this.list.draw();
  }

  arrange(nowMs) {
    Object.assign(this, { isDue: false, arrangedMs: nowMs });
    this.renderNodes();
    const rows = this.state.find(this);
    this.list.show(rows);
    const all = this.state.books.size;
    setText(this.found, rows.length === all ? plural(all, "book") : `${count(rows.length)} of ${count(all)}`);
    setText(this.remove, `Remove ${plural(rows.length, "book")}`);
    setText(this.change, `Change ${plural(rows.length, "book")} …`);
    this.remove.disabled = this.change.disabled = rows.length === 0;
    this.empty.hidden = rows.length > 0;
    setText(this.empty, all > 0 ? "No book matches the filter." : this.state.isListed ? "The cluster keeps no books yet." : "Reading the books …");
  }

  renderNodes() {
    const text = this.state.nodes.filter(({ state }) => state !== "removed").map(({ id }) => id);
    if (text.join() === this.nodes.shown) return;
    this.nodes.shown = text.join();
    const before = this.nodes.value;
    this.nodes.replaceChildren(h("option", { value: "" }, "On any node"), ...text.map((value) => h("option", { value }, `On ${shortId(value)}`)));
    this.nodes.value = text.includes(before) ? before : "";
  }

  // --- rows -------------------------------------------------------------------------------------------------------

  make(line) {
    line.name = h("a", { class: "name", tabindex: "-1" });
    line.exchange = h("span", { class: "exchange" });
    line.held = h("span", {});
    line.holders = h("span", { class: "chips" });
    line.options = h("span", {});
    line.cause = h("span", { class: "why" });
    const button = (title, text, name) => h("button", { class: "icon", tabindex: "-1", title, onclick: () => this.act(name, [line.row]) }, text);
    line.edit = button("Change", "✎", "askForChange");
    line.gone = button("Remove", "✕", "removeBooks");
    return { which: [line.name, line.exchange], held: line.held, holders: line.holders, options: line.options, cause: line.cause, does: [line.edit, line.gone] };
  }

  fill(line, book) {
    setText(line.name, book.symbol);
    line.name.href = addressOf(book);
    setText(line.exchange, book.exchange);
    setText(line.held, `${book.synced} of ${book.replicas}`);
    setAttribute(line.element, "data-tone", book.wrong ? "bad" : book.synced < book.replicas ? "wait" : "good");
    const holders = Object.entries(book.holders);
    line.holders.replaceChildren(...holders.map(([id, state]) => h("span", { class: "chip", "data-tone": replicaTone(state), title: `${id}: ${state}${book.reasons[id] ? `, ${book.reasons[id]}` : ""}` },
      `${replicaMark(state)} ${shortId(id)}`, h("span", { class: "hidden" }, ` ${state}`))));
    setText(line.options, settingsWords(book.settings) || "default");
    setText(line.cause, book.whyNot);
    line.cause.title = book.whyNot;
    setAttribute(line.edit, "aria-label", `Change ${book.symbol}`);
    setAttribute(line.gone, "aria-label", `Remove ${book.symbol}`);
  }

  // --- keyboard ---------------------------------------------------------------------------------------------------

  shortcut(event) {
    if (event.key !== "/") return false;
    this.search.focus();
    this.search.select();
    return true;
  }

  fromSearch(event) {
    if (event.key === "Escape") {
      this.search.value = "";
      this.filter();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      this.list.scroller.focus();
      this.list.move("Home");
    }
  }

  key(event, book) {
    if (!session.mayManage || (event.key !== "Delete" && event.key !== "e")) return false;
    this.act(event.key === "e" ? "askForChange" : "removeBooks", [book]);
    return true;
  }
}

/** The address of the page of a book. */
function addressOf({ exchange, symbol }) {
  return `#/books/${encodeURIComponent(exchange)}/${encodeURIComponent(symbol)}`;
}
