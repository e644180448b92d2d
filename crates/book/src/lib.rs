//! Binance depth frames to exact local order books.
//!
//! Pure: no I/O, no clock, no Python, `unsafe` only in `vectors`, `prefetch` and `ascii`. Time comes in as an argument,
//! decisions that need a network go out as events for the caller to act on.
//!
//! The way of a frame: `codec` reads the bytes, `router` (or `offline`) finds the market, `market` applies the
//! sequence rules and changes both `ladder`s. The way back: `query` turns mantissas into numbers, `frozen`
//! copies, `follow` serves consumers, `events` says what needs a decision.
#![deny(unsafe_code)]

// What comes in.
pub mod codec;
pub mod message;

// Books.
pub mod ladder;
pub mod market;
pub mod offline;
pub mod router;

// What goes out.
pub mod analytics;
pub mod events;
pub mod follow;
pub mod frozen;
pub mod query;
pub mod recording;

// Words and numbers that all of them use.
mod ascii;
pub mod counters;
pub mod foreign_text;
mod mantissa;
pub mod prefetch;
pub mod status;
pub mod timebase;
pub mod vectors;
