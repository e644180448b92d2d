//! What subscribers are sent of a book: `snapshot`, `update` and `state`.

use std::sync::Arc;

use depthcache_book::query::Reading;
use depthcache_book::status::Status;
use depthcache_wire::Numbers;

use super::format::{Format, Writer, completed};
use super::view::Sides;

/// What the messages of one channel say alike.
#[derive(Debug)]
pub struct Label {
    pub exchange: Arc<str>,
    pub symbol: Arc<str>,
    /// The name of the view.
    pub view: String,
    pub numbers: Numbers,
    /// Of the server: ids of events begin with it, so that a reader resumes only where it was.
    pub server: Arc<str>,
}

/// What a message says of a book at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    pub status: Status,
    pub reason: Arc<str>,
    pub since_time_us: Option<i64>,
    pub id: Option<i64>,
    pub event_time_us: Option<i64>,
    pub received_time_us: Option<i64>,
}

impl Moment {
    pub fn of(book: &dyn Reading) -> Moment {
        let offset_ns = book.wall_offset_ns();
        let since_1970_us =
            |at_ns: Option<i64>| Some(at_ns?.saturating_add(offset_ns?).div_euclid(1_000));
        let info = book.status_info();
        Moment {
            status: info.status,
            reason: info.reason.into(),
            since_time_us: since_1970_us(Some(info.since_ns)),
            id: book.last_update_id(),
            event_time_us: book.event_time_us(),
            received_time_us: since_1970_us(book.updated_ns()),
        }
    }
}

impl Moment {
    /// Whether both say the same of the book's state.
    pub fn is_same_state(&self, other: &Moment) -> bool {
        (self.status, &self.reason, self.since_time_us)
            == (other.status, &other.reason, other.since_time_us)
    }
}

/// How one view became the next.
#[derive(Debug)]
pub struct Change {
    pub previous: Option<i64>,
    pub moment: Moment,
    pub changes: Sides,
    /// Updates between both that no message brought, besides the last one.
    pub skipped: u64,
}

/// A message of the type `snapshot` up to the count of what its receiver missed, which completes it.
pub fn snapshot(label: &Label, moment: &Moment, sides: &Sides, format: Format) -> Vec<u8> {
    let mut message = begin(label, "snapshot", moment.id, format, 14);
    standing(&mut message, moment);
    times(&mut message, moment);
    levels(&mut message, sides);
    message.key("skipped");
    message.done()
}

/// A message of the type `update`.
pub fn update(label: &Label, change: &Change, format: Format) -> Vec<u8> {
    let mut message = begin(label, "update", change.moment.id, format, 12);
    message.key("previous");
    message.integer(change.previous);
    message.key("id");
    message.integer(change.moment.id);
    times(&mut message, &change.moment);
    levels(&mut message, &change.changes);
    message.key("skipped");
    let skipped = i64::try_from(change.skipped).unwrap_or(i64::MAX);
    completed(&message.done(), skipped, format)
}

/// A message of the type `state`.
pub fn state(label: &Label, moment: &Moment, format: Format) -> Vec<u8> {
    let mut message = begin(label, "state", None, format, 8);
    standing(&mut message, moment);
    message.end_map();
    ended(message, format)
}

/// A message that is whole.
pub fn ended(message: Writer, format: Format) -> Vec<u8> {
    let mut out = message.done();
    if format == Format::Events {
        out.extend_from_slice(b"\n\n");
    }
    out
}

fn begin(label: &Label, kind: &str, id: Option<i64>, format: Format, keys: u32) -> Writer {
    let event = id
        .filter(|_| format == Format::Events)
        .map(|id| format!("{}-{id}", label.server));
    let mut message = Writer::new(format, label.numbers, kind, event.as_deref());
    message.map(keys);
    for (key, text) in [
        ("type", kind),
        ("exchange", &label.exchange),
        ("symbol", &label.symbol),
        ("view", &label.view),
    ] {
        message.key(key);
        message.text(text);
    }
    message
}

fn standing(message: &mut Writer, moment: &Moment) {
    message.key("status");
    message.text(moment.status.as_str());
    message.key("reason");
    message.text(&moment.reason);
    message.key("since_time_us");
    message.integer(moment.since_time_us);
    message.key("id");
    message.integer(moment.id);
}

fn times(message: &mut Writer, moment: &Moment) {
    message.key("event_time_us");
    message.integer(moment.event_time_us);
    message.key("received_time_us");
    message.integer(moment.received_time_us);
}

fn levels(message: &mut Writer, sides: &Sides) {
    message.key("complete");
    message.flag(sides.complete());
    message.key("bids");
    message.levels(&sides.bids);
    message.key("asks");
    message.levels(&sides.asks);
}
