//! Followed books on a socket (`/v1/ws`) and as server-sent events (`/v1/stream`).
//!
//! Theory of operation. A subscription names books or patterns and a view: a mode, levels, a group. Per book and view
//! there is one `channel`, which a task feeds from a native follower (`hub`). The channel knows the newest view and the
//! messages that led to it, each as the difference of two views, written once per format. A connection (`reader`)
//! has a cursor in each channel and a queue of those that have something (`ready`). It takes a message only when its
//! client can take one, so a slow client costs a cursor: when it comes back, it gets the newest state.
//!
//! Locks: a book's hub, a channel, the marks of a connection, in this order. A market is locked for none of them but to
//! make a channel.

mod channel;
mod events;
mod format;
mod hub;
mod messages;
mod reader;
mod ready;
mod request;
mod session;
mod view;

pub use events::stream;
pub use hub::Hub;
pub use ready::Ready;
pub use session::socket;
