//! The flight recorder of a market: its newest raw frames and the snapshot they follow, in bounded
//! memory, for the moment in which somebody asks how the book came to be what it is.

use std::collections::VecDeque;

use crate::frozen::Frozen;

/// A snapshot as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenSnapshot {
    /// How many of the frames in the log came before it.
    pub after: usize,
    /// The limit it was asked with.
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
    /// The last snapshot, while no frame after it was let go.
    pub snapshot: Option<TakenSnapshot>,
    /// The book.
    pub book: Frozen,
}

/// A ring of frames. Without room (0 bytes) it holds nothing.
#[derive(Debug, Default)]
pub struct Flight {
    most_bytes: usize,
    bytes: VecDeque<u8>,
    frames: VecDeque<(i64, usize)>,
    snapshot: Option<TakenSnapshot>,
}

impl Flight {
    /// A ring of so many bytes of frames; the snapshot comes on top.
    pub fn new(most_bytes: usize) -> Flight {
        Flight {
            most_bytes,
            ..Flight::default()
        }
    }

    /// One more frame; the oldest make room for it.
    #[inline]
    pub fn push(&mut self, frame: &[u8], at_ns: i64) {
        if self.most_bytes == 0 {
            return;
        }
        while self.bytes.len() + frame.len() > self.most_bytes {
            let Some((_, len)) = self.frames.pop_front() else {
                self.snapshot = None; // larger than the ring: what follows has a hole
                return;
            };
            self.bytes.drain(..len);
            match &mut self.snapshot {
                Some(snapshot) if snapshot.after > 0 => snapshot.after -= 1,
                _ => self.snapshot = None,
            }
        }
        self.bytes.extend(frame);
        self.frames.push_back((at_ns, frame.len()));
    }

    /// A snapshot was installed here.
    pub fn on_snapshot(&mut self, body: &[u8], limit: Option<usize>, at_ns: i64) {
        if self.most_bytes > 0 {
            self.snapshot = Some(TakenSnapshot {
                after: self.frames.len(),
                limit,
                at_ns,
                body: body.to_vec(),
            });
        }
    }

    /// Everything it holds, with the book that came of it.
    pub fn log(&self, book: Frozen) -> FlightLog {
        let mut bytes = self.bytes.iter().copied();
        let frames = self.frames.iter();
        let frames = frames.map(|(at_ns, len)| (*at_ns, bytes.by_ref().take(*len).collect()));
        FlightLog {
            frames: frames.collect(),
            snapshot: self.snapshot.clone(),
            book,
        }
    }
}
