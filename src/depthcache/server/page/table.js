/**
 * The table of all books: rows in sight alone are elements, 5,000 or more scroll.
 *
 * Keyboard: arrows, Page Up and Down, Home and End move, Enter opens, Delete removes (where the token may), / filters.
 */

import { books, price } from "./books.js";
import { Census } from "./census.js";
import { clock, count, duration, h, lag, mark, plural, points, setAttribute, setText, tone } from "./dom.js";
import { ask } from "./notices.js";
import { server } from "./server.js";
import { session } from "./session.js";
import { theme } from "./theme.js";
import { LEVELS, makeTile } from "./tiles.js";

const BEYOND = 4;
const SORT_MS = 1_000;
const FOLLOW_MS = 200;
const LAYOUT = "depthcache-layout";

/** Title, how a row is compared, and whether that changes all the time; `first`: the direction of the first click. */
const COLUMNS = [
  { id: "symbol", title: "Book", key: (row) => row.search, first: 1 },
  { id: "status", title: "Status", key: (row) => `${row.status === "synced" ? 1 : 0}${row.status}`, first: 1, moves: true },
  { id: "bid", title: "Bid", key: (row) => Number(row.bid), first: -1, moves: true, isNumber: true },
  { id: "ask", title: "Ask", key: (row) => Number(row.ask), first: -1, moves: true, isNumber: true },
  { id: "spread", title: "Spread", hint: "basis points", key: (row) => row.spreadBps ?? -1, first: -1, moves: true, isNumber: true },
  { id: "spark", title: "Last minute", hint: "mid price" },
  { id: "rate", title: "Updates/s", key: (row) => row.rate ?? -1, first: -1, moves: true, isNumber: true },
  { id: "lag", title: "Lag", hint: "from the exchange's event to its reception", key: (row) => row.lagMs ?? -1, first: -1, moves: true, isNumber: true },
  { id: "age", title: "Age", hint: "since the last update", key: (row) => row.ageMs ?? Infinity, first: -1, moves: true, isNumber: true },
];

/** The view of all books, and the census in the state line of the page, which filters it. */
export function makeTable(page) {
  const table = new TableView();
  page.census = new Census((status) => {
    location.hash = "#/";
    table.choose(status);
  });
  page.live.before(page.census.element);
  return table;
}

/** The view of all books. */
export class TableView {
  constructor() {
    this.title = "Books";
    this.sort = { id: "symbol", direction: 1 };
    this.words = [];
    this.status = "all";
    this.active = null;
    this.shown = [];
    this.isTiled = localStorage.getItem(LAYOUT) === "tiles";
    this.pools = { lines: [], tiles: [] };
    this.seenVersion = -1;
    this.sortedMs = this.followedMs = 0;
    this.build();
  }

  build() {
    this.search = h("input", {
      type: "search", class: "search", placeholder: "Filter books", "aria-label": "Filter books by symbol or exchange",
      autocomplete: "off", spellcheck: "false", oninput: () => this.filter(), onkeydown: (event) => this.fromSearch(event),
    });
    this.statuses = h("select", { "aria-label": "Show books of this status", onchange: () => this.choose(this.statuses.value) });
    this.sorts = h(
      "select", { class: "narrow", "aria-label": "Sort by", onchange: () => this.sortBy(this.sorts.value) },
      COLUMNS.filter((each) => each.key).map((each) => h("option", { value: each.id }, `Sort: ${each.title}`)),
    );
    this.found = h("span", { class: "muted found" });
    this.add = h("button", { class: "primary", onclick: () => ask("askForBooks") }, "Add books");
    this.layout = h("button", { class: "toggle", onclick: () => this.arrangeAs(!this.isTiled) }, "Tiles");
    this.removeAll = h("button", { class: "quiet danger", onclick: () => this.onRemoveAll(this.shown.slice()) }, "Remove shown");
    const bar = h(
      "div", { class: "bar" },
      h("label", { class: "searching" }, this.search, h("kbd", { "aria-hidden": "true" }, "/")),
      this.statuses, this.sorts, this.layout, this.found, h("span", { class: "spring" }), this.removeAll, this.add,
    );
    this.heads = new Map();
    const head = h("div", { role: "row", class: "head line" }, COLUMNS.map((each) => this.headOf(each)),
      h("span", { role: "columnheader", class: "cell act" }, h("span", { class: "hidden" }, "Actions")));
    this.body = h("div", { role: "rowgroup", class: "rows" });
    this.scroller = h(
      "div", { class: "scroller", tabindex: "0", role: "grid", "aria-label": "Books", onkeydown: (event) => this.key(event) },
      h("div", { role: "rowgroup", class: "sticky" }, head), this.body,
    );
    new ResizeObserver(() => this.resize()).observe(this.scroller);
    this.empty = h("div", { class: "empty", hidden: true });
    this.element = h("section", { class: "table" }, h("h1", { class: "hidden" }, "Books"), bar, this.scroller, this.empty);
    this.manage();
    this.arrangeAs(this.isTiled);
  }

  /** Show tiles with the best levels instead of lines. */
  arrangeAs(isTiled) {
    this.isTiled = isTiled;
    localStorage.setItem(LAYOUT, isTiled ? "tiles" : "table");
    setAttribute(this.layout, "aria-pressed", String(isTiled));
    setAttribute(this.element, "data-layout", isTiled ? "tiles" : "table");
    for (const each of [...this.pools.lines, ...this.pools.tiles]) Object.assign(each, { index: -1 }).element.hidden = true;
    this.pool = isTiled ? this.pools.tiles : this.pools.lines;
    this.resize();
    this.followedMs = performance.now();
  }

  headOf(column) {
    const name = `cell ${column.id}${column.isNumber ? " number" : ""}`;
    const cell = h("span", { role: "columnheader", class: name });
    if (column.key) cell.append(h("button", { class: "sorter", title: column.hint, onclick: () => this.sortBy(column.id) }, column.title));
    else cell.append(h("span", { title: column.hint }, column.title));
    this.heads.set(column.id, cell);
    return cell;
  }

  // --- what the page calls ----------------------------------------------------------------------------------------

  show() {
    books.start();
    this.seenVersion = -1;
    this.resize();
  }

  hide() {
    books.stop();
  }

  /** Signed out. */
  forget() {
    books.forget();
  }

  onOpen(row) {
    location.hash = addressOf(row);
  }

  onRemove(row) {
    if (session.mayManage) ask("removeBooks", [row]);
  }

  onRemoveAll(rows) {
    ask(rows.length === 1 ? "removeBooks" : "confirmRemoval", rows);
  }

  /** Whether the token may manage has changed. */
  manage() {
    this.add.hidden = this.removeAll.hidden = !session.mayManage;
    setAttribute(this.element, "data-manage", String(session.mayManage));
  }

  resize() {
    const style = getComputedStyle(this.element);
    const length = (name, usual) => Number.parseFloat(style.getPropertyValue(name)) || usual;
    this.rowPx = this.isTiled ? length("--tile", 190) : length("--row", 36);
    this.columns = this.isTiled ? Math.max(1, Math.floor(this.scroller.clientWidth / length("--tile-width", 220))) : 1;
    this.headPx = this.heads.get("symbol").parentElement.offsetHeight;
    this.heightPx = this.scroller.clientHeight - this.headPx;
    this.isResized = true;
  }

  focus() {
    this.scroller.focus();
  }

  /** A key anywhere on the page; whether it was taken. */
  shortcut(event) {
    if (event.target === document.body && /^(Arrow(Up|Down)|Page(Up|Down)|Home|End)$/.test(event.key)) {
      this.scroller.focus();
      return this.move(event.key);
    }
    if (event.key !== "/") return false;
    this.search.focus();
    this.search.select();
    return true;
  }

  draw(nowMs) {
    const moves = COLUMNS.find((each) => each.id === this.sort.id).moves;
    const isNew = books.version !== this.seenVersion;
    if (this.seenVersion < 0 || (isNew && nowMs - this.sortedMs > SORT_MS) || (moves && nowMs - this.sortedMs > SORT_MS)) {
      this.arrange(nowMs);
    }
    this.drawRows(nowMs);
  }

  // --- filter and sort --------------------------------------------------------------------------------------------

  filter() {
    this.words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.arrange(performance.now());
    this.scroller.scrollTop = 0;
  }

  /** Show books of a status; "trouble": all but those that are synced. */
  choose(status) {
    this.status = status;
    this.arrange(performance.now());
    this.scroller.scrollTop = 0;
  }

  sortBy(id) {
    const column = COLUMNS.find((each) => each.id === id);
    const direction = this.sort.id === id ? -this.sort.direction : column.first;
    this.sort = { id, direction };
    this.sorts.value = id;
    this.arrange(performance.now());
  }

  isShown(row) {
    const isOf = this.status === "all" || row.status === this.status || (this.status === "trouble" && row.status !== "synced");
    return isOf && this.words.every((word) => row.search.includes(word));
  }

  arrange(nowMs) {
    this.seenVersion = books.version;
    this.sortedMs = nowMs;
    const { key } = COLUMNS.find((each) => each.id === this.sort.id);
    const { direction } = this.sort;
    const keyed = [];
    for (const row of books.rows.values()) if (this.isShown(row)) keyed.push([key(row), row]);
    keyed.sort(([a, rowA], [b, rowB]) => (a < b ? -direction : a > b ? direction : rowA.key < rowB.key ? -1 : 1));
    this.shown = keyed.map(([, row]) => row);
    for (const [id, cell] of this.heads) {
      setAttribute(cell, "aria-sort", id !== this.sort.id ? "none" : direction > 0 ? "ascending" : "descending");
    }
    this.render();
    this.isResized = true;
  }

  render() {
    const all = books.rows.size;
    setText(this.found, this.shown.length === all ? plural(all, "book") : `${count(this.shown.length)} of ${count(all)}`);
    setText(this.removeAll, `Remove ${plural(this.shown.length, "book")}`);
    this.removeAll.disabled = this.shown.length === 0;
    setAttribute(this.scroller, "aria-rowcount", String(this.shown.length + 1));
    const counts = new Map();
    for (const row of books.rows.values()) counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
    const options = [["all", "All"], ["trouble", "Not synced", all - (counts.get("synced") ?? 0)]];
    for (const [status, number] of [...counts].sort()) options.push([status, `${mark(status)} ${status}`, number]);
    const text = options.map(([id, title, number]) => [id, number == null ? title : `${title} (${count(number)})`]);
    if (JSON.stringify(text) !== this.statuses.shown) {
      this.statuses.shown = JSON.stringify(text);
      this.statuses.replaceChildren(...text.map(([value, title]) => h("option", { value }, title)));
    }
    this.statuses.value = this.status;
    if (this.statuses.selectedIndex < 0) this.statuses.append(h("option", { value: this.status, selected: true }, `${this.status} (0)`));
    const isEmpty = this.shown.length === 0;
    this.empty.hidden = !isEmpty;
    if (isEmpty) setText(this.empty, this.emptyWords());
  }

  emptyWords() {
    if (books.rows.size > 0) return "No book matches the filter.";
    if (books.problem) return books.problem;
    return books.isComplete ? "The server holds no books." : "Asking for the books …";
  }

  // --- rows -------------------------------------------------------------------------------------------------------

  drawRows(nowMs) {
    const top = this.scroller.scrollTop;
    const isScrolled = top !== this.drawnTop;
    if (this.isResized) this.body.style.height = `${Math.ceil(this.shown.length / this.columns) * this.rowPx}px`;
    this.drawnTop = top;
    const first = Math.max(0, Math.floor(top / this.rowPx) - BEYOND) * this.columns;
    const last = Math.min(this.shown.length, (Math.ceil((top + this.heightPx) / this.rowPx) + BEYOND) * this.columns);
    const needed = Math.max(0, last - first);
    while (this.pool.length < needed) this.pool.push(this.isTiled ? this.addTile() : this.makeLine());
    for (const line of this.pool) line.isUsed = false;
    for (let index = first; index < last; index += 1) {
      const line = this.pool[index % this.pool.length];
      line.isUsed = true;
      if (line.index !== index || line.row !== this.shown[index] || this.isResized) this.bind(line, index);
      if (line.version !== line.row.version || nowMs - line.drawnMs > 500) this.fill(line, nowMs);
    }
    for (const line of this.pool) if (line.element.hidden === line.isUsed) line.element.hidden = !line.isUsed;
    const active = this.pool.find((line) => line.isUsed && line.row === this.active);
    if (active) setAttribute(this.scroller, "aria-activedescendant", active.element.id);
    else this.scroller.removeAttribute("aria-activedescendant"); // it was sorted or scrolled out of sight
    if (isScrolled || this.isResized) this.followedMs ||= nowMs;
    if (this.followedMs && nowMs - this.followedMs > FOLLOW_MS) {
      this.followedMs = 0;
      books.follow(this.shown.slice(first, last), this.isTiled ? LEVELS : 1);
    }
    this.isResized = false;
  }

  addTile() {
    const tile = makeTile({ onClick: (event) => this.click(event, tile), onRemove: () => this.onRemove(tile.row) });
    this.body.append(tile.element);
    return tile;
  }

  makeLine() {
    const cell = (id, ...children) => h("span", { role: "gridcell", class: `cell ${id}` }, ...children);
    const line = { index: -1, row: null, version: -1, drawnMs: 0, isUsed: false };
    line.symbol = h("a", { class: "name", tabindex: "-1" });
    line.exchange = h("span", { class: "exchange" });
    line.mark = h("span", { class: "mark", "aria-hidden": "true" });
    line.word = h("span", { class: "word" });
    line.reason = h("span", { class: "reason" });
    for (const id of ["bid", "ask", "spread", "rate", "lag", "age"]) line[id] = cell(`${id} number`);
    line.spark = h("canvas", { "aria-hidden": "true" });
    line.remove = h("button", { class: "icon", tabindex: "-1", title: "Remove", onclick: (event) => {
      event.stopPropagation();
      this.onRemove(line.row);
    } }, "✕");
    line.element = h(
      "div", { role: "row", class: "line", hidden: true, onclick: (event) => this.click(event, line) },
      cell("symbol", line.symbol, line.exchange), cell("status", line.mark, line.word, line.reason), line.bid, line.ask,
      line.spread, cell("spark", line.spark), line.rate, line.lag, line.age, cell("act", line.remove),
    );
    this.body.append(line.element);
    return line;
  }

  bind(line, index) {
    const row = this.shown[index];
    const isOther = line.row !== row;
    Object.assign(line, { index, row, version: -1 });
    const y = Math.floor(index / this.columns) * this.rowPx;
    line.element.style.transform = `translate(${(index % this.columns) * 100}%, ${y}px)`;
    if (this.isTiled) line.element.style.width = `${100 / this.columns}%`;
    setAttribute(line.element, "aria-rowindex", String(index + 2));
    line.element.id = `row-${index}`;
    this.markActive(line);
    if (!isOther) return;
    setText(line.symbol, row.symbol);
    line.symbol.href = addressOf(row);
    setText(line.exchange, row.exchange);
    line.remove.setAttribute("aria-label", `Remove ${row.symbol} on ${row.exchange}`);
    line.sparkMs = 0;
  }

  fill(line, nowMs) {
    const { row } = line;
    if (line.fill) return line.fill(nowMs);
    Object.assign(line, { version: row.version, drawnMs: nowMs });
    const isSynced = row.status === "synced";
    setAttribute(line.element, "data-tone", tone(row.status));
    setText(line.mark, mark(row.status));
    setText(line.word, row.status);
    setText(line.reason, isSynced ? "" : `${row.reason || ""}${row.sinceUs == null ? "" : ` · since ${clock(row.sinceUs)}`}`);
    if (line.titled !== row.reason) line.reason.title = line.titled = row.reason;
    setText(line.bid, row.bid && price(row.bid, row.places));
    setText(line.ask, row.ask && price(row.ask, row.places));
    setText(line.spread, row.spreadBps === null ? "" : points(row.spreadBps));
    setText(line.rate, row.rate === null ? "–" : row.rate.toFixed(row.rate < 10 ? 1 : 0));
    setText(line.lag, lag(row.lagMs, server.recording !== ""));
    setText(line.age, duration(row.ageMs));
    if (line.sparkTime !== row.times.at(-1) || line.sparkTheme !== theme.version || line.sparkMs === 0) this.drawSpark(line, nowMs);
  }

  drawSpark(line, nowMs) {
    const { row, spark: canvas } = line;
    Object.assign(line, { sparkTime: row.times.at(-1), sparkTheme: theme.version, sparkMs: nowMs });
    const scale = devicePixelRatio;
    const [width, height] = [Math.round(96 * scale), Math.round(22 * scale)];
    if (canvas.width !== width) Object.assign(canvas, { width, height });
    const context = (line.context ??= canvas.getContext("2d"));
    context.clearRect(0, 0, width, height);
    const { times, mids } = row;
    if (times.length < 3) return;
    let [low, high] = [Infinity, -Infinity];
    for (const mid of mids) [low, high] = [Math.min(low, mid), Math.max(high, mid)];
    const pad = 2 * scale;
    const heightOf = (mid) => (high > low ? ((mid - low) / (high - low)) * (height - 2 * pad) : height / 2 - pad);
    context.beginPath();
    const spanMs = Math.min(60_000, Math.max(10_000, nowMs - times[0]));
    for (let at = 0; at < times.length; at += 1) {
      const x = pad + (width - 2 * pad) * (1 - Math.min(1, (nowMs - times[at]) / spanMs));
      const y = height - pad - heightOf(mids[at]);
      if (at === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
    }
    context.strokeStyle = row.status === "synced" ? theme.accent : theme.muted;
    context.lineWidth = 1.25 * scale;
    context.lineJoin = "round";
    context.stroke();
  }

  // --- keyboard and mouse -----------------------------------------------------------------------------------------

  click(event, line) {
    this.activate(line.row);
    if (event.target.closest("a") && (event.metaKey || event.ctrlKey || event.shiftKey)) return;
    event.preventDefault();
    this.onOpen(line.row);
  }

  fromSearch(event) {
    if (event.key === "Escape") {
      this.search.value = "";
      this.filter();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      this.scroller.focus();
      if (this.shown.length > 0) this.moveTo(0);
    }
  }

  key(event) {
    if (event.target !== this.scroller || event.metaKey || event.ctrlKey || event.altKey) return;
    const at = this.shown.indexOf(this.active);
    if (event.key === "Enter" && at >= 0) this.onOpen(this.active);
    else if (event.key === "Delete" && at >= 0 && session.mayManage) this.onRemove(this.active);
    else if (!this.move(event.key)) return;
    event.preventDefault();
  }

  /** Move by a key; whether it is one that moves. */
  move(key) {
    const page = Math.max(1, Math.floor(this.heightPx / this.rowPx) - 1);
    const at = this.shown.indexOf(this.active);
    const moves = {
      ArrowDown: at < 0 ? 0 : at + this.columns, ArrowUp: at - this.columns, Home: 0, End: this.shown.length - 1,
      PageDown: at + page * this.columns, PageUp: at - page * this.columns,
      ...(this.isTiled ? { ArrowRight: at + 1, ArrowLeft: at - 1 } : {}),
    };
    if (!(key in moves) || this.shown.length === 0) return false;
    this.moveTo(moves[key]);
    return true;
  }

  moveTo(index) {
    const wanted = Math.min(this.shown.length - 1, Math.max(0, index));
    const top = Math.floor(wanted / this.columns) * this.rowPx;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + this.rowPx > this.scroller.scrollTop + this.heightPx) this.scroller.scrollTop = top + this.rowPx - this.heightPx;
    this.activate(this.shown[wanted]);
    this.drawRows(performance.now());
  }

  activate(row) {
    this.active = row;
    for (const line of this.pool) this.markActive(line);
  }

  markActive(line) {
    setAttribute(line.element, "aria-selected", String(line.row !== null && line.row === this.active));
  }
}

/** The address of the page of a book. */
function addressOf({ exchange, symbol }) {
  return `#/books/${encodeURIComponent(exchange)}/${encodeURIComponent(symbol)}`;
}
