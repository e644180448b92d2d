/** What readers do in the lines: move a crosshair with the figures of each panel. */

import { FOOT } from "../lines.js";
import { GAP, KNOWN } from "../series.js";

export const controls = {
  label: "Spread, imbalance and microprice over time. Left and right move the crosshair, Escape hides it.",

  describe() {
    const { book } = this;
    if (!book.isLive) return `Lines: ${book.staleness}.`;
    return `${this.panels.map(({ name, value, text }) => `${name} ${text(value(book))}`).join(", ")}.`;
  },

  paintCross(part) {
    const { theme, right, height } = this;
    const x = this.place;
    this.line(x, 0, x, height - FOOT, theme.muted);
    const [align, at] = x > right / 2 ? ["right", x - 8] : ["left", x + 8];
    this.figures().forEach((figure, i) => {
      this.text(figure, at, Math.round((i + 1) * part) - 14, { colour: theme.text, back: theme.surface, align });
    });
  },

  get place() {
    return Math.max(0, Math.min(this.right - 1, Math.round(this.cross)));
  },

  /** What each panel shows at the crosshair. */
  figures() {
    return this.panels.map(({ pixels, text }) => {
      const mark = pixels.marks[this.place];
      if (!(mark & KNOWN)) return mark & GAP ? "no data" : "–";
      const [low, high] = [text(pixels.low[this.place]), text(pixels.high[this.place])];
      return low === high ? low : `${low} to ${high}`;
    });
  },

  point(x) {
    this.cross = x;
  },

  press(key) {
    const step = { ArrowLeft: -4, ArrowRight: 4, PageUp: 40, PageDown: -40 }[key];
    if (key === "Escape" && this.cross !== null) this.cross = null;
    else if (step && this.right) {
      this.cross = (this.cross === null ? this.right - 1 : this.place) + step;
      this.spoken.textContent = this.figures().map((figure, i) => `${this.panels[i].name} ${figure}`).join(", ");
    } else return false;
    this.change();
    return true;
  },
};
