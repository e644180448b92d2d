/**
 * The ladder: one row per price step, bids left and asks right of the prices, with bars for their size.
 *
 * `settings`: `group` (a multiple of the tick; "auto" or 0: most rows hold a level), `centred` (follow the mid; otherwise
 * prices keep their rows), `cumulative` (sums from the best price on). Keys and the wheel change them, too: the host gets
 * an event `settings` with what changed. Only rows that changed are drawn.
 */

import { groupOf, groupSteps } from "../book.js";
import { Chart, compact, overlay } from "./kit.js";
import { automaticGroup, cumulate, isBeyond, steadyScale, sumGroups } from "./rows.js";

const HEAD = 24;
const FOOT = 46;
const ROW = 20;
const FADE_MS = 700;
const FADE_STEPS = 7;
const AUTO_MS = 3000;
const DRAWN = 8;
const LABEL =
  "Ladder. Up and down choose a price, left and right a side, plus and minus the group, F centred or frozen, " +
  "C cumulative, Escape nothing.";

export class Ladder extends Chart {
  constructor(host, options) {
    super(host, options, { role: "slider", label: LABEL, isFocusable: true });
    const style = { position: "absolute", inset: "auto 0 0 0", height: `${FOOT}px`, overflow: "hidden" };
    Object.assign(style, { boxSizing: "border-box", padding: "6px 10px", fontSize: "12px", lineHeight: "17px" });
    this.foot = overlay(host, style);
    this.step = this.group = this.top = 0;
    this.autoMs = -Infinity;
    this.fadeUntilMs = 0;
    this.scales = { size: 1, sum: 1 };
    this.chosen = this.pointed = null;
    this.rows = new Rows(0);
    this.listen();
  }

  draw(nowMs) {
    if (nowMs < this.fadeUntilMs) this.isDirty = true;
    super.draw(nowMs);
  }

  resize() {
    super.resize();
    const count = Math.max(0, Math.floor((this.canvas.height - HEAD - FOOT) / ROW));
    if (count !== this.rows.count) this.rows = new Rows(count);
    this.metrics();
    this.repaint();
  }

  set(settings) {
    super.set(settings);
    if ("group" in settings) this.autoMs = -Infinity;
    this.repaint();
  }

  describe() {
    const { book } = this;
    if (!book.isLive) return `Ladder: ${book.staleness}.`;
    const side = (name) => `${compact(book[name].quantity(0))} at ${book.priceText(book[name].units(0))}`;
    const spread = book.priceText(book.asks.units(0) - book.bids.units(0));
    const group = book.priceText(this.step);
    return `Ladder: bid ${side("bids")}, ask ${side("asks")}, spread ${spread}, rows of ${group}.`;
  }

  /** The price step of a row, and which prices the rows show. */
  arrange(nowMs) {
    const { book, rows, settings } = this;
    const wanted = Number(settings.group) || 0;
    if (wanted > 0) this.group = wanted;
    else if (!this.group || (this.isCentred && nowMs - this.autoMs > AUTO_MS)) {
      this.group = automaticGroup(book, rows.count / 2, this.group);
      this.autoMs = nowMs;
    }
    const step = this.group * book.tick;
    const middle = Math.round((book.mid * book.scale) / step);
    if (step !== this.step) {
      const kept = this.isCentred || !this.step ? middle : Math.round(((this.top - rows.count / 2) * this.step) / step);
      this.step = step;
      this.chosen = null;
      this.moveTo(kept + (rows.count >> 1));
      this.repaint();
    }
    const distance = middle - (this.top - (rows.count >> 1));
    if (!this.isPlaced || (this.isCentred && Math.abs(distance) > Math.max(2, rows.count / 8))) {
      this.moveTo(middle + (rows.count >> 1));
      this.isPlaced = true;
    }
  }

  get isCentred() {
    return this.settings.centred !== false;
  }

  moveTo(top) {
    this.rows.move(this.top - top);
    this.top = top;
  }

  repaint() {
    this.isWhole = true;
    this.changeNow();
  }

  paint(nowMs) {
    const { book, rows } = this;
    if (book.isLive !== this.wasLive) this.repaint();
    this.wasLive = book.isLive;
    this.isDirty = false;
    if (!Number.isNaN(book.mid) && rows.count > 2) {
      this.arrange(nowMs);
      this.measure(nowMs);
      this.paintRows(nowMs);
    } else if (this.isWhole) this.canvas.clear(this.theme.surface);
    if (!book.isLive && this.isWhole) this.paintStaleness();
    if (this.isWhole || this.costText !== "") this.paintCost();
    this.isWhole = false;
    this.isDirty = false;
  }

  /** The quantities of all rows, and which of them changed. */
  measure(nowMs) {
    const { book, rows, step, scales } = this;
    rows.fill(book, step, this.top);
    rows.notice(this.theme.isStill || !book.isLive ? null : nowMs);
    if (rows.changedMs.some((changed) => nowMs - changed < FADE_MS)) this.fadeUntilMs = nowMs + FADE_MS;
    const [size, sum] = [steadyScale(rows.largest(), scales.size), steadyScale(rows.largestSum(), scales.sum)];
    this.scales = { size, sum };
    this.proven = { bids: book.provenTo("bids"), asks: book.provenTo("asks") };
    this.best = { bids: groupOf(book.bids.units(0), step, -1), asks: groupOf(book.asks.units(0), step, 1) };
  }

  metrics() {
    const { canvas, theme } = this;
    canvas.context.font = canvas.font(12, 600);
    this.digit = canvas.context.measureText("0").width;
    this.foot.style.borderTop = `1px solid ${theme.grid}`;
    this.foot.style.color = theme.muted;
    this.foot.style.background = theme.surface;
  }

  paintRows(nowMs) {
    const { rows, canvas, scales, theme } = this;
    const longest = this.book.priceText(this.top * this.step).length;
    if (longest !== this.longest) this.isWhole = true;
    this.longest = longest;
    this.priceWidth = Math.ceil(longest * this.digit + 24);
    if (this.isWhole) {
      canvas.clear(theme.surface);
      this.paintHead();
    }
    canvas.context.font = canvas.font(12);
    for (let row = 0; row < rows.count; row += 1) {
      const fade = Math.min(FADE_STEPS, Math.floor(((nowMs - rows.changedMs[row]) / FADE_MS) * FADE_STEPS));
      const group = this.top - row;
      const flags = this.flags(group);
      if (!this.isWhole && rows.isDrawn(row, group, flags, fade, scales)) continue;
      rows.keep(row, group, flags, fade, scales);
      this.paintRow(row, group, flags, 1 - fade / FADE_STEPS);
    }
  }

  /** Everything but quantities that a row's picture depends on. */
  flags(group) {
    const { proven, best, step } = this;
    const isBid = group <= best.bids;
    const isAsk = group >= best.asks;
    const beyond = isBid ? isBeyond(group, step, -1, proven.bids) : isAsk && isBeyond(group, step, 1, proven.asks);
    const [from, to] = this.chosen ? [this.chosen.group, best[this.chosen.side]] : [1, 0];
    const isTaken = (isBid || isAsk) && group >= Math.min(from, to) && group <= Math.max(from, to) && this.chosen;
    return (
      (isBid ? 1 : 0) + (isAsk ? 2 : 0) + (beyond ? 4 : 0) + (isTaken ? 8 : 0) +
      (this.chosen?.group === group ? 16 : 0) + (this.pointed === group ? 32 : 0) +
      (group === best.bids ? 64 : 0) + (group === best.asks ? 128 : 0)
    );
  }

  paintRow(row, group, flags, fresh) {
    const { canvas, theme, book, rows } = this;
    const { context, width } = canvas;
    const y = HEAD + row * ROW;
    const [middle, half] = [Math.round(width / 2), this.priceWidth / 2];
    context.fillStyle = theme.surface;
    context.fillRect(0, y, width, ROW);
    context.globalAlpha = flags & 8 ? 0.13 : flags & 32 ? 0.08 : 0;
    context.fillStyle = theme.accent;
    if (context.globalAlpha > 0) context.fillRect(0, y, width, ROW);
    context.globalAlpha = flags & 3 ? 0.05 : 0.1;
    context.fillStyle = theme.muted;
    context.fillRect(middle - half, y, 2 * half, ROW);
    const isDim = (flags & 4) !== 0;
    if (isDim) {
      context.globalAlpha = 1;
      context.fillStyle = canvas.hatch(theme.muted, 0.16);
      context.fillRect(0, y, width, ROW);
    }
    context.globalAlpha = isDim ? 0.45 : 1;
    if (flags & 1) this.paintSide(row, y, middle - half, -1, fresh, isDim);
    if (flags & 2) this.paintSide(row, y, middle + half, 1, fresh, isDim);
    context.globalAlpha = isDim ? 0.75 : 1;
    context.textAlign = "center";
    const isBest = flags & 192;
    if (isBest) context.font = canvas.font(12, 600);
    const holds = rows.bids[rows.index(row)] + rows.asks[rows.index(row)] > 0;
    context.fillStyle = flags & 1 && holds ? theme.bid : flags & 2 && holds ? theme.ask : theme.muted;
    context.fillText(book.priceText(group * this.step), middle, y + ROW / 2 + 0.5);
    if (isBest) context.font = canvas.font(12);
    context.globalAlpha = 1;
    canvas.line(0, y + ROW - 1 / canvas.ratio, width, y + ROW - 1 / canvas.ratio, theme.grid);
    if (flags & 128) canvas.line(0, y + ROW - 1.5, width, y + ROW - 1.5, theme.ask);
    if (flags & 64) canvas.line(0, y, width, y, theme.bid);
    if (flags & 16) {
      context.strokeStyle = theme.accent;
      context.lineWidth = 2;
      context.strokeRect(1, y + 1, width - 2, ROW - 2);
    }
  }

  /** The bars and figures of one side; `edge`: where the prices end, `sign`: in which direction bars grow. */
  paintSide(row, y, edge, sign, fresh, isDim) {
    const { canvas, theme, rows, scales, settings } = this;
    const { context } = canvas;
    const index = rows.index(row);
    const [size, sum] = sign < 0 ? [rows.bids[index], rows.bidSums[index]] : [rows.asks[index], rows.askSums[index]];
    const colour = sign < 0 ? theme.bid : theme.ask;
    const room = sign < 0 ? edge : canvas.width - edge;
    const alpha = context.globalAlpha;
    const bar = (share, strength, isHatched) => {
      const wide = canvas.snap(Math.min(1, share) * (room - 4));
      context.globalAlpha = alpha * strength;
      context.fillStyle = isHatched ? canvas.hatch(colour, 1, { gap: 4 }) : colour;
      context.fillRect(sign < 0 ? edge - wide : edge, y + 2, wide, ROW - 4);
    };
    const scale = settings.cumulative ? scales.sum : scales.size;
    if (settings.cumulative) bar(sum / scale, 0.16, false);
    bar(size / scale, sign < 0 || settings.cumulative ? 0.32 : 0.2, false);
    if (sign > 0 && size > 0) bar(size / scale, 0.3, true);
    if (fresh > 0) {
      context.globalAlpha = alpha * 0.3 * fresh;
      context.fillStyle = colour;
      context.fillRect(sign < 0 ? edge - Math.min(room, 84) : edge, y, Math.min(room, 84), ROW - 1);
    }
    context.globalAlpha = alpha;
    const isWide = room > 150;
    context.textAlign = sign < 0 ? "right" : "left";
    if (size > 0 && (isWide || !settings.cumulative)) {
      context.fillStyle = theme.text;
      context.fillText(compact(size), edge + sign * 10, y + ROW / 2 + 0.5);
    }
    if (settings.cumulative && sum > 0) {
      context.fillStyle = size > 0 && !isDim ? theme.text : theme.muted;
      context.fillText(compact(sum), edge + sign * (isWide ? 84 : 10), y + ROW / 2 + 0.5);
    }
  }

  paintHead() {
    const { canvas, theme, settings, priceWidth, book } = this;
    const [middle, half] = [Math.round(canvas.width / 2), priceWidth / 2];
    const isWide = middle - half > 150;
    const options = { colour: theme.muted };
    const y = HEAD / 2;
    for (const [sign, name, align] of [[-1, "Bids", "right"], [1, "Asks", "left"]]) {
      const edge = middle + sign * half;
      if (isWide || !settings.cumulative) canvas.text(name, edge + sign * 10, y, { ...options, align });
      if (settings.cumulative) canvas.text("Sum", edge + sign * (isWide ? 84 : 10), y, { ...options, align });
    }
    canvas.text(`by ${book.priceText(this.step)}`, middle, y, { ...options, align: "center" });
    canvas.line(0, HEAD - 1, canvas.width, HEAD - 1, theme.grid);
  }

  /** What it costs to get to the price that is chosen, or pointed at. */
  paintCost() {
    const [title, detail] = this.cost() ?? ["Choose a price for the cost to get there.", ""];
    const text = `${title}\n${detail}`;
    if (text === this.costText) return;
    this.costText = text;
    const first = document.createElement("div");
    first.textContent = title;
    first.style.color = detail ? this.theme.text : this.theme.muted;
    const second = document.createElement("div");
    second.textContent = detail;
    this.foot.replaceChildren(first, second);
    for (const line of [first, second]) Object.assign(line.style, { whiteSpace: "nowrap", overflow: "hidden" });
  }

  cost() {
    const { book, step, pointed } = this;
    const chosen = this.chosen ?? (pointed === null ? null : this.at(pointed));
    if (!chosen || !this.best) return null;
    const cost = book.cost(chosen.side, chosen.group * step);
    const verb = chosen.side === "asks" ? "Buy" : "Sell";
    const price = book.priceText(chosen.group * step);
    if (!cost) return [`${verb} to ${price}: nothing to take`, "\u00a0"];
    const levels = `${cost.levels} ${cost.levels === 1 ? "level" : "levels"}`;
    const total = book.isInverse ? "" : ` for ${compact(cost.total)}`;
    const proven = cost.isProven ? "" : ", beyond the complete range";
    const average = book.priceText(Math.round(cost.average * book.scale * 100) / 100);
    return [
      `${verb} to ${price}: ${compact(cost.quantity)}${total}`,
      `average ${average}, slippage ${cost.slippageBps.toFixed(2)} bp, ${levels}${proven}`,
    ];
  }

  /** The side that a group belongs to; the gap between the sides belongs to the nearer one. */
  at(group) {
    const { best } = this;
    if (!best) return null;
    return { group, side: group - best.bids > best.asks - group || group >= best.asks ? "asks" : "bids" };
  }

  listen() {
    const { element } = this.canvas;
    element.setAttribute("aria-orientation", "vertical");
    element.setAttribute("aria-valuenow", "0");
    const row = (event) => Math.floor((event.offsetY - HEAD) / ROW);
    const groupAt = (event) => (row(event) >= 0 && row(event) < this.rows.count ? this.top - row(event) : null);
    element.addEventListener("pointermove", (event) => this.point(event.pointerType === "touch" ? null : groupAt(event)));
    element.addEventListener("pointerleave", () => this.point(null));
    element.addEventListener("click", (event) => {
      const group = groupAt(event);
      this.select(group === null || group === this.chosen?.group ? null : this.at(group));
    });
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.press(event.key)) return;
      event.preventDefault();
    });
    element.addEventListener("wheel", (event) => this.scroll(event), { passive: false });
  }

  point(group) {
    if (group === this.pointed) return;
    this.pointed = group;
    this.changeNow();
  }

  select(chosen) {
    this.chosen = chosen;
    this.changeNow();
    const [title, detail] = this.cost() ?? ["Nothing chosen", ""];
    const { element } = this.canvas;
    element.setAttribute("aria-valuetext", `${title}. ${detail}`);
    element.setAttribute("aria-valuenow", String(chosen ? (chosen.group * this.step) / this.book.scale : 0));
  }

  /** A key; true if it means something here. */
  press(key) {
    const { chosen, best, rows } = this;
    const moves = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
    if (key === "Escape" && chosen) this.select(null);
    else if (key === "+" || key === "-" || key === "=") this.regroup(key === "-" ? -1 : 1);
    else if (key === "f" || key === "F") this.choose({ centred: !this.isCentred });
    else if (key === "c" || key === "C") this.choose({ cumulative: !this.settings.cumulative });
    else if (!best) return false;
    else if (key === "ArrowLeft" || (key === "Home" && chosen?.side === "bids")) this.show(best.bids);
    else if (key === "ArrowRight" || key === "Home") this.show(best.asks);
    else if (key in moves && !chosen) this.show(moves[key] > 0 ? best.asks : best.bids);
    else if (key in moves) this.show(chosen.group + moves[key]);
    else if (key === "End") this.show(chosen?.side === "asks" ? this.top : this.top - rows.count + 1);
    else return false;
    return true;
  }

  /** Choose a group, and bring it into view: centred rows stay, others move. */
  show(group) {
    const bottom = this.top - this.rows.count + 1;
    if (this.isCentred) group = Math.max(bottom, Math.min(this.top, group));
    else if (group > this.top) this.moveTo(group);
    else if (group < bottom) this.moveTo(group + this.rows.count - 1);
    this.select(this.at(group));
  }

  regroup(by) {
    const steps = groupSteps(this.book);
    const at = steps.findIndex((group) => group >= this.group);
    const group = steps[Math.max(0, Math.min(steps.length - 1, (at < 0 ? steps.length : at) + by))];
    if (group) this.choose({ group });
  }

  /** The wheel moves the rows, once the ladder has the focus or is frozen; otherwise the page scrolls. */
  scroll(event) {
    if (event.ctrlKey || (this.isCentred && document.activeElement !== this.canvas.element)) return;
    event.preventDefault();
    if (this.isCentred) this.choose({ centred: false });
    const by = Math.sign(event.deltaY) * Math.max(1, Math.round(Math.abs(event.deltaY) / 40));
    this.moveTo(this.top - by);
    this.changeNow();
  }
}

/** The quantities of the visible rows, when they changed, and what of them is drawn. */
export class Rows {
  constructor(count) {
    this.count = count;
    this.top = NaN;
    for (const name of ["bids", "asks", "bidSums", "askSums", "before"]) this[name] = new Float64Array(count);
    this.changedMs = new Float64Array(count).fill(-Infinity);
    this.isKnown = new Uint8Array(count);
    this.drawn = new Float64Array(count * DRAWN).fill(NaN);
  }

  /** Groups ascend with the index, rows descend. */
  index(row) {
    return this.count - 1 - row;
  }

  /** Prices moved by some rows: what is known of them moves along. */
  move(rows) {
    const shift = (array, rest) => {
      const moved = array.slice();
      for (let i = 0; i < array.length; i += 1) array[i] = moved[i - rows] ?? rest;
    };
    if (rows === 0) return;
    shift(this.before, 0);
    shift(this.isKnown, 0);
    const flipped = this.changedMs.slice();
    for (let row = 0; row < this.count; row += 1) this.changedMs[row] = flipped[row + rows] ?? -Infinity;
  }

  fill(book, step, top) {
    const first = top - this.count + 1;
    cumulate(this.bids, sumGroups(book.bids, step, first, this.bids), -1, this.bidSums);
    cumulate(this.asks, sumGroups(book.asks, step, first, this.asks), 1, this.askSums);
    if (step !== this.step) this.isKnown.fill(0);
    this.step = step;
  }

  /** See which quantities changed; `nowMs` null: nothing fades. */
  notice(nowMs) {
    for (let row = 0; row < this.count; row += 1) {
      const i = this.index(row);
      const quantity = this.bids[i] - this.asks[i];
      if (nowMs !== null && this.isKnown[i] && quantity !== this.before[i]) this.changedMs[row] = nowMs;
      this.before[i] = quantity;
      this.isKnown[i] = 1;
    }
  }

  largest() {
    let largest = 0;
    for (let i = 0; i < this.count; i += 1) largest = Math.max(largest, this.bids[i], this.asks[i]);
    return largest;
  }

  largestSum() {
    return this.count ? Math.max(this.bidSums[0], this.askSums[this.count - 1]) : 0;
  }

  isDrawn(row, group, flags, fade, scales) {
    const i = this.index(row);
    const { drawn } = this;
    const at = row * DRAWN;
    return (
      drawn[at] === group && drawn[at + 1] === flags && drawn[at + 2] === fade && drawn[at + 3] === scales.size &&
      drawn[at + 4] === scales.sum && drawn[at + 5] === this.bids[i] - this.asks[i] &&
      drawn[at + 6] === this.bidSums[i] && drawn[at + 7] === this.askSums[i]
    );
  }

  keep(row, group, flags, fade, scales) {
    const i = this.index(row);
    const sums = [this.bids[i] - this.asks[i], this.bidSums[i], this.askSums[i]];
    this.drawn.set([group, flags, fade, scales.size, scales.sum, ...sums], row * DRAWN);
  }
}
