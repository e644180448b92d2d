//! Books and updates as JSON and back: the only encoder of books for other programs.
//!
//! Pure: no I/O, no clock, no Python, no `unsafe`. Output is appended to a buffer of the caller, in one pass
//! and without spaces.
//!
//! **Schema 1.** A message is one object with `schema`, `type` and the head of its book: `exchange`, `symbol`, `inverse`,
//! `status`, `reason`, `since_ns`, `since_time_us`, `unconfirmed`, `last_update_id`, `event_time_us`,
//! `updated_ns`, `received_time_us`, `confirmed_ns`, `confirmed_time_us`. Times in `_ns` are by the writer's
//! monotonic clock, times in `_us` are microseconds since 1970; `null` if unknown. The rest depends on
//! `type`:
//!
//! - `status`: nothing else.
//! - `best`: `best`, with `bid`, `ask` (`["price","quantity"]`, `null` for an empty side) and `update_id`;
//!   `null` if the book cannot be read.
//! - `book`: `complete`, `complete_to` and `coverage` (each with `bids` and `asks`), `bids`, `asks` (lists of
//!   `["price","quantity"]`, best first; both `null` if the book cannot be read), and `counters` on request.
//!   `complete_to` is a price, `"all"` for a completely known side, or `null` if nothing of a side is proven.
//! - `update`: `skipped`, `is_fresh`, `changes` (`null`, or `bids` and `asks`; quantity zero means removed),
//!   then the keys of a `book`.
//!
//! Readers skip unknown keys; a change that would break readers gets a new schema.
#![deny(unsafe_code)]

mod decode;
mod depth_snapshot;
mod encode;
mod lines;
pub mod writer;

pub use decode::{BadMessage, Decoded, decode};
pub use depth_snapshot::{DepthSnapshot, Family, depth_snapshot};
pub use encode::{Options, best, book, status, summary, update};
pub use lines::level_lines;
pub use writer::Numbers;

/// The version of the messages. Readers refuse any other.
pub const SCHEMA: u32 = 1;
