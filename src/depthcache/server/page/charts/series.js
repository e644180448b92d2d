/** Figures over time and their distribution. Nothing here draws. */

const GAP = 1;
const KNOWN = 2;
const UNSEEN_MS = 60_000;

/** The lowest, highest and last value in each of the newest buckets of time; and where there was none. */
export class Series {
  constructor({ bucketMs, count }) {
    Object.assign(this, { bucketMs, count });
    this.low = new Float64Array(count);
    this.high = new Float64Array(count);
    this.first = new Float64Array(count);
    this.last = new Float64Array(count);
    this.marks = new Uint8Array(count);
    this.oldest = this.newest = null;
  }

  /** A value, NaN for none, from this moment on. */
  add(nowMs, value) {
    this.advance(nowMs);
    const slot = this.newest % this.count;
    if (Number.isNaN(value)) {
      this.marks[slot] = GAP;
      return;
    }
    const isFirst = !(this.marks[slot] & KNOWN);
    this.low[slot] = isFirst ? value : Math.min(this.low[slot], value);
    this.high[slot] = isFirst ? value : Math.max(this.high[slot], value);
    if (isFirst) this.first[slot] = value;
    this.last[slot] = value;
    this.marks[slot] |= KNOWN;
  }

  /** Time goes on: what was last holds, a value or a gap. */
  advance(nowMs) {
    const bucket = Math.floor(nowMs / this.bucketMs);
    if (this.newest === null) {
      this.oldest = this.newest = bucket;
      return;
    }
    const before = this.newest % this.count;
    const isUnseen = bucket - this.newest > UNSEEN_MS / this.bucketMs;
    const [last, isKnown] = [this.last[before], (this.marks[before] & KNOWN) !== 0 && !isUnseen];
    for (let next = Math.max(this.newest + 1, bucket - this.count + 1); next <= bucket; next += 1) {
      const slot = next % this.count;
      this.low[slot] = this.high[slot] = this.first[slot] = this.last[slot] = last;
      this.marks[slot] = isKnown ? KNOWN : GAP;
    }
    this.newest = Math.max(this.newest, bucket);
  }

  /** The value that was last, NaN in a gap. */
  get latest() {
    if (this.newest === null) return NaN;
    const slot = this.newest % this.count;
    return this.marks[slot] & KNOWN ? this.last[slot] : NaN;
  }

  /**
   * One entry per pixel for the newest `buckets`: no peak is lost, and a gap stays a gap. `out` has arrays `low`, `high`,
   * `first`, `last` and `marks` of as many entries as there are pixels.
   */
  decimate(buckets, out) {
    const pixels = out.low.length;
    out.marks.fill(0);
    if (this.newest === null) return;
    const begin = this.newest - buckets + 1;
    const oldest = Math.max(this.oldest, this.newest - this.count + 1);
    for (let pixel = 0; pixel < pixels; pixel += 1) {
      const from = Math.floor((pixel * buckets) / pixels);
      const to = Math.max(from + 1, Math.floor(((pixel + 1) * buckets) / pixels));
      for (let bucket = Math.max(oldest, begin + from); bucket < begin + to; bucket += 1) this.join(bucket, pixel, out);
    }
  }

  join(bucket, pixel, out) {
    const slot = bucket % this.count;
    const mark = this.marks[slot];
    if (mark & KNOWN) {
      const isFirst = !(out.marks[pixel] & KNOWN);
      out.low[pixel] = isFirst ? this.low[slot] : Math.min(out.low[pixel], this.low[slot]);
      out.high[pixel] = isFirst ? this.high[slot] : Math.max(out.high[pixel], this.high[slot]);
      if (isFirst) out.first[pixel] = this.first[slot];
      out.last[pixel] = this.last[slot];
    }
    out.marks[pixel] |= mark;
  }
}

export const isGap = (mark) => (mark & GAP) !== 0;
export const isKnown = (mark) => (mark & KNOWN) !== 0;

/** Arrays for `Series.decimate`. */
export function pixelsFor(count) {
  const arrays = ["low", "high", "first", "last"].map((name) => [name, new Float64Array(count)]);
  return { ...Object.fromEntries(arrays), marks: new Uint8Array(count) };
}

/** How many values lie in each of the buckets, which grow by a fixed factor; the newest minutes count. */
export class LogHistogram {
  constructor({ low, high, perOctave = 4, parts = 5 }) {
    Object.assign(this, { low, perOctave });
    this.size = Math.ceil(Math.log2(high / low) * perOctave);
    this.parts = Array.from({ length: parts }, () => new Float64Array(this.size));
    this.below = new Float64Array(parts);
    this.counts = new Float64Array(this.size);
    this.part = 0;
  }

  /** The bucket of a value; values beyond the ends are in the last bucket on that side. */
  bucketOf(value) {
    const bucket = Math.floor(Math.log2(value / this.low) * this.perOctave);
    return Math.max(0, Math.min(this.size - 1, bucket));
  }

  /** The lower edge of a bucket. */
  edge(bucket) {
    return this.low * 2 ** (bucket / this.perOctave);
  }

  /** Negative values are counted apart: no duration is negative, so two clocks differ. */
  add(value) {
    if (value < 0) {
      this.below[this.part] += 1;
      return;
    }
    const bucket = this.bucketOf(Math.max(value, this.low));
    this.parts[this.part][bucket] += 1;
    this.counts[bucket] += 1;
  }

  /** Begin another part; what was in the oldest counts no longer. */
  rotate() {
    this.part = (this.part + 1) % this.parts.length;
    this.parts[this.part].forEach((count, bucket) => {
      this.counts[bucket] -= count;
    });
    this.parts[this.part].fill(0);
    this.below[this.part] = 0;
  }

  get total() {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  get negative() {
    return this.below.reduce((sum, count) => sum + count, 0);
  }

  /** The value below which a share of all values lies, negative ones included; NaN for none, or if it is negative. */
  quantile(share) {
    let rest = share * (this.total + this.negative) - this.negative;
    if (this.total === 0 || rest < 0) return NaN;
    for (let bucket = 0; bucket < this.size; bucket += 1) {
      if (rest <= this.counts[bucket] && this.counts[bucket] > 0) return this.edge(bucket + rest / this.counts[bucket]);
      rest -= this.counts[bucket];
    }
    return this.edge(this.size);
  }
}
