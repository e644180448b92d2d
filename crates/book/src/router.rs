//! All markets of one client and the way of each frame to its market.
//!
//! Frames are wrapped and routed by their full stream name, so that a partial depth stream of the
//! same symbol never reaches a diff book. Nothing in a frame can make `feed` fail: what needs a
//! decision becomes an event (`outbox`), one coalesced change a market, control messages in a
//! bounded ring, strays counted by kind.
//!
//! Locks, in the order in which they are taken: the watchdog's, the table of connections or markets (shared), one
//! connection, one market, the queue of a follower, what is pending. Readers take only their market's.
//!
//! Not here: what one diff does (`market`).

mod error;
mod feeds;
mod followers;
mod maintenance;
mod outbox;
mod recording;
mod registry;
mod watchdog;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use compact_str::CompactString;
use parking_lot::{Mutex, RwLock};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::codec::json::{self, Body, Malformed, Scanned};
use crate::events::{Event, StrayKind};
use crate::foreign_text;
use crate::market::outcome::SnapshotOutcome;
use crate::market::sequence::{Ids, SnapshotTime};
use crate::market::{Market, MarketCell, MarketConfig, Rules, WriteGuard};
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::prefetch;
use crate::status::Condition;
use crate::timebase::Timebase;
use maintenance::{LateHint, ShallowHint};
use outbox::Outbox;
use recording::TapSwitch;
use registry::Registry;
use watchdog::Watchdog;

pub use error::RouterError;
pub use feeds::Traffic;
pub use followers::{Busy, Follower};

/// Control messages kept between two `take_events`.
pub const CONTROL_CAPACITY: usize = 1024;

/// Bytes of diffs kept per market while a snapshot is on its way.
pub const BUFFER_BYTES: usize = 16 << 20;

/// Bytes of raw frames that the flight recorder of each market holds.
pub const FLIGHT_BYTES: usize = 64 << 10;

/// The stream of an announcement that concerns the connection (spot, 2025).
const SHUTDOWN_STREAM: &str = "!serverShutdown";

/// All markets of one client. Every method may be called from any thread.
///
/// Order of calls: `add_market`, `open_connection`, `route`, then `feed` for every frame; when
/// `feed` says so, `take_events`.
#[derive(Debug)]
pub struct Router {
    buffer_bytes: usize,
    flight_bytes: usize,
    markets: RwLock<Registry<Arc<MarketCell>>>,
    connections: RwLock<Registry<Mutex<Connection>>>,
    outbox: Outbox,
    tap: TapSwitch,
    followers: AtomicU64,
    shallow_hint: ShallowHint,
    late_hint: LateHint,
    watchdog: Watchdog,
    timebase: Arc<Timebase>,
}

/// One connection: where its streams go, and room for the frame being read.
#[derive(Debug, Default)]
struct Connection {
    /// How users know the server behind it; empty for the exchange.
    server: Box<str>,
    /// By stream; stream names are stored inline.
    routes: FxHashMap<CompactString, Route>,
    /// Streams whose newest frame is handed out as it is.
    listened: FxHashSet<Box<str>>,
    traffic: Traffic,
    update: DepthUpdate,
}

#[derive(Clone, Debug)]
struct Route {
    market: u64,
    cell: Arc<MarketCell>,
}

impl Router {
    /// A router without markets. `flight_bytes`: of raw frames each market remembers.
    pub fn new(control_capacity: usize, buffer_bytes: usize, flight_bytes: usize) -> Router {
        Router {
            buffer_bytes,
            flight_bytes,
            markets: RwLock::default(),
            connections: RwLock::default(),
            outbox: Outbox::new(control_capacity),
            tap: TapSwitch::default(),
            followers: AtomicU64::new(0),
            shallow_hint: ShallowHint::default(),
            late_hint: LateHint::default(),
            watchdog: Watchdog::default(),
            timebase: Arc::default(),
        }
    }

    /// What time it is for readers.
    pub fn timebase(&self) -> &Timebase {
        &self.timebase
    }

    // --- markets ------------------------------------------------------------------------------

    /// Take up a market; it is empty since `now_ns`.
    pub fn add_market(
        &self,
        market: u64,
        exchange: &str,
        symbol: &str,
        rules: impl Into<Rules>,
        now_ns: i64,
    ) -> Result<(), RouterError> {
        let rules = rules.into();
        let config = MarketConfig {
            continuity: rules.continuity,
            inverse: rules.inverse,
            buffer_bytes: self.buffer_bytes,
        };
        let cell = Arc::new(MarketCell::new(
            Market::new(exchange, Some(symbol), config, now_ns).timed_by(self.timebase.clone()),
            self.flight_bytes,
        ));
        self.markets
            .write()
            .add(market, cell)
            .map_err(RouterError::UsedMarket)
    }

    /// The diffs of a market come from book servers: it is never synced unless one says that its own book is.
    pub fn relay(&self, market: u64, now_ns: i64) -> Result<(), RouterError> {
        let cell = self.market(market)?;
        self.change(market, cell.lock(), |held| held.relay(now_ns));
        Ok(())
    }

    /// Forget a market and its routes; its readers say closed from now on.
    pub fn remove_market(&self, market: u64, reason: &str, now_ns: i64) -> Result<(), RouterError> {
        let gone = self.markets.write().entries.remove(&market);
        let gone = gone.ok_or(RouterError::UnknownMarket(market))?;
        for connection in self.connections.read().entries.values() {
            connection
                .lock()
                .routes
                .retain(|_, route| route.market != market);
        }
        self.change(market, gone.lock(), |held| {
            held.set_condition(Some(Condition::Closed), reason, now_ns);
        });
        Ok(())
    }

    /// What readers of a market read.
    pub fn market(&self, market: u64) -> Result<Arc<MarketCell>, RouterError> {
        self.markets
            .read()
            .entries
            .get(&market)
            .cloned()
            .ok_or(RouterError::UnknownMarket(market))
    }

    /// Install a snapshot requested with `limit` (None: unknown). `live`: the subscription was
    /// acknowledged, or data had arrived, before the snapshot was requested. `made`: when it was made; None for
    /// the time in its body.
    pub fn install_snapshot(
        &self,
        market: u64,
        body: &[u8],
        limit: Option<usize>,
        live: bool,
        now_ns: i64,
        made: Option<SnapshotTime>,
    ) -> Result<SnapshotOutcome, RouterError> {
        let cell = self.market(market)?;
        let mut snapshot = DepthSnapshot::default();
        json::snapshot(body, &mut snapshot).map_err(RouterError::MalformedSnapshot)?;
        let held = cell.lock();
        if let Err(refused) = held.check(&snapshot) {
            return Err(RouterError::of_refusal(refused, &held));
        }
        cell.flight().on_snapshot(body, limit, now_ns);
        self.change(market, held, |held| {
            held.install(&snapshot, limit, live, now_ns, made)
                .map_err(|refused| RouterError::of_refusal(refused, held))
        })
    }

    /// Back to buffering; kept diffs and old levels stay.
    pub fn resync(&self, market: u64, reason: &str, now_ns: i64) -> Result<(), RouterError> {
        let cell = self.market(market)?;
        self.change(market, cell.lock(), |held| held.resync(reason, now_ns));
        Ok(())
    }

    /// Back to buffering with an empty buffer: the diffs will come from a new connection.
    pub fn restart(&self, market: u64, reason: &str, now_ns: i64) -> Result<(), RouterError> {
        let cell = self.market(market)?;
        self.change(market, cell.lock(), |held| held.restart(reason, now_ns));
        Ok(())
    }

    /// Lay a condition over the machine state, or take it away (None).
    pub fn set_condition(
        &self,
        market: u64,
        condition: Option<Condition>,
        reason: &str,
        now_ns: i64,
    ) -> Result<(), RouterError> {
        let cell = self.market(market)?;
        self.change(market, cell.lock(), |held| {
            held.set_condition(condition, reason, now_ns);
        });
        Ok(())
    }

    // --- connections --------------------------------------------------------------------------

    /// Frames of this number are wrapped from now on.
    /// `server`: how users know the book server behind it; empty for the exchange.
    pub fn open_connection(&self, connection: u64, server: &str) -> Result<(), RouterError> {
        let opened = Connection {
            server: server.into(),
            ..Connection::default()
        };
        let added = self.connections.write().add(connection, Mutex::new(opened));
        added.map_err(RouterError::UsedConnection)
    }

    /// Forget a connection and its routes; frames of it are ignored from now on.
    pub fn close_connection(&self, connection: u64) -> Result<(), RouterError> {
        let gone = self.connections.write().entries.remove(&connection);
        let gone = gone.ok_or(RouterError::UnknownConnection(connection))?;
        for route in gone.into_inner().routes.into_values() {
            self.remove_feed(&route, connection);
        }
        Ok(())
    }

    /// Hand out the newest frame of a stream as it is, where no market takes it.
    pub fn listen(&self, connection: u64, stream: &str) -> Result<(), RouterError> {
        self.with_connection(connection, |state| state.listened.insert(stream.into()))
    }

    /// Frames of this stream on this connection go to this market.
    pub fn route(&self, connection: u64, stream: &str, market: u64) -> Result<(), RouterError> {
        let cell = self.market(market)?;
        let route = Route { market, cell };
        self.with_connection(connection, |state| {
            route.cell.lock().add_feed(connection);
            state.routes.insert(stream.into(), route);
        })
    }

    /// Frames of this stream go nowhere any more.
    pub fn unroute(&self, connection: u64, stream: &str) -> Result<(), RouterError> {
        self.with_connection(connection, |state| {
            state.listened.remove(stream);
            if let Some(route) = state.routes.remove(stream) {
                self.remove_feed(&route, connection);
            }
        })
    }

    fn with_connection<T>(
        &self,
        connection: u64,
        change: impl FnOnce(&mut Connection) -> T,
    ) -> Result<(), RouterError> {
        let connections = self.connections.read();
        let state = connections.entries.get(&connection);
        change(
            &mut state
                .ok_or(RouterError::UnknownConnection(connection))?
                .lock(),
        );
        Ok(())
    }

    // --- frames -------------------------------------------------------------------------------

    /// Take one frame to its book; true when `take_events` has events.
    pub fn feed(&self, connection: u64, frame: &[u8], received_ns: i64) -> bool {
        self.feed_or_leave(connection, frame, received_ns, true)
            .unwrap_or_default()
    }

    /// The same without ever waiting: None, and nothing done, when another thread holds what the
    /// frame needs. For callers that hold something themselves, such as an interpreter's lock.
    #[inline]
    pub fn try_feed(&self, connection: u64, frame: &[u8], received_ns: i64) -> Option<bool> {
        self.feed_or_leave(connection, frame, received_ns, false)
    }

    #[inline]
    fn feed_or_leave(
        &self,
        connection: u64,
        frame: &[u8],
        received_ns: i64,
        wait: bool,
    ) -> Option<bool> {
        if let Some(state) = self.connections.read().entries.get(&connection) {
            let mut state = if wait {
                state.lock()
            } else {
                state.try_lock()?
            };
            self.dispatch(connection, &mut state, frame, received_ns, wait)?;
            self.tap.frame(connection, frame, received_ns);
        }
        Some(self.outbox.has_events())
    }

    #[inline]
    fn dispatch(
        &self,
        connection: u64,
        state: &mut Connection,
        frame: &[u8],
        at_ns: i64,
        wait: bool,
    ) -> Option<()> {
        let Connection {
            server,
            routes,
            listened,
            traffic,
            update,
        } = state;
        let prefetching = prefetch::is_worthwhile();
        let mut early = None;
        let scanned = json::frame_announced(frame, update, |stream| {
            early = routes.get_key_value(stream);
            if prefetching && let Some((_, route)) = early {
                route.cell.fetch(); // it comes while the payload is read
            }
        });
        let scanned = match scanned {
            Ok(scanned) => scanned,
            Err(why) => {
                self.on_malformed(connection, routes, &why, frame, at_ns, wait)?;
                traffic.count(frame);
                return Some(());
            }
        };
        let route = match (early, scanned.stream.as_deref()) {
            (Some((announced, route)), Some(stream)) if announced == stream => Some(route),
            (_, stream) => stream.and_then(|stream| routes.get(stream)),
        };
        match (route, &scanned.body) {
            (Some(route), Body::Update { symbol }) => {
                let mut market = route.cell.hold(wait)?;
                let mut flight = route.cell.flight();
                if prefetching {
                    market.fetch(update);
                    flight.fetch_room(frame.len());
                }
                match Ids::of(update, market.continuity()) {
                    Some(ids) if market.accepts(symbol) => {
                        market.on_diff(update, ids, frame, connection, at_ns);
                    }
                    Some(_) => market.on_malformed(&of_another(symbol, &scanned), at_ns),
                    None => market.on_malformed(json::unchained(&scanned).what, at_ns),
                }
                flight.push(frame, at_ns);
                drop(flight);
                self.release(route.market, market);
                (traffic.heard_ns, traffic.data_ns) = (Some(at_ns), Some(at_ns));
            }
            (Some(route), Body::Other)
                if self.on_state(connection, server, route, frame, at_ns, wait)? =>
            {
                traffic.heard_ns = Some(at_ns);
            }
            _ => {
                if self.on_other(connection, listened, &scanned, frame, at_ns) {
                    traffic.heard_ns = Some(at_ns);
                }
            }
        }
        traffic.count(frame);
        Some(())
    }

    /// Whether a frame of a market that is not a diff is the state of a server's book.
    #[cold]
    fn on_state(
        &self,
        connection: u64,
        server: &str,
        route: &Route,
        frame: &[u8],
        at_ns: i64,
        wait: bool,
    ) -> Option<bool> {
        let Some(said) = json::book_state(frame) else {
            return Some(false);
        };
        let market = route.cell.hold(wait)?;
        let is_relayed = market.is_relayed();
        if is_relayed {
            self.change(route.market, market, |held| {
                held.on_book_state(connection, server, said, at_ns);
            });
        }
        Some(is_relayed)
    }

    /// A frame that no market takes; whether it is listened to.
    #[cold]
    fn on_other(
        &self,
        connection: u64,
        listened: &FxHashSet<Box<str>>,
        scanned: &Scanned<'_>,
        frame: &[u8],
        at_ns: i64,
    ) -> bool {
        let mut is_heard = false;
        self.outbox
            .push(|events| match (scanned.stream.as_deref(), &scanned.body) {
                (None | Some(SHUTDOWN_STREAM), Body::Other) => {
                    events.control(connection, frame, at_ns)
                }
                (Some(stream), Body::Other) if listened.contains(stream) => {
                    events.stream(connection, stream, frame, at_ns);
                    is_heard = true;
                }
                (stream, _) => {
                    let stream = stream.unwrap_or_default();
                    events.stray(connection, StrayKind::UnknownStream, stream, at_ns);
                }
            });
        is_heard
    }

    #[cold]
    fn on_malformed(
        &self,
        connection: u64,
        routes: &FxHashMap<CompactString, Route>,
        why: &Malformed,
        frame: &[u8],
        at_ns: i64,
        wait: bool,
    ) -> Option<()> {
        match why.stream.as_deref().and_then(|stream| routes.get(stream)) {
            Some(route) => {
                let market = route.cell.hold(wait)?;
                route.cell.flight().push(frame, at_ns);
                self.change(route.market, market, |held| {
                    held.on_malformed(why.what, at_ns)
                });
            }
            None => {
                self.outbox
                    .push(|events| events.malformed(connection, why.what, frame, at_ns));
            }
        }
        Some(())
    }

    // --- events -------------------------------------------------------------------------------

    /// What happened since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        let (mut changed, others) = self.outbox.take();
        changed.sort_unstable();
        let changes = changed.into_iter().filter_map(|market| {
            let cell = self.market(market).ok()?; // removed since
            let change = cell.lock().take_change(market);
            change.map(Event::Market)
        });
        let mut events: Vec<Event> = changes.collect();
        events.extend(others);
        events
    }

    fn change<T>(
        &self,
        market: u64,
        mut held: WriteGuard<'_>,
        change: impl FnOnce(&mut Market) -> T,
    ) -> T {
        let result = change(&mut held);
        self.release(market, held);
        result
    }

    /// Unlock a market; what happened to it goes to its followers and into the list of changed markets.
    #[inline]
    fn release(&self, market: u64, mut held: WriteGuard<'_>) {
        self.shallow_hint.note(&held);
        self.late_hint.note(&held);
        if held.is_followed() {
            self.notify_followers(&mut held);
        }
        held.notify_tap_status();
        if held.mark_pending() {
            drop(held);
            self.outbox.push(|events| events.changed(market));
        }
    }
}

#[cold]
fn of_another(symbol: &str, scanned: &Scanned<'_>) -> String {
    format!(
        "symbol {} on the stream {}",
        foreign_text::shown(symbol),
        foreign_text::shown(scanned.stream.as_deref().unwrap_or_default())
    )
}
