/** Figures over time and their distribution. Nothing here draws. */

/** Bits of `marks`: there was a time without a value; there was a value. */
export const GAP = 1;
export const KNOWN = 2;

/** A time without samples that is longer than this is unknown. */
export const UNSEEN_MS = 60_000;

/** The lowest, highest and last value in each of the newest buckets of time. */
export class Series {
  constructor({ bucketMs, count }) {
    Object.assign(this, { bucketMs, count, ...arrays(count), newest: null, oldest: null });
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
    this.last[slot] = value;
    this.marks[slot] |= KNOWN;
  }

  /** Fill the buckets up to now with the last state, a value or a gap. */
  advance(nowMs) {
    const bucket = Math.floor(nowMs / this.bucketMs);
    this.oldest ??= bucket;
    this.newest ??= bucket;
    const isUnseen = bucket - this.newest > UNSEEN_MS / this.bucketMs;
    const last = isUnseen ? NaN : this.latest;
    for (let next = Math.max(this.newest + 1, bucket - this.count + 1); next <= bucket; next += 1) {
      const slot = next % this.count;
      this.low[slot] = this.high[slot] = this.last[slot] = last;
      this.marks[slot] = Number.isNaN(last) ? GAP : KNOWN;
    }
    this.newest = Math.max(this.newest, bucket);
  }

  /** The value that was last, NaN in a gap. */
  get latest() {
    const slot = this.newest % this.count;
    return this.marks[slot] & KNOWN ? this.last[slot] : NaN;
  }

  /** The newest `buckets`, as arrays with one entry per pixel: no peak is lost, and a gap stays a gap. */
  decimate(buckets, pixels) {
    const out = arrays(pixels);
    const begin = this.newest - buckets + 1;
    const oldest = Math.max(this.oldest, this.newest - this.count + 1);
    for (let pixel = 0; this.newest !== null && pixel < pixels; pixel += 1) {
      const from = begin + Math.floor((pixel * buckets) / pixels);
      const to = Math.max(from + 1, begin + Math.floor(((pixel + 1) * buckets) / pixels));
      for (let bucket = Math.max(oldest, from); bucket < to; bucket += 1) {
        const slot = bucket % this.count;
        if (this.marks[slot] & KNOWN) {
          const isFirst = !(out.marks[pixel] & KNOWN);
          out.low[pixel] = isFirst ? this.low[slot] : Math.min(out.low[pixel], this.low[slot]);
          out.high[pixel] = isFirst ? this.high[slot] : Math.max(out.high[pixel], this.high[slot]);
          out.last[pixel] = this.last[slot];
        }
        out.marks[pixel] |= this.marks[slot];
      }
    }
    return out;
  }
}

function arrays(count) {
  const [low, high, last] = [0, 0, 0].map(() => new Float64Array(count));
  return { low, high, last, marks: new Uint8Array(count) };
}

/** How often values were in buckets that grow by a fixed factor. Negative ones are counted apart, in `negative`. */
export class LogHistogram {
  constructor({ low, high, perOctave = 4 }) {
    Object.assign(this, { low, perOctave, negative: 0, total: 0 });
    this.counts = new Float64Array(Math.ceil(Math.log2(high / low) * perOctave));
  }

  /** The lower edge of a bucket. */
  edge(bucket) {
    return this.low * 2 ** (bucket / this.perOctave);
  }

  /** Values beyond the ends are in the last bucket on that side. */
  add(value) {
    this.total += 1;
    if (value < 0) this.negative += 1;
    else {
      const bucket = Math.floor(Math.log2(value / this.low) * this.perOctave + 1e-9);
      this.counts[Math.max(0, Math.min(this.counts.length - 1, bucket))] += 1;
    }
  }

  /** What was counted so far weighs half as much from now on. */
  halve() {
    this.counts.forEach((count, bucket) => (this.counts[bucket] = count / 2));
    this.negative /= 2;
    this.total /= 2;
  }

  /** The value below which this share of all values lies, negative ones included; NaN if it is negative or none. */
  quantile(share) {
    let rest = share * this.total - this.negative;
    if (rest < 0) return NaN;
    for (let bucket = 0; bucket < this.counts.length; bucket += 1) {
      const count = this.counts[bucket];
      if (count > 0 && rest <= count) return this.edge(bucket + rest / count);
      rest -= count;
    }
    return NaN;
  }
}
