/** What the charts share: a sharp canvas, text, hatching, pointer and keys, and figures as text. */

import { formatNumber } from "../book.js";

/** The frame in which a slow chart was drawn: one of them in each is enough, unless frames are rare. */
let slowMs = NaN;

/**
 * A chart on a canvas that fills its host. A subclass has `paint(nowMs)` and `describe()`. If it is `label`led for readers
 * who move in it, `controls` loads what they do with it: `point(x, y)`, `press(key)`, which returns whether it handled the
 * key, and more methods of the chart. With `minIntervalMs` it is drawn at most that often, and not in one frame with
 * another such chart.
 */
export class Chart {
  constructor(host, { theme, settings, book }, { label = "", role = "application", controls = null, minIntervalMs = 0 } = {}) {
    Object.assign(this, { host, theme, book, minIntervalMs, controls, settings: { ...settings } });
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas.style, { display: "block", position: "absolute", inset: "0", touchAction: "pan-y" });
    if (getComputedStyle(host).position === "static") host.style.position = "relative";
    host.append(this.canvas);
    this.context = this.canvas.getContext("2d");
    this.hatches = new Map();
    this.version = -1;
    this.change();
    if (label) this.listen(label, role);
    else this.canvas.setAttribute("role", "img");
  }

  /** A message of the book was applied. */
  changed() {
    this.isDirty = true;
  }

  /** Draw what changed; `nowMs`: of the frame. */
  draw(nowMs) {
    if (this.version !== this.theme.version || this.ratio !== devicePixelRatio) this.resize();
    if (!this.isDirty || nowMs - this.paintedMs < this.minIntervalMs || this.width < 40 || this.height < 40) return;
    if (this.minIntervalMs > 0) {
      if (slowMs === nowMs && nowMs - this.paintedMs < 2 * this.minIntervalMs) return;
      slowMs = nowMs;
    }
    this.isDirty = false;
    this.paintedMs = nowMs;
    this.paint(nowMs);
  }

  /** The host has another size, or the theme other colours. */
  resize() {
    this.version = this.theme.version;
    this.ratio = devicePixelRatio;
    this.width = this.host.clientWidth;
    this.height = this.host.clientHeight;
    fit(this.canvas, this.width, this.height, this.ratio);
    this.hatches.clear();
    this.family = getComputedStyle(this.host).fontFamily;
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.context.textBaseline = "middle";
    this.font(11);
    this.digit = this.context.measureText("0").width;
    this.change();
  }

  /** Take other settings. */
  set(settings) {
    Object.assign(this.settings, settings);
    this.change();
  }

  /** The chart in words; empty while nothing is known. */
  describe() {
    return "";
  }

  /** Remove it from the page. */
  dispose() {
    this.host.replaceChildren();
  }

  /** Draw at the next frame, however soon. */
  change() {
    this.isDirty = true;
    this.paintedMs = -Infinity;
  }

  // --- what readers do ---

  /** The first event loads what readers do with the chart, and comes again then. */
  listen(label, role) {
    const { canvas } = this;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", role);
    canvas.setAttribute("aria-label", label);
    for (const name of ["pointermove", "pointerdown", "click", "keydown"]) {
      canvas.addEventListener(name, (event) => {
        if (this.isReady) return;
        const again = () => canvas.dispatchEvent(new event.constructor(name, event));
        const fail = (error) => this.host.dispatchEvent(new CustomEvent("problem", { bubbles: true, detail: error }));
        this.prepare().then(again).catch(fail);
      });
    }
  }

  /** Load the controls, if the chart has some. */
  prepare() {
    return (this.preparing ??= this.controls ? this.load() : Promise.resolve());
  }

  async load() {
    try {
      const [{ attach }, { controls }] = await Promise.all([import("./controls/kit.js"), this.controls()]);
      attach(this, controls);
      this.isReady = true;
      this.change();
    } catch (error) {
      this.preparing = null;
      throw error;
    }
  }

  // --- drawing, in CSS pixels ---

  clear() {
    this.fill(this.theme.surface, 0, 0, this.width, this.height);
  }

  fill(colour, x, y, width, height, alpha = 1) {
    this.context.globalAlpha = alpha;
    this.context.fillStyle = colour;
    this.context.fillRect(x, y, width, height);
    this.context.globalAlpha = 1;
  }

  font(size, weight = 400) {
    this.context.font = `${weight} ${size}px ${this.family}`;
  }

  /** The nearest edge between two pixels of the screen. */
  snap(value) {
    return Math.round(value * this.ratio) / this.ratio;
  }

  /** A thin line, upright or level. */
  line(x0, y0, x1, y1, colour = this.theme.grid) {
    const thin = Math.max(1, Math.floor(this.ratio)) / this.ratio;
    if (y0 === y1) this.fill(colour, x0, this.snap(y0), x1 - x0, thin);
    else this.fill(colour, this.snap(x0), y0, thin, y1 - y0);
  }

  text(text, x, y, { colour = this.theme.muted, align = "left", size = 11, weight = 400, back = "" } = {}) {
    const { context } = this;
    this.font(size, weight);
    if (back) {
      const wide = context.measureText(text).width + 8;
      const left = { left: x - 4, right: x - wide + 4, center: x - wide / 2 }[align];
      this.fill(back, left, y - size / 2 - 3, wide, size + 6);
    }
    context.textAlign = align;
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  /** Diagonal lines, as a fill. */
  hatch(colour, gap = 6, isFalling = false) {
    const name = `${colour} ${gap} ${isFalling}`;
    if (!this.hatches.has(name)) {
      const size = Math.round(gap * this.ratio);
      const tile = new OffscreenCanvas(size, size);
      const context = tile.getContext("2d");
      context.strokeStyle = colour;
      context.lineWidth = Math.max(1, this.ratio);
      for (const shift of [-size, 0, size]) {
        context.moveTo(shift - 1, isFalling ? -1 : size + 1);
        context.lineTo(shift + size + 1, isFalling ? size + 1 : -1);
      }
      context.stroke();
      const pattern = this.context.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix().scale(1 / this.ratio));
      this.hatches.set(name, pattern);
    }
    return this.hatches.get(name);
  }

  /** Why the book is not live, in a box in the middle or from `top` on; nothing if it is. */
  paintStaleness({ width = this.width, isHatched = true, top: given = null } = {}) {
    const { context, theme, book, height } = this;
    const reason = book.staleness || (book.mid > 0 ? "" : "one side has no levels");
    if (!reason) return;
    if (isHatched) this.fill(this.hatch(theme.muted, 7), 0, 0, width, height, 0.22);
    this.font(12);
    const lines = wrap(context, reason, width - 48);
    const wide = Math.max(...lines.map((line) => context.measureText(line).width)) + 28;
    const top = given ?? Math.round(height / 2 - 9 * lines.length);
    context.beginPath();
    context.roundRect(Math.round((width - wide) / 2) + 0.5, top - 9.5, Math.round(wide), 18 * lines.length + 18, 6);
    context.fillStyle = theme.surface;
    context.fill();
    context.lineWidth = 1;
    context.strokeStyle = theme.warning;
    context.stroke();
    const options = { colour: theme.text, align: "center", size: 12 };
    lines.forEach((line, i) => this.text(line, width / 2, top + 9 + 18 * i, options));
  }

  /** Times below a picture that ends at `right` with the moment `endMs`. */
  paintTimes(right, endMs, pixelMs) {
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((seconds) => (1000 * seconds) / pixelMs > 90) ?? 3600;
    const end = endMs + performance.timeOrigin;
    for (let time = Math.floor(end / 1000 / step) * step; ; time -= step) {
      const x = right - (end - 1000 * time) / pixelMs;
      if (x < 28) break;
      const text = clock(1000 * time - performance.timeOrigin, step < 60);
      if (x < this.width - 28) this.text(text, x, this.height - 10, { align: "center" });
    }
  }
}

/** Give a canvas a size in CSS pixels and all pixels of the screen. */
export function fit(canvas, width, height, ratio) {
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${canvas.width / ratio}px`;
  canvas.style.height = `${canvas.height / ratio}px`;
}

export function element(host, style, attributes = {}) {
  const made = document.createElement("div");
  Object.assign(made.style, style);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  host.append(made);
  return made;
}

/** Round numbers from `low` to `high`, at most `most` of them: 1, 2 or 5 times a power of ten apart. */
export function niceTicks(low, high, most) {
  const least = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * ([1, 2, 5].find((digit) => digit * power >= least * (1 - 1e-9)) ?? 10);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) ticks.push(i * step);
  return ticks;
}

/** A quantity in few characters: 0.0012, 1.234, 12.35, 1,235, 12.3k, 4.56M. */
export function compact(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${formatNumber(value / 1e9, 2)}B`;
  if (size >= 1e6) return `${formatNumber(value / 1e6, 2)}M`;
  if (size >= 1e4) return `${formatNumber(value / 1e3, 1)}k`;
  if (size >= 1e3 || Number.isInteger(value)) return formatNumber(value, 0);
  if (size < 1e-5) return value.toExponential(1);
  return formatNumber(value, size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : size >= 0.001 ? 4 : 6);
}

/** A duration: 480 µs, 1.2 ms, 34 ms, 1.5 s. */
export function duration(microseconds) {
  const size = Math.abs(microseconds);
  if (size < 1e3) return `${Math.round(microseconds)} µs`;
  if (size < 1e6) return `${formatNumber(microseconds / 1e3, size < 1e4 ? 1 : 0)} ms`;
  return `${formatNumber(microseconds / 1e6, size < 1e7 ? 1 : 0)} s`;
}

/** The time of day of a moment of `performance.now()`. */
export function clock(nowMs, hasSeconds = true) {
  const text = new Date(performance.timeOrigin + nowMs).toTimeString();
  return text.slice(0, hasSeconds ? 8 : 5);
}

function wrap(context, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) && context.measureText(longer).width > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines.slice(0, 4);
}
