//! Events that wait to be taken, in bounded memory.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::events::{ControlMessage, Event, StrayFrame, StrayKind, StreamFrame};

/// How much of a malformed frame is shown.
const EXCERPT_BYTES: usize = 120;

/// Characters of a name from outside that are kept; real streams have some 40.
const MOST_OF_NAME: usize = 120;

/// Bytes of control messages kept between two `take_events`, beside their number.
const MOST_CONTROL_BYTES: usize = 32 << 20;

/// Kinds of strays counted separately between two `take_events`; more are counted without their name.
const MOST_STRAYS: usize = 256;

/// The beginning of a name from outside.
fn short(name: &str) -> &str {
    let end = name.char_indices().nth(MOST_OF_NAME);
    end.map_or(name, |(end, _)| &name[..end])
}

/// The events of a router, and one flag: whether there are any.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    has_events: AtomicBool,
}

impl Outbox {
    pub fn new(control_capacity: usize) -> Outbox {
        Outbox {
            waiting: Mutex::new(Waiting::new(control_capacity)),
            has_events: AtomicBool::new(false),
        }
    }

    #[inline]
    pub fn has_events(&self) -> bool {
        self.has_events.load(Ordering::Acquire)
    }

    /// Put events in.
    pub fn push(&self, put: impl FnOnce(&mut Waiting)) {
        put(&mut self.waiting.lock());
        self.has_events.store(true, Ordering::Release);
    }

    /// Numbers of changed markets, and everything else, since the last call.
    pub fn take(&self) -> (Vec<u64>, impl Iterator<Item = Event> + use<>) {
        self.has_events.store(false, Ordering::Release);
        self.waiting.lock().take()
    }
}

/// What happened since the last `take`, but for what the markets themselves know.
#[derive(Debug)]
pub(super) struct Waiting {
    control_capacity: usize,
    changed: Vec<u64>,
    ready: Vec<u64>,
    control: Vec<ControlMessage>,
    control_bytes: usize,
    streams: Vec<StreamFrame>,
    strays: Vec<StrayFrame>,
}

impl Waiting {
    pub fn new(control_capacity: usize) -> Waiting {
        Waiting {
            control_capacity,
            changed: Vec::new(),
            ready: Vec::new(),
            control: Vec::new(),
            control_bytes: 0,
            streams: Vec::new(),
            strays: Vec::new(),
        }
    }

    /// Numbers of changed markets, and everything else.
    pub fn take(&mut self) -> (Vec<u64>, impl Iterator<Item = Event> + use<>) {
        self.control_bytes = 0;
        let control = std::mem::take(&mut self.control)
            .into_iter()
            .map(Event::Control);
        let streams = std::mem::take(&mut self.streams)
            .into_iter()
            .map(Event::Stream);
        let strays = std::mem::take(&mut self.strays)
            .into_iter()
            .map(Event::Stray);
        let ready = std::mem::take(&mut self.ready).into_iter();
        let ready = ready.map(Event::FollowerReady);
        let others = control.chain(streams).chain(strays).chain(ready);
        (std::mem::take(&mut self.changed), others)
    }

    /// A market has a change. Each is listed once until its change is taken.
    pub fn changed(&mut self, market: u64) {
        self.changed.push(market);
    }

    /// A follower has something. Each is listed once until it was found empty: it may be listed again
    /// before events were taken, so it is looked for.
    pub fn ready(&mut self, follower: u64) {
        if !self.ready.contains(&follower) {
            self.ready.push(follower);
        }
    }

    /// A control message; a full ring makes it a stray that says so.
    pub fn control(&mut self, connection: u64, frame: &[u8], at_ns: i64) {
        let full = self.control.len() >= self.control_capacity
            || self.control_bytes + frame.len() > MOST_CONTROL_BYTES;
        if full {
            self.stray(connection, StrayKind::Overflow, "", at_ns);
        } else {
            self.control_bytes += frame.len();
            self.control.push(ControlMessage {
                connection,
                payload: frame.to_vec(),
                at_ns,
            });
        }
    }

    /// A frame of a stream that is listened to: the newest counts.
    pub fn stream(&mut self, connection: u64, stream: &str, frame: &[u8], at_ns: i64) {
        let same = |held: &&mut StreamFrame| held.connection == connection && held.stream == stream;
        match self.streams.iter_mut().find(same) {
            Some(held) => {
                held.frame.clear();
                held.frame.extend_from_slice(frame);
                held.skipped += 1;
                held.at_ns = at_ns;
            }
            None => self.streams.push(StreamFrame {
                connection,
                stream: stream.to_owned(),
                frame: frame.to_vec(),
                skipped: 0,
                at_ns,
            }),
        }
    }

    /// A frame that could not be read and belongs to no market.
    pub fn malformed(&mut self, connection: u64, what: &str, frame: &[u8], at_ns: i64) {
        let start = String::from_utf8_lossy(&frame[..frame.len().min(EXCERPT_BYTES)]);
        self.stray(
            connection,
            StrayKind::Malformed,
            &format!("{what}: {start}"),
            at_ns,
        );
    }

    /// One more stray. Streams are counted by name, other kinds show their last detail.
    pub fn stray(&mut self, connection: u64, what: StrayKind, detail: &str, at_ns: i64) {
        let by_name = what == StrayKind::UnknownStream;
        let detail = if by_name { short(detail) } else { detail };
        let full = by_name && self.strays.len() >= MOST_STRAYS;
        let same = |held: &StrayFrame, detail: &str| {
            held.connection == connection
                && held.what == what
                && (!by_name || held.detail == detail)
        };
        let found = self.strays.iter().position(|held| same(held, detail));
        let found = found.or_else(|| {
            full.then(|| self.strays.iter().position(|held| same(held, "")))
                .flatten()
        });
        match found {
            Some(index) => {
                let held = &mut self.strays[index];
                held.count += 1;
                held.at_ns = at_ns;
                if !by_name {
                    detail.clone_into(&mut held.detail);
                }
            }
            None => {
                let detail = if full {
                    String::new()
                } else {
                    detail.to_owned()
                };
                self.strays.push(StrayFrame {
                    connection,
                    what,
                    detail,
                    count: 1,
                    at_ns,
                });
            }
        }
    }
}
