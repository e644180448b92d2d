//! What one frame, or one snapshot, did to a book: values, no behaviour.

/// What one frame did to a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The book moved to the frame's final update id.
    Applied,
    /// At or before the book's id: nothing changed, nothing is wrong.
    Old,
    /// No snapshot yet: the frame is buffered until one is loaded.
    Waiting,
    /// Updates are missing: the book stays as it is until a new snapshot.
    Gap,
    /// Not a diff of this kind of book.
    Ignored,
}

impl Outcome {
    /// Every outcome, in the order of the variants.
    pub const ALL: [Outcome; 5] = [
        Outcome::Applied,
        Outcome::Old,
        Outcome::Waiting,
        Outcome::Gap,
        Outcome::Ignored,
    ];

    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Old => "old",
            Outcome::Waiting => "waiting",
            Outcome::Gap => "gap",
            Outcome::Ignored => "ignored",
        }
    }
}

/// What one snapshot did to a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// Installed and current.
    Synced,
    /// Installed; the next diff decides.
    Bridging,
    /// Older than the first buffered diff: not installed, the diffs stay buffered.
    TooOld,
    /// Installed, but the buffered diffs have a hole: a newer snapshot is needed.
    Gap,
}

impl SnapshotOutcome {
    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            SnapshotOutcome::Synced => "synced",
            SnapshotOutcome::Bridging => "bridging",
            SnapshotOutcome::TooOld => "too_old",
            SnapshotOutcome::Gap => "gap",
        }
    }
}
