//! A book in the format of the exchange: the body of a REST depth response.

use depthcache_book::query::NumberLevel;

use crate::writer::{Numbers, Object, levels};

/// The family, which determines keys and their order: spot docs 2026-07-21; USD-M measured 2026-10-07; COIN-M
/// and options docs 2026-05-28.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `lastUpdateId`, `bids`, `asks`.
    Spot,
    /// USD-M futures: with `E` and `T`.
    Linear,
    /// COIN-M futures: with `symbol`, `pair`, `E` and `T`.
    Inverse,
    /// Options: the levels first, then `T` and `lastUpdateId`.
    Options,
}

impl Family {
    /// The family with this name, if there is one.
    pub fn parse(word: &str) -> Option<Family> {
        Some(match word {
            "spot" => Family::Spot,
            "linear" => Family::Linear,
            "inverse" => Family::Inverse,
            "options" => Family::Options,
            _ => return None,
        })
    }
}

/// A snapshot without its levels.
#[derive(Clone, Copy, Debug)]
pub struct DepthSnapshot<'a> {
    /// The family whose format it has.
    pub family: Family,
    /// The symbol, for families that repeat it.
    pub symbol: &'a str,
    /// `lastUpdateId`.
    pub update_id: i64,
    /// `E`, in milliseconds since 1970, for families that send it.
    pub event_time_ms: i64,
    /// `T`, in milliseconds since 1970, for families that send it.
    pub transaction_time_ms: i64,
}

/// The body of a depth response; levels best first.
pub fn depth_snapshot(
    out: &mut Vec<u8>,
    head: &DepthSnapshot<'_>,
    bids: impl ExactSizeIterator<Item = NumberLevel>,
    asks: impl ExactSizeIterator<Item = NumberLevel>,
) {
    let mut body = Object::begin(out);
    if head.family != Family::Options {
        body.integer("lastUpdateId", head.update_id);
    }
    if head.family == Family::Inverse {
        body.text("symbol", head.symbol);
        body.text("pair", head.symbol.split('_').next().unwrap_or_default());
    }
    if matches!(head.family, Family::Linear | Family::Inverse) {
        body.integer("E", head.event_time_ms);
        body.integer("T", head.transaction_time_ms);
    }
    levels(body.key("bids"), bids, Numbers::Text);
    levels(body.key("asks"), asks, Numbers::Text);
    if head.family == Family::Options {
        body.integer("T", head.transaction_time_ms);
        body.integer("lastUpdateId", head.update_id);
    }
    body.end();
}
