/**
 * The cumulative depth: bids left, asks right, hatched where levels are not proven.
 *
 * `settings`: `zoom` (1 shows the complete range, 2 half of it …).
 */

import { Chart, compact, niceTicks } from "./kit.js";
import { steadyScale } from "./rows.js";

export const HEAD = 10;
export const FOOT = 22;

export class Depth extends Chart {
  constructor(host, options) {
    super(host, options, { label: "Cumulative depth", controls: () => import("./controls/depth.js") });
    this.cross = null;
    this.scale = 1;
    this.centre = this.half = NaN;
  }

  get zoom() {
    return Math.min(64, Math.max(0.25, Number(this.settings.zoom) || 1));
  }

  paint() {
    const { book } = this;
    this.clear();
    this.floor = this.height - FOOT;
    if (book.mid > 0) {
      this.arrange();
      this.paintAxes();
      for (const side of ["bids", "asks"]) this.paintSide(side);
      for (const side of ["bids", "asks"]) this.paintUnproven(side);
      for (const sum of this.sums) this.text(compact(sum), 6, this.y(sum), { size: 10, back: this.theme.surface });
      if (this.cross !== null && book.isLive) this.paintCross();
    }
    this.paintStaleness();
  }

  /** The middle and the width of the prices, and the scale of the sums, which move seldom. */
  arrange() {
    const { book } = this;
    const half = reach(book) / this.zoom;
    if (!(Math.abs(Math.log(half / this.half)) < 0.15)) this.half = half;
    if (!(Math.abs(book.mid - this.centre) < 0.04 * this.half)) this.centre = book.mid;
    const sums = [book.bids, book.asks].map((side) => {
      const end = side.find((this.centre + side.sign * this.half) * book.scale);
      return side.quantities.subarray(0, end).reduce((sum, quantity) => sum + quantity, 0);
    });
    this.scale = steadyScale(1.02 * Math.max(...sums), this.scale);
  }

  x(price) {
    return (0.5 + (price - this.centre) / (2 * this.half)) * this.width;
  }

  y(sum) {
    return this.floor - (sum / this.scale) * (this.floor - HEAD);
  }

  priceText(price) {
    return this.book.priceText(Math.round(price * this.book.scale));
  }

  paintAxes() {
    const { centre, half, width, floor } = this;
    for (const price of niceTicks(centre - half, centre + half, Math.max(2, width / 110))) {
      const x = this.x(price);
      this.line(x, HEAD, x, floor);
      if (x > 36 && x < width - 36) this.text(this.priceText(price), x, floor + FOOT / 2, { align: "center" });
    }
    this.sums = niceTicks(0, this.scale, Math.max(2, (floor - HEAD) / 44)).slice(1);
    for (const sum of this.sums) this.line(0, this.y(sum), width, this.y(sum));
    this.line(this.x(this.book.mid), HEAD, this.x(this.book.mid), floor, this.theme.muted);
  }

  /** The area of one side, at most one step per pixel. */
  paintSide(name) {
    const { context, theme, floor, book } = this;
    const side = book[name];
    const [colour, end] = side.sign < 0 ? [theme.bid, -2] : [theme.ask, this.width + 2];
    let [sum, x] = [0, this.snap(this.x(side.price(0)))];
    context.beginPath();
    context.moveTo(x, floor);
    for (let i = 0; i < side.length && side.sign * (x - end) <= 0; i += 1) {
      const next = this.snap(this.x(side.price(i)));
      if (next !== x) {
        context.lineTo(x, this.y(sum));
        context.lineTo(next, this.y(sum));
        x = next;
      }
      sum += side.quantities[i];
    }
    context.lineTo(x, this.y(sum));
    context.lineTo(end, this.y(sum));
    context.lineWidth = 1.5;
    context.strokeStyle = colour;
    context.stroke();
    context.lineTo(end, floor);
    const fills = side.sign < 0 ? [[colour, 0.24]] : [[colour, 0.1], [this.hatch(colour), 0.28]];
    for (const [fill, alpha] of fills) {
      context.globalAlpha = alpha;
      context.fillStyle = fill;
      context.fill();
    }
    context.globalAlpha = 1;
  }

  paintUnproven(name) {
    const { book, theme, width, floor } = this;
    const { sign } = book[name];
    const units = book.provenTo(name);
    const start = this.x(Number.isNaN(units) ? book[name].price(0) : units / book.scale);
    const [left, wide] = sign < 0 ? [0, start] : [start, width - start];
    if (!(wide > 0)) return;
    this.fill(theme.surface, left, HEAD, wide, floor - HEAD, 0.62);
    this.fill(this.hatch(theme.muted, 7, true), left, HEAD, wide, floor - HEAD, 0.3);
    this.line(start, HEAD, start, floor, theme.muted);
    const text = { align: sign < 0 ? "left" : "right", back: theme.surface };
    if (wide > 30) this.text("not proven", sign < 0 ? 6 : width - 6, floor - 12, text);
  }
}

/** How far from the mid the picture reaches: a little beyond what is proven. */
export function reach(book) {
  const distance = (name) => {
    const [side, units] = [book[name], book.provenTo(name)];
    const isBounded = units > 0 && units < Infinity;
    return Math.abs((isBounded ? units / book.scale : side.price(Math.min(side.length, 1000) - 1)) - book.mid);
  };
  return Math.max(book.tickSize, Math.min(0.2 * book.mid, 1.15 * Math.max(distance("bids"), distance("asks"))));
}
