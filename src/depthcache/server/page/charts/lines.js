/**
 * The spread, the imbalance and the microprice over time. No peak is lost, however many values share a pixel; times at
 * which the book did not count are hatched.
 *
 * `settings`: `minutes` (in the picture: at most 15; by default 1, 5 or 15, as long as the history), `levels` (of the
 * imbalance; 10).
 */

import { formatNumber } from "../book.js";
import { Chart, niceTicks } from "./kit.js";
import { GAP, KNOWN, Series } from "./series.js";

export const FOOT = 22;
const BUCKET_MS = 250;
const MINUTE = 60_000 / BUCKET_MS;

export class Lines extends Chart {
  constructor(host, options) {
    super(host, options, { label: "Spread, imbalance, microprice", controls: () => import("./controls/lines.js"), minIntervalMs: 100 });
    const panel = (name, value, text) => ({
      name, value, text, series: new Series({ bucketMs: BUCKET_MS, count: 15 * MINUTE }), range: [0, 1],
    });
    const levels = Number(this.settings.levels) || 10;
    this.panels = [
      panel("Spread", (book) => book.spread, (value) => this.price(value)),
      panel("Imbalance", (book) => book.imbalance(levels), (value) => (value > 0 ? "+" : "") + formatNumber(value, 2)),
      panel("Microprice", (book) => book.microprice, (value) => this.price(value, 1)),
    ];
    this.cross = null;
  }

  changed() {
    super.changed();
    this.sample(performance.now());
  }

  draw(nowMs) {
    const { newest } = this.panels[0].series;
    if (newest !== null && Math.floor(nowMs / BUCKET_MS) > newest) this.isDirty = true;
    super.draw(nowMs);
  }

  price(value, more = 0) {
    return formatNumber(value, this.book.decimals + more);
  }

  sample(nowMs) {
    const { book } = this;
    for (const { series, value } of this.panels) {
      if (book.isLive || series.newest !== null) series.add(nowMs, book.isLive ? value(book) : NaN);
    }
  }

  get minutes() {
    const { newest, oldest } = this.panels[0].series;
    const history = (newest - oldest) / MINUTE;
    return Math.min(15, Number(this.settings.minutes) || [1, 5].find((minutes) => minutes > history) || 15);
  }

  paint(nowMs) {
    const { panels, width, height, book } = this;
    this.clear();
    const wide = Math.max(7, this.price(book.bestAsk, 1).length);
    this.right = Math.max(1, Math.floor(width - wide * this.digit - 18));
    const part = (height - FOOT) / panels.length;
    panels.forEach((panel, i) => {
      if (panel.series.newest !== null) panel.series.advance(nowMs);
      panel.pixels = panel.series.decimate(this.minutes * MINUTE, this.right);
      this.paintPanel(panel, Math.round(i * part), Math.round((i + 1) * part));
    });
    this.paintTimes(this.right, nowMs, (this.minutes * 60_000) / this.right);
    if (this.cross !== null) this.paintCross(part);
    this.paintStaleness({ width: this.right, isHatched: false });
  }

  paintPanel(panel, top, bottom) {
    const { theme, right, width, book } = this;
    const { pixels, name, text, series } = panel;
    const isSigned = name === "Imbalance";
    const colour = isSigned ? theme.text : theme.accent;
    const [low, high] = (panel.range = isSigned ? [-1, 1] : this.range(panel));
    const y = (value) => bottom - 8 - ((value - low) / (high - low)) * (bottom - top - 34);
    this.line(0, bottom, width, bottom);
    for (const tick of niceTicks(low, high, Math.max(2, (bottom - top) / 36))) {
      this.line(0, y(tick), right, y(tick));
      this.text(text(tick), right + 8, y(tick), { size: 10 });
    }
    const gap = this.hatch(theme.muted, 7);
    for (let x = 0; x < right; x += 1) if (pixels.marks[x] & GAP) this.fill(gap, x, top + 1, 1, bottom - top - 1, 0.45);
    if (isSigned) this.paintSigned(pixels, y);
    this.paintLine(pixels, y, colour);
    const latest = book.isLive ? text(series.latest) : "–";
    this.text(name, 8, top + 12, { back: theme.surface });
    this.text(latest, 16 + name.length * this.digit, top + 12, { colour: theme.text, weight: 600, back: theme.surface });
    if (!book.isLive) return;
    this.text(latest, right + 8, y(series.latest), { colour: theme.surface, back: colour, size: 10, weight: 600 });
  }

  /** The values of a panel, from the bottom to the top; they change in steps, so that the picture holds still. */
  range({ name, pixels, range }) {
    const known = (values) => values.filter((_, x) => pixels.marks[x] & KNOWN);
    const [low, high] = [Math.min(...known(pixels.low)), Math.max(...known(pixels.high))];
    const room = Math.max(high - low, 2 * this.book.tickSize);
    if (low > high || (low >= range[0] && high <= range[1] && range[1] - range[0] < 2.5 * room)) return range;
    return [name === "Spread" ? 0 : low - 0.15 * room, high + 0.15 * room];
  }

  paintLine({ low, high, last, marks }, y, colour) {
    const { context, right } = this;
    context.beginPath();
    for (let x = 0; x < right; x += 1) {
      if (!(marks[x] & KNOWN)) continue;
      const isJoined = x > 0 && marks[x - 1] === KNOWN;
      const rises = isJoined && last[x - 1] <= last[x];
      const [from, to] = rises ? [low[x], high[x]] : [high[x], low[x]];
      if (isJoined) context.lineTo(x + 0.5, y(from));
      else context.moveTo(x + 0.5, y(from));
      if (from !== to) context.lineTo(x + 0.5, y(to));
      context.lineTo(x + 1, y(last[x]));
    }
    context.lineWidth = 1.25;
    context.lineJoin = "round";
    context.strokeStyle = colour;
    context.stroke();
  }

  /** Above zero the bids weigh more, below the asks, which are hatched. */
  paintSigned({ last, marks }, y) {
    const { theme, context, right } = this;
    for (const [sign, fills] of [[1, [[theme.bid, 0.32]]], [-1, [[theme.ask, 0.16], [this.hatch(theme.ask, 5), 0.5]]]]) {
      const area = new Path2D();
      for (let x = 0; x < right; x += 1) {
        if (marks[x] & KNOWN && sign * last[x] > 0) area.rect(x, y(0), 1, y(last[x]) - y(0));
      }
      for (const [fill, alpha] of fills) {
        context.globalAlpha = alpha;
        context.fillStyle = fill;
        context.fill(area);
      }
    }
    context.globalAlpha = 1;
  }
}
