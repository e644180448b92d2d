/**
 * The heatmap's memory: the newest columns of time, each with the quantities at the prices around the mid of its moment.
 *
 * Columns and rows are rings: column `c` is slot `c % COLUMNS`, price row `r` is cell `r % ROWS` of it. Each column notes
 * its lowest row, so the view moves to other prices without a copy, and old columns stay what they were. The arrays have
 * the layout of the textures: `values` holds ROWS cells per column, `marks` four numbers: lowest row, kind, bid, ask.
 */

import { groupOf } from "../book.js";

export const COLUMNS = 1800;
export const ROWS = 1024;
export const KIND = { unseen: 0, seen: 1, gap: 2 };

const UNSEEN_MS = 60_000;

export class Ring {
  constructor({ columnMs }) {
    this.columnMs = columnMs;
    this.values = new Float32Array(COLUMNS * ROWS);
    this.marks = new Float32Array(COLUMNS * 4);
    this.newest = null;
    /** Price units of a row, and the row that counts as 0 in `marks`, which have 24 bits. */
    this.step = 0;
    this.origin = 0;
    /** Columns written since the last `takeWritten`. */
    this.written = { from: 0, to: -1 };
  }

  slot(column) {
    return column % COLUMNS;
  }

  kind(column) {
    const isHeld = this.newest !== null && column <= this.newest && column > this.newest - COLUMNS;
    return isHeld ? this.marks[4 * this.slot(column) + 1] : KIND.unseen;
  }

  /** What `book` holds now, in the column of this moment. */
  sample(nowMs, book) {
    const column = Math.floor(nowMs / this.columnMs);
    const isLive = book.isLive && !Number.isNaN(book.mid) && this.step > 0;
    if (this.newest === null) {
      if (!isLive) return;
      this.newest = column;
    }
    this.advance(column);
    if (isLive) this.write(this.newest, book);
    else this.mark(this.newest, KIND.gap);
  }

  /** Columns in which nothing changed are as the one before; much later, nobody looked. */
  advance(column) {
    const before = this.newest;
    const isUnseen = column - before > UNSEEN_MS / this.columnMs;
    for (let next = Math.max(before + 1, column - COLUMNS + 1); next <= column; next += 1) {
      if (next < column) this.copy(before, next, isUnseen ? KIND.gap : this.kind(before));
      else this.marks[4 * this.slot(next) + 1] = KIND.unseen;
      this.newest = next;
    }
  }

  copy(from, to, kind) {
    const [source, target] = [this.slot(from), this.slot(to)];
    this.values.copyWithin(target * ROWS, source * ROWS, (source + 1) * ROWS);
    this.marks.copyWithin(4 * target, 4 * source, 4 * source + 4);
    this.mark(to, kind);
  }

  mark(column, kind) {
    this.marks[4 * this.slot(column) + 1] = kind;
    this.note(column);
  }

  write(column, book) {
    const slot = this.slot(column);
    const middle = Math.round((book.mid * book.scale) / this.step) - this.origin;
    const base = middle - ROWS / 2;
    const cells = this.values.subarray(slot * ROWS, (slot + 1) * ROWS);
    cells.fill(0);
    for (const side of [book.bids, book.asks]) this.fill(cells, side, base);
    const row = (price) => (price * book.scale) / this.step - this.origin;
    const kind = this.marks[4 * slot + 1] === KIND.gap ? KIND.gap : KIND.seen;
    this.marks.set([base, kind, row(book.bestBid), row(book.bestAsk)], 4 * slot);
    this.note(column);
  }

  fill(cells, side, base) {
    const { step, origin } = this;
    for (let i = 0; i < side.length; i += 1) {
      const row = groupOf(side.sign * side.keys[i], step, side.sign) - origin;
      if (row < base || row >= base + ROWS) break;
      cells[cellOf(row)] += side.quantities[i];
    }
  }

  note(column) {
    const { written } = this;
    if (written.to < written.from) this.written = { from: column, to: column };
    else this.written = { from: Math.min(written.from, column), to: Math.max(written.to, column) };
  }

  /** The columns written since the last call, at most all that are held. */
  takeWritten() {
    const { from, to } = this.written;
    this.written = { from: 0, to: -1 };
    return { from: Math.max(from, to - COLUMNS + 1), to };
  }

  /** The quantity at a row of a column, NaN where nothing is known. */
  value(column, row) {
    const slot = this.slot(column);
    const base = this.marks[4 * slot];
    if (this.kind(column) !== KIND.seen || row < base || row >= base + ROWS) return NaN;
    return this.values[slot * ROWS + cellOf(row)];
  }

  /** Rows of `step` units from now on; what is held is summed into them, bids downwards and asks upwards. */
  regroup(step, origin) {
    const [values, old] = [this.values, { step: this.step, origin: this.origin }];
    if (old.step === step) return;
    Object.assign(this, { step, origin });
    if (this.newest === null) return;
    this.values = new Float32Array(COLUMNS * ROWS);
    for (let slot = 0; slot < COLUMNS; slot += 1) {
      if (this.marks[4 * slot + 1] !== KIND.unseen) this.convert(slot, values.subarray(slot * ROWS, (slot + 1) * ROWS), old);
    }
    this.note(this.newest - COLUMNS + 1);
    this.note(this.newest);
  }

  convert(slot, before, old) {
    const mark = this.marks.subarray(4 * slot, 4 * slot + 4);
    const other = (row) => ((row + old.origin) * old.step) / this.step - this.origin;
    const [oldBase, oldBid] = [mark[0], mark[2]];
    mark[2] = other(mark[2]);
    mark[3] = other(mark[3]);
    mark[0] = Math.round((mark[2] + mark[3]) / 2) - ROWS / 2;
    for (let row = oldBase; row < oldBase + ROWS; row += 1) {
      const value = before[cellOf(row)];
      const to = row <= oldBid ? Math.floor(other(row) + 1e-6) : Math.ceil(other(row) - 1e-6);
      if (value > 0 && to >= mark[0] && to < mark[0] + ROWS) this.values[slot * ROWS + cellOf(to)] += value;
    }
  }

  /** A quantity that all but a few cells of the newest column stay below. */
  typicalLargest() {
    if (this.newest === null) return 0;
    const slot = this.slot(this.newest);
    const filled = this.values.slice(slot * ROWS, (slot + 1) * ROWS).filter((value) => value > 0).sort();
    return filled.length ? filled[Math.floor(0.97 * (filled.length - 1))] : 0;
  }
}

/** Where a row is in its column. */
export function cellOf(row) {
  return ((row % ROWS) + ROWS) % ROWS;
}
