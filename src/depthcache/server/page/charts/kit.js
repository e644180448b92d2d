/** What the charts share: a sharp canvas, colours, hatching, figures as text, and the base of every chart. */

import { formatNumber } from "../book.js";

/** What every chart does in the same way. A subclass has `paint(nowMs)`, and `describe()`. */
export class Chart {
  constructor(host, { theme, settings, book }, { minIntervalMs = 0, ...label } = {}) {
    Object.assign(this, { host, theme, book, minIntervalMs, settings: { ...settings } });
    this.canvas = new Canvas(host, label);
    this.version = -1;
    this.isDirty = true;
    this.paintedMs = -Infinity;
  }

  /** A message of the book was applied. */
  changed() {
    this.isDirty = true;
  }

  /** Draw what changed; `nowMs`: of the frame. */
  draw(nowMs) {
    if (this.version !== this.theme.version || this.canvas.isOutdated()) this.resize();
    if (!this.isDirty || nowMs - this.paintedMs < this.minIntervalMs || this.canvas.isEmpty) return;
    this.isDirty = false;
    this.paintedMs = nowMs;
    this.paint(nowMs);
  }

  /** The host has another size, or the theme other colours. */
  resize() {
    this.version = this.theme.version;
    this.canvas.fit();
    this.changeNow();
  }

  /** Take other settings. */
  set(settings) {
    Object.assign(this.settings, settings);
    this.changeNow();
  }

  changeNow() {
    this.isDirty = true;
    this.paintedMs = -Infinity;
  }

  /** A key, a wheel or a click changed settings: the page may show and keep them. */
  choose(settings) {
    this.set(settings);
    this.host.dispatchEvent(new CustomEvent("settings", { bubbles: true, detail: settings }));
  }

  /** Let go of everything. */
  dispose() {
    this.host.replaceChildren();
  }

  /** Text over the picture while the book does not count. */
  paintStaleness() {
    const { canvas, theme, book } = this;
    if (book.isLive) return;
    const { context, width, height } = canvas;
    context.fillStyle = canvas.hatch(theme.muted, 0.22);
    context.fillRect(0, 0, width, height);
    const lines = wrap(context, canvas.font(12), book.staleness, width - 48);
    const top = Math.round(height / 2 - 9 * lines.length);
    const wide = Math.max(...lines.map((line) => context.measureText(line).width)) + 28;
    context.fillStyle = theme.surface;
    context.strokeStyle = theme.warning;
    context.beginPath();
    context.roundRect(Math.round((width - wide) / 2) + 0.5, top - 9.5, Math.round(wide), 18 * lines.length + 18, 6);
    context.fill();
    context.stroke();
    lines.forEach((line, i) => canvas.text(line, width / 2, top + 9 + 18 * i, { colour: theme.text, align: "center" }));
  }
}

/** A canvas with as many pixels as the screen has, drawn in CSS pixels. */
export class Canvas {
  constructor(host, { role = "img", label = "", isFocusable = false, theme } = {}) {
    this.host = host;
    this.element = document.createElement("canvas");
    this.element.setAttribute("role", role);
    if (label) this.element.setAttribute("aria-label", label);
    if (isFocusable) this.element.tabIndex = 0;
    Object.assign(this.element.style, { display: "block", position: "absolute", inset: "0" });
    if (getComputedStyle(host).position === "static") host.style.position = "relative";
    host.append(this.element);
    this.context = this.element.getContext("2d");
    this.theme = theme;
    this.hatches = new Map();
    this.width = this.height = this.ratio = 0;
  }

  get isEmpty() {
    return this.width < 8 || this.height < 8;
  }

  isOutdated() {
    return this.ratio !== devicePixelRatio;
  }

  fit() {
    this.ratio = devicePixelRatio;
    this.width = this.host.clientWidth;
    this.height = this.host.clientHeight;
    fitElement(this.element, this.width, this.height, this.ratio);
    this.hatches.clear();
    this.family = getComputedStyle(this.host).fontFamily;
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.context.textBaseline = "middle";
  }

  clear(colour) {
    this.context.fillStyle = colour;
    this.context.fillRect(0, 0, this.width, this.height);
  }

  font(size, weight = 400) {
    return `${weight} ${size}px ${this.family}`;
  }

  /** On the nearest edge between two pixels of the screen. */
  snap(value) {
    return Math.round(value * this.ratio) / this.ratio;
  }

  text(text, x, y, { colour, align = "left", size = 11, weight = 400, back = null }) {
    const { context } = this;
    context.font = this.font(size, weight);
    context.textAlign = align;
    if (back) {
      const wide = context.measureText(text).width + 8;
      const left = align === "right" ? x - wide + 4 : align === "center" ? x - wide / 2 : x - 4;
      context.fillStyle = back;
      context.fillRect(left, y - size / 2 - 3, wide, size + 6);
    }
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  line(x0, y0, x1, y1, colour) {
    const { context } = this;
    const thin = Math.max(1, Math.floor(this.ratio)) / this.ratio;
    context.fillStyle = colour;
    if (y0 === y1) context.fillRect(x0, this.snap(y0), x1 - x0, thin);
    else context.fillRect(this.snap(x0), y0, thin, y1 - y0);
  }

  /** Diagonal lines, as a fill. */
  hatch(colour, alpha = 1, { isFalling = false, gap = 7 } = {}) {
    const name = `${colour} ${alpha} ${isFalling} ${gap}`;
    if (!this.hatches.has(name)) {
      const size = Math.round(gap * this.ratio);
      const tile = new OffscreenCanvas(size, size);
      const context = tile.getContext("2d");
      context.strokeStyle = colour;
      context.globalAlpha = alpha;
      context.lineWidth = Math.max(1, this.ratio);
      context.beginPath();
      for (const shift of [-size, 0, size]) {
        context.moveTo(isFalling ? shift - 1 : shift - 1 + size + 2, -1);
        context.lineTo(isFalling ? shift + size + 1 : shift - 1, size + 1);
      }
      context.stroke();
      const pattern = this.context.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix().scale(1 / this.ratio));
      this.hatches.set(name, pattern);
    }
    return this.hatches.get(name);
  }
}

/** Give a canvas element a size in CSS pixels and all pixels of the screen. */
export function fitElement(element, width, height, ratio) {
  element.width = Math.max(1, Math.round(width * ratio));
  element.height = Math.max(1, Math.round(height * ratio));
  element.style.width = `${element.width / ratio}px`;
  element.style.height = `${element.height / ratio}px`;
}

/** An element over or beside the canvas, with text of its own. */
export function overlay(host, style, attributes = {}) {
  const element = document.createElement("div");
  Object.assign(element.style, style);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  host.append(element);
  return element;
}

/** Text for screen readers only, spoken when it changes. */
export function spoken(host) {
  const hidden = { position: "absolute", width: "1px", height: "1px", overflow: "hidden", clipPath: "inset(50%)" };
  return overlay(host, hidden, { role: "status" });
}

/** Red, green, blue of a colour, each from 0 to 1. */
export function rgb(colour) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.subarray(0, 3)].map((value) => value / 255);
}

/** The smallest of 1, 2 and 5 times a power of ten that is at least `value`. */
export function niceStep(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const digit of [1, 2, 5]) if (digit * power >= value * (1 - 1e-9)) return digit * power;
  return 10 * power;
}

/** Round numbers from `low` to `high`, at most `most` of them, and the decimals that tell them apart. */
export function niceTicks(low, high, most) {
  if (!(high > low) || most < 1) return { ticks: [], decimals: 0 };
  const step = niceStep((high - low) / most);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) ticks.push(i * step);
  return { ticks, decimals };
}

/** A quantity in at most six characters or so: 0.00123, 1.234, 12.35, 1,235, 12.3k, 4.56M. */
export function compact(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "–";
  if (size >= 1e9) return `${formatNumber(value / 1e9, 2)}B`;
  if (size >= 1e6) return `${formatNumber(value / 1e6, 2)}M`;
  if (size >= 1e4) return `${formatNumber(value / 1e3, 1)}k`;
  if (size >= 1e3 || size === 0) return formatNumber(value, 0);
  return formatNumber(value, size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : size >= 0.001 ? 4 : 6);
}

/** A duration: 480 µs, 1.2 ms, 34 ms, 1.5 s. */
export function duration(microseconds) {
  if (!Number.isFinite(microseconds)) return "–";
  const size = Math.abs(microseconds);
  if (size < 1e3) return `${Math.round(microseconds)} µs`;
  if (size < 1e6) return `${formatNumber(microseconds / 1e3, size < 1e4 ? 1 : 0)} ms`;
  return `${formatNumber(microseconds / 1e6, size < 1e7 ? 1 : 0)} s`;
}

/** The time of day of a moment of `performance.now()`. */
export function clock(nowMs, hasSeconds = true) {
  const time = new Date(performance.timeOrigin + nowMs);
  const pad = (number) => String(number).padStart(2, "0");
  const text = `${pad(time.getHours())}:${pad(time.getMinutes())}`;
  return hasSeconds ? `${text}:${pad(time.getSeconds())}` : text;
}

function wrap(context, font, text, width) {
  context.font = font;
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) && context.measureText(longer).width > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines.slice(0, 4);
}
