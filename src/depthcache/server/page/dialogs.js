/** What changes books: begin and end them with undo, and the dialogs for that. Loaded when one is first used. */

import { books } from "./books.js";
import { h, plural } from "./dom.js";
import { notify, why } from "./notices.js";
import { NO_TOKEN, PROTOCOL, Refused, address, isToken, session } from "./session.js";
import { server } from "./server.js";
import { tokenInput } from "./signin.js";

/** Where the exchange's own protocol lists symbols; each family has a path of its own. */
const LISTINGS = ["/api/v3/exchangeInfo", "/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo", "/eapi/v1/exchangeInfo"];
const TRADED = "TRADING";
const MOST_OFFERED = 8;

function pathOf({ exchange, symbol }) {
  return `/v1/books/${encodeURIComponent(exchange)}/${encodeURIComponent(symbol)}`;
}

/** Begin (PUT) or end (DELETE) books one after the other; returns those for which it succeeded. */
async function each(list, method) {
  const done = [];
  const failed = [];
  for (const book of list) {
    try {
      await session.json(...(method === "PUT" && book.kept ? restoring(book) : [pathOf(book), { method }]));
      done.push(book);
    } catch (error) {
      failed.push(why(error));
      if (!(error instanceof Refused) || error.status === 401 || error.status === 403) break;
    }
  }
  books.hurry = true;
  if (failed.length > 0) notify(failed.length === 1 ? failed[0] : `${plural(failed.length, "book")} failed: ${failed[0]}`, { isBad: true });
  return done;
}

/** The request that begins a book of a cluster with all that it had. */
function restoring({ exchange, symbol, kept: { replicas, settings } }) {
  return ["/v1/cluster/books", { method: "POST", body: JSON.stringify({ exchange, symbols: [symbol], replicas, settings }) }];
}

/** How the cluster keeps its books, by name; empty where the server is no node. */
async function keptBooks() {
  const found = await session.json("/v1/cluster").catch(() => null);
  return new Map((found?.books ?? []).map((book) => [`${book.exchange}/${book.symbol}`, book]));
}

const named = (list) => (list.length === 1 ? `${list[0].symbol} on ${list[0].exchange}` : plural(list.length, "book"));

/** Remove books at once, and offer to begin them again. */
export async function removeBooks(list) {
  const kept = await keptBooks();
  const gone = list.map(({ exchange, symbol }) => ({ exchange, symbol, kept: kept.get(`${exchange}/${symbol}`) }));
  const done = await each(gone, "DELETE");
  for (const { exchange, symbol } of done) books.rows.delete(`${exchange}/${symbol}`);
  books.version += 1;
  if (done.length > 0) notify(`Removed ${named(done)}.`, { action: ["Undo", () => addBooks(done, { canUndo: false })] });
}

/** Add books, and offer to remove them again. */
export async function addBooks(list, { canUndo = true } = {}) {
  const done = await each(list, "PUT");
  if (done.length > 0) notify(`Added ${named(done)}.`, canUndo ? { action: ["Undo", () => removeBooks(done)] } : {});
  return done.length === list.length;
}

/** A dialog in the middle of the page; `fill(close)` returns its content. */
export function dialog(title, fill) {
  const element = h("dialog", { "aria-label": title, onclose: () => element.remove() });
  element.append(h("h2", {}, title), ...fill(() => element.close()));
  document.body.append(element);
  element.showModal();
  return element;
}

/** The button that closes a dialog. */
export const cancel = (close) => h("button", { type: "button", onclick: close }, "Cancel");

/** Ask before many books are removed. */
export function confirmRemoval(list) {
  dialog(`Remove ${plural(list.length, "book")}?`, (close) => [
    h("p", {}, "Their readers get the status closed. You can undo it afterwards; the books then sync again."),
    h("div", { class: "buttons" }, cancel(close),
      h("button", { class: "primary danger", onclick: () => (close(), removeBooks(list)) }, `Remove ${plural(list.length, "book")}`)),
  ]);
}

/** Symbols to add, of one exchange. */
export function askForBooks() {
  const names = [...new Set([...books.rows.values()].map((row) => row.exchange))].sort();
  const exchange = h("input", { name: "exchange", required: true, value: names[0] ?? "binance.com", list: "exchanges", autocomplete: "off", spellcheck: "false" });
  const symbols = h("textarea", { name: "symbols", required: true, rows: "3", placeholder: "BTCUSDT, ETHUSDT", spellcheck: "false", autocapitalize: "characters" });
  const offers = h("div", { class: "offers", role: "group", "aria-label": "Symbols that the exchange lists" });
  completeSymbols(exchange, symbols, offers);
  dialog("Add books", (close) => [
    h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const list = symbols.value.split(/[\s,;]+/).filter(Boolean).map((symbol) => ({ exchange: exchange.value.trim(), symbol: symbol.toUpperCase() }));
      close();
      await addBooks(list);
    } },
    h("label", {}, h("span", {}, "Exchange"), exchange),
    h("datalist", { id: "exchanges" }, names.map((value) => h("option", { value }))),
    h("label", {}, h("span", {}, "Symbols"), symbols), offers,
    h("p", { class: "muted" }, "Separate symbols by commas or spaces. Books that exist are left unchanged."),
    h("div", { class: "buttons" }, cancel(close), h("button", { class: "primary" }, "Add"))),
  ]);
  symbols.focus();
}

/** Offer symbols that begin with the last word, or contain it, and are not there yet. */
export function completeSymbols(exchange, symbols, offers) {
  const render = async () => {
    const lastWord = () => /[^\s,;]*$/.exec(symbols.value.toUpperCase())[0];
    const [word, name] = [lastWord(), exchange.value.trim()];
    const listed = word === "" ? [] : await listedBy(name);
    if (lastWord() !== word) return; // the reader went on
    const isNew = (symbol) => symbol !== word && symbol.includes(word) && !books.rows.has(`${name}/${symbol}`);
    const found = listed.filter(isNew).sort((a, b) => !a.startsWith(word) - !b.startsWith(word) || (a < b ? -1 : 1));
    offers.replaceChildren(...found.slice(0, MOST_OFFERED).map((symbol) => h("button", { type: "button", class: "toggle", onclick: () => take(symbol) }, symbol)));
  };
  const take = (symbol) => {
    symbols.value = `${symbols.value.replace(/[^\s,;]*$/, "")}${symbol}, `;
    offers.replaceChildren();
    symbols.focus();
  };
  symbols.addEventListener("input", render);
  exchange.addEventListener("change", render);
}

const listings = new Map();

/** The symbols that an exchange trades; none if the server does not pass its list on. */
function listedBy(exchange) {
  if (!listings.has(exchange)) listings.set(exchange, readListing(exchange));
  return listings.get(exchange);
}

async function readListing(exchange) {
  for (const path of LISTINGS) {
    const info = await session.json(`/${encodeURIComponent(exchange)}${path}`).catch(() => null);
    const rows = info?.symbols ?? info?.optionSymbols;
    if (rows) return rows.filter((row) => (row.status ?? row.contractStatus ?? TRADED) === TRADED).map(({ symbol }) => symbol);
  }
  listings.delete(exchange); // it may be there when it is asked for again
  return [];
}

/** The admin token, for this tab until it is reloaded. */
export function askForAdmin() {
  const token = tokenInput("Admin token");
  const problem = h("p", { class: "problem", role: "alert" });
  dialog(server.isNode ? "Manage the cluster" : "Manage books", (close) => [
    h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const text = token.value;
      token.value = "";
      problem.textContent = "";
      try {
        await unlock(text);
        close();
        notify(`You can ${server.isNode ? "manage the cluster" : "add and remove books"} now, until you reload the page.`);
      } catch (error) {
        problem.textContent = why(error);
      }
    } },
    h("p", {}, `Enter the admin token to ${server.isNode ? "drain nodes, and to add, change and remove books" : "add and remove books"}. The server printed the name of its file when it started. The token stays in the memory of this tab.`),
    h("label", {}, h("span", {}, "Admin token"), token), problem,
    h("div", { class: "buttons" }, cancel(close), h("button", { class: "primary" }, "Continue"))),
  ]);
}

/** Take an admin token, once the server has confirmed that it is one. Throws Refused. */
async function unlock(text) {
  const token = text.trim();
  if (!isToken(token)) throw new Refused(400, { message: NO_TOKEN });
  const role = await roleOf(token);
  if (role === null) throw new Refused(401, { message: "The server does not know this token." });
  if (role !== "manage") throw new Refused(403, { message: "This token may only read. Enter the admin token." });
  session.manageWith(token);
}

/** What the server lets the holder of a token do: "read", "manage", or null. Throws Refused. */
function roleOf(token) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address(), PROTOCOL);
    socket.onopen = () => socket.send(JSON.stringify({ op: "auth", token }));
    socket.onmessage = (event) => {
      resolve(JSON.parse(event.data).role ?? null);
      socket.close();
    };
    socket.onclose = () => reject(new Refused(0, { message: "The server does not respond." }));
  });
}
