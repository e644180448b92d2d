//! Binance depth frames to exact local order books.
//!
//! Pure: no I/O, no clock, no Python, no `unsafe`. Time comes in as an argument, decisions that
//! need a network go out as changes for the caller to act on.
//!
//! The way of a frame: `scan` reads the bytes, `router` (or `offline`) finds the market, `market`
//! decides by the rules of `sequence` and changes both `ladder`s. The way back: `query` turns
//! mantissas into numbers, `frozen` copies, `events` says what needs a decision.
#![deny(unsafe_code)]

pub mod analytics;
pub mod arbitration;
mod buffer;
mod chunks;
pub mod columns;
pub mod counters;
pub mod delays;
pub mod events;
pub mod flight;
pub mod follow;
mod foreign_text;
pub mod frozen;
pub mod ladder;
pub mod levels_reason;
mod mantissa;
pub mod market;
pub mod message;
pub mod offline;
pub mod outcome;
mod pending;
pub mod prefetch;
pub mod query;
mod range;
pub mod refresh;
pub mod router;
pub mod scan;
pub mod sequence;
pub mod status;
pub mod tap;
