/** What readers do in the cumulative depth: move a crosshair with the figures of both sides, and zoom. */

import { FOOT, HEAD, reach } from "../depth.js";
import { compact } from "../kit.js";
import { costOf } from "./cost.js";

export const controls = {
  label: "Depth. Left and right move the crosshair, plus and minus zoom, Escape hides the crosshair.",

  buttons: [["-", "−", "Zoom out"], ["+", "+", "Zoom in"]],

  describe() {
    const { book } = this;
    if (!book.isLive) return `Depth: ${book.staleness}.`;
    if (!(book.mid > 0)) return "Depth: one side has no levels.";
    return `Depth ${this.figures(book.mid + (this.half || reach(book))).join(", ")}.`;
  },

  price(x) {
    return this.centre + (x / this.width - 0.5) * 2 * this.half;
  },

  /** The same distance on both sides, with the figures of each. */
  paintCross() {
    const { context, theme, book, cross, floor, width } = this;
    const price = this.price(cross);
    for (const [side, colour] of [["bids", theme.bid], ["asks", theme.ask]]) {
      const [x, cost] = [this.x(this.mirror(side, price)), this.cost(side, price)];
      this.line(x, HEAD, x, floor, Math.abs(x - cross) < 1 ? theme.text : theme.muted);
      context.beginPath();
      context.arc(x, this.y(cost?.quantity ?? 0), 4, 0, 7);
      context.fillStyle = colour;
      context.fill();
    }
    const colours = [theme.text, theme.bid, theme.ask];
    this.figures(price).forEach((text, i) => {
      this.text(text, width / 2, HEAD + 12 + 18 * i, { colour: colours[i], align: "center", back: theme.surface, size: 12 });
    });
    const place = Math.max(40, Math.min(width - 40, cross));
    const text = { colour: theme.surface, back: theme.text, align: "center" };
    this.text(this.priceText(price), place, floor + FOOT / 2, text);
  },

  /** The price on a side that is as far from the mid. */
  mirror(side, price) {
    return this.book.mid + this.book[side].sign * Math.abs(price - this.book.mid);
  },

  cost(side, price) {
    const { sign, scale } = this.book[side];
    return costOf(this.book, side, sign * Math.floor(sign * this.mirror(side, price) * scale + 1e-6));
  },

  /** The distance of a price from the mid, and what lies within it on each side. */
  figures(price) {
    const share = Math.abs(price / this.book.mid - 1);
    const line = (side) => {
      const cost = this.cost(side, price);
      if (!cost) return `${side} 0`;
      const proven = cost.isProven ? "" : ", not proven";
      return `${side} ${compact(cost.quantity)}, slippage ${cost.slippageBps.toFixed(2)} bp${proven}`;
    };
    return [`within ${(100 * share).toPrecision(3)} % of the mid`, line("bids"), line("asks")];
  },

  point(x) {
    this.cross = x;
  },

  press(key) {
    const step = { ArrowLeft: -4, ArrowRight: 4, PageUp: 40, PageDown: -40 }[key];
    const factor = { "+": 2, "=": 2, "-": 0.5 }[key];
    if (factor) this.choose({ zoom: Math.min(64, Math.max(0.25, this.zoom * factor)) });
    else if (key === "Escape" && this.cross !== null) this.cross = null;
    else if (step && this.half > 0) {
      this.cross = Math.max(0, Math.min(this.width, (this.cross ?? this.width / 2) + step));
      this.spoken.textContent = this.figures(this.price(this.cross)).join("; ");
    } else return false;
    this.change();
    return true;
  },
};
