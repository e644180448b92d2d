/**
 * The cumulative depth: bids left, asks right, hatched where levels are not proven.
 *
 * `settings`: `zoom` (1 shows the complete range, 2 half of it …). The wheel, the keys and the crosshair work on the
 * picture; the host gets an event `settings` with what changed.
 */

import { Chart, compact, niceTicks, spoken } from "./kit.js";
import { steadyScale } from "./rows.js";

const HEAD = 10;
const FOOT = 22;
const LABEL = "Depth. Left and right move the crosshair, plus and minus zoom, Escape hides the crosshair.";
const MOST_ZOOM = 64;

export class Depth extends Chart {
  constructor(host, options) {
    super(host, options, { role: "application", label: LABEL, isFocusable: true });
    this.spoken = spoken(host);
    this.cross = null;
    this.scale = 1;
    this.centre = this.half = NaN;
    this.listen();
  }

  describe() {
    const { book } = this;
    if (!book.isLive) return `Depth: ${book.staleness}.`;
    const half = this.half || reach(book);
    const [bids, asks] = ["bids", "asks"].map((side) => compact(sumTo(book[side], book.mid, half)));
    return `Depth within ${percent(half / book.mid)} of ${this.price(book.mid)}: ${bids} bid, ${asks} asked.`;
  }

  get zoom() {
    return Math.min(MOST_ZOOM, Math.max(0.25, Number(this.settings.zoom) || 1));
  }

  price(value) {
    return this.book.priceText(Math.round(value * this.book.scale));
  }

  /** The middle and the width of the prices, which move seldom, so that the picture holds still. */
  arrange() {
    const { book } = this;
    const wanted = reach(book) / this.zoom;
    if (!(Math.abs(Math.log(wanted / this.half)) < 0.15)) this.half = wanted;
    if (!(Math.abs(book.mid - this.centre) < 0.04 * this.half)) this.centre = book.mid;
    const sums = ["bids", "asks"].map((side) => sumTo(book[side], this.centre, this.half));
    this.scale = steadyScale(Math.max(...sums) * 1.02, this.scale);
  }

  paint() {
    const { canvas, theme, book } = this;
    canvas.clear(theme.surface);
    if (!Number.isNaN(book.mid)) {
      this.arrange();
      this.floor = canvas.height - FOOT;
      this.paintAxes();
      const curves = { bids: this.paintSide("bids"), asks: this.paintSide("asks") };
      this.paintUnproven("bids");
      this.paintUnproven("asks");
      this.paintSums(curves);
      if (this.cross !== null && book.isLive) this.paintCross();
    }
    this.paintStaleness();
  }

  x(price) {
    return (0.5 + (price - this.centre) / (2 * this.half)) * this.canvas.width;
  }

  y(sum) {
    return this.floor - (sum / this.scale) * (this.floor - HEAD);
  }

  paintAxes() {
    const { canvas, theme, centre, half } = this;
    const most = Math.max(2, Math.floor(canvas.width / 110));
    const { ticks } = niceTicks(centre - half, centre + half, most);
    for (const price of ticks) {
      const x = this.x(price);
      canvas.line(x, HEAD, x, this.floor, theme.grid);
      if (x > 36 && x < canvas.width - 36) {
        canvas.text(this.price(price), x, this.floor + FOOT / 2, { colour: theme.muted, align: "center" });
      }
    }
    this.sums = niceTicks(0, this.scale, Math.max(2, Math.floor((this.floor - HEAD) / 44))).ticks;
    for (const sum of this.sums) canvas.line(0, this.y(sum), canvas.width, this.y(sum), theme.grid);
    canvas.line(this.x(this.book.mid), HEAD, this.x(this.book.mid), this.floor, theme.muted);
  }

  /** On top, so that the areas do not hide them. */
  paintSums() {
    const { canvas, theme } = this;
    for (const sum of this.sums.slice(1)) {
      if (this.y(sum) < HEAD + 6) continue;
      canvas.text(compact(sum), 6, this.y(sum), { colour: theme.muted, size: 10, back: theme.surface });
    }
  }

  /** The area of one side, at most one step per pixel. */
  paintSide(side) {
    const { canvas, theme, book } = this;
    const { context } = canvas;
    const levels = book[side];
    const colour = side === "bids" ? theme.bid : theme.ask;
    const end = side === "bids" ? -2 : canvas.width + 2;
    let [sum, x] = [0, canvas.snap(this.x(levels.price(0)))];
    context.beginPath();
    context.moveTo(x, this.floor);
    for (let i = 0; i < levels.length; i += 1) {
      const next = canvas.snap(this.x(levels.units(i) / levels.scale));
      if (next !== x) {
        context.lineTo(x, this.y(sum));
        context.lineTo(next, this.y(sum));
        x = next;
      }
      if (levels.sign * (next - end) > 0) break;
      sum += levels.quantities[i];
    }
    context.lineTo(x, this.y(sum));
    context.lineTo(end, this.y(sum));
    context.lineWidth = 1.5;
    context.strokeStyle = colour;
    context.stroke();
    context.lineTo(end, this.floor);
    context.globalAlpha = side === "bids" ? 0.24 : 0.1;
    context.fillStyle = colour;
    context.fill();
    if (side === "asks") {
      context.globalAlpha = 0.28;
      context.fillStyle = canvas.hatch(colour, 1, { gap: 6 });
      context.fill();
    }
    context.globalAlpha = 1;
  }

  paintUnproven(side) {
    const { canvas, theme, book } = this;
    const { context } = canvas;
    const units = book.provenTo(side);
    const sign = book[side].sign;
    const start = Number.isNaN(units) ? this.x(book[side].price(0)) : this.x(units / book.scale);
    const edge = sign < 0 ? 0 : canvas.width;
    if (sign * (edge - start) <= 0) return;
    const [left, wide] = [Math.min(start, edge), Math.abs(edge - start)];
    context.globalAlpha = 0.62;
    context.fillStyle = theme.surface;
    context.fillRect(left, HEAD, wide, this.floor - HEAD);
    context.globalAlpha = 1;
    context.fillStyle = canvas.hatch(theme.muted, 0.3, { isFalling: true });
    context.fillRect(left, HEAD, wide, this.floor - HEAD);
    canvas.line(start, HEAD, start, this.floor, theme.muted);
    if (wide < 30) return;
    const text = { colour: theme.muted, back: theme.surface, align: sign < 0 ? "left" : "right" };
    canvas.text("not proven", sign < 0 ? 6 : canvas.width - 6, HEAD + 10, text);
  }

  /** The same distance on both sides, with the figures of each. */
  paintCross() {
    const { canvas, theme, book, cross } = this;
    const { context } = canvas;
    const price = this.centre + (cross / canvas.width - 0.5) * 2 * this.half;
    const distance = Math.abs(price - book.mid);
    for (const side of ["bids", "asks"]) {
      const sign = book[side].sign;
      const at = book.mid + sign * distance;
      const isNear = sign * (price - book.mid) >= 0;
      const cost = book.cost(side, Math.round(at * book.scale));
      const x = this.x(at);
      const colour = side === "bids" ? theme.bid : theme.ask;
      context.globalAlpha = isNear ? 1 : 0.5;
      canvas.line(x, HEAD, x, this.floor, isNear ? theme.text : theme.muted);
      context.globalAlpha = 1;
      if (!cost) continue;
      context.beginPath();
      context.arc(x, this.y(cost.quantity), 4, 0, 7);
      context.fillStyle = colour;
      context.fill();
      context.strokeStyle = theme.surface;
      context.lineWidth = 1.5;
      context.stroke();
    }
    this.figures(price).forEach(([text, colour], i) => {
      canvas.text(text, canvas.width / 2, HEAD + 12 + 18 * i, { colour, align: "center", back: theme.surface, size: 12 });
    });
    const text = { colour: theme.surface, back: theme.text, align: "center" };
    canvas.text(this.price(price), Math.max(40, Math.min(canvas.width - 40, cross)), this.floor + FOOT / 2, text);
  }

  /** Lines of text about a price: the distance, and what lies within it on each side. */
  figures(price) {
    const { book, theme } = this;
    const distance = Math.abs(price - book.mid);
    const line = (side, name) => {
      const cost = book.cost(side, Math.round((book.mid + book[side].sign * distance) * book.scale));
      const slippage = cost ? `, slippage ${cost.slippageBps.toFixed(2)} bp` : "";
      const proven = cost && !cost.isProven ? ", not proven" : "";
      return `${name} ${cost ? compact(cost.quantity) : "0"}${slippage}${proven}`;
    };
    return [
      [`within ${percent(distance / book.mid)} of the mid`, theme.text],
      [line("bids", "bids"), theme.bid],
      [line("asks", "asks"), theme.ask],
    ];
  }

  listen() {
    const { element } = this.canvas;
    element.style.touchAction = "pan-y";
    element.addEventListener("pointermove", (event) => this.point(event.offsetX));
    element.addEventListener("pointerdown", (event) => this.point(event.offsetX));
    element.addEventListener("pointerleave", () => this.point(null));
    element.addEventListener("wheel", (event) => {
      if (event.ctrlKey || document.activeElement !== element) return;
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8);
    }, { passive: false });
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.press(event.key)) return;
      event.preventDefault();
    });
  }

  point(x) {
    this.cross = x;
    this.changeNow();
  }

  zoomBy(factor) {
    this.choose({ zoom: Math.min(MOST_ZOOM, Math.max(0.25, this.zoom * factor)) });
  }

  press(key) {
    const { width } = this.canvas;
    const step = { ArrowLeft: -4, ArrowRight: 4, PageUp: 40, PageDown: -40 }[key];
    if (key === "Escape" && this.cross !== null) this.point(null);
    else if (key === "+" || key === "=") this.zoomBy(2);
    else if (key === "-") this.zoomBy(0.5);
    else if (step && !Number.isNaN(this.centre)) {
      this.point(Math.max(0, Math.min(width, (this.cross ?? width / 2) + step)));
      const price = this.centre + (this.cross / width - 0.5) * 2 * this.half;
      this.spoken.textContent = this.figures(price).map(([text]) => text).join("; ");
    } else return false;
    return true;
  }
}

/** How far from the mid the picture reaches: a little beyond what is proven. */
function reach(book) {
  const most = 0.2 * book.mid;
  const proven = ["bids", "asks"].map((side) => {
    const units = book.provenTo(side);
    const levels = book[side];
    const isBounded = units > 0 && units < Infinity;
    const last = levels.price(Math.min(levels.length, 1000) - 1);
    return Math.abs((isBounded ? units / book.scale : last) - book.mid);
  });
  return Math.max(book.tickSize, Math.min(most, 1.15 * Math.max(...proven)));
}

function sumTo(levels, centre, half) {
  const end = levels.find((centre + levels.sign * half) * levels.scale);
  let sum = 0;
  for (let i = 0; i < end; i += 1) sum += levels.quantities[i];
  return sum;
}

function percent(share) {
  const value = 100 * share;
  return `${value.toFixed(value < 0.1 ? 4 : value < 1 ? 3 : 2)} %`;
}
