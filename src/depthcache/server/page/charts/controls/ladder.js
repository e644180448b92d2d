/** What readers do in the ladder: choose a price for the cost to get there, another group, frozen or cumulative rows. */

import { groupSteps } from "../../book.js";
import { h, setAttribute } from "../../dom.js";
import { compact } from "../kit.js";
import { HEAD, PROMPT } from "../ladder.js";
import { costOf } from "./cost.js";

const MOVES = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

export const controls = {
  label:
    "Ladder. Up and down choose a price, left and right a side, plus and minus the group; F: centred or frozen, " +
    "C: cumulative, Escape: nothing chosen.",

  /** What goes into the header of the card: the group, and two switches. */
  addTools(host) {
    if (host.children.length > 0) return;
    this.groups = h("select", { "aria-label": "Group prices by", onchange: () => this.choose({ group: Number(this.groups.value) || "auto" }) });
    this.switches = [["centred", "Centred"], ["cumulative", "Cumulative"]].map(([name, title]) => {
      const element = h("button", { class: "toggle", onclick: () => this.choose({ [name]: element.getAttribute("aria-pressed") !== "true" }) }, title);
      return { name, element };
    });
    host.append(this.groups, ...this.switches.map(({ element }) => element));
    this.renderTools();
  },

  changed({ type }) {
    this.isDirty = true;
    if (type === "snapshot") this.renderTools();
  },

  /** The steps that prices may be grouped by change with the prices. */
  renderTools() {
    const { book, groups, settings } = this;
    if (!groups) return;
    const texts = groupSteps(book).map((step) => [step, book.priceText(step * (book.tick || 1))]);
    const key = JSON.stringify(texts);
    if (groups.shown !== key) {
      groups.shown = key;
      groups.replaceChildren(...[["auto", "Group: auto"], ...texts].map(([value, text]) => h("option", { value }, text)));
    }
    groups.value = String(settings.group || "auto");
    for (const { name, element } of this.switches) setAttribute(element, "aria-pressed", String(settings[name] ?? name === "centred"));
  },

  describe() {
    const { book } = this;
    if (!book.isLive) return `Ladder: ${book.staleness}.`;
    const best = (side) => (side.length ? `${compact(side.quantity(0))} at ${book.priceText(side.units(0))}` : "none");
    return `Ladder: bid ${best(book.bids)}, ask ${best(book.asks)}, rows of ${book.priceText(this.step || book.tick)}.`;
  },

  /** What it costs to get to the price that is chosen, or pointed at: two lines. */
  costText() {
    const { book, step } = this;
    const group = this.chosen ?? this.pointed;
    if (group === null || !this.proven) return PROMPT;
    const side = this.sideOf(group);
    const cost = costOf(book, side, group * step);
    const title = `${side === "asks" ? "Buy" : "Sell"} to ${book.priceText(group * step)}: `;
    if (!cost) return `${title}nothing to take.`;
    const total = book.isInverse ? "" : ` for ${compact(cost.total)}`;
    const average = book.priceText(Math.round(cost.average * book.scale));
    const slippage = book.mid > 0 ? `, slippage ${cost.slippageBps.toFixed(2)} bp` : "";
    const proven = cost.isProven ? "" : ", beyond the complete range";
    return `${title}${compact(cost.quantity)}${total}\naverage ${average}${slippage}${proven}`;
  },

  click(y) {
    const group = this.groupAt(y);
    this.choosePrice(group === this.chosen ? null : group);
  },

  /** The side of a group; between the best prices, the nearer one. */
  sideOf(group) {
    if (Number.isNaN(this.bestBid)) return "asks";
    return 2 * group > this.bestBid + this.bestAsk ? "asks" : "bids";
  },

  groupAt(y) {
    const row = Math.floor((y - HEAD) / this.row);
    return y !== null && row >= 0 && row < this.count && this.proven && Number.isFinite(this.top) ? this.top - row : null;
  },

  point(_x, y) {
    this.pointed = this.groupAt(y);
  },

  /** A group by its number, null for none. In centred rows it stays in view, otherwise the rows move. */
  choosePrice(group) {
    if (Number.isNaN(group)) return;
    const bottom = this.top - this.count + 1;
    if (group !== null && this.isCentred) group = Math.max(bottom, Math.min(this.top, group));
    else if (group !== null) this.top += Math.max(0, group - this.top) + Math.min(0, group - bottom);
    this.chosen = group;
    this.isDirty = true;
    this.canvas.setAttribute("aria-valuetext", this.costText());
    this.canvas.setAttribute("aria-valuenow", group === null ? 0 : (group * this.step) / this.book.scale);
  },

  press(key) {
    const { chosen, bestBid, bestAsk } = this;
    if (key === "+" || key === "-" || key === "=") this.regroup(key === "-" ? -1 : 1);
    else if (key === "f" || key === "F") this.choose({ centred: !this.isCentred });
    else if (key === "c" || key === "C") this.choose({ cumulative: !this.settings.cumulative });
    else if (!this.proven) return false;
    else if (key === "Escape" && chosen !== null) this.choosePrice(null);
    else if (key === "ArrowLeft") this.choosePrice(bestBid);
    else if (key === "ArrowRight" || key === "Home") this.choosePrice(bestAsk);
    else if (key in MOVES) this.choosePrice(chosen === null ? (MOVES[key] > 0 ? bestAsk : bestBid) : chosen + MOVES[key]);
    else return false;
    return true;
  },

  regroup(by) {
    const steps = groupSteps(this.book);
    const at = steps.findIndex((group) => group >= this.group);
    this.choose({ group: steps[Math.max(0, Math.min(steps.length - 1, at + by))] });
  },

  /** The wheel moves the rows, which are frozen then. */
  turn({ deltaY }) {
    if (this.isCentred) this.choose({ centred: false });
    this.top -= Math.sign(deltaY) * Math.max(1, Math.round(Math.abs(deltaY) / 40));
    this.isDirty = true;
    return true;
  },
};
