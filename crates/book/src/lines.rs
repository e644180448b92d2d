//! The connections that bring the diffs of one market: one nearly always, two while one replaces the
//! other or where the user wants them for safety.
//!
//! Theory of operation. Whichever brings a diff first, wins; the other's is stale by then. A line whose
//! diffs continue what the book holds is joined. A diff that leaves a hole means that its line is ahead
//! of the others, or that it has lost something: while another line is joined, that one is given time to
//! fill the hole, and the diff is dropped. Only where no other line can help is the hole a gap.
//!
//! Not here: with a single line nothing of this happens (`market`).

/// How long another line may take to fill a hole, as nothing else comes: streams send once a second at
/// the slowest.
const PATIENCE_NS: i64 = 1_500_000_000;

/// One connection of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub connection: u64,
    /// When its last diff of this market was received; None for never.
    pub heard_ns: Option<i64>,
    /// Whether what it brought last continued the book.
    pub joined: bool,
    apart_ns: Option<i64>,
}

/// All connections of a market.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    lines: Vec<Line>,
}

impl Lines {
    /// Whether there is more than one.
    #[inline]
    pub fn are_many(&self) -> bool {
        self.lines.len() > 1
    }

    /// All of them.
    pub fn all(&self) -> &[Line] {
        &self.lines
    }

    /// One more; without effect where it is there. A line that was alone until now is the one that kept
    /// the book: it is joined. `updated_ns`: when the book's last diff was received.
    pub fn add(&mut self, connection: u64, updated_ns: Option<i64>) {
        if let [alone] = &mut self.lines[..]
            && alone.connection != connection
        {
            (alone.joined, alone.apart_ns) = (true, None);
            alone.heard_ns = updated_ns.or(alone.heard_ns);
        }
        if self.lines.iter().all(|line| line.connection != connection) {
            self.lines.push(Line {
                connection,
                heard_ns: None,
                joined: false,
                apart_ns: None,
            });
        }
    }

    /// One less. Some: a line that is left was ahead, and nobody fills the hole before it any more;
    /// when that line was heard last.
    pub fn remove(&mut self, connection: u64) -> Option<i64> {
        self.lines.retain(|line| line.connection != connection);
        if self.lines.iter().any(|line| line.joined) {
            return None;
        }
        let ahead = |line: &Line| line.apart_ns.and(line.heard_ns);
        self.lines.iter().filter_map(ahead).max()
    }

    /// A diff came that is kept: nothing is known of holes before the next snapshot.
    pub fn on_kept(&mut self, connection: u64, at_ns: i64) {
        if let Some(line) = self.line(connection) {
            line.heard_ns = Some(at_ns);
        }
    }

    /// A diff came that continued the book, or was in it already.
    pub fn on_joined(&mut self, connection: u64, at_ns: i64) {
        if let Some(line) = self.line(connection) {
            (line.heard_ns, line.joined, line.apart_ns) = (Some(at_ns), true, None);
        }
    }

    /// A diff came that leaves a hole. True: another line may fill it, this diff can be dropped.
    pub fn on_ahead(&mut self, connection: u64, at_ns: i64, updated_ns: Option<i64>) -> bool {
        let helped = self
            .lines
            .iter()
            .any(|line| line.joined && line.connection != connection);
        let Some(line) = self.line(connection) else {
            return false;
        };
        (line.heard_ns, line.joined) = (Some(at_ns), false);
        let since_ns = *line.apart_ns.get_or_insert(at_ns);
        helped && (at_ns - since_ns < PATIENCE_NS || updated_ns.is_some_and(|at| at > since_ns))
    }

    /// A snapshot was installed: what was heard so far is in the book.
    pub fn on_installed(&mut self) {
        for line in &mut self.lines {
            (line.joined, line.apart_ns) = (line.heard_ns.is_some(), None);
        }
    }

    fn line(&mut self, connection: u64) -> Option<&mut Line> {
        self.lines
            .iter_mut()
            .find(|line| line.connection == connection)
    }
}
