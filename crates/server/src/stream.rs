//! Followed books on a socket (`/v1/ws`) and as server-sent events (`/v1/stream`).
//!
//! A client subscribes to books or patterns in a view (`request`). A connection (`reader`) follows the channel of each
//! book and view (`views`), also of books that come later, and gives the next message of all of them, with the states of
//! books that other nodes hold (`elsewhere`); `session` sends
//! it on a socket with the replies to its operations, `events` as the body of a response.

mod elsewhere;
mod events;
mod reader;
mod reply;
mod request;
mod session;

pub use events::stream;
pub use session::socket;
