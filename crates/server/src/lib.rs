//! The book server: HTTP and WebSocket reads of live books, on threads of their own, straight from the books' memory.
//!
//! Theory of operation. A `Server` has one listener and a few worker threads, which never need the interpreter.
//! Every connection passes `listener` (limits, TLS), every request `entrance` (Host, Origin, rate), then `router` by
//! its `table`: its access is checked, its parameters are parsed, and an endpoint answers from the `registry` of books.
//! A book is copied under its lock and encoded (`depthcache-wire`) after the lock is released, so no reader, however
//! slow, delays a book. What needs a decision (begin a book, end one) is handed to the owner of the server through a
//! bounded queue (`delegation`); reads never wait for the owner.
//!
//! As a node of a cluster it puts reads of books that other nodes hold to them (`cluster`).
//!
//! Readers that follow books share one channel per book and view (`views`), and take messages from it while their
//! client takes them (`stream`, on a `socket`).
//!
//! Locks: the registry's, then one market's, never both for longer than a look-up; those of `views` beside them.
//!
//! It knows nothing of Python and decides nothing: which books there are is its owner's business.

#![forbid(unsafe_code)]

mod access;
mod access_log;
mod analytics;
mod books;
mod call;
mod certificate;
mod cluster;
mod columns;
mod compat;
mod connection;
mod contract;
mod delegation;
mod entrance;
mod exchange;
mod following;
mod forwarding;
mod joining;
mod kept;
mod limits;
mod listener;
mod managing;
mod many;
mod network;
mod operation;
mod parameters;
mod peers;
mod percent;
mod problem;
mod registry;
mod router;
mod secrets;
mod sender;
mod server;
mod shared;
mod socket;
mod source;
mod statistics;
mod strangers;
mod stream;
mod table;
mod views;
mod waiting;

pub use access::{Role, SharedToken, Token};
pub use certificate::{Certificate, make_certificate};
pub use cluster::{ClusterBook, ClusterOptions, Holder};
pub use compat::CompatOptions;
pub use delegation::{DelegatedRequest, DelegatedResponse};
pub use exchange::{ExchangeOptions, VenueRules};
pub use limits::Limits;
pub use network::Network;
pub use registry::{Book, Registry};
pub use server::{Options, Server, StartError};
pub use shared::Document;
pub use table::{Access, Parameter, ParameterLocation, ROUTES, Route};
