/**
 * All books of the server: the list, page by page, states as they change, and prices of the books in sight.
 *
 * 5,000 books cost one subscription to states and one page of the list four times a second at most, whatever their
 * depth; only books in sight are followed (`follow`), with one level a side, four times a second.
 */

import { frames } from "./frames.js";
import { server, serverClock } from "./server.js";
import { Refused, session } from "./session.js";
import { stream } from "./stream.js";

const PAGE = 250;
const LOOK_MS = 250;
const SHORT_MS = 50;
const CYCLE_MS = 1_000;
const SEEN_MS = 60_000;
const MOST_POINTS = 240;

/** One line of the table. */
export class Row {
  constructor(line) {
    this.exchange = line.exchange;
    this.symbol = line.symbol;
    this.key = `${line.exchange}/${line.symbol}`;
    this.search = `${line.symbol} ${line.exchange}`.toLowerCase();
    this.places = 0;
    this.bid = this.ask = "";
    this.spreadBps = this.receivedUs = this.lagMs = this.rate = null;
    this.bids = this.asks = [];
    this.times = [];
    this.mids = [];
    this.version = 0;
    this.take(line, performance.now());
  }

  /** The status to show: at the end of a recording its books are no longer live, although their server calls them synced. */
  get status() {
    return this.told === "synced" && server.recording === "ended" ? "ended" : this.told;
  }

  /** A line of the list. */
  take(line, nowMs) {
    if (line.updates != null && this.updates != null && nowMs > this.listedMs && line.updates >= this.updates) {
      this.rate = ((line.updates - this.updates) * 1000) / (nowMs - this.listedMs);
    }
    Object.assign(this, { updates: line.updates, listedMs: nowMs, levels: line.levels, coverage: line.coverage });
    this.takeState(line);
    this.takeTimes(line);
    serverClock.learn(line);
    if (line.best) this.takeBest(line.best.bid?.[0], line.best.ask?.[0], nowMs);
  }

  /** The server is out of reach: what is known of the book is history. */
  lose(reason, sinceUs) {
    if (this.isLost) return;
    Object.assign(this, { isLost: true, told: "disconnected", reason, sinceUs });
    this.rate = this.lagMs = this.updates = null;
    this.version += 1;
  }

  /** A state, also of a snapshot. */
  takeState(message) {
    this.isLost = false;
    this.told = message.status;
    this.reason = message.reason;
    this.sinceUs = message.since_time_us;
    this.version += 1;
  }

  takeTimes(message) {
    this.receivedUs = message.received_time_us;
    const isKnown = message.received_time_us != null && message.event_time_us != null;
    this.lagMs = isKnown ? (message.received_time_us - message.event_time_us) / 1000 : null;
    this.version += 1;
  }

  /** The best prices as text; a side without levels has none. */
  takeBest(bid = "", ask = "", nowMs = performance.now()) {
    if (bid === this.bid && ask === this.ask && nowMs - (this.times.at(-1) ?? 0) < CYCLE_MS) return;
    this.places = Math.max(this.places, decimals(bid), decimals(ask));
    this.bid = bid;
    this.ask = ask;
    this.version += 1;
    if (!bid || !ask) {
      this.spreadBps = null;
      return;
    }
    const mid = (Number(bid) + Number(ask)) / 2;
    this.spreadBps = ((Number(ask) - Number(bid)) / mid) * 10_000;
    this.times.push(nowMs);
    this.mids.push(mid);
    const isOld = this.times.length > MOST_POINTS || this.times[0] < nowMs - SEEN_MS;
    if (isOld) {
      this.times.shift();
      this.mids.shift();
    }
  }

  /** Milliseconds since the last update. */
  get ageMs() {
    return serverClock.since(this.receivedUs);
  }
}

/** All books of the server. */
export class Books {
  constructor() {
    this.rows = new Map();
    this.version = 0;
    this.isComplete = false;
    this.problem = "";
    this.mirrors = new Map();
    this.followed = new Map();
    this.levels = 1;
    this.cursor = null;
    this.seen = new Set();
    stream.onChange(() => stream.isOpen || this.lose());
    server.onRecording = () => (this.version += 1);
  }

  lose() {
    for (const row of this.rows.values()) row.lose(stream.reason || "the connection was lost", stream.sinceMs * 1000);
    this.version += 1;
  }

  /** Start, or resume. */
  start() {
    if (this.run) return;
    this.run = {};
    this.states ??= stream.subscribe(
      { symbols: ["*/*"], mode: "status" },
      { onMessage: (message, name) => this.takeState(message, name), onError: () => (this.states = null) },
    );
    this.turn(this.run);
  }

  /** Signed out: another token may see other books. */
  forget() {
    this.rows.clear();
    this.isComplete = false;
    this.cursor = null;
    this.seen.clear();
    this.version += 1;
  }

  /** Stop asking for all but states, which every view shows. */
  stop() {
    if (!this.run) return;
    this.run = null;
    this.follow([]);
  }

  takeState(message, name) {
    const row = this.rows.get(name);
    if (row) row.takeState(message);
    if (message.status === "closed" || !row) this.hurry = true;
    this.version += 1;
  }

  /** A page of the list, and then the next; a new cycle begins a second after the last one began. */
  async turn(run) {
    if (this.cursor === null) this.cycleMs = performance.now();
    const isAsking = !document.hidden && stream.isOpen;
    if (isAsking) await this.page();
    if (this.run === run) setTimeout(() => this.run === run && this.turn(run), this.restMs(isAsking));
  }

  restMs(hasAsked) {
    if (!hasAsked) return SHORT_MS; // until the connection is open
    if (this.hasFailed) return CYCLE_MS;
    if (!this.isComplete) return 0;
    const isOver = this.cursor === null && !this.hurry;
    this.hurry = false;
    return isOver ? Math.max(LOOK_MS, this.cycleMs + CYCLE_MS - performance.now()) : LOOK_MS;
  }

  async page() {
    const cursor = this.cursor === null ? "" : `&cursor=${encodeURIComponent(this.cursor)}`;
    try {
      const answer = await session.json(`/v1/books?limit=${PAGE}${cursor}`);
      this.problem = "";
      this.hasFailed = false;
      if (stream.isOpen) this.takePage(answer);
      else this.cursor = null;
    } catch (error) {
      this.cursor = null;
      this.hasFailed = true;
      this.problem = error instanceof Refused ? error.message : "";
      this.version += 1;
    }
  }

  takePage(answer) {
    const nowMs = performance.now();
    for (const line of answer.books) {
      const key = `${line.exchange}/${line.symbol}`;
      this.seen.add(key);
      const row = this.rows.get(key);
      if (row) row.take(line, nowMs);
      else this.rows.set(key, new Row(line));
    }
    this.cursor = answer.next;
    this.version += 1;
    frames.wake();
    if (answer.next !== null) return;
    for (const key of this.rows.keys()) if (!this.seen.has(key)) this.rows.delete(key);
    this.seen.clear();
    this.isComplete = true;
  }

  /** Follow the prices of exactly these rows, with this many levels a side. */
  follow(rows, levels = 1) {
    if (levels !== this.levels && rows.length > 0) {
      this.follow([]);
      this.levels = levels;
    }
    const wanted = new Set(rows.map((row) => row.key));
    for (const [subscription, keys] of this.followed) {
      if (keys.some((key) => wanted.has(key))) keys.forEach((key) => wanted.delete(key));
      else {
        this.followed.delete(subscription);
        subscription.close();
        keys.forEach((key) => this.mirrors.delete(key));
      }
    }
    const symbols = [...wanted];
    if (symbols.length === 0) return;
    const subscription = stream.subscribe(
      { symbols, mode: "interval", interval_ms: 250, levels: this.levels },
      {
        onMessage: (message, name) => this.takePrices(message, name),
        onError: () => this.followed.delete(subscription), // a book ended: the next `follow` subscribes to the others
      },
    );
    this.followed.set(subscription, symbols);
  }

  takePrices(message, name) {
    const row = this.rows.get(name);
    if (!row) return;
    const nowMs = performance.now();
    if (message.type !== "update") row.takeState(message);
    if (message.type === "state") return;
    let mirror = this.mirrors.get(name);
    if (message.type === "snapshot" || !mirror) this.mirrors.set(name, (mirror = { bids: new Map(), asks: new Map() }));
    row.takeTimes(message);
    row.bids = best(mirror.bids, message.bids, -1);
    row.asks = best(mirror.asks, message.asks, 1);
    row.takeBest(row.bids[0]?.[0], row.asks[0]?.[0], nowMs);
  }
}

/** The decimals of a price that are not trailing zeros. */
function decimals(text) {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.replace(/0+$/, "").length - point - 1;
}

/** A price as text with `places` decimals, cut or filled with zeros, and with commas between thousands. */
export function price(text, places) {
  const [whole, rest = ""] = String(text).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return places > 0 ? `${grouped}.${rest.slice(0, places).padEnd(places, "0")}` : grouped;
}

/** Apply changes to a side of few levels, by the text of their prices; its levels, best first. */
function best(side, changes, sign) {
  for (const [text, quantity] of changes) {
    if (Number(quantity) !== 0) side.set(text, quantity);
    else side.delete(text);
  }
  const levels = [...side];
  return levels.length > 1 ? levels.sort(([a], [b]) => sign * (a - b)) : levels;
}

/** The books of the page. */
export const books = new Books();
