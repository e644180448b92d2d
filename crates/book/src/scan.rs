//! One pass over the bytes of a frame or a snapshot. SKELETON: the scanner itself is being written.

use std::borrow::Cow;

use crate::message::{DepthSnapshot, DepthUpdate};

/// Bytes that are not what the protocol says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, in words.
    pub what: &'static str,
    /// The byte at which it was noticed.
    pub position: usize,
    /// The stream name, when the frame is wrapped and it could still be read.
    pub stream: Option<String>,
}

/// What a valid frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A diff depth event, now in the `DepthUpdate`.
    Update {
        /// `s`
        symbol: Cow<'a, str>,
    },
    /// Anything else.
    Other,
}

/// A valid frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// The stream name of a wrapped frame.
    pub stream: Option<Cow<'a, str>>,
    /// What it carries.
    pub body: Body<'a>,
}

/// Read one frame.
pub fn frame<'a>(bytes: &'a [u8], into: &mut DepthUpdate) -> Result<Scanned<'a>, Malformed> {
    todo!()
}

/// Read one snapshot.
pub fn snapshot(body: &[u8], into: &mut DepthSnapshot) -> Result<(), Malformed> {
    todo!()
}
