/** An empty page for one chart: `put` leaves it, its book and small tools as global names for test_charts.py. */

import { Book } from "/page/book.js";
import { theme } from "/page/theme.js";
import { PixelPainter } from "/page/charts/pixels.js";
import { ShaderPainter } from "/page/charts/shader.js";

/** The column that tests call 0: far ahead of the page's own time. */
const FIRST = 1e6;

/** No two draws have the same time, whatever chart they are of. */
let nowMs = 1000;

export async function put(Kind, { settings = {}, width = 400, height = 500 } = {}) {
  const module = await import(`/page/charts/${Kind.toLowerCase()}.js`);
  const host = document.createElement("div");
  Object.assign(host.style, { width: `${width}px`, height: `${height}px` });
  document.body.replaceChildren(host);
  const book = new Book();
  const chart = new module[Kind](host, { theme, settings, book });
  await chart.prepare();
  const context = chart.context;
  let id = 100;
  const levels = (given) => Object.entries(given).map(([price, quantity]) => [price, String(quantity)]);
  const send = (message) => {
    book.apply(message);
    chart.changed(message);
  };
  const synced = { type: "snapshot", status: "synced", reason: "", since_time_us: 1, complete: true };
  const tools = {
    host, book, chart, send, theme, PixelPainter, ShaderPainter,
    snapshot: (bids, asks, more = {}) => send({ ...synced, id, bids: levels(bids), asks: levels(asks), ...more }),
    update(bids, asks, more = {}) {
      const message = { type: "update", previous: id, id: (id += 1), complete: true, bids: levels(bids), asks: levels(asks) };
      send({ ...message, ...more });
    },
    /** Draw a frame, at a time of the test's own. */
    draw: (afterMs = 1000) => chart.draw((nowMs += afterMs)),
    /** The colour at a place in CSS pixels, on a screen with one pixel for each. */
    colour: (x, y) => [...context.getImageData(Math.floor(x), Math.floor(y), 1, 1).data].join(),
    /** How many colours a rectangle has. */
    colours: (x, y, wide, high) => new Set(new Uint32Array(context.getImageData(x, y, wide, high).data.buffer)).size,
    /** The middle of a ladder's row, for a tick of 0.1. */
    rowAt: (price) => 24 + (chart.top - Math.round(price * 10)) * 20 + 4,
    keepTexts() {
      const texts = [];
      const { fillText } = context;
      context.fillText = (text, ...rest) => {
        texts.push(text);
        fillText.call(context, text, ...rest);
      };
      return texts;
    },
    remember: () => remember(tools),
    at: (column) => chart.ring.sample((FIRST + column) * 250 + 1, book),
    kind: (column) => chart.ring.kind(FIRST + column),
    newest: () => chart.ring.newest - FIRST,
    view: (more) => ({ width: 160, height: 90, pool: 1, stretch: 2, top: 20, rows: 40, scale: 20, line: 2, ...more }),
    painter: (Painter) => new Painter(document.createElement("canvas")),
    pixelsOf: (painter, view) => pixelsOf(chart, painter, view),
    pixelOf: (colour) => colour.reduce((sum, value, i) => sum + Math.round(255 * value) * 256 ** i, 255 * 2 ** 24),
  };
  Object.assign(window, tools);
}

/** A heatmap with columns 0 to 80, of which 60 to 65 are a gap. The book has moved a little, and come back alone. */
function remember({ chart, book, snapshot, update, send, at }) {
  snapshot({ 99.9: 8, 99.8: 4, 99.5: 2 }, { 100.1: 4, 100.2: 8, 100.6: 1 });
  Object.assign(chart.ring, { step: book.tick, origin: 1000 });
  for (let column = 0; column < 60; column += 1) {
    const price = 100 + Math.round(4 * Math.sin(column / 6)) / 10;
    if (column % 20 === 10) update({ 99.8: 20 }, { [price.toFixed(1)]: 0 });
    update({ [(price - 0.3).toFixed(1)]: column % 7 }, { [(price + 0.5).toFixed(1)]: column % 5 });
    at(column);
  }
  book.lose("gone");
  at(60);
  at(65);
  const alone = { bids: [["99.9", "8"]], asks: [["100.1", "4"]], id: book.id, complete: true };
  book.apply({ type: "snapshot", status: "synced", reason: "", since_time_us: 1, ...alone });
  at(66);
  at(80);
  chart.resize();
}

/** A whole picture, read in the same task, in which WebGL still has it. */
function pixelsOf(chart, painter, view) {
  Object.assign(painter.canvas, { width: view.width, height: view.height });
  painter.isWhole = true;
  painter.recolour(chart.colours);
  painter.paint(chart.ring, view);
  const copy = new OffscreenCanvas(view.width, view.height).getContext("2d");
  copy.drawImage(painter.canvas, 0, 0);
  return copy.getImageData(0, 0, view.width, view.height).data;
}
