/** What changes a cluster: each change with undo, and the dialogs for them. Loaded when one is first used. */

import { cancel, completeSymbols, dialog } from "./dialogs.js";
import { formerly, quoted, requestsFor, settingsWords, shortId } from "./clusterstate.js";
import { h, plural } from "./dom.js";
import { notify, why } from "./notices.js";
import { Refused, session } from "./session.js";

const BOOKS = "/v1/cluster/books";
const USUAL_REPLICAS = 2;
const MOST_REPLICAS = 64;

const named = (books) => (books.length === 1 ? `${books[0].symbol} on ${books[0].exchange}` : plural(books.length, "book"));

/** Say why something failed. */
function complain(error) {
  const isUnknown = error instanceof Refused && error.status === 401;
  notify(isUnknown ? "The server does not know the admin token any more. Enter the new one to manage the cluster." : why(error), { isBad: true });
}

const send = (method, path, body) => session.json(path, { method, body: JSON.stringify(body) });

/** Send requests one after the other; returns the books and responses of those that succeeded. */
async function each(watch, method, requests) {
  const done = [];
  const notes = new Set();
  for (const { books, body } of requests) {
    try {
      const response = await send(method, BOOKS, body);
      done.push({ books, response });
      if (response.note) notes.add(response.note);
    } catch (error) {
      complain(error);
      break;
    }
  }
  for (const note of notes) notify(note);
  watch.hurry();
  return done;
}

const kept = ({ replicas, settings }) => ({ replicas, settings });

// --- books --------------------------------------------------------------------------------------------------------

/** Remove books at once, and offer to add them again as they were. */
export async function removeBooks(watch, books, { canUndo = true } = {}) {
  const before = books.map(({ exchange, symbol, replicas, settings }) => ({ exchange, symbol, replicas, settings }));
  const done = await each(watch, "DELETE", requestsFor(before));
  const gone = done.flatMap((part) => part.books.filter(({ symbol }) => part.response.stopped.includes(symbol)));
  if (gone.length > 0) notify(`Removed ${named(gone)}.`, canUndo ? { action: ["Undo", () => addBooks(watch, gone, { canUndo: false })] } : {});
}

/** Add books, and offer to remove those that were not there. */
export async function addBooks(watch, books, { canUndo = true } = {}) {
  const done = await each(watch, "POST", requestsFor(books, kept));
  const made = done.flatMap(({ books: [{ exchange }], response }) => response.created.map((symbol) => ({ exchange, symbol })));
  const already = done.reduce((sum, { response }) => sum + response.existing.length, 0);
  const rest = already > 0 ? ` ${made.length > 0 ? plural(already, "other book") : plural(already, "book")} ${already === 1 ? "was" : "were"} there already.` : "";
  if (done.length > 0) notify(`${made.length > 0 ? `Added ${named(made)}.` : ""}${rest}`.trim(), canUndo && made.length > 0 ? { action: ["Undo", () => removeBooks(watch, made, { canUndo: false })] } : {});
}

/** Change books, and offer to set them back. `changed`: replicas, settings, or both; null sets one to its default. */
export async function changeBooks(watch, books, changed) {
  const before = books.map(({ exchange, symbol, replicas, settings }) => ({ exchange, symbol, replicas, settings }));
  const done = await each(watch, "PATCH", requestsFor(before, () => changed));
  const now = done.flatMap((part) => part.books);
  const undo = async () => {
    const back = await each(watch, "PATCH", requestsFor(now, (book) => formerly(book, changed)));
    if (back.length > 0) notify(`Set ${named(now)} back.`);
  };
  if (now.length > 0) notify(`Changed ${named(now)}.`, { action: ["Undo", undo] });
}

/** Fields for replicas and settings. `common`: the value that all books share, undefined where they differ. */
function optionFields({ isNew, common }) {
  const number = (name, title, { least, most, step, value }) => h("input", {
    name, type: "number", inputmode: "numeric", min: String(least), max: most && String(most), step: step ?? "1", "aria-label": title, required: isNew && name === "replicas",
    value: value ?? null,
  });
  const replicas = number("replicas", "Replicas", { least: 1, most: MOST_REPLICAS, value: common.replicas });
  if (!isNew && common.replicas === undefined) replicas.placeholder = "unchanged";
  const setting = (name, title, { least }) => {
    const isDefault = isNew || common[name] === null;
    const input = number(name, title, { least, value: common[name] });
    const box = h("input", { type: "checkbox", name: `${name}-default`, "aria-label": `${title}: default of each node`, checked: isDefault });
    const follow = () => {
      input.disabled = box.checked;
      input.placeholder = box.checked ? "default" : isNew ? "" : "unchanged";
    };
    box.addEventListener("change", () => (follow(), box.checked || input.focus()));
    follow();
    const read = () => (box.checked ? (isDefault && !isNew ? undefined : null) : input.value === "" || (!isNew && Number(input.value) === common[name]) ? undefined : Number(input.value));
    return { element: h("div", { class: "setting" }, h("label", {}, h("span", {}, title), input), h("label", { class: "check" }, box, " default of each node")), read };
  };
  const depth = setting("depth", "Depth (complete levels per side)", { least: 1 });
  const speed = setting("speed_ms", "Update speed in milliseconds", { least: 1 });
  const read = () => {
    const settings = Object.fromEntries([["depth", depth.read()], ["speed_ms", speed.read()]].filter(([, value]) => value !== undefined));
    const wanted = replicas.value === "" ? undefined : Number(replicas.value);
    return {
      ...(wanted === undefined || (!isNew && wanted === common.replicas) ? {} : { replicas: wanted }),
      ...(Object.keys(settings).length > 0 ? { settings } : {}),
    };
  };
  return { elements: [h("label", {}, h("span", {}, "Replicas (nodes that hold each book)"), replicas), depth.element, speed.element], read, first: replicas };
}

/** Symbols to add, of one exchange. */
export function askForBooks(watch) {
  const names = [...new Set([...watch.state.books.values()].map((book) => book.exchange))].sort();
  const exchange = h("input", { name: "exchange", required: true, value: names[0] ?? "binance.com", list: "exchanges", autocomplete: "off", spellcheck: "false" });
  const symbols = h("textarea", { name: "symbols", required: true, rows: "3", placeholder: "BTCUSDT, ETHUSDT", spellcheck: "false", autocapitalize: "characters" });
  const offers = h("div", { class: "offers", role: "group", "aria-label": "Symbols that the exchange lists" });
  completeSymbols(exchange, symbols, offers);
  const options = optionFields({ isNew: true, common: { replicas: USUAL_REPLICAS } });
  dialog("Add books to the cluster", (close) => [
    h("form", { onsubmit: (event) => {
      event.preventDefault();
      const { replicas, settings = {} } = options.read();
      const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
      const list = symbols.value.split(/[\s,;]+/).filter(Boolean).map((symbol) => ({ exchange: exchange.value.trim(), symbol, replicas, settings: given }));
      close();
      if (list.length > 0) addBooks(watch, list);
    } },
    h("label", {}, h("span", {}, "Exchange"), exchange),
    h("datalist", { id: "exchanges" }, names.map((value) => h("option", { value }))),
    h("label", {}, h("span", {}, "Symbols"), symbols), offers, options.elements,
    h("p", { class: "muted" }, "Separate symbols by commas or spaces. Books that the cluster keeps already stay as they are."),
    h("div", { class: "buttons" }, cancel(close), h("button", { class: "primary" }, "Add"))),
  ]);
  symbols.focus();
}

/** Other replicas or settings for some books. */
export function askForChange(watch, books) {
  const same = (read) => (books.every((book) => read(book) === read(books[0])) ? read(books[0]) : undefined);
  const common = {
    replicas: same((book) => book.replicas), depth: same((book) => book.settings.depth ?? null), speed_ms: same((book) => book.settings.speed_ms ?? null),
  };
  const options = optionFields({ isNew: false, common });
  const present = books.length === 1 ? `Now ${plural(books[0].replicas, "replica")}, ${settingsWords(books[0].settings) || "default settings"}.` : "Fields that you leave empty stay as they are.";
  dialog(`Change ${named(books)}`, (close) => [
    h("form", { onsubmit: (event) => {
      event.preventDefault();
      const changed = options.read();
      close();
      if (Object.keys(changed).length > 0) changeBooks(watch, books, changed);
      else notify("Nothing was changed.");
    } },
    h("p", { class: "muted" }, present), options.elements,
    h("div", { class: "buttons" }, cancel(close), h("button", { class: "primary" }, "Change"))),
  ]);
  options.first.focus();
}

// --- nodes --------------------------------------------------------------------------------------------------------

/** Move all books away from a node, or let it hold books again; the undo does the opposite. */
export async function drain(watch, { id }, isDraining, { canUndo = true } = {}) {
  try {
    await send("POST", `/v1/cluster/nodes/${encodeURIComponent(id)}/drain`, { draining: isDraining });
  } catch (error) {
    complain(error);
    return;
  } finally {
    watch.hurry();
  }
  const words = isDraining ? `Node ${shortId(id)} hands its books over.` : `Node ${shortId(id)} holds books again.`;
  notify(words, canUndo ? { action: ["Undo", () => drain(watch, { id }, !isDraining, { canUndo: false })] } : {});
}

/** Ask before a node is removed: that cannot be undone. */
export function askToRemove(watch, node) {
  const name = shortId(node.id);
  dialog(`Remove node ${name}?`, (close) => [
    h("p", {}, `All nodes refuse ${node.address ? `the node at ${node.address}` : "it"} from now on, and others take over its books. This cannot be undone: the machine can only join again as a new node, with an empty data folder.`),
    node.state === "alive" && h("p", {}, "It is up. To take it out of service for a while, drain it instead."),
    h("div", { class: "buttons" }, cancel(close), h("button", { class: "primary danger", onclick: () => (close(), remove(watch, node)) }, `Remove ${name}`)),
  ].filter(Boolean));
}

async function remove(watch, { id }) {
  try {
    const response = await send("DELETE", `/v1/cluster/nodes/${encodeURIComponent(id)}`, {});
    notify(`Removed node ${shortId(id)}.${response.note ? ` Note: ${response.note}.` : ""}`);
  } catch (error) {
    complain(error);
  }
  watch.hurry();
}

/** Copy the command with which one more machine joins: it contains a secret, so it is shown only where it cannot be copied. */
export async function copyJoinCommand(watch) {
  let made;
  try {
    made = await send("POST", "/v1/cluster/tokens/join", {});
  } catch (error) {
    if (!(error instanceof Refused && error.status === 409)) return complain(error);
    const others = watch.state.nodes.filter((node) => node.has_authority_key && node.state !== "away" && node.id !== watch.state.node);
    const where = others.map(({ id, address }) => `${shortId(id)} (${address})`).join(", ");
    return notify(`${why(error)}.${where ? ` Open the page of node ${where}.` : ""}`, { isBad: true });
  }
  const command = ["depthcache", ...made.command].map(quoted).join(" ");
  const minutes = plural(Math.round(made.valid_s / 60), "minute");
  try {
    await navigator.clipboard.writeText(command);
    notify(`Copied. The command lets one machine join, within ${minutes}. It contains a secret.`);
  } catch {
    showCommand(command, minutes); // not over plain HTTP from another machine, or the browser does not allow it
  }
}

function showCommand(command, minutes) {
  const text = h("input", { readonly: true, value: command, "aria-label": "Command", spellcheck: "false" });
  dialog("Run this on the new machine", (close) => [
    h("p", {}, `It lets one machine join, within ${minutes}. It contains a secret; this browser does not let the page copy it.`),
    h("form", { onsubmit: (event) => (event.preventDefault(), close()) }, text, h("div", { class: "buttons" }, h("button", { class: "primary" }, "Done"))),
  ]);
  text.select();
}
