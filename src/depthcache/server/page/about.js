/** The server: its version, its books, connections and responses. */

import { count, h, mark, plural, setText, tone } from "./dom.js";
import { why } from "./notices.js";
import { session } from "./session.js";

const LOOK_MS = 2_000;

/** The view of the server. */
export class AboutView {
  constructor() {
    this.title = "About";
    this.version = h("p", { class: "lead" }, "…");
    this.cards = h("div", { class: "cards" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.element = h("section", { class: "about" }, h("h1", {}, "About this server"), this.version, this.problem, this.cards,
      h("p", { class: "muted" }, h("a", { href: "/docs" }, "API"), " · ", h("a", { href: "/openapi.json" }, "OpenAPI"),
        " · MIT licence · Your agreement with the exchange may forbid passing its market data on."));
  }

  show() {
    this.look();
    this.timer = setInterval(() => document.hidden || this.look(), LOOK_MS);
  }

  hide() {
    clearInterval(this.timer);
  }

  async look() {
    try {
      const stats = await session.json("/v1/stats");
      setText(this.problem, "");
      this.render(stats);
    } catch (error) {
      setText(this.problem, why(error));
    }
  }

  render(stats) {
    const { running, installed } = stats.version ?? {};
    const key = `${running} ${installed} ${session.mayManage}`;
    if (key !== this.renderedKey) {
      this.renderedKey = key;
      const may = session.mayManage ? "can add and remove books" : "can read books, but not change them";
      this.version.replaceChildren(
        h("b", {}, `depthcache ${running ?? ""}`), ...badge(stats.version), ` at ${location.host}. This page ${may}.`);
    }
    const { all, ...byStatus } = stats.books;
    const statuses = Object.entries(byStatus).filter(([, number]) => number > 0);
    const { connections, streams } = stats;
    const responses = Object.values(stats.responses).flatMap(Object.entries);
    const sum = (test) => responses.reduce((total, [status, number]) => total + (test(Number(status)) ? number : 0), 0);
    this.fill([
      ["Books", all, statuses.map(([status, number]) => h("span", { "data-tone": tone(status) }, `${mark(status)} ${count(number)} ${status}`))],
      ["Connections", connections.open, [`${count(connections.accepted)} since the start`, plural(streams.sockets, "WebSocket"), plural(streams.event_streams, "event stream")]],
      ["Followed books", streams.subscribers, [`now; ${plural(streams.messages, "message")} since the start`, `${count(streams.encoded)} encoded`, `${plural(streams.skipped, "update")} skipped`]],
      ["Responses", sum(() => true), [`${count(sum((status) => status >= 400 && status < 500))} refused`, `${count(sum((status) => status >= 500))} failed`, `${count(stats.waiting)} waiting`]],
    ]);
  }

  fill(cards) {
    if (this.cards.children.length === 0) {
      for (const [title] of cards) this.cards.append(h("div", { class: "panel" }, h("h2", {}, title), h("p", { class: "big number" }), h("ul", {})));
    }
    cards.forEach(([, number, lines], index) => {
      const [, big, list] = this.cards.children[index].children;
      setText(big, count(number));
      const text = lines.map((line) => line.textContent ?? line).join("|");
      if (list.shown === text) return;
      list.shown = text;
      list.replaceChildren(...lines.map((line) => h("li", {}, line)));
    });
  }
}

/** A badge if a newer version is installed than the one that runs; nothing otherwise. */
export function badge(version) {
  if (!version || version.running === version.installed) return [];
  return [" ", h("span", { class: "badge", title: "Restart the server to run it" }, `${version.installed} is installed: restart to run it`)];
}
