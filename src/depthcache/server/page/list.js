/**
 * A list of thousands of rows, of which those in sight alone are elements.
 *
 * Keyboard: arrows, Page Up and Down, Home and End move; what other keys do, the owner says.
 */

import { h, setAttribute } from "./dom.js";

const BEYOND = 4;

let lists = 0;

/** A list of rows; each row needs a `version`, which grows when it is to be drawn again. */
export class VirtualList {
  /**
   * `columns`: `id`, `title` and whether it `isNumber`. `make(line)`: put the cells of a line into `line.cells`, by
   * column, and return them. `fill(line, row)`: write a row. `onOpen(row)`: Enter or a click. `onKey(event, row)`:
   * whether it took another key.
   */
  constructor(label, { columns, make, fill, onOpen = () => {}, onKey = () => false }) {
    Object.assign(this, { columns, make, fill, onOpen, onKey });
    this.name = `list-${(lists += 1)}`;
    this.pool = [];
    this.rows = [];
    this.active = null;
    this.isResized = true;
    const head = h("div", { role: "row", class: "head line" },
      columns.map(({ id, title, isNumber }) => h("span", { role: "columnheader", class: `cell ${id}${isNumber ? " number" : ""}` }, title || h("span", { class: "hidden" }, "Actions"))));
    this.body = h("div", { role: "rowgroup", class: "rows" });
    this.scroller = h("div", { class: "scroller", tabindex: "0", role: "grid", "aria-label": label, onkeydown: (event) => this.key(event) },
      h("div", { role: "rowgroup", class: "sticky" }, head), this.body);
    this.head = head;
    new ResizeObserver(() => this.resize()).observe(this.scroller);
  }

  /** Show these rows. */
  show(rows) {
    this.rows = rows;
    this.isResized = true;
    setAttribute(this.scroller, "aria-rowcount", String(rows.length + 1));
  }

  get isAtTop() {
    return this.scroller.scrollTop < 1;
  }

  resize() {
    this.rowPx = Number.parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 36;
    this.heightPx = this.scroller.clientHeight - this.head.offsetHeight;
    this.isResized = true;
  }

  draw() {
    if (this.scroller.clientHeight === 0) return; // it is on another tab
    if (this.rowPx === undefined) this.resize();
    const top = this.scroller.scrollTop;
    if (this.isResized) this.body.style.height = `${this.rows.length * this.rowPx}px`;
    const first = Math.max(0, Math.floor(top / this.rowPx) - BEYOND);
    const last = Math.min(this.rows.length, Math.ceil((top + this.heightPx) / this.rowPx) + BEYOND);
    while (this.pool.length < last - first) this.pool.push(this.line());
    for (const line of this.pool) line.isUsed = false;
    for (let index = first; index < last; index += 1) {
      const line = this.pool[index % this.pool.length];
      line.isUsed = true;
      if (line.index !== index || line.row !== this.rows[index] || this.isResized) this.bind(line, index);
      if (line.version !== line.row.version) {
        line.version = line.row.version;
        this.fill(line, line.row);
      }
    }
    for (const line of this.pool) if (line.element.hidden === line.isUsed) line.element.hidden = !line.isUsed;
    const active = this.pool.find((line) => line.isUsed && line.row === this.active);
    if (active) setAttribute(this.scroller, "aria-activedescendant", active.element.id);
    else this.scroller.removeAttribute("aria-activedescendant"); // it is out of sight
    this.isResized = false;
  }

  line() {
    const line = { index: -1, row: null, version: -1, isUsed: false };
    const cells = this.make(line);
    line.element = h("div", { role: "row", class: "line", hidden: true, onclick: (event) => this.click(event, line) },
      this.columns.map(({ id, isNumber }) => h("span", { role: "gridcell", class: `cell ${id}${isNumber ? " number" : ""}` }, cells[id])));
    this.body.append(line.element);
    return line;
  }

  bind(line, index) {
    const row = this.rows[index];
    if (line.row !== row) line.version = -1;
    Object.assign(line, { index, row });
    line.element.style.transform = `translateY(${index * this.rowPx}px)`;
    line.element.id = `${this.name}-${index}`;
    setAttribute(line.element, "aria-rowindex", String(index + 2));
    this.markActive(line);
  }

  click(event, line) {
    this.activate(line.row);
    if (event.target.closest("a, button")) return;
    this.onOpen(line.row);
  }

  key(event) {
    if (event.target !== this.scroller || event.metaKey || event.ctrlKey || event.altKey) return;
    const at = this.rows.indexOf(this.active);
    if (event.key === "Enter" && at >= 0) this.onOpen(this.active);
    else if (!this.move(event.key) && !(at >= 0 && this.onKey(event, this.active))) return;
    event.preventDefault();
  }

  /** Move by a key; whether it is one that moves. */
  move(key) {
    const page = Math.max(1, Math.floor(this.heightPx / this.rowPx) - 1);
    const at = this.rows.indexOf(this.active);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.rows.length - 1, PageDown: at + page, PageUp: at - page };
    if (!(key in moves) || this.rows.length === 0) return false;
    const wanted = Math.min(this.rows.length - 1, Math.max(0, moves[key]));
    const top = wanted * this.rowPx;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + this.rowPx > this.scroller.scrollTop + this.heightPx) this.scroller.scrollTop = top + this.rowPx - this.heightPx;
    this.activate(this.rows[wanted]);
    this.draw();
    return true;
  }

  activate(row) {
    this.active = row;
    for (const line of this.pool) this.markActive(line);
  }

  markActive(line) {
    setAttribute(line.element, "aria-selected", String(line.row !== null && line.row === this.active));
  }
}
