/**
 * What the page knows of the cluster, and when it asks for more. Nothing here touches the document.
 *
 * The list of books is read once, page by page; after that each look brings what has changed since the one before. A
 * look at a quiet cluster is some hundred bytes, whatever the number of books.
 */

const LISTED = 500;
const MOST_MOVES = 5_000;
/** Between two looks: while something changes, and after it was quiet for a while. */
const SOON_MS = 1_000;
const LATER_MS = 2_000;
const QUIET_LOOKS = 10;
const LONGEST_WAIT_MS = 10_000;

/** How many characters of a node's id tell it apart from others. */
const SHORT = 8;
const ID = /\b[1-9a-f][0-9a-f]{15}\b/g;

/** A node's id as people see it. */
export const shortId = (id) => id.slice(0, SHORT);
/** A text with the ids of nodes as people see them. */
export const shortened = (text) => text.replace(ID, shortId);

/** How a state of a node is coloured. */
export const nodeTone = (state) => ({ alive: "good", draining: "wait", suspect: "wait", away: "bad" })[state] ?? "over";
/** How a state of a replica is coloured. */
export const replicaTone = (state) => ({ synced: "good", stale: "bad" })[state] ?? "wait";
/** The mark of a state of a replica: it says the same as its colour. */
export const replicaMark = (state) => ({ synced: "●", stale: "▲", starting: "◔", waiting: "○" })[state] ?? "○";
/** The mark of a state of a node. */
export const nodeMark = (state) => ({ alive: "●", draining: "◑", suspect: "▲", away: "✕" })[state] ?? "■";

/** One book of the cluster; `version` grows when a later look says something else of it. */
export class ClusterBook {
  constructor(line) {
    this.version = 0;
    this.key = `${line.exchange}/${line.symbol}`;
    this.search = `${line.symbol} ${line.exchange}`.toLowerCase();
    this.take(line);
  }

  take(line) {
    Object.assign(this, line);
    this.whyNot = shortened(line.why_not ?? "");
    this.version += 1;
  }
}

/** The nodes, books and moves of the cluster as last told. */
export class ClusterState {
  constructor() {
    this.version = 0;
    this.begin();
  }

  /** Nothing is known, such as at another node or after its restart. */
  begin() {
    Object.assign(this, { cluster: "", node: "", at: "", movesAt: "", isListed: false, books_count: null });
    this.nodes = [];
    this.weight = [];
    this.books = new Map();
    this.moves = [];
    this.movesVersion = 0;
    this.booksVersion = 0;
    this.version += 1;
  }

  /** Take a look; whether it brought anything. */
  take(answer) {
    if (answer.reset || (this.node !== "" && this.node !== answer.node)) this.begin();
    const { cluster, node, at, moves_at: movesAt } = answer;
    Object.assign(this, { cluster, node, at, movesAt });
    for (const name of ["nodes", "weight", "books_count"]) if (answer[name] !== undefined) this[name] = answer[name];
    for (const line of answer.books ?? []) this.takeBook(line);
    this.takeMoves(answer.moves ?? []);
    const isNews = ["nodes", "weight", "books_count", "books", "moves"].some((name) => answer[name] !== undefined);
    if (isNews) this.version += 1;
    return isNews;
  }

  takeBook(line) {
    const key = `${line.exchange}/${line.symbol}`;
    const held = this.books.get(key);
    this.booksVersion += 1;
    if (line.removed) this.books.delete(key);
    else if (held) held.take(line);
    else this.books.set(key, new ClusterBook(line));
  }

  takeMoves(moves) {
    if (moves.length === 0) return;
    this.moves.push(...moves);
    this.moves.sort((a, b) => a.at_ms - b.at_ms);
    this.moves = this.moves.slice(-MOST_MOVES);
    this.movesVersion += 1;
  }

  /** A page of the list of books. */
  takePage({ books, next }) {
    for (const line of books) this.takeBook(line);
    this.isListed = next === null;
    this.version += 1;
  }

  /** The books that have all words; `only`: "wrong" or "lacking"; `node`: held by that node. */
  find({ words = [], only = "", node = "" } = {}) {
    const isMeant = (book) =>
      (only === "" || (only === "wrong" ? book.wrong : book.synced < book.replicas)) &&
      (node === "" || node in book.holders) && words.every((word) => book.search.includes(word));
    return [...this.books.values()].filter(isMeant).sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : a.key < b.key ? -1 : 1));
  }

  /** Moves, the newest first; `words`: of the book; `node`: on that node. */
  findMoves({ words = [], node = "" } = {}) {
    const isMeant = (move) => {
      const text = `${move.symbol} ${move.exchange}`.toLowerCase();
      return (node === "" || move.node === node) && words.every((word) => text.includes(word));
    };
    return this.moves.filter(isMeant).reverse();
  }

  /** The node of an id; undefined for one that is not known. */
  nodeOf(id) {
    return this.nodes.find((each) => each.id === id);
  }

  /** In one line: nodes that are up, books, and whether all are as wanted. */
  get summary() {
    const belonging = this.nodes.filter(({ state }) => state !== "removed");
    const up = belonging.filter(({ state }) => state !== "away").length;
    const { all = 0, wrong = 0, lacking = 0 } = this.books_count ?? {};
    return { up, nodes: belonging.length, books: all, wrong, lacking, hasKey: belonging.some((each) => each.has_authority_key && each.state !== "away") };
  }
}

/** The settings of a book in words; empty for those of each node. */
export function settingsWords({ depth, speed_ms: speed }) {
  return [depth == null ? "" : `depth ${depth.toLocaleString("en-US")}`, speed == null ? "" : `${speed.toLocaleString("en-US")} ms`].filter(Boolean).join(", ");
}

/**
 * Groups books into requests: of one exchange, with the same rest of the body, and no more than the server takes.
 * `restOf(book)`: what the body has besides exchange and symbols.
 */
export function requestsFor(books, restOf = () => ({}), most = 1_000) {
  const groups = new Map();
  for (const book of books) {
    const key = JSON.stringify([book.exchange, restOf(book)]);
    if (groups.get(key)?.at(-1).length < most) groups.get(key).at(-1).push(book);
    else groups.set(key, [...(groups.get(key) ?? []), [book]]);
  }
  const bodyOf = (group) => ({ exchange: group[0].exchange, symbols: group.map(({ symbol }) => symbol), ...restOf(group[0]) });
  return [...groups.values()].flat().map((group) => ({ books: group, body: bodyOf(group) }));
}

/** What sets changed books back: the replicas and settings that they had, null for those that they did not. */
export function formerly({ replicas, settings }, changed) {
  const names = Object.keys(changed.settings ?? {});
  return {
    ...(changed.replicas === undefined ? {} : { replicas }),
    ...(names.length === 0 ? {} : { settings: Object.fromEntries(names.map((name) => [name, settings[name] ?? null])) }),
  };
}

/** Text as a shell takes it as one word. */
export const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** Asks again and again: soon while something changes, later when it is quiet, and rarely while the server fails. */
export class ClusterWatch {
  /**
   * `json(path)`: as `session.json`. `later(act, ms)`: as `setTimeout`; returns what `cancel` takes.
   * `onNews(state)`: something changed; `onProblem(error)`: a look failed, or null after one that did not.
   */
  constructor({ json, later = (act, ms) => setTimeout(act, ms), cancel = (timer) => clearTimeout(timer), onNews = () => {}, onProblem = () => {} }) {
    Object.assign(this, { json, later, cancel, onNews, onProblem });
    this.state = new ClusterState();
    this.looks = 0;
    this.failures = 0;
    this.quiet = 0;
    this.run = null;
  }

  get isRunning() {
    return this.run !== null;
  }

  /** Look now, and go on. */
  start() {
    if (this.run === null) this.turn((this.run = {}));
  }

  /** Ask for nothing any more, such as when nobody sees the page. */
  stop() {
    this.run = null;
    this.cancel(this.timer);
  }

  /** Something was changed: look at once. */
  hurry() {
    this.quiet = 0;
    if (this.run === null) return;
    this.stop();
    this.start();
  }

  async turn(run) {
    let waitMs = 0;
    try {
      const isMore = await this.look(run);
      if (this.run !== run) return;
      this.failures = 0;
      this.onProblem(null);
      waitMs = isMore ? 0 : this.quiet < QUIET_LOOKS ? SOON_MS : LATER_MS;
    } catch (error) {
      if (this.run !== run) return;
      waitMs = Math.min(LONGEST_WAIT_MS, SOON_MS * 2 ** this.failures);
      this.failures += 1;
      this.onProblem(error);
    }
    this.timer = this.later(() => this.run === run && this.turn(run), waitMs);
  }

  /** Whether the server has more to say. */
  async look(run) {
    const { state } = this;
    const known = new URLSearchParams();
    if (state.at) known.set("since", state.at);
    if (state.movesAt) known.set("moves", state.movesAt);
    this.looks += 1;
    const answer = await this.json(`/v1/cluster/overview${known.size > 0 ? `?${known}` : ""}`);
    if (this.run !== run) return false;
    const isNews = state.take(answer);
    this.quiet = isNews ? 0 : this.quiet + 1;
    if (isNews) this.onNews(state);
    if (!state.isListed) await this.list(run);
    return answer.more === true;
  }

  async list(run) {
    let cursor = null;
    do {
      const page = await this.json(`/v1/cluster/books?limit=${LISTED}${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
      if (this.run !== run) return;
      this.state.takePage(page);
      this.onNews(this.state);
      cursor = page.next;
    } while (cursor !== null);
  }
}
