//! The scanner never panics, accepts exactly what the oracle accepts, and reads
//! the same numbers, with and without vector instructions.

use std::sync::Mutex;

use depthcache_book::codec::json;
use depthcache_book::message::{DepthSnapshot, DepthUpdate, SideLevels};
use depthcache_book::vectors;

use crate::oracle::{self, Decoded, Depth, Number};

/// Text by which serde_json marks numbers of any size: a message with it would confuse the oracle.
fn confuses_the_oracle(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|part| part == b"$serde_json")
}

/// The choice of instructions is one for the process.
static CHOICE: Mutex<()> = Mutex::new(());

/// What a reader says with and without vector instructions, which must be the same.
fn both_ways(read: impl Fn() -> Decoded) -> Decoded {
    let _alone = CHOICE.lock();
    vectors::use_portable(true);
    let portable = read();
    vectors::use_portable(false);
    assert_eq!(read(), portable);
    portable
}

/// Compare the scanner and the oracle on one frame.
pub fn check_frame(bytes: &[u8]) {
    if confuses_the_oracle(bytes) {
        return;
    }
    let found = both_ways(|| frame(bytes));
    let mut wanted = if oracle::nesting(bytes) > 64 {
        Decoded::Malformed
    } else {
        oracle::frame(bytes)
    };
    if let Decoded::Depth(depth) = &mut wanted {
        depth.event_time_us = depth.event_time_us.filter(|time| *time != 0);
    }
    assert_eq!(found, wanted, "{}", String::from_utf8_lossy(bytes));
}

fn frame(bytes: &[u8]) -> Decoded {
    let mut update = DepthUpdate::default();
    match json::frame(bytes, &mut update) {
        Err(_) => Decoded::Malformed,
        Ok(json::Scanned {
            body: json::Body::Other,
            ..
        }) => Decoded::Other,
        Ok(json::Scanned {
            stream,
            body: json::Body::Update { symbol },
        }) => Decoded::Depth(Depth {
            stream: stream.map(|stream| stream.into_owned()),
            symbol: symbol.into_owned(),
            ids: (
                update.first_update_id,
                update.final_update_id,
                update.previous_final_update_id,
            ),
            event_time_us: Some(update.event_time_us).filter(|time| *time != 0),
            bids: side(&update.bids),
            asks: side(&update.asks),
        }),
    }
}

/// Compare the scanner and the oracle on one snapshot.
pub fn check_snapshot(bytes: &[u8]) {
    if confuses_the_oracle(bytes) {
        return;
    }
    let found = both_ways(|| snapshot(bytes));
    let wanted = if oracle::nesting(bytes) > 64 {
        Decoded::Malformed
    } else {
        oracle::snapshot(bytes)
    };
    assert_eq!(found, wanted, "{}", String::from_utf8_lossy(bytes));
}

fn snapshot(bytes: &[u8]) -> Decoded {
    let mut snapshot = DepthSnapshot::default();
    match json::snapshot(bytes, &mut snapshot) {
        Err(_) => Decoded::Malformed,
        Ok(()) => Decoded::Depth(Depth {
            stream: None,
            symbol: String::new(),
            ids: (0, snapshot.last_update_id, None),
            event_time_us: snapshot.event_time_us,
            bids: side(&snapshot.bids),
            asks: side(&snapshot.asks),
        }),
    }
}

fn side(levels: &SideLevels) -> Vec<(Number, Number)> {
    let number =
        |mantissa: i128, scale: u8| oracle::canonical(&mantissa.to_string(), -i64::from(scale));
    let narrow = levels
        .narrow
        .iter()
        .map(|level| (i128::from(level.price), i128::from(level.quantity)));
    let wide = levels
        .wide
        .iter()
        .map(|level| (level.price, level.quantity));
    narrow
        .chain(wide)
        .map(|(price, quantity)| {
            (
                number(price, levels.price_scale),
                number(quantity, levels.quantity_scale),
            )
        })
        .collect()
}
