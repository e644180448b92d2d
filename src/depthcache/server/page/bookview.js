/** The page of one book: its state, its figures, and the charts, fed by one subscription to all levels. */

import { Book, formatNumber } from "./book.js";
import { clock, count, duration, h, lag, mark, points, setAttribute, setText, tone } from "./dom.js";
import { frames } from "./frames.js";
import { ask, notify, whenIdle, whyNotLoaded } from "./notices.js";
import { server, serverClock } from "./server.js";
import { session } from "./session.js";
import { stream } from "./stream.js";
import { theme } from "./theme.js";

const LOOK_MS = 5_000;
const FIGURES_MS = 100;
const DESCRIBE_MS = 5_000;
const AGAIN_MS = 2_000;
const RATE_MS = 5_000;

/** Charts are loaded when they come into sight, or when the browser has nothing else to do: their history begins then. */
const CHARTS = [
  { kind: "Ladder", title: "Ladder", load: () => import("./charts/ladder.js") },
  { kind: "Heatmap", title: "Depth over time", load: () => import("./charts/heatmap.js") },
  { kind: "Depth", title: "Cumulative depth", load: () => import("./charts/depth.js") },
  { kind: "Lines", title: "Spread, imbalance, microprice", load: () => import("./charts/lines.js") },
  { kind: "Latency", title: "Latency", load: () => import("./charts/latency.js") },
];

/** The view of one book. */
export class BookView {
  constructor(exchange, symbol) {
    Object.assign(this, { exchange, symbol });
    this.title = `${symbol} on ${exchange}`;
    this.book = new Book();
    this.cards = [];
    this.updates = [];
    this.figuresMs = this.describedMs = 0;
    this.build();
  }

  build() {
    this.status = h("span", { class: "pill" });
    this.reason = h("span", { class: "muted" });
    this.remove = h("button", { class: "quiet danger", onclick: () => this.end() }, "Remove");
    this.facts = new Map();
    const fact = (id, title, hint) => {
      const value = h("dd", { class: "number" }, "–");
      this.facts.set(id, value);
      return h("div", { class: `fact ${id}`, title: hint }, h("dt", {}, title), value);
    };
    this.grid = h("div", { class: "charts" });
    this.home = h("p", { hidden: true }, h("a", { href: "#/" }, "Back to all books"));
    this.element = h(
      "section", { class: "book" },
      h("div", { class: "bar" },
        h("a", { class: "back", href: "#/", "aria-label": "Back to all books" }, "←"),
        h("h1", {}, this.symbol, h("span", { class: "exchange" }, this.exchange)), this.status, this.reason,
        h("span", { class: "spring" }), this.remove),
      this.home,
      (this.figures = h("dl", { class: "facts" },
        fact("bid", "Bid"), fact("ask", "Ask"), fact("mid", "Mid"), fact("spread", "Spread"),
        fact("micro", "Microprice", "the mid, weighted by the quantity on the other side"),
        fact("imbalance", "Imbalance", "of the best level: 1 is all bids, −1 all asks"),
        fact("rate", "Updates/s"), fact("lag", "Lag", "from the exchange's event to its reception; two clocks"),
        fact("age", "Age", "since the last update"), fact("levels", "Levels", "bids and asks that the server holds"),
        fact("id", "Update id"), fact("event", "Event"))),
      this.grid,
    );
    this.manage();
  }

  // --- what the page calls ----------------------------------------------------------------------------------------

  show() {
    this.sight = new IntersectionObserver((seen) => this.onSight(seen));
    this.sizes = new ResizeObserver((changes) => {
      for (const { target } of changes) this.cards.find((card) => card.host === target).chart.resize();
      frames.wake();
    });
    for (const each of CHARTS) this.cards.push(this.makeCard(each));
    this.grid.append(...this.cards.map((card) => card.element));
    for (const card of this.cards) this.sight.observe(card.element);
    this.stopHearing = stream.onChange(() => this.onConnection());
    this.subscribe();
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  hide() {
    this.isHidden = true;
    clearInterval(this.timer);
    clearTimeout(this.again);
    this.stopHearing();
    this.subscription?.close();
    this.sight.disconnect();
    this.sizes.disconnect();
    for (const { chart } of this.cards) chart?.dispose();
  }

  manage() {
    this.remove.hidden = !session.mayManage;
  }

  draw(nowMs) {
    for (const { chart, isSeen } of this.cards) if (isSeen) chart?.draw(nowMs);
    if (nowMs - this.figuresMs > FIGURES_MS) {
      this.figuresMs = nowMs;
      this.render();
    }
    if (nowMs - this.describedMs > DESCRIBE_MS) {
      this.describedMs = nowMs;
      for (const { chart, words } of this.cards) if (chart) setText(words, chart.describe());
    }
  }

  // --- charts -----------------------------------------------------------------------------------------------------

  makeCard({ kind, title, load }) {
    const id = kind.toLowerCase();
    const card = { id, kind, load, settings: { ...remembered(id) }, isSeen: false };
    card.host = h("div", { class: "host" });
    card.words = h("p", { class: "hidden" });
    card.tools = h("div", { class: "tools" });
    card.element = h("section", { class: `card ${id}`, "aria-label": title }, h("header", {}, h("h2", {}, title), card.tools), card.host, card.words);
    card.host.addEventListener("settings", ({ detail }) => this.remember(card, detail));
    card.host.addEventListener("problem", ({ detail }) => notify(whyNotLoaded(detail), { isBad: true }));
    return card;
  }

  /** Load a chart and make it, once. */
  async begin(card) {
    if (card.hasBegun) return;
    card.hasBegun = true;
    try {
      const { [card.kind]: Chart } = await card.load();
      if (this.isHidden) return;
      card.chart = new Chart(card.host, { theme, settings: card.settings, book: this.book });
      card.chart.changed({ type: "snapshot" }); // that came before
      this.sizes.observe(card.host);
      whenIdle(() => this.prepare(card));
    } catch (error) {
      card.host.replaceChildren(h("p", { class: "problem" }, `This chart cannot be drawn here: ${error.message}`));
    }
  }

  async prepare({ chart, tools }) {
    await chart.prepare().catch(() => {}); // told when a reader wants to use it
    chart.addTools?.(tools);
    this.describedMs = -Infinity;
  }

  onSight(seen) {
    for (const { target, isIntersecting } of seen) {
      const card = this.cards.find((each) => each.element === target);
      card.isSeen = isIntersecting;
      if (isIntersecting) this.begin(card);
    }
    whenIdle(() => this.isHidden || this.cards.forEach((card) => this.begin(card)));
  }

  /** A chart changed its settings: they are remembered. */
  remember(card, settings) {
    Object.assign(card.settings, settings);
    localStorage.setItem(`depthcache-${card.id}`, JSON.stringify({ ...card.settings, group: undefined }));
  }

  // --- messages ---------------------------------------------------------------------------------------------------

  subscribe() {
    this.subscribedMs = performance.now();
    this.subscription = stream.subscribe(
      { symbols: [`${this.exchange}/${this.symbol}`], mode: "latest", levels: "all" },
      { resumes: true, onMessage: (message) => this.take(message), onError: (error) => this.refused(error) },
    );
  }

  take(message) {
    const { book } = this;
    this.problem = "";
    const isApplied = book.apply(message);
    for (const { chart } of this.cards) chart?.changed(message);
    if (!isApplied) {
      this.subscription.close();
      if (performance.now() - this.subscribedMs > AGAIN_MS) this.subscribe();
      else this.subscribeLater(); // what breaks each time must not ask for a snapshot at each update
      return;
    }
    if (message.type === "update") this.updates.push([performance.now(), 1 + message.skipped]);
    this.forgetUpdates(); // nothing is drawn while the page is hidden
    if (message.type !== "update") this.describedMs = -Infinity;
    if (message.type === "snapshot") this.look();
    if (message.status === "closed") this.subscribeLater();
  }

  /** The rate is that of the last seconds. */
  forgetUpdates() {
    const oldestMs = performance.now() - RATE_MS;
    while (this.updates.length > 0 && this.updates[0][0] < oldestMs) this.updates.shift();
  }

  onConnection() {
    if (stream.isOpen || !this.book.isLive) return;
    this.book.lose(stream.reason || "the connection to the server was lost");
    for (const { chart } of this.cards) chart?.changed({ type: "state" });
  }

  refused(error) {
    this.problem = error.message;
    this.subscribeLater();
  }

  /** The book may be added again. */
  subscribeLater() {
    clearTimeout(this.again);
    this.again = setTimeout(() => {
      if (this.isHidden) return;
      this.subscription.close();
      this.subscribe();
    }, AGAIN_MS);
  }

  /** Read what messages do not contain: how far each side is proven, how many levels the server holds, and its clock. */
  async look() {
    if (!stream.isOpen || document.hidden) return;
    try {
      const query = `exchange=${encodeURIComponent(this.exchange)}&symbol=${encodeURIComponent(this.symbol)}&limit=1`;
      const [line] = (await session.json(`/v1/books?${query}`)).books;
      this.book.completeTo = line?.complete_to ?? { bids: null, asks: null };
      if (!line) return;
      this.book.isInverse = line.inverse;
      this.levels = line.levels;
      serverClock.learn(line);
    } catch {
      return; // the state line shows it
    }
  }

  async end() {
    await ask("removeBooks", [this]);
  }

  // --- figures ----------------------------------------------------------------------------------------------------

  /** A book that is not held has no figures and charts, unless it was held before. */
  renderHeld() {
    const isEmpty = this.problem !== "" && this.book.id === null;
    this.home.hidden = this.problem === "";
    if (this.grid.hidden === isEmpty) return;
    this.grid.hidden = this.figures.hidden = isEmpty;
  }

  render() {
    const { book } = this;
    book.isRecorded = server.recording !== "";
    const isCut = !stream.isOpen && !book.isLive;
    const isEnded = book.status === "synced" && server.recording === "ended";
    const status = this.problem ? "closed" : isCut ? "disconnected" : isEnded ? "ended" : book.status;
    setText(this.status, `${mark(status)} ${this.problem ? "not held" : status}`);
    setAttribute(this.status, "data-tone", tone(status));
    const since = book.sinceTimeUs == null ? "" : `since ${clock(book.sinceTimeUs)}`;
    this.renderHeld();
    setText(this.reason, this.problem || [book.reason, since].filter(Boolean).join(", "));
    setAttribute(this.element, "data-live", String(book.isLive));
    this.forgetUpdates();
    const rate = (1000 * this.updates.reduce((sum, [, each]) => sum + each, 0)) / RATE_MS;
    const show = (id, text) => setText(this.facts.get(id), text);
    const priced = (value, extra = 0) => formatNumber(value, book.decimals + extra);
    show("bid", priced(book.bestBid));
    show("ask", priced(book.bestAsk));
    show("mid", priced(book.mid, 1));
    const bps = (book.spread / book.mid) * 10_000;
    show("spread", Number.isFinite(bps) ? `${priced(book.spread)} · ${points(bps)}` : "–");
    show("micro", priced(book.microprice, 2));
    const imbalance = book.imbalance(1);
    show("imbalance", Number.isFinite(imbalance) ? `${imbalance < 0 ? "−" : "+"}${Math.abs(imbalance).toFixed(2)}` : "–");
    show("rate", isCut || book.status === "disconnected" ? "–" : rate.toFixed(rate < 10 ? 1 : 0));
    const isTimed = book.isLive && book.receivedTimeUs != null && book.eventTimeUs != null;
    show("lag", isTimed ? lag((book.receivedTimeUs - book.eventTimeUs) / 1000, book.isRecorded) : "–");
    show("age", duration(serverClock.since(book.receivedTimeUs)));
    show("levels", this.levels ? `${count(this.levels.bids)} / ${count(this.levels.asks)}` : "–");
    show("id", book.id === null ? "–" : String(book.id));
    show("event", clock(book.eventTimeUs));
  }
}

/** Settings of a chart from the last time; groups are of one book and are not kept. */
function remembered(id) {
  try {
    const found = JSON.parse(localStorage.getItem(`depthcache-${id}`));
    return found !== null && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}
