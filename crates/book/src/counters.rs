//! Counters of a market; they only grow.

/// Monotonic counts since the book was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Diffs that moved the book to their final update id.
    pub applied: u64,
    /// Diffs at or before the held id, dropped.
    pub old: u64,
    /// Times the id chain was broken.
    pub gaps: u64,
    /// Times the exchange reset its update ids.
    pub resets: u64,
    /// Times the book became crossed or locked.
    pub crossed: u64,
    /// Frames of this market that were malformed.
    pub malformed: u64,
    /// Buffers dropped because they were full.
    pub dropped_buffers: u64,
    /// Snapshots installed.
    pub snapshots: u64,
    /// Snapshots compared with the live book and merged into it.
    pub refreshes: u64,
    /// Prices that were wrong in such a comparison.
    pub corrections: u64,
    /// Levels that really changed: not deletes of unknown prices, not unchanged quantities.
    pub levels_changed: u64,
}

impl Counters {
    /// Set the counter of that name; None where there is none.
    pub fn set(&mut self, name: &str, value: u64) -> Option<()> {
        let counter = match name {
            "applied" => &mut self.applied,
            "old" => &mut self.old,
            "gaps" => &mut self.gaps,
            "resets" => &mut self.resets,
            "crossed" => &mut self.crossed,
            "malformed" => &mut self.malformed,
            "dropped_buffers" => &mut self.dropped_buffers,
            "snapshots" => &mut self.snapshots,
            "refreshes" => &mut self.refreshes,
            "corrections" => &mut self.corrections,
            "levels_changed" => &mut self.levels_changed,
            _ => return None,
        };
        *counter = value;
        Some(())
    }

    /// Name and value of each, in the order of the fields.
    pub fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("applied", self.applied),
            ("old", self.old),
            ("gaps", self.gaps),
            ("resets", self.resets),
            ("crossed", self.crossed),
            ("malformed", self.malformed),
            ("dropped_buffers", self.dropped_buffers),
            ("snapshots", self.snapshots),
            ("refreshes", self.refreshes),
            ("corrections", self.corrections),
            ("levels_changed", self.levels_changed),
        ]
    }
}
