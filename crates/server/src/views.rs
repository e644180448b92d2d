//! Views of books that many readers share: what changed of each, written once.
//!
//! Per book and view there is one `channel`, which a task feeds from a native follower (`hub`). The channel knows the
//! newest view and the messages that led to it, each as the difference of two views, written once per format. A reader
//! has a cursor in each channel and a queue of those that have something (`ready`). It takes a message only when its
//! client can take one, so a slow client costs a cursor: when it comes back, it gets the newest state. What all channels
//! keep is bounded together (`backlog`).
//!
//! Locks: a book's hub, the claims of all views, a channel, the marks of a reader, in this order; a channel that is
//! dropped gives its claim back, so none is dropped while claims are held. A market is locked for none of them but to make
//! a channel.

mod backlog;
mod channel;
mod format;
mod hub;
mod messages;
mod ready;
mod view;

pub use backlog::{Backlog, Subscriber};
pub use channel::{Channel, Cursor, Resume, Taken, state};
pub use format::{Format, Writer};
pub use hub::{Hub, NoChannel};
pub use messages::{Label, Moment};
pub use ready::{Due, Ready};
pub use view::{MODES, View};
