/**
 * The spread, the imbalance and the microprice over time. No peak is lost, however many values share a pixel; times at
 * which the book did not count are hatched.
 *
 * `settings`: `minutes` (in the picture: 1, 5 or 15; 5), `levels` (of the imbalance; 10).
 */

import { formatNumber } from "../book.js";
import { Chart, clock, niceTicks, spoken } from "./kit.js";
import { Series, isGap, isKnown, pixelsFor } from "./series.js";

const FOOT = 22;
const BUCKET_MS = 250;
const MOST_MINUTES = 15;
const LABEL = "Spread, imbalance and microprice over time. Left and right move the crosshair, Escape hides it.";

export class Lines extends Chart {
  constructor(host, options) {
    super(host, options, { role: "application", label: LABEL, isFocusable: true, minIntervalMs: 100 });
    const series = () => new Series({ bucketMs: BUCKET_MS, count: (MOST_MINUTES * 60_000) / BUCKET_MS });
    this.panels = [
      { name: "Spread", series: series(), value: (book) => book.spread, text: (value) => this.price(value) },
      {
        name: "Imbalance", series: series(), value: (book) => book.imbalance(this.levels),
        text: (value) => (value > 0 ? "+" : "") + formatNumber(value, 2), isSigned: true,
      },
      { name: "Microprice", series: series(), value: (book) => book.microprice, text: (value) => this.price(value, 1) },
    ];
    this.spoken = spoken(host);
    this.cross = null;
    this.listen();
  }

  changed(message) {
    super.changed(message);
    this.sample(performance.now());
  }

  draw(nowMs) {
    const { newest } = this.panels[0].series;
    if (newest !== null && Math.floor(nowMs / BUCKET_MS) > newest) this.isDirty = true;
    super.draw(nowMs);
  }

  describe() {
    const { book } = this;
    if (!book.isLive) return `Lines: ${book.staleness}.`;
    return `${this.panels.map(({ name, value, text }) => `${name} ${text(value(book))}`).join(", ")}.`;
  }

  get levels() {
    return Math.max(1, Number(this.settings.levels) || 10);
  }

  get minutes() {
    return Math.max(1, Math.min(MOST_MINUTES, Number(this.settings.minutes) || 5));
  }

  price(value, more = 0) {
    return formatNumber(value, this.book.decimals + more);
  }

  sample(nowMs) {
    const { book } = this;
    for (const { series, value } of this.panels) {
      if (book.isLive) series.add(nowMs, value(book));
      else if (series.newest !== null) series.add(nowMs, NaN);
    }
  }

  resize() {
    super.resize();
    const { canvas } = this;
    canvas.context.font = canvas.font(11);
    const widest = this.price(this.book.bestAsk, 1);
    this.side = Math.ceil(canvas.context.measureText(widest).width) + 16;
    const pixels = Math.max(1, Math.floor(canvas.width - this.side));
    for (const panel of this.panels) panel.pixels = pixelsFor(pixels);
  }

  paint(nowMs) {
    const { canvas, theme, panels } = this;
    canvas.clear(theme.surface);
    for (const { series } of panels) if (series.newest !== null) series.advance(nowMs);
    const width = this.price(this.book.bestAsk, 1).length;
    if (width !== this.textWidth) this.resize();
    this.textWidth = width;
    const height = (canvas.height - FOOT) / panels.length;
    panels.forEach((panel, i) => this.paintPanel(panel, Math.round(i * height), Math.round((i + 1) * height)));
    this.paintTimes(nowMs);
    if (this.cross !== null) this.paintCross(height);
    if (!this.book.isLive) this.paintReason();
    this.isDirty = false;
  }

  paintPanel(panel, top, bottom) {
    const { canvas, theme } = this;
    const { series, pixels, name, text } = panel;
    series.decimate((this.minutes * 60_000) / BUCKET_MS, pixels);
    this.fit(panel);
    const right = pixels.low.length;
    canvas.line(0, bottom, canvas.width, bottom, theme.grid);
    const [low, high] = panel.range;
    const y = (value) => bottom - 8 - ((value - low) / (high - low)) * (bottom - top - 30);
    for (const tick of niceTicks(low, high, Math.max(2, Math.floor((bottom - top) / 36))).ticks) {
      canvas.line(0, y(tick), right, y(tick), theme.grid);
      canvas.text(text(tick), right + 8, y(tick), { colour: theme.muted, size: 10 });
    }
    this.paintGaps(pixels, top, bottom);
    if (panel.isSigned) this.paintSigned(pixels, y);
    this.paintLine(pixels, y, panel.isSigned ? theme.text : theme.accent);
    const latest = this.book.isLive ? text(series.latest) : "–";
    canvas.text(name, 8, top + 12, { colour: theme.muted, back: theme.surface });
    const wide = canvas.context.measureText(name).width;
    canvas.text(latest, 16 + wide, top + 12, { colour: theme.text, weight: 600, back: theme.surface });
    if (!Number.isNaN(series.latest) && this.book.isLive) {
      const text = { colour: theme.surface, back: panel.isSigned ? theme.text : theme.accent, size: 10, weight: 600 };
      canvas.text(latest, right + 8, y(series.latest), text);
    }
  }

  /** Values of a panel from the bottom to the top; changes in steps, so that the picture holds still. */
  fit(panel) {
    const { pixels } = panel;
    if (panel.isSigned) {
      panel.range = [-1, 1];
      return;
    }
    let [low, high] = [Infinity, -Infinity];
    for (let i = 0; i < pixels.low.length; i += 1) {
      if (!isKnown(pixels.marks[i])) continue;
      low = Math.min(low, pixels.low[i]);
      high = Math.max(high, pixels.high[i]);
    }
    if (low > high) [low, high] = panel.range ?? [0, 1];
    const room = Math.max(high - low, 2 * this.book.tickSize);
    const [from, to] = panel.range ?? [Infinity, -Infinity];
    if (low >= from && high <= to && to - from < 2.5 * room) return;
    panel.range = [panel.name === "Spread" ? 0 : low - 0.15 * room, high + 0.15 * room];
  }

  paintLine(pixels, y, colour) {
    const { context } = this.canvas;
    context.beginPath();
    let isDown = false;
    for (let i = 0; i < pixels.low.length; i += 1) {
      if (!isKnown(pixels.marks[i])) {
        isDown = false;
        continue;
      }
      const [first, last] = [y(pixels.first[i]), y(pixels.last[i])];
      if (isDown) context.lineTo(i, first);
      else context.moveTo(i, first);
      if (pixels.low[i] !== pixels.high[i]) {
        const [low, high] = [y(pixels.low[i]), y(pixels.high[i])];
        context.lineTo(i + 0.5, first < last ? high : low);
        context.lineTo(i + 0.5, first < last ? low : high);
        context.lineTo(i + 0.5, last);
      }
      context.lineTo(i + 1, last);
      isDown = !isGap(pixels.marks[i]);
    }
    context.lineWidth = 1.25;
    context.lineJoin = "round";
    context.strokeStyle = colour;
    context.stroke();
  }

  /** Above zero the bids weigh more, below the asks, which are hatched. */
  paintSigned(pixels, y) {
    const { canvas, theme } = this;
    const { context } = canvas;
    for (const sign of [1, -1]) {
      context.beginPath();
      for (let i = 0; i < pixels.low.length; i += 1) {
        const value = pixels.last[i];
        if (isKnown(pixels.marks[i]) && sign * value > 0) context.rect(i, Math.min(y(0), y(value)), 1, Math.abs(y(value) - y(0)));
      }
      context.globalAlpha = sign > 0 ? 0.3 : 0.16;
      context.fillStyle = sign > 0 ? theme.bid : theme.ask;
      context.fill();
      context.globalAlpha = 0.5;
      context.fillStyle = sign > 0 ? "transparent" : canvas.hatch(theme.ask, 1, { gap: 5 });
      context.fill();
      context.globalAlpha = 1;
    }
  }

  paintGaps(pixels, top, bottom) {
    const { canvas, theme } = this;
    const { context } = canvas;
    context.fillStyle = canvas.hatch(theme.muted, 0.45);
    for (let i = 0; i < pixels.low.length; i += 1) {
      if (isGap(pixels.marks[i])) context.fillRect(i, top + 1, 1, bottom - top - 1);
    }
  }

  paintTimes(nowMs) {
    const { canvas, theme, panels } = this;
    const right = panels[0].pixels.low.length;
    const pixelMs = (this.minutes * 60_000) / right;
    const step = [5, 10, 15, 30, 60, 120, 300].find((seconds) => (1000 * seconds) / pixelMs > 80) ?? 600;
    const end = nowMs + performance.timeOrigin;
    for (let time = Math.floor(end / 1000 / step) * step; ; time -= step) {
      const x = right - (end - 1000 * time) / pixelMs;
      if (x < 28) break;
      const text = { colour: theme.muted, align: "center" };
      canvas.text(clock(1000 * time - performance.timeOrigin, step < 60), x, canvas.height - FOOT / 2, text);
    }
  }

  paintCross(height) {
    const { canvas, theme, panels } = this;
    const right = panels[0].pixels.low.length;
    const x = Math.max(0, Math.min(right - 1, Math.round(this.cross)));
    canvas.line(x, 0, x, canvas.height - FOOT, theme.muted);
    this.figures(x).forEach((figure, i) => {
      const align = x > right / 2 ? "right" : "left";
      const place = align === "right" ? x - 8 : x + 8;
      canvas.text(figure, place, Math.round((i + 1) * height) - 14, { colour: theme.text, back: theme.surface, align });
    });
  }

  /** What each panel shows at a pixel. */
  figures(x) {
    return this.panels.map(({ pixels, text }) => {
      if (!isKnown(pixels.marks[x])) return isGap(pixels.marks[x]) ? "not synced" : "–";
      const [low, high] = [text(pixels.low[x]), text(pixels.high[x])];
      return low === high ? low : `${low} to ${high}`;
    });
  }

  paintReason() {
    const { canvas, theme, book } = this;
    const text = { colour: theme.text, back: theme.surface, align: "right", size: 12 };
    canvas.text(book.staleness, canvas.width - this.side - 12, 13, text);
  }

  listen() {
    const { element } = this.canvas;
    element.style.touchAction = "pan-y";
    for (const name of ["pointermove", "pointerdown"]) {
      element.addEventListener(name, (event) => this.point(event.offsetX));
    }
    element.addEventListener("pointerleave", () => this.point(null));
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.press(event.key)) return;
      event.preventDefault();
    });
  }

  point(x) {
    this.cross = x;
    this.changeNow();
  }

  press(key) {
    const right = this.canvas.width - this.side;
    const step = { ArrowLeft: -4, ArrowRight: 4, PageUp: 40, PageDown: -40 }[key];
    if (key === "Escape" && this.cross !== null) this.point(null);
    else if (step) {
      this.point(Math.max(0, Math.min(right - 1, (this.cross ?? right - 1) + step)));
      const x = Math.round(Math.min(right - 1, this.cross));
      this.spoken.textContent = this.figures(x).map((figure, i) => `${this.panels[i].name} ${figure}`).join(", ");
    } else return false;
    return true;
  }
}
