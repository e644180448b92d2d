//! The flight recorder of a market: its newest raw frames and the snapshot they follow, in bounded
//! memory, to explain afterwards how the book came to be what it is.

use std::collections::VecDeque;

use crate::frozen::Frozen;
use crate::prefetch;

/// A snapshot as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedSnapshot {
    /// How many of the frames in the log came before it.
    pub after: usize,
    /// The limit it was requested with.
    pub limit: Option<usize>,
    /// When it was installed.
    pub at_ns: i64,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What a flight recorder holds, and the book at the same moment.
#[derive(Clone, Debug)]
pub struct FlightLog {
    /// The newest frames, each with the time of its receipt.
    pub frames: Vec<(i64, Vec<u8>)>,
    /// The last snapshot, while no frame after it was dropped.
    pub snapshot: Option<RecordedSnapshot>,
    /// The book.
    pub book: Frozen,
}

/// Bytes before each frame: its length, and when it was received.
const HEAD: usize = 16;

/// A ring of frames, each behind its head. Without room (0 bytes) it holds nothing.
///
/// One ring for both, because with hundreds of books it lies in slow memory: a frame costs the lines it is
/// written to, and the head of the oldest is where the newest will be written.
#[derive(Debug, Default)]
pub struct Flight {
    most_bytes: usize,
    ring: VecDeque<u8>,
    frames: usize,
    snapshot: Option<RecordedSnapshot>,
}

impl Flight {
    /// A ring of so many bytes, heads included; the snapshot comes on top.
    pub fn new(most_bytes: usize) -> Flight {
        Flight {
            most_bytes,
            ..Flight::default()
        }
    }

    /// Prefetch the room of a frame of that length (`prefetch`).
    #[inline]
    pub fn fetch_room(&self, len: usize) {
        let (older, newer) = self.ring.as_slices();
        let newest = if newer.is_empty() { older } else { newer };
        prefetch::fetch_room(newest.as_ptr_range().end, HEAD + len);
    }

    /// One more frame; the oldest make room for it.
    #[inline]
    pub fn push(&mut self, frame: &[u8], at_ns: i64) {
        if self.most_bytes == 0 {
            return;
        }
        while self.ring.len() + HEAD + frame.len() > self.most_bytes {
            if self.frames == 0 {
                self.snapshot = None; // larger than the ring: what follows has a hole
                return;
            }
            self.drop_oldest();
        }
        let mut head = [0; HEAD];
        head[..HEAD / 2].copy_from_slice(&(frame.len() as u64).to_le_bytes());
        head[HEAD / 2..].copy_from_slice(&at_ns.to_le_bytes());
        self.ring.extend(&head);
        self.ring.extend(frame);
        self.frames += 1;
    }

    #[inline]
    fn drop_oldest(&mut self) {
        let (len, _) = head(&mut self.ring.iter().copied());
        self.ring.drain(..HEAD + len);
        self.frames -= 1;
        match &mut self.snapshot {
            Some(snapshot) if snapshot.after > 0 => snapshot.after -= 1,
            _ => self.snapshot = None,
        }
    }

    /// A snapshot was installed here.
    pub fn on_snapshot(&mut self, body: &[u8], limit: Option<usize>, at_ns: i64) {
        if self.most_bytes > 0 {
            self.snapshot = Some(RecordedSnapshot {
                after: self.frames,
                limit,
                at_ns,
                body: body.to_vec(),
            });
        }
    }

    /// Everything it holds, with the book that came of it.
    pub fn log(&self, book: Frozen) -> FlightLog {
        let mut bytes = self.ring.iter().copied();
        let frames = (0..self.frames).map(|_| {
            let (len, at_ns) = head(&mut bytes);
            (at_ns, bytes.by_ref().take(len).collect())
        });
        FlightLog {
            frames: frames.collect(),
            snapshot: self.snapshot.clone(),
            book,
        }
    }
}

/// Length and time of the frame that follows.
fn head(bytes: &mut impl Iterator<Item = u8>) -> (usize, i64) {
    let mut number = || {
        let mut number = [0; HEAD / 2];
        number.fill_with(|| bytes.next().unwrap_or_default());
        number
    };
    let len = u64::from_le_bytes(number()) as usize;
    (len, i64::from_le_bytes(number()))
}
