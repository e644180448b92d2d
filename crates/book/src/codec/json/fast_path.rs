//! The short way through a frame that is written as the exchange writes it.
//!
//! Any other frame takes the slow path, which covers the whole grammar; so nothing is said
//! here of what is wrong with a frame.

use std::borrow::Cow;

use super::reader::Reader;
use super::{
    KEY_ASKS, KEY_BIDS, KEY_EVENT, KEY_EVENT_TIME, KEY_FIRST, KEY_LAST, KEY_PREVIOUS, KEY_SYMBOL,
    KEY_TRANSACTION_TIME, Scanned, SeenKeys, finish, is_diff_stream, levels, microseconds, payload,
};
use crate::message::{DepthUpdate, SideLevels};

/// `{"stream":"…","data":{…}}` without anything around: the shape on the wire.
///
/// `None` when the frame has another shape or a fault; nothing is concluded from that.
#[inline]
pub fn wrapped<'a>(
    bytes: &'a [u8],
    into: &mut DepthUpdate,
    announce: impl FnOnce(&'a str),
) -> Option<Scanned<'a>> {
    const OPENING: &[u8] = b"{\"stream\":\"";
    const MIDDLE: &[u8] = b",\"data\":{";
    let mut reader = Reader { bytes, at: 0 };
    let stream = reader.string_after(OPENING)?;
    if !bytes[reader.at..].starts_with(MIDDLE) {
        return None;
    }
    announce(stream);
    reader.at += MIDDLE.len() - 1;
    let body = payload(&mut reader, is_diff_stream(stream), 2, into).ok()?;
    if bytes.get(reader.at..) != Some(b"}") {
        return None;
    }
    Some(Scanned {
        stream: Some(Cow::Borrowed(stream)),
        body,
    })
}

/// A diff without a wrapper, its keys in the usual order and no others.
pub fn bare<'a>(bytes: &'a [u8], into: &mut DepthUpdate) -> Option<Scanned<'a>> {
    let mut reader = Reader { bytes, at: 0 };
    let mut seen = SeenKeys::default();
    first_keys(&mut reader, 1, &mut seen, into);
    if bytes.get(reader.at..) != Some(b"}") {
        return None;
    }
    let body = finish(seen, 0, into).ok()?;
    Some(Scanned { stream: None, body })
}

/// Read the first keys of a diff as long as they come as on the wire: in this order, without white
/// space. The reader is then behind the last value that was read, or where it was.
#[inline]
pub fn first_keys<'a>(
    reader: &mut Reader<'a>,
    depth: usize,
    seen: &mut SeenKeys<'a>,
    into: &mut DepthUpdate,
) {
    const OPENING: &[u8] = b"{\"e\":\"depthUpdate\"";
    if !reader.bytes[reader.at..].starts_with(OPENING) {
        return;
    }
    reader.at += OPENING.len();
    seen.is_depth_update = true;
    let event_time = reader.integer_after(b",\"E\":");
    seen.event_time = event_time.and_then(microseconds);
    let transaction_time = reader.integer_after(b",\"T\":");
    seen.transaction_time = transaction_time.and_then(microseconds);
    seen.symbol = reader.string_after(b",\"s\":\"").map(Cow::Borrowed);
    reader.string_after(b",\"ps\":\"");
    seen.first = reader.integer_after(b",\"U\":");
    seen.last = reader.integer_after(b",\"u\":");
    seen.previous = reader.integer_after(b",\"pu\":");
    seen.bids = side_after(reader, b",\"b\":", depth, &mut into.bids);
    seen.asks = seen.bids && side_after(reader, b",\"a\":", depth, &mut into.asks);
    let found = [
        (KEY_EVENT, true),
        (KEY_EVENT_TIME, event_time.is_some()),
        (KEY_TRANSACTION_TIME, transaction_time.is_some()),
        (KEY_SYMBOL, seen.symbol.is_some()),
        (KEY_FIRST, seen.first.is_some()),
        (KEY_LAST, seen.last.is_some()),
        (KEY_PREVIOUS, seen.previous.is_some()),
        (KEY_BIDS, seen.bids),
        (KEY_ASKS, seen.asks),
    ];
    for (bit, found) in found {
        seen.keys |= bit * u16::from(found);
    }
}

/// A side behind its key; false, and the reader where it was, when something else is there.
#[inline]
fn side_after(reader: &mut Reader<'_>, key: &[u8], depth: usize, into: &mut SideLevels) -> bool {
    let start = reader.at;
    if reader.bytes[start..].starts_with(key) {
        reader.at += key.len();
        if levels::side(reader, depth, into).is_ok() {
            return true;
        }
        reader.at = start;
    }
    false
}
