/**
 * How old updates were: from the event at the exchange to the server, and from there to this page. Logarithmic.
 *
 * The newest five minutes count. Each part compares two clocks, so a difference between them moves the whole part.
 */

import { formatNumber } from "../book.js";
import { Chart, duration, overlay } from "./kit.js";
import { LogHistogram } from "./series.js";

const LOW_US = 50;
const HIGH_US = 20e6;
const ROTATE_MS = 60_000;
const FOOT = 20;
const CAVEAT =
  "Exchange, server and this page each read their own clock: where two clocks differ, all values between them are too " +
  "large or too small by as much.";

export class Latency extends Chart {
  constructor(host, options) {
    super(host, options, { role: "img", minIntervalMs: 250 });
    const histogram = () => new LogHistogram({ low: LOW_US, high: HIGH_US });
    this.parts = [
      { name: "exchange → server", histogram: histogram() },
      { name: "server → page", histogram: histogram() },
    ];
    this.whole = histogram();
    const style = { position: "absolute", inset: "auto 0 0 0", padding: "4px 10px 8px", boxSizing: "border-box" };
    this.caveat = overlay(host, { ...style, fontSize: "11px", lineHeight: "15px" });
    this.caveat.textContent = CAVEAT;
    this.rotatedMs = null;
  }

  changed(message) {
    if (message?.type !== "update" || !message.received_time_us) return;
    super.changed(message);
    const { event_time_us: eventUs, received_time_us: receivedUs } = message;
    const nowUs = pageTimeUs();
    if (eventUs) this.parts[0].histogram.add(receivedUs - eventUs);
    this.parts[1].histogram.add(nowUs - receivedUs);
    if (eventUs) this.whole.add(nowUs - eventUs);
  }

  draw(nowMs) {
    this.rotatedMs ??= nowMs;
    if (nowMs - this.rotatedMs >= ROTATE_MS) {
      this.rotatedMs = nowMs;
      for (const { histogram } of [...this.parts, { histogram: this.whole }]) histogram.rotate();
      this.isDirty = true;
    }
    super.draw(nowMs);
  }

  describe() {
    const parts = [...this.parts, { name: "exchange → page", histogram: this.whole }];
    const texts = parts.map(({ name, histogram }) => `${name.replace("→", "to")} ${summary(histogram)}`);
    return `Latency: ${texts.join("; ")}.`;
  }

  resize() {
    super.resize();
    this.caveat.style.color = this.theme.muted;
    this.room = this.canvas.height - this.caveat.offsetHeight;
    this.canvas.element.setAttribute("aria-label", this.describe());
  }

  paint() {
    const { canvas, theme, parts } = this;
    canvas.clear(theme.surface);
    const height = Math.floor((this.room - FOOT - 20) / parts.length);
    if (height < 30) return;
    canvas.text("exchange → page", 10, 12, { colour: theme.muted });
    canvas.text(summary(this.whole), canvas.width - 10, 12, { colour: theme.text, align: "right", weight: 600 });
    const floor = 20 + height * parts.length;
    this.paintAxis(20, floor);
    parts.forEach((part, i) => this.paintPart(part, 20 + i * height, 20 + (i + 1) * height, i === 0));
  }

  x(microseconds) {
    const { width } = this.canvas;
    return 10 + ((width - 20) * Math.log(microseconds / LOW_US)) / Math.log(HIGH_US / LOW_US);
  }

  paintAxis(top, floor) {
    const { canvas, theme } = this;
    for (let value = 100; value <= 1e7; value *= 10) {
      canvas.line(this.x(value), top, this.x(value), floor, theme.grid);
      canvas.text(duration(value).replace(".0", ""), this.x(value), floor + FOOT / 2, { colour: theme.muted, align: "center", size: 10 });
    }
  }

  paintPart({ name, histogram }, top, bottom, isHatched) {
    const { canvas, theme } = this;
    const { context } = canvas;
    const most = Math.max(1, ...histogram.counts);
    const room = bottom - top - 36;
    for (let bucket = 0; bucket < histogram.size; bucket += 1) {
      const count = histogram.counts[bucket];
      if (count === 0) continue;
      const [left, right] = [canvas.snap(this.x(histogram.edge(bucket))), canvas.snap(this.x(histogram.edge(bucket + 1)))];
      const high = Math.max(1, (count / most) * room);
      context.globalAlpha = isHatched ? 0.4 : 0.75;
      context.fillStyle = theme.accent;
      context.fillRect(left, bottom - high, Math.max(1, right - left - 1), high);
      context.globalAlpha = 1;
    }
    canvas.line(0, bottom, canvas.width, bottom, theme.grid);
    for (const [share, label] of [[0.5, "p50"], [0.99, "p99"]]) {
      const value = histogram.quantile(share);
      if (Number.isNaN(value)) continue;
      const x = this.x(Math.min(value, HIGH_US));
      canvas.line(x, top + 30, x, bottom, theme.text);
      canvas.text(label, x, top + 27, { colour: theme.text, align: "center", size: 9, back: theme.surface });
    }
    canvas.text(name, 10, top + 11, { colour: theme.muted, back: theme.surface });
    const text = { colour: theme.text, align: "right", weight: 600, back: theme.surface };
    canvas.text(summary(histogram), canvas.width - 10, top + 11, text);
  }
}

function summary(histogram) {
  const count = histogram.total + histogram.negative;
  if (count === 0) return "no updates yet";
  const [half, most] = [0.5, 0.99].map((share) => histogram.quantile(share));
  const below = histogram.negative ? `, ${formatNumber((100 * histogram.negative) / count, 1)} % below zero` : "";
  const text = (value) => (Number.isNaN(value) ? "below zero" : duration(value));
  return `p50 ${text(half)}, p99 ${text(most)}${below}`;
}

/** The wall clock with the resolution of `performance.now`, unless the system's clock was set since. */
function pageTimeUs() {
  const fine = performance.timeOrigin + performance.now();
  const coarse = Date.now();
  return 1000 * (Math.abs(fine - coarse) < 20 ? fine : coarse);
}
