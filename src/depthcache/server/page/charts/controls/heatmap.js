/** What readers do in the depth over time: move a crosshair, show more or fewer prices, more or less time. */

import { clock, compact } from "../kit.js";
import { KIND } from "../ring.js";

export const controls = {
  label:
    "Depth over time. The arrow keys move the crosshair, plus and minus zoom the prices, comma and period the time, " +
    "Escape hides the crosshair.",

  buttons: [
    ["-", "−", "More prices"], ["+", "+", "Fewer prices"], [",", "‹", "More time"], [".", "›", "Less time"],
  ],

  describe() {
    const { book, ring } = this;
    if (!book.isLive) return `Depth over time: ${book.staleness}.`;
    if (!(book.mid > 0)) return "Depth over time: one side has no levels.";
    return `Depth over time: mid ${this.price(book.mid)}, rows of ${book.priceText(ring.step || book.tick)}.`;
  },

  paintCross() {
    const { theme, cross, right, floor } = this;
    const [time, price, quantity] = this.figures();
    this.line(cross.x, 0, cross.x, floor, theme.muted);
    this.line(0, cross.y, right, cross.y, theme.muted);
    const [align, x] = cross.x > right / 2 ? ["right", cross.x - 10] : ["left", cross.x + 10];
    const text = { colour: theme.text, back: theme.surface, align, size: 12 };
    this.text(`${time}  ${quantity}`, x, cross.y < 40 ? cross.y + 16 : cross.y - 14, text);
    this.text(price, right + 10, cross.y, { colour: theme.surface, back: theme.text });
  },

  /** The time, the price and the quantity under the crosshair. */
  figures() {
    const { ring, view, cross, ratio } = this;
    const back = Math.floor((view.width - 1 - Math.round(cross.x * ratio)) / view.stretch);
    const column = (Math.floor(ring.newest / view.pool) - back) * view.pool;
    const row = Math.ceil(view.top - 1 - (cross.y * view.rows) / this.floor);
    const value = ring.value(column, row);
    const nothing = ring.kind(column) === KIND.gap ? "no data" : "nothing known";
    const quantity = Number.isNaN(value) ? nothing : `quantity ${compact(value)}`;
    return [clock(column * ring.columnMs), this.book.priceText((row + ring.origin) * ring.step), quantity];
  },

  point(x, y) {
    this.cross = this.view && x !== null && x < this.right && y < this.floor ? { x, y } : null;
  },

  press(key) {
    const moves = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] };
    const factor = { "+": 0.5, "=": 0.5, "-": 2 }[key];
    if (factor) this.choose({ rows: Math.max(125, Math.min(1000, this.rows * factor)) });
    else if (key === "." || key === ",") this.choose({ zoom: nextZoom(this.zoom, key === "." ? 1 : -1) });
    else if (key === "Escape" && this.cross) this.cross = null;
    else if (key in moves && this.view) {
      const { x, y } = this.cross ?? { x: this.right - 40, y: this.floor / 2 };
      const [dx, dy] = moves[key];
      this.point(Math.max(0, Math.min(this.right - 1, x + dx)), Math.max(0, Math.min(this.floor - 1, y + dy)));
      this.spoken.textContent = this.figures().join(", ");
    } else return false;
    this.change();
    return true;
  },
};

/** … -3, -2, 1, 2 …: from columns per pixel to pixels per column. */
function nextZoom(zoom, by) {
  const next = zoom + by;
  return next > -2 && next < 1 ? (by > 0 ? 1 : -2) : Math.max(-8, Math.min(8, next));
}
