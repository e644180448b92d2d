/**
 * How old updates were: from the event at the exchange to the server, and from there to this page, on a logarithmic scale.
 * What was counted weighs half as much after each minute.
 */

import { formatNumber } from "../book.js";
import { Chart, duration, element } from "./kit.js";
import { LogHistogram } from "./series.js";

const HIGH_US = 20e6;
const LOW_US = 50;
const HALVE_MS = 60_000;
/** The room of a label, with a gap. */
const LABEL = 24;
const HEAD = 22;
const FOOT = 20;
const CAVEAT =
  "Exchange, server and this page each read their own clock. Where two clocks differ, all durations between them are too " +
  "long or too short by as much.";

export class Latency extends Chart {
  constructor(host, options) {
    super(host, options, { minIntervalMs: 250 });
    this.parts = ["exchange → server", "server → page", "exchange → page"].map((name) => ({
      name, histogram: new LogHistogram({ low: LOW_US, high: HIGH_US }),
    }));
    const style = { position: "absolute", inset: "auto 0 0 0", padding: "4px 10px 8px", fontSize: "11px", lineHeight: "15px" };
    this.caveat = element(host, style);
    this.caveat.textContent = CAVEAT;
    this.halvedMs = null;
  }

  changed(message) {
    if (message?.type !== "update" || !message.received_time_us) return;
    super.changed();
    const { event_time_us: eventUs, received_time_us: receivedUs } = message;
    const nowUs = pageTimeUs();
    this.parts[1].histogram.add(nowUs - receivedUs);
    if (!eventUs) return;
    this.parts[0].histogram.add(receivedUs - eventUs);
    this.parts[2].histogram.add(nowUs - eventUs);
  }

  draw(nowMs) {
    this.halvedMs ??= nowMs;
    if (nowMs - this.halvedMs >= HALVE_MS) {
      this.halvedMs = nowMs;
      for (const { histogram } of this.parts) histogram.halve();
    }
    super.draw(nowMs);
  }

  describe() {
    return `Latency: ${this.parts.map((part) => `${part.name.replace("→", "to")} ${this.figures(part)}`).join("; ")}.`;
  }

  resize() {
    super.resize();
    this.caveat.style.color = this.theme.muted;
    this.canvas.setAttribute("aria-label", this.describe());
  }

  /** The event of a recording was long ago: it has no latency. */
  isKnown(part) {
    return !this.book.isRecorded || part === this.parts[1];
  }

  figures(part) {
    return this.isKnown(part) ? summary(part.histogram) : "recorded";
  }

  paint() {
    const { theme, parts, width } = this;
    this.clear();
    const high = Math.floor((this.height - this.caveat.offsetHeight - FOOT - HEAD) / 2);
    const floor = HEAD + 2 * high;
    for (let value = 100; value <= 1e7; value *= 10) {
      this.line(this.x(value), HEAD, this.x(value), floor);
      this.text(duration(value).replace(".0", ""), this.x(value), floor + FOOT / 2, { align: "center", size: 10 });
    }
    [HEAD, HEAD + high].forEach((top, i) => this.isKnown(parts[i]) && this.paintBars(parts[i].histogram, top, top + high));
    [HEAD, HEAD + high, 0].forEach((top, i) => {
      this.text(parts[i].name, 10, top + 12, { back: theme.surface });
      const text = { colour: theme.text, align: "right", weight: 600, back: theme.surface };
      this.text(this.figures(parts[i]), width - 10, top + 12, text);
    });
  }

  x(microseconds) {
    return 10 + ((this.width - 20) * Math.log(microseconds / LOW_US)) / Math.log(HIGH_US / LOW_US);
  }

  paintBars(histogram, top, bottom) {
    const { theme, width } = this;
    const most = Math.max(...histogram.counts);
    const edge = (bucket) => this.snap(this.x(histogram.edge(bucket)));
    histogram.counts.forEach((count, bucket) => {
      const high = (count / most) * (bottom - top - 38);
      if (high > 0.5) this.fill(theme.accent, edge(bucket), bottom - high, edge(bucket + 1) - edge(bucket) - 1, high, 0.65);
    });
    this.line(0, bottom, width, bottom);
    const marks = [[0.5, "p50"], [0.99, "p99"]].map(([share, label]) => ({ label, x: this.x(histogram.quantile(share)) }));
    const [half, most99] = marks;
    for (const { x } of marks) if (!Number.isNaN(x)) this.line(x, top + 34, x, bottom, theme.text);
    if (most99.x - half.x < LABEL) marks.splice(0, 2, { label: "p50 p99", x: (half.x + most99.x) / 2 });
    for (const { label, x } of marks) {
      const room = (LABEL * label.length) / 6;
      const at = Math.max(room, Math.min(width - room, x));
      if (!Number.isNaN(x)) this.text(label, at, top + 28, { colour: theme.text, align: "center", size: 9 });
    }
  }
}

function summary(histogram) {
  const { total, negative } = histogram;
  if (total === 0) return "no updates yet";
  const text = (share) => (share * total < negative ? "below zero" : duration(histogram.quantile(share)));
  const below = negative ? `, ${formatNumber((100 * negative) / total, 1)} % below zero` : "";
  return `p50 ${text(0.5)}, p99 ${text(0.99)}${below}`;
}

/** The wall clock with the resolution of `performance.now`, unless the system's clock was set since. */
function pageTimeUs() {
  const [fine, coarse] = [performance.timeOrigin + performance.now(), Date.now()];
  return 1000 * (Math.abs(fine - coarse) < 20 ? fine : coarse);
}
