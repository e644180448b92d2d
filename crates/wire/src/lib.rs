//! Books and updates as JSON, and back: the one encoder of everything that shows books to others.
//!
//! Pure: no I/O, no clock, no Python, no `unsafe`. Everything is appended to a buffer of the caller's, in
//! one pass, without spaces.
//!
//! **Schema 1.** A message is one object with `schema`, `type` and the head of its book: `exchange`, `symbol`, `inverse`,
//! `status`, `reason`, `since_ns`, `since_time_us`, `unconfirmed`, `last_update_id`, `event_time_us`,
//! `updated_ns`, `received_time_us`, `confirmed_ns`, `confirmed_time_us`. Times in `_ns` are of the writer's
//! monotonic clock, times in `_us` are microseconds since 1970, `null` where they are not known. Then, by
//! `type`:
//!
//! - `status`: nothing more.
//! - `best`: `best`, with `bid`, `ask` (`["price","quantity"]`, `null` for an empty side) and `update_id`;
//!   `null` where the book cannot be read.
//! - `book`: `complete`, `complete_to` and `coverage` (each with `bids` and `asks`), `bids`, `asks` (lists of
//!   `["price","quantity"]`, best first; both `null` where the book cannot be read), and `counters` on
//!   request. `complete_to` is a price, `"all"` for a side that is known as a whole, `null` for one of which
//!   nothing is proven.
//! - `update`: `skipped`, `is_fresh`, `changes` (`null`, or `bids` and `asks`; quantity zero: gone), then what
//!   a `book` has.
//!
//! A key that a reader does not know is to be skipped; a change that would break readers is a new schema.
#![deny(unsafe_code)]

mod decode;
mod depth_snapshot;
mod encode;
mod lines;
mod writer;

pub use decode::{BadMessage, Decoded, decode};
pub use depth_snapshot::{DepthSnapshot, Family, depth_snapshot};
pub use encode::{Options, best, book, status, update};
pub use lines::level_lines;
pub use writer::Numbers;

/// The version of the messages. A reader refuses another one.
pub const SCHEMA: u32 = 1;
