/**
 * The depth over time: price rows against columns of time, brighter where more is offered, with the best prices as lines.
 *
 * `settings`: `rows` (price rows in the picture, 125 to 1,000; 500), `zoom` (pixels per column if above 0, columns per pixel
 * if below; 1), `columnMs` (250; fixed when the chart is made), `renderer` ("auto", "webgl" or "canvas"). Columns in which
 * the book did not count are hatched. The price of a row is chosen from the book, about 1 % of the price in the picture.
 */

import { groupSteps } from "../book.js";
import { Chart, clock, compact, fitElement, niceTicks, rgb, spoken } from "./kit.js";
import { PALETTES, PixelPainter, ShaderPainter } from "./heatmap_painters.js";
import { KIND, Ring } from "./ring.js";
import { steadyScale } from "./rows.js";

const FOOT = 22;
const REGROUP_MS = 5000;
const RESCALE_MS = 1000;
const LABEL =
  "Depth over time. Arrow keys move the crosshair, plus and minus zoom the prices, comma and period the time, " +
  "Escape hides the crosshair.";

export class Heatmap extends Chart {
  constructor(host, options) {
    super(host, options, { role: "application", label: LABEL, isFocusable: true, minIntervalMs: 100 });
    this.ring = new Ring({ columnMs: Number(this.settings.columnMs) || 250 });
    this.spoken = spoken(host);
    this.scale = 1;
    this.regroupedMs = this.rescaledMs = -Infinity;
    this.cross = null;
    this.centre = NaN;
    this.painters = {};
    this.listen();
  }

  /** The columns go on while the page is hidden and nothing is drawn. */
  changed(message) {
    super.changed(message);
    const nowMs = performance.now();
    if (Math.floor(nowMs / this.ring.columnMs) > (this.ring.newest ?? -1) || !this.book.isLive) this.sample(nowMs);
  }

  draw(nowMs) {
    if (Math.floor(nowMs / this.ring.columnMs) > (this.ring.newest ?? Infinity)) this.isDirty = true;
    if (this.painters.webgl && this.painters.webgl.isLost !== this.wasLost) this.changeNow();
    super.draw(nowMs);
  }

  resize() {
    super.resize();
    const { canvas, theme } = this;
    canvas.context.font = canvas.font(11, 600);
    this.longest = this.book.priceText(this.book.asks.units(0)).length;
    this.side = Math.ceil(this.longest * canvas.context.measureText("0").width) + 20;
    const palette = PALETTES[theme.isDark ? "dark" : "light"].map(rgb);
    palette[0] = rgb(theme.surface);
    this.colours = { palette, bid: rgb(theme.bid), ask: rgb(theme.ask), muted: rgb(theme.muted) };
    for (const painter of Object.values(this.painters)) painter.isFitted = false;
  }

  describe() {
    const { book, ring } = this;
    if (!book.isLive) return `Depth over time: ${book.staleness}.`;
    const row = book.priceText(ring.step);
    return `Depth over time: mid ${book.priceText(Math.round(book.mid * book.scale))}, rows of ${row}, brighter is more.`;
  }

  dispose() {
    for (const painter of Object.values(this.painters)) painter.dispose();
    super.dispose();
  }

  sample(nowMs) {
    const { ring, book } = this;
    if (book.isLive && (!ring.step || nowMs - this.regroupedMs > REGROUP_MS)) this.regroup(nowMs);
    ring.sample(nowMs, book);
  }

  /** Another price step, if the book turned out to be much wider or narrower. */
  regroup(nowMs) {
    const { ring, book } = this;
    const step = rowStep(book);
    this.regroupedMs = nowMs;
    if (!step || (ring.step && step < 4 * ring.step && step > ring.step / 4)) return;
    ring.regroup(step, Math.round((book.mid * book.scale) / step));
    this.centre = NaN;
    this.changeNow();
  }

  get rows() {
    return Math.max(125, Math.min(1000, Number(this.settings.rows) || 500));
  }

  get zoom() {
    return Math.max(-8, Math.min(8, Math.round(Number(this.settings.zoom)) || 1));
  }

  paint(nowMs) {
    this.sample(nowMs);
    const { canvas, theme, ring, book } = this;
    canvas.context.clearRect(0, 0, canvas.width, canvas.height);
    if (ring.newest === null) {
      canvas.clear(theme.surface);
      if (book.isLive) return;
      this.paintStaleness();
      return;
    }
    if (book.isLive && book.priceText(book.asks.units(0)).length !== this.longest) this.resize();
    this.isDirty = false;
    this.arrange(nowMs);
    this.paintPicture();
    this.paintAxes(nowMs);
    if (this.cross) this.paintCross();
    if (!book.isLive) this.paintReason();
  }

  /** Which prices are in the picture, and which quantity is the brightest. */
  arrange(nowMs) {
    const { ring, book, rows, canvas } = this;
    const middle = (book.mid * book.scale) / ring.step - ring.origin;
    if (!(Math.abs(middle - this.centre) < rows / 4) && !Number.isNaN(middle)) this.centre = Math.round(middle);
    if (nowMs - this.rescaledMs > RESCALE_MS) {
      this.scale = steadyScale(ring.typicalLargest(), this.scale);
      this.rescaledMs = nowMs;
    }
    const pixels = (length) => Math.max(1, Math.round(length * canvas.ratio));
    this.view = {
      width: pixels(canvas.width - this.side),
      height: pixels(canvas.height - FOOT),
      pool: Math.max(1, -this.zoom),
      stretch: Math.max(1, this.zoom),
      top: this.centre + Math.ceil(rows / 2),
      rows,
      scale: this.scale,
      line: Math.max(1, Math.round(1.5 * canvas.ratio)),
    };
  }

  paintPicture() {
    const { ring, view, canvas } = this;
    const painter = this.painter();
    if (!painter.isFitted) {
      fitElement(painter.element, view.width / canvas.ratio, view.height / canvas.ratio, canvas.ratio);
      painter.recolour(this.colours);
      painter.isFitted = true;
    }
    painter.paint(ring, view, ring.takeWritten());
    painter.newestPainted = ring.newest;
  }

  /** WebGL2 if there is one and it is not lost; otherwise the canvas. */
  painter() {
    const { settings, painters } = this;
    if (settings.renderer !== "canvas") painters.webgl ??= this.begin(ShaderPainter) ?? { isLost: true, dispose() {} };
    const isLost = settings.renderer === "canvas" || painters.webgl.isLost;
    const painter = isLost ? (painters.canvas ??= this.begin(PixelPainter)) : painters.webgl;
    if (painter !== this.current) {
      if (this.current?.element) this.current.element.style.display = "none";
      painter.element.style.display = "block";
      Object.assign(painter, { isFitted: false, isWhole: true });
      this.current = painter;
    }
    this.wasLost = painters.webgl?.isLost;
    return painter;
  }

  begin(Painter) {
    const element = document.createElement("canvas");
    element.setAttribute("aria-hidden", "true");
    Object.assign(element.style, { position: "absolute", left: "0", top: "0" });
    try {
      const painter = new Painter(element);
      this.host.prepend(element);
      return painter;
    } catch {
      return null;
    }
  }

  y(row) {
    const { view, canvas } = this;
    return ((view.top - row) * view.height) / view.rows / canvas.ratio;
  }

  row(y) {
    const { view, canvas } = this;
    return Math.ceil(view.top - 1 - (y * canvas.ratio * view.rows) / view.height);
  }

  column(x) {
    const { view, ring, canvas } = this;
    const back = Math.floor((view.width - 1 - Math.round(x * canvas.ratio)) / view.stretch);
    return (Math.floor(ring.newest / view.pool) - back) * view.pool;
  }

  paintAxes(nowMs) {
    const { canvas, theme, ring, book, view } = this;
    const { context } = canvas;
    const [right, floor] = [canvas.width - this.side, canvas.height - FOOT];
    context.fillStyle = theme.surface;
    context.fillRect(right, 0, this.side, canvas.height);
    context.fillRect(0, floor, canvas.width, FOOT);
    canvas.line(right, 0, right, floor, theme.grid);
    canvas.line(0, floor, canvas.width, floor, theme.grid);
    const price = (row) => ((row + ring.origin) * ring.step) / book.scale;
    const most = Math.max(2, Math.floor(floor / 40));
    for (const tick of niceTicks(price(view.top - view.rows), price(view.top), most).ticks) {
      const y = this.y((tick * book.scale) / ring.step - ring.origin);
      if (y < 8 || y > floor - 8) continue;
      canvas.line(right, y, right + 4, y, theme.muted);
      canvas.text(this.priceText(tick), right + 8, y, { colour: theme.muted });
    }
    this.paintTimes(nowMs, right, floor);
    if (book.isLive) this.paintBest(right);
  }

  paintTimes(nowMs, right, floor) {
    const { canvas, theme, ring, view } = this;
    const pixelMs = (ring.columnMs * view.pool * canvas.ratio) / view.stretch;
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((s) => (1000 * s) / pixelMs > 90) ?? 3600;
    const newestMs = (ring.newest + 1) * ring.columnMs;
    const origin = performance.timeOrigin;
    for (let time = Math.floor((newestMs + origin) / 1000 / step) * step; ; time -= step) {
      const x = right - (newestMs + origin - 1000 * time) / pixelMs;
      if (x < 28) break;
      canvas.line(x, floor, x, floor + 4, theme.muted);
      if (x < canvas.width - 28) {
        canvas.text(clock(1000 * time - origin, step < 60), x, floor + FOOT / 2 + 1, { colour: theme.muted, align: "center" });
      }
    }
  }

  /** Tags of the best prices on the axis; one if they would cover each other. */
  paintBest(right) {
    const { canvas, theme, ring, book } = this;
    const place = (side) => this.y(side.units(0) / ring.step - ring.origin);
    const [bid, ask] = [place(book.bids), place(book.asks)];
    const apart = Math.max(0, 16 - (bid - ask)) / 2;
    const tag = (y, colour, side) => {
      const text = { colour: theme.surface, back: colour, weight: 600 };
      canvas.text(book.priceText(side.units(0)), right + 8, Math.max(8, Math.min(canvas.height - FOOT - 8, y)), text);
    };
    tag(ask - apart, theme.ask, book.asks);
    tag(bid + apart, theme.bid, book.bids);
  }

  priceText(price) {
    return this.book.priceText(Math.round(price * this.book.scale));
  }

  paintCross() {
    const { canvas, theme, cross } = this;
    const [right, floor] = [canvas.width - this.side, canvas.height - FOOT];
    canvas.line(cross.x, 0, cross.x, floor, theme.muted);
    canvas.line(0, cross.y, right, cross.y, theme.muted);
    const [time, price, quantity] = this.figures();
    const align = cross.x > right / 2 ? "right" : "left";
    const x = cross.x + (align === "left" ? 10 : -10);
    const y = cross.y < 40 ? cross.y + 16 : cross.y - 14;
    canvas.text(`${time}  ${quantity}`, x, y, { colour: theme.text, back: theme.surface, align, size: 12 });
    canvas.text(price, right + 8, cross.y, { colour: theme.surface, back: theme.text });
  }

  /** The time, the price and the quantity under the crosshair. */
  figures() {
    const { ring, book, cross } = this;
    const column = this.column(cross.x);
    const row = this.row(cross.y);
    const value = ring.value(column, row);
    const isGap = ring.kind(column) === KIND.gap;
    const quantity = Number.isNaN(value) ? (isGap ? "no data: not synced" : "nothing known") : `quantity ${compact(value)}`;
    return [clock(column * ring.columnMs), book.priceText((row + ring.origin) * ring.step), quantity];
  }

  paintReason() {
    const { canvas, theme, book } = this;
    const text = { colour: theme.text, back: theme.surface, align: "right", size: 12 };
    canvas.text(book.staleness, canvas.width - this.side - 12, 16, text);
  }

  listen() {
    const { element } = this.canvas;
    element.style.touchAction = "pan-y";
    for (const name of ["pointermove", "pointerdown"]) {
      element.addEventListener(name, (event) => this.point(event.offsetX, event.offsetY));
    }
    element.addEventListener("pointerleave", () => this.point(NaN, NaN));
    element.addEventListener("wheel", (event) => {
      if (event.ctrlKey || document.activeElement !== element) return;
      event.preventDefault();
      this.press(event.deltaY < 0 ? "+" : "-");
    }, { passive: false });
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.press(event.key)) return;
      event.preventDefault();
    });
  }

  point(x, y) {
    const isInside = this.view && x >= 0 && x < this.canvas.width - this.side && y >= 0 && y < this.canvas.height - FOOT;
    this.cross = isInside ? { x, y } : null;
    this.changeNow();
  }

  press(key) {
    const moves = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] };
    const factor = { "+": 0.5, "=": 0.5, "-": 2 }[key];
    if (key === "Escape" && this.cross) this.point(NaN, NaN);
    else if (factor) this.choose({ rows: Math.max(125, Math.min(1000, this.rows * factor)) });
    else if (key === "." || key === ",") this.choose({ zoom: nextZoom(this.zoom, key === "." ? 1 : -1) });
    else if (key in moves && this.view) this.move(moves[key]);
    else return false;
    return true;
  }

  move([dx, dy]) {
    const [right, floor] = [this.canvas.width - this.side, this.canvas.height - FOOT];
    const { x, y } = this.cross ?? { x: right - 40, y: floor / 2 };
    this.point(Math.max(0, Math.min(right - 1, x + dx)), Math.max(0, Math.min(floor - 1, y + dy)));
    this.spoken.textContent = this.figures().join(", ");
  }
}

/** 1, 2, 3 … pixels per column; below, -2, -3 … columns per pixel. */
function nextZoom(zoom, by) {
  const next = zoom + by;
  return next > -2 && next < 1 ? (by > 0 ? 1 : -2) : Math.max(-8, Math.min(8, next));
}

/** Units per row, so that 500 rows hold what is proven, at most 1 % of the price; 0 while nothing is known. */
function rowStep(book) {
  if (!(book.tick > 0) || !(book.mid > 0)) return 0;
  const edge = (side) => {
    const units = book.provenTo(side);
    const levels = book[side];
    return units > 0 && units < Infinity ? units : levels.units(Math.min(levels.length, 500) - 1);
  };
  const span = Math.min(1.2 * (edge("asks") - edge("bids")), 0.01 * book.mid * book.scale);
  const steps = groupSteps(book);
  return book.tick * (steps.find((group) => 500 * group * book.tick >= span) ?? steps.at(-1));
}
