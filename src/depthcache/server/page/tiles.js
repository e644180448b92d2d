/** A tile of the table of books: the best levels of both sides, with bars for their sizes. */

import { price } from "./books.js";
import { duration, h, mark, points, setAttribute, setText, tone } from "./dom.js";

/** Levels of each side. */
export const LEVELS = 3;

/** A tile; the table binds rows to it as to its lines. */
export function makeTile({ onClick, onRemove }) {
  const tile = { index: -1, row: null, version: -1, drawnMs: 0, isUsed: false };
  tile.symbol = h("a", { class: "name", tabindex: "-1" });
  tile.exchange = h("span", { class: "exchange" });
  tile.mark = h("span", { class: "mark" });
  tile.remove = h("button", { class: "icon act", tabindex: "-1", title: "Remove", onclick: (event) => {
    event.stopPropagation();
    onRemove();
  } }, "✕");
  tile.asks = Array.from({ length: LEVELS }, () => level("ask"));
  tile.bids = Array.from({ length: LEVELS }, () => level("bid"));
  tile.middle = h("div", { class: "middle" });
  tile.reason = h("p", { class: "reason" });
  tile.levels = h("div", { class: "levels" }, tile.asks.map((each) => each.element).reverse(), tile.middle, tile.bids.map((each) => each.element));
  tile.element = h("div", { role: "row", class: "tile", hidden: true, onclick: onClick },
    h("div", { role: "gridcell" }, h("header", {}, tile.mark, tile.symbol, tile.exchange, tile.remove), tile.levels, tile.reason));
  tile.fill = (nowMs) => fill(tile, nowMs);
  return tile;
}

function level(side) {
  const made = { bar: h("span", { class: "bar" }), price: h("span", { class: `number ${side}` }), size: h("span", { class: "number" }) };
  made.element = h("div", { class: `level ${side}` }, made.bar, made.price, made.size);
  return made;
}

function fill(tile, nowMs) {
  const { row } = tile;
  Object.assign(tile, { version: row.version, drawnMs: nowMs });
  const isSynced = row.status === "synced";
  setAttribute(tile.element, "data-tone", tone(row.status));
  setText(tile.mark, isSynced ? mark(row.status) : `${mark(row.status)} ${row.status}`);
  setAttribute(tile.mark, "title", row.status);
  const isShown = isSynced || row.status === "ended";
  tile.levels.hidden = !isShown;
  setText(tile.reason, isSynced ? "" : row.reason);
  if (!isShown) return;
  const largest = Math.max(...row.bids.map(([, size]) => Number(size)), ...row.asks.map(([, size]) => Number(size)));
  for (const side of ["asks", "bids"]) {
    tile[side].forEach((each, index) => {
      const [text, size] = row[side][index] ?? ["", ""];
      setText(each.price, text && price(text, row.places));
      setText(each.size, size && short(Number(size)));
      const width = size ? `${(100 * Number(size)) / largest}%` : "0";
      if (each.width !== width) each.bar.style.width = each.width = width;
    });
  }
  setText(tile.middle, `${row.spreadBps === null ? "" : points(row.spreadBps)} · ${row.rate === null ? "–" : row.rate.toFixed(0)}/s · ${duration(row.ageMs)}`);
}

const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });

/** A size in few digits. */
function short(size) {
  return SHORT.format(size);
}
