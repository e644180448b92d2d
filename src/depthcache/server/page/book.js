/**
 * The book of one market, mirrored from the messages of /v1/ws.
 *
 * Prices are whole numbers of `1 / scale`, so grouping is exact. Each side is one sorted array, and an update one merge.
 */

/** One side, best price first. */
export class Side {
  constructor(sign) {
    /** 1 for asks, -1 for bids: `sign * units` ascends from the best price. */
    this.sign = sign;
    this.length = 0;
    this.scale = 1;
    this.keys = new Float64Array(0);
    this.quantities = new Float64Array(0);
  }

  /** The price of a level in units of `1 / scale`, NaN if there is none. */
  units(index) {
    return index < this.length ? this.sign * this.keys[index] : NaN;
  }

  price(index) {
    return this.units(index) / this.scale;
  }

  /** The quantity of a level, 0 if there is none. */
  quantity(index) {
    return index < this.length ? this.quantities[index] : 0;
  }

  /** The first level at this price (in units) or a worse one. */
  find(units) {
    const key = this.sign * units;
    let low = 0;
    for (let high = this.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  rescale(factor) {
    this.scale *= factor;
    for (let i = 0; i < this.length; i += 1) this.keys[i] *= factor;
  }

  /** Merge levels, sorted as the side is: `changes` holds key, quantity, key …; a quantity of 0 deletes. */
  apply(changes) {
    const { keys, quantities, length } = this;
    const [toKeys, toQuantities] = this.other(length + changes.length / 2);
    let [from, to] = [0, 0];
    const keep = (end) => {
      toKeys.set(keys.subarray(from, end), to);
      toQuantities.set(quantities.subarray(from, end), to);
      to += end - from;
      from = end;
    };
    for (let i = 0; i < changes.length; i += 2) {
      const key = changes[i];
      let end = from;
      while (end < length && keys[end] < key) end += 1;
      keep(end);
      if (from < length && keys[from] === key) from += 1;
      if (changes[i + 1] === 0) continue;
      toKeys[to] = key;
      toQuantities[to] = changes[i + 1];
      to += 1;
    }
    keep(length);
    this.length = to;
    this.spare = [keys, quantities];
    [this.keys, this.quantities] = [toKeys, toQuantities];
  }

  /** Arrays to merge into; those of the merge before the last, if they are long enough. */
  other(room) {
    if (this.spare?.[0].length >= room) return this.spare;
    return [new Float64Array(2 * room), new Float64Array(2 * room)];
  }
}

/** A book that is right or says that it is not. */
export class Book {
  constructor() {
    this.bids = new Side(-1);
    this.asks = new Side(1);
    this.id = null;
    this.status = "empty";
    this.reason = "";
    this.sinceTimeUs = null;
    this.eventTimeUs = null;
    this.receivedTimeUs = null;
    this.complete = false;
    /** The prices to which each side is proven, "all", or null for nothing; the page sets it from /v1/books. */
    this.completeTo = { bids: null, asks: null };
    /** Whether quantities are contracts of a fixed value in the quote currency; the page sets it from /v1/books. */
    this.isInverse = false;
    /** Whether a recording is played: its events were long ago. The page sets it from /v1/stats. */
    this.isRecorded = false;
    /** Prices have at most this many decimals, and are multiples of `tick` units. */
    this.decimals = 0;
    this.tick = 0;
    this.isChained = false;
    this.resumed = null;
  }

  /** Apply a snapshot, an update, a state or an entry of a heartbeat; false: the page must subscribe again. */
  apply(message) {
    try {
      if (message.type === "snapshot") this.reset(message);
      else if (message.type === "update") return this.update(message);
      else if (message.type === "state") this.end(message);
      else if (message.type === "heartbeat") this.confirm(message);
      return true;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.discard(error.message);
      return false;
    }
  }

  /** The page lost its connection: the levels are history until a snapshot, or until the server continues from `id`. */
  lose(reason, sinceTimeUs = Date.now() * 1000) {
    const { status, reason: before, sinceTimeUs: since } = this;
    const resumed = this.isChained ? { isChained: true, status, reason: before, sinceTimeUs: since } : null;
    this.end({ status: "disconnected", reason, since_time_us: sinceTimeUs });
    this.resumed = resumed;
  }

  /** Whether the levels count now. */
  get isLive() {
    return this.isChained && this.status === "synced" && this.bids.length + this.asks.length > 0;
  }

  /** Why the levels do not count; empty if they do. */
  get staleness() {
    if (this.isLive) return "";
    if (this.isChained && this.status === "synced") return "the book has no levels";
    return this.reason ? `${this.status}: ${this.reason}` : this.status;
  }

  get scale() {
    return this.asks.scale;
  }

  /** The smallest step between prices, in the quote currency. */
  get tickSize() {
    return (this.tick || 1) / this.scale;
  }

  get bestBid() {
    return this.bids.price(0);
  }

  get bestAsk() {
    return this.asks.price(0);
  }

  /** NaN unless both sides have a level. */
  get spread() {
    return (this.asks.units(0) - this.bids.units(0)) / this.scale;
  }

  get mid() {
    return (this.bestBid + this.bestAsk) / 2;
  }

  /** The mid, or the best price of the only side that has one. */
  get centre() {
    return this.mid || this.bestBid || this.bestAsk;
  }

  /** The mid, weighted by the quantity on the other side. */
  get microprice() {
    const [bid, ask] = [this.bids.quantity(0), this.asks.quantity(0)];
    return (this.bestBid * ask + this.bestAsk * bid) / (bid + ask);
  }

  /** (bids - asks) / (bids + asks) of the quantities of the best levels: 1 is all bids, -1 all asks. */
  imbalance(levels = 1) {
    let [bids, asks] = [0, 0];
    for (let i = 0; i < levels; i += 1) {
      bids += this.bids.quantity(i);
      asks += this.asks.quantity(i);
    }
    return (bids - asks) / (bids + asks);
  }

  /** How far a side ("bids" or "asks") is proven, in units: 0 or Infinity for all of it; NaN for nothing. */
  provenTo(side) {
    const everything = side === "bids" ? 0 : Infinity;
    const to = this.completeTo?.[side] ?? null;
    if (to === "all" || (to === null && this.complete)) return everything;
    return to === null ? NaN : Math.round(Number(to) * this.scale);
  }

  /** The text of a price given in units. */
  priceText(units) {
    return formatNumber(units / this.scale, this.decimals);
  }

  reset(message) {
    this.bids.length = this.asks.length = 0;
    this.take(message);
    this.isChained = true;
    this.resumed = null;
    this.status = message.status;
    this.reason = message.reason;
    this.sinceTimeUs = message.since_time_us;
  }

  update(message) {
    if (message.previous !== this.id || !(this.isChained || this.resumed)) {
      if (this.isChained) this.discard(`an update follows id ${message.previous}, not ${this.id}`);
      return false;
    }
    Object.assign(this, this.resumed, { resumed: null });
    this.take(message);
    return true;
  }

  /** If nothing changed since `id`, the server resumes without a message; then its heartbeat has the same id. */
  confirm({ status, id }) {
    if (this.resumed && status === "synced" && id === this.id) Object.assign(this, this.resumed, { resumed: null });
  }

  /** Wrong levels are worse than none. */
  discard(reason) {
    this.end({ status: "broken", reason, since_time_us: Date.now() * 1000 });
    this.bids.length = this.asks.length = 0;
  }

  /** After a state no update applies until the next snapshot. */
  end(message) {
    this.isChained = false;
    this.resumed = null;
    this.id = message.id ?? this.id;
    this.status = message.status;
    this.reason = message.reason ?? "";
    this.sinceTimeUs = message.since_time_us;
  }

  take(message) {
    for (const side of [this.bids, this.asks]) side.apply(this.parse(message[side === this.bids ? "bids" : "asks"], side.sign));
    this.id = message.id;
    this.eventTimeUs = message.event_time_us;
    this.receivedTimeUs = message.received_time_us;
    this.complete = message.complete;
  }

  /** Levels as key, quantity, key …, in the order of their side. */
  parse(levels, sign) {
    const changes = [];
    for (const level of levels) {
      const [price, quantity] = [Number(level[0]), Number(level[1])];
      const units = Math.round(price * this.scale);
      if (units / this.scale !== price) {
        this.refine(price);
        return this.parse(levels, sign);
      }
      if (sign * units < changes.at(-2)) return this.parse([...levels].sort((a, b) => sign * (a[0] - b[0])), sign);
      if (quantity > 0 && this.tick !== 1 && units % this.tick !== 0) this.tick = greatestDivisor(this.tick, units);
      changes.push(sign * units, quantity);
    }
    return changes;
  }

  /** Use more decimals, so that this price is a whole number of units. Throws RangeError for one of too many digits. */
  refine(price) {
    let factor = 1;
    while (Math.round(price * this.scale * factor) / (this.scale * factor) !== price) {
      factor *= 10;
      if (!(Math.abs(price) * this.scale * factor <= Number.MAX_SAFE_INTEGER)) {
        throw new RangeError(`the price ${price} has too many digits`);
      }
    }
    this.bids.rescale(factor);
    this.asks.rescale(factor);
    this.tick *= factor;
    this.decimals += Math.round(Math.log10(factor));
  }
}

/** Multiples of the tick that a reader may group by: 1, 2, 5, 10 … while a group is below a fiftieth of the price. */
export function groupSteps(book) {
  const most = Math.max(1, (book.centre * book.scale) / (50 * (book.tick || 1)) || 1);
  const steps = [];
  for (let power = 1; power <= most; power *= 10) {
    for (const digit of [1, 2, 5]) if (digit * power <= most) steps.push(digit * power);
  }
  return steps;
}

/** The group of a price, counted from 0: bids go down to a multiple of `step`, asks up; both are in units. */
export function groupOf(units, step, sign) {
  return sign < 0 ? Math.floor(units / step) : Math.ceil(units / step);
}

/** Digits in groups of three, with this many decimals. */
export function formatNumber(value, decimals) {
  if (!Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(decimals);
  const [whole, rest] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return (value < 0 && Number(text) > 0 ? "−" : "") + grouped + (rest ? `.${rest}` : "");
}

function greatestDivisor(a, b) {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
