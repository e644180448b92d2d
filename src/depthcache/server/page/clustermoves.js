/** The moves of books between nodes, the newest first. The list is still while somebody reads it. */

import { shortId, shortened } from "./clusterstate.js";
import { clock, count, h, plural, setAttribute, setText } from "./dom.js";
import { VirtualList } from "./list.js";

const COLUMNS = [
  { id: "time", title: "Time" }, { id: "at", title: "Node" }, { id: "which", title: "Book" }, { id: "what", title: "Move" },
  { id: "from", title: "From" }, { id: "took", title: "Took", isNumber: true }, { id: "cause", title: "Why" },
];
const TONES = { began: "wait", synced: "good" };

/** The time of a move, with the date where it is another day. */
export const moveTime = (move) => clock(move.at_ms * 1000);
/** Where a book came from. */
const sourceOf = ({ source }) => (source === "exchange" ? "exchange" : source ? shortId(source) : "–");
const tookOf = ({ what, took_s: tookS }) => (what === "synced" ? `${tookS.toFixed(1)} s` : "");
/** Why a book moved, from where, and how long it took. */
export const moveWords = (move) => [
  move.what !== "ended" && move.source && `from ${move.source === "exchange" ? "the exchange" : shortId(move.source)}`,
  move.what === "synced" && `after ${tookOf(move)}`, shortened(move.why)].filter(Boolean).join(", ");

/** The panel of moves. */
export class MovesPanel {
  constructor(state) {
    Object.assign(this, { state, words: [], node: "", shownVersion: -1, isPaused: false });
    this.search = h("input", {
      type: "search", class: "search", placeholder: "Filter by book", "aria-label": "Filter moves by symbol or exchange",
      autocomplete: "off", spellcheck: "false", oninput: () => this.filter(), onkeydown: (event) => event.key === "Escape" && ((this.search.value = ""), this.filter()),
    });
    this.nodes = h("select", { "aria-label": "Show moves on this node", onchange: () => this.filter() });
    this.found = h("span", { class: "muted found" });
    this.pause = h("button", { class: "toggle", onclick: () => this.setPaused(!this.isPaused) }, "Pause");
    this.news = h("button", { class: "small", hidden: true, onclick: () => this.catchUp() });
    this.list = new VirtualList("Moves", { columns: COLUMNS, make: (line) => this.make(line), fill: (line, move) => this.fill(line, move) });
    this.empty = h("p", { class: "muted nothing" });
    this.element = h("div", { class: "entries moves" },
      h("div", { class: "bar" }, h("label", { class: "searching" }, this.search, h("kbd", { "aria-hidden": "true" }, "/")), this.nodes, this.pause,
        h("span", { class: "muted found", role: "status" }, this.news), h("span", { class: "spring" }), this.found),
      this.list.scroller, this.empty);
    this.setPaused(false);
  }

  setPaused(isPaused) {
    this.isPaused = isPaused;
    setAttribute(this.pause, "aria-pressed", String(isPaused));
    this.shownVersion = -1;
  }

  filter() {
    this.words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.node = this.nodes.value;
    this.list.scroller.scrollTop = 0;
    this.arrange();
  }

  catchUp() {
    this.setPaused(false);
    this.list.scroller.scrollTop = 0;
    this.arrange();
  }

  /** The state has changed. */
  note() {
    const ids = this.state.nodes.map(({ id }) => id);
    if (ids.join() === this.nodes.shown) return;
    this.nodes.shown = ids.join();
    const before = this.nodes.value;
    this.nodes.replaceChildren(h("option", { value: "" }, "On any node"), ...ids.map((value) => h("option", { value }, `On ${shortId(value)}`)));
    this.nodes.value = ids.includes(before) ? before : "";
  }

  /** Whether somebody reads: new rows at the top would move what is read. */
  get isRead() {
    return this.isPaused || !this.list.isAtTop;
  }

  draw() {
    if (this.shownVersion !== this.state.movesVersion) {
      if (this.isRead && this.list.rows.length > 0) this.count();
      else this.arrange();
    }
    this.list.draw();
  }

  arrange() {
    this.shownVersion = this.state.movesVersion;
    this.newestMs = this.state.moves.at(-1)?.at_ms ?? 0;
    const rows = this.state.findMoves(this);
    this.list.show(rows);
    this.news.hidden = true;
    setText(this.found, rows.length === this.state.moves.length ? plural(rows.length, "move") : `${count(rows.length)} of ${count(this.state.moves.length)}`);
    this.empty.hidden = rows.length > 0;
    setText(this.empty, this.state.moves.length > 0 ? "No move matches the filter." : "No book has moved yet.");
  }

  count() {
    const shown = new Set(this.list.rows);
    const number = this.state.findMoves(this).filter((move) => !shown.has(move)).length;
    this.news.hidden = number === 0;
    setText(this.news, `Show ${plural(number, "new move")}`);
  }

  make(line) {
    for (const { id } of COLUMNS) line[id] = h("span", {});
    line.name = h("b", { class: "name" });
    line.exchange = h("span", { class: "exchange" });
    line.why = h("span", { class: "why wide" });
    line.all = h("span", { class: "why narrow" });
    line.cause.append(line.why, line.all);
    return { ...Object.fromEntries(COLUMNS.map(({ id }) => [id, line[id]])), which: [line.name, line.exchange] };
  }

  fill(line, move) {
    setText(line.time, moveTime(move));
    setText(line.at, shortId(move.node));
    setText(line.name, move.symbol);
    setText(line.exchange, move.exchange);
    setText(line.what, move.what);
    setAttribute(line.what, "data-tone", TONES[move.what] ?? "over");
    setText(line.from, sourceOf(move));
    setText(line.took, tookOf(move));
    setText(line.why, shortened(move.why));
    setText(line.all, moveWords(move));
    line.cause.title = move.why;
  }

  shortcut(event) {
    if (event.key !== "/") return false;
    this.search.focus();
    this.search.select();
    return true;
  }
}
