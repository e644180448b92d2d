//! One pass over the bytes of a frame or a snapshot: what it is, and its numbers.
//!
//! A frame is one JSON object, valid to the last byte. It is wrapped when it has both a `stream`
//! (a string) and `data` (an object) at its top, in any order. Its payload is a diff when its `e`
//! is `depthUpdate` and the stream, where there is one, is a diff stream: partial depth and
//! `rpiDepth` bear the same `e` on futures. Unknown keys are stepped over anywhere. Everything
//! that is valid JSON and not a diff is `Other`, with keys of any type.
//!
//! Not here: what is done with the numbers (`market`), or where a frame belongs (`router`).

mod book_state;
mod fast_path;
mod head;
mod levels;
mod number;
mod reader;
mod shape;

use std::borrow::Cow;

use memchr::memchr;

use crate::message::{DepthSnapshot, DepthUpdate};
use reader::{Fault, Reader};

pub use book_state::{BookState, book_state};
pub use number::{Decimal, general as decimal, is_too_large};

/// Frames and snapshots above this many bytes are refused.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;

/// From this value on a time is in microseconds, below it in milliseconds.
const FIRST_MICROSECONDS: i64 = 100_000_000_000_000;

/// From this value on (the year 5138) a time is none.
const LAST_MICROSECONDS: i64 = 100_000_000_000_000_000;

/// Bytes that are not what the protocol says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, in words.
    pub what: &'static str,
    /// The byte at which it was noticed.
    pub position: usize,
    /// The stream name, when the frame is wrapped and it could still be read.
    pub stream: Option<String>,
}

impl From<Fault> for Malformed {
    fn from((what, position): Fault) -> Self {
        Self {
            what,
            position,
            stream: None,
        }
    }
}

/// What a valid frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A diff depth event, now in the `DepthUpdate`.
    Update {
        /// `s`
        symbol: Cow<'a, str>,
    },
    /// Anything else.
    Other,
}

/// A valid frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// The stream name of a wrapped frame.
    pub stream: Option<Cow<'a, str>>,
    /// What it carries.
    pub body: Body<'a>,
}

/// A diff of a venue whose ids are chained does not say what it follows.
pub fn unchained(frame: &Scanned<'_>) -> Malformed {
    Malformed {
        what: "pu is missing, which links the update ids of this venue",
        position: 0,
        stream: frame.stream.as_ref().map(ToString::to_string),
    }
}

/// A diff names a symbol that can be none, and nothing else names the book.
pub fn unnameable(frame: &Scanned<'_>) -> Malformed {
    Malformed {
        what: "the symbol s is invalid",
        ..unchained(frame)
    }
}

/// A snapshot has an id that no exchange has.
pub fn implausible_id() -> Malformed {
    ("lastUpdateId is implausibly large", 0).into()
}

/// Whether a stream name is that of a diff depth stream: `<symbol>@depth` or `<symbol>@depth@…`.
pub fn is_diff_stream(stream: &str) -> bool {
    let stream = stream.as_bytes();
    let Some(at) = stream.iter().position(|byte| *byte == b'@') else {
        return false;
    };
    let kind = &stream[at + 1..];
    kind == b"depth" || kind.starts_with(b"depth@")
}

/// Read one frame. On an error `into` holds rubbish.
pub fn frame<'a>(bytes: &'a [u8], into: &mut DepthUpdate) -> Result<Scanned<'a>, Malformed> {
    frame_announced(bytes, into, |_| ())
}

/// The same; `announce` gets the stream's name before the payload is read, where the frame is written as
/// the exchange writes it: a hint, of which nothing may follow but what is done early.
#[inline]
pub fn frame_announced<'a>(
    bytes: &'a [u8],
    into: &mut DepthUpdate,
    announce: impl FnOnce(&'a str),
) -> Result<Scanned<'a>, Malformed> {
    if bytes.len() <= MOST_BYTES {
        // Every byte is looked at on the way: the text need not be known to be UTF-8.
        let mut announce = Some(announce);
        let announce_once = |stream| announce.take().map_or((), |announce| announce(stream));
        if let Some(scanned) = head::remembered(bytes, into, announce_once) {
            return Ok(scanned);
        }
        if let Some(scanned) = usual(bytes, into, announce) {
            return Ok(scanned);
        }
    }
    check_text(bytes)?;
    any_frame(bytes, into)
}

/// A frame in the shape of the wire, read key by key.
#[inline(never)]
fn usual<'a>(
    bytes: &'a [u8],
    into: &mut DepthUpdate,
    announce: Option<impl FnOnce(&'a str)>,
) -> Option<Scanned<'a>> {
    let announce = |stream| announce.map_or((), |announce| announce(stream));
    let scanned =
        fast_path::wrapped(bytes, into, announce).or_else(|| fast_path::bare(bytes, into))?;
    if matches!(scanned.body, Body::Update { .. }) {
        into.head.on_other(bytes);
    }
    Some(scanned)
}

/// A frame of any shape: first what its top says, then its payload.
#[cold]
fn any_frame<'a>(bytes: &'a [u8], into: &mut DepthUpdate) -> Result<Scanned<'a>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    let mut stream = None;
    let mut data = None;
    reader.space();
    let start = reader.at;
    let top = look_at_top(&mut reader, &mut stream, &mut data);
    let named = |(what, position): Fault, stream: &Option<Cow<'a, str>>| Malformed {
        what,
        position,
        stream: stream.as_ref().map(ToString::to_string),
    };
    top.map_err(|fault| named(fault, &stream))?;
    reader.space();
    if reader.at != bytes.len() {
        return Err(named(("there is data after the frame", reader.at), &stream));
    }
    match (stream, data) {
        (Some(stream), Some(at)) => {
            reader.at = at;
            match payload(&mut reader, is_diff_stream(&stream), 2, into) {
                Ok(body) => Ok(Scanned {
                    stream: Some(stream),
                    body,
                }),
                Err(fault) => Err(named(fault, &Some(stream))),
            }
        }
        _ => {
            reader.at = start;
            Ok(Scanned {
                stream: None,
                body: payload(&mut reader, true, 1, into)?,
            })
        }
    }
}

/// Step over the top object, noting a `stream` string and where a `data` object begins.
fn look_at_top<'a>(
    reader: &mut Reader<'a>,
    stream: &mut Option<Cow<'a, str>>,
    data: &mut Option<usize>,
) -> Result<(), Fault> {
    let mut another = reader.open(b'{', b'}', "a frame must be a JSON object")?;
    while another {
        let key = reader.key()?;
        match (&*key, reader.peek()) {
            ("stream", Some(b'"')) => *stream = Some(reader.string()?),
            ("stream", _) => {
                *stream = None;
                reader.skip(2)?;
            }
            ("data", next) => {
                *data = (next == Some(b'{')).then_some(reader.at);
                reader.skip(2)?;
            }
            _ => reader.skip(2)?,
        }
        another = reader.more(b'}')?;
    }
    Ok(())
}

/// What is known of a payload while its keys go by.
#[derive(Default)]
struct SeenKeys<'a> {
    is_depth_update: bool,
    symbol: Option<Cow<'a, str>>,
    first: Option<i64>,
    last: Option<i64>,
    previous: Option<i64>,
    event_time: Option<i64>,
    transaction_time: Option<i64>,
    bids: bool,
    asks: bool,
    keys: u16,
    /// The first thing that a diff may not have; counts only if the payload is one.
    fault: Option<Fault>,
}

/// One object that may be a diff; the reader is at its opening brace.
fn payload<'a>(
    reader: &mut Reader<'a>,
    may_be_diff: bool,
    depth: usize,
    into: &mut DepthUpdate,
) -> Result<Body<'a>, Fault> {
    let start = reader.at;
    if !may_be_diff {
        reader.skip(depth)?;
        return Ok(Body::Other);
    }
    let mut seen = SeenKeys::default();
    fast_path::first_keys(reader, depth, &mut seen, into);
    let mut another = if seen.is_depth_update {
        reader.more(b'}')?
    } else {
        reader.open(b'{', b'}', "a frame must be a JSON object")?
    };
    while another {
        let position = reader.at;
        let bit = diff_key(reader)?;
        let value = reader.at;
        if let Err(fault) = known_key(bit, position, reader, depth, &mut seen, into) {
            seen.fault.get_or_insert(fault);
            reader.at = value;
            reader.skip(depth + 1)?;
        } else if reader.at == value {
            reader.skip(depth + 1)?;
        }
        another = reader.more(b'}')?;
    }
    if !seen.is_depth_update {
        return Ok(Body::Other);
    }
    if let Some(fault) = seen.fault {
        return Err(fault);
    }
    finish(seen, start, into)
}

const KEY_EVENT: u16 = 1;
const KEY_EVENT_TIME: u16 = 2;
const KEY_TRANSACTION_TIME: u16 = 4;
const KEY_SYMBOL: u16 = 8;
const KEY_FIRST: u16 = 16;
const KEY_LAST: u16 = 32;
const KEY_PREVIOUS: u16 = 64;
const KEY_BIDS: u16 = 128;
const KEY_ASKS: u16 = 256;

/// Step over a key; gives the bit of a key that a diff has, 0 for any other.
#[inline]
fn diff_key(reader: &mut Reader<'_>) -> Result<u16, Fault> {
    if let Some([b'"', letter, b'"', b':']) = reader.bytes.get(reader.at..reader.at + 4) {
        let bit = bit_of(&[*letter]);
        if bit != 0 {
            reader.at += 4;
            reader.space();
            return Ok(bit);
        }
    }
    Ok(bit_of(reader.key()?.as_bytes()))
}

#[inline]
fn bit_of(key: &[u8]) -> u16 {
    match key {
        b"e" => KEY_EVENT,
        b"E" => KEY_EVENT_TIME,
        b"T" => KEY_TRANSACTION_TIME,
        b"s" => KEY_SYMBOL,
        b"U" => KEY_FIRST,
        b"u" => KEY_LAST,
        b"pu" => KEY_PREVIOUS,
        b"b" => KEY_BIDS,
        b"a" => KEY_ASKS,
        _ => 0,
    }
}

/// Read the value of a key that a diff has; nothing is read of any other key.
#[inline]
fn known_key<'a>(
    bit: u16,
    position: usize,
    reader: &mut Reader<'a>,
    depth: usize,
    seen: &mut SeenKeys<'a>,
    into: &mut DepthUpdate,
) -> Result<(), Fault> {
    if bit == 0 {
        return Ok(());
    }
    if seen.keys & bit != 0 {
        seen.fault
            .get_or_insert(("a key of the update appears twice", position));
    }
    seen.keys |= bit;
    match bit {
        KEY_EVENT => {
            seen.is_depth_update = false;
            if reader.peek() == Some(b'"') {
                seen.is_depth_update = reader.string()? == "depthUpdate";
            }
        }
        // No rule needs them of every diff: what is none is stepped over, and counts as missing.
        KEY_EVENT_TIME => seen.event_time = usable(reader).and_then(microseconds),
        KEY_TRANSACTION_TIME => seen.transaction_time = usable(reader).and_then(microseconds),
        KEY_SYMBOL => {
            if reader.peek() != Some(b'"') {
                return Err(("the symbol s must be a string", reader.at));
            }
            seen.symbol = Some(reader.string()?);
        }
        KEY_FIRST => seen.first = Some(reader.integer()?),
        KEY_LAST => seen.last = Some(reader.integer()?),
        KEY_PREVIOUS => seen.previous = usable(reader),
        KEY_BIDS => {
            levels::side(reader, depth, &mut into.bids)?;
            seen.bids = true;
        }
        _ => {
            levels::side(reader, depth, &mut into.asks)?;
            seen.asks = true;
        }
    }
    Ok(())
}

/// Everything a diff must have, checked and handed over.
#[inline]
fn finish<'a>(seen: SeenKeys<'a>, start: usize, into: &mut DepthUpdate) -> Result<Body<'a>, Fault> {
    let symbol = seen.symbol.ok_or(("the symbol s is missing", start))?;
    if symbol.is_empty() {
        return Err(("the symbol s is empty", start));
    }
    into.first_update_id = seen
        .first
        .ok_or(("the first update id U is missing", start))?;
    into.final_update_id = seen
        .last
        .ok_or(("the final update id u is missing", start))?;
    if into.first_update_id > into.final_update_id {
        return Err((
            "the first update id U is above the final update id u",
            start,
        ));
    }
    if !seen.bids {
        return Err(("the bids b are missing", start));
    }
    if !seen.asks {
        return Err(("the asks a are missing", start));
    }
    into.previous_final_update_id = seen.previous;
    into.event_time_us = seen.event_time.unwrap_or(0);
    into.transaction_time_us = seen.transaction_time;
    Ok(Body::Update { symbol })
}

/// Read one snapshot. On an error `into` holds rubbish.
pub fn snapshot(body: &[u8], into: &mut DepthSnapshot) -> Result<(), Malformed> {
    check_text(body)?;
    let mut reader = Reader { bytes: body, at: 0 };
    reader.space();
    let (mut id, mut bids, mut asks) = (None, false, false);
    (into.event_time_us, into.transaction_time_us) = (None, None);
    (into.symbol, into.pair) = (None, None);
    const NEEDED: u8 = 15;
    let mut seen = 0u8;
    let mut another = reader.open(b'{', b'}', "a snapshot must be a JSON object")?;
    while another {
        let position = reader.at;
        let key = reader.key()?;
        let bit = match &*key {
            "lastUpdateId" => 1,
            "bids" => 2,
            "asks" => 4,
            "E" => 8,
            "T" => 16,
            "symbol" => 32,
            "pair" => 64,
            _ => 0,
        };
        if seen & bit & NEEDED != 0 {
            return Err(("a key of the snapshot appears twice", position).into());
        }
        seen |= bit;
        let value = reader.at;
        match bit {
            1 => id = Some(reader.integer()?),
            2 => {
                levels::side(&mut reader, 1, &mut into.bids)?;
                bids = true;
            }
            4 => {
                levels::side(&mut reader, 1, &mut into.asks)?;
                asks = true;
            }
            8 => into.event_time_us = usable(&mut reader).and_then(microseconds),
            16 => into.transaction_time_us = usable(&mut reader).and_then(microseconds),
            32 | 64 if reader.peek() == Some(b'"') => {
                let name = Some(reader.string()?).filter(|name| !name.is_empty());
                let named = if bit == 32 {
                    &mut into.symbol
                } else {
                    &mut into.pair
                };
                *named = name.map(Into::into);
            }
            _ => {}
        }
        if reader.at == value {
            reader.skip(2)?;
        }
        another = reader.more(b'}')?;
    }
    reader.space();
    if reader.at != body.len() {
        return Err(("there is data after the snapshot", reader.at).into());
    }
    into.last_update_id = id.ok_or(Malformed::from(("lastUpdateId is missing", 0)))?;
    if !bids {
        return Err(("the bids are missing", 0).into());
    }
    if !asks {
        return Err(("the asks are missing", 0).into());
    }
    Ok(())
}

/// `E` and `T` in microseconds, from any unit on the wire; None for a value that is no time.
#[inline]
fn microseconds(time: i64) -> Option<i64> {
    match time {
        1..FIRST_MICROSECONDS => Some(time * 1_000),
        FIRST_MICROSECONDS..LAST_MICROSECONDS => Some(time),
        _ => None,
    }
}

/// A plain integer, if one is next; nothing else is read.
fn usable(reader: &mut Reader<'_>) -> Option<i64> {
    let start = reader.at;
    let found = reader.integer().ok();
    if found.is_none() {
        reader.at = start;
    }
    found
}

/// Whether a text is one JSON object and nothing else, however it goes on inside.
pub fn is_one_object(bytes: &[u8]) -> bool {
    let mut reader = Reader { bytes, at: 0 };
    bytes.starts_with(b"{")
        && check_text(bytes).is_ok()
        && reader.skip(1).is_ok()
        && reader.at == bytes.len()
}

/// The payload of a valid frame, byte for byte: the object `data` of a wrapped one, else all of it.
pub fn payload_of(frame: &[u8]) -> &[u8] {
    usual_payload(frame).unwrap_or_else(|| {
        let mut reader = Reader {
            bytes: frame,
            at: 0,
        };
        reader.space();
        let (start, mut stream, mut data) = (reader.at, None, None);
        let is_read = look_at_top(&mut reader, &mut stream, &mut data).is_ok();
        let stop = reader.at;
        match (is_read, stream, data) {
            (true, Some(_), Some(at)) => {
                reader.at = at;
                let _ = reader.skip(2);
                &frame[at..reader.at]
            }
            _ => &frame[start..stop],
        }
    })
}

/// The same for a frame as the exchange writes it: `data` is the last key. With no object inside, the last brace but
/// one can only be the one that closes it.
fn usual_payload(frame: &[u8]) -> Option<&[u8]> {
    const DATA: &[u8] = b"\",\"data\":";
    let name = frame.strip_prefix(b"{\"stream\":\"")?;
    let data = name[memchr(b'"', name)?..].strip_prefix(DATA)?;
    let data = data.strip_suffix(b"}")?;
    let is_alone = data.starts_with(b"{") && memchr(b'{', &data[1..]).is_none();
    (is_alone && data.ends_with(b"}")).then_some(data)
}

/// Size and encoding, before anything is read.
#[inline]
fn check_text(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.len() > MOST_BYTES {
        return Err(("the message is larger than 16 MiB", MOST_BYTES).into());
    }
    if bytes.is_ascii() {
        return Ok(()); // nearly always, and twice as fast to see
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(("the text is not valid UTF-8", error.valid_up_to()).into()),
    }
}
