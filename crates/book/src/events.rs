//! Events of a router, for the client's core to act on: values, no behaviour.

use crate::ladder::Tally;
use crate::status::Status;

/// One reason for a market change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Cause {
    /// The first diff since the market was added or restarted arrived.
    FirstData = 1 << 0,
    /// The book became synced.
    Synced = 1 << 1,
    /// The first diff after a snapshot installed alone has bridged it.
    Confirmed = 1 << 2,
    /// Updates are missing.
    Gap = 1 << 3,
    /// The exchange reset its update ids.
    Reset = 1 << 4,
    /// Best bid at or above best ask after a whole event.
    Crossed = 1 << 5,
    /// No longer so.
    Uncrossed = 1 << 6,
    /// A frame of this market was malformed.
    Malformed = 1 << 7,
    /// The buffer was full and was dropped.
    BufferDropped = 1 << 8,
    /// A snapshot that waited was merged when the book reached it.
    Refreshed = 1 << 9,
    /// Nothing has proven the book for long, or nothing looked for a while: it is stale until proven.
    Doubted = 1 << 10,
    /// The doubt has ended: an update or a snapshot has proven the book, or its frames arrive again.
    Proven = 1 << 11,
    /// The book server reported a new state of its own book.
    Upstream = 1 << 12,
}

impl Cause {
    /// Every cause, in the order in which sets are walked.
    pub const ALL: [Cause; 13] = [
        Cause::FirstData,
        Cause::Synced,
        Cause::Confirmed,
        Cause::Gap,
        Cause::Reset,
        Cause::Crossed,
        Cause::Uncrossed,
        Cause::Malformed,
        Cause::BufferDropped,
        Cause::Refreshed,
        Cause::Doubted,
        Cause::Proven,
        Cause::Upstream,
    ];

    /// The word of the cause.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::FirstData => "first_data",
            Cause::Synced => "synced",
            Cause::Confirmed => "confirmed",
            Cause::Gap => "gap",
            Cause::Reset => "reset",
            Cause::Crossed => "crossed",
            Cause::Uncrossed => "uncrossed",
            Cause::Malformed => "malformed",
            Cause::BufferDropped => "buffer_dropped",
            Cause::Refreshed => "refreshed",
            Cause::Doubted => "doubted",
            Cause::Proven => "proven",
            Cause::Upstream => "upstream",
        }
    }
}

/// A set of causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes(u16);

impl Causes {
    /// Put one in.
    pub fn insert(&mut self, cause: Cause) {
        self.0 |= cause as u16;
    }

    /// Whether it is in.
    pub fn contains(self, cause: Cause) -> bool {
        self.0 & cause as u16 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All that are in.
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL
            .into_iter()
            .filter(move |cause| self.contains(*cause))
    }
}

/// A live book compared with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The id at which both were compared.
    pub update_id: i64,
    /// Both sides together.
    pub tally: Tally,
}

/// What happened to a market since the last `take_events`, coalesced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketChange {
    /// The market's number.
    pub market: u64,
    /// Why.
    pub causes: Causes,
    /// The machine state now: empty, buffering, bridging, synced or crossed.
    pub status: Status,
    /// Why the machine state is what it is; empty when synced and confirmed.
    pub reason: String,
    /// When the last of the causes was received.
    pub at_ns: i64,
    /// What the snapshot found that was merged when the book reached it; None without the cause `Refreshed`.
    pub comparison: Option<Comparison>,
}

/// A frame that is not market data: a reply, an error, `serverShutdown`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlMessage {
    /// Where it came from.
    pub connection: u64,
    /// The frame as it came.
    pub payload: Vec<u8>,
    /// When it was received.
    pub at_ns: i64,
}

/// The newest frame of a stream that is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFrame {
    /// Where it came from.
    pub connection: u64,
    /// Its stream.
    pub stream: String,
    /// The frame as it came, wrapper and all.
    pub frame: Vec<u8>,
    /// How many older ones of the stream were not taken.
    pub skipped: u64,
    /// When it was received.
    pub at_ns: i64,
}

/// Why no market takes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrayKind {
    /// Nothing is routed under this stream name.
    UnknownStream,
    /// Not valid, and no market to blame for it.
    Malformed,
    /// The ring of control messages was full: the connection must be closed.
    Overflow,
}

impl StrayKind {
    /// The word of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            StrayKind::UnknownStream => "unknown_stream",
            StrayKind::Malformed => "malformed",
            StrayKind::Overflow => "overflow",
        }
    }
}

/// Frames that no market takes, of one kind, connection and detail, counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrayFrame {
    /// Where they came from.
    pub connection: u64,
    /// Why no market takes them.
    pub what: StrayKind,
    /// The stream name, or what is wrong and the first bytes.
    pub detail: String,
    /// How many.
    pub count: u64,
    /// When the last of them was received.
    pub at_ns: i64,
}

/// What `take_events` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A market changed.
    Market(MarketChange),
    /// A control message arrived.
    Control(ControlMessage),
    /// A frame of a stream that is listened to arrived.
    Stream(StreamFrame),
    /// Frames arrived that no market takes.
    Stray(StrayFrame),
    /// The follower of that number has items; not repeated until it was found empty.
    FollowerReady(u64),
}
