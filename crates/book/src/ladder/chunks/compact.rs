//! Chunks that are thin together give one back, a few at a time.
//!
//! Deleting merges neighbours only where two fit into one, so the chunks of a book that lives for
//! hours are two thirds full. A few neighbours are looked at after every so many messages, the next
//! ones each time, and put into one chunk fewer where they fit: no message pays for more than these.

use super::Chunks;
use crate::mantissa::Mantissa;

/// Messages from one look to the next.
const EVERY: u32 = 16;

/// Chunks that are looked at together.
const TOGETHER: usize = 5;

/// When chunks are compacted next, and which.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompactionSchedule {
    messages: u32,
    /// The first chunk of the next look.
    chunk: usize,
}

impl CompactionSchedule {
    #[inline(always)]
    pub fn is_due(&mut self) -> bool {
        self.messages = self.messages.wrapping_add(1);
        self.messages.is_multiple_of(EVERY)
    }
}

impl<N: Mantissa, const CAP: usize> Chunks<N, CAP> {
    /// How full a chunk is made; there must be room for prices to come.
    const PACKED: usize = CAP / 16 * 13;

    /// Look at the next chunks.
    #[cold]
    #[inline(never)]
    pub fn compact_next(&mut self) {
        let start = self.compaction.chunk;
        let stop = (start + TOGETHER).min(self.chunks.len());
        let some = &self.chunks[start.min(stop)..stop];
        let live: usize = some.iter().map(|chunk| chunk.live).sum();
        let needed = live.div_ceil(Self::PACKED).max(1);
        if needed < some.len() {
            self.pack(start, stop, live, needed);
        }
        self.compaction.chunk = if stop < self.chunks.len() {
            start + 1
        } else {
            0
        };
    }

    /// Put the pairs of some chunks evenly into this many.
    fn pack(&mut self, start: usize, stop: usize, live: usize, needed: usize) {
        let some = self.chunks[start..stop].iter();
        let pairs = some.flat_map(|chunk| chunk.pairs());
        let (mut floors, chunks) = Self::filled(pairs, live.div_ceil(needed));
        floors[0] = self.floors[start];
        self.floors.splice(start..stop, floors);
        self.chunks.splice(start..stop, chunks);
        self.note_floors();
    }
}
