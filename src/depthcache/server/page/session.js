/**
 * The token of this tab, and requests with it.
 *
 * The link to the page carries the token behind the #, which no browser sends. It is taken from the address bar before
 * anything else runs. It is kept in sessionStorage, for this tab alone; in memory only if it may manage. It is sent as a
 * header or as the first message of the WebSocket, and is never shown, logged or put into an address.
 */

const KEY = "depthcache-token";
/** The subprotocol of the WebSocket. */
export const PROTOCOL = "depthcache.v1.json";

/** Where the WebSocket is. */
export const address = () => `${location.origin.replace(/^http/, "ws")}/v1/ws`;

export const NO_TOKEN = "That is not a token: a token is one line of at least 16 letters, digits, - and _.";
/** Whether a text has the form of a token. */
export const isToken = (text) => /^[A-Za-z0-9_.~+/=-]{16,512}$/.test(text);

/** A response that is no success: `status`, and `code`, `message` and other facts of the server's error. */
export class Refused extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server responded with status ${status}`);
    Object.assign(this, { status, code: error?.code ?? "", facts: error ?? {} });
  }
}

class Session {
  #token = null;
  #admin = null;

  constructor() {
    /** "read" or "manage"; null until the server has accepted the token. */
    this.role = null;
    /** Why the last token was refused; empty where none was. */
    this.problem = "";
    this.listeners = new Set();
    this.takeFromAddress();
    this.#token ??= sessionStorage.getItem(KEY);
    addEventListener("hashchange", () => this.takeFromAddress() && this.notify());
  }

  /** Take the token out of the address bar; whether there was one. */
  takeFromAddress() {
    const found = /^#(.*&)?token=([^&]*)/.exec(location.hash);
    if (!found) return false;
    history.replaceState(null, "", `${location.pathname}#/`);
    this.keep(found[2]);
    return true;
  }

  get hasToken() {
    return this.#token !== null;
  }

  /** Whether books may be added and removed. */
  get mayManage() {
    return this.#admin !== null || this.role === "manage";
  }

  /** Whether an admin token was entered beside the one that reads. */
  get hasAdmin() {
    return this.#admin !== null;
  }

  /** Call `listener` when the token or its role changed. */
  onChange(listener) {
    this.listeners.add(listener);
  }

  notify() {
    for (const listener of this.listeners) listener();
  }

  /** Take a token as typed or linked; false where it cannot be one. */
  keep(text) {
    const token = text.trim();
    this.role = null;
    if (!isToken(token)) {
      this.forget(NO_TOKEN);
      return false;
    }
    this.problem = "";
    this.#token = token;
    sessionStorage.removeItem(KEY);
    return true;
  }

  /** Forget the token; `problem`: why it is of no use. */
  forget(problem = "") {
    this.#token = this.#admin = this.role = null;
    this.problem = problem;
    sessionStorage.removeItem(KEY);
  }

  /** The server does not know the token. */
  refuse() {
    if (!this.hasToken) return;
    this.forget("The server does not know this token. It may belong to another server, or the server has new tokens.");
    this.notify();
  }

  /** The first message of a WebSocket. */
  authentication(request) {
    return JSON.stringify({ op: "auth", request, token: this.#token });
  }

  /** The role that the server gives to the token. */
  learn(role) {
    if (this.role === role) return;
    this.role = role;
    if (role === "read") sessionStorage.setItem(KEY, this.#token);
    this.notify();
  }

  /** Take an admin token that the server has confirmed. */
  manageWith(token) {
    this.#admin = token;
    this.notify();
  }

  /** Forget the admin token. */
  lock() {
    this.#admin = null;
    this.notify();
  }

  /** Ask for a path; `method` other than GET uses the admin token, where there is one. Throws Refused, TypeError. */
  async ask(path, { method = "GET", body, signal } = {}) {
    const secret = method === "GET" ? this.#token : this.#admin ?? this.#token;
    const response = await this.#send(path, method, secret, signal, body);
    if (response.status === 401 && secret === this.#token) this.refuse();
    else if (response.status === 401) this.lock();
    return response;
  }

  /** The same, read as JSON; null for a response without a body. */
  async json(path, options) {
    const response = await this.ask(path, options);
    const body = response.status === 204 ? null : await response.json().catch(() => null);
    if (!response.ok) throw new Refused(response.status, body?.error);
    return body;
  }

  #send(path, method, secret, signal, body) {
    const headers = secret === null ? {} : { Authorization: `Bearer ${secret}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    return fetch(path, { method, headers, signal, body, credentials: "omit", redirect: "error", cache: "no-store" });
  }
}

/** The one session of the page. */
export const session = new Session();
