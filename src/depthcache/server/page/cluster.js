/** The cluster of the node that serves the page: its nodes, request weight, books and moves. */

import { BooksPanel } from "./clusterbooks.js";
import { MovesPanel, moveTime, moveWords } from "./clustermoves.js";
import { ClusterWatch, nodeMark, nodeTone, shortId } from "./clusterstate.js";
import { clock, count, h, plural, setAttribute, setText } from "./dom.js";
import { frames } from "./frames.js";
import { notify, why, whyNotLoaded } from "./notices.js";
import { takeNodes } from "./others.js";
import { session } from "./session.js";
import { stream } from "./stream.js";

const FEW = 6;
const PARTS = [["", "Overview"], ["books", "Books"], ["moves", "Moves"]];

let view = null;

/** Show the view, once its style sheet is there. */
export async function showCluster(page, part) {
  const { at } = page;
  try {
    view ??= await begin();
    if (page.at === at) page.show(view.at(part));
  } catch (error) {
    if (page.at === at) page.refuse(error);
  }
}

session.onChange(() => {
  if (!session.hasToken) view = null; // another token may see another cluster
});

async function begin() {
  const sheet = h("link", { rel: "stylesheet", href: "/page/cluster.css" });
  await new Promise((resolve, reject) => {
    sheet.onload = resolve;
    sheet.onerror = () => (sheet.remove(), reject(new Error("cluster.css did not arrive")));
    document.head.append(sheet);
  });
  return new ClusterView();
}

class ClusterView {
  constructor() {
    this.title = "Cluster";
    this.watch = new ClusterWatch({
      json: (path) => session.json(path), onNews: () => frames.wake(), onProblem: (error) => this.fail(error),
    });
    this.part = "";
    this.shownVersion = -1;
    this.lines = new Map();
    this.build();
    document.addEventListener("visibilitychange", () => this.follow());
    stream.onChange(() => this.isShown && stream.isOpen && this.watch.hurry());
  }

  get state() {
    return this.watch.state;
  }

  build() {
    const act = (name, ...given) => this.act(name, ...given);
    this.name = h("h1", {}, "Cluster");
    this.summary = h("span", { class: "summary" });
    this.role = h("span", { class: "role" });
    this.join = h("button", { onclick: () => act("copyJoinCommand") }, "Copy join command");
    this.add = h("button", { class: "primary", onclick: () => act("askForBooks") }, "Add books");
    this.problem = h("p", { class: "problem", role: "alert" });
    this.tabs = PARTS.map(([part, title]) => h("a", { class: "tab", href: part ? `#/cluster/${part}` : "#/cluster" }, title));
    this.books = new BooksPanel(this.state, act);
    this.moves = new MovesPanel(this.state);
    this.overview = this.makeOverview();
    this.panels = { "": this.overview, books: this.books.element, moves: this.moves.element };
    this.element = h("section", { class: "cluster" },
      h("div", { class: "bar" }, this.name, this.summary, h("span", { class: "spring" }), this.role, this.join, this.add),
      this.problem, h("nav", { class: "parts", "aria-label": "Parts of the cluster" }, this.tabs), Object.values(this.panels));
    this.manage();
    this.at("");
  }

  makeOverview() {
    const head = ["Node", "State", "Since", "Books", "Synced", "Address", "Zone", "Egress", "Capacity", "Version"].map((title) =>
      h("th", { scope: "col", class: /Books|Synced|Capacity/.test(title) ? "number" : null }, title));
    this.nodes = h("tbody", {});
    this.warning = h("p", { class: "warning" });
    this.wrong = h("ul", { class: "plain" });
    this.weight = h("ul", { class: "plain" });
    this.newest = h("ul", { class: "plain" });
    const panel = (title, ...content) => h("div", { class: "panel" }, h("h2", {}, title), content);
    return h("div", { class: "overview" },
      h("div", { class: "frame" }, h("table", { class: "nodes" },
        h("caption", { class: "hidden" }, "Nodes"),
        h("thead", {}, h("tr", {}, head, h("th", { scope: "col", class: "does" }, h("span", { class: "hidden" }, "Actions")))), this.nodes)),
      this.warning,
      h("div", { class: "panels" },
        panel("Books that are not as wanted", this.wrong), panel("Request weight of the last minute", this.weight), panel("Newest moves", this.newest)));
  }

  // --- what the page calls ----------------------------------------------------------------------------------------

  /** Show a part of the view. */
  at(part = "") {
    this.part = part in this.panels ? part : "";
    for (const [name, panel] of Object.entries(this.panels)) panel.hidden = name !== this.part;
    this.tabs.forEach((tab, index) => {
      if (PARTS[index][0] === this.part) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    });
    frames.wake();
    return this;
  }

  show() {
    this.isShown = true;
    this.manage();
    this.follow();
  }

  hide() {
    this.isShown = false;
    this.follow();
  }

  /** Look while somebody sees it. */
  follow() {
    if (this.isShown && !document.hidden && session.hasToken) this.watch.start();
    else this.watch.stop();
  }

  focus() {
    this.tabs.find((tab) => tab.hasAttribute("aria-current")).focus();
  }

  shortcut(event) {
    const panel = { books: this.books, moves: this.moves }[this.part];
    return panel?.shortcut(event) ?? false;
  }

  /** Whether the token may manage has changed. */
  manage() {
    const may = session.mayManage;
    this.add.hidden = this.join.hidden = !may;
    setText(this.role, may ? "Managing" : "Read only");
    setAttribute(this.role, "data-tone", may ? "wait" : "over");
    this.role.title = may ? "You can change the cluster. The admin token is in the memory of this tab alone; a reload forgets it." : "Press “Manage …” and enter the admin token to change the cluster.";
    setAttribute(this.element, "data-manage", String(may));
    this.books.manage();
    this.shownVersion = -1;
    frames.wake();
  }

  draw(nowMs) {
    if (this.shownVersion !== this.state.version) this.render();
    if (this.part === "books") this.books.draw(nowMs);
    else if (this.part === "moves") this.moves.draw(nowMs);
  }

  // --- actions ----------------------------------------------------------------------------------------------------

  /** Call a function of clusteractions.js, which is loaded when it is first used. */
  async act(name, ...given) {
    try {
      const actions = await import("./clusteractions.js");
      await actions[name](this.watch, ...given);
    } catch (error) {
      notify(whyNotLoaded(error), { isBad: true });
    }
  }

  fail(error) {
    setText(this.problem, error && stream.isOpen ? `The cluster cannot be read now: ${why(error)}` : "");
  }

  // --- overview ---------------------------------------------------------------------------------------------------

  render() {
    const { state } = this;
    this.shownVersion = state.version;
    takeNodes(state.nodes, state.node);
    const { up, nodes, books, wrong, lacking, hasKey } = state.summary;
    setText(this.name, state.cluster ? `Cluster ${state.cluster}` : "Cluster");
    if (state.cluster) {
      const few = lacking > 0 ? `${count(lacking)} ${lacking === 1 ? "lacks" : "lack"} replicas` : books > 0 ? "all synced" : "";
      const words = [`${up} of ${plural(nodes, "node")} up`, plural(books, "book"), wrong > 0 ? `${count(wrong)} not as wanted` : few];
      setText(this.summary, words.filter(Boolean).join(" · "));
      setAttribute(this.summary, "data-tone", wrong > 0 || up < nodes ? "bad" : "good");
    }
    setText(this.tabs[1], wrong > 0 ? `Books (${count(wrong)} not as wanted)` : "Books");
    setText(this.warning, state.nodes.length > 0 && !hasKey ? "No node that is up has the authority's key: none can join, and certificates end within a week." : "");
    this.renderNodes();
    this.renderWeight();
    const few = state.find({ only: "wrong" });
    this.fill(this.wrong, few.length === 0 ? [h("li", { class: "muted" }, state.isListed ? "None: each book is synced on as many nodes as is possible." : "Reading the books …")] : [
      ...few.slice(0, FEW).map((book) => h("li", { class: "wrong" }, h("b", { class: "name" }, book.symbol), h("span", { class: "exchange" }, book.exchange), ` ${book.synced} of ${book.replicas} `, h("span", { class: "reason" }, book.whyNot))),
      few.length > FEW && h("li", {}, h("a", { href: "#/cluster/books", onclick: () => this.books.choose("wrong") }, `All ${count(few.length)}`)),
    ]);
    const moves = state.findMoves().slice(0, FEW);
    this.fill(this.newest, moves.length === 0 ? [h("li", { class: "muted" }, "No book has moved yet.")] : [
      ...moves.map((move) => h("li", {}, h("span", { class: "muted number" }, moveTime(move)), " ", h("b", { class: "name" }, move.symbol),
        `${move.what} at ${shortId(move.node)} `, h("span", { class: "reason" }, moveWords(move)))),
      h("li", {}, h("a", { href: "#/cluster/moves" }, "All moves")),
    ]);
    this.books.note();
    this.moves.note();
  }

  fill(list, items) {
    const text = items.filter(Boolean).map((each) => each.textContent).join("\n");
    if (list.shown === text) return;
    list.shown = text;
    list.replaceChildren(...items.filter(Boolean));
  }

  renderNodes() {
    const { nodes, node: me } = this.state;
    const wanted = new Set(nodes.map(({ id }) => id));
    for (const [id, line] of this.lines) if (!wanted.has(id)) this.lines.delete(id), line.element.remove();
    nodes.forEach((node, index) => {
      if (!this.lines.has(node.id)) this.lines.set(node.id, this.makeNode(node.id));
      const line = this.lines.get(node.id);
      if (this.nodes.children[index] !== line.element) this.nodes.insertBefore(line.element, this.nodes.children[index] ?? null);
      this.fillNode(line, node, me);
    });
  }

  makeNode(id) {
    const cells = {};
    const cell = (name, title, isNumber) => (cells[name] = h("td", { "data-title": title, class: `${name}${isNumber ? " number" : ""}` }));
    const node = () => this.state.nodeOf(id);
    const name = h("th", { scope: "row", class: "node", title: id });
    cells.drain = h("button", { class: "small", onclick: () => this.act("drain", node(), node().state !== "draining") });
    cells.remove = h("button", { class: "small quiet danger", onclick: () => this.act("askToRemove", node()) }, "Remove …");
    cells.label = h("b", { class: "number" }, shortId(id));
    cells.me = h("span", { class: "badge plain" });
    cells.key = h("span", { class: "badge plain", title: "It lets nodes join and renews their certificates" }, "key");
    name.append(cells.label, cells.me, cells.key);
    const element = h("tr", {}, name, cell("state", "State"), cell("since", "Since"), cell("books", "Books", true), cell("synced", "Synced", true),
      cell("address", "Address"), cell("zone", "Zone"), cell("egress", "Egress"), cell("capacity", "Capacity", true), cell("version", "Version"),
      h("td", { class: "does" }, cells.drain, cells.remove));
    return { element, cells };
  }

  fillNode({ element, cells }, node, me) {
    const isMe = node.id === me;
    const belongs = node.state !== "removed";
    setText(cells.me, isMe ? "this page" : "");
    cells.key.hidden = !node.has_authority_key;
    setAttribute(element, "data-tone", nodeTone(node.state));
    setText(cells.state, `${nodeMark(node.state)} ${node.state}${node.answers === false ? ", does not say more" : ""}`);
    setText(cells.since, clock(node.since_ms * 1000));
    setText(cells.books, count(node.books));
    setText(cells.synced, count(node.synced));
    setText(cells.address, node.address ?? "–");
    setText(cells.zone, node.zone || "–");
    setText(cells.egress, node.egress || "–");
    setText(cells.capacity, node.capacity == null ? "–" : String(node.capacity));
    setText(cells.version, node.version ?? "–");
    setText(cells.drain, node.state === "draining" ? "End drain" : "Drain");
    setAttribute(cells.drain, "aria-label", `${node.state === "draining" ? "Let hold books again: node" : "Move all books away: node"} ${shortId(node.id)}`);
    setAttribute(cells.remove, "aria-label", `Remove node ${shortId(node.id)}`);
    cells.drain.hidden = !session.mayManage || !belongs;
    cells.remove.hidden = !session.mayManage || !belongs || isMe;
  }

  renderWeight() {
    const rows = this.state.weight;
    this.fill(this.weight, rows.length === 0 ? [h("li", { class: "muted" }, "No node has asked an exchange yet.")] : rows.map((row) => {
      const used = row.exchange_used ?? row.used;
      const text = `${count(used)} of ${count(row.limit)}`;
      return h("li", { class: "weight" }, h("span", { title: row.pool }, row.egress && h("b", { class: "name" }, row.egress), row.pool), h("span", { class: "number" }, text),
        h("meter", { min: "0", max: String(row.limit), high: String(row.limit * 0.8), value: String(used), "aria-label": `${row.pool} ${row.egress}: ${text}` }));
    }));
  }
}
