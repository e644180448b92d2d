//! Why a market is what it is.

/// A reason and since when it holds.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    pub text: String,
    pub since_ns: i64,
}

impl Reason {
    pub fn new(text: impl Into<String>, since_ns: i64) -> Reason {
        Reason {
            text: text.into(),
            since_ns,
        }
    }
}
