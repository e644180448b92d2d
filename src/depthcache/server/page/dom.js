/** Elements, and the few formats of numbers and times that all views share. */

/**
 * Make an element. Properties that begin with `on` are listeners; others are attributes; true and false set and leave
 * them out. Text is always text, never markup.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Set the text of an element if it differs, which saves the browser a layout. */
export function setText(element, text) {
  if (element.shown !== text) {
    element.shown = text;
    element.textContent = text;
  }
}

/** Set an attribute if its value differs. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const MARKS = {
  synced: "●", stale: "▲", buffering: "◔", bridging: "◑", empty: "○", crossed: "✕", halted: "‖", disconnected: "⊘", closed: "■", ended: "■",
};

/** The mark of a status: it says the same as its colour. */
export function mark(status) {
  return MARKS[status] ?? "○";
}

/** How a status is coloured: good, wait, bad or over. */
export function tone(status) {
  if (status === "synced") return "good";
  if (status === "closed" || status === "ended") return "over";
  return ["buffering", "bridging", "empty"].includes(status) ? "wait" : "bad";
}

/** A duration in the unit that suits it: `12 ms`, `3.4 s`, `5 min`, `2 h`, `3 d`. */
export function duration(ms) {
  if (ms == null || Number.isNaN(ms)) return "–";
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** From an event to its reception; more than an hour is no lag: the event comes from a recording, marked or not. */
export function lag(ms, isRecorded = false) {
  return ms != null && (isRecorded || Math.abs(ms) > 3_600_000) ? "recorded" : duration(ms);
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** The time of day of a moment in microseconds since 1970, with the date where it is another day. */
export function clock(timeUs) {
  if (timeUs == null) return "–";
  const moment = new Date(timeUs / 1000);
  const isToday = moment.toDateString() === new Date().toDateString();
  return (isToday ? CLOCK : DAY).format(moment);
}

/** 12345 as `12,345`. */
export function count(number) {
  return number == null ? "–" : number.toLocaleString("en-US");
}

/** `1 book`, `2 books`. */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** Basis points with two or three significant digits. */
export function points(bps) {
  return `${bps < 0.1 && bps > 0 ? Number(bps.toPrecision(2)) : bps.toFixed(bps < 10 ? 2 : 1)} bp`;
}
