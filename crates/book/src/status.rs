//! The words for what a book is, and the condition that is laid over the machine state from outside.
//!
//! Not here: when a market changes its state (`market`).

/// What a book is, in one word; only `Synced` can be trusted. Worst last, and ordered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Current and whole inside its complete range.
    Synced,
    /// Best bid at or above best ask after a whole event: not served.
    Crossed,
    /// A snapshot is installed, the diff that confirms it is awaited.
    Bridging,
    /// Diffs are kept while a snapshot is on its way.
    Buffering,
    /// Nothing has arrived yet.
    Empty,
    /// A watchdog doubts that data still flows.
    Stale,
    /// The exchange halted the symbol.
    Halted,
    /// The connection that carries the book is down.
    Disconnected,
    /// Removed, delisted or shut down; it will not come back.
    Closed,
}

impl Status {
    /// Each of them, worst last.
    pub const ALL: [Status; 9] = [
        Status::Synced,
        Status::Crossed,
        Status::Bridging,
        Status::Buffering,
        Status::Empty,
        Status::Stale,
        Status::Halted,
        Status::Disconnected,
        Status::Closed,
    ];

    /// The status of that word, if there is one.
    pub fn parse(word: &str) -> Option<Status> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
    }

    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Synced => "synced",
            Status::Crossed => "crossed",
            Status::Bridging => "bridging",
            Status::Buffering => "buffering",
            Status::Empty => "empty",
            Status::Stale => "stale",
            Status::Halted => "halted",
            Status::Disconnected => "disconnected",
            Status::Closed => "closed",
        }
    }
}

/// What the watchers of connections, clocks and symbols lay over the machine state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// A watchdog doubts that data still flows.
    Stale,
    /// The exchange halted the symbol.
    Halted,
    /// The connection that carries the book is down.
    Disconnected,
    /// Removed, delisted or shut down; final.
    Closed,
}

impl Condition {
    /// The condition of that word, if there is one.
    pub fn parse(word: &str) -> Option<Condition> {
        match word {
            "stale" => Some(Condition::Stale),
            "halted" => Some(Condition::Halted),
            "disconnected" => Some(Condition::Disconnected),
            "closed" => Some(Condition::Closed),
            _ => None,
        }
    }

    /// The status users see because of it.
    pub fn status(self) -> Status {
        match self {
            Condition::Stale => Status::Stale,
            Condition::Halted => Status::Halted,
            Condition::Disconnected => Status::Disconnected,
            Condition::Closed => Status::Closed,
        }
    }
}

/// The one status of a book: the worse of its machine state and the condition laid over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusInfo<'a> {
    /// The word.
    pub status: Status,
    /// Why it is what it is; empty when synced and confirmed.
    pub reason: &'a str,
    /// Since when, on the caller's monotonic clock.
    pub since_ns: i64,
}

/// Why levels may not be read now: the facts of `BookNotSynced` and `BookClosed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReadable {
    /// What the book is instead of synced.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// Since when, on the caller's monotonic clock.
    pub since_ns: i64,
}

/// The last update of a book is older than its reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld {
    /// How long ago it was received.
    pub age_ns: i64,
    /// What the reader takes.
    pub max_age_ns: i64,
}

/// Why a reader gets no levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The book cannot be trusted.
    NotReadable(NotReadable),
    /// It can, and is too old for this reader.
    TooOld(TooOld),
}

impl From<NotReadable> for Refusal {
    fn from(why: NotReadable) -> Refusal {
        Refusal::NotReadable(why)
    }
}
