/**
 * The depth over time: price rows against columns of time, stronger where more is offered, with the best prices as lines.
 * Columns in which the book did not count are hatched.
 *
 * `settings`: `rows` (price rows in the picture, 125 to 1,000; 500), `zoom` (pixels per column if above 0, columns per
 * pixel if below; by default 1, and more while the history is short), `columnMs` (250) and `renderer` ("webgl" or
 * "canvas"; by default the first that works), both fixed when the chart is made.
 */

import { groupSteps } from "../book.js";
import { Chart, fit, niceTicks } from "./kit.js";
import { Ring } from "./ring.js";
import { ShaderPainter } from "./shader.js";
import { steadyScale } from "./rows.js";

const FOOT = 22;
const RESCALE_MS = 1000;
/** How long the price step of a row waits for the complete range to be known. */
const WAIT_MS = 1500;
const PALETTES = {
  dark: ["#0d1015", "#221c4d", "#4a36a3", "#9155cf", "#dc8fe0", "#fff0fb"],
  light: ["#ffffff", "#e6dffa", "#bda9f0", "#8761dc", "#5a2fb0", "#240b58"],
};

export class Heatmap extends Chart {
  constructor(host, options) {
    super(host, options, { label: "Depth over time", controls: () => import("./controls/heatmap.js"), minIntervalMs: 100 });
    this.ring = new Ring(Number(this.settings.columnMs) || 250);
    this.scale = 1;
    this.rescaledMs = -Infinity;
    this.centre = NaN;
    this.cross = this.pixels = null;
    if (this.settings.renderer !== "canvas") this.webgl = this.begin(ShaderPainter);
  }

  /** Columns are added while the page is hidden and nothing is drawn. */
  changed() {
    super.changed();
    const nowMs = performance.now();
    if (this.isColumnOver(nowMs) || !this.book.isLive) this.sample(nowMs);
  }

  draw(nowMs) {
    if (this.isColumnOver(nowMs) || this.painter !== this.choosePainter()) this.isDirty = true;
    super.draw(nowMs);
  }

  isColumnOver(nowMs) {
    return this.ring.newest === null || Math.floor(nowMs / this.ring.columnMs) > this.ring.newest;
  }

  resize() {
    super.resize();
    const { theme, book } = this;
    this.digits = book.priceText(book.asks.units(0)).length;
    this.right = Math.max(1, this.width - Math.ceil(this.digits * this.digit) - 22);
    this.floor = this.height - FOOT;
    this.host.style.setProperty("--bar", `${this.width - this.right + 8}px`);
    const palette = PALETTES[theme.isDark ? "dark" : "light"].map(rgb);
    palette[0] = rgb(theme.surface);
    this.colours = { palette, bid: rgb(theme.bid), ask: rgb(theme.ask), muted: rgb(theme.muted) };
    this.painter = null;
  }

  dispose() {
    this.webgl?.dispose();
    super.dispose();
  }

  sample(nowMs) {
    const { ring, book } = this;
    if (book.isLive && !ring.step) {
      this.liveMs ??= nowMs;
      if (Number.isNaN(book.provenTo("asks")) && nowMs - this.liveMs < WAIT_MS) return;
      ring.step = rowStep(book);
      ring.origin = Math.round((book.mid * book.scale) / ring.step) || 0;
    }
    if (!ring.step) return;
    ring.step *= book.scale / (this.unitScale ?? book.scale); // the book got more decimals
    this.unitScale = book.scale;
    ring.sample(nowMs, book);
  }

  paint(nowMs) {
    const { ring, book } = this;
    this.sample(nowMs);
    if (ring.newest === null) {
      this.clear();
      this.paintStaleness();
      return;
    }
    if (book.isLive && book.priceText(book.asks.units(0)).length !== this.digits) this.resize();
    this.context.clearRect(0, 0, this.width, this.height);
    this.arrange(nowMs);
    this.paintPicture();
    this.paintAxes();
    if (this.cross) this.paintCross();
    this.paintStaleness({ width: this.right, isHatched: false });
    this.isDirty = false;
  }

  get rows() {
    return Math.max(125, Math.min(1000, Number(this.settings.rows) || 500));
  }

  get zoom() {
    const history = this.ring.newest - this.ring.oldest + 1;
    const fitting = Math.max(1, Math.min(4, Math.floor((this.right * this.ratio) / 1.5 / history)));
    return Math.max(-8, Math.min(8, Math.round(Number(this.settings.zoom)) || fitting));
  }

  /** Which prices and times are in the picture, and which quantity has the last colour. */
  arrange(nowMs) {
    const { ring, book, rows, ratio, zoom } = this;
    const middle = (book.mid * book.scale) / ring.step - ring.origin;
    if (!(Math.abs(middle - this.centre) < rows / 4) && middle) this.centre = Math.round(middle);
    if (nowMs - this.rescaledMs > RESCALE_MS) {
      this.scale = steadyScale(ring.typicalLargest(), this.scale);
      this.rescaledMs = nowMs;
    }
    const [width, height] = [this.right, this.floor].map((length) => Math.max(1, Math.round(length * ratio)));
    const columns = { pool: Math.max(1, -zoom), stretch: Math.max(1, zoom) };
    const lines = { scale: this.scale, line: Math.max(1, Math.round(1.5 * ratio)) };
    this.view = { width, height, ...columns, top: this.centre + Math.ceil(rows / 2), rows, ...lines };
  }

  paintPicture() {
    const painter = this.choosePainter();
    if (!painter) return;
    if (painter !== this.painter) {
      for (const each of [this.webgl, this.pixels]) if (each) each.canvas.hidden = each !== painter;
      fit(painter.canvas, this.right, this.floor, this.ratio);
      painter.isWhole = true;
      painter.recolour(this.colours);
      this.painter = painter;
    }
    painter.paint(this.ring, this.view);
    this.ring.writtenFrom = Infinity;
  }

  /** WebGL2 if there is one and it is not lost; otherwise the canvas, null until it is loaded. */
  choosePainter() {
    if (this.webgl && !this.webgl.isLost) return this.webgl;
    if (!this.pixels) this.loadPixels();
    return this.pixels;
  }

  async loadPixels() {
    if (this.isLoading) return;
    this.isLoading = true;
    const { PixelPainter } = await import("./pixels.js").catch(() => ({}));
    if (PixelPainter) this.pixels = this.begin(PixelPainter);
    this.isLoading = false;
  }

  begin(Painter) {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    Object.assign(canvas.style, { position: "absolute", left: "0", top: "0" });
    try {
      const painter = new Painter(canvas);
      this.host.prepend(canvas);
      return painter;
    } catch {
      return null;
    }
  }

  /** Where a price, in units, is in the picture. */
  y(units) {
    const { view, ring } = this;
    return ((view.top - (units / ring.step - ring.origin)) * this.floor) / view.rows;
  }

  price(value) {
    return this.book.priceText(Math.round(value * this.book.scale));
  }

  paintAxes() {
    const { theme, ring, book, view, right, floor, width } = this;
    this.fill(theme.surface, right, 0, width - right, this.height);
    this.fill(theme.surface, 0, floor, width, FOOT);
    this.line(right, 0, right, floor);
    this.line(0, floor, width, floor);
    const price = (row) => ((row + ring.origin) * ring.step) / book.scale;
    for (const tick of niceTicks(price(view.top - view.rows), price(view.top), Math.max(2, floor / 40))) {
      const y = this.y(tick * book.scale);
      if (tick > 0 && y > 8 && y < floor - 8) this.text(this.price(tick), right + 10, y);
    }
    this.paintTimes(right, (ring.newest + 1) * ring.columnMs, (ring.columnMs * view.pool * this.ratio) / view.stretch);
    if (!book.isLive) return;
    const [bid, ask] = [this.y(book.bids.units(0)), this.y(book.asks.units(0))];
    const apart = Math.max(0, 17 - (bid - ask)) / 2;
    for (const [side, y, colour] of [[book.asks, ask - apart, theme.ask], [book.bids, bid + apart, theme.bid]]) {
      this.text(book.priceText(side.units(0)), right + 10, y, { colour: theme.surface, back: colour, weight: 600 });
    }
  }
}

/** Units per row, so that 500 rows hold what is proven, at most 1 % of the price; 0 while nothing is known. */
function rowStep(book) {
  if (!(book.tick > 0) || !(book.mid > 0)) return 0;
  const edge = (name) => {
    const [side, units] = [book[name], book.provenTo(name)];
    return units > 0 && units < Infinity ? units : side.units(side.length - 1);
  };
  const span = Math.min(1.2 * (edge("asks") - edge("bids")), 0.01 * book.mid * book.scale);
  const steps = groupSteps(book);
  return book.tick * (steps.find((group) => 500 * group * book.tick >= span) ?? steps.at(-1));
}

/** Red, green, blue of a colour, each from 0 to 1. */
function rgb(colour) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.subarray(0, 3)].map((value) => value / 255);
}
