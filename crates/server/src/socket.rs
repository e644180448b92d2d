//! WebSockets: from the request that asks for one to its end. What is said on it is the business of its `Session`.
//!
//! `open` checks the request and answers it; the connection (`connection`) then hands its stream over and waits, so
//! that a socket counts as a connection, for its address too, and the end of the server waits for it. `driver` sends
//! what the session gives while the client takes it, and bounds what the client sends.

mod driver;
mod handshake;

pub use driver::Session;
pub use handshake::open;
pub use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// What a session wants of its socket.
#[derive(Debug)]
pub enum Outgoing {
    /// Send this.
    Message(Message),
    /// Close it, after what was sent before.
    Close(Closing),
}

/// Why a socket is closed: a code of RFC 6455 and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The code.
    pub code: CloseCode,
    /// The words: at most 123 bytes of UTF-8.
    pub reason: &'static str,
}

impl Closing {
    /// The server ends (1001).
    pub const GOING_AWAY: Closing = Closing {
        code: CloseCode::Away,
        reason: "the server is shutting down",
    };

    /// What the client showed to be let in is not good any more (3000, "Unauthorized" in the registry of IANA).
    pub const UNAUTHORIZED: Closing = Closing {
        code: CloseCode::Library(3000),
        reason: "the token is not valid any more: connect with the present one",
    };

    /// The client should connect again after a while (1013).
    pub const fn later(reason: &'static str) -> Closing {
        Closing {
            code: CloseCode::Again,
            reason,
        }
    }

    /// The client did what is not allowed (1008).
    pub const fn policy(reason: &'static str) -> Closing {
        Closing {
            code: CloseCode::Policy,
            reason,
        }
    }

    fn frame(&self) -> CloseFrame {
        CloseFrame {
            code: self.code,
            reason: Utf8Bytes::from_static(self.reason),
        }
    }
}
