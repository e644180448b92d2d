//! Diffs and snapshots as the exchange sends them, and a market that takes them.
//!
//! What a market says is given back as short text, so that a test can be a table.

use depthcache_book::codec::json;
use depthcache_book::events::{Causes, Comparison};
use depthcache_book::market::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::market::sequence::{Continuity, Ids, SnapshotTime};
use depthcache_book::market::{Market, MarketConfig};
use depthcache_book::message::{DepthSnapshot, DepthUpdate};
use depthcache_book::query::{CompleteTo, NumberLevel, Reading, Side};
use depthcache_book::status::StatusInfo;

/// An event time, in microseconds since 1970.
pub const T: i64 = 1_764_000_000_000_000;

/// Prices and quantities as text, best first.
pub type Levels<'a> = &'a [(&'a str, &'a str)];

fn array(levels: Levels) -> String {
    let pairs: Vec<_> = levels
        .iter()
        .map(|(price, quantity)| format!(r#"["{price}","{quantity}"]"#))
        .collect();
    format!("[{}]", pairs.join(","))
}

/// One diff, without levels until they are given.
#[derive(Clone)]
pub struct Diff {
    first: i64,
    last: i64,
    follows: Option<i64>,
    event_us: i64,
    bids: String,
    asks: String,
}

/// A diff of the ids `first` to `last`, made at `T`.
pub fn diff(first: i64, last: i64) -> Diff {
    let (bids, asks) = (array(&[]), array(&[]));
    Diff {
        first,
        last,
        follows: None,
        event_us: T,
        bids,
        asks,
    }
}

/// A diff of futures that follows the one that ended at `previous`.
pub fn chained(previous: i64, first: i64, last: i64) -> Diff {
    let follows = Some(previous);
    Diff {
        follows,
        ..diff(first, last)
    }
}

impl Diff {
    /// The same with these levels.
    pub fn with(self, bids: Levels, asks: Levels) -> Diff {
        let (bids, asks) = (array(bids), array(asks));
        Diff { bids, asks, ..self }
    }

    /// The same made at another time; 0 for a diff that does not say.
    pub fn made_at(self, event_us: i64) -> Diff {
        Diff { event_us, ..self }
    }

    /// Its frame.
    pub fn frame(&self) -> Vec<u8> {
        let event = match self.event_us {
            0 => String::new(),
            time => format!(r#""E":{time},"#),
        };
        let follows = match self.follows {
            None => String::new(),
            Some(id) => format!(r#""pu":{id},"#),
        };
        let Diff {
            first,
            last,
            bids,
            asks,
            ..
        } = self;
        format!(
            r#"{{"e":"depthUpdate",{event}"s":"BTCUSDT","U":{first},"u":{last},{follows}"b":{bids},"a":{asks}}}"#
        )
        .into_bytes()
    }

    /// What the scanner makes of it.
    pub fn update(&self) -> DepthUpdate {
        let mut update = DepthUpdate::default();
        json::frame(&self.frame(), &mut update).expect("a frame that was made here");
        update
    }
}

/// One snapshot with how it was requested.
pub struct Snapshot {
    id: i64,
    bids: String,
    asks: String,
    limit: Option<usize>,
    live: bool,
    made: Option<SnapshotTime>,
}

/// A snapshot of id `id`, requested with limit 1000 after the stream was live.
pub fn snapshot(id: i64, bids: Levels, asks: Levels) -> Snapshot {
    Snapshot {
        id,
        bids: array(bids),
        asks: array(asks),
        limit: Some(1000),
        live: true,
        made: None,
    }
}

impl Snapshot {
    /// The same requested with another limit.
    pub fn asked(self, limit: Option<usize>) -> Snapshot {
        Snapshot { limit, ..self }
    }

    /// The same made between these times.
    pub fn made(self, made: SnapshotTime) -> Snapshot {
        let made = Some(made);
        Snapshot { made, ..self }
    }

    /// The same where the stream may not have been live before.
    pub fn before_live(self) -> Snapshot {
        let live = false;
        Snapshot { live, ..self }
    }

    fn scanned(&self) -> DepthSnapshot {
        let Snapshot { id, bids, asks, .. } = self;
        let body = format!(r#"{{"lastUpdateId":{id},"bids":{bids},"asks":{asks}}}"#);
        let mut snapshot = DepthSnapshot::default();
        json::snapshot(body.as_bytes(), &mut snapshot).expect("a body that was made here");
        snapshot
    }
}

/// A market and what a test asks of it.
pub struct MarketHarness {
    pub market: Market,
    /// What the last refresh found that was merged at once.
    pub compared: Option<Comparison>,
}

/// A market whose ids are contiguous.
pub fn spot() -> MarketHarness {
    MarketHarness::new(Continuity::Contiguous, 1 << 20)
}

/// A market whose ids are chained.
pub fn futures() -> MarketHarness {
    MarketHarness::new(Continuity::Chained, 1 << 20)
}

impl MarketHarness {
    pub fn new(continuity: Continuity, buffer_bytes: usize) -> MarketHarness {
        let config = MarketConfig {
            continuity,
            inverse: false,
            buffer_bytes,
        };
        MarketHarness {
            market: Market::new("binance.com", Some("BTCUSDT"), config, 0),
            compared: None,
        }
    }

    /// Synced at an id by a snapshot and its first diff, received at 3; the snapshot came at 2.
    pub fn synced_at(mut self, id: i64, bids: Levels, asks: Levels) -> MarketHarness {
        self.load(&snapshot(id - 1, bids, asks), 2);
        let first = chained(id - 1, id, id);
        assert_eq!(self.feed(&first, 3), Outcome::Applied);
        self.causes();
        self
    }

    pub fn feed(&mut self, diff: &Diff, at_ns: i64) -> Outcome {
        self.feed_over(0, diff, at_ns)
    }

    pub fn feed_over(&mut self, connection: u64, diff: &Diff, at_ns: i64) -> Outcome {
        let update = diff.update();
        let ids = Ids::of(&update, self.market.continuity()).expect("ids");
        self.market
            .on_diff(&update, ids, &diff.frame(), connection, at_ns)
    }

    pub fn load(&mut self, snapshot: &Snapshot, at_ns: i64) -> SnapshotOutcome {
        let Snapshot {
            limit, live, made, ..
        } = *snapshot;
        let taken = self
            .market
            .install(&snapshot.scanned(), limit, live, at_ns, made);
        taken.expect("a snapshot of this market")
    }

    pub fn refresh(&mut self, snapshot: &Snapshot, at_ns: i64) -> &'static str {
        let outcome = self
            .market
            .refresh(&snapshot.scanned(), snapshot.limit, at_ns, snapshot.made)
            .expect("a snapshot of this market");
        self.compared = outcome.comparison().or(self.compared);
        outcome.as_str()
    }

    pub fn settle(&mut self, at_ns: i64) -> &'static str {
        let outcome = self.market.settle_refresh(at_ns);
        self.compared = outcome.comparison().or(self.compared);
        outcome.as_str()
    }

    /// Status, since when, and why: `synced since 2: `.
    pub fn status_info(&self) -> String {
        let StatusInfo {
            status,
            reason,
            since_ns,
        } = self.market.status_info();
        format!("{} since {since_ns}: {reason}", status.as_str())
    }

    /// The id that is held, `-` for none.
    pub fn id(&self) -> String {
        let id = self.market.last_update_id();
        id.map_or("-".to_owned(), |id| id.to_string())
    }

    /// Both sides, best first: `99 x 1, 98 x 2 | 101 x 1`.
    pub fn book(&self) -> String {
        let side = |side| {
            let run = self.market.levels(side, 0, usize::MAX);
            run.iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        format!("{} | {}", side(Side::Bids), side(Side::Asks))
    }

    /// How far both sides are proven: `98 | whole`.
    pub fn proven(&self) -> String {
        let bids = proven_to(self.market.complete_to(Side::Bids));
        format!(
            "{bids} | {}",
            proven_to(self.market.complete_to(Side::Asks))
        )
    }

    /// What happened since the last call: `first_data, gap`.
    pub fn causes(&mut self) -> String {
        let change = self.market.take_change(1);
        named(change.map(|change| change.causes).unwrap_or_default())
    }

    /// The counters that are not zero: `applied 1, gaps 2`.
    pub fn counts(&self) -> String {
        let counted = self.market.counters().named();
        let shown = counted.iter().filter(|(_, count)| *count > 0);
        let shown = shown.map(|(name, count)| format!("{name} {count}"));
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// A level as text.
pub fn shown(level: NumberLevel) -> String {
    format!("{} x {}", level.price, level.quantity)
}

/// A bound as text.
pub fn proven_to(bound: CompleteTo) -> String {
    match bound {
        CompleteTo::Nothing => "nothing".to_owned(),
        CompleteTo::Price(price) => price.to_string(),
        CompleteTo::Whole => "whole".to_owned(),
    }
}

/// Causes as text.
pub fn named(causes: Causes) -> String {
    let words: Vec<_> = causes.iter().map(|cause| cause.as_str()).collect();
    words.join(", ")
}

/// The rows of a table: cells between bars, lines without one are titles or air.
pub fn rows<const CELLS: usize>(table: &str) -> Vec<[&str; CELLS]> {
    let lines = table.lines().filter(|line| line.contains('|'));
    lines
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            cells.try_into().unwrap_or_else(|_| panic!("cells: {line}"))
        })
        .collect()
}
