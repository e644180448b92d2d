//! The diffs that are buffered while a snapshot is on its way: raw frames in one piece of memory.
//!
//! Not here: when to keep one, and what happens when the buffer is full (`market`).

use crate::market::sequence::{Ids, looks_reset};

/// One buffered diff: its ids, and where its frame is.
#[derive(Clone, Copy, Debug)]
pub struct BufferedDiff {
    /// Its ids.
    pub ids: Ids,
    /// Its event time, 0 where it has none.
    pub event_time_us: i64,
    /// When its frame was received.
    pub received_ns: i64,
    start: usize,
    stop: usize,
}

/// Raw frames in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    frames: Vec<u8>,
    diffs: Vec<BufferedDiff>,
    newest: Option<(i64, i64)>,
}

impl Buffer {
    /// Keep one more.
    pub fn push(&mut self, ids: Ids, event_time_us: i64, frame: &[u8], received_ns: i64) {
        if event_time_us != 0 && self.newest.is_none_or(|(last, _)| ids.last > last) {
            self.newest = Some((ids.last, event_time_us));
        }
        let start = self.frames.len();
        self.frames.extend_from_slice(frame);
        self.diffs.push(BufferedDiff {
            ids,
            event_time_us,
            received_ns,
            start,
            stop: self.frames.len(),
        });
    }

    /// The greatest last id among those that have an event time.
    pub fn newest_id(&self) -> Option<i64> {
        self.newest.map(|(last, _)| last)
    }

    /// Whether the ids were reset since the newest diff was buffered: no snapshot will ever lead to it.
    pub fn precedes_reset(&self, ids: Ids, event_time_us: i64) -> bool {
        self.newest.is_some_and(|(last, kept_us)| {
            ids.last < last && looks_reset(event_time_us, Some(kept_us))
        })
    }

    /// Keep only the diffs for which `stay` is true, and find the newest among them; whether any was dropped.
    pub fn retain(&mut self, stay: impl Fn(&BufferedDiff) -> bool) -> bool {
        if self.diffs.iter().all(&stay) {
            return false;
        }
        let before = std::mem::take(self);
        for (diff, frame) in before.iter().filter(|(diff, _)| stay(diff)) {
            self.push(diff.ids, diff.event_time_us, frame, diff.received_ns);
        }
        true
    }

    /// Put them in the order of their last ids: where several connections bring the same diffs.
    pub fn sort(&mut self) {
        self.diffs.sort_by_key(|diff| diff.ids.last);
    }

    /// Whether one more frame of that size would be too much. A single frame never is.
    pub fn is_full(&self, frame_bytes: usize, most_bytes: usize) -> bool {
        !self.diffs.is_empty() && self.frames.len() + frame_bytes > most_bytes
    }

    /// All that are kept, with their frames.
    pub fn iter(&self) -> impl Iterator<Item = (&BufferedDiff, &[u8])> {
        self.diffs
            .iter()
            .map(|diff| (diff, &self.frames[diff.start..diff.stop]))
    }

    /// Bytes of memory held, without the allocator's own.
    pub fn memory_bytes(&self) -> usize {
        self.frames.capacity() + self.diffs.capacity() * size_of::<BufferedDiff>()
    }

    /// Forget them and give their memory back.
    pub fn clear(&mut self) {
        *self = Buffer::default();
    }
}
