//! Arbitration of the redundant feeds of one market: one connection nearly always, two while one replaces the
//! other or where the user wants them for safety.
//!
//! Theory of operation. The first copy of a diff wins; the other feed's copy is old by then. A feed
//! whose diffs continue what the book holds is joined. A diff that leaves a hole means that its feed is ahead
//! of the others, or that it has lost something: while another feed is joined, that one is given time to
//! fill the hole, and the diff is dropped. Only where no other feed can help is the hole a gap.
//!
//! A single feed needs no arbitration: `market` skips it.

/// How long another feed may take to fill a hole, as nothing else comes: streams send once a second at
/// the slowest.
pub const PATIENCE_NS: i64 = 1_500_000_000;

/// One feed of a market: a connection that brings its diffs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its number.
    pub connection: u64,
    /// When its last diff of this market was received; None for never.
    pub heard_ns: Option<i64>,
    /// Whether what it brought last continued the book.
    pub joined: bool,
    ahead_ns: Option<i64>,
}

/// The feeds of a market.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    feeds: Vec<Feed>,
}

impl Feeds {
    /// Whether there is more than one.
    #[inline]
    pub fn are_many(&self) -> bool {
        self.feeds.len() > 1
    }

    /// All of them.
    pub fn all(&self) -> &[Feed] {
        &self.feeds
    }

    /// One more; without effect where it is there. A feed that was alone until now is the one that kept
    /// the book: it is joined. `updated_ns`: when the book's last diff was received.
    pub fn add(&mut self, connection: u64, updated_ns: Option<i64>) {
        if let [alone] = &mut self.feeds[..]
            && alone.connection != connection
        {
            (alone.joined, alone.ahead_ns) = (true, None);
            alone.heard_ns = updated_ns.or(alone.heard_ns);
        }
        if self.feeds.iter().all(|feed| feed.connection != connection) {
            self.feeds.push(Feed {
                connection,
                heard_ns: None,
                joined: false,
                ahead_ns: None,
            });
        }
    }

    /// One less. Some: a feed that is left was ahead, and nothing fills the hole before it any more;
    /// when that feed was heard last.
    pub fn remove(&mut self, connection: u64) -> Option<i64> {
        self.feeds.retain(|feed| feed.connection != connection);
        if self.feeds.iter().any(|feed| feed.joined) {
            return None;
        }
        let ahead = |feed: &Feed| feed.ahead_ns.and(feed.heard_ns);
        self.feeds.iter().filter_map(ahead).max()
    }

    /// A diff came that is buffered: nothing is known of holes before the next snapshot.
    pub fn on_buffered(&mut self, connection: u64, at_ns: i64) {
        if let Some(feed) = self.feed(connection) {
            feed.heard_ns = Some(at_ns);
        }
    }

    /// A diff came that continued the book, or was in it already.
    pub fn on_joined(&mut self, connection: u64, at_ns: i64) {
        if let Some(feed) = self.feed(connection) {
            (feed.heard_ns, feed.joined, feed.ahead_ns) = (Some(at_ns), true, None);
        }
    }

    /// A diff came that leaves a hole. True: another feed may fill it, this diff can be dropped.
    pub fn on_ahead(&mut self, connection: u64, at_ns: i64, updated_ns: Option<i64>) -> bool {
        let helped = self
            .feeds
            .iter()
            .any(|feed| feed.joined && feed.connection != connection);
        let Some(feed) = self.feed(connection) else {
            return false;
        };
        (feed.heard_ns, feed.joined) = (Some(at_ns), false);
        let since_ns = *feed.ahead_ns.get_or_insert(at_ns);
        helped && (at_ns - since_ns < PATIENCE_NS || updated_ns.is_some_and(|at| at > since_ns))
    }

    /// A snapshot was installed: what was heard so far is in the book.
    pub fn on_installed(&mut self) {
        for feed in &mut self.feeds {
            (feed.joined, feed.ahead_ns) = (feed.heard_ns.is_some(), None);
        }
    }

    fn feed(&mut self, connection: u64) -> Option<&mut Feed> {
        self.feeds
            .iter_mut()
            .find(|feed| feed.connection == connection)
    }
}
