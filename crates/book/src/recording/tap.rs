//! A tap on everything that a router is fed: lines of JSON for a recording, in the order of events.
//!
//! Frames are kept as they came. Bounded: a recorder that takes the lines too slowly loses frames, which are
//! counted, and never slows the books down. Not here: files.

use std::fmt::Write as _;

use memchr::memchr;

use crate::codec::json;

/// Lines waiting to be written.
#[derive(Debug)]
pub struct Tap {
    most_bytes: usize,
    offset_ns: i64,
    lines: Vec<u8>,
    lost: u64,
}

impl Tap {
    /// `offset_ns`: from the clock of the frames to nanoseconds since 1970.
    pub fn new(most_bytes: usize, offset_ns: i64) -> Tap {
        Tap {
            most_bytes,
            offset_ns,
            lines: Vec::new(),
            lost: 0,
        }
    }

    /// One frame.
    pub fn frame(&mut self, connection: u64, frame: &[u8], at_ns: i64) {
        if self.lost > 0 || self.lines.len() + frame.len() > self.most_bytes {
            self.lost += 1; // until they are taken: what is lost is one piece
            return;
        }
        let mut head = String::with_capacity(64);
        let time_ns = at_ns.saturating_add(self.offset_ns);
        let _ = write!(head, "{{\"time\":{time_ns},\"connection\":{connection},");
        self.lines.extend_from_slice(head.as_bytes());
        if is_plain(frame) {
            self.lines.extend_from_slice(b"\"frame\":");
            self.lines.extend_from_slice(frame);
        } else {
            let mut digits = String::with_capacity(2 * frame.len() + 2);
            frame.iter().for_each(|byte| {
                let _ = write!(digits, "{byte:02x}");
            });
            self.lines.extend_from_slice(b"\"hex\":\"");
            self.lines.extend_from_slice(digits.as_bytes());
            self.lines.push(b'"');
        }
        self.lines.extend_from_slice(b"}\n");
    }

    /// One line of the recorder's, without its end. There are few of them, so they may use as much again
    /// as the frames; snapshots must not pile up either while no lines are taken.
    pub fn line(&mut self, line: &[u8]) {
        if self.lines.len() + line.len() > self.most_bytes.saturating_mul(2) {
            self.lost += 1;
            return;
        }
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
    }

    /// All lines since the last call, and how many frames were lost after them.
    pub fn take(&mut self) -> (Vec<u8>, u64) {
        (
            std::mem::take(&mut self.lines),
            std::mem::take(&mut self.lost),
        )
    }
}

/// Whether a frame can be written in a line as it is: a JSON object on one line. Anything else could end its line
/// early, or say something of its own beside the frame.
fn is_plain(frame: &[u8]) -> bool {
    memchr(b'\n', frame).is_none() && json::is_one_object(frame)
}
