/**
 * The ladder: one row per price step, bids left and asks right of the prices, with bars for their size. Only rows that
 * changed are drawn.
 *
 * `settings`: `group` (a multiple of the tick; 0 or "auto": most rows hold a level), `centred` (follow the mid; false:
 * prices keep their rows), `cumulative` (sums from the best price on).
 */

import { groupOf } from "../book.js";
import { setText } from "../dom.js";
import { Chart, compact, element } from "./kit.js";
import { automaticGroup, steadyScale, sumGroups } from "./rows.js";

export const HEAD = 24;
const FOOT = 46;
/** Rows are high enough for a finger where there is no mouse. */
const ROW = { fine: 20, coarse: 28 };
const FADE_MS = 700;
const AUTO_MS = 3000;
export const PROMPT = "Choose a price for the cost to get there.";

export class Ladder extends Chart {
  constructor(host, options) {
    super(host, options, { label: "Ladder", role: "slider", controls: () => import("./controls/ladder.js") });
    const style = { position: "absolute", inset: "auto 0 0 0", height: `${FOOT}px`, overflow: "hidden", whiteSpace: "pre" };
    this.foot = element(host, { ...style, boxSizing: "border-box", padding: "6px 10px", fontSize: "12px", lineHeight: "17px" });
    for (const [name, value] of [["orientation", "vertical"], ["valuemin", 0], ["valuemax", 1e12], ["valuenow", 0], ["valuetext", PROMPT]]) {
      this.canvas.setAttribute(`aria-${name}`, value);
    }
    this.step = this.group = this.count = 0;
    this.top = this.autoMs = this.fadeUntilMs = -Infinity;
    this.chosen = this.pointed = null;
    this.scale = this.sumScale = 1;
    this.seen = new Map();
  }

  draw(nowMs) {
    if (this.paintedMs < this.fadeUntilMs) this.isDirty = true; // until it is drawn without
    super.draw(nowMs);
  }

  resize() {
    super.resize();
    this.row = matchMedia("(pointer: coarse)").matches ? ROW.coarse : ROW.fine;
    this.count = Math.max(0, Math.floor((this.height - HEAD - FOOT) / this.row));
    for (const name of ["bids", "asks", "bidSums", "askSums"]) this[name] = new Float64Array(this.count);
    this.top = -Infinity;
    this.drawn = [];
    const { grid, surface, text } = this.theme;
    Object.assign(this.foot.style, { borderTop: `1px solid ${grid}`, background: surface, color: text });
  }

  set(settings) {
    super.set(settings);
    this.renderTools?.();
    this.autoMs = -Infinity;
    this.drawn = [];
  }

  get isCentred() {
    return this.settings.centred !== false;
  }

  paint(nowMs) {
    const { book } = this;
    if (book.isLive !== this.wasLive || !book.isLive) this.drawn = [];
    if (this.drawn.length === 0) this.clear();
    this.wasLive = book.isLive;
    if (book.centre > 0) {
      this.arrange(nowMs);
      this.measure();
      this.paintRows(nowMs);
    }
    if (!book.isLive) this.paintStaleness({ top: HEAD + 18 });
    setText(this.foot, this.isReady ? this.costText() : PROMPT);
  }

  /** The price step of a row, and which prices the rows show. */
  arrange(nowMs) {
    const { book, settings, count } = this;
    const wanted = Number(settings.group) || 0;
    if (wanted > 0) this.group = wanted;
    else if (!this.group || (this.isCentred && nowMs - this.autoMs > AUTO_MS)) {
      this.group = automaticGroup(book, count / 2, this.group);
      this.autoMs = nowMs;
    }
    const step = this.group * book.tick;
    const middle = Math.round((book.centre * book.scale) / step);
    if (step !== this.step) {
      const kept = Math.round(((this.top - count / 2) * this.step) / step);
      this.top = (this.isCentred || !Number.isFinite(kept) ? middle : kept) + (count >> 1);
      this.step = step;
      this.chosen = null;
      this.seen.clear();
    }
    const distance = Math.abs(middle - (this.top - (count >> 1)));
    if (distance === Infinity || (this.isCentred && distance > Math.max(2, count / 8))) this.top = middle + (count >> 1);
  }

  /** The quantities of all rows, and the scales of their bars. */
  measure() {
    const { book, step, count, bids, asks, bidSums, askSums } = this;
    const first = this.top - count + 1;
    sumGroups(book.bids, step, first, bids, bidSums);
    sumGroups(book.asks, step, first, asks, askSums);
    this.scale = steadyScale(Math.max(...bids, ...asks), this.scale);
    this.sumScale = steadyScale(Math.max(bidSums[0], askSums[count - 1]), this.sumScale);
    this.proven = { bids: book.provenTo("bids"), asks: book.provenTo("asks") };
    this.bestBid = groupOf(book.bids.units(0), step, -1);
    this.bestAsk = groupOf(book.asks.units(0), step, 1);
  }

  paintRows(nowMs) {
    const { count, top, book, theme } = this;
    this.half = Math.ceil((book.priceText(top * this.step).length * this.digit * 12) / 11 / 2 + 12);
    this.paintHead();
    this.font(12);
    const seen = new Map();
    for (let row = 0; row < count; row += 1) {
      const group = top - row;
      const i = count - 1 - row;
      const quantity = this.bids[i] - this.asks[i];
      const before = this.seen.get(group) ?? { quantity, changedMs: -Infinity };
      const isNews = quantity !== before.quantity && !theme.isStill && book.isLive;
      const changedMs = isNews ? nowMs : before.changedMs;
      seen.set(group, { quantity, changedMs });
      if (isNews) this.fadeUntilMs = nowMs + FADE_MS;
      const fresh = 1 - Math.min(7, Math.floor((7 * (nowMs - changedMs)) / FADE_MS)) / 7;
      const state = this.stateOf(group, fresh);
      const scales = this.settings.cumulative ? [this.bidSums[i], this.askSums[i], this.sumScale] : [];
      const picture = [group, quantity, this.half, this.scale, ...scales, ...Object.values(state)].join();
      if (picture === this.drawn[row]) continue;
      this.drawn[row] = picture;
      this.paintRow(HEAD + row * this.row, group, i, state);
    }
    this.seen = seen;
  }

  /** Everything but quantities that the picture of a row depends on. */
  stateOf(group, fresh) {
    const { bestBid, bestAsk, chosen, step, proven } = this;
    const isBid = group <= bestBid;
    const isAsk = group >= bestAsk;
    const isProven = isBid ? group * step >= proven.bids : group * step <= proven.asks;
    const isWithin = chosen !== null && this.sideOf(chosen) === this.sideOf(group) &&
      (isBid ? group >= chosen : isAsk && group <= chosen);
    const marks = { isChosen: group === chosen, isPointed: group === this.pointed };
    Object.assign(marks, { isBestBid: group === bestBid, isBestAsk: group === bestAsk });
    return { isBid, isAsk, isDim: (isBid || isAsk) && !isProven, isWithin, ...marks, fresh };
  }

  /** Levels that do not count are grey. */
  get colours() {
    const { bid, ask, text, muted } = this.theme;
    return this.book.isLive ? { bid, ask, text } : { bid: muted, ask: muted, text: muted };
  }

  paintRow(y, group, i, state) {
    const { context, theme, width, half, bids, asks } = this;
    const { isBestBid, isBestAsk } = state;
    const { bid, ask } = this.colours;
    const middle = Math.round(width / 2);
    this.fill(theme.surface, 0, y, width, this.row);
    if (state.isWithin || state.isPointed) this.fill(theme.accent, 0, y, width, this.row, state.isWithin ? 0.14 : 0.08);
    this.fill(theme.muted, middle - half, y, 2 * half, this.row, state.isBid || state.isAsk ? 0.06 : 0.12);
    if (state.isBid || state.isAsk) this.fill(state.isBid ? bid : ask, middle - half, y, 2 * half, this.row, 0.3 * state.fresh);
    if (state.isDim) this.fill(this.hatch(theme.muted), 0, y, width, this.row, 0.18);
    if (state.isBid) this.paintSide(y, middle - half, -1, bids[i], this.bidSums[i], state);
    if (state.isAsk) this.paintSide(y, middle + half, 1, asks[i], this.askSums[i], state);
    if (isBestBid || isBestAsk) this.font(12, 600);
    context.globalAlpha = state.isDim ? 0.75 : 1;
    context.textAlign = "center";
    context.fillStyle = bids[i] > 0 ? bid : asks[i] > 0 ? ask : theme.muted;
    if (group > 0) context.fillText(this.book.priceText(group * this.step), middle, y + this.row / 2 + 0.5);
    context.globalAlpha = 1;
    if (isBestBid || isBestAsk) this.font(12);
    const edge = y + this.row - 1 / this.ratio;
    this.line(0, edge, width, edge, isBestAsk ? ask : theme.grid);
    if (isBestBid) this.line(0, y, width, y, bid);
    if (!state.isChosen) return;
    context.strokeStyle = theme.accent;
    context.lineWidth = 2;
    context.strokeRect(1, y + 1, width - 2, this.row - 3);
  }

  /** The bar and the figure of one side; `edge`: where the prices end, `sign`: in which direction bars grow. */
  paintSide(y, edge, sign, size, sum, { isDim }) {
    const { theme, context, settings } = this;
    const { bid, ask, text } = this.colours;
    const colour = sign < 0 ? bid : ask;
    const room = sign < 0 ? edge : this.width - edge;
    const strong = isDim ? 0.5 : 1;
    const bar = (fill, wide, alpha) => this.fill(fill, sign < 0 ? edge - wide : edge, y + 2, wide, this.row - 4, alpha * strong);
    const wide = (share) => this.snap(Math.min(1, share) * (room - 4));
    if (settings.cumulative) bar(colour, wide(sum / this.sumScale), 0.16);
    bar(colour, wide(size / (settings.cumulative ? this.sumScale : this.scale)), sign < 0 ? 0.32 : 0.18);
    if (sign > 0 && size > 0) bar(this.hatch(colour, 4), wide(size / (settings.cumulative ? this.sumScale : this.scale)), 0.35);
    const shown = settings.cumulative ? sum : size;
    if (shown === 0) return;
    context.globalAlpha = isDim ? 0.6 : 1;
    context.textAlign = sign < 0 ? "right" : "left";
    context.fillStyle = size > 0 ? text : theme.muted;
    context.fillText(compact(shown), edge + sign * 10, y + this.row / 2 + 0.5);
    context.globalAlpha = 1;
  }

  paintHead() {
    const { width, half, settings, theme } = this;
    const middle = Math.round(width / 2);
    this.fill(theme.surface, 0, 0, width, HEAD);
    const what = settings.cumulative ? " sum" : "";
    this.text(`Bids${what}`, middle - half - 10, HEAD / 2, { align: "right" });
    this.text(`Asks${what}`, middle + half + 10, HEAD / 2);
    this.text(`by ${this.book.priceText(this.step)}`, middle, HEAD / 2, { align: "center" });
    this.line(0, HEAD - 1, width, HEAD - 1);
  }
}
