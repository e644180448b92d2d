// The logic of the page that draws nothing, under `node --test`; tests/page/test_charts.py runs it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Book, formatNumber, groupOf, groupSteps } from "../../src/depthcache/server/page/book.js";
import { costOf } from "../../src/depthcache/server/page/charts/controls/cost.js";
import { compact } from "../../src/depthcache/server/page/charts/kit.js";
import { PixelPainter } from "../../src/depthcache/server/page/charts/pixels.js";
import { COLUMNS, KIND, ROWS, Ring } from "../../src/depthcache/server/page/charts/ring.js";
import { automaticGroup, steadyScale, sumGroups } from "../../src/depthcache/server/page/charts/rows.js";
import { GAP, KNOWN, LogHistogram, Series } from "../../src/depthcache/server/page/charts/series.js";

const NAMES = ["bids", "asks"];

function snapshot(bids, asks, more = {}) {
  return { type: "snapshot", status: "synced", reason: "", since_time_us: 1, id: 1, complete: true, bids, asks, ...more };
}

function update(previous, bids, asks, more = {}) {
  return { type: "update", previous, id: previous + 1, complete: true, bids, asks, ...more };
}

function bookOf(bids, asks, more) {
  const book = new Book();
  book.apply(snapshot(bids, asks, more));
  return book;
}

function levels(side) {
  return Array.from({ length: side.length }, (_, i) => [side.price(i), side.quantity(i)]);
}

/** Pseudo-random numbers, the same in each run. */
function dice(seed) {
  return (most) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * most);
  };
}

test("a book of which nothing changed while the connection was lost is live again by a heartbeat", () => {
  const book = bookOf([["9", "1"]], [["11", "1"]]);
  const beat = { type: "heartbeat", status: "synced", id: 1 };
  book.lose("the connection was lost");
  for (const other of [{ ...beat, id: 2 }, { ...beat, status: "stale" }]) book.apply(other);
  assert.equal(book.isLive, false);
  book.apply(beat);
  assert.deepEqual([book.isLive, book.status, book.reason, book.sinceTimeUs], [true, "synced", "", 1]);
  book.apply({ type: "state", status: "stale", reason: "", since_time_us: 2, id: 1 });
  book.apply(beat);
  assert.equal(book.isLive, false, "only what was resumed goes on");
});

test("a book is what its messages say, after each of 400 updates, in text and in floats", () => {
  for (const text of [(value) => value.toFixed(8), (value) => value]) {
    const roll = dice(7);
    const truth = { bids: new Map(), asks: new Map() };
    const draw = (name, most) => {
      const level = () => [(name === "bids" ? 10_000 - roll(300) : 10_001 + roll(300)) / 100, roll(3) === 0 ? 0 : 1 + roll(50)];
      const drawn = new Map(Array.from({ length: roll(most) }, level));
      for (const [price, quantity] of drawn) quantity ? truth[name].set(price, quantity) : truth[name].delete(price);
      return [...drawn].map(([price, quantity]) => [text(price), text(quantity)]);
    };
    const book = new Book();
    for (let id = 1; id <= 400; id += 1) {
      const [bids, asks] = [draw("bids", id % 50 ? 6 : 200), draw("asks", id % 50 ? 6 : 200)];
      assert.equal(book.apply(id === 1 ? snapshot(bids, asks) : update(id - 1, bids, asks)), true);
      for (const name of NAMES) {
        const sorted = [...truth[name]].sort(([a], [b]) => (name === "bids" ? b - a : a - b));
        assert.deepEqual(levels(book[name]), sorted);
      }
      assert.equal(book.id, id);
    }
  }
});

test("a broken chain is reported, and its levels are gone", () => {
  const book = bookOf([["1.0", "2"]], [["1.1", "2"]]);
  assert.equal(book.apply(update(5, [["0.9", "1"]], [])), false);
  assert.equal(book.isLive, false);
  assert.equal(book.bids.length + book.asks.length, 0);
  assert.match(book.staleness, /broken: an update follows id 5, not 1/);
  assert.equal(book.apply(update(1, [["0.9", "1"]], [])), false, "only a snapshot begins again");
  assert.equal(book.apply(snapshot([["1.0", "2"]], [], { id: 9 })), true);
  assert.equal(book.isLive, true);
});

test("a state ends what counts until the next snapshot", () => {
  const book = bookOf([["1.0", "2"]], [["1.1", "2"]]);
  book.apply({ type: "state", status: "stale", reason: "silent", since_time_us: 7, id: 1 });
  assert.deepEqual([book.isLive, book.staleness, book.sinceTimeUs], [false, "stale: silent", 7]);
  assert.equal(costOf(book, "asks", 11), null);
  assert.equal(book.apply(update(1, [], [])), false);
  book.apply(snapshot([["1.0", "2"]], [["1.1", "2"]], { status: "stale", reason: "silent" }));
  assert.equal(book.isLive, false, "a snapshot of a book that is not synced does not count either");
});

test("a lost connection goes on only with the update that follows", () => {
  for (const [previous, isGood] of [[1, true], [2, false]]) {
    const book = bookOf([["1.0", "2"]], [["1.1", "2"]]);
    book.lose("gone", 5);
    assert.deepEqual([book.isLive, book.staleness], [false, "disconnected: gone"]);
    assert.equal(book.apply(update(previous, [["1.0", "3"]], [])), isGood);
    assert.equal(book.isLive, isGood);
    assert.equal(book.bids.quantity(0), isGood ? 3 : 2);
  }
});

test("prices are whole numbers of units, whatever their decimals", () => {
  const book = bookOf([["0.30000000", "1"]], [["0.70000000", "1"]]);
  assert.deepEqual([book.decimals, book.tick, book.bids.units(0), book.asks.units(0)], [1, 1, 3, 7]);
  book.apply(update(1, [["0.29950000", "1"]], []));
  assert.deepEqual([book.decimals, book.tick, book.bids.units(0), book.bids.units(1)], [4, 5, 3000, 2995]);
  assert.deepEqual([book.bestBid, book.bids.price(1), book.priceText(2995)], [0.3, 0.2995, "0.2995"]);
  const large = bookOf([["61837.63000000", "1"]], [["1234567890.50000000", "1"]]);
  assert.deepEqual([large.bestBid, large.bestAsk], [61837.63, 1234567890.5]);
});

test("the smallest prices are exact, and one of too many digits breaks the book instead of the page", () => {
  const tiny = bookOf([["0.000000000001", "1"]], [["0.00000000000225", "1"]]);
  assert.deepEqual([tiny.bestBid, tiny.bestAsk, tiny.isLive], [1e-12, 2.25e-12, true]);
  assert.equal(tiny.priceText(tiny.asks.units(0)), "0.00000000000225");
  for (const price of ["12345678901234.123", "NaN"]) {
    const book = bookOf([["1.0", "2"]], [["1.1", "2"]]);
    assert.equal(book.apply(update(1, [], [[price, "1"]])), false);
    assert.match(book.staleness, /broken: the price .* has too many digits/);
    assert.equal(book.bids.length + book.asks.length, 0);
    assert.equal(book.apply(snapshot([["1.0", "2"]], [[price, "1"]])), false);
    assert.equal(book.isLive, false);
    assert.equal(book.apply(snapshot([["1.0", "2"]], [["1.1", "2"]])), true);
    assert.equal(book.isLive, true);
  }
});

test("the figures of a book", () => {
  const book = bookOf([["99.0", "3"], ["98.0", "1"]], [["101.0", "1"], ["103.0", "3"]]);
  assert.deepEqual([book.mid, book.spread, book.microprice, book.imbalance(), book.imbalance(2)], [100, 2, 100.5, 0.5, 0]);
  assert.equal(Number.isNaN(bookOf([["99.0", "3"]], []).spread), true);
  assert.equal(formatNumber(-1234567.5, 2), "−1,234,567.50");
});

test("the cost to get to a price", () => {
  const book = bookOf([["99.0", "3"], ["98.0", "1"]], [["101.0", "1"], ["103.0", "3"], ["110.0", "1"]], { complete: false });
  book.completeTo = { bids: "99.0", asks: "103.0" };
  const cost = costOf(book, "asks", 103);
  assert.deepEqual([cost.quantity, cost.total, cost.average, cost.levels, cost.worst], [4, 410, 102.5, 2, 103]);
  assert.deepEqual([cost.slippageBps, cost.isProven], [250, true]);
  assert.equal(costOf(book, "asks", 104).quantity, 4);
  assert.equal(costOf(book, "asks", 110).isProven, false);
  assert.deepEqual([costOf(book, "bids", 98).slippageBps, costOf(book, "bids", 98).isProven], [125, false]);
  assert.equal(costOf(book, "bids", 100), null);
  book.isInverse = true;
  assert.equal(costOf(book, "asks", 103).average.toFixed(6), (4 / (1 / 101 + 3 / 103)).toFixed(6));
});

test("how far a side is proven", () => {
  const book = bookOf([["99.0", "3"]], [["101.0", "1"]], { complete: false });
  assert.equal(Number.isNaN(book.provenTo("bids")), true);
  book.completeTo = { bids: "98.0", asks: "all" };
  assert.deepEqual([book.provenTo("bids"), book.provenTo("asks")], [98, Infinity]);
});

test("groups are exact: bids go down, asks go up, and a multiple stays", () => {
  assert.deepEqual([groupOf(3, 3, -1), groupOf(3, 3, 1), groupOf(4, 3, -1), groupOf(4, 3, 1)], [1, 1, 1, 2]);
  const book = bookOf([["0.3", "1"], ["0.2", "2"]], [["0.6", "4"], ["0.7", "8"]]);
  const [bids, asks] = [new Float64Array(4), new Float64Array(4)];
  sumGroups(book.bids, 3, 0, bids, new Float64Array(4));
  sumGroups(book.asks, 3, 0, asks, new Float64Array(4));
  assert.deepEqual([[...bids], [...asks]], [[2, 1, 0, 0], [0, 0, 4, 8]]);
});

test("sums run from the best price on, with what is better than the rows", () => {
  const book = bookOf([["10", "1"], ["9", "2"], ["8", "4"]], [["11", "1"], ["12", "2"], ["13", "4"]]);
  const rows = (side, first) => {
    const [sums, totals] = [new Float64Array(3), new Float64Array(3)];
    sumGroups(side, 1, first, sums, totals);
    return [[...sums], [...totals]];
  };
  assert.deepEqual(rows(book.bids, 8), [[4, 2, 1], [7, 3, 1]]);
  assert.deepEqual(rows(book.bids, 7), [[0, 4, 2], [7, 7, 3]]);
  assert.deepEqual(rows(book.asks, 12), [[2, 4, 0], [3, 7, 7]]);
});

test("groups of multiples of the tick, and one that fills the rows", () => {
  const side = (sign) => Array.from({ length: 60 }, (_, i) => [(100 + sign * (i + 1) * 0.2).toFixed(2), "1"]);
  const book = bookOf(side(-1), side(1));
  assert.deepEqual(groupSteps(book), [1, 2, 5, 10]);
  assert.equal(book.tick * 0.1, 0.2);
  const sparse = bookOf([...side(-1), ["77.01", "1"]], side(1));
  assert.equal(automaticGroup(sparse, 20), 20);
  assert.equal(automaticGroup(sparse, 20, 20), 20);
  assert.equal(automaticGroup(sparse, 20, 100), 20, "finer rows would be as full");
});

test("a scale holds still until the values leave it", () => {
  const scale = steadyScale(10, 1);
  assert.ok(scale >= 10 && scale <= 15);
  assert.equal(steadyScale(scale / 2, scale), scale);
  assert.ok(steadyScale(scale * 1.01, scale) > scale);
  assert.ok(steadyScale(scale / 3, scale) < scale);
});

test("no peak is lost and a gap stays a gap, however few pixels there are", () => {
  const series = new Series({ bucketMs: 10, count: 1000 });
  for (let ms = 0; ms < 10_000; ms += 10) series.add(ms, 5);
  series.add(10_000, 99);
  series.add(10_001, 5);
  series.add(10_010, 5);
  series.add(10_020, NaN);
  series.add(10_030, 5);
  for (let ms = 10_040; ms < 11_000; ms += 10) series.add(ms, 5);
  const pixels = series.decimate(1000, 10);
  assert.equal(Math.max(...pixels.high), 99);
  assert.deepEqual([...pixels.marks].map((mark) => mark & GAP), [0, 0, 0, 0, 0, 0, 0, 0, 0, GAP]);
  assert.ok(pixels.marks.every((mark) => mark & KNOWN));
});

test("the last value holds until the next one, a gap until the end of the gap, and for a minute at most", () => {
  const series = new Series({ bucketMs: 1000, count: 100 });
  series.add(500, 3);
  series.advance(4500);
  assert.deepEqual([...series.decimate(5, 5).last], [3, 3, 3, 3, 3]);
  series.add(5500, NaN);
  series.add(8500, 4);
  assert.deepEqual([...series.decimate(9, 9).marks], [2, 2, 2, 2, 2, 1, 1, 1, 3]);
  series.advance(80_000);
  assert.deepEqual([...series.decimate(3, 3).marks], [GAP, GAP, GAP]);
  assert.equal(Number.isNaN(series.latest), true);
});

test("time that no bucket holds any more is not drawn", () => {
  const series = new Series({ bucketMs: 10, count: 4 });
  series.add(0, 1);
  assert.deepEqual([...series.decimate(4, 4).marks], [0, 0, 0, KNOWN]);
  for (let ms = 0; ms < 100; ms += 10) series.add(ms, ms);
  assert.deepEqual([...series.decimate(6, 6).last], [0, 0, 60, 70, 80, 90]);
});

test("quantiles are those of the values, to a bucket", () => {
  const roll = dice(3);
  const histogram = new LogHistogram({ low: 50, high: 20e6 });
  const values = Array.from({ length: 5000 }, () => 100 * 2 ** (roll(1000) / 100));
  for (const value of values) histogram.add(value);
  values.sort((a, b) => a - b);
  for (const share of [0.5, 0.99]) {
    const ratio = histogram.quantile(share) / values[Math.floor(share * values.length)];
    assert.ok(Math.abs(Math.log2(ratio)) < 0.25, `${share}: ${ratio}`);
  }
  assert.equal(histogram.edge(0), 50);
});

test("durations below zero count as the smallest, and old ones fade", () => {
  const histogram = new LogHistogram({ low: 50, high: 20e6 });
  for (const value of [-5, -5, 100, 200]) histogram.add(value);
  assert.deepEqual([histogram.negative, histogram.total], [2, 4]);
  assert.equal(Number.isNaN(histogram.quantile(0.4)), true);
  assert.ok(histogram.quantile(0.99) > 100);
  for (let i = 0; i < 20; i += 1) histogram.halve();
  histogram.add(1e6);
  assert.ok(histogram.quantile(0.5) > 8e5);
});

function ringOf(book, step = 1) {
  const ring = new Ring(100);
  Object.assign(ring, { step, origin: Math.round((book.mid * book.scale) / step) });
  return ring;
}

test("a column holds the rows around its own mid, and keeps them when the price moves away and back", () => {
  const book = bookOf([["1000", "3"]], [["1002", "5"]]);
  const ring = ringOf(book);
  const row = (price) => price - ring.origin;
  ring.sample(0, book);
  book.apply(update(1, [["5000", "7"], ["1000", "0"]], [["1002", "0"], ["5002", "9"]]));
  ring.sample(100, book);
  assert.deepEqual([ring.value(0, row(1000)), ring.value(0, row(1002)), ring.value(0, row(1001))], [3, 5, 0]);
  assert.deepEqual([ring.value(1, row(5000)), ring.value(1, row(5002))], [7, 9]);
  assert.equal(Number.isNaN(ring.value(1, row(1000))), true, "nothing is known that far from the mid");
  assert.equal(Number.isNaN(ring.value(0, row(5000))), true);
  assert.deepEqual([ring.marks[2], ring.marks[3]], [row(1000), row(1002)]);
});

test("a level beyond the rows of a column is in none of them", () => {
  const book = bookOf([["1000", "3"]], [["1002", "5"], [String(1001 - ROWS / 2 + ROWS), "9"]]);
  const ring = ringOf(book);
  ring.sample(0, book);
  assert.equal(ring.values.reduce((sum, value) => sum + value, 0), 8);
});

test("columns are a ring: the oldest is forgotten, and what holds still is copied", () => {
  const book = bookOf([["1000", "3"]], [["1002", "5"]]);
  const ring = ringOf(book);
  ring.sample(0, book);
  for (let column = 500; column < 2000; column += 500) {
    book.apply(update(book.id, [["1000", String(column)]], []));
    ring.sample(100 * column, book);
  }
  const at = (column) => ring.value(column, 1000 - ring.origin);
  assert.deepEqual([at(499), at(500), at(999), at(1500)], [3, 500, 500, 1500]);
  ring.sample(100 * (COLUMNS + 400), book);
  assert.deepEqual([at(400), at(401)].map(Number.isNaN), [true, false]);
  assert.equal(ring.kind(COLUMNS + 400 - COLUMNS), KIND.unseen);
});

test("a column in which the book did not count once is a gap", () => {
  const book = bookOf([["1000", "3"]], [["1002", "5"]]);
  const ring = ringOf(book);
  ring.sample(0, book);
  book.lose("gone");
  ring.sample(110, book);
  ring.sample(330, book);
  book.apply(update(1, [], []));
  ring.sample(350, book);
  ring.sample(400, book);
  const kinds = [0, 1, 2, 3, 4].map((column) => ring.kind(column));
  assert.deepEqual(kinds, [KIND.seen, KIND.gap, KIND.gap, KIND.gap, KIND.seen]);
  ring.sample(400 + 90_000, book);
  assert.equal(ring.kind(500), KIND.gap, "nobody looked for longer than a minute");
});

test("in pixels that columns share, a gap and the largest quantity win", () => {
  const book = bookOf([["1000", "3"]], [["1002", "5"]]);
  const ring = ringOf(book);
  const painter = Object.create(PixelPainter.prototype);
  Object.assign(painter, { shades: Array.from({ length: 1024 }, (_, i) => i), stripes: [-1, -2], lines: [-3, -4, -5] });
  const column = (back, pool) => {
    const view = { width: 4, height: 10, pool, stretch: 1, top: 5, rows: 10, scale: 100, line: 0 };
    const pixels = [];
    painter.column(ring, view, back, (y, shade) => (pixels[y] = shade));
    return pixels;
  };
  ring.sample(0, book);
  book.apply(update(1, [["997", "25"]], []));
  ring.sample(100, book);
  book.apply(update(2, [["997", "0"]], []));
  ring.sample(200, book);
  ring.sample(300, book);
  const row = 5 - 1 - (997 - ring.origin);
  assert.deepEqual([column(0, 1)[row], column(2, 1)[row], column(0, 2)[row], column(1, 2)[row]], [0, 512, 0, 512]);
  assert.equal(column(0, 4)[row], 512);
  book.lose("gone");
  ring.sample(400, book);
  assert.ok(column(0, 1).every((shade) => shade < 0 && shade > -3));
  assert.ok(column(0, 2).every((shade) => shade < 0 && shade > -3));
  assert.equal(ROWS & (ROWS - 1), 0, "cells are found with a mask");
});

test("quantities that are tiny keep their first digits, and nothing is below zero by rounding", () => {
  assert.deepEqual([compact(1e-8), compact(0.000012), compact(0), compact(12.345)], ["1.0e-8", "0.000012", "0", "12.35"]);
  assert.deepEqual([formatNumber(-0.001, 2), formatNumber(-0.01, 2)], ["0.00", "−0.01"]);
});

test("a book of few levels is grouped no coarser than its rows need", () => {
  const few = bookOf([["999.99", "1"]], [["1000.01", "1"]]);
  assert.equal(automaticGroup(few, 14), 1);
  const wide = bookOf([["999.99", "1"], ["999.00", "1"]], [["1000.01", "1"]]);
  assert.equal(automaticGroup(wide, 14), 10);
});

test("a book that is synced and empty says that it has no levels", () => {
  assert.equal(bookOf([], []).staleness, "the book has no levels");
});
