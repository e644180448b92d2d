/**
 * Books as they change: one WebSocket for all views, which reconnects by itself.
 *
 * `phase` is connecting, open, silent (nothing came for a while: the server is asked whether it is there), waiting (until
 * `retryAtMs`) or stopped (signed out). Subscriptions outlive connections and resume after the last id if the server can.
 */

import { frames } from "./frames.js";
import { PROTOCOL, address, session } from "./session.js";

const SILENT_MS = 10_000;
const ANSWER_MS = 5_000;
const LOOK_MS = 1_000;
const FIRST_WAIT_MS = 500;
/** The close code of a server that refuses what it was sent. */
const REFUSED = 1008;
const LONGEST_WAIT_MS = 10_000;
/** Messages a second; the server takes 100 by default. */
const SENT_PER_S = 40;

class Subscription {
  constructor(stream, spec, { resumes, onMessage, onError }) {
    Object.assign(this, { stream, spec, resumes, onMessage, onError });
    Object.assign(this, { request: null, number: null, view: null, isOver: false });
    this.ids = new Map();
    this.names = new Set(spec.symbols.filter((name) => !/[*?]/.test(name)));
    this.hasPattern = this.names.size < spec.symbols.length;
  }

  takes(message, name) {
    return message.view === this.view && (this.hasPattern || this.names.has(name));
  }

  /** End it. */
  close() {
    this.stream.end(this);
  }
}

/** A connection to /v1/ws that is opened again whenever it is lost. */
export class Stream {
  constructor() {
    this.phase = "connecting";
    this.reason = "";
    this.sinceMs = Date.now();
    this.retryAtMs = 0;
    this.received = 0;
    this.listeners = new Set();
    this.subscriptions = new Set();
    this.requests = new Map();
    this.queue = [];
    this.lastRequest = 0;
    this.failures = 0;
    this.socket = null;
    this.server = null;
    this.budget = SENT_PER_S;
    this.timer = setInterval(() => this.look(), LOOK_MS);
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
  }

  /** Call `listener` when the phase changed; returns a function that ends that. */
  onChange(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Subscribe to books. `spec`: the fields of the operation `subscribe`. `resumes`: whether to resume after the last id.
   * `onMessage(message, name)`: for each snapshot, update and state, and for the entries of heartbeats if it resumes. `onError(error)`: it was refused.
   */
  subscribe(spec, { resumes = false, onMessage, onError = () => {} }) {
    const subscription = new Subscription(this, spec, { resumes, onMessage, onError });
    this.subscriptions.add(subscription);
    if (this.isOpen) this.ask(subscription);
    return subscription;
  }

  end(subscription) {
    subscription.isOver = true;
    if (!this.subscriptions.delete(subscription)) return;
    if (subscription.number !== null && this.isOpen) {
      this.send({ op: "unsubscribe", subscription: subscription.number });
    }
  }

  get isOpen() {
    return this.phase === "open" || this.phase === "silent";
  }

  /** Open a connection now. */
  open() {
    this.drop();
    if (!session.hasToken) return;
    this.become("connecting", "");
    const socket = new WebSocket(address(), PROTOCOL);
    this.socket = socket;
    this.heardMs = performance.now();
    socket.onopen = () => {
      this.heardMs = performance.now();
      socket.send(session.authentication(0));
    };
    socket.onmessage = (event) => this.socket === socket && this.take(event.data);
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      const isRefused = event.code === REFUSED && !this.isOpen;
      this.lost(closed(event));
      if (isRefused) session.ask("/v1/stats").catch(() => {}); // a token that is no longer known ends the session
    };
  }

  /** Close, and stay so. */
  stop() {
    this.drop();
    this.become("stopped", "signed out");
  }

  /** Do not wait any longer. */
  retry() {
    if (this.phase === "waiting") this.open();
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    this.queue = [];
    this.requests.clear();
    for (const each of this.subscriptions) Object.assign(each, { number: null, view: null, request: null });
    if (socket) {
      socket.onclose = socket.onmessage = socket.onopen = null;
      socket.close();
    }
  }

  lost(reason) {
    const wasOpen = this.isOpen;
    this.drop();
    if (!session.hasToken) return;
    this.failures = wasOpen ? 0 : this.failures + 1;
    const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures) * (0.75 + Math.random() / 2);
    this.retryAtMs = performance.now() + waitMs;
    const lostAt = wasOpen ? reason : this.reason || reason;
    if (this.phase !== "waiting") this.become("waiting", lostAt, wasOpen);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.phase === "waiting" && this.open(), waitMs);
  }

  become(phase, reason, isNews = true) {
    const isLost = (each) => each === "waiting" || each === "connecting";
    if (isNews && !(isLost(phase) && isLost(this.phase))) this.sinceMs = Date.now();
    if (phase !== "connecting") this.reason = reason;
    this.phase = phase;
    for (const listener of this.listeners) listener(this);
    frames.wake();
  }

  take(text) {
    this.heardMs = performance.now();
    this.received += 1;
    if (this.phase === "silent") this.become("open", "");
    const message = JSON.parse(text);
    switch (message.type) {
      case "snapshot":
      case "update":
      case "state":
        return this.deliver(message);
      case "heartbeat":
        for (const each of message.books) this.deliver({ type: "heartbeat", ...each });
        return;
      case "authenticated":
        this.failures = 0;
        this.become("open", "");
        session.learn(message.role);
        for (const each of this.subscriptions) this.ask(each);
        return;
      default:
        this.takeReply(message);
    }
  }

  deliver(message) {
    const name = `${message.exchange}/${message.symbol}`;
    for (const each of this.subscriptions) {
      if (!each.takes(message, name)) continue;
      if (message.type === "heartbeat" && !each.resumes) continue;
      if (each.resumes && message.id != null && message.type !== "heartbeat") each.ids.set(name, message.id);
      each.onMessage(message, name);
      frames.wake();
    }
  }

  takeReply(message) {
    const subscription = this.requests.get(message.request);
    this.requests.delete(message.request);
    if (message.type === "error") {
      if (message.error.code === "unauthorized") return session.refuse();
      if (subscription) {
        this.subscriptions.delete(subscription);
        subscription.onError(message.error);
      }
      return;
    }
    if (message.type !== "subscribed" || !subscription) return;
    if (this.server !== message.server) {
      for (const each of this.subscriptions) each.ids.clear();
      this.server = message.server;
    }
    subscription.view = message.view;
    subscription.number = message.subscription;
    if (subscription.isOver) this.send({ op: "unsubscribe", subscription: message.subscription });
  }

  ask(subscription) {
    const request = ++this.lastRequest;
    this.requests.set(request, subscription);
    const resume = subscription.resumes && subscription.ids.size > 0 && this.server !== null;
    const more = resume ? { resume: Object.fromEntries(subscription.ids), server: this.server } : {};
    this.send({ op: "subscribe", request, ...subscription.spec, ...more });
  }

  send(operation) {
    this.queue.push(operation);
    this.flush();
  }

  flush() {
    while (this.queue.length > 0 && this.budget > 0 && this.socket?.readyState === WebSocket.OPEN) {
      this.budget -= 1;
      this.socket.send(JSON.stringify(this.queue.shift()));
    }
  }

  /** Once a second: whether the connection is alive. */
  look() {
    this.budget = SENT_PER_S;
    this.flush();
    if (this.phase === "waiting" && performance.now() > this.retryAtMs + LOOK_MS) this.open(); // the machine slept
    if (this.socket === null) return;
    const silentMs = performance.now() - this.heardMs;
    if (silentMs > SILENT_MS + ANSWER_MS) return this.lost("the server does not respond");
    if (silentMs > SILENT_MS && this.phase === "open") {
      this.become("silent", "");
      this.send({ op: "list" });
    }
  }
}

function closed(event) {
  if (event.code === 1001) return "the server stopped";
  if (event.reason) return `the server closed the connection: ${event.reason}`;
  return "the connection was lost";
}

/** The one stream of the page. */
export const stream = new Stream();
