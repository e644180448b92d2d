/** Requests as curl, Python and JavaScript, made from the server's OpenAPI document, and tried here. */

import { h } from "./dom.js";
import { why } from "./notices.js";
import { session } from "./session.js";
import { stream } from "./stream.js";

const LANGUAGES = ["curl", "Python", "JavaScript"];
const MOST_SHOWN = 20_000;
const MESSAGES = 3;
const TRIED_MS = 10_000;

/** The view of snippets. */
export class SnippetsView {
  constructor() {
    this.title = "Snippets";
    this.values = new Map();
    this.language = localStorage.getItem("depthcache-language") ?? LANGUAGES[0];
    this.operations = h("select", { "aria-label": "Operation", onchange: () => this.choose(this.operations.value) });
    this.words = h("p", { class: "muted" });
    this.fields = h("div", { class: "fields" });
    this.code = h("pre", { class: "code", tabindex: "0", "aria-label": "Snippet" });
    this.copier = h("button", { class: "quiet small", onclick: () => copy(this.copier, this.code.textContent) }, "Copy");
    this.languages = LANGUAGES.map((name) => h("button", { class: "toggle", onclick: () => this.speak(name) }, name));
    this.trier = h("button", { class: "primary", onclick: () => this.try() }, "Try it");
    this.verdict = h("p", { class: "verdict", role: "status" });
    this.body = h("pre", { class: "code answer", tabindex: "0", "aria-label": "Response", hidden: true });
    this.element = h(
      "section", { class: "snippets" },
      h("h1", {}, "Snippets"),
      h("p", { class: "muted lead" }, "Every program that speaks HTTP can read these books. The snippets read the token from the variable TOKEN; this page never shows it. ",
        h("a", { href: "/docs" }, "All paths"), " · ", h("a", { href: "/openapi.json" }, "OpenAPI")),
      h("div", { class: "columns" },
        h("div", { class: "panel" }, h("label", {}, h("span", {}, "Operation"), this.operations), this.words, this.fields),
        h("div", { class: "panel" },
          h("div", { class: "tools", role: "group", "aria-label": "Language" }, this.languages, h("span", { class: "spring" }), this.copier),
          this.code, h("div", { class: "bar" }, this.trier, this.verdict), this.body)),
    );
  }

  async show() {
    try {
      this.document = await session.json("/openapi.json");
      [this.example] = (await session.json("/v1/books?limit=1")).books;
    } catch (error) {
      this.words.textContent = why(error);
      return;
    }
    this.list = operationsOf(this.document);
    this.operations.replaceChildren(...this.list.map(({ id, method, path }) => h("option", { value: id }, `${method} ${path}`)));
    this.speak(this.language);
    this.choose("read_book");
  }

  hide() {
    this.cancel?.();
  }

  manage() {
    if (this.operation) this.render();
  }

  speak(language) {
    this.language = language;
    localStorage.setItem("depthcache-language", language);
    for (const button of this.languages) button.setAttribute("aria-pressed", String(button.textContent === language));
    if (this.operation) this.render();
  }

  choose(id) {
    this.operation = this.list.find((each) => each.id === id);
    this.operations.value = id;
    this.words.textContent = this.operation.summary;
    const isMain = ({ name, required }) => required || ["levels", "symbols", "base", "mode"].includes(name);
    const { parameters } = this.operation;
    const more = parameters.filter((each) => !isMain(each)).map((each) => this.fieldOf(each));
    this.fields.replaceChildren(...parameters.filter(isMain).map((each) => this.fieldOf(each)));
    if (more.length > 0) this.fields.append(h("details", {}, h("summary", {}, `${more.length} more`), h("div", { class: "fields" }, more)));
    this.body.hidden = true;
    this.verdict.textContent = "";
    this.render();
  }

  fieldOf({ name, required, description, schema }) {
    const known = { exchange: this.example?.exchange, symbol: this.example?.symbol, symbols: this.example && `${this.example.exchange}/${this.example.symbol}` };
    const usual = { side: "buy", base: "1", bps: "10", size: "10", levels: "5" };
    const isGiven = required || ["levels", "base", "symbols"].includes(name);
    const isPath = this.operation.path.includes(`{${name}}`);
    const isList = this.operation.id === "list_books";
    if (!this.values.has(name)) this.values.set(name, (isGiven && (known[name] ?? usual[name])) || "");
    const value = isList && !isPath ? "" : this.values.get(name);
    if (isList) this.values.set(name, value);
    const options = { "aria-label": name, title: description, oninput: (event) => this.change(name, event.target.value) };
    const input = schema.enum
      ? h("select", options, ["", ...schema.enum].map((each) => h("option", { value: each }, each || "(default)")))
      : h("input", { ...options, placeholder: schema.default ?? schema.anyOf?.[0]?.default ?? "", spellcheck: "false", autocomplete: "off" });
    input.value = value;
    return h("label", { class: "field" }, h("span", {}, name, required ? h("b", { title: "needed" }, " *") : null), input, h("small", {}, description));
  }

  change(name, value) {
    this.values.set(name, value);
    this.render();
  }

  render() {
    const { operation } = this;
    const url = location.origin + this.path();
    this.code.textContent = WRITERS[this.language]({ url, method: operation.method, id: operation.id, name: this.bookName() });
    const isManaging = operation.method !== "GET";
    this.trier.disabled = isManaging && !session.mayManage;
    this.trier.title = this.trier.disabled ? "This needs the admin token: Manage …" : "";
  }

  bookName() {
    return this.example ? `${this.example.exchange}/${this.example.symbol}` : "binance.com/BTCUSDT";
  }

  /** The path with its parameters and query. */
  path() {
    const query = new URLSearchParams();
    let { path } = this.operation;
    for (const { name, in: place } of this.operation.parameters) {
      const value = this.values.get(name) ?? "";
      if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
      else if (value !== "") query.set(name, value);
    }
    const text = query.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
    return text ? `${path}?${text}` : path;
  }

  // --- trying -----------------------------------------------------------------------------------------------------

  async try() {
    this.cancel?.();
    this.trier.disabled = true;
    this.verdict.textContent = "Asking …";
    this.body.hidden = true;
    const beganMs = performance.now();
    try {
      if (this.operation.id === "open_socket") await this.trySocket();
      else if (this.operation.id === "stream_books") await this.tryStream();
      else await this.tryRequest(beganMs);
    } catch (error) {
      this.verdict.textContent = error.name === "AbortError" ? "Nothing came in time." : why(error);
    }
    this.render();
  }

  async tryRequest(beganMs) {
    const response = await session.ask(this.path(), { method: this.operation.method });
    const text = await response.text();
    const tookMs = performance.now() - beganMs;
    const size = new Blob([text]).size;
    this.say(`${response.status} ${response.statusText}`.trim(), `${tookMs.toFixed(1)} ms · ${size.toLocaleString("en-US")} bytes`, pretty(text));
  }

  async tryStream() {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), TRIED_MS);
    this.cancel = () => stop.abort();
    try {
      const response = await session.ask(this.path(), { signal: stop.signal });
      let text = "";
      if (response.ok) {
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        while (text.split("\n\n").length <= MESSAGES) {
          const { done, value } = await reader.read();
          if (done) break;
          text += value;
        }
      } else text = pretty(await response.text());
      this.say(`${response.status} ${response.statusText}`.trim(), response.ok ? `the first ${MESSAGES} events` : "", text);
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
  }

  trySocket() {
    const got = [];
    return new Promise((resolve) => {
      const finish = (words) => {
        clearTimeout(timer);
        subscription.close();
        this.say(words, `${got.length} messages`, got.join("\n\n"));
        resolve();
      };
      this.cancel = () => finish("stopped");
      const timer = setTimeout(() => finish("open"), TRIED_MS);
      const subscription = stream.subscribe({ symbols: [this.bookName()], mode: "latest", levels: 4 }, {
        onMessage: (message) => got.push(pretty(JSON.stringify(message))) === MESSAGES && finish("101 Switching Protocols"),
        onError: (error) => finish(error.message),
      });
    });
  }

  say(status, facts, text) {
    this.cancel = null;
    this.verdict.textContent = [status, facts].filter(Boolean).join(" · ");
    this.body.hidden = text === "";
    this.body.textContent = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}\n… ${text.length - MOST_SHOWN} more characters` : text;
  }
}

/** Copy text, and say so on the button. */
async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = label), 1500);
}

/** The operations of an OpenAPI document, those of books first. */
function operationsOf(document) {
  const found = [];
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, each] of Object.entries(methods)) {
      found.push({ id: each.operationId, method: method.toUpperCase(), path, summary: each.summary, parameters: each.parameters ?? [] });
    }
  }
  const isOfBooks = ({ path }) => (path.startsWith("/v1/") ? 0 : 1);
  return found.sort((a, b) => isOfBooks(a) - isOfBooks(b));
}

/** JSON with one level a line; other text as it is. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2).replace(/\[\s+("?-?[\d.e+-]+"?),\s+("?-?[\d.e+-]+"?)\s+\]/g, "[$1, $2]");
  } catch {
    return text;
  }
}

const SUBSCRIBE = (name) => `{"op": "subscribe", "symbols": ["${name}"], "mode": "latest", "levels": 20}`;

const WRITERS = {
  curl({ url, method, id, name }) {
    if (id === "open_socket") {
      const address = url.replace(/^http/, "ws");
      return `# curl has no WebSockets before release 8.11; websocat has\necho '${SUBSCRIBE(name)}' |\n  websocat -n -H "Authorization: Bearer $TOKEN" "${address}"`;
    }
    const flags = [id === "stream_books" && "-N", method !== "GET" && `-X ${method}`].filter(Boolean).join(" ");
    return `curl ${flags ? `${flags} ` : ""}-H "Authorization: Bearer $TOKEN" \\\n  "${url}"`;
  },

  Python({ url, method, id, name }) {
    if (id === "open_socket") {
      return `import asyncio
import json
import os

import aiohttp


async def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect("${url.replace(/^http/, "ws")}", headers=headers) as socket:
            await socket.send_json(${SUBSCRIBE(name)})
            async for message in socket:
                print(json.loads(message.data))


asyncio.run(main())`;
    }
    const more = method === "GET" ? "" : `, method="${method}"`;
    const isLines = id === "stream_books" || id === "read_metrics";
    const use = isLines
      ? `    for line in response:\n        print(line.decode().rstrip())`
      : method === "DELETE" ? "    print(response.status)" : "    print(json.load(response))";
    return `${isLines || method === "DELETE" ? "" : "import json\n"}import os
import urllib.request

request = urllib.request.Request(
    "${url}",
    headers={"Authorization": f"Bearer {os.environ['TOKEN']}"}${more},
)
with urllib.request.urlopen(request) as response:
${use}`;
  },

  JavaScript({ url, method, id, name }) {
    if (id === "open_socket") {
      return `const socket = new WebSocket("${url.replace(/^http/, "ws")}", "depthcache.v1.json");
socket.onopen = () => {
  socket.send(JSON.stringify({ op: "auth", token: process.env.TOKEN }));
  socket.send(JSON.stringify(${SUBSCRIBE(name)}));
};
socket.onmessage = ({ data }) => console.log(JSON.parse(data));`;
    }
    const more = method === "GET" ? "" : `\n  method: "${method}",`;
    const use = id === "stream_books"
      ? `for await (const part of response.body.pipeThrough(new TextDecoderStream())) {\n  console.log(part);\n}`
      : method === "DELETE" ? "console.log(response.status);" : `console.log(await response.${id === "read_metrics" ? "text" : "json"}());`;
    return `const response = await fetch("${url}", {${more}
  headers: { Authorization: \`Bearer \${process.env.TOKEN}\` },
});
${use}`;
  },
};
