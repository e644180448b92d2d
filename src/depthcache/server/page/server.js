/** What the page knows of the server itself: its clock, its version, and whether it plays a recording. */

import { notify } from "./notices.js";
import { session } from "./session.js";
import { stream } from "./stream.js";

const CLOCK_MS = 60_000;
const RECORDING_MS = 2_000;

/**
 * The clock of the server, estimated from the list of books: its offset is the least of this minute and the one before,
 * because a delayed response only adds to it. `performance.now` ignores that the clock of this machine is set.
 */
export const serverClock = {
  minute: 0,
  offsetUs: Infinity,
  offsetBeforeUs: Infinity,

  /** A line of the list: `received_time_us` and `age_s` make the time at which the server wrote it. */
  learn(line) {
    if (line.received_time_us == null || line.age_s == null) return;
    const nowMs = performance.now();
    const minute = Math.floor(nowMs / CLOCK_MS);
    if (minute !== this.minute) {
      const offsetBeforeUs = minute === this.minute + 1 ? this.offsetUs : Infinity;
      Object.assign(this, { minute, offsetBeforeUs, offsetUs: Infinity });
    }
    this.offsetUs = Math.min(this.offsetUs, 1000 * nowMs - (line.received_time_us + 1e6 * line.age_s));
  },

  /** How long ago something happened in milliseconds, by that clock; null if it never did, or the clock is unknown. */
  since(timeUs) {
    const offsetUs = Math.min(this.offsetUs, this.offsetBeforeUs);
    if (timeUs == null || offsetUs === Infinity) return null;
    return Math.max(0, performance.now() - (offsetUs + timeUs) / 1000);
  },
};

/** What /v1/stats says: `recording` is "playing" or "ended" where the books are of a recording. */
export const server = {
  recording: "",
  version: null,
  /** Whether it is a node of a cluster. */
  isNode: !document.querySelector('[href="#/cluster"]').hidden,
  onRecording() {},

  /** Look now, and again while a recording plays: it will end. */
  async look() {
    clearTimeout(this.later);
    const stats = await session.json("/v1/stats").catch(() => null);
    if (stats) this.take(stats);
    if (!stream.isOpen || (stats !== null && this.recording !== "playing")) return;
    clearTimeout(this.later);
    this.later = setTimeout(() => stream.isOpen && this.look(), RECORDING_MS);
  },

  take({ recording = "", version = {} }) {
    const isNews = this.recording !== recording;
    this.recording = recording;
    if (isNews) this.onRecording();
    const before = this.version;
    this.version = version.running ?? before;
    if (before === null || this.version === before) return;
    const words = `The server now runs depthcache ${this.version}; this page is of ${before}.`;
    notify(words, { action: ["Reload", () => location.reload()], stays: true });
  },
};

stream.onChange(() => stream.isOpen && server.look());
