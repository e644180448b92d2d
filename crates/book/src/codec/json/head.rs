//! Reading a message by the head that is remembered of the one before it (`message::head`).
//!
//! Not here: the levels behind the head (`levels`), and messages that differ in it (`fast_path`).

use std::borrow::Cow;

use super::number::{ASCII_ZEROS, POWERS, value_of};
use super::reader::Reader;
use super::{Body, Scanned, is_diff_stream, levels, microseconds};
use crate::ascii;
use crate::message::DepthUpdate;
use crate::message::head::{BLOCK, Head, HeadNumber, MOST};
use crate::vectors::{Avx2, Work};

/// After so many messages with another head that of the last one is learned.
const PATIENCE: u8 = 8;

/// The most digits of a number that is read by a head.
const MOST_DIGITS: usize = 16;

/// A diff whose head differs from the remembered one in digits alone; None for any other, or one with a fault:
/// nothing is concluded from that.
#[inline]
pub fn remembered<'a>(
    bytes: &'a [u8],
    into: &mut DepthUpdate,
    announce: impl FnOnce(&'a str),
) -> Option<Scanned<'a>> {
    let work = Remembered {
        bytes,
        into,
        announce,
    };
    match Avx2::get() {
        Some(vectors) => vectors.perform(work),
        None => work.read(None),
    }
}

struct Remembered<'a, 'b, F> {
    bytes: &'a [u8],
    into: &'b mut DepthUpdate,
    announce: F,
}

impl<'a, F: FnOnce(&'a str)> Work for Remembered<'a, '_, F> {
    type Output = Option<Scanned<'a>>;

    #[inline(always)]
    fn run(self, vectors: Avx2) -> Option<Scanned<'a>> {
        self.read(Some(vectors))
    }
}

impl<'a, F: FnOnce(&'a str)> Remembered<'a, '_, F> {
    #[inline(always)]
    fn read(self, vectors: Option<Avx2>) -> Option<Scanned<'a>> {
        let Remembered {
            bytes,
            into,
            announce,
        } = self;
        let head = &into.head;
        if !head.is_that_of(vectors, bytes) {
            return None;
        }
        let name = |(start, end): (usize, usize)| ascii::text(bytes.get(start..end)?);
        let stream = match head.stream {
            Some(at) => Some(name(at)?),
            None => None,
        };
        if let Some(stream) = stream {
            announce(stream);
        }
        let symbol = name(head.symbol)?;
        let [event_time, transaction_time, first, last, previous] = head.numbers;
        let number = |number: Option<HeadNumber>| match number {
            Some(number) => number.read(bytes).map(Some),
            None => Some(None),
        };
        let event_time = number(event_time)?.and_then(microseconds);
        let transaction_time = number(transaction_time)?.and_then(microseconds);
        let (first, last) = (first?.read(bytes)?, last?.read(bytes)?);
        let previous = number(previous)?;
        if first > last {
            return None;
        }
        let depth = 1 + usize::from(stream.is_some());
        let mut at = head.len;
        for is_asks in [false, true] {
            let side = if is_asks {
                &mut into.asks
            } else {
                &mut into.bids
            };
            at = levels::side_at(vectors, bytes, at, depth, side)?;
            let rest = &bytes[at..];
            if !is_asks {
                rest.starts_with(b",\"a\":").then_some(())?;
                at += 5;
            } else if rest != if depth == 1 { &b"}"[..] } else { &b"}}"[..] } {
                return None;
            }
        }
        into.event_time_us = event_time.unwrap_or(0);
        into.transaction_time_us = transaction_time;
        into.first_update_id = first;
        into.final_update_id = last;
        into.previous_final_update_id = previous;
        let body = Body::Update {
            symbol: Cow::Borrowed(symbol),
        };
        Some(Scanned {
            stream: stream.map(Cow::Borrowed),
            body,
        })
    }
}

impl Head {
    /// Whether a message begins with it, but for the digits of its numbers.
    #[inline(always)]
    fn is_that_of(&self, vectors: Option<Avx2>, bytes: &[u8]) -> bool {
        let length = self.len.next_multiple_of(BLOCK);
        let (Some(bytes), false) = (bytes.get(..length), length == 0) else {
            return false;
        };
        let (bytes, _) = bytes.as_chunks::<BLOCK>();
        let (text, _) = self.text.as_chunks::<BLOCK>();
        let (most, _) = self.most.as_chunks::<BLOCK>();
        if let Some(vectors) = vectors {
            return vectors.are_near(bytes, text, most);
        }
        let mut beyond = [0; BLOCK];
        for ((bytes, text), most) in bytes.iter().zip(text).zip(most) {
            for at in 0..BLOCK {
                beyond[at] |= (bytes[at] ^ text[at]).saturating_sub(most[at]);
            }
        }
        beyond == [0; BLOCK]
    }

    /// A message was read whose head is another one: learn it now and then. Where streams take turns, no head is of
    /// use for long.
    #[inline]
    pub fn on_other(&mut self, bytes: &[u8]) {
        self.misses += 1;
        if self.len == 0 || self.misses >= PATIENCE {
            *self = learned(bytes).unwrap_or_default();
        }
    }
}

impl HeadNumber {
    /// A number of at most 16 digits between two places of a text.
    fn between(start: usize, end: usize) -> Option<HeadNumber> {
        let digits = end - start;
        if digits > MOST_DIGITS || end < MOST_DIGITS {
            return None;
        }
        let last_bytes = |count: usize| match count {
            0 => 0,
            count => !0 << (64 - 8 * count),
        };
        Some(HeadNumber {
            end,
            high: last_bytes(digits.saturating_sub(8)),
            low: last_bytes(digits.min(8)),
            least: if digits > 1 {
                POWERS[digits - 1] as i64
            } else {
                0
            },
        })
    }

    /// The number of a text that has digits there.
    #[inline(always)]
    fn read(self, bytes: &[u8]) -> Option<i64> {
        let digits: &[u8; 16] = bytes.get(self.end - 16..self.end)?.try_into().ok()?;
        let digits = u128::from_le_bytes(*digits);
        let (high, low) = ((digits >> 64) as u64, digits as u64);
        let value = |word: u64, mask: u64| value_of((word ^ ASCII_ZEROS) & mask);
        let number = (value(low, self.high) * POWERS[8] + value(high, self.low)) as i64;
        (number >= self.least).then_some(number)
    }
}

/// The head of a message that was read on the short way; None where it is none to remember.
#[cold]
#[inline(never)]
fn learned(bytes: &[u8]) -> Option<Head> {
    let mut head = Head::default();
    let mut reader = Reader { bytes, at: 0 };
    let named = |reader: &mut Reader<'_>, key: &[u8]| {
        let name = reader.string_after(key)?;
        Some((reader.at - 1 - name.len(), reader.at - 1))
    };
    head.stream = named(&mut reader, b"{\"stream\":\"");
    if let Some((start, end)) = head.stream {
        let name = ascii::text(&bytes[start..end])?;
        if !is_diff_stream(name) || !reader.step_over(b",\"data\":") {
            return None;
        }
    }
    if !reader.step_over(b"{\"e\":\"depthUpdate\"") {
        return None;
    }
    let mut digits = Vec::new();
    let mut number = |reader: &mut Reader<'_>, key: &[u8]| {
        let start = reader.at + key.len();
        reader.integer_after(key)?;
        digits.push((start, reader.at));
        Some((start, reader.at))
    };
    let event_time = number(&mut reader, b",\"E\":");
    let transaction_time = number(&mut reader, b",\"T\":");
    head.symbol = named(&mut reader, b",\"s\":\"").filter(|(start, end)| start < end)?;
    reader.string_after(b",\"ps\":\"");
    let first = number(&mut reader, b",\"U\":");
    let last = number(&mut reader, b",\"u\":");
    let previous = number(&mut reader, b",\"pu\":");
    if !reader.step_over(b",\"b\":") || reader.at > MOST {
        return None;
    }
    let numbers = [event_time, transaction_time, first, last, previous];
    for (number, place) in head.numbers.iter_mut().zip(numbers) {
        if let Some((start, end)) = place {
            *number = Some(HeadNumber::between(start, end)?);
        }
    }
    head.len = reader.at;
    head.text[..head.len].copy_from_slice(&bytes[..head.len]);
    head.most[head.len..].fill(u8::MAX);
    for (start, end) in digits {
        head.text[start..end].fill(b'0');
        head.most[start..end].fill(9);
    }
    Some(head)
}
