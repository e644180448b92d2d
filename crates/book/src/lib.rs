//! Binance depth frames to exact local order books.
//!
//! Pure: no I/O, no clock, no Python, no `unsafe`. Time comes in as an argument, decisions that
//! need a network go out as changes for the caller to act on.
#![forbid(unsafe_code)]

pub mod message;
