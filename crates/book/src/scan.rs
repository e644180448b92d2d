//! One pass over the bytes of a frame or a snapshot: what it is, and its numbers.
//!
//! A frame is one JSON object, valid to the last byte. It is wrapped when it has both a `stream`
//! (a string) and `data` (an object) at its top, in any order. Its payload is a diff when its `e`
//! is `depthUpdate` and the stream, where there is one, is a diff stream: partial depth and
//! `rpiDepth` bear the same `e` on futures. Unknown keys are stepped over anywhere. Everything
//! that is valid JSON and not a diff is `Other`, whatever the types of its keys.
//!
//! Not here: what is done with the numbers (`book`), or where a frame belongs (`router`).

mod json;
mod levels;
mod number;

use std::borrow::Cow;

use crate::message::{DepthSnapshot, DepthUpdate};
use json::{Fault, Reader};

pub use number::{Decimal, general as decimal, is_too_large};

/// Frames and snapshots above this many bytes are refused.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;

/// From this value on a time is in microseconds, below it in milliseconds.
const FIRST_MICROSECONDS: i64 = 100_000_000_000_000;

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
        what: "pu is missing, ids of this venue are chained by it",
        position: 0,
        stream: frame.stream.as_ref().map(ToString::to_string),
    }
}

/// Whether a stream name is that of a diff depth stream: `<symbol>@depth` or `<symbol>@depth@…`.
pub fn is_diff_stream(stream: &str) -> bool {
    match stream.split_once('@') {
        Some((_, kind)) => kind == "depth" || kind.starts_with("depth@"),
        None => false,
    }
}

/// Read one frame. On an error `into` holds rubbish.
pub fn frame<'a>(bytes: &'a [u8], into: &mut DepthUpdate) -> Result<Scanned<'a>, Malformed> {
    check_text(bytes)?;
    match usual_wrapper(bytes, into) {
        Some(result) => result,
        None => any_frame(bytes, into),
    }
}

/// `{"stream":"…","data":{…}}` without anything around: the shape on the wire.
///
/// `None` when the frame has another shape; nothing is concluded from that.
fn usual_wrapper<'a>(
    bytes: &'a [u8],
    into: &mut DepthUpdate,
) -> Option<Result<Scanned<'a>, Malformed>> {
    const OPENING: &[u8] = b"{\"stream\":\"";
    const MIDDLE: &[u8] = b",\"data\":{";
    if !bytes.starts_with(OPENING) {
        return None;
    }
    let mut reader = Reader {
        bytes,
        at: OPENING.len() - 1,
    };
    let stream = reader.string().ok()?;
    if !bytes[reader.at..].starts_with(MIDDLE) {
        return None;
    }
    reader.at += MIDDLE.len() - 1;
    let result = payload(&mut reader, is_diff_stream(&stream), 2, into);
    if result.is_ok() && bytes.get(reader.at..) != Some(b"}") {
        return None;
    }
    Some(match result {
        Ok(body) => Ok(Scanned {
            stream: Some(stream),
            body,
        }),
        Err((what, position)) => Err(Malformed {
            what,
            position,
            stream: Some(stream.into_owned()),
        }),
    })
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
        return Err(named(
            ("something stands behind the frame", reader.at),
            &stream,
        ));
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
struct Seen<'a> {
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

/// One object that may be a diff; the reader stands at its opening brace.
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
    let mut seen = Seen::default();
    let mut another = reader.open(b'{', b'}', "a frame must be a JSON object")?;
    while another {
        let place = reader.at;
        let bit = diff_key(reader)?;
        let value = reader.at;
        if let Err(fault) = known_key(bit, place, reader, &mut seen, into) {
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
        b"e" => 1,
        b"E" => 2,
        b"T" => 4,
        b"s" => 8,
        b"U" => 16,
        b"u" => 32,
        b"pu" => 64,
        b"b" => 128,
        b"a" => 256,
        _ => 0,
    }
}

/// Read the value of a key that a diff has; nothing is read of any other key.
#[inline]
fn known_key<'a>(
    bit: u16,
    place: usize,
    reader: &mut Reader<'a>,
    seen: &mut Seen<'a>,
    into: &mut DepthUpdate,
) -> Result<(), Fault> {
    if bit == 0 {
        return Ok(());
    }
    if seen.keys & bit != 0 {
        seen.fault
            .get_or_insert(("a key of the diff stands twice", place));
    }
    seen.keys |= bit;
    match bit {
        1 => {
            seen.is_depth_update = false;
            if reader.peek() == Some(b'"') {
                seen.is_depth_update = reader.string()? == "depthUpdate";
            }
        }
        2 => seen.event_time = Some(microseconds(reader.integer()?)),
        4 => seen.transaction_time = Some(microseconds(reader.integer()?)),
        8 => {
            if reader.peek() != Some(b'"') {
                return Err(("the symbol s must be a string", reader.at));
            }
            seen.symbol = Some(reader.string()?);
        }
        16 => seen.first = Some(reader.integer()?),
        32 => seen.last = Some(reader.integer()?),
        64 => {
            if reader.peek() != Some(b'n') {
                seen.previous = Some(reader.integer()?);
            }
        }
        128 => {
            levels::side(reader, &mut into.bids)?;
            seen.bids = true;
        }
        _ => {
            levels::side(reader, &mut into.asks)?;
            seen.asks = true;
        }
    }
    Ok(())
}

/// Everything a diff must have, checked and handed over.
#[inline]
fn finish<'a>(seen: Seen<'a>, start: usize, into: &mut DepthUpdate) -> Result<Body<'a>, Fault> {
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
    into.event_time_us = None;
    let mut seen = 0u8;
    let mut another = reader.open(b'{', b'}', "a snapshot must be a JSON object")?;
    while another {
        let place = reader.at;
        let key = reader.key()?;
        let bit = match &*key {
            "lastUpdateId" => 1,
            "bids" => 2,
            "asks" => 4,
            "E" => 8,
            _ => 0,
        };
        if seen & bit != 0 {
            return Err(("a key of the snapshot stands twice", place).into());
        }
        seen |= bit;
        match bit {
            1 => id = Some(reader.integer()?),
            2 => {
                levels::side(&mut reader, &mut into.bids)?;
                bids = true;
            }
            4 => {
                levels::side(&mut reader, &mut into.asks)?;
                asks = true;
            }
            8 => into.event_time_us = Some(microseconds(reader.integer()?)),
            _ => reader.skip(2)?,
        }
        another = reader.more(b'}')?;
    }
    reader.space();
    if reader.at != body.len() {
        return Err(("something stands behind the snapshot", reader.at).into());
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

/// `E` and `T` in microseconds, whatever they are in on the wire.
fn microseconds(time: i64) -> i64 {
    if time >= FIRST_MICROSECONDS {
        time
    } else {
        time * 1_000
    }
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
        Err(error) => Err(("the text is not UTF-8", error.valid_up_to()).into()),
    }
}
