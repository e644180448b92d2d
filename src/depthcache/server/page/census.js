/** The books of the server in one line: how many are synced, and why the others are not. */

import { books } from "./books.js";
import { clock, count, h, mark, plural, tone } from "./dom.js";

/** The line; `onChoose(status)`: a reader wants to see the books of a status. */
export class Census {
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.element = h("span", { class: "census" });
  }

  /** Count again, if something changed. */
  render() {
    if (books.version === this.renderedVersion) return;
    this.renderedVersion = books.version;
    const groups = new Map();
    let synced = 0;
    let lost = 0;
    for (const row of books.rows.values()) {
      lost += row.isLost ? 1 : 0;
      if (row.isLost) continue;
      if (row.status === "synced") {
        synced += 1;
        continue;
      }
      const key = `${row.status}\n${row.reason}`;
      const group = groups.get(key) ?? { row, count: 0, sinceUs: row.sinceUs };
      group.count += 1;
      group.sinceUs = Math.min(group.sinceUs ?? Infinity, row.sinceUs ?? Infinity);
      groups.set(key, group);
    }
    const found = [...groups.values()].sort((a, b) => b.count - a.count);
    const text = [synced, lost, ...found.map((each) => [each.row.status, each.row.reason, each.count, each.sinceUs])].join("|");
    if (text === this.shown) return;
    this.shown = text;
    const parts = books.rows.size > lost ? [h("span", { "data-tone": "good" }, `${mark("synced")} ${count(synced)} synced`)] : [];
    if (lost > 0) parts.push(h("button", { class: "link", "data-tone": "bad", onclick: () => this.onChoose("disconnected") }, `${mark("disconnected")} ${count(lost)} not known`));
    for (const group of found.slice(0, 3)) {
      const { status, reason } = group.row;
      const since = Number.isFinite(group.sinceUs) ? `, since ${clock(group.sinceUs)}` : "";
      parts.push(h("button", { class: "link", "data-tone": tone(status), title: `${reason}${since}`, onclick: () => this.onChoose(status) },
        `${mark(status)} ${count(group.count)} ${status}${reason ? `: ${reason}` : ""}${since}`));
    }
    if (found.length > 3) parts.push(h("button", { class: "link", onclick: () => this.onChoose("trouble") }, `${plural(found.length - 3, "more reason")}`));
    this.element.replaceChildren(...parts);
  }
}
