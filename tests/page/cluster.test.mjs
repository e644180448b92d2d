// What the page knows of a cluster, and when it asks, under `node --test`; tests/page/test_cluster_view.py runs it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ClusterState, ClusterWatch, formerly, quoted, requestsFor, settingsWords, shortened } from "../../src/depthcache/server/page/clusterstate.js";

const line = (symbol, more = {}) => ({
  exchange: "binance.com", symbol, replicas: 2, settings: {}, owners: [], holders: { a1: "synced", b2: "synced" }, synced: 2, reasons: {}, why: "", wrong: false, why_not: "", ...more,
});
const look = (more = {}) => ({ cluster: "amber-fox", node: "a1", reset: false, at: "e.1", moves_at: "e.0", ...more });
const symbols = (rows) => rows.map(({ symbol }) => symbol);
const move = (at_ms, symbol = "BTCUSDT", node = "a1") => ({ at_ms, node, exchange: "binance.com", symbol, what: "began", source: "exchange", why: "", took_s: 0 });

/** Timers that run when the test says so, and a server whose answers are given. */
function stage(answers) {
  const timers = [];
  const asked = [];
  const problems = [];
  const watch = new ClusterWatch({
    json: async (path) => {
      asked.push(path);
      const answer = typeof answers === "function" ? answers(path) : answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
    later: (act, ms) => timers.push({ act, ms }) && timers.at(-1),
    cancel: (timer) => timers.includes(timer) && timers.splice(timers.indexOf(timer), 1),
    onProblem: (error) => problems.push(error),
  });
  const settle = async () => {
    for (let turn = 0; turn < 30; turn += 1) await null;
  };
  const next = async () => {
    const { act, ms } = timers.shift();
    act();
    await settle();
    return ms;
  };
  return { watch, timers, asked, problems, settle, next };
}

const listOf = (...books) => ({ books, next: null, total: books.length });

test("the list is read once, then changes alone", async () => {
  const page = stage([
    look({ nodes: [{ id: "a1", state: "alive" }], books_count: { all: 2 } }), { books: [line("BTCUSDT")], next: "binance.com/BTCUSDT" }, listOf(line("ETHUSDT")),
    look({ at: "e.2", books: [line("BNBUSDT"), { exchange: "binance.com", symbol: "ETHUSDT", removed: true }] }),
  ]);
  page.watch.start();
  await page.settle();
  assert.deepEqual(symbols(page.watch.state.find()), ["BTCUSDT", "ETHUSDT"]);
  await page.next();
  assert.deepEqual(symbols(page.watch.state.find()), ["BNBUSDT", "BTCUSDT"]);
  assert.deepEqual(page.asked, [
    "/v1/cluster/overview", "/v1/cluster/books?limit=500", "/v1/cluster/books?limit=500&cursor=binance.com%2FBTCUSDT",
    "/v1/cluster/overview?since=e.1&moves=e.0",
  ]);
});

test("looks are rare while it is quiet, and frequent after a change", async () => {
  const page = stage((path) => (path.includes("books") ? listOf() : look()));
  page.watch.start();
  await page.settle();
  const waits = [];
  for (let number = 0; number < 12; number += 1) waits.push(await page.next());
  assert.deepEqual([waits[0], waits.at(-1)], [1_000, 2_000]);
  page.watch.hurry();
  await page.settle();
  assert.equal(page.timers.length, 1, "one loop");
  assert.equal(page.timers[0].ms, 1_000);
});

test("a server that has more is asked at once", async () => {
  const page = stage((path) => (path.includes("books") ? listOf() : look({ more: path.includes("since") })));
  page.watch.start();
  await page.settle();
  await page.next();
  assert.equal(page.timers[0].ms, 0);
});

test("a server that fails is asked less and less often", async () => {
  const page = stage(() => new Error("gone"));
  page.watch.start();
  await page.settle();
  const waits = [];
  for (let number = 0; number < 6; number += 1) waits.push(await page.next());
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  assert.equal(page.problems.at(-1).message, "gone");
});

test("a page that nobody sees asks for nothing, and takes no late answer", async () => {
  let answer;
  const page = stage(() => new Promise((resolve) => (answer = resolve)));
  page.watch.start();
  await page.settle();
  page.watch.stop();
  answer(look({ cluster: "late" }));
  await page.settle();
  assert.deepEqual([page.timers.length, page.asked.length, page.watch.state.cluster], [0, 1, ""]);
  page.watch.start();
  assert.equal(page.asked.length, 2);
});

test("another node, or the same after a restart, begins again", () => {
  for (const other of [look({ reset: true, at: "f.1" }), look({ node: "b2", at: "f.1" })]) {
    const state = new ClusterState();
    state.take(look());
    state.takePage(listOf(line("BTCUSDT")));
    state.take(look({ moves: [move(1)] }));
    state.take(other);
    assert.deepEqual([state.books.size, state.moves.length, state.isListed, state.at], [0, 0, false, "f.1"]);
  }
});

test("books are found by words, state and node", () => {
  const state = new ClusterState();
  state.takePage(listOf(line("BTCUSDT"), line("ETHUSDT", { wrong: true, synced: 0 }), line("BNBUSDT", { synced: 1, holders: { b2: "synced" } })));
  assert.deepEqual(symbols(state.find({ words: ["usdt", "binance"] })), ["BNBUSDT", "BTCUSDT", "ETHUSDT"]);
  assert.deepEqual(symbols(state.find({ only: "wrong" })), ["ETHUSDT"]);
  assert.deepEqual(symbols(state.find({ only: "lacking" })), ["BNBUSDT", "ETHUSDT"]);
  assert.deepEqual(symbols(state.find({ node: "a1", words: ["b"] })), ["BTCUSDT", "ETHUSDT"]);
});

test("moves are sorted by time, bounded, and found by book and node", () => {
  const state = new ClusterState();
  state.take(look({ moves: [move(3), move(1, "ETHUSDT", "b2")] }));
  state.take(look({ moves: [move(2, "ETHUSDT")] }));
  assert.deepEqual(state.findMoves().map(({ at_ms: at }) => at), [3, 2, 1]);
  assert.deepEqual(state.findMoves({ words: ["eth"], node: "b2" }).map(({ at_ms: at }) => at), [1]);
  state.take(look({ moves: Array.from({ length: 6_000 }, (_, number) => move(10 + number)) }));
  assert.deepEqual([state.moves.length, state.moves[0].at_ms], [5_000, 1_010]);
});

test("requests are of one exchange, of the same settings, and not too large", () => {
  const books = Array.from({ length: 2_500 }, (_, number) => ({ exchange: number % 2 ? "x" : "y", symbol: `S${number}`, replicas: 1 + (number % 4 > 1), settings: {} }));
  const found = requestsFor(books, ({ replicas }) => ({ replicas }), 300);
  assert.equal(found.reduce((sum, { books: group }) => sum + group.length, 0), 2_500);
  for (const { books: group, body } of found) {
    assert.ok(group.length <= 300);
    assert.deepEqual(body.symbols, symbols(group));
    assert.ok(group.every(({ exchange, replicas }) => exchange === body.exchange && replicas === body.replicas));
  }
  assert.equal(found.length, 12);
});

test("what sets a change back has the former value of what was changed, and null for a default", () => {
  const book = { replicas: 3, settings: { depth: 500 } };
  assert.deepEqual(formerly(book, { replicas: 1 }), { replicas: 3 });
  assert.deepEqual(formerly(book, { settings: { depth: null, speed_ms: 1_000 } }), { settings: { depth: 500, speed_ms: null } });
});

test("words for people", () => {
  assert.equal(settingsWords({ depth: 1_000, speed_ms: 100 }), "depth 1,000, 100 ms");
  assert.equal(settingsWords({}), "");
  assert.equal(shortened("node e034ae709b1c22d4 is away"), "node e034ae70 is away");
  assert.equal(["a b", "it's", "10.0.0.1:42080", "dcj_5_x-y"].map(quoted).join(" "), "'a b' 'it'\\''s' 10.0.0.1:42080 dcj_5_x-y");
});
