/**
 * The heatmap's memory: the newest columns of time, each with the quantities at the prices around the mid of its moment.
 *
 * Columns and rows are rings: column `c` is slot `c % COLUMNS`, price row `r` is cell `r & (ROWS - 1)` of it. Each column
 * notes its lowest row, so the view moves to other prices without a copy, and old columns stay what they were. The arrays
 * have the layout of the textures: `values` ROWS cells per column, `marks` four numbers: lowest row, kind, bid, ask.
 */

import { groupOf } from "../book.js";
import { UNSEEN_MS } from "./series.js";

export const COLUMNS = 1800;
export const ROWS = 1024;
export const KIND = { unseen: 0, seen: 1, gap: 2 };

export class Ring {
  constructor(columnMs) {
    this.columnMs = columnMs;
    this.values = new Float32Array(COLUMNS * ROWS);
    this.marks = new Float32Array(COLUMNS * 4);
    this.newest = this.oldest = null;
    /** Price units of a row; and the row that counts as 0 in `marks`, whose numbers have 24 bits. */
    this.step = this.origin = 0;
    /** The oldest column written since the painter was last here. */
    this.writtenFrom = Infinity;
  }

  /** What `book` holds now, in the column of this moment. A gap in a column stays. */
  sample(nowMs, book) {
    const column = Math.floor(nowMs / this.columnMs);
    if (this.newest === null) {
      if (!book.isLive) return;
      this.newest = this.oldest = column;
    }
    this.advance(column);
    if (book.isLive && book.mid > 0) this.write(this.newest, book);
    else this.mark(this.newest, KIND.gap);
  }

  /** Columns in which nothing changed repeat the one before; after a long time without samples they are gaps. */
  advance(column) {
    const before = this.newest;
    const isUnseen = column - before > UNSEEN_MS / this.columnMs;
    const kind = isUnseen ? KIND.gap : this.marks[4 * (before % COLUMNS) + 1];
    for (let next = Math.max(before + 1, column - COLUMNS + 1); next <= column; next += 1) {
      const [source, target] = [before % COLUMNS, next % COLUMNS];
      this.values.copyWithin(target * ROWS, source * ROWS, (source + 1) * ROWS);
      this.marks.copyWithin(4 * target, 4 * source, 4 * source + 4);
      this.mark(next, next === column ? KIND.unseen : kind);
    }
    this.newest = Math.max(before, column);
  }

  mark(column, kind) {
    this.marks[4 * (column % COLUMNS) + 1] = kind;
    this.writtenFrom = Math.min(this.writtenFrom, column);
  }

  write(column, book) {
    const slot = column % COLUMNS;
    const row = (price) => (price * book.scale) / this.step - this.origin;
    const base = Math.round(row(book.mid)) - ROWS / 2;
    const cells = this.values.subarray(slot * ROWS, (slot + 1) * ROWS).fill(0);
    for (const side of [book.bids, book.asks]) {
      for (let i = 0; i < side.length; i += 1) {
        const group = groupOf(side.units(i), this.step, side.sign) - this.origin;
        if (group < base || group >= base + ROWS) break;
        cells[group & (ROWS - 1)] += side.quantities[i];
      }
    }
    const kind = this.marks[4 * slot + 1] === KIND.gap ? KIND.gap : KIND.seen;
    this.marks.set([base, kind, row(book.bestBid), row(book.bestAsk)], 4 * slot);
    this.mark(column, kind);
  }

  kind(column) {
    const isHeld = column >= this.oldest && column <= this.newest && column > this.newest - COLUMNS;
    return isHeld ? this.marks[4 * (column % COLUMNS) + 1] : KIND.unseen;
  }

  /** The quantity at a row of a column, NaN where nothing is known. */
  value(column, row) {
    const slot = column % COLUMNS;
    const base = this.marks[4 * slot];
    if (this.kind(column) !== KIND.seen || row < base || row >= base + ROWS) return NaN;
    return this.values[slot * ROWS + (row & (ROWS - 1))];
  }

  /** A quantity that nearly all cells of the newest column stay below. */
  typicalLargest() {
    const slot = this.newest % COLUMNS;
    const filled = this.values.slice(slot * ROWS, (slot + 1) * ROWS).filter((value) => value > 0).sort();
    return filled[Math.floor(0.97 * (filled.length - 1))] ?? 0;
  }
}
