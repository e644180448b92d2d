//! What stood before the levels of the message before: of one stream only the digits of its times and ids change.
//!
//! A head that is remembered is compared with the next one in whole, and only its numbers are read. Where a byte
//! differs, the message is read key by key. Remembering changes how fast a message is read and never what is read.
//!
//! Not here: how a head is compared and learned (`codec::json::head`).

/// The most bytes of a head that is remembered. Real ones have up to 190.
pub(crate) const MOST: usize = 256;

/// Heads are compared so many bytes at a time.
pub(crate) const BLOCK: usize = 32;

/// From the first byte of a message to the key of its bids.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its length; 0 for none.
    pub(crate) len: usize,
    /// Its bytes, zeros for digits and behind the end …
    pub(crate) text: [u8; MOST],
    /// … and how far those of another message may differ by exclusive-or: by 9 at a digit, behind the end by anything.
    pub(crate) most: [u8; MOST],
    /// `E`, `T`, `U`, `u` and `pu`, as far as there are any.
    pub(crate) numbers: [Option<HeadNumber>; 5],
    /// Where the name of the stream is; None for a message without a wrapper.
    pub(crate) stream: Option<(usize, usize)>,
    /// Where the symbol is.
    pub(crate) symbol: (usize, usize),
    /// Messages since it was learned that had another one.
    pub(crate) misses: u8,
}

/// A number of a head. Its digits end at a known byte, 16 bytes from the start or later.
#[derive(Clone, Copy, Debug)]
pub struct HeadNumber {
    pub(crate) end: usize,
    /// All bits of its bytes among the eight before the last eight, and among the last eight.
    pub(crate) high: u64,
    pub(crate) low: u64,
    /// The smallest number of so many digits: a smaller one would begin with a zero.
    pub(crate) least: i64,
}

impl Default for Head {
    fn default() -> Head {
        Head {
            len: 0,
            text: [0; MOST],
            most: [0; MOST],
            numbers: [None; 5],
            stream: None,
            symbol: (0, 0),
            misses: 0,
        }
    }
}
