/** A stub of a book, mirrored from the messages of /v1/ws. */

export class Book {
  constructor() {
    Object.assign(this, { bids: [], asks: [], id: null, status: "", reason: "", sinceTimeUs: null });
    Object.assign(this, { eventTimeUs: null, receivedTimeUs: null, complete: false });
    /** The prices to which each side is proven, `{bids, asks}` as text or null; the page sets it after each snapshot. */
    this.completeTo = { bids: null, asks: null };
  }

  /** Apply a snapshot, an update or a state; false: the chain of ids is broken, and the page subscribes again. */
  apply(message) {
    Object.assign(this, { id: message.id, status: message.status ?? this.status });
    return true;
  }
}
